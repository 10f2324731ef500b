"""What each method answers, on texts whose classes can be told apart and on a model whose answers are known."""

import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from rodna.core.errors import EvaluationError
from rodna.evals.classify.backbone import Backbone, backbone_of, features
from rodna.evals.classify.config import ClassifyConfig
from rodna.evals.classify.few_shot import few_shot, make_prompt, split_template
from rodna.evals.classify.fine_tune import fine_tune
from rodna.evals.classify.linear import Predictions, compact, linear, majority, ngrams
from rodna.evals.classify.run import results_of
from rodna.evals.classify.split import split_table
from rodna.evals.classify.table import Example, Table, as_numbers
from rodna.evals.contamination import Seen
from rodna.evals.models.model import DecoderModel, Score
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder

pytest.importorskip("sklearn")
CONFIG = ClassifyConfig(text="t", label="l", language="be")
SHAPE = {"width": 16, "num_layers": 2, "num_heads": 2, "num_kv_heads": 1, "head_width": 8, "ffn_width": 24}


class Letters:
    """A tokenizer of one token for each letter; 0 ends a text."""

    end_of_text_id = 0

    def encode_batch(self, texts):
        return [[1 + ord(letter) % 49 for letter in text] for text in texts]


class Counting:
    """A model that finds a label the likelier the more often its last letter stands in what it reads; it dislikes the label `b`."""

    def __init__(self):
        self.contexts = []

    def score(self, contexts, continuations):
        self.contexts += contexts
        return [
            Score(5.0 - context.rpartition("=")[0].rpartition("\n")[2].count(after[-1]) + 3 * (after == "b"), 1, len(context) > 60)
            for context, after in zip(contexts, continuations, strict=True)
        ]


@pytest.fixture(scope="module")
def model():
    decoder = Decoder(ModelConfig.model_validate({**SHAPE, "vocabulary_size": 50, "context_length": 12})).initialize(seed=1).eval()
    with torch.no_grad():
        for parameter in decoder.parameters():
            if parameter.ndim > 1:
                parameter.mul_(5)
    return DecoderModel(decoder, Letters())


@pytest.fixture(scope="module")
def split():
    """Two classes of invented texts, of other letters each."""
    source = random.Random(0)
    pairs = [(label, "".join(source.choices(letters, k=10))) for label, letters in (("x", "абвгд"), ("y", "дежзі")) for _ in range(30)]
    return split_table(Table([Example(f"t:{n}", text, label) for n, (label, text) in enumerate(pairs)], []), test_share=0.3, seed=0)


def classes(examples, labels):
    return np.array([labels.index(example.label) for example in examples])


def test_the_majority_is_the_most_frequent_class():
    assert majority(np.array([1, 2, 1, 0]), 3).classes_RN.tolist() == [[1, 1, 1]]


def test_ngrams_tell_texts_of_different_letters_apart(split):
    train, test = ([example.text for example in part] for part in (split.train, split.test))
    found = ngrams(train, classes(split.train, split.labels), test)
    assert (found.classes_RN[0] == classes(split.test, split.labels)).all()
    assert found.detail["cross_validated_macro_f1"] == 1.0


def test_ngrams_know_texts_of_a_single_character():
    assert ngrams(["好", "好!", "坏", "坏?"], np.array([0, 0, 1, 1]), ["坏", "好"]).classes_RN.tolist() == [[1, 0]]


def test_compact_features_keep_every_inner_product():
    from scipy.sparse import csr_matrix

    source = np.random.default_rng(0)
    train, test = (csr_matrix(source.random((rows, 40)) * (source.random((rows, 40)) < 0.3)) for rows in (9, 4))
    learned, asked = compact(train, test)
    assert learned.shape == (9, 9)
    assert learned @ learned.T == pytest.approx((train @ train.T).toarray())
    assert asked @ learned.T == pytest.approx((test @ train.T).toarray())


def test_the_features_that_do_better_in_cross_validation_are_chosen():
    source = np.random.default_rng(0)
    gold = np.arange(40) % 2
    good, noise = gold[:, None] + 0.1 * source.standard_normal((40, 1)), source.standard_normal((40, 5))
    found = linear({"noise": (noise, noise), "good": (good, good[:6])}, gold, scales=True)
    assert (found.detail["features"], found.classes_RN.tolist()) == ("good", [[0, 1, 0, 1, 0, 1]])


def test_two_texts_are_enough_for_a_regression():
    assert linear({"a": (np.array([[0.0], [1.0]]), np.array([[2.0], [-1.0]]))}, np.array([0, 1]), scales=False).classes_RN.shape == (1, 2)


