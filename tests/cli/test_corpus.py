"""`rodna corpus`: looking at a corpus, judging drops, describing it for others."""

import re
import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

PROJECT = """\
# A comment that must survive.
language: be
name: tales

sources:
  own: {path: own.txt, document: blank_line, licence: CC0-1.0}  # the village's
  other: {path: other.txt, document: line}
  pictures: {path: picture.png}

corpus:
  min_document_bytes: 20  # no single words
  split: {validation: 0.1, test: 0.1, min_bytes: 300}
  language: {action: keep}
  quality: {filter: false}
  deduplicate: {lines: 3}
  decontaminate: {held_out: false}
"""
REFRAIN = "Гэты радок стаіць у многіх тэкстах, слова ў слова, зноў і зноў."


@pytest.fixture(scope="module")
def built_once(tmp_path_factory) -> Path:
    from typer.testing import CliRunner

    from rodna.cli.main import app

    root = tmp_path_factory.mktemp("tales")
    own = [f"Казка {number} пра {number * 17}.\nЖыў чалавек {number * 31} гадоў.\n{REFRAIN}" for number in range(60)]
    (root / "own.txt").write_text("\n\n".join([*own, own[1], own[2], own[3]]), encoding="utf-8")
    other = [f"Сказ нумар {number} кажа, што {number * 7} не {number * 11}." for number in range(40)]
    (root / "other.txt").write_text("\n".join([*other, "так", "не [b]", "\x1b[31m"]), encoding="utf-8")
    (root / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (root / "project.yaml").write_text(PROJECT, encoding="utf-8")
    result = CliRunner().invoke(app, ["corpus", "build", "--workspace", str(root)])
    assert result.exit_code == 0, result.stderr
    return root


@pytest.fixture
def tales(built_once: Path, tmp_path: Path) -> Path:
    """A workspace of its own with a built corpus."""
    return Path(shutil.copytree(built_once, tmp_path / "tales"))


@pytest.fixture
def sample(rodna, tales):
    return lambda *arguments, **options: rodna("corpus", "sample", "--workspace", tales, *arguments, **options)


def test_building_says_which_sources_have_no_licence(rodna, tales):
    result = rodna("corpus", "build", "--workspace", tales)
    assert result.exit_code == 0
    assert "warning: no licence given for other, pictures" in result.stderr


def test_where_the_work_is_done_is_an_option_and_changes_nothing(rodna, tales, as_json):
    results = as_json(rodna("corpus", "build", "--workspace", tales, "--runner", "local", "--workers", 2, "--json"))
    assert [result["made"] for result in results.values()] == [False, False, False]
    assert rodna("corpus", "build", "--workspace", tales, "--runner", "spark").exit_code == 2


def test_inspecting_prints_tables_that_balance_and_writes_a_page(rodna, tales):
    result = rodna("corpus", "inspect", "--workspace", tales)
    assert result.exit_code == 0, result.stderr
    assert "The account balances to the document and the byte." in result.stdout
    assert "NO LICENCE GIVEN: other, pictures." in result.stdout
    for title in ("Sources", "Histograms of documents", "Effect of mixing", "Words only this text has"):
        assert title in result.stdout
    assert str(tales / "report" / "corpus.html") in result.stderr
    assert "The Belarusian corpus" in (tales / "report" / "corpus.html").read_text(encoding="utf-8")


def test_the_page_goes_where_it_is_asked_to_and_is_compared_with_what_is_named(rodna, tales, tmp_path):
    (tmp_path / "words.txt").write_text("казка пра", encoding="utf-8")
    result = rodna("corpus", "inspect", "-w", tales, "--html", tmp_path / "page.html", "--against", tmp_path / "words.txt")
    assert result.exit_code == 0, result.stderr
    assert f"Not in {tmp_path / 'words.txt'}" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert not (tales / "report").exists()


def test_inspecting_as_json_gives_the_figures(rodna, tales, as_json):
    found = as_json(rodna("corpus", "inspect", "--workspace", tales, "--json"))
    assert found["balance"]["read"] == found["balance"]["kept"] + found["balance"]["dropped"]


def test_a_licence_given_after_the_build_counts_without_a_new_build(rodna, tales, as_json):
    file = tales / "project.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("document: line}", "document: line, licence: CC-BY-4.0}"), encoding="utf-8")
    found = as_json(rodna("corpus", "inspect", "--workspace", tales, "--json"))
    assert found["sources"]["other"]["licence"] == "CC-BY-4.0"


