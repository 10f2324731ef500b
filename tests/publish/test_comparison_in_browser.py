"""The page of a comparison in a real browser: nothing overflows, nothing is asked for, everything can be read."""

from pathlib import Path
from typing import Any

import pytest
from test_report_in_browser import CONTRASTS, LEAST_CONTRAST

from made_evaluations import answers, measured, write_made
from rodna.evals.compare.ladder import climbs, read_ladders
from rodna.evals.compare.read import read_contestants
from rodna.evals.compare.run import compare
from rodna.publish.comparison.page import render

LONG = "determiner_noun_agreement_with_adjective_irregular_1"


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models, one of a long name, on tasks of long names, and a ladder."""
    root = tmp_path_factory.mktemp("made")
    given = []
    for number, name in enumerate(("base", f"model-with-a-name-of-some-length-{LONG}", "third"), 1):
        parts = [measured(f"blimp/{LONG}/{LONG}_{part}", answers(50, 0.3 * number, seed=number + part)) for part in range(3)]
        bits = measured("held_out_text", [20 - number + item for item in range(30)], metric="bits_per_byte", weights=[20] * 30)
        write_made(root / str(number), [*parts, bits, measured("more", [1.0] * 9, task_version=number)])
        given.append(f"{name}={root / str(number)}")
    for step in (100, 200, 300):
        write_made(root / "run" / f"step-{step}", [measured(LONG, answers(40, step / 400, seed=step), detail={"chance": 0.5})])
    path = root / "index.html"
    path.write_text(render(compare(read_contestants(given), samples=1000), climbs(read_ladders([str(root / "run")]))), encoding="utf-8")
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 390, 1280])
def test_everything_fits_can_be_read_and_nothing_is_asked_for(browser: Any, page_file: Path, width: int, scheme: str):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page, events = context.new_page(), []
    address = page_file.as_uri()
    page.on("console", lambda message: events.append(message.text))
    page.on("pageerror", lambda error: events.append(str(error)))
    page.on("request", lambda request: None if request.url == address or request.url.startswith("data:") else events.append(request.url))
    page.goto(address)
    for details in page.query_selector_all("details"):
        details.evaluate("element => element.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 100
    assert min(contrasts)[0] >= LEAST_CONTRAST, min(contrasts)
    assert page.locator("svg .dot").count() == 8
    assert events == []
    context.close()