def test_few_shot_answers_with_the_label_of_least_cost_less_what_it_costs_without_text():
    train = [Example(str(n), text, label) for n, (text, label) in enumerate([("ccc", "a"), ("ddd", "a"), ("eee", "b"), ("fff", "b")])]
    test = [Example("5", "aab", "a"), Example("6", "abb", "b")]
    config = CONFIG.model_copy(update={"template": "{text}={label}", "separator": "\n", "runs": 1, "shots": 1})
    plain = few_shot(Counting(), train, test, ["a", "b"], config.model_copy(update={"calibration": "none"}))
    assert plain.classes_RN.tolist() == [[0, 0]]
    assert plain.scores[0] == [{"a": 3.0, "b": 7.0}, {"a": 4.0, "b": 6.0}]
    found = few_shot(Counting(), train, test, ["a", "b"], config)
    assert found.classes_RN.tolist() == [[0, 1]]
    assert found.scores[0] == [{"a": -2.0, "b": -1.0}, {"a": -1.0, "b": -2.0}]
    assert found.cut == 0


def test_a_few_shot_prompt_holds_as_many_shots_of_each_class_and_no_test_text(split):
    counting = Counting()
    config = CONFIG.model_copy(update={"template": "{text}={label}", "shots": 2, "runs": 2, "words": {"x": "жах"}})
    found = few_shot(counting, split.train, split.test[:3], split.labels, config)
    assert found.classes_RN.shape == (2, 3)
    assert found.cut == 3
    assert found.warning == "3 of 3 prompts are longer than the context: the first shots were lost"
    prompts = {context.rpartition("\n\n")[0] for context in counting.contexts}
    assert len(prompts) == 2, "each run has shots of its own"
    for prompt in prompts:
        shots = [line.split("=") for line in prompt.split("\n\n")]
        assert sorted(label for _, label in shots) == ["y", "y", "жах", "жах"]
        labels = {example.text: example.label for example in split.train}
        assert all(labels[text] == {"жах": "x"}.get(label, label) for text, label in shots)


def test_a_class_of_fewer_examples_gives_the_shots_it_has():
    train = [Example("1", "p", "a"), Example("2", "q", "b"), Example("3", "r", "b")]
    prompt = make_prompt(train, ["a", "b"], CONFIG.model_copy(update={"shots": 2, "template": "{text}={label}"}), seed=0)
    assert sorted(prompt.shots.strip().split("\n\n")) == ["p=a", "q=b", "r=b"]


@pytest.mark.parametrize(
    "template", ["{text}", "{label}{text}", "{text}{label}", "{text} {text} {label}", "{text}: {label}.", "{label}: {label}"]
)
def test_a_template_that_cannot_be_used_is_an_error(template):
    with pytest.raises(EvaluationError, match=r"the template .* cannot be used"):
        split_template(template)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({"z": "w"}, "no label is called 'z'"),
        ({"x": "same", "y": "same"}, "each label needs a word of its own, not 'same'"),
        ({"x": " "}, "each label needs a word of its own, not ' '"),
    ],
)
def test_words_that_do_not_stand_for_one_label_each_are_an_error(split, words, message):
    with pytest.raises(EvaluationError, match=message):
        few_shot(Counting(), split.train, split.test, split.labels, CONFIG.model_copy(update={"words": words}))


def test_features_of_a_text_do_not_depend_on_the_others_and_cover_all_of_it(model):
    body = backbone_of(model)
    texts = ["абв", "", "абвгдежзіклмнопрстуф", "я"]
    together = features(body, texts)
    assert set(together) == {f"{a} layer, {b}" for a in ("last", "middle") for b in ("mean over tokens", "last token")}
    for number, text in enumerate(texts):
        rows = [[0, *Letters().encode_batch([text[start : start + 11]])[0]] for start in range(0, max(1, len(text)), 11)]
        with torch.no_grad():
            hidden = [model.decoder(torch.tensor([row]))[0] for row in rows]
        mean = torch.cat([part[1:] if text else part for part in hidden]).mean(0)
        assert together["last layer, mean over tokens"][number] == pytest.approx(mean.numpy(), abs=1e-5)
        assert together["last layer, last token"][number] == pytest.approx(hidden[-1][-1].numpy(), abs=1e-5)


def test_features_are_the_same_for_any_batch(model, monkeypatch):
    texts = ["абв" * n for n in range(9)]
    together = features(backbone_of(model), texts)
    monkeypatch.setattr("rodna.evals.classify.backbone.TOKENS_AT_ONCE", 1)
    for name, values in features(backbone_of(model), texts).items():
        assert values == pytest.approx(together[name], abs=1e-6)


def test_features_or_costs_that_are_no_numbers_are_an_error(split):
    broken = Backbone(torch.nn.Linear(1, 1), lambda _, tokens: {"last layer": torch.full((*tokens.shape, 2), torch.nan)},
                      Letters().encode_batch, (0,), 8)  # fmt: skip
    with pytest.raises(EvaluationError, match="features are not finite"):
        features(broken, ["абв"])
    silent = SimpleNamespace(score=lambda contexts, _: [Score(float("nan"), 1)] * len(contexts))
    with pytest.raises(EvaluationError, match="costs of labels are not finite"):
        few_shot(silent, split.train, split.test, split.labels, CONFIG)


