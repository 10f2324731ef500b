"""Sentences of a treebank, from CoNLL-U files.

Reference: Universal Dependencies, "CoNLL-U Format", version 2.
"""

import gzip
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import BinaryIO

from rodna.core.errors import EvaluationError

ENDINGS = (".conllu", ".conllu.gz", ".conllu.zst")
COLUMNS = 10
MAX_LINE_CHARACTERS = 100_000
MAX_WORDS = 1000
MAX_UNPACKED_BYTES = 4 * 1024**3
"""Of one file: more is a mistake, or meant to fill the memory."""


@dataclass(frozen=True)
class Features:
    """Morphological features of a word; equal where their text, in sorted order, is.

    Attributes:
        text: `Case=Nom|Number=Sing`; empty where there are none.
        values: name -> value; of several values `Fem,Masc`.
    """

    text: str
    values: Mapping[str, str] = field(compare=False)

    def get(self, name: str) -> str:
        """Return a feature's value; empty where the word has none."""
        return self.values.get(name, "")


@dataclass(frozen=True, slots=True)
class Word:
    """A syntactic word.

    Attributes:
        number: its place in the tree, from 1.
        head: its head's; 0: the root.
        start: where its form begins in the sentence's text; -1: it is part of a multiword token.
        follows_closely: no space divides it from what stands before it.
        precedes_closely: no space divides it from what stands after it.
    """

    number: int
    form: str
    lemma: str
    upos: str
    features: Features
    head: int
    relation: str
    start: int
    follows_closely: bool
    precedes_closely: bool


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and its tree; `where` is `file:line` of its first line."""

    id: str
    text: str
    words: tuple[Word, ...]
    source: str
    where: str

    def children(self, number: int) -> list[Word]:
        """Return the words whose head is word `number`."""
        return [word for word in self.words if word.head == number]


@dataclass(frozen=True)
class Malformed:
    """A sentence that cannot be read: where it stands, and why."""

    where: str
    reason: str
    detail: str


class _Bad(Exception):
    """A sentence breaks a rule of the format: reason, detail and line."""

    def __init__(self, reason: str, detail: str, line: int) -> None:
        super().__init__(reason)
        self.reason, self.detail, self.line = reason, detail, line


def find_files(paths: Sequence[Path]) -> list[Path]:
    """Return CoNLL-U files, those of folders sorted; no file twice.

    Raises:
        EvaluationError: a path does not exist, or no such file is in it.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise EvaluationError("there is no such file or folder", where=str(path), fix="give CoNLL-U files, or a folder that holds some")
        here = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
        here = [file for file in here if file.name.endswith(ENDINGS)]
        if not here:
            raise EvaluationError(
                "no CoNLL-U file is here", where=str(path), fix=f"give a treebank: files that end in {', '.join(ENDINGS)}"
            )
        found.update(dict.fromkeys(here))
    return list(found)


def read_file(path: Path) -> Iterator[Sentence | Malformed]:
    """Yield a file's sentences in order, and what is in the place of those that cannot be read.

    Raises:
        EvaluationError: the file is not UTF-8, is damaged or unpacks to more than `MAX_UNPACKED_BYTES`.
    """
    block: list[tuple[int, str]] = []
    for number, line in _lines(path):
        if line:
            block.append((number, line))
        elif block:
            yield from _sentence(block, path)
            block = []
    if block:
        yield from _sentence(block, path)


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    import zstandard

    try:
        with _open(path) as binary, io.TextIOWrapper(binary, encoding="utf-8-sig", newline="\n") as stream:
            size = number = 0
            while line := stream.readline(MAX_LINE_CHARACTERS):
                number += 1
                size += len(line)
                if size > MAX_UNPACKED_BYTES or (len(line) == MAX_LINE_CHARACTERS and not line.endswith("\n")):
                    what = "a line is far too long" if size <= MAX_UNPACKED_BYTES else "the file is far too large"
                    raise EvaluationError(what, where=f"{path}:{number}", fix="divide it, or leave it out")
                yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise EvaluationError("not UTF-8", where=str(path), fix="convert it: CoNLL-U is always UTF-8") from error
    except (EOFError, OSError, zstandard.ZstdError) as error:
        raise EvaluationError(f"cannot be read: {error}", where=str(path), fix="unpack it by hand, or fetch it again") from error


def _open(path: Path) -> BinaryIO:
    import zstandard

    if path.name.endswith(".gz"):
        return gzip.open(path, "rb")  # pyright: ignore[reportReturnType]
    if path.name.endswith(".zst"):
        return zstandard.open(path, "rb")
    return path.open("rb")


def _sentence(block: list[tuple[int, str]], path: Path) -> Iterator[Sentence | Malformed]:
    first = block[0][0]
    comments = [line for _, line in block if line.startswith("#")]
    rows = [(number, line) for number, line in block if not line.startswith("#")]
    if not rows:
        return
    try:
        yield _parse(comments, rows, path, f"{path}:{first}")
    except _Bad as error:
        yield Malformed(f"{path}:{error.line}", error.reason, error.detail)


@dataclass
class _Token:
    """A piece of the surface: a word, or a multiword token over words `first` to `last`."""

    first: int
    last: int
    form: str
    is_spaced: bool


