"""Tokens that are spelled alike learn together: as if the embedding were a sum, of which only the sum is kept."""

import numpy as np
import pytest
import torch
from tests.train.restarts import saved_between_steps
from torch import nn

from rodna.models.decoder import Decoder
from rodna.tokenizer.tokenizer import Tokenizer
from rodna.train.optim import build_optimizers, spelling_for, update
from rodna.train.spelling import OWN_SHARE, Spelling, marks_of


def test_a_token_has_its_word_its_form_and_its_runs():
    assert set(marks_of(" Дом".encode())) == {
        "word дом", "form space capital", "run д", "run о", "run м", "run \x02д", "run до", "run ом", "run м\x03", "run \x02до", "run дом",
        "run ом\x03",
    }  # fmt: skip


def test_case_and_space_change_the_form_alone():
    one, other = (set(marks_of(token.encode())) for token in (" Hus", "hus"))

    assert one ^ other == {"form space capital", "form none plain"}


@pytest.mark.parametrize("token", [b"\xd0", b"\xd0\xb4\xd0", b"\xff\xfe"])
def test_half_a_character_has_marks_of_its_bytes(token):
    assert any(mark.startswith("run ") for mark in marks_of(token))


def test_nothing_and_what_is_only_space_have_no_runs():
    assert list(marks_of(b"")) == []
    assert not [mark for mark in marks_of(b"  ") if mark.startswith("run ") and len(mark) < 6]


def test_a_very_long_token_is_not_read_to_its_end():
    assert len(list(marks_of(b"-" * 100_000))) < 300


def matrix_of(spelling: Spelling, vocabulary_size: int) -> torch.Tensor:
    matrix_VM = torch.zeros(vocabulary_size, spelling.num_marks)
    ends = [*spelling.first_mark_V.tolist()[1:], len(spelling.marks_E)]
    for token, (start, end) in enumerate(zip(spelling.first_mark_V.tolist(), ends, strict=True)):
        matrix_VM[token, spelling.marks_E[start:end]] = 1
    return matrix_VM / matrix_VM.sum(1, keepdim=True).clamp_min(1).sqrt()


def test_only_marks_of_several_tokens_count_and_rows_have_length_one(tokenizer_folder):
    tokenizer = Tokenizer.load(tokenizer_folder)
    size = tokenizer.vocabulary_size
    matrix_VM = matrix_of(Spelling.of(tokenizer, size + 3), size + 3)
    lengths_V = matrix_VM.norm(dim=1)

    assert ((matrix_VM > 0).sum(0) >= 2).all()
    assert ((lengths_V - 1).abs().min(lengths_V.abs()) < 1e-6).all()
    assert not matrix_VM[size:].any()
    assert not matrix_VM[tokenizer.end_of_text_id].any()


