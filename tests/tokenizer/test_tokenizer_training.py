"""Learning a tokenizer: the same bytes every time, a size that fits the text, measures of how well it does."""

import json
import os
import subprocess
import sys
import unicodedata
from collections import Counter

import pytest
from pydantic import ValidationError

from rodna.core.artifact import Artifact
from rodna.core.errors import TokenizerError
from rodna.tokenizer import train
from rodna.tokenizer.config import SMALLEST_VOCABULARY, TokenizerConfig
from rodna.tokenizer.measure import compare, is_whole, measure
from rodna.tokenizer.plan import frequent_characters, planned_vocabulary_size
from rodna.tokenizer.tokenizer import Tokenizer
from rodna.tokenizer.train import learn, sample, train_tokenizer

WORDS = [f"{stem}{ending}" for stem in ("мов", "крок", "сонц", "вад", "лес") for ending in ("а", "ы", "ам", "амі", "ах", "е")]
TEXTS = [" ".join(WORDS[(index * step) % len(WORDS)] for index in range(12)) for step in range(1, 40)]
ALGORITHMS = ["bpe", "unigram", "character"]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_tokenizer_artifact_holds_tokenizer_and_measures(make_corpus, tmp_path, algorithm):
    made = train_tokenizer(make_corpus(TEXTS), TokenizerConfig(algorithm=algorithm), tmp_path / "tokenizer")
    opened = Artifact.open(tmp_path / "tokenizer", kind="tokenizer")
    tokenizer = Tokenizer.load(made.path)
    measures = json.loads((made.path / "measures.json").read_text())
    assert set(opened.manifest.files) == {"tokenizer.json", "tokenizer_config.json", "measures.json"}
    assert tokenizer.algorithm == algorithm
    assert measures["vocabulary"]["size"] == opened.counts["vocabulary_size"] == tokenizer.vocabulary_size
    assert measures["vocabulary"]["reason"]
    assert measures["train"]["num_documents"] == len(TEXTS)
    assert measures["train"]["bytes_per_token"] > 1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_same_text_gives_the_same_bytes_whatever_the_number_of_threads(algorithm):
    code = (
        "import hashlib, sys; from rodna.tokenizer.train import learn; from rodna.tokenizer.config import TokenizerConfig\n"
        "texts = sys.stdin.read().split('\\n')\n"
        f"print(hashlib.sha256(learn(texts, TokenizerConfig(algorithm='{algorithm}'))[0].to_json().encode()).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code], input="\n".join(TEXTS).encode(), env={**os.environ, **threads}, capture_output=True, check=True
        ).stdout
        for threads in ({"RAYON_NUM_THREADS": "1", "PYTHONHASHSEED": "1"}, {"RAYON_NUM_THREADS": "4", "PYTHONHASHSEED": "2"})
    }
    assert len(digests) == 1


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_vocabulary_has_the_size_asked_for(algorithm):
    tokenizer, reason = learn(TEXTS, TokenizerConfig(algorithm=algorithm, vocabulary_size=SMALLEST_VOCABULARY + 11))
    assert tokenizer.vocabulary_size == SMALLEST_VOCABULARY + 11
    assert reason


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_vocabulary_larger_than_the_text_supports_is_refused_and_the_largest_one_named(algorithm):
    with pytest.raises(TokenizerError, match=r"larger than the text supports: 5,000 tokens from [\d.]+ kB of text") as caught:
        learn(TEXTS, TokenizerConfig(algorithm=algorithm, vocabulary_size=5000))
    largest = int(caught.value.fix.split(" or less")[0].rsplit(" ", 1)[1].replace(",", ""))
    assert "tokenizer.vocabulary_size" in caught.value.where
    assert learn(TEXTS, TokenizerConfig(algorithm=algorithm, vocabulary_size=largest))[0].vocabulary_size == largest
    with pytest.raises(TokenizerError, match="larger than the text supports"):
        learn(TEXTS, TokenizerConfig(algorithm=algorithm, vocabulary_size=largest + 1))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_any_text_can_have_a_planned_tokenizer(algorithm):
    tokenizer, _ = learn(["a"], TokenizerConfig(algorithm=algorithm))
    assert tokenizer.decode(tokenizer.encode("ab人")) == "ab人"


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_no_text_is_refused(texts):
    with pytest.raises(TokenizerError, match=r"no text to learn a tokenizer from(.|\n)*fix: "):
        learn(texts, TokenizerConfig())


def test_a_failed_training_leaves_nothing_behind(make_corpus, tmp_path):
    with pytest.raises(TokenizerError, match="no text"):
        train_tokenizer(make_corpus([]), TokenizerConfig(), tmp_path / "tokenizer")
    assert [path.name for path in tmp_path.iterdir()] == ["corpus"]


