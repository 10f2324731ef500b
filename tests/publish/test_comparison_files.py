"""A comparison as Markdown, CSV, LaTeX, pictures and page: what names contain is never markup."""

import csv
import io
import re
from xml.etree import ElementTree

import pytest

from made_evaluations import answers, measured, write_made
from rodna.evals.compare.ladder import climbs, read_ladders
from rodna.evals.compare.read import read_contestants
from rodna.evals.compare.run import compare
from rodna.evals.result import Result
from rodna.publish.comparison.formats import CSV_COLUMNS, csv_text, escape_latex, latex, markdown
from rodna.publish.comparison.page import render
from rodna.publish.comparison.picture_files import png_of, svg_of
from rodna.publish.comparison.plots import bars, curves, forests
from rodna.publish.comparison.tables import tables
from rodna.publish.comparison.words import sentence

EVIL = "=cmd|'<b>&_%$#{x}~^\\*`"
TASK = "+pairs_1|<i>"


@pytest.fixture(scope="module")
def comparison(tmp_path_factory):
    """Three models, one of a name that is markup everywhere, on three tasks."""
    root = tmp_path_factory.mktemp("made")
    given = []
    for number, right in enumerate((0.4, 0.95, 0.42)):
        bits = measured("text", [20 + item - number for item in range(30)], metric="bits_per_byte", weights=[20] * 30)
        speed = Result("speed", "tokens_per_second", 100.0 + number, "tokens per second", 90.0, 120.0, 3, "higher")
        odd = measured("other", [1.0] * 10, task_version=1 + number // 2)
        write_made(root / str(number), [measured(TASK, answers(100, right, seed=number + 1)), bits, odd], results=[speed])
        given.append(f"x{number}={root / str(number)}")
    found = read_contestants(given)
    renamed = [type(one)(name, one.runs) for one, name in zip(found, ("base", EVIL, "third"), strict=True)]
    return compare(renamed, samples=1000)


def test_every_number_and_every_reason_is_in_the_csv(comparison):
    text = csv_text(comparison)
    rows = list(csv.DictReader(io.StringIO(text)))
    assert tuple(rows[0]) == CSV_COLUMNS
    assert len(rows) == 4 * 2
    first = next(row for row in rows if row["task"].endswith(TASK))
    match = comparison.matches[0]
    assert float(first["difference"]) == match.differences[0].value
    assert float(first["p_corrected"]) == match.differences[0].p_holm
    assert first["verdict"] == "better"
    excluded = [row for row in rows if row["verdict"] == "not compared"]
    assert [row["model"] for row in excluded] == ["third"]
    assert "version 2 of the task" in excluded[0]["notes"]
    assert {row["verdict"] for row in rows if row["task"] == "speed"} == {"no verdict"}


def test_no_spreadsheet_takes_a_name_for_a_formula_and_numbers_stay_numbers(comparison):
    rows = list(csv.DictReader(io.StringIO(csv_text(comparison))))
    assert rows[0]["model"] == f"'{EVIL}"
    assert rows[0]["task"] == f"'{TASK}"
    negative = [row["difference"] for row in rows if row["task"] == "text"]
    assert all(cell.startswith("-") and float(cell) < 0 for cell in negative)


def test_latex_sees_no_command_in_a_name(comparison):
    text = latex(comparison)
    assert escape_latex("a_b & 50% {x} \\y ~ ^ # $") == (r"a\_b \& 50\% \{x\} \textbackslash{}y \textasciitilde{} \textasciicircum{} \# \$")
    assert EVIL not in text
    assert escape_latex(EVIL) in text
    bodies = re.findall(r"\\midrule\n(.*?)\\bottomrule", text, re.DOTALL)
    kinds = re.findall(r"\\begin\{tabular\}\{((?:[lr]|p\{[^}]*\})+)\}", text)
    assert len(bodies) == len(kinds) == len(tables(comparison))
    for body, kind in zip(bodies, kinds, strict=True):
        num_columns = len(re.sub(r"p\{[^}]*\}", "p", kind))
        for line in body.strip().split("\n"):
            assert len(re.findall(r"(?<!\\)&", line)) == num_columns - 1
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")


def test_markdown_tables_have_as_many_cells_in_every_row(comparison):
    text = markdown(comparison)
    assert "<b>" not in text
    assert "<i>" not in text
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        lines = block.strip().split("\n")
        assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {len(re.findall(r"(?<!\\)\|", lines[0]))}
    assert "cannot be told apart" in text
    assert "**" in text


def test_sentences_say_by_how_much_and_how_sure(comparison):
    match = comparison.matches[0]
    said = sentence(comparison, match, match.differences[0])
    value = 100 * match.differences[0].value
    assert said.startswith(f"{EVIL} is better than base by {value:.1f} points (95% interval +")
    assert "corrected" in said
    assert said.endswith("100 items).")
    third = sentence(comparison, match, match.differences[1])
    assert third.startswith("third and base cannot be told apart: the difference is ")


def test_the_page_escapes_names_and_needs_nothing_from_outside(comparison):
    page = render(comparison)
    assert "<b>&" not in page
    assert "<script" not in page
    assert not re.search(r"(?:src|href)=\"(?!#|data:)", page)
    assert "&lt;b&gt;" in page
    sections = re.findall(r'<section id="(\w+)">', page)
    assert sections == ["result", "differences", "bars", "ranking", "tables", "left_out"]
    assert "version 2 of the task" in page


def test_every_picture_is_a_file_of_its_own(comparison):
    pictures = [*forests(comparison), *bars(comparison)]
    assert [picture.kind for picture in pictures] == ["forest", "forest", "bars", "bars", "bars"]
    for picture in pictures:
        root = ElementTree.fromstring(svg_of(picture))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        texts = ["".join(item.itertext()) for item in root.iter("{http://www.w3.org/2000/svg}text")]
        assert picture.title in texts


def test_differences_of_one_unit_share_a_picture_and_lie_where_they_belong(comparison):
    shares = forests(comparison)[0]
    assert shares.axis is not None
    better = comparison.matches[0].differences[0]
    at = shares.axis.percent(100 * better.value)
    assert f'cx="{at}%"' in shares.rows[0].strip
    assert shares.rows[0].style == "first"
    assert shares.unit == "percentage points; right of the line is better"
    assert forests(comparison)[1].unit == "bits per UTF-8 byte; left of the line is better"


def test_pictures_become_png_where_a_painter_is_installed(comparison):
    pytest.importorskip("resvg_py", reason="needs resvg-py")
    png = png_of(forests(comparison)[0])
    assert png is not None
    assert png.startswith(b"\x89PNG")


@pytest.fixture
def ladder(tmp_path):
    """Return a folder of evaluations of three checkpoints, as `rodna eval --checkpoints` writes it."""
    for step, right in ((100, 0.2), (1000, 0.6), (500, 0.5)):
        pairs = measured("pairs", answers(60, right, seed=step), detail={"chance": 0.5})
        write_made(tmp_path / "ladder" / f"step-{step:06d}", [pairs], where=f"runs/be/step-{step:06d}")
    return tmp_path / "ladder"


def test_a_ladder_is_drawn_in_the_order_of_its_steps(ladder):
    found = climbs(read_ladders([f"mine={ladder}"]))
    assert [rung.step for rung in found[0].lines["mine"]] == [100, 500, 1000]
    assert found[0].chance == 0.5
    picture = curves(found)[0]
    assert picture.keys == [("faint dotted", "chance"), ("first", "mine")]
    assert picture.svg.count("<circle") == 3
    ElementTree.fromstring(svg_of(picture))
    page = render(None, found)
    assert "How the model grew" in page
    assert "Over training" in page


def test_bars_of_very_many_parts_leave_out_the_deepest(tmp_path):
    parts = [measured(f"pairs/{number}/x", answers(12, 0.5, seed=number)) for number in range(30)]
    groups = [measured(f"pairs/{number}", answers(14, 0.5, seed=number)) for number in range(10)]
    given = []
    for name in "ab":
        write_made(tmp_path / name, [measured("pairs", answers(20, 0.5, seed=1)), *groups, *parts])
        given.append(str(tmp_path / name))
    comparison = compare(read_contestants(given), samples=1000)
    assert [picture.title for picture in bars(comparison)] == ["pairs, accuracy", *(f"pairs/{number}, accuracy" for number in range(10))]
    assert len(forests(comparison)[0].rows) == 41
