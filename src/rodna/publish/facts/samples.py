"""What the model writes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rodna.core.artifact import Artifact
from rodna.publish.config import ReportConfig
from rodna.publish.facts.dropped import cut
from rodna.publish.facts.view import amount, read_json, setting


@dataclass(frozen=True)
class Sample:
    """One text: what was given, and what the model wrote."""

    prompt: str
    continuation: str
    note: str


@dataclass(frozen=True)
class SamplesFacts:
    """The section of samples."""

    lead: str
    samples: list[Sample]
    settings: str


def samples_facts(evaluation: Artifact | None, config: ReportConfig) -> SamplesFacts | None:
    """Return the section, None where there is no sample with text in it."""
    items = read_json(evaluation, "samples.json")
    items = items if isinstance(items, list) else []
    found = [sample for item in items if isinstance(item, dict) and (sample := _sample(item, config.sample_characters))]
    if evaluation is None or not found or not config.num_samples:
        return None
    return SamplesFacts(
        "Not picked by hand: the first ones drawn, as they came. A small model learns how the language looks; what it says may be false.",
        _mixed(found, config.num_samples),
        _settings(evaluation.manifest.config),
    )


def _sample(item: Mapping[str, Any], characters: int) -> Sample | None:
    prompt, text = str(item.get("prompt") or ""), str(item.get("text") or "")
    if not text.strip():
        return None
    notes = [] if prompt else ["begun from nothing"]
    if item.get("loops"):
        notes.append("caught in a loop")
    if copied := amount(item.get("copied_characters")):
        notes.append(f"{copied:,.0f} characters stand so in the training text")
    return Sample(prompt, cut(text, characters), "; ".join(notes))


def _mixed(samples: Sequence[Sample], limit: int) -> list[Sample]:
    """Return samples with a prompt and without in turn, as far as there are both."""
    given, free = [sample for sample in samples if sample.prompt], [sample for sample in samples if not sample.prompt]
    wanted = max(limit - len(free), (limit + 1) // 2)
    shown = given[:wanted]
    return [*shown, *free[: limit - len(shown)]]


def _settings(settings: Mapping[str, Any]) -> str:
    names = {"temperature": "temperature", "top_p": "top-p", "sample_tokens": "tokens at most", "seed": "seed"}
    listed = [f"{label} {setting(settings[key])}" for key, label in names.items() if key in settings]
    return f"Drawn with {', '.join(listed)}." if listed else ""