def test_gathering_and_spreading_are_products_with_the_matrix_and_its_transpose(tokenizer_folder):
    tokenizer = Tokenizer.load(tokenizer_folder)
    spelling = Spelling.of(tokenizer, tokenizer.vocabulary_size)
    matrix_VM = matrix_of(spelling, tokenizer.vocabulary_size)
    torch.manual_seed(0)
    tokens_VD, marks_MD = torch.randn(tokenizer.vocabulary_size, 8), torch.randn(spelling.num_marks, 8)

    torch.testing.assert_close(spelling.gather(tokens_VD), matrix_VM.T @ tokens_VD, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(spelling.spread(marks_MD), matrix_VM @ marks_MD)


def test_the_embedding_learns_as_the_sum_of_two_parameters_that_torch_updates(model_config, values, tokenizer_folder):
    values = values.model_copy(update={"spelling_rate": 3.0, "clip_norm": 0.0})
    decoder = Decoder(model_config).initialize(seed=0)
    spelling = spelling_for(values, tokenizer_folder, decoder)
    optimizers = build_optimizers(decoder, values, spelling)
    matrix_VM = matrix_of(spelling, model_config.vocabulary_size)
    own = nn.Parameter(decoder.embedding.weight.detach().clone())
    marks = nn.Parameter(torch.zeros(spelling.num_marks, model_config.width))
    rate = values.adam_learning_rate
    reference = torch.optim.AdamW([{"params": [own], "lr": OWN_SHARE * rate}, {"params": [marks], "lr": 3.0 * rate}],
                                  betas=values.adam_betas, eps=values.adam_epsilon, weight_decay=0.0)  # fmt: skip
    for seed in range(4):
        torch.manual_seed(seed)
        for parameter in decoder.parameters():
            parameter.grad = torch.randn_like(parameter)
        own.grad = decoder.embedding.weight.grad.clone()
        marks.grad = matrix_VM.T @ own.grad
        update(decoder, optimizers, factor=1.0, clip_norm=0.0)
        reference.step()

    torch.testing.assert_close(decoder.embedding.weight, own + matrix_VM @ marks, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("changes", [{}, {"optimizer": "adamw"}, {"cautious_weight_decay": True, "embedding_weight_decay": 0.1}])
@pytest.mark.parametrize("tied", [True, False])
def test_what_marks_have_learned_survives_a_restart_to_the_bit(model_config, values, tokenizer_folder, changes, tied):
    values = values.model_copy(update={"spelling_rate": 4.0, **changes})
    config = model_config.model_copy(update={"tied_embeddings": tied})

    def fresh():
        decoder = Decoder(config).initialize(seed=0)
        return decoder, build_optimizers(decoder, values, spelling_for(values, tokenizer_folder, decoder))

    saved = saved_between_steps(fresh)

    assert sum(name.endswith("spelling_exp_avg") for name in saved) == (1 if tied else 2)


def test_a_rare_token_learns_from_those_it_resembles(model_config, values, tokenizer_folder):
    """Only the tokens with capitals are seen; the same words in small letters move the same way, if and only if spelling is shared."""
    tokenizer = Tokenizer.load(tokenizer_folder)
    words = {tokenizer.token_bytes(token): token for token in range(tokenizer.vocabulary_size)}
    pairs = [(token, words[word.lower()]) for word, token in words.items() if word.lower() != word and word.lower() in words]
    assert pairs

    def alike(rate: float) -> float:
        decoder = Decoder(model_config).initialize(seed=0)
        learned = values.model_copy(update={"spelling_rate": rate})
        optimizers = build_optimizers(decoder, learned, spelling_for(learned, tokenizer_folder, decoder))
        before = decoder.embedding.weight.detach().clone()
        torch.manual_seed(0)
        gradient = torch.zeros_like(before)
        for seen, _ in pairs:
            gradient[seen] = torch.randn(model_config.width)
        decoder.embedding.weight.grad = gradient
        update(decoder, optimizers, factor=1.0, clip_norm=0.0)
        change = (decoder.embedding.weight - before).detach()
        return float(np.mean([torch.cosine_similarity(change[seen], change[unseen], dim=0) for seen, unseen in pairs]))

    assert alike(0.0) == 0
    assert alike(4.0) > 0.3


@pytest.mark.parametrize("context", [16, 0])
def test_positions_are_not_spelled(context, model_config, values, tokenizer_folder):
    config = model_config.model_copy(update={"position": "learned", "context_length": context or model_config.vocabulary_size})
    decoder = Decoder(config).initialize(seed=0)
    values = values.model_copy(update={"spelling_rate": 4.0})
    optimizers = build_optimizers(decoder, values, spelling_for(values, tokenizer_folder, decoder))
    owned = [parameter for one in optimizers for group in one.param_groups for parameter in group["params"]]
    spelled = [parameter for one in optimizers for group in one.param_groups if "marks_rate" in group for parameter in group["params"]]

    assert len(owned) == len(set(owned)) == len(list(decoder.parameters()))
    assert [tuple(parameter.shape) for parameter in spelled] == [(config.vocabulary_size, config.width)]
