"""What today's law foresees of every run that `plan_fit.py` made, from the pilots that were kept, beside what it came to.

    python benchmarks/plan_forecasts.py benchmarks/results/plan_fit

Nothing is trained. A forecast in the strict sense is one of a run that came after the law's last change; docs/planning.md names them.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rodna.plan.fit import fit_points
from rodna.plan.laws import Point


@dataclass(frozen=True)
class Forecast:
    """One run ten times its largest pilot, in bits per byte of validation text.

    Attributes:
        name: of the result, its folder included.
        expected: by today's law.
        low: end of its 95% interval.
        high: the other.
        measured: at the end of the run.
    """

    name: str
    expected: float
    low: float
    high: float
    measured: float

    @property
    def error(self) -> float:
        """By how much too high it is, as a share."""
        return self.expected / self.measured - 1


def forecasts(folder: Path) -> Iterator[Forecast]:
    """Yield what is foreseen of every finished run below a folder."""
    for file in sorted(folder.rglob("*.json")):
        values: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        if "measured" in values:
            fit = fit_points([Point(**point) for point in values["fit"]["points"]])
            unique = values["tokens_seen"] / values["epochs"]
            found = fit.predict(values["block_parameters"], values["tokens_seen"], unique, values["dropout"])
            yield Forecast(str(file.relative_to(folder).with_suffix("")), *found, values["measured"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    for found in forecasts(parser.parse_args().results):
        print(f"{found.name:20} {found.expected:.3f} ({found.low:.3f}-{found.high:.3f}), came to {found.measured:.3f}: {found.error:+.1%}")


if __name__ == "__main__":
    main()
