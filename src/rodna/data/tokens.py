"""Tokens on disk: written once, then memory-mapped."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rodna.core.artifact import Artifact, create, damaged
from rodna.core.errors import ArtifactError
from rodna.corpus.documents import SPLITS, Split, read_documents
from rodna.data.config import DataConfig
from rodna.tokenizer.tokenizer import Tokenizer

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FORMAT_VERSION = 1
BATCH_CHARACTERS = 1 << 20
"""How much text is encoded at once: enough to keep every core busy, little enough to stay in memory."""


def write_tokens(corpus: Artifact, tokenizer: Artifact, config: DataConfig, out: Path) -> Artifact:
    """Encode every split of a corpus; every document is followed by the end-of-text token."""
    vocabulary = Tokenizer.load(tokenizer.path)
    inputs = {"corpus": corpus, "tokenizer": tokenizer}
    with create(out, kind="tokens", format_version=FORMAT_VERSION, inputs=inputs, config=config) as draft:
        dtype = "<u2" if vocabulary.vocabulary_size <= 1 << 16 else "<u4"
        draft.counts.update(dtype=dtype, vocabulary_size=vocabulary.vocabulary_size, end_of_text_id=vocabulary.end_of_text_id, splits={})
        for split in SPLITS:
            texts = (document.text for document in read_documents(corpus.path, split))
            draft.counts["splits"][split] = write_split(texts, vocabulary, draft.path, split, dtype=dtype)
    return draft.result


def write_split(texts: Iterator[str], tokenizer: Tokenizer, folder: Path, split: str, *, dtype: str) -> dict[str, int]:
    """Encode texts into `<split>.bin`, `<split>.offsets.npy` and `<split>.bytes.npy`; return their counts.

    The next batch is read while the library encodes the last one on all cores, and the one before is written.
    """
    import numpy as np

    lengths: list[NDArray[np.int64]] = []
    sizes: list[int] = []
    end = tokenizer.end_of_text_id
    with ExitStack() as stack:
        file = stack.enter_context((folder / f"{split}.bin").open("wb"))
        encoder = stack.enter_context(ThreadPoolExecutor(1))
        waiting = None
        for batch in _batches(texts, sizes):
            encoded = encoder.submit(tokenizer.encode_batch, batch)
            if waiting is not None:
                lengths.append(_write(file, waiting.result(), end, dtype))
            waiting = encoded
        if waiting is not None:
            lengths.append(_write(file, waiting.result(), end, dtype))
    offsets = np.concatenate([np.zeros(1, np.int64), *lengths]).cumsum()
    np.save(folder / f"{split}.offsets.npy", offsets.astype("<i8"))
    np.save(folder / f"{split}.bytes.npy", np.array(sizes, dtype="<i8"))
    return {"num_documents": len(sizes), "num_tokens": int(offsets[-1]), "num_bytes": sum(sizes)}


def _batches(texts: Iterator[str], sizes: list[int]) -> Iterator[list[str]]:
    """Group texts into batches of about `BATCH_CHARACTERS`, noting the UTF-8 bytes of each."""
    batch: list[str] = []
    characters = 0
    for text in texts:
        sizes.append(len(text.encode("utf-8")))
        batch.append(text)
        characters += len(text)
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _write(file: Any, documents: Sequence[list[int]], end: int, dtype: str) -> "NDArray[np.int64]":
    """Append documents, each with its end; return their lengths in tokens."""
    import numpy as np

    ids: list[int] = []
    for document in documents:
        ids += document
        ids.append(end)
    file.write(np.array(ids, dtype=dtype).tobytes())
    return np.array([len(document) + 1 for document in documents], dtype=np.int64)


@dataclass(frozen=True)
class Tokens:
    """The tokens of one split.

    Attributes:
        tokens: uint16 or uint32, memory-mapped: all documents, each followed by `end_of_text_id`.
        offsets: int64, D+1: where each document starts; document d is `tokens[offsets[d]:offsets[d + 1]]`.
        document_bytes: int64, D: UTF-8 bytes of each document's text.
        end_of_text_id: the token after every document.
        vocabulary_size: every token is below it.
    """

    tokens: "NDArray[Any]"
    offsets: "NDArray[np.int64]"
    document_bytes: "NDArray[np.int64]"
    end_of_text_id: int
    vocabulary_size: int

    @property
    def num_documents(self) -> int:
        return len(self.document_bytes)

    @property
    def num_tokens(self) -> int:
        return int(self.offsets[-1])

    @property
    def num_bytes(self) -> int:
        return int(self.document_bytes.sum())

    def only(self, documents: "NDArray[np.int64]") -> "Tokens":
        """Return some of the documents, copied, in this order; at least one."""
        import numpy as np

        parts = [self.tokens[self.offsets[number] : self.offsets[number + 1]] for number in documents]
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum([len(part) for part in parts])])
        return replace(self, tokens=np.concatenate(parts), offsets=offsets, document_bytes=self.document_bytes[documents])

    @classmethod
    def encode(cls, texts: Sequence[str], tokenizer: Tokenizer) -> "Tokens":
        """Encode documents in memory: what `write_split` writes."""
        import numpy as np

        documents = tokenizer.encode_batch(list(texts))
        lengths = np.array([len(document) + 1 for document in documents], dtype=np.int64)
        ids = [token for document in documents for token in (*document, tokenizer.end_of_text_id)]
        sizes = np.array([len(text.encode("utf-8")) for text in texts], dtype=np.int64)
        offsets = np.concatenate([np.zeros(1, np.int64), lengths.cumsum()])
        return cls(np.array(ids, dtype=np.uint32), offsets, sizes, tokenizer.end_of_text_id, tokenizer.vocabulary_size)

    @classmethod
    def open(cls, path: Path, split: Split) -> "Tokens":
        """Memory-map one split of a tokens artifact.

        Raises:
            ArtifactError: no such split, or a damaged file.
        """
        import numpy as np

        artifact = Artifact.open(path, kind="tokens")
        counts = artifact.counts
        if split not in counts.get("splits", {}):
            raise ArtifactError(f"no split {split!r} here", where=str(path), fix=f"use one of: {', '.join(counts.get('splits', {}))}")
        try:
            offsets = np.load(path / f"{split}.offsets.npy", allow_pickle=False)
            document_bytes = np.load(path / f"{split}.bytes.npy", allow_pickle=False)
            file = path / f"{split}.bin"
            empty = file.stat().st_size == 0
            tokens = np.empty(0, counts["dtype"]) if empty else np.memmap(file, dtype=counts["dtype"], mode="r")
        except (OSError, ValueError, EOFError) as error:
            raise damaged(path, f"the tokens of {split} cannot be read: {error}") from error
        if len(offsets) != len(document_bytes) + 1 or offsets[0] != 0 or offsets[-1] != len(tokens) or np.any(np.diff(offsets) < 1):
            raise damaged(path, f"the offsets of {split} do not fit its tokens")
        return cls(tokens, offsets, document_bytes, counts["end_of_text_id"], counts["vocabulary_size"])