def test_samples_are_of_what_is_asked_for(sample, as_json):
    assert {item["source"] for item in as_json(sample("--split", "validation", "--source", "own", "--json", "-n", 3))} == {"own"}
    dropped = as_json(sample("--dropped", "--reason", "duplicate", "--json"))
    assert [item["reason"] for item in dropped] == ["duplicate"] * 3
    assert {item["reason"] for item in as_json(sample("--cut", "--step", "deduplicate", "--json"))} == {"repeated_line"}
    assert as_json(sample("--language", "be", "--json", "-n", 2))


def test_of_a_drop_the_whole_text_and_what_tripped_it_are_shown(sample):
    result = sample("--dropped", "--reason", "duplicate", "-n", 1)
    assert "deduplicate: duplicate; same text as own/own.txt#" in result.stdout
    assert REFRAIN in result.stdout
    cut = sample("--cut", "-n", 1)
    assert "repeated_line; stands in own/own.txt#1" in cut.stdout


@pytest.mark.parametrize(
    ("arguments", "what", "fix"),
    [
        (["--dropped", "--reason", "ugly"], "nothing was dropped or cut for reason 'ugly'", "duplicate (deduplicate, 3)"),
        (["--cut", "--reason", "duplicate"], "nothing was dropped or cut for reason 'duplicate'", "repeated_line (deduplicate,"),
        (["--source", "bible"], "no such source: 'bible'", "own, other, pictures"),
        (["--language", "xx"], "no document is labelled 'xx'", "be ("),
        (["--reason", "duplicate"], "--step and --reason need one of them", "--dropped --reason"),
        (["--dropped", "--cut"], "--dropped and --cut exclude each other", "--dropped --reason"),
        (["--keep"], "--keep and --judge need --dropped", "--dropped --reason"),
        (["--document", "tales/*"], "--document says which drops to keep", "--dropped --keep"),
        (["--dropped", "--judge"], "one reason is judged at a time", "add --reason"),
        (["--dropped", "--step", "filter", "--keep"], "a rule names a reason, not a step", "give --reason"),
        (["--dropped", "--keep"], "a rule that names nothing keeps everything", "give --reason"),
        (["--dropped", "--keep", "--reason", "not_text"], "no rule can bring them back: extract dropped them", "mend it"),
        (["--dropped", "--judge", "--reason", "not_text"], "no rule can bring them back: extract dropped them", "mend it"),
    ],
)
def test_what_cannot_be_shown_or_overruled_is_refused_with_what_can(sample, tales, arguments, what, fix):
    result = sample(*arguments)
    assert result.exit_code == 1
    assert what in result.stderr
    assert fix in result.stderr
    assert (tales / "project.yaml").read_text(encoding="utf-8") == PROJECT


def test_a_drop_is_overruled_by_a_rule_and_only_the_choice_is_done_again(rodna, sample, tales, as_json):
    result = sample("--dropped", "--reason", "too_short", "--source", "other", "--keep")
    assert result.exit_code == 0, result.stderr
    assert "reason too_short, source other: brings back 3 documents" in result.stderr
    text = (tales / "project.yaml").read_text(encoding="utf-8")
    for comment in ("# A comment that must survive.", "# the village's", "# no single words"):
        assert comment in text
    assert "- {reason: too_short, source: other}" in text
    made = as_json(rodna("corpus", "build", "--workspace", tales, "--json"))
    assert [made[stage]["made"] for stage in ("documents", "cleaned", "corpus")] == [False, False, True]
    assert "too_short" not in [entry["reason"] for entry in as_json(rodna("corpus", "inspect", "-w", tales, "--json"))["dropped"]]


def test_rules_can_be_added_one_after_another_before_the_next_build(sample, tales):
    assert sample("--dropped", "--reason", "duplicate", "--keep").exit_code == 0
    assert sample("--dropped", "--reason", "too_short", "--keep", "--document", "other/*").exit_code == 0
    again = sample("--dropped", "--reason", "duplicate", "--keep")
    assert again.exit_code == 1
    assert "the rule is there already: reason duplicate" in again.stderr
    rules = YAML(typ="safe").load((tales / "project.yaml").read_text(encoding="utf-8"))["corpus"]["keep"]
    assert rules == [{"reason": "duplicate"}, {"reason": "too_short", "document": "other/*"}]


def test_a_project_without_a_corpus_section_gets_one(tmp_path):
    from rodna.cli.projectfile import add_keep_rules

    file = tmp_path / "project.yaml"
    file.write_text("language: be  # ours\n", encoding="utf-8")
    assert add_keep_rules(file, [{"document": "a/b#1"}, {"document": "a/b#1"}]) == 1
    assert file.read_text(encoding="utf-8") == "language: be  # ours\ncorpus:\n  keep:\n    - {document: a/b#1}\n"


