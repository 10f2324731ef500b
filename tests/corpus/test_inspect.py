"""The account of a corpus, samples of it, its distributions, and overruling drops."""

import json

import numpy as np
import pytest

from rodna.core.errors import ArtifactError, CorpusError
from rodna.corpus.build import build_corpus, make_cleaned, make_corpus, make_documents
from rodna.corpus.config import (
    CorpusConfig,
    DecontaminateConfig,
    DeduplicateConfig,
    KeepRule,
    LanguageConfig,
    MixConfig,
    QualityConfig,
    Source,
    SplitConfig,
)
from rodna.corpus.deduplicate.near import COPY
from rodna.corpus.distributions import by_size, describe_copies, distributions_of, repeated_lines
from rodna.corpus.documents import Dropped, read_cut, read_documents, read_dropped
from rodna.corpus.inspect import (
    balances,
    check_reason,
    check_source,
    cut_reasons,
    ledger_of,
    reasons_of,
    sample_cut,
    sample_documents,
    sample_dropped,
    samples_by_reason,
    samples_by_source,
    statistics_of,
    without_licence,
)
from rodna.corpus.labelled import ids_labelled
from rodna.corpus.overrule import can_return, check_rule, effect_of, how_instead, literal, matches, texts_of

SHARED = "Гэтая доўгая прамова стаіць у кожным з гэтых тэкстаў, слова ў слова, і таму яе досыць прачытаць толькі адзін раз."
SETTINGS = {
    "split": SplitConfig(validation=0.1, test=0.1, min_bytes=300),
    "language": LanguageConfig(action="keep"),
    "quality": QualityConfig(filter=False),
    "deduplicate": DeduplicateConfig(lines=3),
    "decontaminate": DecontaminateConfig(held_out=False),
    "min_document_bytes": 20,
}


