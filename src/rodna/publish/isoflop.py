"""The picture of a plan: expected loss against size on several budgets of arithmetic, and the size that was chosen."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from rodna.core.text import human_count, human_seconds
from rodna.publish.charts import Axis, Series, axis, log_axis, plot
from rodna.publish.facts.cost import scientific

WIDTH, HEIGHT = 760, 500
TITLE, X_LABEL = "Which size is best", "parameters"
MOST_ABOVE = 1.35
"""Losses above this many times the lowest are cut off, unless a budget's best is: the valleys are what the picture is about."""
STYLE = """
svg { --page: #fcfbf8; --ink: #1f2328; --soft: #5c636b; --grid: #e8e4da; --first: #0b6e69; --second: #b4500e; --bar: #a9b4b8;
  font-family: ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", Arial, sans-serif; }
@media (prefers-color-scheme: dark) { svg { --page: #14171a; --ink: #e7e5df; --soft: #a3a9ae; --grid: #282d32; --first: #63c5ba;
  --second: #e9a468; --bar: #5b666d; } }
.page { fill: var(--page); } .title { fill: var(--ink); font-size: 15px; font-weight: 600; } .note { fill: var(--soft); font-size: 12px; }
.grid { stroke: var(--grid); } .tick { fill: var(--soft); font-size: 12px; }
.callout { fill: var(--ink); font-size: 12px; font-weight: 600;
  paint-order: stroke; stroke: var(--page); stroke-width: 4; }
.line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; vector-effect: non-scaling-stroke; }
.plot { overflow: visible; } .line.dotted { stroke-dasharray: 1 4; }
.line.dashed { stroke-dasharray: 5 4; } .mark { fill: currentColor; stroke: var(--page); stroke-width: 1.5; }
.ring { fill: none; stroke: currentColor; stroke-width: 2; }
.first { color: var(--first); } .second { color: var(--second); } .faint { color: var(--bar); }
"""


def isoflop_figure(curves: Mapping[str, Any], *, unit: str) -> Markup | None:
    """Return the picture for a page, None where there are no curves.

    Args:
        curves: as a plan keeps them: `budgets`, `fresh`, `chosen`, `flops`.
        unit: of the loss.
    """
    drawn = _draw(curves, unit=unit)
    if drawn is None:
        return None
    svg, keys = drawn
    legend = Markup("").join(Markup('<span class="key {}">{}</span>').format(style, text) for style, text in keys)
    return Markup(
        '<figure class="chart"><figcaption><span><strong>{}</strong>, {}</span>{}</figcaption>'
        '<div class="frame">{}</div><p class="axis-name">{}</p></figure>'
    ).format(TITLE, f"expected {unit}", legend, svg, X_LABEL)


def isoflop_svg(curves: Mapping[str, Any], *, unit: str) -> str:
    """Return the picture as a file of its own, empty where there are no curves.

    Args:
        curves: as a plan keeps them.
        unit: of the loss.
    """
    drawn = _draw(curves, unit=unit)
    if drawn is None:
        return ""
    svg, keys = drawn
    legend = Markup("").join(
        Markup('<line class="line {0}" x1="24" x2="44" y1="{1}" y2="{1}"/><text class="note" x="52" y="{2}">{3}</text>').format(
            style, 46 + 18 * row, 50 + 18 * row, text
        )
        for row, (style, text) in enumerate(keys)
    )
    top = 64 + 18 * len(keys)
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {0} {1}" width="{0}" height="{1}"><style>{2}</style>'
        '<rect class="page" width="100%" height="100%"/><text class="title" x="24" y="28">{3}, expected {4}</text>{5}'
        '<svg x="68" y="{6}" width="{7}" height="{8}" overflow="visible">{9}</svg>'
        '<text class="note" x="{10}" y="{11}" text-anchor="end">{12}</text></svg>\n'
    ).format(WIDTH, HEIGHT, Markup(STYLE), TITLE, unit, legend, top, WIDTH - 100, HEIGHT - top - 56, svg, WIDTH - 32, HEIGHT - 12, X_LABEL)


def budget_rows(curves: Mapping[str, Any], *, train_tokens: float) -> list[list[str]]:
    """Return a row for each budget: FLOPs, the time it takes, best size, tokens, passes, expected loss, and whether the text ended first.

    Args:
        curves: as a plan keeps them.
        train_tokens: of the text.
    """
    found: list[list[str]] = []
    fixed, seconds = curves.get("fixed_seconds", 0.0), curves.get("seconds")
    for curve in curves.get("budgets", ()):
        best, share = curve["best"], curve["flops"] / curves["flops"]
        time = human_seconds(fixed + (seconds - fixed) * share) if seconds else ""
        found.append([
            scientific(curve["flops"]), time, human_count(best["parameters"]), human_count(best["tokens"]),
            f"{best['tokens'] / train_tokens:.3g}", f"{best['loss']:.3f}", "yes" if best["limited"] else "no",
        ])  # fmt: skip
    return found


