"""How well an identifier does on lines whose language is known."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rodna.core.errors import CorpusError
from rodna.corpus.config import LanguageConfig
from rodna.corpus.identify.load import load_identifier
from rodna.corpus.identify.names import means
from rodna.corpus.language import parse_language

MOST_MISTAKEN = 3


def measure_identifier(files: Mapping[str, Path], config: LanguageConfig, *, root: Path) -> list[dict[str, Any]]:
    """Return a row for each file: language, lines, recall, precision (all files' lines together), and the labels mistaken for it.

    Args:
        files: language -> UTF-8 text, an example a line. Lines of a language called `other` count for precision only.
        config: names the identifier.
        root: what its path is relative to.

    Raises:
        CorpusError: all lines are of `other`, or a file is missing or without lines.
    """
    if not set(files) - {"other"}:
        raise CorpusError(
            "there is no language to look for", where="LANG=FILE", fix="add a file of lines in one, such as be=belarusian.txt"
        )
    found: dict[str, list[str]] = {}
    for language, path in files.items():
        lines = _lines(path)
        tag = language if language != "other" else next(name for name in files if name != "other")
        identifier = load_identifier(config, language=tag, root=root)
        labels = (*identifier.labels, "")
        found[language] = [labels[number] for number in identifier.identify(lines)["label"].tolist()]
    rows: list[dict[str, Any]] = []
    for language, labels in found.items():
        if language == "other":
            continue
        tag = parse_language(language)
        named = {label for seen in found.values() for label in seen if label and (means(label, tag) or label == tag.tag)}
        right = sum(label in named for label in labels)
        all_so_named = sum(label in named for seen in found.values() for label in seen)
        mistaken = Counter(label for label in labels if label not in named)
        rows.append(
            {
                "language": language,
                "lines": len(labels),
                "recall": right / len(labels),
                "precision": right / all_so_named if all_so_named else 0.0,
                "mistaken_for": dict(mistaken.most_common(MOST_MISTAKEN)),
            }
        )
    return rows


def _lines(path: Path) -> list[str]:
    try:
        lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise CorpusError(f"cannot read lines: {error}", where=str(path), fix="give an existing UTF-8 text file") from error
    if not lines:
        raise CorpusError("a file without lines", where=str(path), fix="give text, an example a line")
    return lines
