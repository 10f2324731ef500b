"""The checks that every translated item goes through, each a function of its own.

A check passes, fails, or does not judge: what cannot be known (the language of a few letters, the usual length from a handful of
texts) is never held against an item.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import regex

from rodna.benchmark import numbers, protect
from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.errors import BenchmarkError
from rodna.benchmark.items import Item, key_of, translated

MIN_TO_FIT = 20
"""Fewer values than this say nothing about what is usual."""
SHORT = 70
"""Characters at which the length of a text varies about 1.4 times as much as that of a long one; measured on 1,097 lines of English in
Catalan and in Galician: the standard deviation of the log ratio is 0.3 at 4 characters, 0.11 at 37 and 0.065 above 200."""
MIN_SPREAD = 0.05
"""Quartile distance of log length ratios that is assumed at least: batches of near-copies would reject everything else."""
MIN_COPIED = 0.2
"""A translation with so small a share of the source's words is never rejected for them: loan words, units, names of species."""
MIN_LETTERS_TO_COPY = 20
MIN_LETTERS_TO_COUNT = 100
"""Of a translated item, for the share of copied words to mean something: `triangle` and `rectangle` are Catalan too."""
NEARER = 5.0
"""Points of chrF by which another option must be nearer to count: options of a word or two differ by chance."""
_LETTER = regex.compile(r"[\p{L}\p{M}]")
_WORD = regex.compile(r"[\p{L}\p{M}]{3,}")


@dataclass(frozen=True)
class Check:
    """What a check found.

    Attributes:
        name: of the check; the reason where it fails.
        passed: None where it could not judge.
        value: what was measured.
        detail: for people: what is wrong or why nothing is said.
    """

    name: str
    passed: bool | None
    value: Any = None
    detail: str = ""


def check_empty(source: str, translation: str) -> Check:
    """Fail a translation of nothing, where the source says something."""
    return Check("empty", bool(translation.strip()) or not source.strip(), len(translation))


def check_placeholders(source: str, translation: str) -> Check:
    """Fail where a placeholder, formula, piece of code or markup, or a line break, is lost or new."""
    lost, gained = protect.lost_and_gained(source, translation)
    if source.count("\n") != translation.count("\n"):
        lost = [*lost, f"{source.count(chr(10))} line breaks, now {translation.count(chr(10))}"]
    return Check("placeholders", not lost and not gained, len(lost) + len(gained), _changes(lost, gained))


def check_numbers(source: str, translation: str) -> Check:
    """Fail where a number is lost or new, in any script's digits and with any separators; numbers written as words are not read."""
    lost, gained = numbers.lost_and_gained(source, translation)
    return Check("numbers", not lost and not gained, len(lost) + len(gained), _changes(lost, gained))


def _changes(lost: Sequence[str], gained: Sequence[str]) -> str:
    parts = [f"lost {', '.join(lost[:5])}"] if lost else []
    return "; ".join(parts + ([f"new {', '.join(gained[:5])}"] if gained else []))


@dataclass(frozen=True)
class LengthFit:
    """What lengths are usual for this pair of languages and this translator.

    Attributes:
        median: of the log ratio of characters.
        low: fence below, for long texts, relative to the median.
        high: fence above.
        count: texts it is fitted to.
    """

    median: float
    low: float
    high: float
    count: int


def fit_lengths(pairs: Sequence[tuple[str, str]], fence: float) -> LengthFit:
    """Fit what is usual: the median of the log ratio, and fences so many quartile distances beyond the quartiles.

    Reference: Tukey 1977, Exploratory Data Analysis: fences. Residuals of short texts are scaled down first: their ratio varies more.
    """
    worded = [(source, translation) for source, translation in pairs if protect.protect(source).has_words and translation.strip()]
    usable = [(len(source), len(translation)) for source, translation in worded]
    if len(usable) < MIN_TO_FIT:
        return LengthFit(0.0, 0.0, 0.0, len(usable))
    ratios = np.array([math.log(after / before) for before, after in usable])
    weights = np.array([1 / _spread(before) for before, _ in usable])
    median = float(np.median(ratios))
    low, high = np.quantile((ratios - median) * weights, [0.25, 0.75]).tolist()
    distance = max(high - low, MIN_SPREAD)
    return LengthFit(median, low - fence * distance, high + fence * distance, len(usable))


def check_length(source: str, translation: str, fit: LengthFit) -> Check:
    """Fail a text whose length, compared with its source, is far outside what is usual in this batch."""
    if fit.count < MIN_TO_FIT:
        return Check("length_ratio", None, None, f"{fit.count} texts are too few to know what is usual")
    if not source.strip() or not translation.strip():
        return Check("length_ratio", None)
    ratio = len(translation) / len(source)
    spread = _spread(len(source))
    low, high = math.exp(fit.median + fit.low * spread), math.exp(fit.median + fit.high * spread)
    is_usual = low <= ratio <= high
    return Check("length_ratio", is_usual, round(ratio, 3), "" if is_usual else f"usual are {low:.2f} to {high:.2f}")


def _spread(length: int) -> float:
    """Return how much more the log length ratio of such a text varies than that of a long one."""
    return math.sqrt(1 + SHORT / max(length, 1))


def check_untranslated(sources: Sequence[str], translations: Sequence[str]) -> Check:
    """Fail an item with a text of some length that is its source again; names and numbers may stay as they are."""
    copied = [
        source
        for source, translation in zip(sources, translations, strict=True)
        if translation.strip() == source.strip() and len("".join(_WORD.findall(protect.protect(source).text))) >= MIN_LETTERS_TO_COPY
    ]
    return Check("untranslated", not copied, len(copied), f"as in the source: {copied[0][:80]!r}" if copied else "")