def _draw(curves: Mapping[str, Any], *, unit: str) -> tuple[Markup, list[tuple[str, str]]] | None:
    budgets, chosen, fresh = curves.get("budgets") or [], curves.get("chosen"), curves.get("fresh")
    points = [point for curve in budgets for point in curve["points"]]
    if len({point["parameters"] for point in points}) < 2:
        return None
    ceiling = max(MOST_ABOVE * min(point["loss"] for point in points), *(1.03 * curve["best"]["loss"] for curve in budgets))
    shown = [point for point in points if point["loss"] <= ceiling]
    losses = [point["loss"] for point in shown] + ([chosen["loss"]] if chosen else [])
    if fresh:
        losses.append(fresh["best"]["loss"])
    x_axis = log_axis([point["parameters"] for point in points], human_count)
    y_axis = axis(losses, lambda value: f"{value:g}")
    series = [line for curve in budgets for line in _lines(curve, ceiling, main=curve["flops"] == curves["flops"])]
    if fresh:
        series.insert(0, Series("fresh text", "second dashed", _points(fresh["points"], ceiling)))
    series = [line for line in series if len(line.points) > 1]
    label = f"{TITLE}: " + "; ".join(f"{scientific(curve['flops'])} FLOPs, {human_count(curve['best']['parameters'])}" for curve in budgets)
    svg = plot(series, label=label, x_axis=x_axis, y_axis=y_axis, x_label=X_LABEL, y_label=unit)
    over = Markup("").join(_mark(curve, x_axis, y_axis, unit, main=curve["flops"] == curves["flops"]) for curve in budgets)
    over += _chosen(chosen, x_axis, y_axis) if chosen else Markup("")
    # The marks go inside the picture, over the lines.
    return svg[: -len("</svg>")] + over + Markup("</svg>"), _keys(budgets, curves["flops"], has_fresh=bool(fresh))


def _lines(curve: Mapping[str, Any], ceiling: float, *, main: bool) -> list[Series]:
    """Return a budget's line: dashed where the text ends before the budget, dotted where models are too large for the text."""
    color, points = "first" if main else "faint", curve["points"]
    name = f"{scientific(curve['flops'])} FLOPs"
    pieces: list[tuple[str, list[Mapping[str, Any]]]] = []
    for left, right in itertools.pairwise(points):
        kind = " dotted" if right["too_large"] else " dashed" if left["limited"] else ""
        if pieces and pieces[-1][0] == color + kind:
            pieces[-1][1].append(right)
        else:
            pieces.append((color + kind, [left, right]))
    return [Series(name, style, _points(piece, ceiling)) for style, piece in pieces]


def _points(points: Sequence[Mapping[str, Any]], ceiling: float) -> list[tuple[float, float]]:
    found = [(point["parameters"], point["loss"]) for point in points]
    return [(x, y) for x, y in found if y <= ceiling and math.isfinite(y)]


def _mark(curve: Mapping[str, Any], x_axis: Axis, y_axis: Axis, unit: str, *, main: bool) -> Markup:
    best = curve["best"]
    size = f"{human_count(best['parameters'])} parameters, {human_count(best['tokens'])} tokens"
    tip = f"{scientific(curve['flops'])} FLOPs: {size}, {best['loss']:.3f}"
    return Markup('<circle class="mark {}" cx="{}%" cy="{}%" r="4"><title>{} {}</title></circle>').format(
        "first" if main else "faint", x_axis.percent(best["parameters"]), round(100 - y_axis.percent(best["loss"]), 2), tip, unit
    )


def _chosen(chosen: Mapping[str, Any], x_axis: Axis, y_axis: Axis) -> Markup:
    x, y = x_axis.percent(chosen["parameters"]), round(100 - y_axis.percent(chosen["loss"]), 2)
    text = f"chosen: {human_count(chosen['parameters'])}, {human_count(chosen['tokens'])} tokens"
    side, shift = ("start", 12) if x < 60 else ("end", -12)
    return Markup(
        '<circle class="ring first" cx="{0}%" cy="{1}%" r="8"/>'
        '<text class="callout" x="{0}%" y="{1}%" dx="{2}" dy="-10" text-anchor="{3}">{4}</text>'
    ).format(x, y, shift, side, text)


def _keys(budgets: Sequence[Mapping[str, Any]], flops: float, *, has_fresh: bool) -> list[tuple[str, str]]:
    others = ", ".join(f"{curve['flops'] / flops:.2g}" for curve in budgets if curve["flops"] != flops)
    keys = [("first", f"{scientific(flops)} FLOPs, the budget; a dot marks the best size")]
    if others:
        keys.append(("faint", f"{others} times as many"))
    if any(point["limited"] for curve in budgets for point in curve["points"]):
        keys.append(("first dashed", "here the text ends first: more passes would not pay"))
    if any(point["too_large"] for curve in budgets for point in curve["points"]):
        keys.append(("first dotted", "models so large would learn this text by heart"))
    return [*keys, ("second dashed", "the same FLOPs, were there fresh text without end")] if has_fresh else keys