def texts():
    own = [f"Нумар {number} кажа сваё.\nУ доме {number * 7} жыве чалавек, якога завуць {number * 13}." for number in range(60)]
    shared = [f"Пачатак {number} зусім іншы, чым усе.\n{SHARED}\nКанец {number * 31} таксама." for number in range(20)]
    return own, shared


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The cleaned documents and the corpus of two sources with copies, short documents, shared lines and an unreadable file."""
    root = tmp_path_factory.mktemp("made")
    own, shared = texts()
    (root / "own.txt").write_text("\n\n".join([*own, own[3], own[4], "коратка"]), encoding="utf-8")
    (root / "shared.txt").write_text("\n\n".join(shared), encoding="utf-8")
    (root / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    sources = {
        "own": Source(path="own.txt", document="blank_line", licence="CC0-1.0"),
        "shared": Source(path="shared.txt", document="blank_line"),
        "pictures": Source(path="picture.png"),
    }
    config = CorpusConfig(**SETTINGS)
    documents = make_documents(sources, config, root / "documents-00000000", language="be", root=root)
    cleaned = make_cleaned(documents, sources, config, root / "cleaned-00000000", language="be", root=root)
    corpus = make_corpus(cleaned, sources, config, root / "corpus-00000000", language="be", root=root)
    return root, sources, cleaned, corpus


@pytest.fixture
def corpus(made):
    return made[3]


@pytest.fixture
def statistics(corpus):
    return statistics_of(corpus)


def test_the_ledger_leads_from_what_was_read_to_what_was_kept_in_documents_and_bytes(statistics):
    entries = ledger_of(statistics)
    assert (entries[0].what, entries[-1].what) == ("read", "kept")
    assert entries[0].documents_left + sum(entry.documents for entry in entries[1:-1]) == entries[-1].documents_left
    assert entries[0].bytes_left + sum(entry.size_bytes for entry in entries[1:-1]) == entries[-1].bytes_left
    assert balances(statistics)
    steps = [entry.step for entry in entries[1:-1]]
    assert steps.index("extract") < steps.index("filter") < steps.index("deduplicate")
    assert ("deduplicate", "cut") in [(entry.step, entry.what) for entry in entries]


def test_a_ledger_with_a_lost_document_does_not_balance(statistics):
    statistics["balance"]["kept"] -= 1
    assert not balances(statistics)


def test_plugins_stand_in_the_ledger_after_repairs(statistics):
    statistics["dropped"].append({"step": "no_numbers", "reason": "number", "documents": 0, "bytes": 5})
    assert [entry.step for entry in ledger_of(statistics)].index("no_numbers") == 2


def test_a_source_without_a_licence_is_named_until_the_project_gives_one(made, statistics):
    _, sources, _, corpus = made
    assert without_licence(statistics) == ["shared", "pictures"]
    later = {name: source.model_copy(update={"licence": "CC-BY-4.0", "origin": "a village"}) for name, source in sources.items()}
    assert without_licence(statistics_of(corpus, later)) == []
    assert statistics_of(corpus, later)["sources"]["shared"]["origin"] == "a village"


def test_damaged_figures_are_an_error_about_the_corpus(made, tmp_path):
    import shutil

    from rodna.core.artifact import Artifact

    copy = tmp_path / "copy-00000000"
    shutil.copytree(made[3].path, copy)
    damaged = Artifact(copy, made[3].manifest)
    (copy / "statistics.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"statistics\.json cannot be read"):
        statistics_of(damaged, made[1])


def test_samples_are_of_the_split_step_reason_and_source_asked_for(corpus):
    assert {item.reason for item in sample_dropped(corpus, num_documents=9, step="deduplicate")} == {"duplicate"}
    assert {item.source for item in sample_dropped(corpus, num_documents=9, source="pictures")} == {"pictures"}
    assert len(sample_documents(corpus, num_documents=7, split="train", source="own")) == 7
    assert {item.reason for item in sample_cut(corpus, num_passages=50)} == {"repeated_line"}
    wanted = {document.id for document in read_documents(corpus.path, "train")}
    chosen = sorted(wanted)[:3]
    assert {document.id for document in sample_documents(corpus, num_documents=9, ids=set(chosen))} == set(chosen)


def test_another_seed_chooses_other_documents_and_the_same_seed_the_same(corpus):
    one, again, two = (sample_documents(corpus, num_documents=5, seed=seed) for seed in (1, 1, 2))
    assert one == again
    assert one != two


def test_samples_by_reason_show_every_reason_in_one_reading(corpus):
    found = samples_by_reason(read_dropped(corpus.path), num_each=1)
    assert {key: len(items) for key, items in found.items()} == {
        ("extract", "not_text"): 1, ("filter", "too_short"): 1, ("deduplicate", "duplicate"): 1,
    }  # fmt: skip
    assert set(samples_by_source(corpus, num_each=2)) == {"own", "shared"}


def test_cut_passages_are_counted_by_reason(corpus):
    assert cut_reasons(corpus) == {("deduplicate", "repeated_line"): len(list(read_cut(corpus.path)))}


@pytest.mark.parametrize(
    ("step", "reason", "named"),
    [("", "bad", "for reason 'bad'"), ("mix", "", "by step 'mix'"), ("filter", "duplicate", "by step 'filter' for reason 'duplicate'")],
)
def test_an_unknown_reason_or_step_names_those_there_are(statistics, step, reason, named):
    with pytest.raises(CorpusError) as error:
        check_reason(reasons_of(statistics), step=step, reason=reason)
    assert named in error.value.what
    assert "duplicate (deduplicate, 2)" in error.value.fix
    assert "too_short (filter, 1)" in error.value.fix


def test_a_reason_that_exists_is_accepted_and_an_unknown_source_is_not(statistics):
    check_reason(reasons_of(statistics), step="filter", reason="too_short")
    check_source(statistics, "own")
    with pytest.raises(CorpusError, match="no such source: 'bible'") as error:
        check_source(statistics, "bible")
    assert "own, shared, pictures" in error.value.fix


def test_documents_are_found_by_the_label_the_identifier_gave_them(made):
    _, _, cleaned, _ = made
    from rodna.corpus.identify import load_identifier

    labels = load_identifier(LanguageConfig(), language="be", root=made[0]).labels
    found = ids_labelled(cleaned, labels, "be")
    assert found
    assert all(identity.startswith(("own/", "shared/")) for identity in found)
    with pytest.raises(CorpusError, match="no document is labelled 'xx'") as error:
        ids_labelled(cleaned, labels, "xx")
    assert "be (" in error.value.fix


def test_histograms_count_every_document_that_has_a_measure(made, statistics):
    _, _, cleaned, corpus = made
    found = distributions_of(cleaned, corpus, statistics["selection"]["thresholds"])
    assert found.num_shown == found.num_documents == cleaned.counts["documents"]
    for item in (found.length, *found.language, *found.quality):
        assert len(item.edges) == len(item.counts) + 1
        assert sum(item.counts) == item.num_measured
        assert list(item.edges) == sorted(item.edges)
        assert all(item.edges[0] <= bound <= item.edges[-1] for bound in item.bounds), item.name
    assert {item.name for item in found.language} == {"confidence", "share"}
    assert found.length.edges[:5] == (1, 2, 5, 10, 20)


def test_a_large_corpus_is_drawn_by_every_so_many_th_document(made, statistics, monkeypatch):
    monkeypatch.setattr("rodna.corpus.distributions.MAX_ROWS", 20)
    found = distributions_of(made[2], made[3], None)
    assert found.num_shown <= 20 < found.num_documents
    assert all(not item.bounds for item in found.quality)


def test_near_copies_and_clusters_are_told_by_similarity_and_size():
    copies = np.zeros(6, COPY)
    copies["kept"] = [-1, 0, 0, -1, 3, -1]
    copies["kind"] = [0, 2, 1, 0, 2, 0]
    copies["similarity"] = [0, 0.93, 1, 0, 0.66, 0]
    copies["cluster"] = [0, 0, 0, 3, 3, 5]
    found = describe_copies(copies)
    assert [entry for entry in found["similarity"] if entry[2]] == [[0.65, 0.7, 1], [0.9, 0.95, 1]]
    assert found["clusters"] == [[2, 2, 1, 2], [3, 3, 1, 3]]
    assert describe_copies(copies[:0]) == {"similarity": [], "clusters": []}


def test_sizes_are_summed_up_in_growing_ranges():
    assert by_size(np.array([1, 1, 2, 4, 7, 250_000]), np.array([1, 1, 1, 1, 1, 5])) == [
        [1, 1, 2, 2], [2, 2, 1, 1], [3, 4, 1, 1], [5, 7, 1, 1], [100_000, 250_000, 1, 5],
    ]  # fmt: skip


def test_lines_are_counted_by_how_many_documents_they_stand_in(made):
    rows, whole = repeated_lines(made[2])
    assert whole
    low, high, lines, characters = rows[-1]
    assert low <= 20 <= high
    assert lines == 1
    assert characters == pytest.approx(20 * (len(SHARED) + 1), abs=20)


def test_only_drops_by_the_choice_can_come_back_and_others_say_what_to_do_instead():
    assert can_return("deduplicate", "duplicate")
    assert not can_return("deduplicate", "nothing_new")
    assert not can_return("extract", "not_text")
    assert "mend it" in how_instead("extract")
    assert "corpus.deduplicate.lines" in how_instead("deduplicate")
    assert "white space" in how_instead("normalize")
    assert "corpus.decontaminate.benchmarks" in how_instead("decontaminate")
    assert "plugin 'no_numbers'" in how_instead("no_numbers")


def test_a_rule_matches_where_every_field_given_does():
    item = Dropped("own/own.txt#3", "own", "filter", "too_short", "", 9, "")
    assert matches(KeepRule(reason="too_short", source="own", document="own/*"), item)
    assert not matches(KeepRule(reason="too_short", source="shared"), item)
    assert not matches(KeepRule(document="shared/*"), item)
    assert matches(KeepRule(document=literal("a[1]*?/b#1")), Dropped("a[1]*?/b#1", "a", "filter", "too_short", "", 9, ""))
    assert not matches(KeepRule(document=literal("a*")), Dropped("ab", "a", "filter", "too_short", "", 9, ""))


def test_the_effect_of_a_rule_is_counted_and_carried_out_by_the_choice_alone(made):
    root, sources, cleaned, corpus = made
    rule = KeepRule(reason="duplicate", source="own")
    effect = check_rule(corpus, rule, ())
    assert effect.returning == {("deduplicate", "duplicate"): 2}
    assert effect.size_bytes == sum(item.size_bytes for item in read_dropped(corpus.path) if item.reason == "duplicate")
    again = make_corpus(cleaned, sources, CorpusConfig(**SETTINGS, keep=(rule,)), root / "again-00000000", language="be", root=root)
    assert again.counts["documents_kept"] == corpus.counts["documents_kept"] + 2


@pytest.mark.parametrize(
    ("rule", "existing", "what", "fix"),
    [
        (KeepRule(), (), "names nothing", "give --reason, --source or --document"),
        (KeepRule(reason="duplicate"), (KeepRule(reason="duplicate"),), "there already", "rodna corpus build"),
        (KeepRule(reason="over_cap"), (), "no dropped document is meant: reason over_cap", "rodna corpus sample --dropped"),
        (KeepRule(source="pictures"), (), "1 documents are meant, but no rule can bring them back", "mend it"),
    ],
)
def test_a_rule_that_would_change_nothing_is_refused(corpus, rule, existing, what, fix):
    with pytest.raises(CorpusError) as error:
        check_rule(corpus, rule, existing)
    assert what in error.value.what
    assert fix in error.value.fix


def test_what_a_rule_cannot_bring_back_is_counted_beside_what_it_can(corpus):
    effect = effect_of(corpus, KeepRule(document="*"))
    assert effect.returning.total() == 3
    assert effect.lost == {("extract", "not_text"): 1}


def test_the_whole_text_of_a_drop_is_read_from_the_cleaned_documents(made):
    _, _, cleaned, corpus = made
    dropped = [item for item in read_dropped(corpus.path) if item.reason == "duplicate"]
    found = texts_of(cleaned, [item.id for item in dropped])
    assert set(found) == {item.id for item in dropped}
    assert set(found.values()) == set(texts()[0][3:5])
    assert texts_of(cleaned, ["own/own.txt#9999"]) == {}


def test_copies_made_by_mixing_count_as_the_document_they_are_of(tmp_path):
    own, _ = texts()
    (tmp_path / "own.txt").write_text("\n\n".join(own), encoding="utf-8")
    sources = {"own": Source(path="own.txt", document="blank_line")}
    config = CorpusConfig(**SETTINGS, mix=MixConfig(weights={"own": 2}))
    corpus = build_corpus(sources, config, tmp_path / "out-00000000", language="be", root=tmp_path)
    document = next(iter(read_documents(corpus.path, "train"))).id
    assert [item.id for item in sample_documents(corpus, num_documents=9, ids={document})] == [document, f"{document}~2"]


def test_the_figures_are_plain_json(statistics):
    assert json.loads(json.dumps(statistics)) == statistics
    assert {"similarity", "clusters"} == set(statistics["selection"]["copies"])
