"""Settings reach the steps that they are about, and what one step leaves out another does not rely on."""

import json
from pathlib import Path

import numpy as np
import pytest
from tests.corpus.copies import text_of

from rodna.core.errors import CorpusError
from rodna.corpus.build import build_corpus, make_cleaned, make_documents, settings_of
from rodna.corpus.config import CorpusConfig, Source
from rodna.corpus.deduplicate.spans import PASSAGE, PASSAGE_KINDS, snapped
from rodna.corpus.documents import SPLITS, Document, copy_id, original_id, read_cut, read_documents, read_dropped
from rodna.corpus.inspect import statistics_of
from rodna.corpus.passes import write
from rodna.corpus.passes.clean import seed_texts
from rodna.corpus.passes.select import DECISION
from rodna.corpus.passes.shards import SHARD_DOCUMENTS, RollingWriter
from rodna.corpus.quality.measures import TABLE
from rodna.corpus.quality.thresholds import LENGTHS
from rodna.corpus.split import assign_splits

LOOSE = {"language": {"identifier": "off"}, "quality": {"filter": False}, "split": {"validation": 0.1, "test": 0.1, "min_bytes": 200}}


def config_of(**settings):
    return CorpusConfig.model_validate({**LOOSE, **settings})


def prose(seed, number=40):
    return text_of("Belarusian", number, seed) + "."


