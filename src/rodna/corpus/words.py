"""The words that only this text has: those of one source that no other has, and those of a corpus that another text lacks.

Words are compared in lower case and composed form. What counts as a word is the same for every language: letters, marks and digits
between spaces and punctuation, an apostrophe or hyphen between two of them included. Where a character stands for a syllable or a word, and
none are parted by spaces, each pair of neighbours counts as one.
"""

import unicodedata
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from rodna.core.artifact import MANIFEST, Artifact
from rodna.core.errors import CorpusError
from rodna.core.workspace import PROJECT_FILE, Workspace
from rodna.corpus.documents import SPLITS, Document, original_id, read_documents
from rodna.corpus.unspaced import UNSPACED, UNSPACED_LETTER

SAMPLE_BYTES = 64 << 20
"""How much of a larger corpus is read: documents are chosen by a hash of their ids."""
MAX_WORDS = 1_000_000
"""Different words held in memory, about 150 MB; beyond, the rarest are forgotten, and those left are checked in a second reading."""
_MANY = -1
_SOURCE_CHUNK = 1 << 20


@dataclass(frozen=True)
class OwnWords:
    """Words that only one text has.

    Attributes:
        words: (word, times), most frequent first.
        num_words: how many different ones there are, those not listed included; at least so many, where rare ones were forgotten.
        share_read: of the corpus' documents, in bytes about; 1 where all were read.
        forgot_below: words met fewer times than this may be missing, because memory is bounded; 0: none is.
    """

    words: tuple[tuple[str, int], ...]
    num_words: int
    share_read: float
    forgot_below: int


def words_of(text: str) -> list[str]:
    """Return the words of a text, in order."""
    folded = unicodedata.normalize("NFC", text.casefold())
    words: list[str] = []
    for run in _pattern().findall(folded):
        if UNSPACED_LETTER.match(run):
            letters = run if run.isalpha() else _letters().findall(run)
            words += ["".join(pair) for pair in pairwise(letters)] or [run]
        else:
            words.append(run)
    return words


@cache
def _pattern() -> Any:
    import regex

    return regex.compile(
        rf"[{UNSPACED}][{UNSPACED}\p{{M}}]*"
        rf"|(?:(?![{UNSPACED}])[\p{{L}}\p{{N}}])(?:(?![{UNSPACED}])[\p{{L}}\p{{N}}\p{{M}}\u200c\u200d]|['’ʼ\-‐‑·](?=[\p{{L}}\p{{N}}]))*"
    )


@cache
def _letters() -> Any:
    import regex

    return regex.compile(r"\X")


class _Counts:
    """Counts words by the one source that has them, in bounded memory."""

    def __init__(self, max_words: int) -> None:
        self.counts: Counter[str] = Counter()
        self.owners: dict[str, int] = {}
        self.forgot_below = 0
        self._max = max_words

    def add(self, words: Iterable[str], source: int) -> None:
        for word, number in Counter(words).items():
            self.counts[word] += number
            owner = self.owners.setdefault(word, source)
            if owner != source:
                self.owners[word] = _MANY
        if len(self.owners) > self._max:
            self._forget()

    def _forget(self) -> None:
        """Forget the rarest words, until no more than three quarters are left."""
        ranked = Counter(self.counts.values())
        left = len(self.counts)
        for number in sorted(ranked):
            if left <= 0.75 * self._max:
                break
            left -= ranked[number]
            self.forgot_below = max(self.forgot_below, number + 1)
        for word in [word for word, number in self.counts.items() if number < self.forgot_below]:
            del self.counts[word], self.owners[word]


def own_words(corpus: Artifact, *, limit: int, max_words: int = MAX_WORDS, sample_bytes: int = SAMPLE_BYTES) -> dict[str, OwnWords]:
    """Return source -> the words that no other source of the corpus has.

    Args:
        corpus: the artifact.
        limit: how many to list of each.
        max_words: to hold in memory.
        sample_bytes: of text to read; of a larger corpus, documents are chosen evenly.
    """
    share = _share(corpus, sample_bytes)
    sources = list(corpus.manifest.licences)
    numbers = {name: number for number, name in enumerate(sources)}
    found = _Counts(max_words)
    for document in _sampled(corpus, share):
        found.add(words_of(document.text), numbers.setdefault(document.source, len(numbers)))
    own: dict[str, list[tuple[str, int]]] = {name: [] for name in numbers}
    names = list(numbers)
    for word, owner in found.owners.items():
        if owner != _MANY:
            own[names[owner]].append((word, found.counts[word]))
    listed = {name: _ranked(words)[: 4 * limit if found.forgot_below else limit] for name, words in own.items()}
    if found.forgot_below:
        listed = _checked(corpus, share, listed)
    return {name: OwnWords(tuple(listed[name][:limit]), len(own[name]), share, found.forgot_below) for name in names}


