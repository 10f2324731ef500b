"""The page about a corpus: complete, escaped, self-contained, readable on a phone and from right to left."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from tales import NASTY, tales

from rodna.core.artifact import Artifact
from rodna.corpus.build import make_cleaned, make_corpus, make_documents
from rodna.corpus.config import CorpusConfig, DecontaminateConfig, DeduplicateConfig, LanguageConfig, MixConfig, Source, SplitConfig
from rodna.corpus.inspect import statistics_of
from rodna.corpus.words import OwnWords, own_words
from rodna.publish.corpus_page import write_corpus_page

SECTIONS = ["account", "sources", "make_up", "dropped", "cut", "kept", "spread", "copies", "mix", "contamination", "words"]


def make_page(folder: Path, language: str) -> Path:
    """Build a corpus with drops, cuts, copies and a cap, and write its page."""
    texts = tales(language, 200)
    farewell = tales(language, 1, seed=9)[0].partition("\n")[0]
    (folder / "letters.txt").write_text("\n\n".join([*texts, texts[3], NASTY]), encoding="utf-8")
    talks = [f"{text}\n{farewell}" for text in tales(language, 40, seed=1)]
    (folder / "talks.txt").write_text("\n\n".join(talks), encoding="utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    sources = {
        "letters": Source(path="letters.txt", document="blank_line", licence="CC BY 4.0", origin=f"https://example.org {NASTY}"),
        "talks": Source(path="talks.txt", document="blank_line", consent="all who spoke"),
        "pictures <i>": Source(path="picture.png"),
    }
    config = CorpusConfig(
        split=SplitConfig(validation=0.1, test=0.1, min_bytes=100),
        language=LanguageConfig(action="keep"),
        deduplicate=DeduplicateConfig(lines=3),
        decontaminate=DecontaminateConfig(held_out=False),
        mix=MixConfig(max_shares={"letters": 0.9}),
    )
    documents = make_documents(sources, config, folder / "documents-00000000", language=language, root=folder)
    cleaned = make_cleaned(documents, sources, config, folder / "cleaned-00000000", language=language, root=folder)
    corpus = make_corpus(cleaned, sources, config, folder / f"{language}-00000000", language=language, root=folder)
    statistics = statistics_of(corpus, sources)
    # What a small text cannot be made to show is put into the figures.
    statistics["selection"]["copies"]["similarity"] = [[0.65, 0.7, 1], [0.7, 0.75, 12]]
    statistics["domains"] = [{"source": "letters", "domain": "<b>.example.org", "bytes": 100}]
    statistics["num_domains"] = 80
    statistics["redacted"] = {"email": 3}
    own = own_words(corpus, limit=20)
    against = {f"words {NASTY}": OwnWords((("сонца", 7), ("<u>", 3)), 2, 0.25, 4)}
    write_corpus_page(corpus, cleaned, statistics, folder / "page.html", own=own, against=against)
    return folder / "page.html"


@pytest.fixture(scope="module")
def page_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def make(language: str) -> Path:
        if language not in made:
            made[language] = make_page(tmp_path_factory.mktemp(language), language)
        return made[language]

    return make


@pytest.fixture
def html(page_of: Callable[[str], Path]) -> str:
    return page_of("be").read_text(encoding="utf-8")


class Reader(HTMLParser):
    """Collects elements with their attributes, and the text of each section."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self._section = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag == "section":
            self._section = dict(attrs)["id"] or ""

    def handle_data(self, data: str) -> None:
        self.texts[self._section] = " ".join(f"{self.texts.get(self._section, '')} {data}".split())


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    return reader


