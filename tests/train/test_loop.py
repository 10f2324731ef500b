import json
import os
import resource
import shutil
import signal

import pytest
import torch
from safetensors.torch import load_file

from rodna.core.errors import DiskError, StateError, TrainError
from rodna.core.log import read_json_lines
from rodna.data.batches import Batch
from rodna.data.tokens import Tokens
from rodna.evals.likelihood.scoring import validation_bits_per_byte
from rodna.models.checkpoint import load_decoder
from rodna.models.decoder import Decoder
from rodna.train.loop import is_evaluation_due, learn_batch
from rodna.train.objectives import LossSum, next_token


def weights(folder):
    """Return everything in a run's states and best checkpoints: weights, average and optimizer state."""
    return {
        f"{file.parent.name}/{file.name}/{name}": tensor
        for file in sorted(folder.glob("*/*.safetensors"))
        for name, tensor in load_file(file).items()
    }


def test_the_loss_falls_and_the_best_and_last_checkpoints_are_kept(make_run, tmp_path):
    progress = make_run(tmp_path, steps=60, evaluations=4).go()
    losses = [record["loss"] for record in read_json_lines(tmp_path / "metrics.jsonl") if "loss" in record]

    assert progress.step == 60
    assert progress.tokens == 60 * 4 * 16
    assert losses[-1] < 0.8 * losses[0]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [f"best-{progress.best_step:06d}", "step-000060"]


def test_checkpoints_kept_on_the_way_hold_the_weights_of_their_step_averaged_where_the_release_is(make_run, tmp_path):
    make_run(tmp_path / "long", steps=20, keep_checkpoints=3, averaging="swa", averaging_fraction=0.5).go()
    kept = sorted(path.name for path in (tmp_path / "long").glob("kept-*"))
    released = {path.name for path in (tmp_path / "long" / "kept-000020").iterdir()}

    assert kept == ["kept-000007", "kept-000014", "kept-000020"]
    assert not released.intersection({"optimizer.safetensors", "progress.json", "average.safetensors"})
    average = load_file(tmp_path / "long" / "step-000020" / "average.safetensors")
    last = load_file(tmp_path / "long" / "kept-000020" / "model.safetensors")
    assert any(torch.equal(tensor, other) for tensor in average.values() for other in last.values() if tensor.shape == other.shape)


