import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.models.ensemble import Ensemble
from rodna.plan.memory import EAGER, teaching_memory, training_memory
from rodna.plan.rules import shape

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "plan_check.py"


def config_of(width=64, num_layers=3, vocabulary_size=512, **changes):
    return ModelConfig(vocabulary_size=vocabulary_size, **shape(width, num_layers, changes))


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize("settings", [
    {"width": 64, "num_layers": 3, "vocabulary_size": 4096, "batch_size": 2},
    {"width": 128, "num_layers": 4, "vocabulary_size": 4096, "batch_size": 8},
    {"width": 128, "num_layers": 12, "vocabulary_size": 512, "batch_size": 16, "checkpoint_activations": True, "optimizer": "adamw"},
], ids=["tiny", "small", "checkpointed"])  # fmt: skip
def test_the_estimate_is_within_15_percent_of_the_measured_peak(settings):
    done = subprocess.run([sys.executable, BENCHMARK, "one", json.dumps(settings)], capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["estimated_bytes"] == pytest.approx(found["peak_bytes"], rel=0.15)


def test_a_whole_job_leaves_more_in_the_process_than_a_step_takes_and_more_so_compiled():
    eager, compiled = (training_memory(config_of(), micro_batch_size=1, compiled=compiled) for compiled in (False, True))
    assert compiled.job > eager.job > 0
    assert compiled.total - compiled.step == compiled.job


def test_muon_keeps_one_number_for_each_weight_of_the_blocks_and_adamw_two():
    config = config_of()
    muon, adamw = (training_memory(config, micro_batch_size=1, optimizer=name).optimizer for name in ("muon", "adamw"))
    matrices = config.num_matmul_parameters - config.vocabulary_size * config.width
    assert adamw == 8 * config.num_parameters
    assert adamw - muon == 4 * matrices


def test_normuon_keeps_as_much_as_muon_and_an_average_one_number_more_for_each_weight():
    config = config_of()
    muon = training_memory(config, micro_batch_size=1, optimizer="muon").optimizer
    normuon = training_memory(config, micro_batch_size=1, optimizer="normuon").optimizer
    averaged = training_memory(config, micro_batch_size=1, optimizer="muon", averaging="ema").optimizer
    assert normuon == muon
    assert averaged - muon == 4 * config.num_parameters


def test_shared_spelling_keeps_two_numbers_more_for_each_of_an_embedding_and_of_a_head_of_its_own():
    for tied, matrices in ((True, 1), (False, 2)):
        config = config_of(tied_embeddings=tied)
        plain, shared = (training_memory(config, micro_batch_size=1, spelling=spelling).optimizer for spelling in (False, True))
        assert shared - plain == 8 * matrices * config.vocabulary_size * config.width


def test_activations_grow_with_the_micro_batch_and_with_depth():
    config, deeper = config_of(), config_of(num_layers=6)
    one, four = (training_memory(config, micro_batch_size=size).activations for size in (1, 4))
    assert four == pytest.approx(4 * one, rel=0.01)
    assert training_memory(deeper, micro_batch_size=4).activations == pytest.approx(2 * four, rel=0.01)


def kept_for_the_backward(config, *, batch_size):
    """Return the bytes of the masks and of everything else that a forward pass keeps, as torch itself counts them, parameters left out."""
    decoder = Decoder(config).initialize(seed=0).train()
    own = {parameter.untyped_storage().data_ptr() for parameter in decoder.parameters()}
    storages = {}

    def note(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = (storage, tensor.dtype)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        hidden = decoder(torch.zeros(batch_size, config.context_length, dtype=torch.int64))
    masks, rest = (
        sum(storage.nbytes() for storage, dtype in storages.values() if (dtype is torch.bool) == wanted) for wanted in (True, False)
    )
    assert hidden.requires_grad
    return masks, rest


def test_every_dropout_keeps_a_byte_for_each_feature():
    plain, dropped = config_of(context_length=32), config_of(context_length=32, dropout=0.2)
    masks, _ = kept_for_the_backward(dropped, batch_size=2)
    without, with_masks = (training_memory(config, micro_batch_size=64, precision="fp32").activations for config in (plain, dropped))
    assert masks == (2 * 3 + 1) * 2 * 32 * 64
    assert with_masks - without == pytest.approx(EAGER.slack * masks * 32, rel=0.01)


def test_a_layer_that_is_run_again_keeps_its_activations_again():
    once, twice = config_of(context_length=32), config_of(context_length=32, layer_loops=3)
    measured = [kept_for_the_backward(config, batch_size=2)[1] for config in (once, twice)]
    estimated = [training_memory(config, micro_batch_size=64, precision="fp32").activations for config in (once, twice)]
    assert measured[1] / measured[0] == pytest.approx(5 / 3, rel=0.05)
    assert estimated[1] / estimated[0] == pytest.approx(5 / 3, rel=0.01)


def test_checkpointing_keeps_the_masks_of_dropout():
    plain, dropped = (config_of(num_layers=24, dropout=dropout) for dropout in (0.0, 0.2))
    without, with_masks = (
        training_memory(config, micro_batch_size=4, checkpoint_activations=True).activations for config in (plain, dropped)
    )
    assert with_masks - without == pytest.approx(EAGER.slack * (2 * 24 + 1) * 64 * 4 * plain.context_length, rel=0.01)


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_teachers_are_counted_with_the_weights_that_they_keep(precision, dtype):
    configs = [config_of(vocabulary_size=4096), config_of(width=128, num_layers=2, vocabulary_size=4096, tied_embeddings=False)]
    teachers = Ensemble([Decoder(config).initialize(seed=0) for config in configs])
    teachers.freeze(dtype)
    weights = sum(parameter.nbytes for member in teachers.members for parameter in member.parameters())
    estimated = teaching_memory(configs, micro_batch_size=1, sequence_length=1, precision=precision)
    assert estimated == pytest.approx(weights, rel=0.03)


def test_checkpointing_keeps_much_less_of_a_deep_model():
    config = config_of(num_layers=24)
    whole, checkpointed = (
        training_memory(config, micro_batch_size=4, checkpoint_activations=checkpoint).activations for checkpoint in (False, True)
    )
    assert checkpointed < whole / 4


def test_a_long_batch_never_holds_more_logits_than_a_chunk():
    config = config_of()
    assert training_memory(config, micro_batch_size=8).loss == training_memory(config, micro_batch_size=64).loss


def test_a_gpu_counts_torchs_own_memory_only():
    estimate = training_memory(config_of(), micro_batch_size=1, device="cuda")
    assert (estimate.base, estimate.job) == (0, 0)
