"""From a benchmark to its translation: translate every text, check every item, repair what can be, and say what became of each."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rodna.benchmark import store
from rodna.benchmark.candidates import Candidate, Candidates, Translators
from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.errors import TranslationError
from rodna.benchmark.items import Item, read_items, translated
from rodna.benchmark.language import check_languages
from rodna.benchmark.memory import Failure, Memory
from rodna.benchmark.validate import (
    MIN_COPIED,
    Check,
    check_answer_key,
    check_chrf,
    check_copied,
    check_distinct,
    check_options,
    check_untranslated,
    chrf,
    copied_share,
    fences,
    num_letters,
)
from rodna.core.files import sha256_of
from rodna.core.log import warn


@dataclass
class Work:
    """One item on its way.

    Attributes:
        item: of the source.
        chosen: path -> the candidate taken.
        back: path -> translated back, where that was done.
        second: path -> by the second translator, where there is one.
    """

    item: Item
    chosen: dict[str, Candidate]
    back: dict[str, str]
    second: dict[str, str]

    @property
    def failures(self) -> list[str]:
        return [f"{path}: {one.text.reason}" for path, one in self.chosen.items() if isinstance(one.text, Failure)]

    @property
    def texts(self) -> dict[str, str]:
        """Path -> translation; the answer, where it is the text of the right option, follows that option."""
        found = {path: one.text for path, one in self.chosen.items() if isinstance(one.text, str)}
        key = self.item.key
        if key.path and self.item.options[key.gold] in found:
            found[key.path] = found[self.item.options[key.gold]]
        return found

    def joined(self, texts: Mapping[str, str]) -> str:
        return "\n".join(texts.get(segment.path, "") for segment in self.item.segments)


def translate_benchmark(path: Path, out: Path, config: BenchmarkConfig, translators: Translators) -> dict[str, Any]:
    """Translate a benchmark into a folder; what an earlier run asked is not asked again.

    Args:
        path: JSON Lines (or what `rodna eval` reads as items).
        out: folder of the translated benchmark; human verdicts in it are kept.
        config: fields, languages and limits.
        translators: who translates; their pairs are looked at before anything is asked.

    Returns:
        The counts of the manifest.

    Raises:
        BenchmarkError: the file cannot be used, or a translator does not translate between these languages.
    """
    items = read_items(path, config)
    versions, back = _versions(config, translators)
    usable = [item for item in items if not item.problem[0]]
    memory = Memory(out / store.MEMORY)
    try:
        candidates = Candidates(memory, Translators(translators.first, translators.second, back), config)
        works = {work.item.id: work for work in _translate(usable, candidates)}
    finally:
        memory.close()
    checks = _check(list(works.values()), config)
    records = [store.unusable(item) if item.problem[0] else _record(works[item.id], checks[item.id], config) for item in items]
    about = {"config": config.model_dump(mode="json"), "translators": versions, "source": {"file": path.name, "sha256": sha256_of(path)}}
    return store.write(out, records, about)


def _versions(config: BenchmarkConfig, translators: Translators) -> tuple[dict[str, str], Any]:
    """Return the name and version of each translator, and who translates back: nobody where that pair is not to be had."""
    source, target = config.source_language, config.language
    found = {"first": _named(translators.first, source, target)}
    if translators.second is not None:
        found["second"] = _named(translators.second, source, target)
    back = translators.back
    if back is not None:
        try:
            found["back"] = _named(back, target, source)
        except TranslationError as error:
            warn(f"no round trip: {error.what}")
            back = None
    return found, back


def _named(translator: Any, source: str, target: str) -> str:
    return f"{translator.name} {translator.version(source, target)}"


def _translate(items: Sequence[Item], candidates: Candidates) -> list[Work]:
    """Return every item with the best candidate of each text."""
    texts = list(dict.fromkeys(segment.text for item in items for segment in item.segments))
    chosen = candidates.repair(candidates.begin(texts))
    works = [
        Work(item, {segment.path: chosen[segment.text] for segment in item.segments}, {}, _seconds(item, candidates)) for item in items
    ]
    _part_equal_options(works, candidates)
    _go_back(works, candidates)
    if candidates.translators.back is not None and candidates.translators.second is not None:
        _replace_by_second(works, candidates)
    return works


def _seconds(item: Item, candidates: Candidates) -> dict[str, str]:
    found = {segment.path: candidates.second.get(segment.text) for segment in item.segments}
    return {path: answer for path, answer in found.items() if isinstance(answer, str)}


def _part_equal_options(works: Sequence[Work], candidates: Candidates) -> None:
    """Take all options from the second translator where the first's are no longer distinct and the second's are."""
    for work in works:
        if check_distinct(work.item, work.texts).passed is not False:
            continue
        sources = {segment.path: segment.text for segment in work.item.segments}
        found = candidates.by_second([sources[path] for path in work.item.options])
        if len(found) < len(work.item.options):
            continue
        problem = f"distinct_options: {check_distinct(work.item, work.texts).detail}"
        changed = {**work.chosen, **{path: replace(found[sources[path]], because=problem) for path in work.item.options}}
        if check_distinct(work.item, Work(work.item, changed, {}, {}).texts).passed:
            work.chosen = changed


def _go_back(works: Sequence[Work], candidates: Candidates) -> None:
    answers = candidates.back([text for work in works for text in work.texts.values()])
    for work in works:
        found = {path: answers.get(text) for path, text in work.texts.items()}
        work.back = {path: answer for path, answer in found.items() if isinstance(answer, str)}


def _replace_by_second(works: Sequence[Work], candidates: Candidates) -> None:
    """Take the second translator's texts for an item that does not come back, where its own do."""
    limit = _limit([_round_trip(work) for work in works], candidates.config.min_round_trip, candidates.config.fence)
    for work in works:
        value = _round_trip(work)
        if value is None or value >= limit:
            continue
        sources = {segment.path: segment.text for segment in work.item.segments}
        found = candidates.by_second(list(sources.values()))
        if len(found) < len(set(sources.values())):
            continue
        problem = f"round_trip: {value:.1f}"
        other = Work(work.item, {path: replace(found[text], because=problem) for path, text in sources.items()}, {}, work.second)
        _go_back([other], candidates)
        again = _round_trip(other)
        if again is not None and again >= limit:
            work.chosen, work.back = other.chosen, other.back