VARIANTS = {
    "plain": {},
    "ema": {"averaging": "ema", "averaging_fraction": 0.4, "optimizer": "normuon", "weight_decay_schedule": "linear"},
    "swa": {
        "averaging": "swa",
        "averaging_fraction": 0.4,
        "cautious_weight_decay": True,
        "embedding_weight_decay": 0.2,
        "schedule": "sqrt",
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("stop_at", [1, 8, 10])
def test_a_run_that_was_killed_ends_with_the_same_bits(make_run, tmp_path, stop_at, variant):
    changes = VARIANTS[variant]
    whole = make_run(tmp_path / "whole", **changes).go()

    class Killed(BaseException):
        pass

    def dies(decoder, batch, *, compute_dtype):
        run.calls += 1
        if run.calls > 2 * stop_at:
            raise Killed
        return next_token(decoder, batch, compute_dtype=compute_dtype)

    run = make_run(tmp_path / "killed", save_minutes=1e-9, **changes)
    run.calls = 0
    with pytest.raises(Killed):
        run.go(objective=dies)
    again = make_run(tmp_path / "killed", **changes)
    progress = again.go()

    assert progress.interruptions == 1
    assert (progress.best_step, progress.best_bits_per_byte) == (whole.best_step, whole.best_bits_per_byte)
    expected, found = weights(tmp_path / "whole"), weights(tmp_path / "killed")
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    steps = [record["step"] for record in read_json_lines(tmp_path / "killed" / "metrics.jsonl") if "loss" in record]
    assert steps == sorted(set(steps))


def test_the_average_is_scored_and_kept_as_the_best_while_the_state_holds_the_raw_weights(make_run, tmp_path):
    run = make_run(tmp_path, averaging="swa", averaging_fraction=0.5, evaluations=12)
    seen = []

    def watches(decoder, batch, *, compute_dtype):
        if not seen or not torch.equal(seen[-1], decoder.embedding.weight):
            seen.append(decoder.embedding.weight.detach().clone())
        return next_token(decoder, batch, compute_dtype=compute_dtype)

    progress = run.go(objective=watches)
    seen.append(run.decoder.embedding.weight.detach().clone())
    expected = torch.stack(seen[7:]).double().mean(0).float()
    scored = {record["step"]: record for record in read_json_lines(tmp_path / "metrics.jsonl") if "validation_loss" in record}
    state, best = tmp_path / "step-000012", run.folder.released(progress)

    assert len(seen) == 13
    assert [step for step, record in scored.items() if record.get("weights") == "swa"] == list(range(8, 13))
    assert progress.best_step == 12
    torch.testing.assert_close(load_file(state / "average.safetensors")["embedding.weight"], expected)
    assert torch.equal(load_file(state / "model.safetensors")["model.embed_tokens.weight"], seen[-1])
    torch.testing.assert_close(load_file(best / "model.safetensors")["model.embed_tokens.weight"], expected)
    released = load_decoder(best)
    found = validation_bits_per_byte(released, run.validation, batch_size=8, compute_dtype=torch.float32)[0]
    assert found == pytest.approx(scored[12]["validation_bits_per_byte"], rel=1e-5)


def test_without_validation_text_the_average_is_released(make_run, tmp_path):
    run = make_run(tmp_path, averaging="ema", averaging_fraction=0.5)
    empty = Tokens(run.validation.tokens[:0], run.validation.offsets[:1], run.validation.document_bytes[:0], 256, 259)
    progress = run.go(validation=empty)
    average = load_file(tmp_path / "step-000012" / "average.safetensors")
    released = run.folder.released(progress)

    assert torch.equal(load_file(released / "model.safetensors")["model.embed_tokens.weight"], average["embedding.weight"])
    assert not torch.equal(average["embedding.weight"], run.decoder.embedding.weight)
    assert make_run(tmp_path, averaging="ema", averaging_fraction=0.5).go(validation=empty).step == 12
    assert released.is_dir()


def test_parts_of_the_loss_are_logged_a_token_over_all_steps_of_a_line(make_run, tmp_path):
    seen = []

    def two_parts(decoder, batch, *, compute_dtype):
        nats, count, _ = next_token(decoder, batch, compute_dtype=compute_dtype)
        seen.append(float(nats.detach()))
        return LossSum(nats, count, {"cross_entropy": nats.detach(), "divergence": torch.tensor(2.0 * count)})

    make_run(tmp_path, log_every=3).go(objective=two_parts)
    records = [record for record in read_json_lines(tmp_path / "metrics.jsonl") if "loss" in record]

    # Three steps of two micro-batches of two rows of 16 tokens make a line.
    assert [record["cross_entropy"] for record in records] == pytest.approx([sum(seen[at : at + 6]) / 192 for at in range(0, 24, 6)])
    assert [record["divergence"] for record in records] == pytest.approx([2.0] * 4)


def test_ctrl_c_finishes_the_step_saves_and_goes_on_later(make_run, tmp_path, capfd):
    def interrupts(decoder, batch, *, compute_dtype):
        if run.folder.path.exists() and not run.sent:
            run.sent = True
            os.kill(os.getpid(), signal.SIGINT)
        return next_token(decoder, batch, compute_dtype=compute_dtype)

    run = make_run(tmp_path)
    run.sent = False
    with pytest.raises(KeyboardInterrupt):
        run.go(objective=interrupts)

    assert [path.name for path in tmp_path.glob("step-*")] == ["step-000001"]
    assert "the state will be saved" in capfd.readouterr().err
    assert make_run(tmp_path).go().step == 12


def test_micro_batches_change_nothing_but_rounding(make_run, tmp_path):
    run = make_run(tmp_path)
    gradients = []
    for size in (1, 2, 4):
        decoder = Decoder(run.decoder.config.model_copy(update={"dropout": 0.0})).initialize(seed=0)
        nats, count, _ = learn_batch(
            decoder, run.batches.batch(0), run.values.model_copy(update={"micro_batch_size": size}), device=torch.device("cpu"), step=0,
            dtype=torch.float32, objective=next_token,
        )  # fmt: skip
        assert count == 64
        gradients.append([float(nats), *(parameter.grad for parameter in decoder.parameters())])

    for other in gradients[1:]:
        torch.testing.assert_close(other, gradients[0], rtol=1e-4, atol=1e-6)


def test_windows_cut_into_short_rows_keep_the_tokens_of_a_micro_batch(make_run, tmp_path):
    run = make_run(tmp_path)
    whole = run.batches.batch(0)
    inputs_BT, targets_BT, document_BT = (part.reshape(-1, 4) for part in whole[:3])
    short = Batch(inputs_BT, targets_BT, document_BT, whole.slot_B.repeat_interleave(4))
    shapes = []

    def watches(decoder, batch, *, compute_dtype):
        shapes.append(tuple(batch.inputs_BT.shape))
        return next_token(decoder, batch, compute_dtype=compute_dtype)

    for batch in (whole, short):
        learn_batch(run.decoder, batch, run.values, device=torch.device("cpu"), step=0, dtype=torch.float32, objective=watches)

    assert shapes == [(2, 16), (2, 16), (8, 4), (8, 4)]


def test_patience_ends_the_run_early(make_run, tmp_path):
    progress = make_run(tmp_path, steps=1000, evaluations=500, patience=2, learning_rate=1.0, adam_learning_rate=1.0, clip_norm=0.0).go()

    assert progress.stopped_early
    assert progress.worse_evaluations == 2
    assert progress.step < 1000


def test_evaluations_are_spread_evenly_and_the_last_step_has_one(values):
    due = [step for step in range(1, 13) if is_evaluation_due(step, values)]

    assert due == [4, 8, 12]


def test_without_validation_text_the_last_weights_are_the_result(make_run, tmp_path):
    run = make_run(tmp_path)
    empty = Tokens(run.validation.tokens[:0], run.validation.offsets[:1], run.validation.document_bytes[:0], 256, 259)

    assert run.go(validation=empty).best_step == 0
    assert not list(tmp_path.glob("best-*"))


def test_a_loss_that_is_no_number_is_reported_with_a_remedy(make_run, tmp_path):
    def breaks(decoder, batch, *, compute_dtype):
        nats, count, _ = next_token(decoder, batch, compute_dtype=compute_dtype)
        return LossSum(nats * float("nan"), count)

    with pytest.raises(TrainError, match=r"training has diverged: the loss is nan at step 2[\s\S]*lower train.learning_rate"):
        make_run(tmp_path).go(objective=breaks)


def test_a_disk_too_small_for_the_optimizers_state_is_reported_as_one(make_run, tmp_path):
    make_run(tmp_path / "fits").go()
    state = tmp_path / "fits" / "step-000012"
    weights, optimizer = ((state / name).stat().st_size for name in ("model.safetensors", "optimizer.safetensors"))
    assert weights < optimizer
    before, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (optimizer - 1, before[1]))
    try:
        with pytest.raises(DiskError, match="cannot write"):
            make_run(tmp_path / "small").go()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)

    assert not list((tmp_path / "small").glob("step-*"))


