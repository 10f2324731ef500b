"""Scoring in several processes, each with its own copy of the model and its share of the cores.

The rows, their batches and so the numbers are those of one process: only who computes a batch differs.
"""

import multiprocessing
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING

import torch

from rodna.core.errors import EvaluationError
from rodna.evals.likelihood.prefixes import TreeBatch
from rodna.evals.likelihood.reader import Reader
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_worker: list[Reader] = []
"""In a worker process, its reader."""


class ReaderPool:
    """Readers of one decoder in processes of their own, started when they are first needed.

    Args:
        decoder: on the CPU; copied into every process.
        compute_dtype: of matrix products.
        processes: how many; they share the threads that torch would use.

    Raises:
        EvaluationError: the decoder is not on the CPU.
    """

    def __init__(self, decoder: Decoder, compute_dtype: torch.dtype, processes: int) -> None:
        self.config, self.device = decoder.config, decoder.embedding.weight.device
        if self.device.type != "cpu":
            raise EvaluationError(
                f"{processes} processes cannot score on one {self.device.type} device",
                where="eval.processes",
                fix="set eval.processes to 1",
            )
        state = {name: tensor.detach().numpy() for name, tensor in decoder.state_dict().items()}
        threads = max(1, torch.get_num_threads() // processes)
        # Spawned, since a fork of a process that has run torch's threads can hang.
        self._pool = ProcessPoolExecutor(
            processes, multiprocessing.get_context("spawn"), _start, (decoder.config, state, compute_dtype, threads)
        )

    def map(self, batches: Iterable[TreeBatch]) -> "Iterator[NDArray[np.float64]]":
        """Yield the nats of each batch's scored nodes, in the order of the batches."""
        return self._pool.map(_nats, batches)

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown()


def make_reader(decoder: Decoder, compute_dtype: torch.dtype, processes: int = 1) -> Reader | ReaderPool:
    """Lay a decoder out for scoring, in this process or in several."""
    return Reader(decoder, compute_dtype) if processes == 1 else ReaderPool(decoder, compute_dtype, processes)


def _start(config: ModelConfig, state: "dict[str, NDArray[np.float32]]", compute_dtype: torch.dtype, threads: int) -> None:
    torch.set_num_threads(threads)
    decoder = Decoder(config)
    decoder.load_state_dict({name: torch.from_numpy(values) for name, values in state.items()})
    _worker[:] = [Reader(decoder.eval(), compute_dtype)]


def _nats(batch: TreeBatch) -> "NDArray[np.float64]":
    return _worker[0].nats(batch)
