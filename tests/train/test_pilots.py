"""Pilots: branches equal runs of their own, a killed fit goes on, and what comes out is a fit."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.train.conftest import text_tokens
from tests.train.stage_bench import make_tokens

from rodna.core.errors import PlanError
from rodna.core.files import write_json
from rodna.data.batches import Batches
from rodna.data.curriculum import make_batches
from rodna.models.decoder import Decoder
from rodna.plan import rules
from rodna.plan.hardware import describe_machine
from rodna.plan.ladder import Ladder, Pilot, can_branch, law_pilots, rate_pilot
from rodna.plan.propose import Plan
from rodna.plan.speed import StepTime
from rodna.train.loop import Speedometer, train
from rodna.train.optim import build_optimizers
from rodna.train.pilots import LADDER, POINTS, decide_ladder, fit_ladder, fit_scaling, loss_of, run_pilot, search
from rodna.train.several_targets import build_objective
from rodna.train.state import Progress, RunFolder
from rodna.train.trunk import TRUNKS, Workbench, thinned, values_of

HOPELESS = {"learning_rate": 1e30, "adam_learning_rate": 1e30, "weight_decay": 0.0}


@pytest.fixture
def target(model_config, values):
    train_values = values.model_copy(update={"steps": 40, "decay_fraction": 0.4, "weight_decay": 0.3}).model_dump(mode="json")
    estimates = {"epochs": 4.0, "tokens_seen": 40 * 4 * 16}
    return Plan(model_config, train_values, estimates, [], {"device": "cpu"})


@pytest.fixture
def bench(tmp_path, tokenizer_folder, target):
    return Workbench(text_tokens(40, seed=1), text_tokens(8, seed=2), tokenizer_folder, target, describe_machine("cpu"), tmp_path / "run")


@pytest.fixture
def pilot(model_config):
    return Pilot("size", model_config, 1.0, 4, (6, 12))


@pytest.fixture
def ladder(model_config):
    sizes = tuple(model_config.model_copy(update={"num_layers": layers}) for layers in (1, 2, 3))
    return Ladder(sizes, 256, 0.25, (1e-5, 2e-5, 3e-5), (0.0, 0.2))


def straight_run(pilot, bench, steps, folder):
    """Train a pilot's length from its beginning to its end in one go: the slow way to the same figure."""
    values = values_of(pilot, bench.target).model_copy(update={"steps": steps, "evaluations": 1})
    decoder = Decoder(pilot.model).initialize(seed=values.seed)
    batches = make_batches(bench.train, values, pilot.model.context_length)
    progress = train(
        decoder, build_optimizers(decoder, values), batches, bench.validation, values, dtype=torch.float32,
        folder=RunFolder(folder, tokenizer_folder=bench.tokenizer_folder, setup="straight"), progress=Progress(),
        speedometer=Speedometer(1.0, 0.0), objective=build_objective(values, decoder, None),
    )  # fmt: skip
    return progress.best_bits_per_byte


def test_pilots_read_their_text_as_it_is(pilot, target):
    often = replace(target, train={**target.train, "bpe_dropout": 0.1})
    assert values_of(pilot, often).bpe_dropout == 0.0


def test_a_branch_ends_exactly_where_a_run_of_that_length_alone_ends(pilot, bench, tmp_path):
    records = run_pilot(pilot, bench)

    assert [record["bits_per_byte"] for record in records] == [straight_run(pilot, bench, n, tmp_path / str(n)) for n in (6, 12)]
    assert records[0]["bits_per_byte"] != records[1]["bits_per_byte"]
    assert [record["tokens_seen"] for record in records] == [6 * 4 * 16, 12 * 4 * 16]
    assert records[0]["parameters"] == rules.block_parameters(pilot.model)
    assert records[0]["unique_tokens"] == bench.train.num_tokens


@pytest.mark.parametrize(
    "changes",
    [{"schedule": "cosine"}, {"weight_decay_schedule": "linear"}, {"averaging": "ema", "averaging_fraction": 0.5},
     {"curriculum": "short_first"}, {"curriculum": "context_grows"}, {"future_tokens": 2}],
)  # fmt: skip
def test_where_the_beginning_depends_on_the_length_each_length_is_a_run_of_its_own(changes, pilot, bench, tmp_path):
    bench = replace(bench, target=replace(bench.target, train=bench.target.train | changes))
    records = run_pilot(pilot, bench)

    assert not can_branch(bench.target.train)
    assert [record["bits_per_byte"] for record in records] == [straight_run(pilot, bench, n, tmp_path / str(n)) for n in (6, 12)]


