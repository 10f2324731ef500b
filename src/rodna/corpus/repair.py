"""Repairs driven by the corpus' own statistics: apostrophes inside words, look-alike letters of another script."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rodna.corpus.config import NormalizeConfig
from rodna.corpus.language import LanguageTag


class Evidence:
    """What a corpus shows about its apostrophes and its letters; counted shard by shard, then merged."""

    def add(self, text: str, source: str) -> None:
        """Count one document."""

    def merge(self, other: "Evidence") -> None:
        """Add another shard's counts to these."""

    def as_json(self) -> dict[str, Any]:
        """Return the counts as JSON."""
        return {}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Evidence":
        """Return what `as_json` wrote."""
        return cls()


@dataclass(frozen=True)
class Repairs:
    """What is to be changed in a corpus."""

    def as_json(self) -> dict[str, Any]:
        """Return the repairs as JSON."""
        return {}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Repairs":
        """Return what `as_json` wrote."""
        return cls()


def fit_repairs(evidence: Evidence, language: LanguageTag, config: NormalizeConfig) -> Repairs:
    """Decide from a corpus' evidence what is to be repaired."""
    return Repairs()


def repair(text: str, repairs: Repairs) -> tuple[str, Mapping[str, int]]:
    """Return the repaired text and how many characters of each kind were changed."""
    return text, {}
