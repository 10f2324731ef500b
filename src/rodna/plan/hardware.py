"""What the machine is, and how fast it really computes.

`describe_machine` looks without measuring: its result is the same on every call, so that a plan made on an unchanged machine is not
made again. `measure_speeds` takes about a second.
"""

import functools
import importlib.util
import math
import os
import platform
import shutil
import sysconfig
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import psutil

from rodna.core.errors import PlanError
from rodna.plan.gpus import GPUS, detect_gpu

if TYPE_CHECKING:
    import torch

DeviceKind = Literal["cpu", "cuda"]
Bf16 = Literal["amx", "avx512_bf16", "arm_bf16", "cuda", "none"]

TYPICAL_EFFICIENCY: dict[DeviceKind, float] = {"cpu": 0.6, "cuda": 0.45}
"""Share of the measured matrix-product speed that the products of a training step reach."""
LAUNCH_SECONDS: dict[DeviceKind, float] = {"cpu": 0.0, "cuda": 6e-6}
"""A kernel's start from Python, usually 5 to 10 microseconds: small models on fast GPUs wait for these. Assumed, not measured here."""
ASSUMED_MFU = 0.4
"""Of a GPU's data sheet, where nothing can be measured: 0.38 to 0.43 on H100s (Llama Team 2024, arXiv:2407.21783, table 4). Small
models reach less of it; the time of memory traffic and of the optimizer's update is added to the time of the products."""
WATTS_PER_CORE = 10.0
WATTS_BASE = 20.0
"""Assumed for a computer training on its CPU: 20 W for memory, disk and losses, 10 W for each busy core. A wall meter knows better."""
UNKNOWN_GPU_WATTS = 300.0


@dataclass(frozen=True)
class Machine:
    """What a plan depends on; every field stays the same while the machine does.

    Attributes:
        device: where training runs.
        name: of the processor or GPU.
        cores: CPU cores this process may use (affinity and container limits counted).
        memory_bytes: of the device: the computer's memory, or the container's limit, or the GPU's.
        bf16: the instructions that multiply bfloat16 matrices; "none" means that float32 is used.
        compiler: what `torch.compile` would use, or an empty string where it cannot run.
        peak_bf16_tflops: from the GPU's data sheet; 0 where unknown.
        watts: the assumed electric power while training.
        at_hand: False for a GPU that is only known from its data sheet: nothing can be measured on it.
    """

    device: DeviceKind
    name: str
    cores: int
    memory_bytes: int
    bf16: Bf16
    compiler: str
    peak_bf16_tflops: float
    watts: float
    at_hand: bool = True

    @property
    def identity(self) -> dict[str, object]:
        """What goes into the plan's digest. Memory is rounded to 64 MB: kernels reserve a little more or less at each start."""
        fields = {**asdict(self), "memory_bytes": round(self.memory_bytes / 2**26) * 2**26}
        if self.at_hand:
            del fields["at_hand"]
        return fields


@dataclass(frozen=True)
class Speeds:
    """Measured on this machine, now; or of a GPU that is not at hand, the data sheet's.

    Attributes:
        fp32_flops: FLOP/s of a float32 matrix product.
        bf16_flops: FLOP/s of a bfloat16 matrix product.
        bandwidth: bytes/s read plus written by a copy of a block far larger than the caches.
        efficiency: share of these FLOP/s that the products of a training step reach.
        launch_seconds: what starting one kernel takes; 0 on a CPU.
    """

    fp32_flops: float
    bf16_flops: float
    bandwidth: float
    efficiency: float = 0.6
    launch_seconds: float = 0.0

    @property
    def bf16_pays(self) -> bool:
        """True where bfloat16 is clearly faster, not merely accepted."""
        return self.bf16_flops > 1.2 * self.fp32_flops


