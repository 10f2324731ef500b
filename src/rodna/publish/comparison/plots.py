"""Pictures of a comparison: differences (a forest plot), bars with intervals, curves over training.

Each picture is drawn once, as `Picture`, and put into a page or into a file of its own. Rows of a page are as high as their names need;
rows of a file have one line.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from rodna.evals.compare.ladder import Climb
from rodna.evals.compare.types import Comparison, Match
from rodna.publish.charts import Axis, Bar, Series, axis, bar_strip, nice_ticks, plot
from rodna.publish.comparison.words import APART, arrow, is_share, signed, unit_of, with_interval
from rodna.publish.facts.results import words_of
from rodna.publish.facts.view import MINUS

STYLES = ("first", "second", "third", "faint")
WIDTH, NAME_WIDTH, VALUE_WIDTH, ROW_HEIGHT, MARGIN = 900, 300, 190, 30, 24


@dataclass(frozen=True)
class RowOf:
    """One row of a picture: a name, a strip with something drawn in it, a value."""

    name: str
    note: str
    style: str
    strip: Markup
    value: str


@dataclass(frozen=True)
class Rows:
    """A picture made of rows over one axis.

    Attributes:
        title: above it.
        unit: what the axis measures, and which way is better.
        rows: in order.
        axis: whose ticks stand below; None for bars, which tell their values.
        kind: "bars" or "forest".
        keys: style and text of the legend.
    """

    title: str
    unit: str
    rows: Sequence[RowOf]
    axis: Axis | None
    kind: str
    keys: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Curves:
    """A picture of lines over one pair of axes."""

    title: str
    unit: str
    svg: Markup
    x_label: str
    keys: Sequence[tuple[str, str]]


Picture = Rows | Curves
MOST_BARS = 24


def forests(comparison: Comparison) -> list[Rows]:
    """Return the differences from the baseline, a picture for each unit and direction: what shares an axis can be read together."""
    found: dict[tuple[str, str], list[Match]] = {}
    for match in comparison.matches:
        if match.differences:
            found.setdefault((unit_of(match), match.direction), []).append(match)
    return [_forest(comparison, unit, matches) for (unit, _), matches in found.items()]


def _forest(comparison: Comparison, unit: str, matches: Sequence[Match]) -> Rows:
    factor = 100 if is_share(matches[0]) else 1
    ends = [factor * end for match in matches for item in match.differences for end in (item.low, item.high)]
    x_axis = _snug([0, *ends])
    several = len(comparison.names) > 2
    metrics = {match.task: {other.metric for other in matches if other.task == match.task} for match in matches}
    rows: list[RowOf] = []
    for match in matches:
        for item in match.differences:
            style = {"better": "first", "worse": "second", "higher": "third", "lower": "third"}.get(item.verdict, "open")
            strip = _whisker(x_axis, factor * item.value, factor * item.low, factor * item.high, style)
            measure = (
                words_of(match.metric).lower() if len(metrics[match.task]) > 1 or len(set(match.metric for match in matches)) > 1 else ""
            )
            note = ", ".join(part for part in (measure, item.name if several else "", _verdict(item.verdict)) if part)
            rows.append(RowOf(match.task, note, style, strip, f"{signed(match, item.value)}"))
    others = [name for name in comparison.names if name != comparison.baseline]
    title = f"{others[0] if len(others) == 1 else 'Others'} less {comparison.baseline}"
    side = {"higher": "right of the line is better", "lower": "left of the line is better"}.get(
        matches[0].direction, "neither side is better"
    )
    shown = {row.style for row in rows}
    names = {"first": "better", "second": "worse", "third": "higher or lower", "open": APART}
    keys = [(style, text) for style, text in names.items() if style in shown]
    return Rows(title, f"{unit}; {side}", rows, x_axis, "forest", keys)


def _snug(values: Sequence[float]) -> Axis:
    """Return an axis that ends a little beyond the values, with round ticks inside."""
    low, high = min(values), max(values)
    room = 0.04 * (high - low) or 0.5
    ticks = [tick for tick in nice_ticks(low, high, count=6) if low - room <= tick <= high + room]
    return Axis(low - room, high + room, ticks, lambda value: f"{value:g}".replace("-", MINUS))


def _verdict(verdict: str) -> str:
    return "" if verdict == APART else verdict


def _whisker(x_axis: Axis, value: float, low: float, high: float, style: str) -> Markup:
    """Draw a dot with its interval beside a line at zero."""
    at, left, right, zero = (x_axis.percent(number) for number in (value, low, high, 0.0))
    ends = Markup("").join(
        Markup('<line class="whisker {1}" x1="{0}%" x2="{0}%" y1="30%" y2="70%"/>').format(x, style) for x in (left, right)
    )
    return Markup(
        '<line class="zero" x1="{0}%" x2="{0}%" y1="-45%" y2="145%"/><line class="whisker {4}" x1="{1}%" x2="{2}%" y1="50%" y2="50%"/>{5}'
        '<circle class="dot {4}" cx="{3}%" cy="50%" r="4.5"/>'
    ).format(zero, left, right, at, style, ends)


def bars(comparison: Comparison) -> list[Rows]:
    """Return the models' numbers side by side, a picture for each task and metric that was compared.

    Where they are more than `MOST_BARS`, parts of tasks are left out: the differences and the tables have them.
    """
    found: list[Rows] = []
    for match in _fewest_parts([match for match in comparison.matches if match.differences]):
        longest = max(max(item.value, item.high) for item in match.estimates.values()) or 1.0
        longest = min(longest, 1.0) if is_share(match) else longest
        rows = [
            RowOf(
                name, f"mean of {item.seeds} seeds" if item.seeds > 1 else "", "strong" if name == comparison.baseline else "",
                bar_strip(Bar(name, item.value, "", item.low, min(item.high, longest)), longest), with_interval(match, item),
            )
            for name, item in match.estimates.items()
        ]  # fmt: skip
        found.append(
            Rows(f"{match.task}, {words_of(match.metric).lower()}", f"{match.unit}; {arrow(match)}; n = {match.n:,}", rows, None, "bars")
        )
    return found


def _fewest_parts(matches: Sequence[Match]) -> list[Match]:
    """Return all, or those that lie least deep in their tasks, as many as may be drawn."""
    depths = sorted(match.task.count("/") for match in matches)
    deepest = max(depths, default=0) if len(depths) <= MOST_BARS else max(depths[0], depths[MOST_BARS] - 1)
    return [match for match in matches if match.task.count("/") <= deepest]


def curves(climbs: Sequence[Climb]) -> list[Curves]:
    """Return a picture of each number over the steps of training, with the interval at every checkpoint."""
    return [_curve(climb) for climb in climbs]


def _curve(climb: Climb) -> Curves:
    factor = 100 if climb.unit.startswith("share ") else 1
    rungs = [rung for line in climb.lines.values() for rung in line]
    chance = [] if climb.chance is None else [factor * climb.chance]
    x_axis = axis([0, *(rung.step for rung in rungs)], lambda value: f"{value:,.0f}", tight=True)
    unit = "percent" if factor == 100 else climb.unit
    y_axis = axis([*chance, *(factor * end for rung in rungs for end in (rung.low, rung.high))], lambda value: f"{value:g}")
    styles = [f"{style}{dash}" for dash in ("", " dashed", " dotted") for style in STYLES]
    series = [
        Series(name, style, [(rung.step, factor * rung.value) for rung in line], marks=True)
        for (name, line), style in zip(climb.lines.items(), itertools.cycle(styles), strict=False)
    ]
    if chance:
        series.insert(0, Series("chance", "faint dotted", [(0, chance[0]), (max(rung.step for rung in rungs), chance[0])]))
    said = "; ".join(f"{line.name} from {line.points[0][1]:.3g} to {line.points[-1][1]:.3g}" for line in series)
    title = f"{climb.task}, {words_of(climb.metric).lower()}"
    svg = plot(series, label=f"{title}: {said}", x_axis=x_axis, y_axis=y_axis, x_label="steps", y_label=unit)
    whiskers = Markup("").join(
        Markup('<line class="whisker {0}" x1="{1}%" x2="{1}%" y1="{2}%" y2="{3}%"/>').format(
            line.style, x_axis.percent(rung.step), 100 - y_axis.percent(factor * rung.low), 100 - y_axis.percent(factor * rung.high)
        )
        for line, rungs in zip([line for line in series if line.name != "chance"], climb.lines.values(), strict=True)
        for rung in rungs
        if rung.high > rung.low
    )
    side = {"lower": "lower is better", "higher": "higher is better"}.get(climb.direction, "neither way is better")
    # The whiskers go inside the picture, over the lines.
    return Curves(
        title,
        f"{unit}; {side}",
        svg[: -len("</svg>")] + whiskers + Markup("</svg>"),
        "training steps",
        [(line.style, line.name) for line in series],
    )


def figure(picture: Picture) -> Markup:
    """Return a picture for a page."""
    keys = picture.keys if len(picture.keys) > 1 or isinstance(picture, Rows) else ()
    legend = Markup("").join(Markup('<span class="key {}"><bdi>{}</bdi></span>').format(style, text) for style, text in keys)
    caption = Markup("<figcaption><span><strong><bdi>{}</bdi></strong>, {}</span>{}</figcaption>").format(
        breakable(picture.title), picture.unit, legend
    )
    if isinstance(picture, Curves):
        return Markup('<figure class="chart">{}<div class="frame">{}</div><p class="axis-name">{}</p></figure>').format(
            caption, picture.svg, picture.x_label
        )
    rows = Markup("").join(
        Markup(
            '<li class="row {}"><span class="name"><bdi>{}</bdi>{}</span>'
            '<svg class="strip" aria-hidden="true" width="100%" height="18" overflow="visible">{}</svg><span class="value">{}</span></li>'
        ).format(row.style, breakable(row.name), Markup("<small>{}</small>").format(row.note) if row.note else "", row.strip, row.value)
        for row in picture.rows
    )
    if picture.axis is not None:
        rows += Markup(
            '<li class="row scale" aria-hidden="true"><span class="name"></span>'
            '<svg class="strip" width="100%" height="18" overflow="visible">{}</svg><span class="value"></span></li>'
        ).format(_ticks(picture.axis))
    return Markup('<figure class="chart rows">{}<ul class="bars {}">{}</ul></figure>').format(caption, picture.kind, rows)


def _ticks(x_axis: Axis) -> Markup:
    return Markup("").join(
        Markup('<text class="tick{}" x="{}%" y="13" text-anchor="{}">{}</text>').format(
            " odd" if number % 2 else "", x_axis.percent(tick), "middle", x_axis.write(tick)
        )
        for number, tick in enumerate(x_axis.ticks)
    )


def breakable(name: str) -> Markup:
    """Return a name that may go on in the next line after a slash or an underscore."""
    return Markup(re.sub(r"([/_])", r"\1<wbr>", str(Markup.escape(name))))


def slug(text: str) -> str:
    """Return a file's name made of a title."""
    return re.sub(r"[^\w.-]+", "-", text).strip("-.")[:80] or "picture"