def test_judging_documents_writes_a_rule_for_each_that_is_kept(sample, tales):
    result = sample("--dropped", "--reason", "duplicate", "--judge", stdin="x\nk\nd\nK\n")
    assert result.exit_code == 0, result.stderr
    assert "3 judged, 2 to keep" in result.stderr
    assert REFRAIN in result.stderr
    rules = YAML(typ="safe").load((tales / "project.yaml").read_text(encoding="utf-8"))["corpus"]["keep"]
    assert [set(rule) for rule in rules] == [{"reason", "document"}] * 2
    assert {rule["reason"] for rule in rules} == {"duplicate"}


def test_where_most_are_good_one_rule_for_the_reason_is_offered(sample, tales, monkeypatch):
    monkeypatch.setattr("rodna.cli.judging.ENOUGH", 3)
    declined = sample("--dropped", "--reason", "duplicate", "--judge", stdin="k\nk\nk\nn\n")
    assert "most are good: keep all that was dropped for duplicate?" in declined.stderr
    assert (tales / "project.yaml").read_text(encoding="utf-8").count("- {reason") == 3
    shutil.copyfile(tales / "project.yaml", tales / "before.yaml")
    (tales / "project.yaml").write_text(PROJECT, encoding="utf-8")
    accepted = sample("--dropped", "--reason", "duplicate", "--judge", stdin="k\nk\nk\ny\n")
    assert "reason duplicate: brings back 3 documents" in accepted.stderr
    assert "- {reason: duplicate}" in (tales / "project.yaml").read_text(encoding="utf-8")


def test_leaving_off_judging_keeps_what_was_decided_and_no_answer_changes_nothing(sample, tales):
    assert "1 judged, 1 to keep" in sample("--dropped", "--reason", "duplicate", "--judge", stdin="k\nq\n").stderr
    assert (tales / "project.yaml").read_text(encoding="utf-8").count("- {reason") == 1
    (tales / "project.yaml").write_text(PROJECT, encoding="utf-8")
    assert "0 judged, 0 to keep" in sample("--dropped", "--reason", "duplicate", "--judge").stderr
    assert (tales / "project.yaml").read_text(encoding="utf-8") == PROJECT


def test_a_card_needs_all_licences_or_is_a_draft(rodna, tales, as_json):
    refused = rodna("corpus", "card", "--workspace", tales)
    assert refused.exit_code == 1
    assert "no licence is given for other, pictures" in refused.stderr
    found = as_json(rodna("corpus", "card", "--workspace", tales, "--draft", "--json"))
    assert found["draft"] is True
    assert [item["path"] for item in found["files"]] == ["data/train.parquet", "data/validation.parquet", "data/test.parquet"]
    assert (tales / "dataset" / "croissant.json").is_file()
    elsewhere = rodna("corpus", "card", "--workspace", tales, "--draft", "--out", tales / "elsewhere")
    assert elsewhere.stdout.strip() == str(tales / "elsewhere")
    assert "a draft, not to be published" in elsewhere.stderr


def test_the_guide_names_only_settings_and_options_that_exist(rodna):
    from rodna.core.config import Section
    from rodna.corpus.config import CorpusConfig

    guide = (Path(__file__).resolve().parents[2] / "docs" / "corpus.md").read_text(encoding="utf-8")
    sections = {name: type(field.default) for name, field in CorpusConfig.model_fields.items() if isinstance(field.default, Section)}
    named = re.findall(rf"`(?:corpus\.)?({'|'.join(sections)})\.([a-z_]+)", guide)
    assert len(named) > 15
    assert [f"{section}.{key}" for section, key in named if key not in sections[section].model_fields] == []
    for verb in ("build", "inspect", "sample", "card"):
        lines = "\n".join(re.findall(rf"rodna corpus {verb}[^\n`]*", guide))
        shown = rodna("corpus", verb, "--help").stdout
        assert [option for option in re.findall(r"--[a-z-]+", lines) if option not in re.sub(r"\s+", " ", shown)] == []


def test_verbs_that_need_a_corpus_say_how_to_make_one(rodna, workspace):
    for verb in ("inspect", "sample", "card"):
        result = rodna("corpus", verb, "--workspace", workspace)
        assert result.exit_code == 1
        assert "rodna corpus build" in result.stderr


def test_the_language_identifier_has_its_own_verbs(rodna):
    assert "train" in rodna("corpus", "langid", "--help").stdout
