"""What a sweep searches. Imports nothing heavy."""

from typing import Any, Literal

from pydantic import Field

from rodna.core.config import Section

MOST_TRIALS = 10_000


class SweepConfig(Section):
    """Settings to vary, and how much time to spend on them; all of it can be given on the command line."""

    over: dict[str, list[Any] | str] = Field(
        default={}, description="Dotted setting -> a list of values, or a range: low:high, low:high:log or low:high:linear."
    )
    method: Literal["random", "grid"] = Field(default="random", description="grid: every combination of the lists.")
    trials: int = Field(
        default=12, ge=1, le=MOST_TRIALS,
        description="Combinations tried, the project's own settings among them; of a grid, unless it is given, all.",
    )  # fmt: skip
    minutes: float = Field(default=30.0, gt=0, le=60 * 24 * 60, description="Of training, for all trials together.")
    eta: int = Field(default=3, ge=2, le=10, description="Of so many trials the best one goes on, to train so many times longer.")
    seed: int = Field(default=0, ge=0, lt=2**31, description="Of the random choice; the models' seed is train.seed.")
