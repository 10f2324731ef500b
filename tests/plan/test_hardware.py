import pytest

from rodna.core.errors import PlanError
from rodna.plan import hardware
from rodna.plan.hardware import Machine, cpu_bf16, describe_machine, measure_speeds, memory_left, memory_limit, usable_cores


def test_the_description_is_the_same_on_every_call():
    assert describe_machine("cpu").identity == describe_machine("cpu").identity


def test_small_differences_in_memory_do_not_change_the_identity():
    machines = [Machine("cpu", "x", 2, 8 * 2**30 + extra, "none", "", 0.0, 40.0) for extra in (0, 1_000_000)]
    assert machines[0].identity == machines[1].identity


def test_the_machine_has_cores_memory_and_a_name():
    machine = describe_machine("cpu")
    assert machine.device == "cpu"
    assert machine.cores >= 1
    assert machine.memory_bytes > 2**28
    assert machine.name


def test_asking_for_a_gpu_that_is_not_there_is_an_error():
    if hardware.gpu_driver_present():
        pytest.skip("this machine has a GPU")
    with pytest.raises(PlanError, match="no CUDA device was found") as error:
        describe_machine("cuda")
    assert error.value.where == "plan.device: cuda"
    assert "set plan.device to cpu" in error.value.fix


@pytest.mark.parametrize(("flags", "kind"), [
    ({"amx_bf16", "amx_tile", "avx512_bf16"}, "amx"), ({"avx512_bf16", "avx2"}, "avx512_bf16"), ({"bf16", "asimd"}, "arm_bf16"),
    ({"avx2"}, "none"),
])  # fmt: skip
def test_bfloat16_is_read_from_the_processors_flags(flags, kind):
    assert cpu_bf16(frozenset(flags)) == kind


def test_a_containers_quota_limits_the_cores(tmp_path):
    (tmp_path / "cpu.max").write_text("100000 100000\n")
    assert usable_cores(tmp_path) == 1


def test_a_containers_limit_limits_the_memory(tmp_path):
    assert memory_limit(tmp_path) > 2**60
    (tmp_path / "memory.max").write_text("1048576\n")
    assert memory_limit(tmp_path) == 1048576
    (tmp_path / "memory.max").write_text("max\n")
    assert memory_limit(tmp_path) > 2**60


def test_files_that_a_container_only_remembers_leave_its_memory_free(tmp_path):
    (tmp_path / "memory.max").write_text("8000\n")
    assert memory_left(tmp_path) == 8000
    (tmp_path / "memory.current").write_text("7500\n")
    assert memory_left(tmp_path) == 500
    (tmp_path / "memory.stat").write_text("anon 500\nfile 7000\ninactive_file 6900\nactive_file 100\n")
    assert memory_left(tmp_path) == 7400


def test_measured_speeds_are_those_of_a_computer():
    machine = describe_machine("cpu")
    speeds = measure_speeds(machine, seconds=0.1)
    assert 1e8 < speeds.fp32_flops < 1e14
    assert 1e7 < speeds.bandwidth < 1e12
    assert (speeds.bf16_flops > 0) == (machine.bf16 != "none")
