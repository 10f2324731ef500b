"""The page in a real browser: nothing overflows, nothing is asked for, everything can be read."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rodna.publish.config import ReportConfig
from rodna.publish.report import write_report

LEAST_CONTRAST = 4.5
"""Of text against what lies behind it. Reference: WCAG 2.2, success criterion 1.4.3, level AA."""

CONTRASTS = """
() => {
  const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
  const rgba = color => {
    canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = element => {
    for (let node = element; node; node = node.parentElement) {
      const color = rgba(getComputedStyle(node).backgroundColor);
      if (color[3] === 255) return color;
    }
    return [255, 255, 255, 255];
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !element.getClientRects().length || element.closest('title, .skip')) continue;
    const style = getComputedStyle(element);
    const inside = element instanceof SVGElement;
    const [a, b] = [light(rgba(inside ? style.fill : style.color)), light(behind(inside ? element.closest('figure') : element))];
    found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), walker.currentNode.textContent.trim().slice(0, 40)]);
  }
  return found;
}
"""

COVERED = """
() => [...document.querySelectorAll('.chart .tick')].filter(tick => {
  const box = tick.getBoundingClientRect();
  return box.width && (box.left < -1 || box.right > document.documentElement.clientWidth + 1);
}).length
"""


@pytest.fixture(scope="module")
def reports(project: Callable[[str], dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Language -> the page of its finished project; the language "" gives one without any artifact."""
    folder = tmp_path_factory.mktemp("reports")

    def write(language: str) -> Path:
        out = folder / f"{language or 'nothing'}-00000000"
        if not out.exists():
            roles = ("corpus", "tokenizer", "plan", "tokens", "model", "evaluation")
            artifacts = project(language) if language else dict.fromkeys(roles)
            write_report(language=language or "be", name="letters", config=ReportConfig(), out=out, **artifacts)
        return out / "index.html"

    return write


@pytest.fixture
def open_page(browser: Any, reports: Callable[[str], Path]) -> Iterator[Callable[..., tuple[Any, list[str]]]]:
    """Open a report; what the page asked for beyond itself, printed or failed at is collected in a list."""
    contexts: list[Any] = []

    def open_it(language: str, *, width: int, scheme: str, **options: Any) -> tuple[Any, list[str]]:
        context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme, **options)
        contexts.append(context)
        page, events = context.new_page(), []
        address = reports(language).as_uri()
        page.on("console", lambda message: events.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: events.append(f"error: {error}"))
        page.on(
            "request", lambda request: None if request.url == address or request.url.startswith("data:") else events.append(request.url)
        )
        page.goto(address)
        return page, events

    yield open_it
    for context in contexts:
        context.close()


@pytest.mark.parametrize("language", ["be", "yue", "ar", ""])
@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_overflows_or_is_asked_for_and_the_console_stays_silent(open_page: Any, language: str, width: int):
    page, events = open_page(language, width=width, scheme="light")
    for details in page.query_selector_all("details"):
        details.evaluate("element => element.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(COVERED) == 0, "labels of charts stay on the page"
    assert events == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(open_page: Any, scheme: str):
    page, _ = open_page("be", width=1280, scheme=scheme)
    contrasts = page.evaluate(CONTRASTS)
    assert len(contrasts) > 200
    assert [(round(ratio, 2), text) for ratio, text in contrasts if ratio < LEAST_CONTRAST] == []


def test_light_and_dark_have_different_backgrounds(open_page: Any):
    colors = {
        open_page("be", width=390, scheme=scheme)[0].evaluate("getComputedStyle(document.body).backgroundColor")
        for scheme in ("light", "dark")
    }
    assert len(colors) == 2


def test_the_page_reads_the_same_without_scripts(open_page: Any):
    with_scripts, without = (open_page("be", width=1280, scheme="light", java_script_enabled=enabled)[0] for enabled in (True, False))
    assert without.locator("section").count() == 10
    assert without.locator("main").inner_text() == with_scripts.locator("main").inner_text()


def test_arabic_starts_on_the_right_and_the_report_around_it_on_the_left(open_page: Any):
    page, _ = open_page("ar", width=1280, scheme="light")
    sample = page.locator(".sample p").first
    assert sample.evaluate("element => getComputedStyle(element).direction") == "rtl"
    prompt, box = page.locator(".sample .prompt").first.bounding_box(), sample.bounding_box()
    assert prompt["x"] + prompt["width"] == pytest.approx(box["x"] + box["width"], abs=2)
    assert page.locator("h2").first.evaluate("element => getComputedStyle(element).direction") == "ltr"


def test_charts_fill_their_place_and_keep_the_size_of_their_labels(open_page: Any):
    sizes: dict[int, tuple[float, float]] = {}
    for width in (390, 1280):
        page, _ = open_page("be", width=width, scheme="light")
        plot, tick = page.locator("#training .plot").last, page.locator("#training .tick").first
        sizes[width] = (plot.bounding_box()["width"], tick.bounding_box()["height"])
    assert sizes[1280][0] > 2 * sizes[390][0]
    assert sizes[1280][1] == pytest.approx(sizes[390][1], abs=0.5)
