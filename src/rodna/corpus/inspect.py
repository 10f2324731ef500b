"""What `rodna corpus inspect` and `rodna corpus sample` show; the command line only prints it."""

import json
import random
from pathlib import Path
from typing import Any

from rodna.core.artifact import Artifact, damaged
from rodna.corpus.documents import SPLITS, Document, Dropped, Split, read_documents, read_dropped


def statistics_of(corpus: Artifact) -> dict[str, Any]:
    """Return the figures of a corpus, as `statistics.json` holds them.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    path = corpus.path / "statistics.json"
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise damaged(corpus.path, "statistics.json cannot be read") from error


def sample_documents(
    corpus: Artifact, *, num_documents: int, seed: int = 0, split: Split | None = None, source: str = ""
) -> list[Document]:
    """Return documents chosen at random, every one equally likely, in the order they stand in the corpus.

    Args:
        corpus: the artifact.
        num_documents: how many; all, where there are fewer.
        seed: another seed chooses others.
        split: only from this split.
        source: only from this source.
    """
    splits = (split,) if split else SPLITS
    every = (document for part in splits for document in read_documents(corpus.path, part))
    return _reservoir((document for document in every if source in ("", document.source)), num_documents, seed)


def sample_dropped(corpus: Artifact, *, num_documents: int, seed: int = 0, reason: str = "", source: str = "") -> list[Dropped]:
    """Return dropped documents chosen at random, of one reason or source where given."""
    every = (item for item in read_dropped(corpus.path) if reason in ("", item.reason) and source in ("", item.source))
    return _reservoir(every, num_documents, seed)


def find_document(corpus_path: Path, identity: str) -> tuple[str, Document | Dropped] | None:
    """Return the split ("dropped" for a drop) and the document of an id, None where there is none."""
    for split in SPLITS:
        for document in read_documents(corpus_path, split):
            if document.id == identity:
                return split, document
    return next((("dropped", item) for item in read_dropped(corpus_path) if item.id == identity), None)


def _reservoir(items: Any, size: int, seed: int) -> list[Any]:
    """Return `size` of the items without holding more of them in memory.

    Reference: Vitter 1985, algorithm R, ACM TOMS 11(1).
    """
    generator = random.Random(seed)
    chosen: list[tuple[int, Any]] = []
    for index, item in enumerate(items):
        if len(chosen) < size:
            chosen.append((index, item))
        elif size > 0:
            place = generator.randrange(index + 1)
            if place < size:
                chosen[place] = (index, item)
    return [item for _, item in sorted(chosen, key=lambda pair: pair[0])]
