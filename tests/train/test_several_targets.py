"""Tokens beyond the next one, drawn ones, and masked text: against plain sums over positions."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tests.train.stage_bench import VOCABULARY

from rodna.data.batches import IGNORE, Batch
from rodna.data.tokens import Tokens
from rodna.models.decoder import Decoder, Masking
from rodna.models.ngram import NgramModel
from rodna.train import objectives
from rodna.train.objectives import chunked_linear_loss, linear_cross_entropy, next_token
from rodna.train.runtime import compile_decoder, eager, undo_compilation
from rodna.train.several_targets import FUTURE_UNTIL, SeveralTargets, build_objective, count_for, score_columns, uniform

LENGTH = 16


@pytest.fixture
def decoder(model_config):
    """Sharp enough that every term has gradients of some size."""
    decoder = Decoder(model_config.model_copy(update={"dropout": 0.0})).initialize(seed=0)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter += 0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    return decoder


def make_batch(first_slot=0, rows=4):
    """Rows of documents of 5 tokens, the first of which has lost its beginning."""
    tokens = torch.randint(1, 200, (rows, LENGTH + 1), generator=torch.Generator().manual_seed(first_slot))
    documents = ((torch.arange(LENGTH) + 3) // 5).expand(rows, -1) + 10 * torch.arange(rows)[:, None]
    return Batch(tokens[:, :-1], tokens[:, 1:].clone(), documents.clone(), torch.arange(first_slot, first_slot + rows))


def text_of(batch):
    """The rows of a batch as documents."""
    rows = torch.cat([batch.inputs_BT, batch.targets_BT[:, -1:]], 1)
    return Tokens(rows.flatten().numpy(), np.arange(len(rows) + 1) * (LENGTH + 1), np.full(len(rows), LENGTH), 0, VOCABULARY)


def counts_of(batch):
    return NgramModel.count(text_of(batch), order=3)


def rows_of(batch, start, end):
    return Batch(*(part[start:end] for part in batch))


def log_probabilities(decoder, batch, masking=None):
    hidden_BTD = decoder(batch.inputs_BT, masking=masking)
    return decoder.logits(hidden_BTD).float().log_softmax(-1)


def test_settings_that_ask_for_nothing_more_learn_the_next_token(values, decoder):
    assert build_objective(values, decoder) is next_token
    assert isinstance(build_objective(values.model_copy(update={"future_tokens": 2}), decoder), SeveralTargets)
    assert isinstance(build_objective(values.model_copy(update={"masked_share": 0.5}), decoder), SeveralTargets)
    assert isinstance(build_objective(values.model_copy(update={"counted_share": 0.5}), decoder, counts_of(make_batch())), SeveralTargets)
    assert count_for(values, text_of(make_batch()), torch.device("cpu")) is None


@pytest.mark.parametrize("step", [0, 3, 6, 11])
def test_tokens_beyond_the_next_are_learned_within_their_document_by_falling_weights(values, decoder, step):
    values = values.model_copy(update={"future_tokens": 3, "future_weight": 0.3})
    batch = make_batch(first_slot=step * values.batch_size)
    batch.targets_BT[1, 4] = IGNORE
    scores = log_probabilities(decoder, batch)
    expected, plain, scored = 0.0, 0.0, 0
    for row in range(4):
        for place in range(LENGTH):
            for ahead in range(3):
                there = place + ahead
                if there >= LENGTH or batch.targets_BT[row, there] == IGNORE:
                    continue
                if batch.document_BT[row, there] != batch.document_BT[row, place]:
                    continue
                nats = -scores[row, place, batch.targets_BT[row, there]]
                weight = 1.0 if ahead == 0 else 0.3**ahead * max(0.0, 1 - step / (values.steps * FUTURE_UNTIL))
                expected, plain, scored = expected + weight * nats, plain + (ahead == 0) * nats, scored + (ahead == 0)

    loss = build_objective(values, decoder)(decoder, batch, compute_dtype=torch.float32)

    torch.testing.assert_close(loss.nats, expected)
    torch.testing.assert_close(loss.parts["cross_entropy"], plain.detach())
    assert loss.num_scored == scored == 63
    parameters = list(decoder.parameters())
    for ours, theirs in zip(torch.autograd.grad(loss.nats, parameters), torch.autograd.grad(expected, parameters), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_the_end_of_a_run_with_future_tokens_learns_as_next_token_does(values, decoder):
    batch = make_batch(first_slot=values.batch_size * 10)
    parameters = list(decoder.parameters())

    def gradients(objective):
        return torch.autograd.grad(objective(decoder, batch, compute_dtype=torch.float32).nats, parameters)

    found = gradients(build_objective(values.model_copy(update={"future_tokens": 4}), decoder))

    torch.testing.assert_close(found, gradients(next_token), rtol=1e-4, atol=1e-4)


def masked(values, **changes):
    return values.model_copy(update={"masked_share": 0.25, "mask_rate": 0.3} | changes)


def test_masked_rows_predict_each_hidden_token_from_the_position_before_it(values, decoder):
    objective = SeveralTargets(masked(values), decoder)
    batch = make_batch()
    hidden_BT = uniform(batch.slot_B, LENGTH, seed=values.seed) < 0.3
    open_B = torch.tensor([False, False, False, True])
    hidden_BT[:3] = False
    scores = log_probabilities(decoder, batch, Masking(hidden_BT, open_B, objective.vector_D))
    causal = -sum(scores[row, place, batch.targets_BT[row, place]] for row in range(3) for place in range(LENGTH))
    places = [place for place in range(LENGTH) if place == LENGTH - 1 or hidden_BT[3, place + 1]]
    unmasked = -sum(scores[3, place, batch.targets_BT[3, place]] for place in places)
    rate = (0.3 * (LENGTH - 1) + 1) / LENGTH

    loss = objective(decoder, batch, compute_dtype=torch.float32)

    assert 1 < len(places) < LENGTH
    torch.testing.assert_close(loss.nats, causal + unmasked / rate)
    torch.testing.assert_close(loss.parts["cross_entropy"] / 64, causal.detach() / 48)
    torch.testing.assert_close(loss.parts["masked_cross_entropy"] / 64, unmasked.detach() / (16 * rate))
    parameters = list(decoder.parameters())
    expected = torch.autograd.grad(causal + unmasked / rate, parameters)
    for ours, theirs in zip(torch.autograd.grad(loss.nats, parameters), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_future_tokens_are_of_causal_rows_only(values, decoder):
    batch = make_batch(rows=4)
    both = SeveralTargets(masked(values, future_tokens=2), decoder)(decoder, batch, compute_dtype=torch.float32)
    one = SeveralTargets(masked(values), decoder)(decoder, batch, compute_dtype=torch.float32)
    future = SeveralTargets(values.model_copy(update={"future_tokens": 2}), decoder)
    causal = rows_of(batch, 0, 3)
    alone, plain = future(decoder, causal, compute_dtype=torch.float32), next_token(decoder, causal, compute_dtype=torch.float32)

    torch.testing.assert_close(both.nats - one.nats, alone.nats - plain.nats, rtol=1e-3, atol=1e-3)


def test_drawn_tokens_teach_on_average_what_the_counts_say_of_other_places(values, decoder):
    values, batch = values.model_copy(update={"counted_share": 0.25, "batch_size": 4}), make_batch()
    batch.targets_BT[2, 3] = IGNORE
    counts = counts_of(make_batch())
    objective = SeveralTargets(values, decoder, counts)
    with torch.no_grad():
        scores = log_probabilities(decoder, batch).flatten(0, 1)
        losses = [objective(decoder, batch._replace(slot_B=batch.slot_B + 4 * draw), compute_dtype=torch.float32) for draw in range(300)]
    scored, targets = (batch.targets_BT != IGNORE).flatten(), batch.targets_BT.flatten()
    said = torch.zeros_like(scores)
    said += counts.probabilities(counts.contexts(batch.inputs_BT), targets)
    own, drawn = -scores.gather(1, targets.clamp_min(0)[:, None])[scored].sum(), -(said * scores)[scored].sum()

    assert losses[0].num_scored == int(scored.sum())
    assert torch.stack([loss.nats for loss in losses]).mean() == pytest.approx(float(0.75 * own + 0.25 * drawn), rel=0.01)
    assert float(losses[0].parts["cross_entropy"]) == pytest.approx(float(own), rel=1e-4)
    assert len({float(loss.nats) for loss in losses}) > 290
    again = objective(decoder, batch, compute_dtype=torch.float32)
    assert torch.equal(again.nats, losses[0].nats)


@pytest.mark.parametrize("changes", [
    {"future_tokens": 3}, {"masked_share": 0.5}, {"future_tokens": 2, "masked_share": 0.25}, {"counted_share": 0.3},
    {"future_tokens": 2, "masked_share": 0.25, "counted_share": 0.3},
])  # fmt: skip
def test_micro_batches_change_neither_the_loss_nor_its_gradient(values, decoder, changes):
    values = values.model_copy(update=changes)
    objective = build_objective(values, decoder, counts_of(make_batch(first_slot=8)) if values.counted_share else None)
    batch, parameters = make_batch(first_slot=8), list(decoder.parameters())

    def learn(*bounds):
        losses = [objective(decoder, rows_of(batch, start, end), compute_dtype=torch.float32) for start, end in pairwise(bounds)]
        total = sum(loss.nats for loss in losses)
        return total, torch.autograd.grad(total, parameters), sum(loss.parts["cross_entropy"] for loss in losses)

    torch.testing.assert_close(learn(0, 4), learn(0, 1, 2, 3, 4), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("share", [0.1, 0.25, 1 / 3, 0.9, 1.0])
def test_masked_rows_have_their_share_of_the_rows_and_masked_tokens_theirs_of_the_tokens(values, decoder, share):
    objective = SeveralTargets(masked(values, masked_share=share), decoder)
    far = make_batch(first_slot=3_000_000_000, rows=1000)

    masking = objective._masking(far)

    assert abs(int(masking.open_B.sum()) - 1000 * share) <= 1
    assert float(masking.hidden_BT[masking.open_B].float().mean()) == pytest.approx(0.3, abs=0.04)
    assert not masking.hidden_BT[~masking.open_B].any()


def test_what_is_masked_changes_from_row_to_row_and_with_the_seed():
    slots = torch.arange(64)

    numbers = uniform(slots, 100, seed=1)

    assert float(numbers.min()) >= 0
    assert float(numbers.max()) < 1
    assert float(numbers.mean()) == pytest.approx(0.5, abs=0.02)
    assert len(numbers.unique()) == numbers.numel()
    assert not (numbers == uniform(slots, 100, seed=2)).any()
    assert torch.equal(uniform(slots[5:9], 7, seed=1), numbers[5:9, :7])


def test_rows_cut_from_one_window_are_hidden_as_that_window_would_be():
    slots = torch.arange(20)
    whole, cut = uniform(slots, 100, seed=1), uniform(slots.repeat_interleave(4), 25, seed=1)

    assert torch.equal(cut.reshape(20, 100), whole)
    assert torch.equal(uniform(slots.repeat_interleave(4)[8:16], 25, seed=1), cut[8:16])


@pytest.mark.parametrize("softcap", [0.0, 2.0])
@pytest.mark.parametrize("columns", [1, 3])
def test_a_chunked_loss_of_columns_is_the_plain_weighted_sum(monkeypatch, softcap, columns):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(23, 8, generator=generator, requires_grad=True)
    weight = torch.randn(50, 8, generator=generator, requires_grad=True)
    bias = torch.randn(50, generator=generator, requires_grad=True)
    targets = torch.randint(50, (23, columns), generator=generator)
    targets[3], targets[5, 0], targets[7] = IGNORE, IGNORE, 9
    weights = torch.tensor([1.0, 0.3, 2.0])[:columns]
    monkeypatch.setitem(objectives.LOSS_CHUNK_TOKENS, "cpu", 5)
    logits = F.linear(features, weight, bias)
    logits = softcap * torch.tanh(logits / softcap) if softcap else logits
    sums = [F.cross_entropy(logits, targets[:, column], reduction="sum", ignore_index=IGNORE) for column in range(columns)]
    plain = sum(float(share) * nats for share, nats in zip(weights, sums, strict=True))

    nats, terms = chunked_linear_loss(
        features, weight, bias, lambda logits_CV, rows: score_columns(logits_CV, targets[rows], weights, softcap)
    )

    torch.testing.assert_close(nats, plain)
    torch.testing.assert_close(terms, torch.stack([plain, *sums]).detach())
    ours, expected = (torch.autograd.grad(value / 7, (features, weight, bias)) for value in (nats, plain))
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)
    if columns == 1:
        single = linear_cross_entropy(features, weight, bias, targets[:, 0], softcap=softcap)
        torch.testing.assert_close(torch.autograd.grad(single / 7, (features, weight, bias)), expected, rtol=1e-4, atol=1e-5)


def test_the_capped_losss_gradient_is_its_slope():
    """Finite differences: independent of any formula for the derivative."""
    generator = torch.Generator().manual_seed(4)
    features, weight = torch.randn(5, 4, generator=generator, requires_grad=True), 3 * torch.randn(9, 4, generator=generator)
    targets, direction, width = torch.tensor([1, 0, 8, 3, 3]), torch.randn(5, 4, generator=generator), 1e-2

    (slope,) = torch.autograd.grad(linear_cross_entropy(features, weight, None, targets, softcap=3.0), features)
    ends = [linear_cross_entropy(features + side * width * direction, weight, None, targets, softcap=3.0) for side in (1, -1)]

    assert float((slope * direction).sum()) == pytest.approx(float((ends[0] - ends[1]).detach()) / (2 * width), rel=1e-3)


def test_a_run_logs_its_terms_apart_and_resumes_exactly(tmp_path, make_run):
    changes = {"future_tokens": 2, "masked_share": 0.5, "counted_share": 0.2}
    counts = counts_of(make_batch())
    whole = make_run(tmp_path / "whole", **changes)
    whole.go(objective=build_objective(whole.values, whole.decoder, counts))
    first = make_run(tmp_path / "parts", **changes)

    class Stopped(Exception): ...

    def stop_at_7(decoder, batch, **settings):
        if int(batch.slot_B[0]) >= 7 * first.values.batch_size:
            raise Stopped
        return build_objective(first.values, decoder, counts)(decoder, batch, **settings)

    with pytest.raises(Stopped):
        first.go(objective=stop_at_7)
    second = make_run(tmp_path / "parts", **changes)
    # Saved with the evaluation after step 4.
    assert second.go(objective=build_objective(second.values, second.decoder, counts)).interruptions == 1

    records = [json.loads(line) for line in whole.folder.metrics.read_text().splitlines()]
    terms = [record for record in records if "loss" in record]
    assert all(
        {"cross_entropy", "future_cross_entropy", "counted_cross_entropy", "masked_cross_entropy"} <= record.keys() for record in terms
    )
    assert terms[-1]["cross_entropy"] < terms[0]["cross_entropy"]
    for name, parameter in whole.decoder.state_dict().items():
        assert torch.equal(parameter, second.decoder.state_dict()[name]), name


@pytest.mark.slow
def test_every_step_and_objective_compiled_agrees_with_plain_execution(values, model_config):
    steps = {"attention_gates": True, "value_residual": "embedding", "unet_skips": True, "residual_scalars": True, "logit_softcap": 5.0,
             "layer_loops": 2, "stochastic_depth": 0.3, "num_layers": 6, "dropout": 0.0}  # fmt: skip
    values = values.model_copy(update={"future_tokens": 2, "masked_share": 0.5, "counted_share": 0.2})
    config, batch = model_config.model_copy(update=steps), make_batch()

    def learn(decoder):
        torch.manual_seed(1)
        loss = build_objective(values, decoder, counts_of(make_batch()))(decoder, batch, compute_dtype=torch.float32)
        return [loss.nats, *torch.autograd.grad(loss.nats, list(decoder.parameters()))]

    plain = learn(Decoder(config).initialize(seed=0))
    decoder = Decoder(config).initialize(seed=0)
    assert compile_decoder(decoder, batch.inputs_BT, dtype=torch.float32)
    try:
        before = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        torch.testing.assert_close(learn(decoder), plain, rtol=1e-3, atol=1e-4)
        made = torch._dynamo.utils.counters["stats"]["unique_graphs"]
        assert made > before
        # Fewer pieces of code than the eight layers that run, and none anew for the next batch.
        assert made - before < 8
        learn(decoder)
        assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == made
        with eager():
            assert decoder(batch.inputs_BT[:1, :7]).shape == (1, 7, 32)
    finally:
        undo_compilation(decoder)
