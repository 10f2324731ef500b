"""A comparison as a folder: page, tables, pictures, everything as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rodna.core.artifact import Artifact, create
from rodna.core.files import write_bytes, write_json, write_text
from rodna.evals.compare.ladder import Climb
from rodna.evals.compare.read import Run
from rodna.evals.compare.types import Comparison
from rodna.publish.comparison.formats import csv_text, latex, markdown
from rodna.publish.comparison.page import render
from rodna.publish.comparison.picture_files import png_of, svg_of
from rodna.publish.comparison.plots import Curves, Picture, bars, curves, forests, slug

FORMAT_VERSION = 1
PAGE, FIGURES = "index.html", "figures"


def write_comparison(
    comparison: Comparison | None, climbs: Sequence[Climb], out: Path, *, runs: Sequence[Run], settings: dict[str, Any]
) -> Artifact:
    """Write `index.html`, `comparison.md`, `.csv`, `.tex` and `.json`, and the pictures below `figures/`.

    Args:
        comparison: None where only a ladder is shown.
        climbs: numbers over the steps of training.
        out: the folder; an older comparison there is replaced.
        runs: every evaluation that went in.
        settings: how it was compared.
    """
    inputs: dict[str, Artifact | str] = {f"evaluation {number}": run.digest for number, run in enumerate(runs, 1)}
    with create(
        out, kind="comparison", format_version=FORMAT_VERSION, inputs=inputs, config=settings, seed=settings.get("seed", 0)
    ) as draft:
        write_text(draft.path / PAGE, render(comparison, climbs))
        if comparison is not None:
            write_text(draft.path / "comparison.md", markdown(comparison))
            write_text(draft.path / "comparison.csv", csv_text(comparison))
            write_text(draft.path / "comparison.tex", latex(comparison))
            write_json(draft.path / "comparison.json", asdict(comparison))
            draft.counts["comparisons"] = comparison.num_tests
        if climbs:
            write_json(draft.path / "ladder.json", [asdict(climb) for climb in climbs])
        _write_pictures(draft.path / FIGURES, [*(([*forests(comparison), *bars(comparison)]) if comparison else []), *curves(climbs)])
    return draft.result


def _write_pictures(folder: Path, pictures: Sequence[Picture]) -> None:
    folder.mkdir()
    for number, picture in enumerate(pictures, 1):
        kind = "training" if isinstance(picture, Curves) else {"forest": "differences", "bars": "bars"}[picture.kind]
        name = f"{number:02d}-{kind}-{slug(picture.title)}"
        write_text(folder / f"{name}.svg", svg_of(picture))
        if (png := png_of(picture)) is not None:
            write_bytes(folder / f"{name}.png", png)