def test_an_average_inside_the_decay_can_branch(pilot, bench, tmp_path):
    changes = {"averaging": "swa", "averaging_fraction": 0.3}
    bench = replace(bench, target=replace(bench.target, train=bench.target.train | changes))
    records = run_pilot(pilot, bench)

    assert can_branch(bench.target.train)
    assert [record["bits_per_byte"] for record in records] == [straight_run(pilot, bench, n, tmp_path / str(n)) for n in (6, 12)]


@pytest.mark.parametrize("killed_at", [2, 4, 5, 9, 11])
def test_a_pilot_killed_anywhere_ends_with_the_same_figures(killed_at, pilot, bench, tmp_path, monkeypatch):
    whole = run_pilot(pilot, replace(bench, folder=tmp_path / "whole"))
    real, calls = Batches.batch, [0]

    def batch(self, n, **given):
        calls[0] += 1
        if calls[0] == killed_at:
            raise KeyboardInterrupt
        return real(self, n, **given)

    monkeypatch.setattr(Batches, "batch", batch)
    with pytest.raises(KeyboardInterrupt):
        run_pilot(pilot, bench)
    resumed = run_pilot(pilot, bench)

    assert resumed == whole
    assert not (bench.folder / TRUNKS / pilot.name).exists()


def finish(pilot, bench, **record):
    """Write the record of a pilot as if it had run."""
    for steps in pilot.lengths:
        write_json(bench.folder / POINTS / f"{pilot.name}-{steps}.json", record)


def test_finished_points_are_not_run_again(pilot, bench):
    (bench.folder / POINTS).mkdir(parents=True)
    finish(pilot, bench, bits_per_byte=1.234)

    assert run_pilot(pilot, bench) == [{"bits_per_byte": 1.234}] * 2
    assert not (bench.folder / TRUNKS).exists()


def test_without_validation_text_no_pilot_is_run(tmp_path):
    tokens = make_tokens(tmp_path, num_validation=0)
    with pytest.raises(PlanError, match="no validation documents") as caught:
        fit_scaling(tokens, tokens, tokens, {}, tmp_path / "fit-00000000", run=tmp_path / "run", make_target=lambda: pytest.fail("planned"),
                    seconds=60, dropouts=(0.0,))  # fmt: skip
    assert "corpus.split.validation" in str(caught.value)


def test_a_diverged_pilot_is_a_point_without_a_loss(pilot, bench):
    bench = replace(bench, target=replace(bench.target, train=bench.target.train | HOPELESS))
    records = run_pilot(pilot, bench)

    assert [record["bits_per_byte"] for record in records] == [None, None]
    assert math.isnan(loss_of(records[0]))


def test_a_part_of_the_text_is_evenly_spread_whole_documents():
    tokens = text_tokens(40, seed=3)
    part = thinned(tokens, 0.25)

    assert part.num_documents == 10
    assert part.num_tokens == sum(np.diff(tokens.offsets)[::4])
    expected = np.concatenate([tokens.tokens[tokens.offsets[n] : tokens.offsets[n + 1]] for n in range(0, 40, 4)])
    assert (part.tokens == expected).all()
    assert (part.document_bytes == tokens.document_bytes[::4]).all()
    assert thinned(tokens, 1.0) is tokens
    assert thinned(tokens, 1e-9).num_documents == 1


def test_the_whole_ladder_gives_a_fit_and_a_second_call_the_same(bench, ladder):
    first = fit_ladder(bench, ladder, fixed=set())
    second = fit_ladder(bench, ladder, fixed=set())

    assert first == second
    assert len(first.points) + len(first.left_out) == 4 + 1 + 2 + 2 + 1 + 1
    assert {item["setting"] for item in first.searched} == {"learning_rate", "batch_size"}
    assert {point.dropout for point in first.points} == {0.0, 0.2}
    assert first.knows_dropout
    assert first.recipe["weight_decay"] == 0.3
    part = min(point.unique_tokens for point in first.points)
    assert part == pytest.approx(bench.train.num_tokens / 4, rel=0.1)
    expected, low, high = first.predict(1e5, 1e4, bench.train.num_tokens)
    assert 0 < low <= expected <= high
    assert first.largest_flops > 0


def test_pilots_too_short_to_tell_are_named(bench, ladder, capsys):
    fit_ladder(bench, ladder, fixed={"learning_rate", "batch_size"})

    assert "the shortest pilots have 4 steps, where learning has hardly begun" in capsys.readouterr().err