def write_texts(folder: Path, texts: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, text in enumerate(texts):
        (folder / f"{number:03d}.txt").write_text(text, encoding="utf-8")


def build(root, config, *, out="out/be-00000000", **folders):
    sources = {name: Source(path=name, licence="CC0-1.0") for name in folders}
    for name, texts in folders.items():
        write_texts(root / name, texts)
    return build_corpus(sources, config, root / out, language="be", root=root)


def every(corpus):
    return [document for split in SPLITS for document in read_documents(corpus.path, split)]


THRESHOLDS = {"bounds": {measure.name: [None] * (len(LENGTHS) + 1) for measure in TABLE}}
MENU = "\n".join(["Галоўная", "Навіны", "Спорт", "Культура", "Пошук", "Кантакты"])


@pytest.mark.parametrize("boilerplate", [True, False])
def test_menus_are_cut_only_where_that_is_asked_for(tmp_path, boilerplate):
    texts = ["\n".join(prose(10 * page + line, 20) for line in range(10)) for page in range(40)]
    texts[7] = f"{MENU}\n{texts[7]}"
    corpus = build(tmp_path, config_of(quality={"filter": False, "boilerplate": boilerplate}), web=texts)
    assert ("Галоўная" in "".join(document.text for document in every(corpus))) is not boilerplate
    assert "boilerplate" in settings_of("cleaned", {}, CorpusConfig(), "be")["quality"]


def test_what_was_fitted_to_other_text_is_not_used_again_in_one_process(tmp_path):
    config = config_of(normalize={"homoglyphs": False})
    sources = {"a": Source(path="a")}
    found = []
    for mark in "’ʼ":
        write_texts(tmp_path / "a", [f"сям{mark}я аб{mark}ява пад{mark}езд {prose(number)}" for number in range(40)] + ["сям'я"])
        documents = make_documents(sources, config, tmp_path / "documents", language="be", root=tmp_path)
        cleaned = make_cleaned(documents, sources, config, tmp_path / "cleaned", language="be", root=tmp_path)
        repairs = json.loads((cleaned.path / "repairs.json").read_text(encoding="utf-8"))
        tally = json.loads((cleaned.path / "tally.json").read_text(encoding="utf-8"))
        found.append((repairs["apostrophes"], tally["repaired"]))
    # Each text's own apostrophe is kept: only the one odd word is changed, in the second text too.
    assert [repaired[0][-1] for _, repaired in found] == [1, 1], found


def test_a_seed_that_names_no_source_is_refused_before_any_text_is_read(tmp_path):
    with pytest.raises(CorpusError, match="no such source: bibel") as error:
        make_documents(
            {"bible": Source(path="not read")}, config_of(quality={"seed": ["bibel"]}), tmp_path / "out", language="be", root=tmp_path
        )
    assert error.value.where == "corpus.quality.seed"
    assert "bible" in error.value.fix


@pytest.mark.parametrize(
    ("rule", "what"),
    [({"reason": "unlikly_text"}, "no rule can overrule 'unlikly_text'"), ({"source": "bibel"}, "no such source: bibel")],
)
def test_a_rule_that_names_nothing_there_is_refused_before_any_text_is_read(tmp_path, rule, what):
    with pytest.raises(CorpusError) as error:
        build_corpus({"bible": Source(path="not read")}, config_of(keep=[rule]), tmp_path / "out", language="be", root=tmp_path)
    assert (error.value.what, error.value.where) == (what, "corpus.keep")
    assert "unlikely_text" in error.value.fix or "bible" in error.value.fix


def test_the_seed_is_found_wherever_in_the_corpus_it_lies(tmp_path):
    shards = []
    for number in range(130):
        writer = RollingWriter(tmp_path, f"{number:05d}")
        name = "bible" if number == 7 else "web"
        text = f"{name} {number}"
        writer.write(Document(f"{name}/x#{number}", text, name, "be"), len(text))
        writer.close()
        shards += writer.shards
    assert list(seed_texts(tmp_path, shards, ["bible"])) == ["bible 7"]


def test_a_shard_of_short_documents_is_full_when_their_rows_fill_memory(tmp_path):
    writer = RollingWriter(tmp_path, "00000")
    for number in range(SHARD_DOCUMENTS + 1):
        writer.write(Document(f"a/b#{number}", "x", "a", "be"), 1)
    writer.close()
    assert [shard["documents"] for shard in writer.shards] == [SHARD_DOCUMENTS, 1]


def test_where_the_choice_leaves_nothing_its_reasons_are_told(tmp_path):
    with pytest.raises(CorpusError, match=r"2 x too_short \(filter\)"):
        build(tmp_path, config_of(min_document_bytes=10_000), a=[prose(1), prose(2)])


def test_a_corpus_that_keeps_nothing_to_train_on_is_an_error(tmp_path):
    texts = [prose(number, 60) for number in range(30)]
    write_texts(tmp_path / "benchmark", texts)
    with pytest.raises(CorpusError, match=r"no training text is left.*in_benchmark") as error:
        build(tmp_path, config_of(decontaminate={"benchmarks": ["benchmark"]}), a=texts)
    assert "corpus.decontaminate.benchmarks" in error.value.fix


def test_a_document_kept_by_a_rule_is_written_once_although_its_source_is_left_out(tmp_path):
    texts = [prose(number) for number in range(40)]
    config = config_of(mix={"weights": {"b": 0}}, keep=[{"reason": "over_cap", "source": "b"}])
    corpus = build(tmp_path, config, a=texts[:30], b=texts[30:])
    figures = statistics_of(corpus)
    trained = [document for document in read_documents(corpus.path, "train") if document.source == "b"]
    assert len(trained) == figures["sources"]["b"]["splits"]["train"]["documents"] > 0
    assert figures["sources"]["b"]["copied"] == 0
    assert figures["splits"]["train"]["documents"] == sum(1 for _ in read_documents(corpus.path, "train"))
    effect = next(entry for entry in figures["selection"]["mix"] if entry["source"] == "b")
    assert effect["documents_left_out"] == 0
    assert effect["bytes_after"] == effect["bytes_before"]


def test_what_mixing_leaves_out_keeps_no_passage_that_others_are_cut_of(tmp_path):
    shared = prose(1000, 120)
    config = config_of(mix={"weights": {"a": 0}}, deduplicate={"near": False, "passages": 200}, decontaminate={"held_out": False})
    own = [f"{prose(number, 60)}\n{shared}\n{prose(500 + number, 60)}" for number in range(40)]
    corpus = build(tmp_path, config, a=own[:20], b=own[20:])
    trained = [document for document in read_documents(corpus.path, "train")]
    assert {document.source for document in trained} == {"b"}
    assert sum(shared[50:-50] in document.text for document in trained) == 1
    assert any(True for _ in read_cut(corpus.path))


def test_left_out_documents_say_by_which_setting(tmp_path):
    corpus = build(tmp_path, config_of(mix={"weights": {"b": 0}}), a=[prose(n) for n in range(30)], b=[prose(n) for n in range(30, 40)])
    details = {item.detail for item in read_dropped(corpus.path) if item.reason == "over_cap"}
    assert len(details) == 1
    assert "corpus.mix" in details.pop()


def test_a_passage_that_lies_inside_one_word_is_not_cut(tmp_path):
    config = config_of()
    text = "а" * 400 + " канец"
    write_texts(tmp_path / "a", [text, *(prose(number) for number in range(20))])
    sources = {"a": Source(path="a")}
    documents = make_documents(sources, config, tmp_path / "documents-00000000", language="be", root=tmp_path)
    cleaned = make_cleaned(documents, sources, config, tmp_path / "cleaned-00000000", language="be", root=tmp_path)
    name = json.loads((cleaned.path / "shards.json").read_text(encoding="utf-8"))["shards"][0]["name"]
    decisions = np.zeros(21, DECISION)
    decisions["repeats"] = 1
    passages = np.zeros(1, PASSAGE)
    passages["start"], passages["end"], passages["kind"], passages["other"] = 100, 300, PASSAGE_KINDS.index("repeated_passage"), 5
    for kind, values in (("decisions", decisions), ("passages", passages)):
        np.save(tmp_path / f"{name}.{kind}.npy", values)
    (tmp_path / f"{name}.others.json").write_text('{"repeated_passage:5": "a/005.txt#1"}', encoding="utf-8")
    (tmp_path / "judgement.json").write_text(json.dumps({"labels": [], "thresholds": THRESHOLDS, "min_document_bytes": 1}))
    task = {"cleaned": str(cleaned.path), "selected": str(tmp_path), "out": str(tmp_path), "name": name, "sources": ["a"]}
    result = write.write_task(task)
    assert sum(entry[-1] for entry in result["tally"]["kept_documents"]) == 21
    assert "changed_bytes" not in result["tally"]


def test_a_split_of_very_many_documents_looks_only_at_those_it_may_take():
    config = CorpusConfig().split
    positions = np.random.Generator(np.random.PCG64(1)).random(50_000)
    split = assign_splits(positions, np.full(50_000, 1000), config, where="")
    assert (split == np.where(positions < 0.05, 2, np.where(positions < 0.1, 1, 0))).all()


@pytest.mark.parametrize("identity", ["a/b.txt#7", "a/b~2.txt#7", "a/b#1~3#7", "a/b#x~2"])
def test_a_copy_is_told_from_a_document_whose_name_looks_like_one(identity):
    assert original_id(identity) == identity
    if identity.endswith("#7"):
        assert original_id(copy_id(identity, 2)) == identity


@pytest.mark.parametrize("letters", ["ᬅᬓᬔ", "ꦄꦏꦒ", "ꪀꪁꪂ", "ꩡꩢꩣ"])
def test_scripts_that_part_no_words_may_be_cut_between_any_two_letters(letters):
    assert snapped(letters * 10, 5, 20) == (5, 20)


def test_documents_are_never_so_long_that_their_places_do_not_fit_in_32_bits():
    with pytest.raises(ValueError, match="less than or equal to 1073741824"):
        CorpusConfig(max_document_bytes=1 << 32)
