"""The sheet in a real browser: judged with keys alone, and downloaded as the table that is read back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rodna.evals.pairs.sheet import read_sheet, sheet_page
from rodna.evals.pairs.swap import Pair


def pair(number: int, good: str, bad: str) -> Pair:
    return Pair(
        id=f"id{number}", sentence_good=good, sentence_bad=bad, UID="subject_verb_number", linguistics_term="x", field="morphology",
        relation="nsubj", feature="Number", from_value="Sing", to_value="Plur", lemma="l", upos="VERB", word_good="a", word_bad="b",
        controller="c", sent_id="s", source="f",
    )  # fmt: skip


PAIRS = [
    pair(1, 'Яна "ідзе" <b>дадому</b>.', 'Яна "ідуць" <b>дадому</b>.'),
    pair(2, "הילדה הולכת.", "הילדה הולכים."),
    pair(3, "</script>C go.", "</script>C went."),
]


@pytest.fixture
def page(browser: Any, tmp_path: Path) -> Iterator[tuple[Any, list[str]]]:
    path = tmp_path / "sheet.html"
    path.write_text(sheet_page(PAIRS, language="be"), encoding="utf-8")
    context = browser.new_context(viewport={"width": 360, "height": 800}, accept_downloads=True)
    opened, events = context.new_page(), []
    opened.on("console", lambda message: events.append(f"console: {message.text}"))
    opened.on("pageerror", lambda error: events.append(f"error: {error}"))
    opened.goto(path.as_uri())
    yield opened, events
    context.close()


def download(opened: Any, folder: Path) -> dict[str, str]:
    with opened.expect_download() as waiting:
        opened.click("#download")
    waiting.value.save_as(folder / "filled.tsv")
    return read_sheet(folder / "filled.tsv")


def test_keys_alone_judge_every_pair_and_the_table_is_read_back(page: tuple[Any, list[str]], tmp_path: Path):
    opened, events = page
    assert opened.inner_text("#good") == PAIRS[0].sentence_good
    assert opened.inner_text("#bad mark") == '"ідуць"'
    opened.keyboard.press("2")
    assert opened.inner_text("#good") == PAIRS[1].sentence_good
    opened.keyboard.press("1")
    opened.keyboard.press("ArrowLeft")
    opened.keyboard.press("3")
    opened.keyboard.press("4")
    opened.fill("#note", 'a "note"\twith a tab, 1 2 3')
    assert "3 judged" in opened.inner_text("#where")
    assert download(opened, tmp_path) == {"id1": "both_fine", "id2": "both_wrong", "id3": "unsure"}
    assert 'id3\t</script>C go.\t</script>C went.\tunsure\t"a ""note"" with a tab, 1 2 3"' in (tmp_path / "filled.tsv").read_text("utf-8")
    assert events == []


def test_buttons_do_what_keys_do_and_what_was_said_is_there_after_a_reload(page: tuple[Any, list[str]], tmp_path: Path):
    opened, events = page
    opened.click("button[data-verdict=right]")
    opened.reload()
    assert opened.get_attribute("button[data-verdict=right]", "aria-pressed") == "true"
    assert "1 judged" in opened.inner_text("#where")
    assert download(opened, tmp_path) == {"id1": "right"}
    assert events == []


def test_the_page_fits_a_telephone(page: tuple[Any, list[str]]):
    opened, _ = page
    assert opened.evaluate("document.documentElement.scrollWidth") <= 360
    assert opened.evaluate("getComputedStyle(document.getElementById('good')).direction") == "ltr"
    opened.keyboard.press("ArrowRight")
    assert opened.evaluate("getComputedStyle(document.getElementById('good')).direction") == "rtl"
