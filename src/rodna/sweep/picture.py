"""A sweep as a picture: what each setting did to the value. A file of its own, that any browser shows."""

from collections.abc import Callable, Sequence
from typing import Any

from markupsafe import Markup

from rodna.publish.charts import Axis, axis
from rodna.sweep.search import Result, ranked
from rodna.sweep.space import Range, Space

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 40, 52
STYLE = """
svg { color-scheme: light dark; background: light-dark(#fff, #16181c); font: 13px system-ui, sans-serif; fill: light-dark(#222, #ddd) }
.grid { stroke: light-dark(#e3e3e3, #333); stroke-width: 1 } .title { font-weight: 600 }
.dot { fill: #4c78a8; fill-opacity: .75 } .short { fill: #9aa5b1; fill-opacity: .6 } 
.best { fill: none; stroke: #d1495b; stroke-width: 2.5 }
"""


def draw(results: Sequence[Result], space: Space, settings_of: Callable[[Result, str], Any]) -> str:
    """Return an SVG with a panel for each setting: its values along the bottom, bits per byte upwards, the best ringed.

    Dots are the trials at their last rung; those that did not reach the last one are grey, for their values are of shorter training.

    Args:
        results: of the sweep; failed trials are left out.
        space: the settings searched.
        settings_of: (result, key) -> value, for trial 0 too.
    """
    shown = [result for result in ranked(results) if result.bits_per_byte is not None]
    panels = [
        Markup('<svg x="{}" y="{}" width="{}" height="{}">{}</svg>').format(
            (index % 2) * WIDTH, (index // 2) * HEIGHT, WIDTH, HEIGHT, _panel(key, shown, dim, settings_of)
        )
        for index, (key, dim) in enumerate(space.items())
    ]
    width, height = WIDTH * min(2, len(panels)), HEIGHT * ((len(panels) + 1) // 2)
    return str(
        Markup('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}" height="{1}" role="img" aria-label="{2}">'
               "<style>{3}</style>{4}</svg>\n").format(width, height, "Bits per byte of the validation text against each setting",
                                                       Markup(STYLE), Markup("").join(panels))
    )  # fmt: skip


def _panel(key: str, shown: Sequence[Result], dim: Any, settings_of: Callable[[Result, str], Any]) -> Markup:
    values = [settings_of(result, key) for result in shown]
    names = [] if isinstance(dim, Range) else _names(values)
    x_axis = _range_axis(dim, values) if isinstance(dim, Range) else _names_axis(names)
    y_axis = axis([result.bits_per_byte or 0.0 for result in shown], lambda value: f"{value:.3f}")
    parts = [_frame(x_axis, y_axis), Markup('<text class="title" x="{}" y="22">{}</text>').format(LEFT, key)]
    for result, value in reversed(list(zip(shown, values, strict=True))):
        x = x_axis.percent(names.index(str(value)) if names else float(value))
        point = _point(x, y_axis.percent(result.bits_per_byte or 0.0))
        style = "dot" if result.rung == shown[0].rung else "dot short"
        tip = f"trial {result.trial}: {value}, {result.bits_per_byte:.4f} bits per byte"
        parts.append(Markup('<circle class="{}" cx="{}" cy="{}" r="5"><title>{}</title></circle>').format(style, *point, tip))
        if result is shown[0]:
            parts.append(Markup('<circle class="best" cx="{}" cy="{}" r="9"/>').format(*point))
    return Markup("").join(parts)


def _names(values: Sequence[Any]) -> list[str]:
    """Return each value once, numbers in their order, anything else in that of the alphabet."""
    different = {str(value): value for value in values}
    if all(isinstance(value, int | float) for value in different.values()):
        return sorted(different, key=lambda name: different[name])
    return sorted(different)


def _names_axis(names: Sequence[str]) -> Axis:
    return Axis(-0.5, len(names) - 0.5, list(range(len(names))), lambda place: names[round(place)])


def _range_axis(dim: Range, values: Sequence[Any]) -> Axis:
    """Return an axis over a range, and over the project's own value where that lies outside it."""
    numbers = [float(value) for value in values]
    low, high = min(dim.low, *numbers), max(dim.high, *numbers)
    if dim.scale == "log" and low > 0:
        return Axis(low, high, _log_ticks(low, high), lambda value: f"{value:.2g}", "log")
    return axis([low, high], lambda value: f"{value:g}", tight=True)


def _log_ticks(low: float, high: float) -> list[float]:
    return [low * (high / low) ** (index / 4) for index in range(5)]


def _point(x_percent: float, y_percent: float) -> tuple[float, float]:
    """Return pixels within a panel."""
    x = LEFT + x_percent / 100 * (WIDTH - LEFT - RIGHT)
    return round(x, 1), round(HEIGHT - BOTTOM - y_percent / 100 * (HEIGHT - TOP - BOTTOM), 1)


def _frame(x_axis: Axis, y_axis: Axis) -> Markup:
    parts = []
    for tick in y_axis.ticks:
        _, y = _point(0, y_axis.percent(tick))
        parts.append(Markup('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>').format(LEFT, WIDTH - RIGHT, y, y))
        parts.append(Markup('<text x="{}" y="{}" text-anchor="end">{}</text>').format(LEFT - 8, y + 4, y_axis.write(tick)))
    for tick in x_axis.ticks:
        x, _ = _point(x_axis.percent(tick), 0)
        parts.append(Markup('<text x="{}" y="{}" text-anchor="middle">{}</text>').format(x, HEIGHT - BOTTOM + 20, x_axis.write(tick)))
    return Markup("").join(parts)
