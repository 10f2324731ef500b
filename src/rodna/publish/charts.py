"""Charts as inline SVG, drawn to be read on any screen without a script.

Positions are percentages of the plot, and lengths of text are CSS pixels: a chart fills whatever width it is given while its labels
keep their size. Curves lie in a nested `<svg>` that stretches, with strokes that do not. Colours are classes of the style sheet, so
that one drawing serves light and dark.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from markupsafe import Markup

Point = tuple[float, float]


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        name: for the legend and the points' tooltips.
        style: a class of the style sheet: "first", "second" or "third".
        points: (x, y), x rising.
        marks: draw a dot with a tooltip at every point.
    """

    name: str
    style: str
    points: Sequence[Point]
    marks: bool = False


@dataclass(frozen=True)
class Axis:
    """A range of values and how its ticks are written."""

    low: float
    high: float
    ticks: Sequence[float]
    write: Callable[[float], str]
    scale: Literal["linear", "log"] = "linear"

    def percent(self, value: float) -> float:
        """Return where a value lies, 0 at the low end and 100 at the high end."""
        low, high = self.low, self.high
        if self.scale == "log":
            low, high, value = math.log(low), math.log(high), math.log(max(value, self.low))
        return round(100 * (value - low) / (high - low), 2) if high > low else 50.0


def nice_ticks(low: float, high: float, *, count: int = 5) -> list[float]:
    """Return about `count` round values that cover [low, high]; the first and the last lie on or outside its ends."""
    if not high > low:
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / max(count - 1, 1)
    size = 10.0 ** math.floor(math.log10(rough))
    step = next((size * factor for factor in (1, 2, 2.5, 5, 10) if size * factor >= rough * 0.999), size * 10)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * index, 12) for index in range(first, last + 1)]


def axis(values: Sequence[float], write: Callable[[float], str], *, count: int = 5, from_zero: bool = False, tight: bool = False) -> Axis:
    """Return a linear axis over finite values.

    Args:
        values: what must fit.
        write: tick -> label.
        count: ticks wanted, about.
        from_zero: start at 0.
        tight: end at the last value instead of the tick after it.
    """
    low, high = (0.0 if from_zero else min(values)), max(values)
    ticks = nice_ticks(low, high, count=count)
    if tight:
        low, high = low, high if high > low else low + 1
        return Axis(low, high, [tick for tick in ticks if low <= tick <= high], write)
    return Axis(ticks[0], ticks[-1], ticks, write)


def log_axis(values: Sequence[float], write: Callable[[float], str]) -> Axis:
    """Return a logarithmic axis over positive values, with ticks at 1, 2 and 5 times the powers of ten, or fewer on a long one."""
    low, high = min(values), max(values)
    low, high = (low, high) if high > low else (low / 2, high * 2)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1, 2, 5) if math.log10(high / low) < LONG_AXIS else (1,)
    ticks = [factor * 10.0**power for power in powers for factor in factors]
    return Axis(low, high, [tick for tick in ticks if low <= tick <= high], write, "log")


LONG_AXIS = 3.0
"""Powers of ten from which on a logarithmic axis has ticks at powers of ten alone."""


def thin(points: Sequence[Point], limit: int) -> list[Point]:
    """Return at most `limit` points: the means of equal runs, the last point kept as it is."""
    if len(points) <= limit:
        return list(points)
    size = math.ceil((len(points) - 1) / (limit - 1))
    runs = [points[start : start + size] for start in range(0, len(points) - 1, size)]
    means = [(sum(x for x, _ in run) / len(run), sum(y for _, y in run) / len(run)) for run in runs]
    return [*means, points[-1]]


