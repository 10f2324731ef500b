"""The few shapes that templates draw, and reading artifacts' files without ever failing the page."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rodna.core.artifact import Artifact

MINUS = "\N{MINUS SIGN}"


@dataclass(frozen=True)
class Number:
    """A number with a label."""

    label: str
    value: str


@dataclass(frozen=True)
class Column:
    """A column of a table; `style` is a class of the style sheet, "num" aligns numbers."""

    title: str
    style: str = ""

    @property
    def number(self) -> bool:
        return self.style == "num"


@dataclass(frozen=True)
class Row:
    """A row of a table."""

    cells: Sequence[Any]
    total: bool = False


def read_json(artifact: Artifact | None, file: str) -> Any:
    """Return the content of an artifact's JSON file, None where there is no artifact, no such file or no JSON in it."""
    if artifact is None:
        return None
    try:
        return json.loads((artifact.path / file).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def number(value: object, *, digits: int = 3) -> str:
    """Return a number with about `digits` significant digits and thousands separated; a dash for what is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    decimals = 0 if isinstance(value, int) else max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{decimals}f}" if decimals <= 6 else f"{value:.{digits - 1}e}"
    return text.replace("-", MINUS, 1) if value < 0 else text


def setting(value: object) -> str:
    """Return a setting's value as people write it in a file."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def share(part: float, whole: float) -> str:
    """Return a percentage: "0%" and "100%" only for nothing and all, with one digit after the point near these."""
    percent = 100 * part / whole if whole else 0.0
    if percent in (0, 100) or 9.95 <= percent < 99.5:
        return f"{percent:.0f}%"
    if 0 < percent < 0.05:
        return "<0.1%"
    return f"{min(percent, 99.9) if percent < 100 else percent:.1f}%"


def plural(count: int, thing: str, things: str = "") -> str:
    """Return `1 document`, `2,000 documents`."""
    return f"{count:,} {thing if count == 1 else things or thing + 's'}"


def get(values: Mapping[str, Any] | None, *keys: str, default: Any = None) -> Any:
    """Return a value deep in nested mappings, or `default` where the way ends early."""
    found: Any = values
    for key in keys:
        if not isinstance(found, Mapping) or key not in found:
            return default
        found = found[key]
    return found


def amount(value: object) -> float:
    """Return a finite number, 0 for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) else 0.0