def test_the_middle_layers_features_are_those_before_the_last_layer(model):
    found = features(backbone_of(model), ["абв"])["middle layer, last token"][0]
    seen = []
    handle = model.decoder.blocks[1].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model.decoder(torch.tensor([[0, *Letters().encode_batch(["абв"])[0]]]))
    handle.remove()
    assert found == pytest.approx(seen[0][0, -1].numpy(), abs=1e-5)


def test_fine_tuning_learns_the_classes_the_same_every_time_and_leaves_the_model_as_it_was(model, split):
    before = {name: weight.clone() for name, weight in model.decoder.state_dict().items()}
    config = CONFIG.model_copy(update={"learning_rate": 3e-3, "epochs": 6, "runs": 2, "batch_size": 8})
    found = fine_tune(backbone_of(model), split.train, split.test, split.labels, config)
    assert (found.classes_RN == classes(split.test, split.labels)).mean() > 0.9
    assert all(1 <= epoch <= 6 for epoch in found.detail["epochs"])
    assert all(torch.equal(weight, before[name]) for name, weight in model.decoder.state_dict().items())
    assert not model.decoder.training
    again = fine_tune(backbone_of(model), split.train, split.test, split.labels, config)
    assert (again.classes_RN == found.classes_RN).all()


def test_fine_tuning_counts_texts_longer_than_the_context(model, split):
    long = [Example("long", "абвгд" * 5, "x"), Example("short", "дежзі", "y")]
    config = CONFIG.model_copy(update={"epochs": 1, "runs": 1})
    assert fine_tune(backbone_of(model), split.train, long, split.labels, config).cut == 1


def test_weights_of_the_lowest_validation_loss_are_used(model, split):
    """With a rate that breaks the model, what is left is the state before the first step."""
    config = CONFIG.model_copy(update={"learning_rate": 1e4, "epochs": 4, "runs": 1})
    found = fine_tune(backbone_of(model), split.train, split.test, split.labels, config)
    assert found.detail["epochs"] == [0]
    assert found.warning == "1 of 1 runs learned nothing: lower the learning rate"
    assert set(found.classes_RN[0].tolist()) == {0}


def test_a_model_behind_an_address_has_no_features():
    elsewhere = SimpleNamespace(description={"kind": "endpoint", "where": "http://127.0.0.1:1/v1#m"})
    with pytest.raises(EvaluationError, match=r"'endpoint' gives no features[\s\S]*choose --method few-shot"):
        backbone_of(elsewhere)


def test_features_of_a_transformers_model_are_those_of_its_own_padded_or_not():
    transformers = pytest.importorskip("transformers")
    from rodna.evals.classify.backbone import _transformers_hidden

    torch.manual_seed(0)
    shape = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2}
    whole = transformers.LlamaForCausalLM(transformers.LlamaConfig(**shape, num_key_value_heads=2, max_position_embeddings=12)).eval()
    found = features(Backbone(whole, _transformers_hidden, Letters().encode_batch, (0,), 12), ["абвгд", "а"])
    with torch.no_grad():
        own = whole.model(torch.tensor([[0, *Letters().encode_batch(["а"])[0]]]), output_hidden_states=True)
    assert found["last layer, last token"][1] == pytest.approx(own.last_hidden_state[0, -1].numpy(), abs=1e-5)
    assert found["middle layer, last token"][1] == pytest.approx(own.hidden_states[1][0, -1].numpy(), abs=1e-5)


def test_test_texts_that_stand_in_the_training_text_are_counted_apart():
    examples = [Example(f"t:{n}", f"text {n}", "ab"[n % 2]) for n in range(40)]
    split = split_table(Table(examples, []), test_share=0.5, seed=0)
    gold = as_numbers(split.test, split.labels)
    answer = gold.copy()
    answer[4:] = 1 - answer[4:]
    seen = {example.id: Seen("seen" if place < 4 else "unseen", 1.0, "", 0) for place, example in enumerate(split.test)}
    found = {name: Predictions(answer[None]) for name in ("majority", "ngram", "few-shot")}
    evaluation = results_of("t", split, found, seen, CONFIG)
    detail = next(result.detail for result in evaluation.results if result.task == "t/few-shot" and result.metric == "macro_f1")
    assert (detail["seen"]["n"], detail["seen"]["value"]) == (4, 1.0)
    assert (detail["unseen"]["n"], detail["unseen"]["value"]) == (16, 0.0)
    assert evaluation.seen["t/few-shot"] == {example.id for example in split.test[:4]}
    same = next(result for result in evaluation.results if result.metric == "macro_f1_minus_ngram")
    assert (same.value, same.low, same.high, same.detail["verdict"]) == (0.0, 0.0, 0.0, "no difference shown")
