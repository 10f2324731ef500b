import html
import json
import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from rodna.core.artifact import Artifact, create
from rodna.core.errors import ConfigError
from rodna.core.files import write_json
from rodna.evals.result import Result
from rodna.publish.config import ReportConfig
from rodna.publish.facts.results import headline_facts, sentence, written
from rodna.publish.facts.tokenizer import join_bytes
from rodna.publish.facts.view import number, share
from rodna.publish.report import render, report_inputs, write_report

NOTHING: dict[str, Any] = dict.fromkeys(("corpus", "tokenizer", "plan", "tokens", "model", "evaluation"))
VOID = {"meta", "link", "img", "br", "hr", "input", "circle", "line", "rect", "polyline"}


class Page(HTMLParser):
    """What a browser would see: the tags with their attributes, and whether they nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.faults: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and (not self.open or self.open.pop() != tag):
            self.faults.append(tag)

    def classes(self, name: str) -> Iterator[dict[str, str | None]]:
        return (attributes for _, attributes in self.tags if name in (attributes.get("class") or "").split())


@pytest.fixture
def page(project: Callable[[str], dict[str, Any]], tmp_path: Path) -> Callable[..., str]:
    def write(language: str, config: ReportConfig | None = None, **replaced: Any) -> str:
        artifacts = {**project(language), **replaced}
        report = write_report(
            language=language, name="letters", config=config or ReportConfig(), out=tmp_path / "report-00000000", **artifacts
        )
        return (report.path / "index.html").read_text(encoding="utf-8")

    return write


def test_every_section_of_a_finished_project_is_filled(page: Callable[..., str]):
    text = page("be")
    assert text.count("<section ") == 10
    assert 'class="missing"' not in text
    assert Page(text).faults == []


def test_the_report_is_an_artifact_that_verifies_and_knows_its_inputs(project: Callable[[str], dict[str, Any]], tmp_path: Path):
    artifacts = project("be")
    out = tmp_path / "letters-00000000"
    report = write_report(language="be", name="letters", config=ReportConfig(), out=out, **artifacts)
    report.verify()
    assert report.kind == "report"
    assert set(report.manifest.inputs) == {"project", "corpus", "tokenizer", "plan", "model", "evaluation"}
    assert Artifact.open(out, kind="report").digest == report.digest


def test_another_name_or_language_makes_another_report():
    digests = {report_inputs(language=language, name=name)["project"] for language in ("be", "lt") for name in ("a", "b")}
    assert len(digests) == 4


def test_the_same_artifacts_give_the_same_page(project: Callable[[str], dict[str, Any]]):
    artifacts = {role: artifact for role, artifact in project("be").items() if artifact is not None}
    pages = {render(language="be", name="letters", artifacts=artifacts, config=ReportConfig()) for _ in range(2)}
    assert len(pages) == 1


def test_without_any_artifact_every_section_says_what_is_missing(page: Callable[..., str]):
    text = page("be", **NOTHING)
    assert text.count('class="missing"') == 10
    assert "No evaluation of held-out text yet: run `rodna eval`." in text


@pytest.mark.parametrize("role", ["corpus", "tokenizer", "plan", "model", "evaluation"])
def test_a_missing_artifact_leaves_the_other_sections_standing(page: Callable[..., str], role: str):
    text = page("be", **{role: None})
    expected = {"corpus": 2, "tokenizer": 1, "plan": 1, "model": 1, "evaluation": 3}[role]
    assert text.count('class="missing"') == expected


@pytest.mark.parametrize("content", ["", "not JSON", "[]", "{}", "null", '{"estimates": 3, "reasons": "x", "sources": [], "samples": {}}'])
def test_unreadable_files_leave_out_sections_but_never_fail(page: Callable[..., str], tmp_path: Path, content: str):
    files = {
        "corpus": "statistics.json", "tokenizer": "measures.json", "plan": "plan.json", "model": "training.json",
        "evaluation": "samples.json",
    }  # fmt: skip
    broken: dict[str, Artifact] = {}
    for role, file in files.items():
        with create(tmp_path / f"{role}-00000000", kind=role, format_version=1, inputs={}, config={}) as draft:
            for name in (file, "metrics.jsonl", "results.json"):
                (draft.path / name).write_text(content, encoding="utf-8")
        broken[role] = draft.result
    text = page("be", **broken)
    assert text.count('class="missing"') >= 4


def test_what_the_model_and_the_corpus_say_is_never_markup(page: Callable[..., str]):
    text = page("be")
    tags = [tag for tag, _ in Page(text).tags]
    assert "script" not in tags
    assert "img" not in tags
    assert tags.count("style") == 1
    assert "&lt;script&gt;alert(" in text, "the sample itself is shown, as text"
    assert "alert(1)" in html.unescape(text)


def test_nothing_is_asked_of_the_network(page: Callable[..., str]):
    found = Page(page("be"))
    addresses = [attributes[key] for _, attributes in found.tags for key in ("src", "href") if attributes.get(key)]
    assert addresses
    assert all(address.startswith(("#", "data:")) for address in addresses if address)
    style = re.search(r"<style>(.*?)</style>", page("be"), re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]


@pytest.mark.parametrize(("language", "direction", "script"), [("be", "ltr", "Cyrl"), ("yue", "ltr", "Hant"), ("ar", "rtl", "Arab")])
def test_samples_carry_the_languages_tag_and_direction(page: Callable[..., str], language: str, direction: str, script: str):
    found = Page(page(language))
    marked = [attributes for tag, attributes in found.tags if tag in ("p", "div") and attributes.get("lang") == language]
    assert len(marked) == 3, "two samples and the cut text"
    assert {attributes["dir"] for attributes in marked} == {direction}
    assert list(found.classes(f"script-{script}"))
    assert ("html", {"lang": "en"}) in found.tags, "the report's own words are English"


def test_prompt_and_continuation_are_told_apart(page: Callable[..., str]):
    text = page("yue")
    assert re.search(r'<span class="prompt">我哋今日[^<]*</span><span class="continuation">[^<]+</span>', text)
    assert "begun from nothing" in text


def test_counts_of_documents_balance_and_drops_show_why(page: Callable[..., str]):
    text = html.unescape(page("be"))
    read, kept, dropped = (
        int(part.replace(",", "")) for part in re.search(r"([\d,]+) documents read = ([\d,]+) kept \+ ([\d,]+) dropped", text).groups()
    )  # type: ignore[union-attr]
    assert read == kept + dropped
    assert dropped > 0
    assert "The same text as an earlier document" in text
    assert "same text as letters/letters.txt#" in text


def test_a_source_without_a_licence_is_pointed_out(page: Callable[..., str]):
    assert "1 of 2 sources has no licence written down" in page("be")


def test_the_tokens_of_the_example_make_up_the_text_again(page: Callable[..., str]):
    text = page("yue")
    pieces = re.findall(r'<span class="t\d">([^<]*)</span>', text)
    assert len(pieces) > 10
    assert "".join(pieces)[:4] == "我哋今日"


def test_parts_of_a_character_are_joined_until_it_is_whole():
    first, second = "й".encode()[:1], "й".encode()[1:]
    assert join_bytes([b"a", first, second, "мова".encode()]) == ["a", "й", "мова"]
    assert join_bytes([b"a", first]) == ["a", "\N{REPLACEMENT CHARACTER}"]


def result(value: float, low: float, high: float, task: str = "held_out_text", metric: str = "bits_per_byte", n: int = 40) -> Result:
    return Result(task, metric, value, "bits per UTF-8 byte", low, high, n, "lower")


@pytest.mark.parametrize(
    ("difference", "words"),
    [
        ((-0.4, -0.5, -0.3), "needs 2.00: the model does with 20% less."),
        ((0.02, -0.05, 0.08), "needs 2.00: too close to call on this much held-out text."),
        ((0.3, 0.2, 0.4), "needs only 2.00: there is more to learn in this text than the model has learned."),
    ],
)
def test_the_sentence_follows_the_paired_interval(difference: tuple[float, float, float], words: str):
    baseline = result(2.0, 2.0, 2.0, "baseline:ngram")
    paired = result(*difference, task="baseline:ngram", metric="model_minus_baseline")
    text = sentence(result(1.6, 1.5, 1.7), [baseline], [paired])
    assert text.endswith(f"The best of the simple methods tried (n\N{NON-BREAKING HYPHEN}gram model) {words}")


def test_the_headline_counts_its_documents_and_leaves_guessing_out_of_the_chart():
    facts = headline_facts([result(1.6, 1.5, 1.7, n=1), result(8.1, 8.1, 8.1, "baseline:uniform"), result(2.1, 2.1, 2.1, "baseline:xz")])
    assert facts is not None
    assert (facts.value, facts.interval, facts.n) == ("1.60", "1.50 to 1.70", "1 document")
    assert "xz" in facts.chart
    assert "guessing" not in facts.chart


def test_the_headline_says_what_counts_beside_the_model_change():
    alone, together = result(1.6, 1.5, 1.7), result(1.45, 1.4, 1.5, "with_counts")
    facts = headline_facts([alone, together, result(2.1, 2.1, 2.1, "baseline:xz")])
    assert facts is not None
    assert facts.value == "1.60"
    assert "as rodna writes with it, 1.45 are enough." in facts.sentence
    assert facts.chart.index("with counts beside it") < facts.chart.index("this model") < facts.chart.index("xz")
    plain = headline_facts([alone])
    assert plain is not None
    assert "counted" not in plain.sentence
    assert "counts" not in plain.chart


def test_the_energy_estimate_names_its_assumption(page: Callable[..., str]):
    text = page("be")
    assert "of electricity, estimated" in text
    assert "40 W assumed while the stages ran" in text


def test_digests_seeds_and_settings_are_there_to_reproduce(page: Callable[..., str], project: Callable[[str], dict[str, Any]]):
    text = html.unescape(page("be"))
    for role, artifact in project("be").items():
        if artifact is not None:
            assert artifact.digest[:16] in text, role
            assert json.dumps(artifact.manifest.config, indent=2, ensure_ascii=False) in text, role
    assert 'pip install "rodna==' in text


def test_of_a_step_written_twice_the_later_record_counts(page: Callable[..., str], tmp_path: Path):
    with create(tmp_path / "model-00000000", kind="model", format_version=1, inputs={}, config={}) as draft:
        records = [{"tokens": tokens, "loss": loss} for tokens, loss in ((10, 8.0), (10, 9.0), (20, 7.0), (30, 5.0))]
        (draft.path / "metrics.jsonl").write_text("\n".join(map(json.dumps, records)) + '\n{"tokens": 40, "lo', encoding="utf-8")
        write_json(draft.path / "training.json", {})
    assert "Loss: training from 9.00 to 5.00" in page("be", model=draft.result)


def test_the_report_shows_only_as_much_as_asked_for(page: Callable[..., str]):
    text = page("be", ReportConfig(num_samples=1, num_excerpts=0, sample_characters=50))
    assert text.count('class="sample ') == 1
    assert "No excerpt was kept." in text
    assert 'class="missing">No samples' in page("be", ReportConfig(num_samples=0))


def test_an_unknown_language_is_refused():
    with pytest.raises(ConfigError, match="unknown language tag: 'klingonish'"):
        render(language="klingonish", name="x", artifacts={}, config=ReportConfig())


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.6532, "1.65"), (0.0042, "0.00420"), (12345.6, "12,346"), (7, "7"), (-0.5, "−0.500"), (0.0, "0"), ("x", "–"), (float("nan"), "–")],
)  # fmt: skip
def test_numbers_are_written_for_people(value: object, text: str):
    assert number(value) == text


@pytest.mark.parametrize(("part", "text"), [(0, "0%"), (0.0001, "<0.1%"), (0.042, "4.2%"), (0.5, "50%"), (0.9996, "99.9%"), (1, "100%")])
def test_shares_never_round_to_all_or_nothing(part: float, text: str):
    assert share(part, 1) == text


@pytest.mark.parametrize(
    ("unit", "value", "text"),
    [("share of texts caught in a loop", 0.042, "4.2%"), ("characters that stand so", 9.0, "9"), ("bits per UTF-8 byte", 2.0, "2.00")],
)
def test_results_are_written_in_their_unit(unit: str, value: float, text: str):
    assert written(Result("t", "m", value, unit, value, value, 3, "none"), value) == text