def test_an_empty_validation_split_is_measured_as_empty(make_corpus, tmp_path):
    made = train_tokenizer(make_corpus(TEXTS, validation=[]), TokenizerConfig(), tmp_path / "tokenizer")
    assert json.loads((made.path / "measures.json").read_text())["validation"]["num_tokens"] == 0


def test_a_vocabulary_smaller_than_bytes_and_special_tokens_does_not_validate():
    with pytest.raises(ValidationError, match=f"greater than or equal to {SMALLEST_VOCABULARY}"):
        TokenizerConfig(vocabulary_size=100)


def test_no_token_crosses_a_word():
    tokenizer, _ = learn(TEXTS, TokenizerConfig())
    assert all(b" " not in tokenizer.token_bytes(number)[1:] for number in range(tokenizer.vocabulary_size))


def test_unigram_tokens_are_whole_characters_or_single_bytes():
    tokenizer, _ = learn(TEXTS, TokenizerConfig(algorithm="unigram"))
    pieces = [tokenizer.token_bytes(number) for number in range(tokenizer.vocabulary_size)]
    assert all(is_whole(piece) or len(piece) == 1 for piece in pieces)


def test_a_large_corpus_is_sampled_by_whole_documents_and_always_the_same(make_corpus):
    corpus = make_corpus(TEXTS)
    everything, total = sample(corpus.path, "train", 10**9)
    some, same_total = sample(corpus.path, "train", total // 4)
    assert everything == TEXTS
    assert same_total == total == sum(len(text.encode()) for text in TEXTS)
    assert some == sample(corpus.path, "train", total // 4)[0]
    assert set(some) <= set(TEXTS)
    assert total / 4 <= sum(len(text.encode()) for text in some) < total / 2


def test_the_planned_size_follows_the_amount_of_text():
    sizes = {size: planned_vocabulary_size(size)[0] for size in (100, 10_000, 190_000, 740_000, 1_480_000, 3_000_000, 10**7, 10**8, 10**13)}
    assert list(sizes.values()) == sorted(sizes.values())
    assert all(size % 64 == 0 and size >= SMALLEST_VOCABULARY for size in sizes.values())
    # What did best in our runs, within a factor of two: docs/planning.md.
    for size, best in ((190_000, 512), (740_000, 1024), (1_480_000, 4096), (3_000_000, 8192)):
        assert best / 2 <= sizes[size] <= best * 2
    assert sizes[10**7] == 8192
    assert 8192 <= sizes[10**8] <= 16_384
    assert sizes[10**13] == 65_536


def test_the_planned_size_covers_the_frequent_characters_and_says_so():
    size, reason = planned_vocabulary_size(4_000_000, num_characters=4000)
    assert size >= 4000 + SMALLEST_VOCABULARY
    assert "4,000 frequent characters" in reason
    assert "1.5 MB" in planned_vocabulary_size(1_500_000)[1]
    # Less text has too little of each for that.
    assert planned_vocabulary_size(700_000, num_characters=4000) == planned_vocabulary_size(700_000)


def test_frequent_characters_are_those_that_make_up_nearly_all_of_a_text():
    assert frequent_characters(Counter({"a": 9000, "b": 990, "c": 10})) == 2
    assert frequent_characters(Counter()) == 0


def test_measures_add_up():
    tokenizer, _ = learn(TEXTS, TokenizerConfig(algorithm="character"))
    result = measure(tokenizer, ["крок вада", "лес 人"])
    assert (result.num_documents, result.num_characters, result.num_bytes) == (2, 14, 27)
    # Every character is a token but the last, which falls back on its three bytes.
    assert (result.num_words, result.num_tokens) == (4, 16)
    assert result.bytes_per_token == pytest.approx(27 / 16)
    assert result.fertility == pytest.approx(4)
    assert result.whole_character_share == pytest.approx(24 / 27, abs=1e-6)
    assert result.partial_token_share == pytest.approx(3 / 16)
    assert result.num_unused > 200


def test_words_are_not_counted_in_scripts_without_spaces():
    tokenizer, _ = learn(TEXTS, TokenizerConfig())
    assert measure(tokenizer, ["人人生而自由，在尊嚴和權利上一律平等。"]).fertility is None
    assert measure(tokenizer, ["มนุษย์ทั้งหลายเกิดมา"]).fertility is None
    assert measure(tokenizer, []).fertility is None
    assert measure(tokenizer, [unicodedata.normalize("NFD", "Ẹnì kọ̀ọ̀kan")]).num_words == 2


def test_comparing_measures_every_tokenizer_on_the_same_text():
    tokenizers = {name: learn(TEXTS, TokenizerConfig(algorithm=name))[0] for name in ("bpe", "character")}
    results = compare(tokenizers, TEXTS)
    assert results["bpe"].num_bytes == results["character"].num_bytes
    assert results["bpe"].bytes_per_token > results["character"].bytes_per_token


def test_the_planned_size_is_found_where_stages_look_for_it():
    assert train.planned_vocabulary_size is planned_vocabulary_size