def describe_machine(device: Literal["auto", "cpu", "cuda"] = "auto") -> Machine:
    """Describe the machine without measuring it.

    torch is imported only where a GPU's driver is present.

    Raises:
        PlanError: `cuda` is asked for, and torch sees none.
    """
    gpu = device != "cpu" and gpu_driver_present() and _torch_sees_gpu()
    if device == "cuda" and not gpu:
        raise PlanError(
            "no CUDA device was found",
            where="plan.device: cuda",
            fix="set plan.device to cpu or auto, or install the driver and a CUDA torch",
        )
    return _describe_gpu() if gpu else _describe_cpu()


def named_machine(name: str) -> Machine:
    """Describe a computer with a GPU of the table, from its data sheet alone.

    Args:
        name: a key of `GPUS`.
    """
    sheet = GPUS[name]
    return Machine(
        device="cuda",
        name=name,
        cores=1,
        memory_bytes=round(sheet.memory_gb * 1e9),
        bf16="cuda" if sheet.bf16_tflops else "none",
        compiler="triton",
        peak_bf16_tflops=sheet.bf16_tflops,
        watts=sheet.watts + WATTS_BASE + WATTS_PER_CORE,
        at_hand=False,
    )


def sheet_speeds(name: str, *, mfu: float) -> Speeds:
    """Return the speeds to plan with for a GPU that is not at hand.

    Args:
        name: a key of `GPUS`.
        mfu: share of the peak that the matrix products of training reach.
    """
    sheet = GPUS[name]
    return Speeds(sheet.fp32_tflops * 1e12, sheet.bf16_tflops * 1e12, sheet.bandwidth_gb * 1e9, efficiency=mfu,
                  launch_seconds=LAUNCH_SECONDS["cuda"])  # fmt: skip


