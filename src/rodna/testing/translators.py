"""What every translator must do."""

from collections.abc import Sequence

from rodna.benchmark.errors import TranslationError
from rodna.benchmark.translators import Translator, mask


def check_translator(translator: Translator, texts: Sequence[str], *, source: str, target: str, unknown: str = "") -> None:
    """Check that a translator keeps to its contract.

    Args:
        translator: what a plugin's factory returned.
        texts: several different ones of one line each, which it can translate.
        source: BCP-47 tag they are in.
        target: BCP-47 tag it translates into.
        unknown: a tag it does not translate into; empty where it takes any.

    Raises:
        AssertionError: the contract is broken; the message says how.
    """
    _require(bool(translator.name) and translator.batch_size >= 1 and translator.concurrency >= 1, "has no name, batch size or concurrency")
    version = translator.version(source, target)
    _require(bool(version) and version == translator.version(source, target), "has no version, or another one each time")
    _require(translator.translate([], source, target) == [], "does not return an empty list for no texts")
    answers = translator.translate(texts, source, target)
    _require(len(answers) == len(texts), f"returns {len(answers)} translations of {len(texts)} texts")
    for text, answer in zip(texts, answers, strict=True):
        _require(isinstance(answer, str), f"returns {type(answer).__name__}, not text")
        _require(bool(answer.strip()), f"translates {text[:40]!r} to nothing")
        _require("\n" not in answer, f"puts a line break into the translation of {text[:40]!r}")
    _require(answers == translator.translate(texts, source, target), "translates the same texts differently the second time")
    backwards = translator.translate(list(reversed(texts)), source, target)
    _require(backwards[::-1] == answers, "translates a text differently in other company, or gives translations in another order")
    masked = translator.translate([f"{texts[0]} {mask(0)}"], source, target)
    _require(len(masked) == 1 and "\ufffd" not in masked[0], "damages a mask: it may lose it, but not make another character of it")
    if unknown:
        try:
            translator.version(source, unknown)
        except TranslationError as error:
            _require(bool(error.what and error.fix), "does not say what is wrong and how to fix it where it lacks a pair")
        else:
            _require(False, f"gives a version for {unknown!r}, which it does not translate into")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(f"translator {message}")
