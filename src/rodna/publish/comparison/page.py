"""The page of a comparison: verdicts in words first, then pictures, tables, and what was not compared.

What evaluations say is untrusted: every value is escaped by the template.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from rodna.evals.compare.ladder import Climb
from rodna.evals.compare.types import Comparison
from rodna.publish.comparison.plots import bars, breakable, curves, figure, forests
from rodna.publish.comparison.tables import Table, compared, differences, listed, not_compared, notes, ranking, values
from rodna.publish.comparison.words import APART, summary, verdict_line
from rodna.publish.facts.view import Row, plural
from rodna.publish.page import Section, render_page

HOW_TO_READ = (
    "A verdict is given where so large a difference would come up by chance in fewer than one of twenty such pages, had all models been "
    "equal. “Cannot be told apart” does not say that two models are equal: it says that these items do not show which is better, and the "
    "interval says how large the difference could still be."
)


@dataclass(frozen=True)
class Verdicts:
    """The verdicts on one model.

    Attributes:
        lead: their sum.
        real: those that are more than chance.
        open: those that are not.
    """

    lead: str
    real: list[str]
    open: list[str]


@dataclass(frozen=True)
class VerdictFacts:
    """What was found, in words."""

    models: list[Verdicts]
    how_to_read: str


@dataclass(frozen=True)
class PictureFacts:
    """Pictures, and a line that says how to read them."""

    lead: str
    figures: list[Markup]


@dataclass(frozen=True)
class TableFacts:
    """Tables, and notes under them."""

    tables: list[Table]
    notes: list[str]


def render(comparison: Comparison | None, climbs: Sequence[Climb] = ()) -> str:
    """Return the page.

    Args:
        comparison: None where only a ladder is shown.
        climbs: numbers over the steps of training.
    """
    sections = [*(_compared(comparison) if comparison else []), *(_ladder(climbs) if climbs else [])]
    names = comparison.names if comparison else list(dict.fromkeys(name for climb in climbs for name in climb.lines))
    heading = "Which model is better" if comparison else "How the model grew"
    return render_page(
        language="", name=", ".join(names), heading=heading, opening=_opening(comparison), sections=sections, folder="comparison",
        styles=["style.css", "comparison.css"],
    )  # fmt: skip


def _compared(comparison: Comparison) -> list[Section]:
    left_out = [table for table in (listed(comparison), not_compared(comparison)) if table.rows]
    order = ranking(comparison)
    pictures = PictureFacts(
        "Each dot is a difference, its line the 95% interval. An interval that crosses the dashed line at zero holds “no difference”; "
        "filled dots are verdicts that survive the correction for all comparisons.",
        [figure(picture) for picture in forests(comparison)],
    )
    side_by_side = PictureFacts(
        "The coloured bar is the baseline; thin lines are 95% intervals of each number by itself. Differences over the same items are "
        "surer than two such intervals side by side suggest.",
        [figure(picture) for picture in bars(comparison)],
    )
    found = [
        Section("result", "Verdicts", "Verdicts", verdict_facts(comparison), ""),
        Section("differences", "Differences", "How large the differences are", pictures if pictures.figures else None, "Nothing to draw."),
        Section("bars", "Side by side", "Side by side", side_by_side if side_by_side.figures else None, "Nothing to draw."),
    ]
    if order:
        found.append(Section("ranking", "Ranking", "Ranking", TableFacts([order], []), ""))
    found.append(
        Section(
            "tables",
            "Numbers",
            "Every number",
            TableFacts([_shown(differences(comparison)), _shown(values(comparison))], notes(comparison)),
            "",
        )
    )
    if left_out:
        found.append(
            Section("left_out", "Left out", "What has no verdict, and why", TableFacts([_shown(table) for table in left_out], []), "")
        )
    return found


def _shown(table: Table) -> Table:
    """Return a table for a page: marked cells stand out, and a task's name may go on in the next line."""

    def cell(row: int, place: int, text: object) -> Markup:
        if place == 0:
            return breakable(str(text))
        return Markup("<strong>{}</strong>" if (row, place) in table.marks else "{}").format(text)

    rows = [Row([cell(number, place, text) for place, text in enumerate(row.cells)]) for number, row in enumerate(table.rows)]
    return replace(table, rows=rows)


def _ladder(climbs: Sequence[Climb]) -> list[Section]:
    lead = "Every dot is a checkpoint, its line the 95% interval of the number by itself. Checkpoints of one run answer the same items."
    return [Section("ladder", "Training", "Over training", PictureFacts(lead, [figure(picture) for picture in curves(climbs)]), "")]


def verdict_facts(comparison: Comparison) -> VerdictFacts:
    """Return the verdicts of each model: what is real first, the largest part of the page's use."""
    found: list[Verdicts] = []
    for name in comparison.names:
        if name == comparison.baseline:
            continue
        pairs = [(match, item) for match in compared(comparison) for item in match.differences if item.name == name]
        said = [(verdict_line(comparison, match, item), item.verdict) for match, item in pairs]
        found.append(
            Verdicts(
                summary(comparison, name),
                [text for text, verdict in said if verdict != APART],
                [text for text, verdict in said if verdict == APART],
            )
        )
    return VerdictFacts(found, HOW_TO_READ)


def _opening(comparison: Comparison | None) -> list[str]:
    if comparison is None:
        return []
    about = [f"{name}: {text}" for name, text in comparison.about.items() if text]
    return [f"baseline: {comparison.baseline}", plural(comparison.num_tests, "comparison"), f"{comparison.samples:,} resamples", *about]