def _checked(corpus: Artifact, share: float, listed: Mapping[str, list[tuple[str, int]]]) -> dict[str, list[tuple[str, int]]]:
    """Return the words without those that another source has after all: its few were forgotten before they were many."""
    owner = {word: name for name, words in listed.items() for word, _ in words}
    counts: Counter[str] = Counter()
    for document in _sampled(corpus, share):
        for word in words_of(document.text):
            if word in owner:
                counts[word] += 1
                if owner[word] != document.source:
                    owner[word] = ""
    return {name: _ranked([(word, counts[word]) for word, _ in words if owner[word] == name]) for name, words in listed.items()}


def words_against(corpus: Artifact, other: Path, *, limit: int, max_words: int = MAX_WORDS, sample_bytes: int = SAMPLE_BYTES) -> OwnWords:
    """Return the words of a corpus that another text has not; of that text, all is read.

    Args:
        corpus: the artifact.
        other: a word list or another text file in UTF-8, a corpus artifact, or a workspace.
        limit: how many to list.
        max_words: to hold in memory.
        sample_bytes: of the corpus to read.

    Raises:
        CorpusError: the other text is missing, or not text.
    """
    share = _share(corpus, sample_bytes)
    found = _Counts(max_words)
    for document in _sampled(corpus, share):
        found.add(words_of(document.text), 0)
    for text in texts_at(other):
        for word in set(words_of(text)):
            found.counts.pop(word, None)
    return OwnWords(tuple(_ranked(list(found.counts.items()))[:limit]), len(found.counts), share, found.forgot_below)


def texts_at(path: Path) -> Iterator[str]:
    """Yield the texts of a text file (in stretches), of a corpus artifact, or of the newest corpus of a workspace.

    Raises:
        CorpusError: there is nothing there, or it is not UTF-8 text.
    """
    if path.is_dir():
        yield from (document.text for split in SPLITS for document in read_documents(_corpus_at(path), split))
        return
    try:
        with path.open(encoding="utf-8-sig") as file:
            rest = ""
            while chunk := file.read(_SOURCE_CHUNK):
                # Words are not cut in two: what follows the last line break waits for the next stretch.
                whole, line_break, rest = (rest + chunk).rpartition("\n")
                if line_break:
                    yield whole
            yield rest
    except FileNotFoundError as error:
        raise CorpusError(f"no such file or folder: {path}", where="--against", fix="name a text file, corpus or workspace") from error
    except UnicodeDecodeError as error:
        raise CorpusError(f"not UTF-8: byte {error.start:,}", where=str(path), fix="save it as UTF-8, or build a corpus of it") from error


def _corpus_at(path: Path) -> Path:
    if (path / MANIFEST).is_file():
        return Artifact.open(path, kind="corpus").path
    if (path / PROJECT_FILE).is_file():
        made = [item for item in Workspace(path).all_artifacts() if item.kind == "corpus"]
        if made:
            return max(made, key=lambda item: item.manifest.created).path
    raise CorpusError("no corpus is there", where=str(path), fix="name a text file, a corpus or a workspace in which one was built")


def _ranked(words: list[tuple[str, int]]) -> list[tuple[str, int]]:
    return sorted(words, key=lambda item: (-item[1], item[0]))


def _share(corpus: Artifact, sample_bytes: int) -> float:
    total = sum(corpus.counts[split]["bytes"] for split in SPLITS)
    return min(1.0, sample_bytes / max(1, total))


def _sampled(corpus: Artifact, share: float) -> Iterator[Document]:
    """Yield the documents whose id's hash falls into the share; copies made by mixing are left out."""
    below = int(share * 0xFFFFFFFF)
    for split in SPLITS:
        for document in read_documents(corpus.path, split):
            if zlib.crc32(document.id.encode("utf-8", "surrogatepass")) <= below and original_id(document.id) == document.id:
                yield document
