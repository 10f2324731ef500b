import itertools
import math
import re
import xml.etree.ElementTree as ElementTree

import pytest

from rodna.publish.charts import Bar, Series, axis, bar_list, finite, histogram, line_chart, nice_ticks, thin


def percentages(svg: str, attribute: str, name: str) -> list[float]:
    """Return an attribute of all elements of a class, as percentages."""
    elements = re.findall(rf"<\w+ [^>]*{name}[^>]*>", svg)
    return [float(re.search(rf' {attribute}="([\d.]+)%"', element)[1]) for element in elements]


@pytest.mark.parametrize(("low", "high"), [(0, 1), (1.62, 4.9), (0, 9_666_560), (-3, 2e-4), (5, 5), (1e-9, 2e-9)])
def test_ticks_are_round_and_cover_the_values(low: float, high: float):
    ticks = nice_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 8
    steps = {round(b - a, 15) for a, b in itertools.pairwise(ticks)}
    assert max(steps) == pytest.approx(min(steps))


def test_thinning_keeps_the_last_point_and_averages_the_others():
    points = [(float(x), float(x % 2)) for x in range(1001)]
    thinned = thin(points, 101)
    assert len(thinned) == 101
    assert thinned[-1] == points[-1]
    assert thinned[0] == (4.5, 0.5)
    assert thin(points[:50], 101) == points[:50]


def test_points_that_are_not_numbers_are_not_drawn():
    assert finite([(0, 1.0), (1, math.nan), (2, math.inf), (3, 2.0)]) == [(0, 1.0), (3, 2.0)]


def test_bars_have_lengths_in_proportion_and_intervals_at_their_ends():
    svg = bar_list([Bar("model", 1.5, "1.5", 1.0, 2.0, strong=True), Bar("xz", 3.0, "3.0", 3.0, 3.0)], label="bits per byte")
    assert percentages(svg, "width", 'class="bar"') == [50, 100]
    assert percentages(svg, "x1", 'class="interval"')[0] == pytest.approx(33.33)
    assert percentages(svg, "x2", 'class="interval"')[0] == pytest.approx(66.67)
    assert svg.count('class="interval"') == 3, "the bar without an interval draws none"


def test_a_line_starts_and_ends_at_the_corners_of_its_axes():
    points = [(0.0, 4.0), (5.0, 2.0), (10.0, 0.0)]
    axes = axis([0, 10], str, tight=True), axis([0, 4], str)
    svg = line_chart(
        [Series("loss", "first", points)], title="Loss", label="falls", x_axis=axes[0], y_axis=axes[1], x_label="tokens", y_label="nats"
    )
    assert 'points="0,0 500,500 1000,1000"' in svg


def test_several_lines_get_a_legend_and_one_gets_none():
    flat = [(0.0, 1.0), (1.0, 1.0)]
    chart = {"title": "t", "label": "l", "x_axis": axis([0, 1], str), "y_axis": axis([0, 1], str), "x_label": "x", "y_label": "y"}
    assert "key" not in line_chart([Series("a", "first", flat)], **chart)
    assert line_chart([Series("a", "first", flat), Series("b", "second", flat)], **chart).count('class="key') == 2


def test_the_tallest_bin_of_a_histogram_fits_and_an_empty_one_has_no_height():
    svg = histogram(
        [(0, 10, 5), (10, 20, 0), (20, math.inf, 20)], label="lengths", write=lambda v: f"{v:g}", x_label="bytes", y_label="documents"
    )
    heights = percentages(svg, "height", 'class="bin"')
    assert heights[1] == 0
    assert heights[2] == pytest.approx(4 * heights[0], abs=0.05)
    assert max(heights) <= 100


@pytest.mark.parametrize("text", ['"><script>alert(1)</script>', "</svg><b>", "a & b", "עברית"])
def test_charts_escape_labels_and_are_well_formed(text: str):
    bars = bar_list([Bar(text, 1, text, 0.5, 2, note=text)], label=text)
    lines = line_chart(
        [Series(text, "first", [(0, 0), (1, 1)], marks=True), Series("b", "second", [(0, 1), (1, 0)])],
        title=text, label=text, x_axis=axis([0, 1], lambda _: text), y_axis=axis([0, 1], str), x_label=text, y_label=text,
    )  # fmt: skip
    bins = histogram([(0, 1, 2), (1, 2, 3)], label=text, write=lambda _: text, x_label=text, y_label=text)
    for svg in (bars, lines, bins):
        ElementTree.fromstring(svg)
        assert "<script" not in svg
        assert "</svg><b>" not in svg
