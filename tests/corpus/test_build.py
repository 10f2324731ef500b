import itertools
import json
from collections import Counter

import pytest
import zstandard

from rodna.core.artifact import Artifact
from rodna.core.errors import ArtifactError, ConfigError, CorpusError, RodnaError
from rodna.corpus.build import KINDS, build_corpus, inputs_of, settings_of
from rodna.corpus.config import CorpusConfig, ExtractConfig, Source, SplitConfig
from rodna.corpus.documents import SPLITS, read_documents, read_dropped
from rodna.corpus.inspect import find_document, sample_documents, sample_dropped, statistics_of
from rodna.corpus.sources import fingerprint

CONFIG = CorpusConfig(split=SplitConfig(validation=0.1, test=0.1, min_bytes=300))


def sentences(start, count):
    return [f"Гэта сказ нумар {number}, і ён не падобны да іншых." for number in range(start, start + count)]


@pytest.fixture
def folder(tmp_path):
    texts = tmp_path / "texts"
    texts.mkdir()
    (texts / "a.txt").write_text("\n".join([*sentences(0, 100), *sentences(0, 5), "  ", "\x00\x01"]), encoding="utf-8")
    (texts / "b.txt").write_bytes("\n".join(sentences(100, 50)).encode() + b"\nbroken \xff\xfe bytes\n")
    (texts / "c.jsonl").write_text('{"text": "Асобны дакумент."}\nnot json\n', encoding="utf-8")
    (texts / "empty.txt").write_bytes(b"")
    (texts / "blank.txt").write_bytes(b" \n\n \n")
    (texts / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    (texts / "bad.parquet").write_bytes(b"PAR1 rubbish")
    return texts


@pytest.fixture
def corpus(folder, tmp_path):
    sources = {"lines": Source(path="texts", document="line", licence="CC0-1.0")}
    return build_corpus(sources, CONFIG, tmp_path / "out" / "be-00000000", language="be", root=tmp_path)


def every(corpus):
    return [document for split in SPLITS for document in read_documents(corpus.path, split)]


def test_every_document_read_is_kept_or_dropped_with_a_step_and_a_reason(corpus):
    figures = statistics_of(corpus)
    dropped = list(read_dropped(corpus.path))
    assert figures["balance"] == {"read": len(every(corpus)) + len(dropped), "kept": len(every(corpus)), "dropped": len(dropped)}
    assert Counter((item.step, item.reason) for item in dropped) == {
        ("deduplicate", "duplicate"): 5,
        ("normalize", "blank"): 1,
        ("extract", "undecodable"): 1,
        ("extract", "invalid_json"): 1,
        ("extract", "empty_file"): 1,
        ("extract", "blank_file"): 1,
        ("extract", "not_text"): 1,
        ("extract", "unreadable_file"): 1,
    }
    assert sum(entry["documents"] for entry in figures["dropped"]) == len(dropped)
    ids = [item.id for item in every(corpus)] + [item.id for item in dropped]
    assert len(set(ids)) == len(ids)


def test_the_details_of_drops_say_what_to_mend(corpus):
    details = {item.reason: item for item in read_dropped(corpus.path)}
    assert details["undecodable"].detail == "not valid UTF-8: byte 0xFF, byte 0xFE (2 in 1 line)"
    assert details["undecodable"].excerpt == "broken ?? bytes"
    assert details["duplicate"].detail.startswith("same text as lines/a.txt#")
    assert details["not_text"].detail == "PNG image: convert it to text first"
    assert details["empty_file"].detail == "the file has no bytes"
    assert details["blank_file"].detail == "nothing but white space, or no text in it"
    assert "the Parquet file cannot be read" in details["unreadable_file"].detail


def test_no_text_is_in_two_splits_and_all_splits_are_filled(corpus):
    texts = {split: {document.text for document in read_documents(corpus.path, split)} for split in SPLITS}
    assert not texts["train"] & (texts["validation"] | texts["test"])
    assert not texts["validation"] & texts["test"]
    assert set().union(*texts.values()) == {*sentences(0, 150), "Асобны дакумент."}
    assert all(corpus.counts[split]["bytes"] >= 300 for split in SPLITS)


def test_statistics_say_how_much_of_what_there_is(corpus):
    figures = statistics_of(corpus)
    documents = every(corpus)
    assert figures["total"] == {
        "documents": len(documents),
        "bytes": sum(len(document.text.encode()) for document in documents),
        "characters": sum(len(document.text) for document in documents),
    }
    assert figures["splits"] == {split: corpus.counts[split] for split in SPLITS}
    assert figures["scripts"] == {"Cyrl": 1.0}
    assert figures["characters"]["num_distinct"] == len(set("".join(document.text for document in documents)))
    assert sum(step["documents"] for step in figures["lengths"]) == len(documents)
    assert figures["sources"]["lines"]["files"] == 7
    assert corpus.manifest.licences == {"lines": "CC0-1.0"}


def test_building_twice_gives_the_same_bytes(corpus, folder, tmp_path):
    sources = {"lines": Source(path="texts", document="line", licence="CC0-1.0")}
    again = build_corpus(sources, CONFIG, tmp_path / "again" / "be-00000000", language="be", root=tmp_path)
    assert again.manifest.files == corpus.manifest.files
    assert again.digest == corpus.digest


def test_the_order_of_sources_and_how_they_are_read_belong_to_the_first_stage(folder, tmp_path):
    one, two = Source(path="texts/a.txt"), Source(path="texts/b.txt")
    settings = [settings_of("documents", sources, CONFIG, "be") for sources in ({"a": one, "b": two}, {"b": two, "a": one})]
    assert settings[0] != settings[1]
    assert fingerprint({"a": one}, tmp_path) == fingerprint({"a": one.model_copy(update={"licence": "CC0-1.0"})}, tmp_path)
    assert fingerprint({"a": one}, tmp_path) != fingerprint({"a": one.model_copy(update={"document": "line"})}, tmp_path)


def test_each_setting_of_the_corpus_belongs_to_one_stage():
    def names(value, start=()):
        return {name for key, item in value.items() for name in (names(item, (*start, key)) if isinstance(item, dict) else {(*start, key)})}

    sources = {"s": Source(path="texts")}
    parts = [names(settings_of(kind, sources, CONFIG, "be")) - {("language_tag",), ("sources",)} for kind in KINDS]
    # Which sources are the seed decides what the model is fitted to, and what the thresholds are.
    assert [first & second for first, second in itertools.combinations(parts, 2)] == [set(), set(), {("quality", "seed")}]
    assert set().union(*parts) == names(CONFIG.model_dump(mode="json", exclude={"runner"}))


def test_a_benchmark_or_identifier_that_changes_makes_its_stage_again(folder, tmp_path):
    def inputs(kind, **settings):
        return inputs_of(kind, "before", config=CorpusConfig.model_validate(settings), root=tmp_path)

    before = inputs("corpus", decontaminate={"benchmarks": ["texts/a.txt"]})
    (folder / "a.txt").write_text("іншы", encoding="utf-8")
    assert inputs("corpus", decontaminate={"benchmarks": ["texts/a.txt"]}) != before
    with pytest.raises(CorpusError, match="no such file or folder: nowhere") as error:
        inputs("cleaned", language={"identifier": "nowhere"})
    assert error.value.where == "corpus.language.identifier"


def test_the_artifact_holds_nothing_but_what_is_announced(corpus):
    names = {path.name for path in corpus.path.iterdir()}
    assert names == {
        "train.jsonl.zst",
        "validation.jsonl.zst",
        "test.jsonl.zst",
        "dropped.jsonl.zst",
        "cut.jsonl.zst",
        "statistics.json",
        "manifest.json",
    }
    Artifact.open(corpus.path, kind="corpus").verify()


def test_samples_are_repeatable_and_found_by_id(corpus):
    sample = sample_documents(corpus, num_documents=5, seed=1)
    assert sample == sample_documents(corpus, num_documents=5, seed=1)
    assert sample != sample_documents(corpus, num_documents=5, seed=2)
    split, found = find_document(corpus.path, sample[0].id)
    assert (split in SPLITS, found) == (True, sample[0])
    (duplicate,) = sample_dropped(corpus, num_documents=1, reason="duplicate")
    assert find_document(corpus.path, duplicate.id) == ("dropped", duplicate)
    assert find_document(corpus.path, "nothing") is None


def test_a_damaged_corpus_says_so(corpus):
    (corpus.path / "test.jsonl.zst").write_bytes(b"rubbish")
    with pytest.raises(ArtifactError, match=r"damaged artifact: test\.jsonl\.zst cannot be read"):
        list(read_documents(corpus.path, "test"))
    (corpus.path / "test.jsonl.zst").write_bytes(zstandard.compress(b'{"id": "x"\n'))
    with pytest.raises(ArtifactError, match=r"damaged artifact: test\.jsonl\.zst cannot be read"):
        list(read_documents(corpus.path, "test"))
    (corpus.path / "test.jsonl.zst").unlink()
    with pytest.raises(ArtifactError, match=r"damaged artifact: test\.jsonl\.zst is missing"):
        list(read_documents(corpus.path, "test"))
    (corpus.path / "statistics.json").write_text("{", encoding="utf-8")
    with pytest.raises(ArtifactError, match=r"statistics\.json cannot be read"):
        statistics_of(corpus)


def test_an_unknown_split_is_named(corpus):
    with pytest.raises(CorpusError, match="no such split: 'dev'") as error:
        list(read_documents(corpus.path, "dev"))
    assert error.value.fix == "use one of: train, validation, test"


def failing_build(tmp_path, sources, **settings):
    with pytest.raises((CorpusError, ConfigError)) as error:
        build_corpus(sources, CorpusConfig(**settings), tmp_path / "out" / "x-00000000", language="be", root=tmp_path)
    assert not list(tmp_path.glob("out/*")), "nothing half-written may be left"
    return error.value


def test_no_sources_are_an_error(tmp_path):
    assert failing_build(tmp_path, {}).what == "there is no text: `sources` is empty"


def test_a_missing_source_is_an_error_that_names_it(tmp_path):
    error = failing_build(tmp_path, {"s": Source(path="nowhere")})
    assert (error.what, error.fix) == ("the text of source 's' is not there", "correct sources.s.path in project.yaml")


def test_an_empty_folder_is_an_error(tmp_path):
    (tmp_path / "texts").mkdir()
    assert failing_build(tmp_path, {"s": Source(path="texts")}).what == "source 's' has no files"


def test_a_folder_of_useless_files_says_why_each_was_dropped(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"")
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.4 ...")
    error = failing_build(tmp_path, {"s": Source(path="*.*")})
    assert error.what == (
        "no document is left to learn from: 2 files read, everything in them dropped: 1 x damaged (extract); 1 x empty_file (extract)"
    )


def test_a_text_too_small_for_the_split_leaves_nothing_behind(tmp_path):
    (tmp_path / "a.txt").write_text("\n".join(sentences(0, 20)), encoding="utf-8")
    error = failing_build(tmp_path, {"s": Source(path="a.txt", document="line")})
    assert error.what == "too little text to hold any out: 20 documents, 1.53 kB; the split needs 49.2 kB at least"


def test_an_unknown_format_names_the_known_ones(tmp_path):
    (tmp_path / "a.txt").write_text("x", encoding="utf-8")

    with pytest.raises(RodnaError, match="unknown extractor: 'word'") as error:
        build_corpus({"s": Source(path="a.txt", format="word")}, CONFIG, tmp_path / "out-00000000", language="be", root=tmp_path)
    assert "html, json, json_lines, markdown, mediawiki" in error.value.fix


def test_documents_shorter_than_wanted_are_dropped_and_counted(folder, tmp_path):
    config = CONFIG.model_copy(update={"min_document_bytes": 77})
    built = build_corpus({"s": Source(path="texts", document="line")}, config, tmp_path / "x-00000000", language="be", root=tmp_path)
    short = [item for item in read_dropped(built.path) if item.reason == "too_short"]
    assert len(short) > 0
    assert short[0].detail == f"{short[0].size_bytes} bytes; corpus.min_document_bytes is 77"


def test_a_large_file_is_dropped_only_where_asked_for(folder, tmp_path):
    config = CONFIG.model_copy(update={"extract": ExtractConfig(max_file_bytes=5000)})
    built = build_corpus({"s": Source(path="texts", document="line")}, config, tmp_path / "x-00000000", language="be", root=tmp_path)
    assert [item.reason for item in read_dropped(built.path) if item.id.startswith("s/a.txt")] == ["file_too_large"]


def test_a_document_beyond_the_limit_is_cut_and_nothing_is_lost(tmp_path):
    text = " ".join(sentences(0, 400))
    (tmp_path / "a.txt").write_text(text, encoding="utf-8")
    config = CONFIG.model_copy(update={"max_document_bytes": 1024})
    built = build_corpus({"s": Source(path="a.txt")}, config, tmp_path / "x-00000000", language="be", root=tmp_path)
    documents = sorted(every(built), key=lambda document: int(document.id.rpartition("#")[2]))
    assert " ".join(document.text for document in documents) == text
    assert max(len(document.text.encode()) for document in documents) <= 1024


def test_statistics_are_plain_json_with_the_language(corpus):
    assert json.loads((corpus.path / "statistics.json").read_text(encoding="utf-8"))["language"] == "be"
    assert {document.language for document in every(corpus)} == {"be"}
