"""Make the process fit for training: threads, memory allocator, precision, compilation; and measure its memory."""

import ctypes
import gc
import os
import platform
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import psutil
import torch

from rodna.core.errors import RodnaError
from rodna.core.log import warn
from rodna.data.batches import Batch
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.plan.hardware import Machine, usable_cores
from rodna.train import objectives, several_targets
from rodna.train.config import TrainValues
from rodna.train.objectives import Objective, next_token

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
TOP_PAD_BYTES = 64 * 2**20
ROW_COUNTS = 2
"""How many counts of rows a micro-batch has: the usual one, and that of the last of a batch that it does not divide."""


def prepare(machine: Machine) -> torch.device:
    """Set threads and allocator for training on this machine; return the device.

    glibc gives every large block back to the system at once, and taking it again costs a page fault for each 4 KB: more than the
    arithmetic on it. Told to keep its memory, the process reuses the same pages step after step.
    """
    if machine.device == "cuda":
        return torch.device("cuda")
    # Whoever runs several trainings beside each other says how many threads each may have; they wait for each other otherwise.
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(usable_cores())
    if platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_MAX, 0)
        libc.mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
        libc.mallopt(M_TOP_PAD, TOP_PAD_BYTES)
    return torch.device("cpu")


def compute_dtype(machine: Machine, config: TrainValues) -> torch.dtype:
    """Return the dtype of matrix products: bfloat16 where the machine multiplies it in hardware."""
    if config.precision == "auto":
        return torch.float32 if machine.bf16 == "none" else torch.bfloat16
    return torch.bfloat16 if config.precision == "bf16" else torch.float32


def compile_decoder(
    decoder: Decoder, example: Batch | torch.Tensor, *, dtype: torch.dtype, objective: Objective = next_token, row_lengths: int = 1
) -> bool:
    """Compile the blocks and the loss, and learn once from an example; on failure go back to plain execution, saying so.

    One block is compiled and its code serves all of them, so the time does not grow with depth. Run under
    `torch.compiler.set_stance("force_eager")` what has other shapes, such as evaluation.

    Args:
        decoder: on its device.
        example: a micro-batch as training will have it, or nothing but its tokens.
        dtype: of activations and matrix products.
        objective: what will be learned; teachers are compiled and tried with it.
        row_lengths: how many lengths of rows training will have.

    Returns:
        Whether the decoder is compiled now.

    Raises:
        RodnaError: the objective refuses the decoder or the example, compiled or not.
    """
    batch = example if isinstance(example, Batch) else _batch_of(example)
    reason = ""
    for in_few_files in (True, False) if batch.inputs_BT.device.type == "cpu" else (False,):
        _set_up_compiler(in_few_files=in_few_files)
        try:
            for block in decoder.blocks:
                block.compile(dynamic=False)
            objectives.score = torch.compile(objectives.score_and_differentiate, dynamic=False)
            several_targets.score = torch.compile(several_targets.score_columns, dynamic=False)
            allow_shapes(kinds_of_layers(decoder.config) * row_lengths * ROW_COUNTS)
            objective(decoder, batch, compute_dtype=dtype).nats.backward()
        except RodnaError:
            undo_compilation(decoder)
            raise
        except Exception as error:
            undo_compilation(decoder)
            reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        else:
            return True
        finally:
            decoder.zero_grad(set_to_none=True)
    warn(f"torch.compile does not work here, going on without it: {reason:.200}")
    return False


def _set_up_compiler(*, in_few_files: bool) -> None:
    """Let the compiler write one C++ file for each graph, instead of one for each kernel, and not try out what the CPU's flags promise.

    Calling the C++ compiler is most of what compiling costs on a CPU, and it is called a few times then instead of about forty.
    """
    import torch._inductor.config as inductor

    inductor.cpp_wrapper = in_few_files
    inductor.cpp.vec_isa_ok = True if in_few_files else None


def kinds_of_layers(config: ModelConfig) -> int:
    """Return how many kinds of layers a model has to the compiler: a layer that lends its values or takes a skip is one of its own."""
    lent = config.value_residual == "first_layer"
    return len({
        (lent and index == 0, lent and run > 0, config.unet_skips and index >= config.num_layers - config.num_layers // 2)
        for run, index in enumerate(config.layer_order)
    })  # fmt: skip


def allow_shapes(number: int) -> None:
    """Let the compiler make so many more variants of a piece of code: by default it gives up after eight, without an error.

    All blocks of all models are one piece of code to it. A variant is made for each kind of layer and each shape of its input.
    """
    import torch._dynamo.config as dynamo

    dynamo.recompile_limit += number
    dynamo.accumulated_recompile_limit = max(dynamo.accumulated_recompile_limit, 2 * dynamo.recompile_limit)


def _batch_of(tokens_BT: torch.Tensor) -> Batch:
    return Batch(tokens_BT, tokens_BT, torch.zeros_like(tokens_BT), torch.arange(len(tokens_BT), device=tokens_BT.device))


def undo_compilation(decoder: Decoder) -> None:
    """Let the blocks run as plain Python again."""
    for block in decoder.blocks:
        block._compiled_call_impl = None
    objectives.score, several_targets.score = objectives.score_and_differentiate, several_targets.score_columns
    torch._dynamo.reset()


def eager() -> AbstractContextManager[object]:
    """Return a context in which compiled code runs as plain Python: for shapes other than those of training."""
    return torch.compiler.set_stance("force_eager")


class PeakMemory:
    """The most memory used since this object was made: of the process on a CPU, of torch on a GPU.

    What the process has freed goes back to the system first: `prepare` lets the allocator keep it, and compiling frees a third of a
    gigabyte.
    """

    def __init__(self, device: torch.device) -> None:
        self._device, self._sampled = device, 0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
            return
        gc.collect()
        if platform.libc_ver()[0] == "glibc":
            ctypes.CDLL(None).malloc_trim(0)
        # Linux: 5 resets the high-water mark. Reference: proc_pid_clear_refs(5).
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

    def read(self) -> int:
        """Return bytes."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated()
        self._sampled = max(self._sampled, psutil.Process().memory_info().rss)
        try:
            status = Path("/proc/self/status").read_text(encoding="ascii")
        except OSError:
            return self._sampled
        marks = [line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")]
        return max(self._sampled, int(marks[0]) * 1024) if marks else self._sampled