def _parse(comments: list[str], rows: list[tuple[int, str]], path: Path, where: str) -> Sentence:
    tokens: list[_Token] = []
    words: list[tuple[int, list[str]]] = []
    for line, row in rows:
        columns = row.split("\t")
        if len(columns) != COLUMNS:
            raise _Bad("wrong_columns", f"{len(columns)} columns instead of {COLUMNS}", line)
        name, form = columns[0], columns[1]
        if not form or any(character < " " for character in form):
            raise _Bad("bad_form", "the form is empty or holds control characters", line)
        is_spaced = "SpaceAfter=No" not in columns[9].split("|")
        if name.isascii() and name.isdigit():
            if int(name) != len(words) + 1 or len(words) == MAX_WORDS:
                raise _Bad("wrong_numbers", f"word {name} where {len(words) + 1} is due, of at most {MAX_WORDS}", line)
            words.append((line, columns))
            if not tokens or tokens[-1].last < int(name):
                tokens.append(_Token(int(name), int(name), form, is_spaced))
        elif "-" in name:
            first, last = (int(part) if part.isascii() and part.isdigit() else 0 for part in name.partition("-")[::2])
            if first != len(words) + 1 or last <= first or (tokens and tokens[-1].last >= first):
                raise _Bad("wrong_numbers", f"multiword token {name} after word {len(words)}", line)
            tokens.append(_Token(first, last, form, is_spaced))
        elif "." not in name:
            raise _Bad("wrong_numbers", f"{name[:40]!r} is not a word's number", line)
    last_line = rows[-1][0]
    if not words or tokens[-1].last > len(words):
        raise _Bad("wrong_numbers", "there is no word, or a multiword token goes beyond the last one", last_line)
    text, starts = _place(tokens, _comment(comments, "text"), last_line)
    start_of = {token.first: start for token, start in zip(tokens, starts, strict=True) if token.first == token.last}
    made = tuple(_word(columns, line, start_of.get(int(columns[0]), -1), text, len(words)) for line, columns in words)
    _check_tree(made, last_line)
    return Sentence(_comment(comments, "sent_id") or where.rpartition("/")[2], text, made, path.name, where)


def _comment(comments: list[str], name: str) -> str:
    for comment in comments:
        key, equals, value = comment[1:].partition("=")
        if equals and key.strip() == name:
            return value.strip()
    return ""


def _place(tokens: list[_Token], said: str, line: int) -> tuple[str, list[int]]:
    """Return the sentence's text and where each token begins in it: the text as the file has it, where the forms fit into it."""
    text = said or "".join(token.form + " " * token.is_spaced for token in tokens).rstrip()
    if not all(character >= " " for character in text):
        raise _Bad("bad_text", "the text holds control characters", line)
    starts: list[int] = []
    position = 0
    for token in tokens:
        while position < len(text) and text[position].isspace():
            position += 1
        if not text.startswith(token.form, position):
            raise _Bad("text_differs", f"{token.form[:40]!r} is not what the text goes on with at character {position}", line)
        starts.append(position)
        position += len(token.form)
    if text[position:].strip():
        raise _Bad("text_differs", f"the text goes on after the last word: {text[position:][:40]!r}", line)
    return text, starts


def _word(columns: list[str], line: int, start: int, text: str, count: int) -> Word:
    head = int(columns[6]) if columns[6].isascii() and columns[6].isdigit() else -1
    if not 0 <= head <= count or head == int(columns[0]):
        raise _Bad("wrong_head", f"word {columns[0]} has the head {columns[6][:40]!r}", line)
    end = start + len(columns[1])
    return Word(
        number=int(columns[0]),
        form=columns[1],
        lemma=intern(columns[2]),
        upos=intern(columns[3]),
        features=_features(columns[5], line),
        head=head,
        relation=intern(columns[7]),
        start=start,
        follows_closely=start > 0 and not text[start - 1].isspace(),
        precedes_closely=start >= 0 and end < len(text) and not text[end].isspace(),
    )


def _features(text: str, line: int) -> Features:
    try:
        return parse_features(text)
    except ValueError:
        raise _Bad("bad_features", f"features are not of the form Name=Value|...: {text[:40]!r}", line) from None


@lru_cache(maxsize=100_000)
def parse_features(text: str) -> Features:
    """Return the features of a FEATS column.

    Raises:
        ValueError: it is not of the form `Name=Value|...`, or names a feature twice.
    """
    if text in ("_", ""):
        return Features("", {})
    values: dict[str, str] = {}
    for item in text.split("|"):
        name, _, value = item.partition("=")
        if not name or not value or name in values:
            raise ValueError(text)
        values[intern(name)] = intern(",".join(sorted(value.split(","))))
    values = dict(sorted(values.items()))
    return Features("|".join(f"{name}={value}" for name, value in values.items()), values)


def _check_tree(words: tuple[Word, ...], line: int) -> None:
    """Refuse a sentence without a root, or with words in a circle."""
    reaches: set[int] = {0}
    for word in words:
        path: list[int] = []
        number = word.number
        while number not in reaches:
            if number in path:
                raise _Bad("wrong_head", f"word {number} is its own ancestor", line)
            path.append(number)
            number = words[number - 1].head
        reaches.update(path)
