import re
from xml.etree import ElementTree

import pytest

from rodna.plan.isoflop import Size, isoflop, law_curves, plain_curve
from rodna.plan.scaling import CHINCHILLA, DATA_CONSTRAINED
from rodna.publish.isoflop import budget_rows, isoflop_figure, isoflop_svg

FIFTY = law_curves(CHINCHILLA, 3.2e17)


def limited_curves():
    """Return curves of a text of a million tokens, read ten times at most, by sizes of which the last is too large."""
    sizes = [Size(n, n, 6 * n, max_tokens=1e7, too_large=n > 2e6) for n in (1e5, 3e5, 1e6, 2e6, 4e6)]
    budgets = [
        isoflop(lambda size, d: DATA_CONSTRAINED.repeated_loss(size.weights, 1e6, d / 1e6), sizes, flops) for flops in (1e12, 1e13, 1e14)
    ]
    chosen = budgets[1].best
    fresh = isoflop(lambda size, d: DATA_CONSTRAINED.loss(size.weights, d), sizes, 1e13)
    return {"budgets": [plain_curve(curve) for curve in budgets], "flops": 1e13, "fresh": plain_curve(fresh),
            "chosen": {"parameters": chosen.parameters, "tokens": chosen.tokens, "loss": chosen.loss}}  # fmt: skip


def position(svg: str, element: str) -> tuple[float, float]:
    found = re.search(rf'<{element}[^>]* cx="([\d.]+)%" cy="([\d.-]+)%"', svg)
    return float(found[1]), float(found[2])


def test_the_file_is_a_picture_of_its_own():
    root = ElementTree.fromstring(isoflop_svg(FIFTY, unit="nats per token"))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert "nats per token" in "".join(root.itertext())
    assert "script" not in isoflop_svg(FIFTY, unit="nats per token")


def test_the_fifty_dollar_models_figure_marks_its_size():
    svg = isoflop_svg(FIFTY, unit="nats per token")
    assert "chosen: 48.2M, 1.11G tokens" in svg
    assert "3.2 × 10¹⁷ FLOPs, the budget" in svg
    ring, best = position(svg, 'circle class="ring first"'), position(svg, 'circle class="mark first"')
    assert ring == pytest.approx(best, abs=1)


def test_curves_are_lowest_at_their_marks():
    svg = str(isoflop_figure(FIFTY, unit="nats per token"))
    line = re.search(r'<polyline class="line first" points="([^"]+)"', svg)[1]
    lowest = max(float(pair.split(",")[1]) for pair in line.split())
    assert position(svg, 'circle class="mark first"')[1] == pytest.approx(lowest / 10, abs=0.1)


def test_where_the_text_ends_the_line_is_dashed_and_where_the_model_is_too_large_dotted():
    svg = isoflop_svg(limited_curves(), unit="bits per byte")
    assert re.search(r'class="line (first|faint) dashed"', svg)
    assert re.search(r'class="line (first|faint) dotted"', svg)
    assert "here the text ends first" in svg
    assert "learn this text by heart" in svg
    assert "were there fresh text without end" in svg


def test_a_plan_without_curves_has_no_picture():
    assert isoflop_figure({}, unit="bits per byte") is None
    assert isoflop_svg({}, unit="bits per byte") == ""
    assert budget_rows({}, train_tokens=1) == []


def test_the_table_has_a_row_for_each_budget_in_time_and_passes():
    rows = budget_rows(limited_curves() | {"seconds": 110.0, "fixed_seconds": 10.0}, train_tokens=1e6)
    assert [row[1] for row in rows] == ["20 s", "1 min 50 s", "16 min 50 s"]
    assert [row[6] for row in rows][-1] == "yes"
    assert float(rows[-1][4]) == 10
