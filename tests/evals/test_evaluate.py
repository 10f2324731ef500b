import json
import math

import numpy as np
import pytest
import torch

from rodna.core.artifact import Artifact, create
from rodna.core.errors import EvaluationError
from rodna.corpus.documents import Document, JsonLinesWriter, read_documents
from rodna.data.config import DataConfig
from rodna.data.tokens import Tokens, write_tokens
from rodna.evals.bits_per_byte import held_out
from rodna.evals.config import EvalConfig
from rodna.evals.data import load_data
from rodna.evals.evaluate import evaluate_model
from rodna.evals.likelihood.scoring import document_nats, validation_bits_per_byte
from rodna.evals.measure import read_items
from rodna.evals.models.model import DecoderModel, LanguageModel
from rodna.evals.result import read_results
from rodna.models.checkpoint import load, save
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.models.generate import Sampling
from rodna.tokenizer.config import TokenizerConfig
from rodna.tokenizer.train import train_tokenizer

TEXT = "над ціхай ракой стаіць старая хата у хаце жыве бабуля з унукам і котка лісце падае долу птушкі ляцяць"
WORDS = TEXT.split()
CONFIG = EvalConfig(bootstrap_samples=100, num_samples=4, sample_tokens=12, ngram_order=4, batch_size=4)