def finite(points: Sequence[Point]) -> list[Point]:
    """Return the points that can be drawn."""
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def plot(series: Sequence[Series], *, label: str, x_axis: Axis, y_axis: Axis, x_label: str, y_label: str) -> Markup:
    """Draw lines over one pair of axes: the picture alone, as wide and high as what it is put into."""
    parts = [_grid(x_axis, y_axis)]
    for line in series:
        path = " ".join(f"{_num(x_axis.percent(x) * 10)},{_num(1000 - y_axis.percent(y) * 10)}" for x, y in line.points)
        parts.append(
            Markup('<svg x="0" y="0" width="100%" height="100%" viewBox="0 0 1000 1000" preserveAspectRatio="none" overflow="visible">')
            + Markup('<polyline class="line {}" points="{}"/></svg>').format(line.style, path)
        )
        for x, y in line.points if line.marks else ():
            tip = f"{line.name}: {y_axis.write(y)} {y_label} at {x_axis.write(x)} {x_label}"
            parts.append(
                Markup('<circle class="mark {}" cx="{}%" cy="{}%" r="3"><title>{}</title></circle>').format(
                    line.style, x_axis.percent(x), round(100 - y_axis.percent(y), 2), tip
                )
            )
    return Markup('<svg class="plot" role="img" aria-label="{}" width="100%" height="100%">{}</svg>').format(label, Markup("").join(parts))


def line_chart(series: Sequence[Series], *, title: str, label: str, x_axis: Axis, y_axis: Axis, x_label: str, y_label: str) -> Markup:
    """Draw lines over one pair of axes, with a legend where there is more than one line."""
    svg = plot(series, label=label, x_axis=x_axis, y_axis=y_axis, x_label=x_label, y_label=y_label)
    legend = Markup("").join(Markup('<span class="key {}">{}</span>').format(line.style, line.name) for line in series)
    return Markup(
        '<figure class="chart"><figcaption><span><strong>{}</strong>, {}</span>{}</figcaption>'
        '<div class="frame">{}</div><p class="axis-name">{}</p></figure>'
    ).format(title, y_label, legend if len(series) > 1 else "", svg, x_label)


def _grid(x_axis: Axis, y_axis: Axis) -> Markup:
    lines = []
    for tick in y_axis.ticks:
        y = round(100 - y_axis.percent(tick), 2)
        lines.append(Markup('<line class="grid" x1="0" x2="100%" y1="{0}%" y2="{0}%"/>').format(y))
        lines.append(Markup('<text class="tick" x="0" y="{}%" dx="-10" dy="4" text-anchor="end">{}</text>').format(y, y_axis.write(tick)))
    for index, tick in enumerate(x_axis.ticks):
        x = x_axis.percent(tick)
        anchor = "start" if x < 3 else "end" if x > 97 else "middle"
        crowded = " odd" if index % 2 else ""
        lines.append(
            Markup('<text class="tick{}" x="{}%" y="100%" dy="20" text-anchor="{}">{}</text>').format(
                crowded, x, anchor, x_axis.write(tick)
            )
        )
    return Markup("").join(lines)


@dataclass(frozen=True)
class Bar:
    """One bar of a bar list.

    Attributes:
        label: what it stands for.
        value: its length.
        text: the value as people read it.
        low: lower end of the interval; equal to `value` where there is none.
        high: upper end of the interval.
        strong: the bar that this chart is about.
        note: small text under the label.
    """

    label: str
    value: float
    text: str
    low: float
    high: float
    strong: bool = False
    note: str = ""


def bar_list(bars: Sequence[Bar], *, label: str) -> Markup:
    """Draw bars from zero, each in its own row with its label and value; a thin line shows the interval."""
    longest = max((max(bar.value, bar.high) for bar in bars), default=0.0) or 1.0
    rows = []
    for bar in bars:
        note = Markup("<small>{}</small>").format(bar.note) if bar.note else ""
        rows.append(
            Markup(
                '<li class="row{}"><span class="name"><bdi>{}</bdi>{}</span>'
                '<svg class="strip" aria-hidden="true" width="100%" height="18">{}</svg><span class="value">{}</span></li>'
            ).format(" strong" if bar.strong else "", bar.label, note, bar_strip(bar, longest), bar.text)
        )
    return Markup('<ul class="bars" aria-label="{}">{}</ul>').format(label, Markup("").join(rows))