def gpu_driver_present() -> bool:
    """Return whether a GPU driver's device file is there; cheap, and never wrong in the negative on Linux."""
    if platform.system() != "Linux":
        return importlib.util.find_spec("torch") is not None and platform.system() == "Windows"
    return any(Path(path).exists() for path in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg"))


@functools.cache
def _torch_sees_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def _describe_gpu() -> Machine:
    import torch

    properties = torch.cuda.get_device_properties(0)
    sheet = GPUS.get(detect_gpu(properties.name))
    return Machine(
        device="cuda",
        name=properties.name,
        cores=usable_cores(),
        memory_bytes=properties.total_memory,
        bf16="cuda" if torch.cuda.is_bf16_supported(including_emulation=False) else "none",
        compiler=find_compiler(device="cuda"),
        peak_bf16_tflops=sheet.bf16_tflops if sheet else 0.0,
        watts=(sheet.watts if sheet else UNKNOWN_GPU_WATTS) + WATTS_BASE + WATTS_PER_CORE,
    )


def _describe_cpu() -> Machine:
    cores = usable_cores()
    return Machine(
        device="cpu",
        name=cpu_name(),
        cores=cores,
        memory_bytes=min(psutil.virtual_memory().total, memory_limit()),
        bf16=cpu_bf16(cpu_flags()),
        compiler=find_compiler(device="cpu"),
        peak_bf16_tflops=0.0,
        watts=WATTS_BASE + WATTS_PER_CORE * cores,
    )


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the CPU cores this process may use: physical ones, within its affinity and its container's quota."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    physical = psutil.cpu_count(logical=False) or allowed
    quota = math.inf
    words = _words(cgroup / "cpu.max") or [*_words(cgroup / "cpu/cpu.cfs_quota_us"), *_words(cgroup / "cpu/cpu.cfs_period_us")]
    if len(words) == 2 and words[0].isdigit() and int(words[1]):
        quota = math.ceil(int(words[0]) / int(words[1]))
    return int(max(1, min(allowed, physical, quota)))


def memory_limit(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the container's memory limit in bytes, or a very large number where there is none."""
    words = _words(cgroup / "memory.max") or _words(cgroup / "memory/memory.limit_in_bytes")
    return int(words[0]) if words and words[0].isdigit() else 2**62


def available_memory(machine: Machine) -> int:
    """Return the bytes that training may take now: what is free, not what is installed, on a machine at hand."""
    if not machine.at_hand:
        return machine.memory_bytes
    if machine.device == "cuda":
        import torch

        return torch.cuda.mem_get_info()[0]
    return int(min(psutil.virtual_memory().available + psutil.Process().memory_info().rss, memory_left(), machine.memory_bytes))


def memory_left(cgroup: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how much of the container's memory is left in bytes; files that it only remembers having read are no use of it."""
    used, statistics = _words(cgroup / "memory.current"), _words(cgroup / "memory.stat")
    if not used or not used[0].isdigit():
        return memory_limit(cgroup)
    remembered = dict(zip(statistics[::2], statistics[1::2], strict=False)).get("inactive_file", "0")
    return memory_limit(cgroup) - int(used[0]) + int(remembered)


def _words(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="ascii").split()
    except OSError:
        return []


def _cpuinfo(key: str) -> str:
    """Return the first value of a key in /proc/cpuinfo, or an empty string."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((value.strip() for name, _, value in (line.partition(":") for line in lines) if name.strip() == key), "")


def cpu_name() -> str:
    """Return the processor's name as its maker writes it."""
    return _cpuinfo("model name") or platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Return the processor's feature flags as Linux names them; empty on other systems."""
    return frozenset((_cpuinfo("flags") or _cpuinfo("Features")).split())


def cpu_bf16(flags: frozenset[str]) -> Bf16:
    """Return which bfloat16 matrix instructions these flags promise."""
    if "amx_bf16" in flags and "amx_tile" in flags:
        return "amx"
    if "avx512_bf16" in flags:
        return "avx512_bf16"
    return "arm_bf16" if "bf16" in flags else "none"


def find_compiler(*, device: DeviceKind) -> str:
    """Return the C++ compiler that `torch.compile` would call, or an empty string if something it needs is missing."""
    compiler = shutil.which(os.environ.get("CXX") or "g++") or shutil.which("clang++") or ""
    headers = Path(sysconfig.get_paths()["include"]) / "Python.h"
    if device == "cuda":
        return "triton" if compiler and headers.is_file() and importlib.util.find_spec("triton") else ""
    return Path(compiler).name if compiler and headers.is_file() else ""


def measure_speeds(machine: Machine, *, seconds: float = 1.0) -> Speeds:
    """Measure matrix products and memory in about `seconds`."""
    import torch

    device = torch.device(machine.device)
    size = 8192 if machine.device == "cuda" else 1536
    rates = []
    for dtype in (torch.float32, torch.bfloat16):
        if dtype is torch.bfloat16 and machine.bf16 == "none":
            rates.append(0.0)
            continue
        a, b = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
        out = torch.empty_like(a)
        rates.append(2 * size**3 * _rate(functools.partial(torch.mm, a, b, out=out), device, seconds=seconds / 3))
    block = torch.zeros(2**29 if machine.device == "cuda" else 2**26, dtype=torch.uint8, device=device)
    target = torch.empty_like(block)
    bandwidth = 2 * block.numel() * _rate(lambda: target.copy_(block), device, seconds=seconds / 3)
    return Speeds(rates[0], rates[1], bandwidth, efficiency=TYPICAL_EFFICIENCY[machine.device],
                  launch_seconds=LAUNCH_SECONDS[machine.device])  # fmt: skip


def _rate(work: Callable[[], object], device: "torch.device", *, seconds: float) -> float:
    """Return how often `work` runs in a second: the fastest call, so that a busy machine misleads least."""
    import torch

    def once() -> float:
        started = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - started

    once()
    deadline = time.perf_counter() + seconds
    best = once()
    while time.perf_counter() < deadline:
        best = min(best, once())
    return 1 / best
