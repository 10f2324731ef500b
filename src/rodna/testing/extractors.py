"""What every extractor must do."""

import re
from dataclasses import replace
from pathlib import Path

from rodna.core.errors import RodnaError
from rodna.corpus.config import Source
from rodna.corpus.extractors import Extractor, Limits, Piece, Rejected

_REASON = re.compile(r"[a-z][a-z0-9_]{0,39}")
_MAX_META_CHARACTERS = 500


def check_extractor(extract: Extractor, path: Path, source: Source, *, folder: Path, expected: str) -> None:
    """Check that an extractor keeps to its contract.

    Args:
        extract: the extractor.
        path: a good file of its format.
        source: how it is to be read.
        folder: an empty folder to write broken copies of the file to.
        expected: text that must be found in what it extracts.

    Raises:
        AssertionError: the contract is broken; the message says how.
    """
    limits = Limits()
    items = list(extract(path, source, limits))
    pieces = [item for item in items if isinstance(item, Piece)]
    _require(any(expected in piece.text for piece in pieces), f"extracts no document with {expected!r} from {path.name}")
    _check_items(items, limits)
    _require(items == list(extract(path, source, limits)), "extracts something else the second time")
    small = replace(limits, max_document_bytes=64)
    _check_items(list(extract(path, source, small)), small)
    _check_names(extract, path, source)
    data = path.read_bytes()
    for name, broken in {"empty": b"", "cut": data[: len(data) // 2], "noise": bytes(range(256)) * 8}.items():
        copy = folder / f"{name}{path.suffix}"
        copy.write_bytes(broken)
        try:
            _check_items(list(extract(copy, source, limits)), limits)
        except RodnaError as error:
            _require(bool(error.what and error.fix), f"an error about a broken file ({name}) does not say what is wrong and how to fix it")


def _check_names(extract: Extractor, path: Path, source: Source) -> None:
    """Check that documents which `Limits.enter` refuses are left out."""
    names: list[str] = []

    def note(name: str) -> bool:
        names.append(name)
        return True

    whole = list(extract(path, source, replace(Limits(), enter=note)))
    if names:
        rest = list(extract(path, source, replace(Limits(), enter=lambda name: name != names[0])))
        _require(len(rest) < len(whole), f"extracts {names[0]!r} although `limits.enter` answered False")


def _check_items(items: list[Piece | Rejected], limits: Limits) -> None:
    for item in items:
        if isinstance(item, Rejected):
            _require(_REASON.fullmatch(item.reason) is not None, f"the reason {item.reason!r} is not a few words in snake_case")
            _require(bool(item.detail), f"{item.reason} has no detail that says what and where")
            _require(item.size_bytes >= 0, f"{item.reason} has a negative size")
            continue
        _require(isinstance(item, Piece), f"yields {type(item).__name__}: neither Piece nor Rejected")
        size = len(item.text.encode("utf-8", "surrogatepass"))
        _require(bool(item.text.strip()), "yields a document of nothing but white space")
        _require(size <= limits.max_document_bytes, f"yields a document of {size} bytes, above the limit of {limits.max_document_bytes}")
        _check_meta(item)


def _check_meta(piece: Piece) -> None:
    for key, value in piece.meta.items():
        _require(isinstance(value, str | int | float | bool | None), f"meta {key!r} is {type(value).__name__}: no JSON scalar")
        _require(len(str(value)) <= _MAX_META_CHARACTERS, f"meta {key!r} is too long")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(f"extractor {message}")