def copied_share(sources: Sequence[str], translations: Sequence[str]) -> float:
    """Return the share of a translation's letters in words of the source: words the translator does not know.

    Words that begin with a capital in the source are left out, for they may be names.
    """
    known = {word for source in sources for word in _WORD.findall(protect.protect(source).text) if not word[0].isupper()}
    words = [word for text in translations for word in _WORD.findall(protect.protect(text).text)]
    letters = sum(map(len, words))
    return sum(len(word) for word in words if word in known) / letters if letters else 0.0


def num_letters(text: str) -> int:
    """Return how many letters a text has."""
    return len(_LETTER.findall(text))


def fences(values: Sequence[float], fence: float) -> tuple[float, float]:
    """Return below and above which values are far from the batch's; infinite where the batch is too small to say."""
    if len(values) < MIN_TO_FIT:
        return -math.inf, math.inf
    low, high = np.quantile(np.array(values), [0.25, 0.75]).tolist()
    return low - fence * (high - low), high + fence * (high - low)


def check_copied(share: float, limit: float, num_letters: int) -> Check:
    """Fail an item that keeps far more of the source's words than others of the batch do; not judged where it has few letters."""
    if num_letters < MIN_LETTERS_TO_COUNT:
        return Check("copied_words", None, round(share, 3), "too short to tell")
    return Check("copied_words", share <= limit, round(share, 3), "" if share <= limit else f"usual are at most {limit:.2f}")


def check_chrf(name: str, value: float | None, limit: float) -> Check:
    """Fail an item whose chrF is below a limit: that of a round trip, or of two translators' agreement."""
    if value is None:
        return Check(name, None, None, "not measured")
    return Check(name, value >= limit, round(value, 1), "" if value >= limit else f"at least {limit:.1f} is wanted")


def check_options(item: Item, translations: Mapping[str, str]) -> Check:
    """Fail an item that has not as many options as its source, none of them empty."""
    found = sum(bool(translations.get(path, "").strip()) for path in item.options)
    return Check("options", found == len(item.options), found, "" if found == len(item.options) else f"{len(item.options)} in the source")


def check_distinct(item: Item, translations: Mapping[str, str]) -> Check:
    """Fail an item with options that can no longer be told apart; says whether the right one is among them."""
    if not item.options:
        return Check("distinct_options", None)
    said = [_folded(translations.get(path, "")) for path in item.options]
    equal = [text for text in dict.fromkeys(said) if said.count(text) > 1]
    if not equal:
        return Check("distinct_options", True, len(set(said)))
    gold = " as the right answer" if item.key.gold >= 0 and said[item.key.gold] in equal else ""
    return Check("distinct_options", False, len(set(said)), f"{said.count(equal[0])} options say the same{gold}: {equal[0][:60]!r}")


def _folded(text: str) -> str:
    import unicodedata

    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip(".")


def check_answer_key(
    item: Item, translations: Mapping[str, str], back: Mapping[str, str], second: Mapping[str, str], config: BenchmarkConfig
) -> Check:
    """Fail an item whose right answer is no longer the right one.

    The key is read from the translated item as it was from the source. A number must be the same. Of an option, what it says in a second
    translation must be nearer to it than to any other option, and so must what it says when translated back; unless that other option
    has a better claim: `the roots` that come back as `the stems` beside `the stem` that comes back as itself.

    Args:
        item: the source.
        translations: path -> text.
        back: path -> translated back; may lack any.
        second: path -> by another translator; may lack any.
        config: tells where the key stands.
    """
    if item.key.kind == "none":
        return Check("answer_key", None, None, "no key that can be checked")
    try:
        key = key_of(translated(item.source, translations), item, config)
    except BenchmarkError as error:
        return Check("answer_key", False, None, error.what)
    if item.key.kind == "number":
        same = key.kind == "number" and numbers.same_number(key.number, item.key.number)
        return Check("answer_key", same, key.number, "" if same else f"the answer was {item.key.number}")
    if key.gold != item.key.gold:
        return Check("answer_key", False, key.gold, f"option {item.key.gold} was right")
    gold = item.options[key.gold]
    sources = {segment.path: segment.text for segment in item.segments}
    for texts, options, what in (
        (back, [sources[path] for path in item.options], "translated back"),
        (second, [translations[path] for path in item.options], "in the second translation"),
    ):
        nearer = _nearer([texts.get(path, "") for path in item.options], options, key.gold) if texts.get(gold) else ""
        if nearer:
            return Check("answer_key", False, key.gold, f"{what}, the right answer is nearer to {nearer[:60]!r}")
    return Check("answer_key", True, key.gold)


def _nearer(texts: Sequence[str], options: Sequence[str], gold: int) -> str:
    """Return the option that the right one's text is nearer to than to its own, and nearer than that option's own text; or ""."""
    scores = [chrf(texts[gold], option) for option in options]
    best = int(np.argmax(scores))
    if scores[best] <= scores[gold] + NEARER or chrf(texts[best], options[best]) >= scores[best]:
        return ""
    return options[best]


@cache
def _metric() -> Any:
    from sacrebleu.metrics.chrf import CHRF

    return CHRF()


@lru_cache(maxsize=1 << 14)
def chrf(text: str, reference: str) -> float:
    """Return how alike two texts are, 0 to 100, by their character n-grams.

    Reference: Popović 2015, "chrF", doi:10.18653/v1/W15-3049; as sacrebleu computes it.
    """
    return float(_metric().sentence_score(text, [reference]).score)
