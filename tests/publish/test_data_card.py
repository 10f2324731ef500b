"""Data cards and Croissant metadata: loadable, complete, and never for publishing without licences."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tales import NASTY, tales

import rodna.corpus
from rodna.core.artifact import Artifact
from rodna.core.files import sha256_of
from rodna.corpus.build import build_corpus
from rodna.corpus.config import CorpusConfig, DeduplicateConfig, LanguageConfig, PrivacyConfig, QualityConfig, Source, SplitConfig
from rodna.corpus.documents import SPLITS, as_record, read_documents
from rodna.corpus.inspect import statistics_of
from rodna.publish.data_card import card_of, gaps_of, md, size_category, write_data_set
from rodna.publish.facts.corpus_drops import WORDS
from rodna.publish.licences import PublishError, check_publishable, hub_name, licences_of, link_of

Made = tuple[Artifact, dict[str, Source]]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("card")
    texts = tales("be", 200)
    (folder / "letters.txt").write_text("\n\n".join([*texts, texts[3], f"Пішыце: a@example.org {NASTY}"]), encoding="utf-8")
    (folder / "talks.txt").write_text("\n\n".join(tales("be", 40, seed=1)), encoding="utf-8")
    sources = {
        "letters": Source(path="letters.txt", document="blank_line", licence="CC BY-SA 4.0", origin=f"a | b\n{NASTY}", date="1931"),
        "talks": Source(path="talks.txt", document="blank_line", consent="all who spoke"),
    }
    config = CorpusConfig(
        split=SplitConfig(validation=0.1, test=0.1, min_bytes=100),
        language=LanguageConfig(action="keep"),
        quality=QualityConfig(filter=False),
        deduplicate=DeduplicateConfig(near=False),
        privacy=PrivacyConfig(remove=("email",)),
    )
    return build_corpus(sources, config, folder / "be-00000000", language="be", root=folder), sources


def licensed(sources: dict[str, Source], licence: str) -> dict[str, Source]:
    return {name: source.model_copy(update={"licence": source.licence or licence}) for name, source in sources.items()}


@pytest.fixture(scope="module")
def data_set(made: Made, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """A data set whose sources all have licences, written after the corpus was built."""
    corpus, sources = made
    folder = tmp_path_factory.mktemp("data_set") / "dataset"
    return folder, write_data_set(corpus, licensed(sources, "public domain"), folder, draft=False)


def test_a_corpus_with_a_source_without_licence_is_not_published(made: Made, tmp_path: Path):
    corpus, sources = made
    with pytest.raises(PublishError, match="no licence is given for talks") as error:
        write_data_set(corpus, sources, tmp_path / "out", draft=False)
    assert "write it down as `licence`" in error.value.fix
    assert not (tmp_path / "out").exists()


def test_a_licence_written_down_later_counts_and_blank_ones_do_not(made: Made):
    corpus, sources = made
    check_publishable(corpus, licensed(sources, "CC0-1.0"))
    assert licences_of(corpus, licensed(sources, "CC0-1.0")) == {"letters": "CC BY-SA 4.0", "talks": "CC0-1.0"}
    with pytest.raises(PublishError, match="talks"):
        check_publishable(corpus, licensed(sources, "  "))
    with pytest.raises(PublishError, match="talks"):
        check_publishable(corpus)


def test_an_artifact_that_names_no_source_at_all_is_not_published(made: Made):
    corpus, _ = made
    unknown = Artifact(corpus.path, corpus.manifest.model_copy(update={"licences": {}}))
    with pytest.raises(PublishError, match="no licence is given for any source"):
        check_publishable(unknown)


def test_a_draft_says_so_and_its_licence_is_unknown(made: Made, tmp_path: Path):
    corpus, sources = made
    write_data_set(corpus, sources, tmp_path, draft=True)
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "license: unknown" in card
    assert "**Draft: not to be published.** No licence is given for talks." in card
    assert "**NO LICENCE GIVEN**" in card
    assert json.loads((tmp_path / "croissant.json").read_text())["creativeWorkStatus"] == "Draft"


def test_hugging_faces_own_reader_parses_the_card(data_set: tuple[Path, list[dict[str, Any]]]):
    hub = pytest.importorskip("huggingface_hub", reason="needs huggingface_hub")
    folder, _ = data_set
    card = hub.DatasetCard.load(folder / "README.md")
    assert card.data.language == ["be"]
    assert card.data.license == ["cc-by-sa-4.0", "other"]
    assert card.data.license_name == "public domain"
    assert card.data.size_categories == ["n<1K"]
    assert card.data.pretty_name == "Belarusian text: be"
    assert card.data.task_categories == ["text-generation", "fill-mask"]
    files = [{"split": split, "path": f"data/{split}.parquet"} for split in SPLITS]
    assert card.data.configs == [{"config_name": "default", "data_files": files}]
    assert card.text.lstrip().startswith("<!-- Written by rodna")


def test_croissants_own_validator_accepts_the_metadata_and_reads_the_documents(
    data_set: tuple[Path, list[dict[str, Any]]], made: Made, recwarn: pytest.WarningsRecorder
):
    croissant = pytest.importorskip("mlcroissant", reason="needs mlcroissant")
    pytest.importorskip("pandas", reason="needs pandas")
    folder, _ = data_set
    loaded = croissant.Dataset(str(folder / "croissant.json"))
    assert not loaded.metadata.ctx.issues.errors
    records = [record["test/text"].decode() for record in loaded.records("test")]
    assert records == [document.text for document in read_documents(made[0].path, "test")]


def test_the_metadata_names_every_file_with_its_size_and_hash(data_set: tuple[Path, list[dict[str, Any]]], made: Made):
    folder, files = data_set
    metadata = json.loads((folder / "croissant.json").read_text(encoding="utf-8"))
    assert metadata["conformsTo"] == "http://mlcommons.org/croissant/1.1"
    assert metadata["identifier"] == f"sha256:{made[0].digest}"
    assert metadata["license"] == ["https://creativecommons.org/licenses/by-sa/4.0/", "public domain"]
    assert [item["contentUrl"] for item in metadata["distribution"]] == [file["path"] for file in files]
    for item in metadata["distribution"]:
        file = folder / item["contentUrl"]
        assert (item["sha256"], item["contentSize"]) == (sha256_of(file), f"{file.stat().st_size} B")


def test_the_files_hold_every_kept_document(data_set: tuple[Path, list[dict[str, Any]]], made: Made):
    from pyarrow import parquet

    folder, _ = data_set
    for split in SPLITS:
        rows = parquet.read_table(folder / "data" / f"{split}.parquet").to_pylist()
        wanted = [as_record(document) for document in read_documents(made[0].path, split)]
        assert [row | {"meta": json.loads(row["meta"])} for row in rows] == wanted


def test_the_cards_own_lines_load_the_data(data_set: tuple[Path, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch):
    folder, _ = data_set
    card = (folder / "README.md").read_text(encoding="utf-8")
    (lines,) = [block for block in re.findall(r"```python\n(.*?)```", card, re.DOTALL) if "pyarrow" in block]
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(lines, names)
    assert set(names["documents"][0]) == {"id", "text", "source", "language", "meta"}


def test_the_card_says_all_that_is_known(data_set: tuple[Path, list[dict[str, Any]]], made: Made):
    corpus, _ = made
    card = (data_set[0] / "README.md").read_text(encoding="utf-8")
    assert f"- digest: `{corpus.digest}`" in card
    assert f"by rodna {corpus.manifest.code_version}" in card
    assert "| deduplicate | the same text as another document | −1 |" in card
    assert "| talks | public domain | – | – | all who spoke | 40 of 40 |" in card
    assert "Personal data was replaced where a pattern shows it (1 x email); names were not." in card
    assert re.search(r"- \d\d% of the text is from one source, letters", card)
    assert "- Not written down where it comes from: talks." in card
    assert "No training document shares a passage with what is held out" in card
    ledger = card.split("## How it was cleaned")[1].split("\n\n")[2]
    assert {line.count(" | ") for line in ledger.splitlines() if "---" not in line} == {5}


def test_nothing_a_source_says_becomes_markup_in_the_card(data_set: tuple[Path, list[dict[str, Any]]]):
    card = (data_set[0] / "README.md").read_text(encoding="utf-8")
    assert r"a \| b \<script\>" in card
    assert "<script>" not in card.replace(r"\<script", "")
    assert md("a*b_c`d`[e](f)<g>|h\n#i") == r"a\*b\_c\`d\`\[e\](f)\<g\>\|h \#i"


def test_our_own_card_is_written_over_and_another_one_is_not(made: Made, tmp_path: Path):
    corpus, sources = made
    for _ in range(2):
        write_data_set(corpus, sources, tmp_path, draft=True)
    (tmp_path / "README.md").write_text("mine", encoding="utf-8")
    with pytest.raises(PublishError, match=r"there is a README\.md that rodna did not write"):
        write_data_set(corpus, sources, tmp_path, draft=True)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == "mine"


def test_gaps_name_scans_mixed_text_and_personal_data(made: Made):
    statistics = statistics_of(made[0])
    statistics["dropped"].append({"step": "extract", "reason": "page_needs_ocr", "documents": 7, "bytes": 1})
    statistics["mixed"] = {"documents": 3, "bytes": 9}
    statistics["redacted"] = {}
    gaps = "\n".join(gaps_of(statistics))
    assert "Scanned pages, which hold no text, of 7 files are missing." in gaps
    assert "3 documents switch between languages" in gaps
    assert "No personal data was taken out" in gaps


def test_every_reason_that_is_put_into_words_is_one_that_some_step_gives():
    folder = Path(rodna.corpus.__file__).parent
    code = "".join(path.read_text(encoding="utf-8") for path in folder.rglob("*.py"))
    assert [reason for reason in WORDS if f'"{reason}"' not in code] == []


def test_contamination_is_listed_with_what_was_done(made: Made):
    corpus, _ = made
    hit = {"document": "a/b_c#1", "held_out": "", "benchmark": "exam", "text": "t", "num_characters": 99, "share": 0.5, "dropped": True}
    statistics = statistics_of(corpus)
    statistics["selection"]["contamination"] = [hit] * 25
    card = card_of(corpus, statistics, licences_of(corpus), [], draft=True)
    assert r"| a/b\_c\#1 | benchmark exam | 99 | dropped |" in card
    assert "And 5 more." in card


@pytest.mark.parametrize(
    ("documents", "name"),
    [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (6746, "1K<n<10K"), (2_000_000, "1M<n<10M"), (10**13, "n>1T")],
)
def test_sizes_have_the_hubs_names(documents: int, name: str):
    assert size_category(documents) == name


@pytest.mark.parametrize(
    ("licence", "name", "link"),
    [
        ("CC0-1.0", "cc0-1.0", "https://creativecommons.org/publicdomain/zero/1.0/"),
        ("CC BY-SA 4.0", "cc-by-sa-4.0", "https://creativecommons.org/licenses/by-sa/4.0/"),
        ("CC BY 2.0 FR", "other", "CC BY 2.0 FR"),
        ("public domain", "other", "public domain"),
        ("GFDL", "gfdl", "GFDL"),
    ],
)
def test_licences_have_the_hubs_names_and_addresses(licence: str, name: str, link: str):
    assert (hub_name(licence), link_of(licence)) == (name, link)


def test_a_language_with_a_script_is_named_in_full_too(tmp_path: Path, make_corpus_of: Callable[..., Artifact]):
    corpus = make_corpus_of(tmp_path, "ckb-Latn")
    write_data_set(corpus, {}, tmp_path / "out", draft=False)
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert "language:\n  - ckb\n" in card
    assert "language_bcp47:\n  - ckb-Latn\n" in card


@pytest.fixture
def make_corpus_of() -> Callable[..., Artifact]:
    def make(folder: Path, language: str) -> Artifact:
        (folder / "a.txt").write_text("\n".join(f"Rojê {number} em diçin {number + 1}." for number in range(60)), encoding="utf-8")
        config = CorpusConfig(
            split=SplitConfig(min_bytes=30), language=LanguageConfig(identifier="off"), quality=QualityConfig(filter=False)
        )
        source = Source(path="a.txt", document="line", licence="CC0-1.0")
        return build_corpus({"a": source}, config, folder / "a-00000000", language=language, root=folder)

    return make
