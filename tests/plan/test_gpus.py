import pytest

from rodna.models.config import ModelConfig
from rodna.plan.config import THIS_MACHINE, PlanConfig
from rodna.plan.flops import flops_per_token
from rodna.plan.gpus import GPUS, detect_gpu, find_gpu
from rodna.plan.hardware import available_memory, named_machine, sheet_speeds
from rodna.plan.rules import shape
from rodna.plan.speed import LAYER_KERNELS, MUON_KERNELS, STEP_KERNELS, estimate_step

LARGE = ModelConfig.model_validate({**shape(1536, 24, {}), "vocabulary_size": 32_768})


@pytest.mark.parametrize(("written", "name"), [
    ("h100", "H100"), ("H100-PCIe", "H100 PCIe"), ("NVIDIA H100 80GB", "H100"), ("a100-80gb", "A100 80GB"), ("A100", "A100"),
    ("A100 40 GB", "A100"), ("4090", "RTX 4090"), ("GeForce RTX 3060", "RTX 3060"), ("Tesla V100-SXM2-32GB", "V100 32GB"), ("t4", "T4"),
    ("mi300x", "MI300X"), ("rtx 6000 ada", "RTX 6000 Ada"), ("b200", "B200"),
])  # fmt: skip
def test_a_gpu_is_found_however_its_name_is_written(written, name):
    assert find_gpu(written) == name


def test_every_gpu_is_found_by_its_own_name():
    assert [find_gpu(name) for name in GPUS] == list(GPUS)


def test_an_unknown_gpu_names_the_closest():
    with pytest.raises(ValueError, match=r"no data sheet of a GPU 'h10o' is known; did you mean H100"):
        find_gpu("h10o")
    with pytest.raises(ValueError, match=r"known are B200, .*H100"):
        find_gpu("quantum")


@pytest.mark.parametrize(("reported", "name"), [
    ("NVIDIA H100 PCIe", "H100 PCIe"), ("NVIDIA A100-SXM4-40GB", "A100"), ("NVIDIA A100 80GB PCIe", "A100 80GB"),
    ("NVIDIA A10G", "A10G"), ("NVIDIA L40S", "L40S"), ("NVIDIA GB200", "GB200"),
    ("NVIDIA RTX 6000 Ada Generation", "RTX 6000 Ada"), ("Some New GPU", ""),
])  # fmt: skip
def test_the_most_specific_name_in_what_the_driver_reports_wins(reported, name):
    assert detect_gpu(reported) == name


@pytest.mark.parametrize("reported", [
    "NVIDIA GeForce RTX 4070 Ti", "NVIDIA GeForce RTX 4080 SUPER", "NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA GeForce RTX 4090 D",
    "NVIDIA H100 NVL", "NVIDIA RTX A4000", "NVIDIA GH200 480GB",
])  # fmt: skip
def test_a_sibling_with_other_figures_is_not_taken_for_the_gpu_of_the_table(reported):
    assert detect_gpu(reported) == ""


@pytest.mark.parametrize(("name", "processors", "gigahertz", "operations"), [
    ("RTX 5090", 170, 2.407, 512), ("RTX 5080", 84, 2.617, 512), ("RTX 4090", 128, 2.520, 512), ("RTX 4080", 76, 2.505, 512),
    ("RTX 4070", 46, 2.475, 512), ("RTX 4060", 24, 2.460, 512), ("RTX 3090", 82, 1.695, 512), ("RTX 3080", 68, 1.710, 512),
    ("RTX 3070", 46, 1.725, 512), ("RTX 3060", 28, 1.777, 512), ("RTX A6000", 84, 1.800, 1024), ("A40", 84, 1.740, 1024),
    ("A30", 56, 1.440, 2048), ("A100", 108, 1.410, 2048), ("MI300X", 304, 2.100, 2048), ("MI210", 104, 1.700, 1024),
    ("MI250X", 110, 1.700, 1024),
])  # fmt: skip
def test_peaks_are_what_processors_times_clock_times_operations_gives(name, processors, gigahertz, operations):
    assert GPUS[name].bf16_tflops == pytest.approx(processors * gigahertz * operations / 1000, rel=0.005)


def test_every_data_sheet_is_named_and_its_numbers_are_in_the_right_units():
    for name, gpu in GPUS.items():
        assert gpu.source, name
        assert 5 < gpu.fp32_tflops < 400, name
        assert gpu.bf16_tflops == 0 or gpu.fp32_tflops <= 2.5 * gpu.bf16_tflops, name
        assert 4 <= gpu.memory_gb <= 300, name
        assert 100 < gpu.bandwidth_gb < 10_000, name
        assert 50 < gpu.watts <= 1500, name


def test_a_named_machine_has_the_memory_of_its_data_sheet_and_is_not_at_hand():
    machine = named_machine("L4")
    assert available_memory(machine) == 24e9
    assert machine.watts > 72
    assert not machine.at_hand
    assert machine.identity != named_machine("T4").identity


def test_gpus_without_bfloat16_train_in_float32():
    assert named_machine("T4").bf16 == "none"
    assert not sheet_speeds("T4", mfu=0.4).bf16_pays
    assert sheet_speeds("H100", mfu=0.4).bf16_pays


def test_a_large_model_trains_at_about_the_assumed_share_of_the_peak():
    step = estimate_step(LARGE, sheet_speeds("H100", mfu=0.4), batch_size=64, train={})
    reached = flops_per_token(LARGE).model * 64 * LARGE.context_length / step.seconds / 989e12
    assert 0.25 < reached < 0.4


def test_a_small_model_waits_for_the_launches_of_its_kernels():
    small = ModelConfig.model_validate({**shape(64, 3, {}), "vocabulary_size": 300})
    step = estimate_step(small, sheet_speeds("H100", mfu=0.4), batch_size=1, train={})
    assert step.seconds > 6e-6 * (STEP_KERNELS + 3 * (LAYER_KERNELS + MUON_KERNELS))


def test_plans_are_for_this_machine_unless_a_gpu_is_named():
    assert PlanConfig().hardware == THIS_MACHINE
    assert PlanConfig(hardware="h100").hardware == "H100"
