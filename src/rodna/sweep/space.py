"""What can be tried: for each setting a list of values or a range, and combinations of them."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rodna.core.config import parse_override
from rodna.core.errors import ConfigError

Scale = Literal["linear", "log"]
LOG_FROM = 10.0
"""A positive range whose ends differ by this factor or more is searched in logarithms unless it says otherwise."""


@dataclass(frozen=True)
class Choices:
    """Values to choose from."""

    values: tuple[Any, ...]

    def at(self, place: float) -> Any:
        """Return the value at a place in [0, 1)."""
        return self.values[min(int(place * len(self.values)), len(self.values) - 1)]

    def __str__(self) -> str:
        return ", ".join(json.dumps(value, ensure_ascii=False) for value in self.values)


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both included."""

    low: float
    high: float
    scale: Scale
    whole: bool

    def at(self, place: float) -> float | int:
        """Return the number at a place in [0, 1): four digits of it, which is more than any search can tell apart."""
        if self.whole:
            return min(int(self._between(self.high + 1, place)), int(self.high))
        return min(max(float(f"{self._between(self.high, place):.4g}"), self.low), self.high)

    def _between(self, high: float, place: float) -> float:
        return self.low * (high / self.low) ** place if self.scale == "log" else self.low + place * (high - self.low)

    def __str__(self) -> str:
        return f"{self.low:g} to {self.high:g}, {self.scale}"


Space = Mapping[str, Choices | Range]


def parse_over(text: str) -> tuple[str, list[Any] | str]:
    """Read what follows `--over`: `train.learning_rate=0.003,0.01` or `model.dropout=0:0.3`.

    Raises:
        ConfigError: there is no `=`, or what follows is neither values nor a range.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"not a setting with its values: {text!r}", where="--over",
                          fix="write --over section.key=value,value or --over section.key=low:high")  # fmt: skip
    if ":" in value and not any(sign in value for sign in "[{\"',"):
        return key.strip(), value.strip()
    tree = parse_override(f"values=[{value}]")
    return key.strip(), tree["values"]


def dimension(key: str, given: Sequence[Any] | str, *, whole: bool) -> Choices | Range:
    """Return what is to be tried of one setting.

    Args:
        key: dotted name, for the message.
        given: values, or a range as text.
        whole: the setting takes whole numbers only.

    Raises:
        ConfigError: it is empty, or no range.
    """
    if not isinstance(given, str):
        values = list({json.dumps(value, sort_keys=True): value for value in given}.values())
        if not values or any(value is None for value in values):
            raise ConfigError(f"{key}: there is nothing to try", where="sweep.over", fix="give values: 0.1,0.2,0.3")
        return Choices(tuple(values))
    parts = given.split(":")
    try:
        low, high = float(parts[0]), float(parts[1])
        scale = parts[2] if len(parts) > 2 else ("log" if low > 0 and high / low >= LOG_FROM else "linear")
        good = len(parts) < 4 and scale in ("linear", "log") and abs(low) < float("inf") and abs(high) < float("inf")
    except (ValueError, IndexError):
        low = high = 0.0
        scale, good = "linear", False
    if not good:
        raise ConfigError(f"{key}: {given!r} is no range", where="sweep.over", fix="write low:high, low:high:log or low:high:linear")
    if not low < high:
        raise ConfigError(f"{key}: the range {given!r} is empty", where="sweep.over", fix="give a lower number first, then a higher one")
    if scale == "log" and low <= 0:
        raise ConfigError(f"{key}: the range {given!r} has no logarithm at its low end", where="sweep.over", fix="begin above 0")
    if whole and (low != int(low) or high != int(high)):
        raise ConfigError(f"{key} takes whole numbers; the range {given!r} has others", where="sweep.over", fix="give whole numbers")
    return Range(low, high, "log" if scale == "log" else "linear", whole)


def combinations(space: Space, *, method: Literal["random", "grid"], trials: int, seed: int) -> list[dict[str, Any]]:
    """Return the settings of every trial. The first is always empty: the project's own settings, which the others have to beat.

    grid: every combination of the lists. random: places of a scrambled Sobol sequence, which leaves fewer holes than independent
    draws; each setting has as many different values as there are trials (Bergstra & Bengio 2012, "Random search for hyper-parameter
    optimization", JMLR 13). Combinations that repeat are left out, so lists may give fewer than asked for.

    Raises:
        ConfigError: a grid with a range, or with more combinations than trials.
    """
    if method == "grid":
        ranges = [key for key, dim in space.items() if isinstance(dim, Range)]
        if ranges:
            raise ConfigError(f"a grid needs values, and {', '.join(ranges)} is a range", where="sweep.over",
                              fix="list the values, or use --method random")  # fmt: skip
        lists = [dim.values for dim in space.values() if isinstance(dim, Choices)]
        size = 1
        for values in lists:
            size *= len(values)
        if size + 1 > trials:
            raise ConfigError(f"the grid has {size:,} combinations, and with the project's own settings that makes {size + 1:,} trials",
                              where=f"sweep.trials: {trials}", fix=f"set it to {size + 1}, or use --method random")  # fmt: skip
        return [{}, *(dict(zip(space, values, strict=True)) for values in itertools.product(*lists))]
    return [{}, *_random(space, trials - 1, seed)]


def _random(space: Space, count: int, seed: int) -> list[dict[str, Any]]:
    import torch

    sequence = torch.quasirandom.SobolEngine(len(space), scramble=True, seed=seed)
    found: dict[str, dict[str, Any]] = {}
    for places in sequence.draw(16 * count).tolist() if count else []:
        chosen = {key: dim.at(place) for (key, dim), place in zip(space.items(), places, strict=True)}
        if len(found) < count:
            found.setdefault(json.dumps(chosen, sort_keys=True), chosen)
    return list(found.values())
