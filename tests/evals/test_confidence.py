import numpy as np
import pytest
import torch
from tests.evals.letters import Letters

from rodna.corpus.documents import Document
from rodna.evals.confidence import evaluate
from rodna.evals.config import EvalConfig
from rodna.evals.data import EvaluationData
from rodna.evals.models.model import DecoderModel

END = 0


class Codes:
    """A tokenizer of 49 letters and one end."""

    end_of_text_id = END

    def encode_batch(self, texts):
        return [[1 + ord(letter) % 49 for letter in text] for text in texts]


def measured(model, texts, **more):
    documents = [Document(str(n), text, "s", "be") for n, text in enumerate(texts)]
    data = EvaluationData("be", documents, tokens=None, train=[], train_bytes=0, validation=[])
    return {item.metric: item for item in evaluate(model, data, EvalConfig(**more)).measurements}


def rows_of(decoder, text):
    """Return (probabilities, target) of every token, by running the decoder on each beginning alone."""
    tokens = [END, *(1 + ord(letter) % 49 for letter in text), END][: decoder.config.context_length + 1]
    decoder.eval()
    with torch.inference_mode():
        for place in range(1, len(tokens)):
            scores = decoder.logits(decoder(torch.tensor([tokens[:place]]), compute_dtype=torch.float32))[0, -1]
            yield scores.double().softmax(-1).numpy(), tokens[place]


def test_every_number_is_that_of_every_token_one_by_one(decoder):
    texts = ["мова наша", "", "доўгі тэкст, даўжэйшы за кантэкст мадэлі"]
    found = measured(DecoderModel(decoder, Codes()), texts)
    for place, text in enumerate(texts):
        rows = list(rows_of(decoder, text))
        expected = {
            "top_token_probability": sum(p.max() for p, _ in rows),
            "top_token_accuracy": sum(p.argmax() == target for p, target in rows),
            "entropy": sum(-(p * np.log2(p)).sum() for p, _ in rows),
            "cross_entropy": sum(-np.log2(p[target]) for p, target in rows),
            "low_confidence": sum(p.max() < 0.5 for p, _ in rows),
        }
        assert {name: float(item.numerator_N[place]) for name, item in found.items()} == pytest.approx(expected, abs=1e-4)
        assert all(item.denominator_N[place] == len(rows) for item in found.values())


def test_overconfidence_is_how_much_surer_than_right_the_model_is(decoder):
    found = measured(DecoderModel(decoder, Codes()), ["мова наша", "хлеб"])
    sure, right = (
        found[name].numerator_N.sum() / found[name].denominator_N.sum() for name in ("top_token_probability", "top_token_accuracy")
    )
    assert found["entropy"].detail["overconfidence"] == pytest.approx(sure - right)


def test_of_a_model_whose_probabilities_are_not_at_hand_nothing_is_measured():
    assert measured(Letters(), ["мова"]) == {}
