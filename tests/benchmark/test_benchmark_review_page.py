"""The review in a real browser: by keys, by fingers, in both directions of writing; what is shown is text."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from review_folder import SCRIPT, Client, serving, translations

from rodna.benchmark import store

PHONE = {"width": 390, "height": 844}


class Tab:
    """A page that is open, and what went wrong in it."""

    def __init__(self, context: Any, address: str) -> None:
        self.page, self.events = context.new_page(), []
        self.page.set_default_timeout(60_000)
        self.page.on("console", lambda message: self.events.append(message.text))
        self.page.on("pageerror", lambda error: self.events.append(str(error)))
        self.page.on("dialog", lambda dialog: dialog.accept())
        self.page.goto(address)
        self.wait("textarea")

    def wait(self, selector: str) -> None:
        self.page.wait_for_selector(selector)

    def is_at(self, id: str) -> None:
        self.page.wait_for_function("id => document.querySelector('.identity')?.textContent === id", arg=id)

    def says(self, text: str) -> None:
        self.page.wait_for_function("text => document.getElementById('message').textContent.includes(text)", arg=text)


@pytest.fixture
def tab(browser: Any, client: Client) -> Iterator[Tab]:
    context = browser.new_context(viewport=PHONE)
    tab = Tab(context, client.address)
    yield tab
    context.close()
    assert tab.events == []


def test_keys_alone_accept_edit_and_reject(tab: Tab, folder: Path):
    tab.is_at("q0")
    tab.page.keyboard.press("a")
    tab.is_at("q1")
    tab.page.keyboard.press("r")
    tab.is_at("q2")
    tab.page.keyboard.press("e")
    assert tab.page.evaluate("document.activeElement.dataset.path") == "question"
    tab.page.keyboard.press("Control+End")
    tab.page.keyboard.press("Backspace")
    tab.page.keyboard.type("!")
    tab.page.keyboard.press("Control+Enter")
    tab.is_at("q3")
    tab.page.keyboard.press("j")
    tab.is_at("q4")
    tab.page.keyboard.press("k")
    tab.is_at("q3")

    given = store.read_verdicts(folder)
    assert {id: verdict["verdict"] for id, verdict in given.items()} == {"q0": "accept", "q1": "reject", "q2": "edit"}
    assert given["q2"]["text"] == {"question": translations(folder, "q2")["question"][:-1] + "!"}
    assert tab.page.inner_text("#seen") == "3 of 24 seen"
    assert "q1 rejected" not in tab.page.inner_text("#message")


def test_a_key_held_down_and_a_double_click_judge_one_item_only(tab: Tab, folder: Path):
    for _ in range(3):
        tab.page.keyboard.down("a")
        tab.page.wait_for_timeout(300)
    tab.page.keyboard.up("a")
    tab.is_at("q1")
    place = tab.page.locator("#accept").bounding_box()
    tab.page.mouse.click(place["x"] + 20, place["y"] + 20)
    tab.is_at("q2")
    tab.page.mouse.down(click_count=2)
    tab.page.mouse.up(click_count=2)
    tab.page.wait_for_timeout(300)
    assert store.read_verdicts(folder).keys() == {"q0", "q1"}


def test_leaving_an_item_keeps_what_was_written_there(tab: Tab, folder: Path):
    tab.page.locator("textarea").first.fill("Яшчэ не 0")
    tab.page.click("#next")
    tab.is_at("q1")
    tab.says("What you wrote in q0 is not saved yet")
    tab.page.click("#previous")
    tab.is_at("q0")
    assert tab.page.locator("textarea").first.input_value() == "Яшчэ не 0"
    assert store.read_verdicts(folder) == {}


def test_an_edit_is_checked_before_it_is_saved_and_saved_when_asked_again(tab: Tab, folder: Path):
    tab.page.goto(tab.page.url.split("#")[0] + "#at=2")
    tab.page.reload()
    tab.is_at("q2")
    box = tab.page.locator("textarea").first
    box.fill(box.input_value().replace("6", "7"))
    tab.wait("#findings .problems >> text=Numbers are not those of the source.")
    tab.page.click("#accept")
    tab.says("Save again if it is right all the same")
    assert store.read_verdicts(folder) == {}
    assert tab.page.inner_text("#accept") == "Save all the same"
    tab.page.click("#accept")
    tab.says("Saved: q2 as you wrote it")
    assert "7" in store.read_verdicts(folder)["q2"]["text"]["question"]


def test_a_script_in_a_translation_is_shown_as_text(tab: Tab):
    tab.page.goto(tab.page.url.split("#")[0] + "#at=1")
    tab.page.reload()
    tab.is_at("q1")
    assert SCRIPT in tab.page.locator("textarea").first.input_value()
    assert "new <script>" in tab.page.inner_text("#findings .problems")
    tab.page.click("summary >> text=Not translated")
    assert "<b>words</b> 1" in tab.page.inner_text(".others dd >> text=words")
    tab.page.locator("textarea").first.fill(SCRIPT)
    tab.wait(".machine:not([hidden])")
    assert tab.page.title() == "words-be: review"
    assert tab.page.locator("main script, main img, main b b").count() == 0


def test_two_tabs_do_not_lose_each_others_work(tab: Tab, browser: Any, client: Client, folder: Path):
    context = browser.new_context()
    other = Tab(context, client.address)
    first, second = (one.page.locator("textarea").first for one in (tab, other))
    machine = translations(folder, "q0")["question"]
    one_text, other_text = machine[:-1] + "!", machine[:-1] + "."
    first.fill(one_text)
    tab.page.click("#accept")
    tab.is_at("q1")
    second.fill(other_text)
    other.page.click("#accept")
    other.says("Your text is kept")
    assert second.input_value() == other_text
    assert other.page.inner_text(".theirs") == f"In the file now: {one_text}"
    assert store.read_verdicts(folder)["q0"]["text"] == {"question": one_text}
    other.page.click("#accept")
    other.is_at("q1")
    assert store.read_verdicts(folder)["q0"]["text"] == {"question": other_text}
    assert other.page.inner_text("#seen") == "1 of 24 seen"
    context.close()
    assert [event for event in other.events if "409" not in event] == []


def test_what_one_tab_did_not_touch_stays_as_the_other_left_it(tab: Tab, browser: Any, client: Client, folder: Path):
    context = browser.new_context()
    other = Tab(context, client.address)
    machine = translations(folder, "q0")
    edited = {path: machine[path][:-1] + "!" for path in ("question", "choices.0")}
    tab.page.locator("textarea").nth(0).fill(edited["question"])
    tab.page.click("#accept")
    tab.is_at("q1")
    other.page.locator("textarea").nth(1).fill(edited["choices.0"])
    other.page.click("#accept")
    other.says("Your text is kept")
    assert other.page.locator("textarea").nth(0).input_value() == edited["question"]
    other.page.click("#accept")
    other.is_at("q1")
    assert store.read_verdicts(folder)["q0"]["text"] == edited
    context.close()


def test_what_was_written_and_not_saved_is_there_after_a_reload(tab: Tab):
    tab.page.locator("textarea").first.fill("Яшчэ не 0")
    tab.page.reload()
    tab.says("not saved yet")
    assert tab.page.locator("textarea").first.input_value() == "Яшчэ не 0"
    assert tab.page.inner_text("#accept") == "Save edit"


def test_filters_lead_through_the_items_and_survive_a_reload(tab: Tab):
    tab.page.select_option("select[name=reason]", "numbers")
    tab.is_at("q7")
    assert tab.page.inner_text(".head").startswith("1 of 1")
    tab.page.reload()
    tab.is_at("q7")
    assert tab.page.input_value("select[name=reason]") == "numbers"
    tab.page.click("#next")
    tab.wait("text=No more items this way.")
    assert tab.page.is_disabled("#accept")
    tab.page.fill("input[name=find]", "nowhere at all")
    tab.page.keyboard.press("Enter")
    tab.wait("text=No item is like this.")


def test_a_server_that_is_gone_is_said_and_the_text_stays(browser: Any, folder: Path):
    context = browser.new_context()
    with serving(folder) as (client, _):
        tab = Tab(context, client.address)
        tab.page.locator("textarea").first.fill("Тэкст 0")
        tab.wait(".machine:not([hidden])")
    tab.page.click("#accept")
    tab.says("The server does not answer")
    assert tab.page.locator("textarea").first.input_value() == "Тэкст 0"
    assert store.read_verdicts(folder) == {}
    context.close()


def test_it_fits_a_telephone_and_each_text_has_its_own_direction(tab: Tab):
    box = tab.page.locator("textarea").first
    direction = "box => getComputedStyle(box).direction"
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    assert (box.get_attribute("lang"), box.get_attribute("dir")) == ("be", "auto")
    assert box.evaluate(direction) == "ltr"
    box.fill("ילדה הולכת הביתה 0 " * 20)
    assert box.evaluate(direction) == "rtl"
    assert box.evaluate("box => box.scrollHeight <= box.clientHeight + 1")
    assert tab.page.locator(".source").first.get_attribute("lang") == "en"
    assert tab.page.evaluate("document.documentElement.scrollWidth") <= 390
    for button in ("#previous", "#reject", "#accept", "#next"):
        place = tab.page.locator(button).bounding_box()
        assert place["height"] >= 44
        assert 0 <= place["x"] <= place["x"] + place["width"] <= 390
        assert place["y"] + place["height"] <= 844


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_are_told_apart_in_light_and_dark(scheme: str, browser: Any, client: Client):
    context = browser.new_context(color_scheme=scheme)
    tab = Tab(context, client.address + "#at=7")
    found = tab.page.evaluate("""() => [["body", "body"], [".soft", "body"], ["#accept", "#accept"], ["#reject", "#reject"],
        [".problems li", ".problems"], [".problems .soft", ".problems"], [".outcome", ".outcome"], ["textarea", "textarea"],
        [".source", ".source"], [".tag", ".tag"]].map(([ink, page]) =>
        [ink, getComputedStyle(document.querySelector(ink)).color, getComputedStyle(document.querySelector(page)).backgroundColor])""")
    ratios = {name: contrast(ink, page) for name, ink, page in found}
    assert {name: ratio for name, ratio in ratios.items() if ratio < 4.5} == {}
    context.close()


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of two `rgb(r, g, b)`. Reference: WCAG 2.2, relative luminance."""
    lights = []
    for colour in (first, second):
        parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)
