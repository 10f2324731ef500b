import re

import pytest
import torch
from tiny_models import CONFIGS, SHAPE, VOCABULARY_SIZE

from rodna.core.errors import ModelError
from rodna.models.checkpoint import save
from rodna.models.config import ModelConfig
from rodna.models.ensemble import Ensemble, EnsembleEngine, load_ensemble, tokenizer_digest
from rodna.tokenizer.tokenizer import Tokenizer

TOKENS = torch.arange(26).reshape(2, 13) * 7 % VOCABULARY_SIZE


@pytest.fixture
def members(make_decoder):
    return [make_decoder(CONFIGS[name], seed=seed) for seed, name in enumerate(("gpt2", "gptj", "llama-tied-grouped", "qwen3"))]


def logits_of(members, tokens):
    with torch.no_grad():
        return torch.stack([member.logits(member(tokens)) for member in members]).flatten(1, 2)


@pytest.mark.parametrize("temperature", [1.0, 2.5])
@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_members_of_any_architecture_are_averaged(members, average, temperature):
    ensemble = Ensemble(members, average=average)

    features = ensemble.features(TOKENS, compute_dtype=torch.float32)
    found = torch.cat([ensemble.probabilities(features, slice(start, start + 7), temperature=temperature) for start in range(0, 26, 7)])

    logits = logits_of(members, TOKENS) / temperature
    expected = logits.softmax(-1).mean(0) if average == "probabilities" else logits.mean(0).softmax(-1)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-8)
    assert not found.requires_grad


def test_dropout_of_a_member_in_training_is_off(make_decoder):
    member = make_decoder(CONFIGS["qwen3"].model_copy(update={"dropout": 0.5})).train()
    ensemble = Ensemble([member])

    first, second = (ensemble.features(TOKENS, compute_dtype=torch.float32)[0] for _ in range(2))

    assert torch.equal(first, second)


def test_a_frozen_ensemble_says_the_same(members):
    ensemble = Ensemble(members)
    before = ensemble.features(TOKENS, compute_dtype=torch.bfloat16)
    rows = slice(0, 26)
    expected = ensemble.probabilities(before, rows)

    ensemble.freeze(torch.bfloat16)

    after = ensemble.features(TOKENS, compute_dtype=torch.bfloat16)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    torch.testing.assert_close(ensemble.probabilities(after, rows), expected, rtol=2e-2, atol=1e-6)
    assert all(member.head.weight.t().is_contiguous() and member.head.weight.dtype is torch.bfloat16 for member in ensemble.members)
    assert not any(parameter.requires_grad for member in ensemble.members for parameter in member.parameters())


@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_the_engine_continues_sequences_with_averaged_scores(members, average):
    engine = EnsembleEngine(Ensemble(members, average=average), num_tokens=200, num_slots=2)
    texts = [[3, 1, 4, 1, 5], [9, 2, 6]]

    started = [engine.start(text[:-1], slot) for slot, text in enumerate(texts)]
    stepped = engine.step([text[-1] for text in texts], [len(text) - 1 for text in texts])
    engine.move(1, 0)
    moved = engine.step([8], [3])

    def expected(text):
        logits = torch.stack([logits_of([member], torch.tensor([text]))[0, -1, :200] for member in members])
        return logits.softmax(-1).mean(0) if average == "probabilities" else logits.mean(0).softmax(-1)

    for scores, text in zip([*started, *stepped, moved[0]], [texts[0][:-1], texts[1][:-1], *texts, [*texts[1], 8]], strict=True):
        torch.testing.assert_close(scores.softmax(-1), expected(text), rtol=1e-3, atol=1e-6)


def test_windows_longer_than_a_members_context_are_refused(make_decoder):
    short = make_decoder(ModelConfig(**SHAPE | {"context_length": 12}))
    ensemble = Ensemble([make_decoder(CONFIGS["qwen3"]), short])

    assert ensemble.context_length == 12
    with pytest.raises(ModelError, match=r"windows of 13 tokens are longer than the context of 12"):
        ensemble.features(TOKENS, compute_dtype=torch.float32)


def test_members_with_other_vocabularies_are_refused(make_decoder):
    other = make_decoder(ModelConfig(**SHAPE | {"vocabulary_size": 300}))

    with pytest.raises(ModelError, match=r"vocabularies differ: 257, 300 tokens"):
        Ensemble([make_decoder(CONFIGS["qwen3"]), other])


def test_an_ensemble_of_nobody_is_refused():
    with pytest.raises(ModelError, match="at least one member"):
        Ensemble([])
    with pytest.raises(ModelError, match="at least one member"):
        load_ensemble([])


def test_checkpoints_with_one_tokenizer_open_as_an_ensemble(members, tokenizer_folder, tokenizer, tmp_path):
    folders = [tmp_path / name for name in "ab"]
    for folder, member in zip(folders, members[2:], strict=True):
        save(folder, member, tokenizer_folder)

    ensemble, shared = load_ensemble(folders, average="logits")

    assert (len(ensemble.members), ensemble.average) == (2, "logits")
    assert tokenizer_digest(shared) == tokenizer_digest(tokenizer)
    rows = slice(0, 26)
    found = ensemble.probabilities(ensemble.features(TOKENS, compute_dtype=torch.float32), rows)
    torch.testing.assert_close(found, logits_of(members[2:], TOKENS).mean(0).softmax(-1))


def test_a_checkpoint_that_transformers_saved_again_has_the_same_tokenizer(members, tokenizer_folder, tokenizer, tmp_path):
    transformers = pytest.importorskip("transformers", reason="transformers is not installed (pip install 'rodna[hf]')")
    save(tmp_path / "ours", members[-1], tokenizer_folder)
    transformers.AutoTokenizer.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "again")
    transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "ours").save_pretrained(tmp_path / "again")

    _, shared = load_ensemble([tmp_path / "ours", tmp_path / "again"])

    assert tokenizer_digest(shared) == tokenizer_digest(tokenizer)


def test_checkpoints_with_other_tokenizers_are_refused_by_name(members, tokenizer_folder, tmp_path):
    first, second, other = tmp_path / "first", tmp_path / "second", tmp_path / "other"
    text = (tokenizer_folder / "tokenizer.json").read_text(encoding="utf-8")
    ids = re.findall(r'"a": \d+|"b": \d+', text)
    swapped = text.replace(ids[0], '"b": ' + ids[0].split(": ")[1]).replace(ids[1], '"a": ' + ids[1].split(": ")[1])
    other.mkdir()
    (other / "tokenizer.json").write_text(swapped, encoding="utf-8")
    Tokenizer.load(other).save(other)
    save(first, members[2], tokenizer_folder)
    save(second, members[3], other)

    with pytest.raises(ModelError, match="tokenizers differ") as caught:
        load_ensemble([first, second])

    assert caught.value.where == str(second)
