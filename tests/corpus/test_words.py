"""The words that only one text has, in any script, in bounded memory."""

import pytest

from rodna.core.errors import ArtifactError, CorpusError
from rodna.corpus.build import build_corpus
from rodna.corpus.config import CorpusConfig, LanguageConfig, MixConfig, QualityConfig, Source, SplitConfig
from rodna.corpus.words import OwnWords, own_words, texts_at, words_against, words_of

CONFIG = CorpusConfig(
    split=SplitConfig(validation=0.1, test=0.1, min_bytes=100), language=LanguageConfig(action="keep"), quality=QualityConfig(filter=False)
)


def make(folder, sources, config=CONFIG):
    described = {}
    for name, documents in sources.items():
        (folder / f"{name}.txt").write_text("\n".join(documents), encoding="utf-8")
        described[name] = Source(path=f"{name}.txt", document="line")
    return build_corpus(described, config, folder / "out" / "corpus-00000000", language="be", root=folder)


@pytest.fixture
def corpus(tmp_path):
    return make(
        tmp_path,
        {
            "hunters": [f"Паляўнічы нумар {number} ідзе ў лес {number + 1} раз." for number in range(60)],
            "bakers": [f"Пекар нумар {number} ідзе ў пякарню {number + 2} раз." for number in range(40)],
        },
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Дзень добры, СЯБАР!", ["дзень", "добры", "сябар"]),
        ("м'ята п’е калі-ж -так-", ["м'ята", "п’е", "калі-ж", "так"]),
        ("naïve cafe\u0301", ["naïve", "café"]),
        ("नमस्ते क्षत्रिय", ["नमस्ते", "क्षत्रिय"]),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("今日去飲茶", ["今日", "日去", "去飲", "飲茶"]),
        ("茶 and 水!", ["茶", "and", "水"]),
        ("한국어 말", ["한국어", "말"]),
        ("น้ำดื่ม", ["น้ำดื่", "ดื่ม"]),
        ("N'Ko ߒߞߏ", ["n'ko", "ߒߞߏ"]),
        ("  ... — 12,5", ["12", "5"]),
    ],
)
def test_words_are_found_in_every_script_by_the_same_rule(text, words):
    assert words_of(text) == words


def test_the_words_of_a_source_are_those_no_other_has_most_frequent_first(corpus):
    own = own_words(corpus, limit=3)
    assert own["hunters"].words[:2] == (("лес", 60), ("паляўнічы", 60))
    assert own["bakers"].words[:2] == (("пекар", 40), ("пякарню", 40))
    assert own["hunters"].num_words > 3
    assert (own["hunters"].share_read, own["hunters"].forgot_below) == (1.0, 0)


def test_in_little_memory_the_frequent_words_are_still_right_and_it_is_said_what_may_be_missing(corpus):
    own = own_words(corpus, limit=3, max_words=20)
    assert own["hunters"].words[:2] == (("лес", 60), ("паляўнічы", 60))
    assert own["bakers"].words[:2] == (("пекар", 40), ("пякарню", 40))
    assert own["hunters"].forgot_below > 1


def test_a_word_forgotten_early_is_not_taken_for_another_sources_own(tmp_path):
    first = ["рэдкае слова", *(f"адзін{number} раз{number} два{number} тры{number}" for number in range(60))]
    corpus = make(tmp_path, {"first": first, "second": [f"рэдкае здарэнне {number}" for number in range(40)]})
    assert "рэдкае" not in [word for word, _ in own_words(corpus, limit=5, max_words=40)["second"].words]


def test_of_a_large_corpus_a_sample_is_read_and_it_is_said_so(corpus):
    own = own_words(corpus, limit=3, sample_bytes=1500)
    assert 0 < own["hunters"].share_read < 1
    assert 0 < own["hunters"].words[0][1] < 60


def test_copies_made_by_mixing_count_once(tmp_path):
    config = CONFIG.model_copy(update={"mix": MixConfig(weights={"a": 3})})
    corpus = make(tmp_path, {"a": [f"кніга {number}" for number in range(60)], "b": [f"песня {number}" for number in range(60)]}, config)
    assert own_words(corpus, limit=1)["a"].words[0] == ("кніга", 60)


def test_a_word_list_a_text_a_corpus_and_a_workspace_can_be_compared_with(corpus, tmp_path, rodna, workspace):
    words = tmp_path / "words.txt"
    words.write_text("\ufeffлес\nПАЛЯЎНІЧЫ", encoding="utf-8")
    found = [word for word, _ in words_against(corpus, words, limit=9).words]
    assert found[:4] == ["нумар", "раз", "ідзе", "ў"]
    assert not {"лес", "паляўнічы"} & set(found)
    assert words_against(corpus, corpus.path, limit=9) == OwnWords((), 0, 1.0, 0)
    assert rodna("corpus", "build", "--workspace", workspace).exit_code == 0
    assert words_against(corpus, workspace, limit=1).num_words > 1


def test_words_of_a_long_text_are_not_cut_in_two(tmp_path, monkeypatch):
    monkeypatch.setattr("rodna.corpus.words._SOURCE_CHUNK", 7)
    file = tmp_path / "text.txt"
    file.write_text("адзін\nдоўгія-словы\nтры", encoding="utf-8")
    assert [word for text in texts_at(file) for word in words_of(text)] == ["адзін", "доўгія-словы", "тры"]


def test_what_is_no_text_and_no_corpus_is_refused(corpus, tmp_path):
    with pytest.raises(CorpusError, match="no such file or folder"):
        words_against(corpus, tmp_path / "nothing.txt", limit=1)
    (tmp_path / "bytes.txt").write_bytes(b"abc \xff\xfe")
    with pytest.raises(CorpusError, match="not UTF-8: byte 4"):
        words_against(corpus, tmp_path / "bytes.txt", limit=1)
    with pytest.raises(CorpusError, match="no corpus is there"):
        words_against(corpus, tmp_path / "out", limit=1)
    with pytest.raises(ArtifactError):
        other = tmp_path / "other"
        other.mkdir()
        (other / "manifest.json").write_text("{}")
        words_against(corpus, other, limit=1)
