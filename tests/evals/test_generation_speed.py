import json
import time

import pytest

from rodna.corpus.documents import Document
from rodna.evals.config import EvalConfig
from rodna.evals.data import EvaluationData
from rodna.evals.models.model import DecoderModel
from rodna.evals.writing.generation_speed import evaluate, measure_speed
from rodna.models.generate import Sampling, generate

END = 0


class Bytes:
    """A tokenizer of 49 letters and one end."""

    end_of_text_id, vocabulary_size, algorithm = END, 50, "letters"

    def encode(self, text):
        return [1 + ord(letter) % 49 for letter in text]

    def encode_batch(self, texts):
        return [self.encode(text) for text in texts]

    def stream(self):
        return self

    def push(self, token):
        return chr(49 * 2 + token - 1)

    def flush(self):
        return ""

    def to_json(self):
        return "{}"


class Sleeper:
    """Says ten letters to each prompt, after as long as it is told."""

    def __init__(self, seconds=0.0):
        self.seconds, self.calls, self.description = seconds, [], {"kind": "sleeper"}

    def generate(self, prompts, sampling):
        self.calls.append((len(prompts), sampling.max_tokens))
        time.sleep(self.seconds)
        return ["мова мова "] * len(prompts)


def data():
    documents = [Document(str(n), "Над ціхай ракою стаяла старая хата.", "s", "be") for n in range(3)]
    return EvaluationData("be", documents, tokens=None, train=["x"], train_bytes=1, validation=[])


def test_nothing_is_timed_unless_asked_for():
    model = Sleeper()
    assert evaluate(model, data(), EvalConfig()).files == {}
    assert model.calls == []


def test_speed_stands_in_a_file_of_its_own_and_in_no_result():
    evaluation = evaluate(Sleeper(), data(), EvalConfig(speed=True, sample_tokens=5))
    assert (evaluation.results, evaluation.measurements, list(evaluation.files)) == ([], [], ["speed.json"])
    speed = json.loads(json.dumps(evaluation.files["speed.json"]))
    assert [row["batch_size"] for row in speed["batches"]] == [1, 4, 8, 16]
    assert speed["max_tokens"] == 5


def test_every_measurement_has_a_warm_up_that_does_not_count():
    model = Sleeper()
    speed = measure_speed(model, ["a"], max_tokens=7, batch_sizes=(1, 3), repeats=2)
    assert model.calls == [(1, 1)] * 3 + [(1, 7)] * 3 + [(3, 7)] * 3
    assert speed["first_token_seconds"]["repeats"] == 2


def test_rates_are_what_was_written_over_the_seconds_it_took():
    speed = measure_speed(Sleeper(0.05), ["a"], max_tokens=7, batch_sizes=(2,), repeats=3)
    row = speed["batches"][0]
    assert row["bytes"] == 2 * len("мова мова ".encode())
    assert row["seconds"]["low_quartile"] <= row["seconds"]["median"] <= row["seconds"]["high_quartile"]
    assert row["bytes_per_second"]["median"] == pytest.approx(row["bytes"] / row["seconds"]["median"])
    assert row["seconds"]["median"] >= 0.05
    assert "tokens_per_second" not in row


def test_a_slow_model_is_not_asked_again_and_again():
    model = Sleeper(0.02)
    speed = measure_speed(model, ["a"], max_tokens=7, batch_sizes=(1,), repeats=50, budget_s=0.0)
    assert speed["batches"][0]["seconds"]["repeats"] == 1
    assert len(model.calls) == 4


def test_our_decoder_is_timed_by_the_text_it_writes_itself(decoder):
    model = DecoderModel(decoder, Bytes())
    speed = measure_speed(model, ["ab", "cde"], max_tokens=6, batch_sizes=(1, 2), repeats=1)
    texts = generate(decoder, Bytes(), ["ab", "cde"], Sampling(temperature=0.0, top_p=1.0, max_tokens=6))
    assert [row["bytes"] for row in speed["batches"]] == [len(texts[0]), len(texts[0] + texts[1])]
    assert speed["batches"][1]["tokens"] == len(texts[0] + texts[1])
    assert speed["memory"]["weight_bytes"] == sum(4 * weight.numel() for weight in {id(w): w for w in decoder.parameters()}.values())
    assert speed["memory"]["process_peak_bytes"] >= speed["memory"]["weight_bytes"]