def bar_strip(bar: Bar, longest: float) -> Markup:
    """Draw one bar and its interval, as the inside of a row's picture; `longest` is the length that fills it."""
    width = _num(100 * max(bar.value, 0) / longest)
    parts = Markup('<rect class="track" width="100%" height="100%" rx="3"/><rect class="bar" width="{}%" height="100%" rx="3"/>').format(
        width
    )
    if bar.high > bar.low:
        low, high = _num(100 * max(bar.low, 0) / longest), _num(100 * bar.high / longest)
        parts += Markup('<line class="interval" x1="{0}%" x2="{1}%" y1="50%" y2="50%"/>').format(low, high)
        parts += Markup("").join(Markup('<line class="interval" x1="{0}%" x2="{0}%" y1="22%" y2="78%"/>').format(x) for x in (low, high))
    return parts


def histogram(
    bins: Sequence[tuple[float, float, int]],
    *,
    label: str,
    write: Callable[[float], str],
    x_label: str,
    y_label: str,
    title: str = "",
    bounds: Sequence[float] = (),
) -> Markup:
    """Draw counts over bins of equal drawn width; a bin that holds anything at all can be seen.

    Args:
        bins: (low edge, high edge, count), rising.
        label: what the picture shows, for those who do not see it.
        write: an edge -> its label.
        x_label: what the edges measure.
        y_label: what is counted.
        title: above the picture; without one, what is counted.
        bounds: values on the axis to draw a line at; between two of them, a band.
    """
    tallest = axis([0, *(count for _, _, count in bins)], lambda value: f"{value:,.0f}", count=4, from_zero=True)
    parts = [_grid(Axis(0, 1, [], write), tallest), _bounds([_place(bins, bound) for bound in bounds], [write(bound) for bound in bounds])]
    width = 100 / len(bins)
    every = max(1, math.ceil(len(bins) / 6))
    for index, (low, high, count) in enumerate(bins):
        height = max(tallest.percent(count), _LEAST_HEIGHT) if count else 0
        parts.append(
            Markup('<rect class="bin" x="{}%" y="{}%" width="{}%" height="{}%"><title>{}–{} {}: {:,} {}</title></rect>').format(
                _num(index * width + width * 0.06),
                round(100 - height, 2),
                _num(width * 0.88),
                height,
                write(low),
                write(high),
                x_label,
                count,
                y_label,
            )
        )
        if index % every == 0:
            crowded = " odd" if (index // every) % 2 else ""
            parts.append(
                Markup('<text class="tick{}" x="{}%" y="100%" dy="20" text-anchor="{}">{}</text>').format(
                    crowded, _num(index * width), "middle" if index else "start", write(low)
                )
            )
    svg = Markup('<svg class="plot" role="img" aria-label="{}" width="100%" height="100%">{}</svg>').format(label, Markup("").join(parts))
    return Markup(
        '<figure class="chart short"><figcaption>{}</figcaption><div class="frame">{}</div><p class="axis-name">{}</p></figure>'
    ).format(
        Markup("<span><strong>{}</strong>, {}</span>").format(title, y_label) if title else Markup("<strong>{}</strong>").format(y_label),
        svg,
        x_label,
    )


def _place(bins: Sequence[tuple[float, float, int]], value: float) -> float:
    """Return where a value lies among bins of equal drawn width, in percent."""
    for index, (low, high, _) in enumerate(bins):
        if value <= high:
            return round(100 * (index + min(max((value - low) / (high - low), 0), 1)) / len(bins), 2)
    return 100.0


def _bounds(places: Sequence[float], names: Sequence[str]) -> Markup:
    """Draw a line at each place, and a band between the first and the last."""
    parts = Markup("")
    if len(places) > 1:
        parts += Markup('<rect class="band" x="{}%" y="0" width="{}%" height="100%"/>').format(places[0], _num(places[-1] - places[0]))
    for place, name in zip(places, names, strict=True):
        parts += Markup('<line class="bound" x1="{0}%" x2="{0}%" y1="0" y2="100%"><title>{1}</title></line>').format(place, name)
    return parts


_LEAST_HEIGHT = 1.5
"""In percent: what a bin of one document among many is drawn as."""


def _num(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
