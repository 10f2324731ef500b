"""What the model writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rodna.core.artifact import Artifact
from rodna.publish.config import ReportConfig
from rodna.publish.facts.dropped import cut
from rodna.publish.facts.view import read_json


@dataclass(frozen=True)
class Sample:
    """One text: what was given, and what the model wrote."""

    prompt: str
    continuation: str
    cut: bool
    note: str


@dataclass(frozen=True)
class SamplesFacts:
    """The section of samples."""

    lead: str
    samples: list[Sample]
    settings: str


def samples_facts(evaluation: Artifact | None, config: ReportConfig) -> SamplesFacts | None:
    """Return the section, None where there is no sample with text in it."""
    values = read_json(evaluation, "samples.json")
    items = values.get("samples") if isinstance(values, dict) else values
    found = [sample for item in items or [] if isinstance(item, dict) and (sample := _sample(item, config.sample_characters))]
    if not found or not config.num_samples:
        return None
    return SamplesFacts("Not chosen by hand: the first ones drawn, as they came.", _mixed(found, config.num_samples), _settings(values))


def _sample(item: Mapping[str, Any], characters: int) -> Sample | None:
    prompt, text = str(item.get("prompt") or ""), str(item.get("continuation") or item.get("text") or "")
    if not text.strip():
        return None
    return Sample(prompt, cut(text, characters), False, "" if prompt else "begun from nothing")


def _mixed(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """Return samples with a prompt and without in turn, as far as there are both."""
    given, free = [sample for sample in samples if sample.prompt], [sample for sample in samples if not sample.prompt]
    wanted = max(limit - len(free), (limit + 1) // 2)
    shown = given[:wanted]
    return [*shown, *free[: limit - len(shown)]]


def _settings(values: Any) -> str:
    return ""