def test_a_damaged_state_is_named_with_a_remedy(make_run, tmp_path):
    make_run(tmp_path).go()
    file = tmp_path / "step-000012" / "optimizer.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 255
    file.write_bytes(data)

    with pytest.raises(StateError, match=r"the saved state of training is damaged: optimizer.safetensors changed[\s\S]*starts from the"):
        make_run(tmp_path).go()


def test_a_lost_average_is_named_with_a_remedy(make_run, tmp_path):
    make_run(tmp_path, averaging="ema").go()
    (tmp_path / "step-000012" / "average.safetensors").unlink()

    with pytest.raises(StateError, match=r"the saved state of training is damaged: [\s\S]*average.safetensors[\s\S]*starts from the"):
        make_run(tmp_path, averaging="ema").go()


def test_the_folder_of_another_run_is_refused(make_run, tmp_path):
    make_run(tmp_path).go()

    with pytest.raises(StateError, match="this run learned something else before"):
        make_run(tmp_path, setup="two").go()


def test_a_lost_best_checkpoint_is_noticed(make_run, tmp_path):
    make_run(tmp_path, save_minutes=1e-9).go()
    shutil.rmtree(next(tmp_path.glob("best-*")))

    with pytest.raises(TrainError, match="the best checkpoint is missing"):
        make_run(tmp_path).go()


def test_metrics_hold_what_the_report_draws(make_run, tmp_path):
    make_run(tmp_path, trackers=("tensorboard",)).go()
    records = read_json_lines(tmp_path / "metrics.jsonl")
    training = next(record for record in records if "loss" in record)
    scoring = next(record for record in records if "validation_loss" in record)

    assert training.keys() == {
        "step", "tokens", "seconds", "loss", "learning_rate", "grad_norm", "tokens_per_second", "mfu", "memory_bytes",
    }  # fmt: skip
    assert scoring.keys() == {"step", "tokens", "validation_bits_per_byte", "validation_loss"}
    assert list((tmp_path / "tensorboard").glob("events*"))
    assert json.loads((tmp_path / "step-000012" / "progress.json").read_text())["step"] == 12


def test_an_unknown_tracker_package_is_asked_for(make_run, tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "wandb", None)

    with pytest.raises(TrainError, match=r"the tracker wandb is not installed[\s\S]*pip install wandb"):
        make_run(tmp_path, trackers=("wandb",)).go()


def test_recomputing_activations_changes_no_gradient(make_run, tmp_path):
    run = make_run(tmp_path)
    gradients = []
    for checkpoint_activations in (False, True):
        decoder = Decoder(run.decoder.config).initialize(seed=0).train()
        decoder.checkpoint_activations = checkpoint_activations
        nats, *_ = learn_batch(decoder, run.batches.batch(0), run.values, device=torch.device("cpu"), step=3, dtype=torch.float32,
                              objective=next_token)  # fmt: skip
        gradients.append([nats, *(parameter.grad for parameter in decoder.parameters())])

    torch.testing.assert_close(gradients[1], gradients[0])