def _round_trip(work: Work) -> float | None:
    """Return the chrF of an item translated back with its source; None where that was not done."""
    if not work.back or len(work.back) < len(work.texts):
        return None
    return chrf(work.joined(work.back), "\n".join(segment.text for segment in work.item.segments))


def _agreement(work: Work) -> float | None:
    """Return the chrF of two translators' texts; None where one of them is missing, or the text was taken from the second."""
    own = [path for path, candidate in work.chosen.items() if "second_translator" not in candidate.edits]
    if len(own) < len(work.chosen) or len(work.second) < len(work.chosen):
        return None
    return chrf(work.joined(work.texts), work.joined(work.second))


def _limit(values: Sequence[float | None], least: float, fence: float) -> float:
    return max(least, fences([value for value in values if value is not None], fence)[0])


def _check(works: Sequence[Work], config: BenchmarkConfig) -> dict[str, list[Check]]:
    """Return the checks of every item: those of its texts, and those of the whole."""
    done = [work for work in works if not work.failures]
    sources = {work.item.id: [segment.text for segment in work.item.segments] for work in done}
    texts = {work.item.id: [work.texts[segment.path] for segment in work.item.segments] for work in done}
    languages = dict(zip(texts, check_languages(["\n".join(found) for found in texts.values()], config), strict=True))
    copied = {work.item.id: copied_share(sources[work.item.id], texts[work.item.id]) for work in done}
    # Where the batch is too small to say what is usual, nothing is unusual.
    most_copied = max(MIN_COPIED, fences(list(copied.values()), config.fence)[1])
    trips = {work.item.id: _round_trip(work) for work in done}
    least_trip = _limit(list(trips.values()), config.min_round_trip, config.fence)
    agreements = {work.item.id: _agreement(work) for work in done}
    least_agreement = _limit(list(agreements.values()), config.min_agreement, config.fence)
    found: dict[str, list[Check]] = {work.item.id: [] for work in works}
    for work in done:
        identity = work.item.id
        found[identity] = [
            *_of_texts(work),
            languages[identity],
            check_untranslated(sources[identity], texts[identity]),
            check_copied(copied[identity], most_copied, num_letters("".join(texts[identity]))),
            check_options(work.item, work.texts),
            check_distinct(work.item, work.texts),
            check_answer_key(work.item, work.texts, work.back, work.second, config),
            check_chrf("round_trip", trips[identity], least_trip),
            check_chrf("agreement", agreements[identity], least_agreement),
        ]
    return found


def _of_texts(work: Work) -> list[Check]:
    """Return one check a name for the texts of an item: the first that fails, with its place."""
    by_name: dict[str, Check] = {}
    for path, candidate in work.chosen.items():
        for check in candidate.checks:
            kept = by_name.get(check.name)
            if kept is None or (check.passed is False and kept.passed is not False) or (kept.passed is None and check.passed):
                by_name[check.name] = Check(check.name, check.passed, check.value, f"{path}: {check.detail}" if check.detail else "")
    return list(by_name.values())


def _record(work: Work, checks: Sequence[Check], config: BenchmarkConfig) -> dict[str, Any]:
    """Return the line of `items.jsonl`: nothing of an item is left out."""
    failures = work.failures
    reasons = [check.name for check in checks if check.passed is False and check.name not in config.ignore]
    edits = sorted({edit for candidate in work.chosen.values() for edit in candidate.edits})
    status = "failed" if failures else "rejected" if reasons else "repaired" if edits else "accepted"
    texts = work.texts
    return {
        "id": work.item.id,
        "line": work.item.line,
        "status": status,
        "reasons": ["translator_failed"] if failures else reasons,
        "detail": failures[:3] or [f"{check.name}: {check.detail}" for check in checks if check.name in reasons],
        "edits": edits,
        "source": work.item.source,
        "translation": None if failures else translated(work.item.source, texts),
        "segments": [_segment(work, segment.path, segment.text, texts) for segment in work.item.segments],
        "options": list(work.item.options),
        "gold": work.item.key.gold,
        "answer_path": work.item.key.path,
        "checks": [{"name": check.name, "passed": check.passed, "value": check.value, "detail": check.detail} for check in checks],
    }


def _segment(work: Work, path: str, source: str, texts: Mapping[str, str]) -> dict[str, Any]:
    candidate = work.chosen[path]
    return {
        "path": path,
        "source": source,
        "translation": texts.get(path, ""),
        "translator": candidate.translator,
        "edits": list(candidate.edits),
        "because": candidate.because,
        "back": work.back.get(path, ""),
        "second": work.second.get(path, ""),
    }