def test_every_section_says_something(html: str):
    texts = read(html).texts
    assert [section for section in texts if section] == SECTIONS
    assert "The account balances to the document and the byte." in texts["account"]
    assert "Personal data replaced: 3 x email." in texts["account"]
    assert "dropped: not text" in texts["account"]
    assert "NO LICENCE GIVEN: talks, pictures <i>." in texts["sources"]
    assert "all who spoke" in texts["sources"]
    assert "Cyrillic (Cyrl)" in texts["make_up"]
    assert "And 79 domains more." in texts["make_up"]
    assert "PNG image: convert it to text first" in texts["dropped"]
    assert "rodna corpus sample --dropped --reason duplicate --keep" in texts["dropped"]
    assert "No rule brings these back: the file or part of it could not be read" in texts["dropped"]
    assert "Lines that stand in other documents too" in texts["cut"]
    assert "letters" in texts["kept"]
    assert "Bits" in texts["spread"]
    assert "1 exact copy" in texts["copies"]
    assert "Share after" in texts["mix"]
    assert "сонца" in texts["words"]
    assert "Words met fewer than 4 times were not all kept in memory" in texts["words"]
    assert "a sample of 25% of the documents" in texts["words"]


def test_a_missing_licence_is_flagged_in_red_where_it_stands(html: str):
    cells = [attributes for tag, attributes in read(html).elements if tag == "td" and "alarm" in (attributes.get("class") or "")]
    assert len(cells) == 2


def test_thresholds_are_drawn_into_the_histograms_of_quality(html: str):
    spread = html.split('<section id="spread">')[1].split("</section>")[0]
    assert spread.count("<figure") >= 8
    assert spread.count('class="bound"') >= 6
    assert 'class="band"' in spread


def test_nothing_a_corpus_says_becomes_markup(html: str):
    names = {tag for tag, _ in read(html).elements}
    assert not names & {"script", "img", "b", "i", "u", "iframe", "link2"}
    assert "&lt;script&gt;" in html
    assert not [attributes for _, attributes in read(html).elements if any(name.startswith("on") for name in attributes)]


def test_the_page_needs_nothing_from_outside(html: str):
    for tag, attributes in read(html).elements:
        for name in ("src", "href", "srcset", "data", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, name, value)
    assert not re.search(r"url\(|@import", html)


def test_samples_and_words_carry_their_language_and_direction(page_of: Callable[[str], Path]):
    elements = read(page_of("ar").read_text(encoding="utf-8")).elements
    kept = [attributes for tag, attributes in elements if tag == "q" and attributes.get("lang")]
    assert kept
    assert all(attributes["lang"] == "ar" and attributes["dir"] == "auto" for attributes in kept)
    chips = [attributes for tag, attributes in elements if tag == "ul" and attributes.get("lang") == "ar"]
    assert all(attributes["dir"] == "rtl" for attributes in chips)
    assert chips


def test_without_the_cleaned_documents_the_histograms_say_how_to_get_them(tmp_path: Path, page_of: Callable[[str], Path]):
    corpus = Artifact.open(page_of("be").parent / "be-00000000")
    write_corpus_page(corpus, None, statistics_of(corpus), tmp_path / "deep" / "page.html", own=own_words(corpus, limit=1))
    texts = read((tmp_path / "deep" / "page.html").read_text(encoding="utf-8")).texts
    assert "The cleaned documents are not there any more" in texts["spread"]
    assert "exact copy" in texts["copies"]


def test_an_account_that_does_not_balance_is_shouted(tmp_path: Path, page_of: Callable[[str], Path]):
    corpus = Artifact.open(page_of("be").parent / "be-00000000")
    statistics = statistics_of(corpus)
    statistics["balance_bytes"]["kept"] += 1
    write_corpus_page(corpus, None, statistics, tmp_path / "page.html", own={})
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "The account does not balance: a fault, please report it." in page
    assert 'class="lead alarm"' in page


@pytest.mark.parametrize("language", ["be", "ar"])
@pytest.mark.parametrize(("width", "scheme"), [(360, "dark"), (1280, "light")])
def test_the_page_fits_the_screen_and_the_console_stays_silent(
    browser: Any, page_of: Callable[[str], Path], language: str, width: int, scheme: str
):
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page, events = context.new_page(), []
    page.on("console", lambda message: events.append(message.text))
    page.on("request", lambda request: None if request.url.startswith(("file:", "data:")) else events.append(request.url))
    page.goto(page_of(language).as_uri())
    for details in page.query_selector_all("details"):
        details.evaluate("element => element.open = true")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert events == []
    context.close()