def write_corpus(out, *, sizes, seed=0):
    random = np.random.default_rng(seed)
    with create(out, kind="corpus", format_version=1, inputs={}, config={"sizes": sizes, "seed": seed}) as draft:
        for split, count in sizes.items():
            with JsonLinesWriter(draft.path / f"{split}.jsonl.zst") as file:
                for number in range(count):
                    text = " ".join(random.choice(WORDS, size=random.integers(3, 30))) + "."
                    file.write(Document(f"{split}{number}", text, "кнігі" if number % 3 else "сказы", "be", {}))
    return draft.result


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A corpus, its tokenizer and tokens, and an untrained model."""
    root = tmp_path_factory.mktemp("made")
    corpus = write_corpus(root / "corpus-00000000", sizes={"train": 60, "validation": 8, "test": 12})
    tokenizer = train_tokenizer(corpus, TokenizerConfig(vocabulary_size=320), root / "tokenizer-00000000")
    tokens = write_tokens(corpus, tokenizer, DataConfig(), root / "tokens-00000000")
    shape = {"context_length": 16, "width": 16, "num_layers": 1, "num_heads": 2, "num_kv_heads": 2, "head_width": 8, "ffn_width": 32}
    decoder = Decoder(ModelConfig.model_validate({**shape, "vocabulary_size": tokens.counts["vocabulary_size"]})).initialize(seed=0)
    with create(root / "model-00000000", kind="model", format_version=1, inputs={"tokens": tokens}, config={}) as draft:
        save(draft.path, decoder, tokenizer.path)
    return {"corpus": corpus, "tokens": tokens, "model": draft.result}


@pytest.fixture(scope="module")
def evaluation(made, tmp_path_factory):
    return evaluate_model(**made, config=CONFIG, out=tmp_path_factory.mktemp("out") / "evaluation-00000000")


@pytest.fixture(scope="module")
def results(evaluation):
    return {(item.task, item.metric): item for item in read_results(evaluation.path / "results.json")}


def test_bits_per_byte_is_all_nats_over_all_bytes(made, results):
    decoder, _ = load(made["model"].path)
    tokens = Tokens.open(made["tokens"].path, "test")
    nats = document_nats(decoder, tokens, stride=0.5, batch_size=1, compute_dtype=torch.float32).sum()
    found = results["held_out_text", "bits_per_byte"]
    assert found.value == pytest.approx(nats / math.log(2) / tokens.num_bytes, rel=1e-6)
    assert found.low < found.value < found.high
    assert (found.n, found.detail["bytes"], found.detail["tokens"]) == (12, tokens.num_bytes, tokens.num_tokens)


def test_perplexities_and_bits_per_character_say_the_same_in_other_units(results):
    detail = results["held_out_text", "bits_per_byte"].detail
    assert results["held_out_text", "token_perplexity"].value == pytest.approx(math.exp(detail["nats"] / detail["tokens"]))
    assert results["held_out_text", "bits_per_character"].value == pytest.approx(detail["nats"] / math.log(2) / detail["characters"])
    words = results["held_out_text", "word_perplexity"]
    assert words.value == pytest.approx(math.exp(detail["nats"] / detail["words"]))
    assert "UAX #29" in words.detail["words_are"]


def test_sources_add_up_to_the_whole(results):
    parts = [results[f"source:{name}", "bits_per_byte"] for name in ("кнігі", "сказы")]
    whole = results["held_out_text", "bits_per_byte"]
    assert sum(part.value * part.detail["bytes"] for part in parts) == pytest.approx(whole.value * whole.detail["bytes"])
    assert sum(part.n for part in parts) == whole.n


def test_every_baseline_is_compared_with_the_model(results):
    ours = results["held_out_text", "bits_per_byte"].value
    for name in ("uniform", "xz", "xz_given_train", "zstd", "zstd_given_train", "ngram"):
        baseline, difference = results[f"baseline:{name}", "bits_per_byte"], results[f"baseline:{name}", "model_minus_baseline"]
        assert difference.value == pytest.approx(ours - baseline.value)
        assert difference.low < difference.value < difference.high
    assert results["baseline:ngram", "bits_per_byte"].value < results["baseline:xz", "bits_per_byte"].value


def test_the_evaluation_is_an_artifact_with_samples(evaluation, results):
    assert Artifact.open(evaluation.path, kind="evaluation").counts["bits_per_byte"] == results["held_out_text", "bits_per_byte"].value
    assert len(json.loads((evaluation.path / "samples.json").read_text())) == 4
    assert ("generation", "unseen_3_grams") in results


def test_the_same_evaluation_twice_gives_the_same_files(made, evaluation, tmp_path):
    again = evaluate_model(**made, config=CONFIG, out=tmp_path / "evaluation-00000000")
    assert again.digest == evaluation.digest
    for name in ("results.json", "samples.json"):
        assert (again.path / name).read_bytes() == (evaluation.path / name).read_bytes()


def test_the_number_seen_while_training_is_near_the_reported_one(made, results):
    decoder, _ = load(made["model"].path)
    bits, _ = validation_bits_per_byte(decoder, Tokens.open(made["tokens"].path, "test"), batch_size=4, compute_dtype=torch.float32)
    assert bits == pytest.approx(results["held_out_text", "bits_per_byte"].value, rel=0.02)


def test_our_decoder_is_a_language_model_that_scores_and_writes_text(made):
    model = DecoderModel(*load(made["model"].path))
    assert isinstance(model, LanguageModel)
    whole, start, rest = model.score(["над", "над", "над ракой"], [" ракой стаіць", " ракой", " стаіць"])
    assert whole.nats == pytest.approx(start.nats + rest.nats, rel=1e-4)
    assert whole.num_tokens == start.num_tokens + rest.num_tokens
    assert model.generate(["над"], Sampling(max_tokens=3, temperature=0)) == model.generate(["над"], Sampling(max_tokens=3, temperature=0))


def test_training_text_beyond_the_limit_is_sampled_by_document(made):
    data = load_data(made["corpus"], made["tokens"], train_bytes=1000, seed=0)
    assert 990 <= data.sampled_train_bytes <= 1000 < data.train_bytes
    whole = load_data(made["corpus"], made["tokens"], train_bytes=10**6, seed=0)
    assert all(any(text.startswith(part) for text in whole.train) for part in data.train)
    assert load_data(made["corpus"], made["tokens"], train_bytes=1000, seed=1).train != data.train


def test_tokens_of_another_corpus_are_refused(made, tmp_path):
    other = write_corpus(tmp_path / "corpus-00000001", sizes={"train": 5, "validation": 2, "test": 12}, seed=9)
    with pytest.raises(
        EvaluationError, match=r"the tokens are not those of this corpus: 12 documents of [\d,]+ bytes, where the corpus has 12 of"
    ):
        evaluate_model(made["model"], made["tokens"], other, CONFIG, tmp_path / "evaluation-00000000")
    assert not (tmp_path / "evaluation-00000000").exists()


def test_a_corpus_without_held_out_text_is_refused(made, tmp_path):
    other = write_corpus(tmp_path / "corpus-00000002", sizes={"train": 5, "validation": 2, "test": 0})
    with pytest.raises(EvaluationError, match=r"(?s)there is no held-out text.*test.jsonl.zst\n  fix:   raise corpus.split.test"):
        evaluate_model(made["model"], made["tokens"], other, CONFIG, tmp_path / "evaluation-00000000")


def test_a_model_that_brings_its_own_tokenizer_is_measured_on_the_same_bytes_of_the_same_documents(made, results):
    """Without the workspace's tokens the text itself is scored: with the same tokenizer, the number is the same."""
    data = load_data(made["corpus"], None, train_bytes=1000, seed=0)
    assert data.tokens is None
    assert data.train == load_data(made["corpus"], made["tokens"], train_bytes=1000, seed=0).train
    alone = {(item.task, item.metric): item for item in held_out(DecoderModel(*load(made["model"].path)), data, CONFIG).results}
    assert {key for key in results if key[0] == "held_out_text" or key[0].startswith("source:")} == alone.keys()
    for key, item in alone.items():
        assert item.value == pytest.approx(results[key].value, rel=1e-6)
        assert (item.n, item.detail.get("bytes")) == (results[key].n, results[key].detail.get("bytes"))
    assert "never compare it" in alone["held_out_text", "token_perplexity"].detail["warning"]


def test_every_document_behind_a_number_is_kept_by_its_id(evaluation, results, made):
    items = read_items(evaluation.path / "items.parquet")["held_out_text", "bits_per_byte"]
    found = results["held_out_text", "bits_per_byte"]
    assert items.ids == [document.id for document in read_documents(made["corpus"].path, "test")]
    assert items.numerator_N.sum() / items.denominator_N.sum() == pytest.approx(found.value)
    assert items.denominator_N.sum() == found.detail["bytes"]
