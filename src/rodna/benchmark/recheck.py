"""The checks of a translated item, run again on what a person wrote instead.

What is usual for the benchmark (lengths, copied words) is taken from its other items, as they were translated.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.items import Item, Segment, key_of
from rodna.benchmark.language import check_languages
from rodna.benchmark.validate import (
    MIN_COPIED,
    Check,
    check_answer_key,
    check_chrf,
    check_copied,
    check_distinct,
    check_empty,
    check_length,
    check_numbers,
    check_options,
    check_placeholders,
    check_untranslated,
    chrf,
    copied_share,
    fences,
    fit_lengths,
    num_letters,
)

NUM_NEIGHBOURS = 40
"""Other items whose language is told together with an edit's: an identifier that does not know the language is not believed."""


class Rechecker:
    """Checks edits against the benchmark they belong to.

    Args:
        records: lines of `items.jsonl`.
        config: limits.
    """

    def __init__(self, records: Sequence[Mapping[str, Any]], config: BenchmarkConfig) -> None:
        self._config = config
        pairs = {segment["source"]: segment["translation"] for record in records for segment in record["segments"]}
        self._fit = fit_lengths([(source, text) for source, text in pairs.items() if text], config.fence)
        self._most_copied = max(MIN_COPIED, fences(_values(records, "copied_words"), config.fence)[1])
        done = [record for record in records if record["segments"] and record["translation"] is not None]
        self._neighbours = [_joined(record) for record in done[:: max(1, len(done) // NUM_NEIGHBOURS)]][:NUM_NEIGHBOURS]

    def check(self, record: Mapping[str, Any], texts: Mapping[str, str]) -> list[Check]:
        """Return the checks of an item with these texts; those it was given when translated, where they are the same.

        Args:
            record: of `items.jsonl`.
            texts: path -> translation, of every segment.
        """
        if all(texts[segment["path"]] == segment["translation"] for segment in record["segments"]):
            return [Check(check["name"], check["passed"], check["value"], check["detail"]) for check in record["checks"]]
        checks = [*self._of_texts(record, texts), *self._of_item(record, texts)]
        ignored = self._config.ignore
        return [
            replace(check, passed=None, detail=f"ignored: {check.detail}") if check.passed is False and check.name in ignored else check
            for check in checks
        ]

    def _of_texts(self, record: Mapping[str, Any], texts: Mapping[str, str]) -> list[Check]:
        """Return one check a name for the texts of an item: the first that fails, with its place."""
        found: dict[str, Check] = {}
        for segment in record["segments"]:
            source, text = segment["source"], texts[segment["path"]]
            for check in (
                check_empty(source, text),
                check_placeholders(source, text),
                check_numbers(source, text),
                check_length(source, text, self._fit),
            ):
                if check.name not in found or (check.passed is False and found[check.name].passed is not False):
                    found[check.name] = replace(check, detail=f"{segment['path']}: {check.detail}") if check.detail else check
        return list(found.values())

    def _of_item(self, record: Mapping[str, Any], texts: Mapping[str, str]) -> list[Check]:
        item = item_of(record, self._config)
        sources = [segment.text for segment in item.segments]
        said = [texts[segment.path] for segment in item.segments]
        whole = "\n".join(said)
        # A translation back counts only where none of the options is another than was translated back.
        same = {segment["path"] for segment in record["segments"] if texts[segment["path"]] == segment["translation"]}
        back = {segment["path"]: segment["back"] for segment in record["segments"] if segment["back"]} if same >= set(item.options) else {}
        second = {segment["path"]: segment["second"] for segment in record["segments"] if segment["second"]}
        agreement = None
        if len(second) == len(said):
            agreement = chrf(whole, "\n".join(second[segment.path] for segment in item.segments))
        everything = dict(texts)
        if item.key.path:
            everything[item.key.path] = texts[item.options[item.key.gold]]
        return [
            check_languages([whole, *self._neighbours], self._config)[0],
            check_untranslated(sources, said),
            check_copied(copied_share(sources, said), self._most_copied, num_letters("".join(said))),
            check_options(item, texts),
            check_distinct(item, texts),
            check_answer_key(item, everything, back, second, self._config),
            Check("round_trip", None, None, "not measured on an edit"),
            # What is usual of two machines is not asked of a person.
            check_chrf("agreement", agreement, self._config.min_agreement),
        ]


def item_of(record: Mapping[str, Any], config: BenchmarkConfig) -> Item:
    """Return the item of the source that a line of `items.jsonl` is about; it must have segments."""
    segments = tuple(Segment(segment["path"], segment["source"]) for segment in record["segments"])
    item = Item(record["id"], record["line"], record["source"], segments, tuple(record["options"]))
    return replace(item, key=key_of(record["source"], item, config))


def _joined(record: Mapping[str, Any]) -> str:
    return "\n".join(segment["translation"] for segment in record["segments"])


def _values(records: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    """Return what a check measured on the items it judged."""
    checks = (check for record in records for check in record["checks"])
    return [float(check["value"]) for check in checks if check["name"] == name and check["value"] is not None]