def test_a_rate_that_the_user_fixed_is_not_searched_for(bench, ladder):
    rate, batch, searched = search(bench, ladder, fixed={"learning_rate", "batch_size"})

    assert (rate, batch, searched) == (1.0, 1.0, [])


def test_the_search_goes_on_outside_where_the_best_rate_is_at_an_end(bench, ladder):
    (bench.folder / POINTS).mkdir(parents=True)
    for factor, loss in {0.5: 3.0, 1.0: 2.0, 2.0: 1.5, 4.0: 1.8}.items():
        finish(rate_pilot(bench.target, ladder, factor), bench, bits_per_byte=loss)
    rate, _, searched = search(bench, ladder, fixed={"batch_size"})

    assert [item["factor"] for item in searched] == [0.5, 1.0, 2.0, 4.0]
    assert rate == 2.0


@pytest.mark.parametrize(("fixed", "tried"), [(set(), math.sqrt(0.5)), ({"learning_rate"}, 1.0)])
def test_a_batch_comes_with_the_rate_that_it_was_tried_with(bench, ladder, monkeypatch, fixed, tried):
    rates = {}

    def run(pilot, bench):
        rates[pilot.name] = pilot.rate_factor
        return [{"bits_per_byte": {"rate-0.5": 2.2, "rate-1": 2.0, "rate-2": 2.2, "batch-0.5": 1.5}.get(pilot.name, 1.9)}]

    monkeypatch.setattr("rodna.train.pilots.run_pilot", run)
    rate, batch, _ = search(bench, ladder, fixed=fixed)

    assert batch == 0.5
    assert rate == rates["batch-0.5"] == pytest.approx(tried)
    assert {pilot.rate_factor for pilot in law_pilots(bench.target, ladder, rate_factor=rate, batch_factor=batch)} == {rate}


def test_a_batch_of_one_long_sequence_is_not_halved_in_name_only(bench, ladder, monkeypatch):
    monkeypatch.setattr("rodna.train.pilots.run_pilot", lambda pilot, bench: [{"bits_per_byte": 1.0 if "batch" in pilot.name else 2.0}])
    rows = replace(bench, target=replace(bench.target, train={**bench.target.train, "batch_size": 1}))
    assert rate_pilot(rows.target, ladder, 1.0).batch_size == 1
    batches = [item["factor"] for item in search(rows, ladder, fixed={"learning_rate"})[2] if item["setting"] == "batch_size"]

    assert batches == [1.0, 2.0]


def test_pilots_follow_the_plan_and_differ_where_they_should(bench, ladder):
    law = law_pilots(bench.target, ladder, rate_factor=1.5, batch_factor=2.0)
    plain = values_of(rate_pilot(bench.target, ladder, 1.0), bench.target)

    assert plain.learning_rate == pytest.approx(bench.target.train["learning_rate"])
    assert values_of(law[0], bench.target).learning_rate == pytest.approx(1.5 * plain.learning_rate)
    assert law[0].batch_size == 2 * plain.batch_size
    assert [pilot.share for pilot in law] == [1.0, 1.0, 1.0, 0.25, 1.0, 0.25]
    assert [pilot.model.dropout for pilot in law] == [0.0, 0.0, 0.0, 0.0, 0.2, 0.2]
    assert plain.weight_decay == 0.3


def clock(model, train, *, machine, expected_seconds):
    """Say how long steps take instead of running them."""
    return StepTime(seconds=1e-9 * rules.block_parameters(model) * train["batch_size"] * model.context_length)


def test_the_ladder_is_decided_once(tmp_path, target):
    train_split, validation = text_tokens(40, seed=1), text_tokens(8, seed=2)
    made = decide_ladder(tmp_path, train_split, validation, lambda: target, seconds=60, dropouts=(0.0, 0.2), timer=clock)
    again = decide_ladder(tmp_path, train_split, validation, lambda: pytest.fail("planned again"), seconds=60, dropouts=(0.3,),
                          timer=lambda *_, **__: pytest.fail("measured again"))  # fmt: skip

    assert again == made
    assert json.loads((tmp_path / LADDER).read_text())["ladder"]["length_tokens"] == made[1].length_tokens


def test_too_few_finished_pilots_are_refused(bench, ladder):
    bench = replace(bench, target=replace(bench.target, train=bench.target.train | HOPELESS))

    with pytest.raises(PlanError, match="too few pilot runs to fit a law: 0") as error:
        fit_ladder(bench, ladder, fixed={"learning_rate", "batch_size"})
    assert "more minutes" in error.value.fix
