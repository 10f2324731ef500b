"""Counts beside networks: their weight, what both together say, and the file they lie in.

Shapes: N tokens.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from rodna.core.artifact import damaged
from rodna.core.errors import explain_disk_errors
from rodna.models.checkpoint import write_tensors
from rodna.models.ngram import KEY_BITS, LARGEST_ORDER, Level, NgramModel

FORMAT_VERSION = 1
FILE = "ngram.safetensors"
WEIGHTS = (0.01, 0.99)
"""The least and the most that counts may weigh."""
WEIGHT_ROUNDS = 100

FloatArray = NDArray[np.float64]


class Weighted(NamedTuple):
    """Counts beside networks.

    Attributes:
        model: the counts.
        weight: of their probabilities; 1 - weight is that of the networks'.
    """

    model: NgramModel
    weight: float


def best_weight(counted_nats_N: FloatArray, other_nats_N: FloatArray) -> float:
    """Return the weight under which tokens cost least, from what each costs counts and networks alone; between 0 and 1, both excluded.

    By expectation maximisation. Reference: Jelinek & Mercer 1980, "Interpolated estimation of Markov source parameters".
    """
    weight = 0.5
    for _ in range(WEIGHT_ROUNDS):
        # p / (p + q), without either of them
        odds_N = np.log(1 - weight) - np.log(weight) + counted_nats_N - other_nats_N
        weight = float(np.clip((1 / (1 + np.exp(np.clip(odds_N, -50, 50)))).mean(), *WEIGHTS))
    return weight


def mixed_nats(counted_nats_N: FloatArray, other_nats_N: FloatArray, weight: float) -> FloatArray:
    """Return what tokens cost under both, from what they cost each alone."""
    return -np.logaddexp(math.log(weight) - counted_nats_N, math.log(1 - weight) - other_nats_N)


def save(path: Path, counted: Weighted) -> None:
    """Write counts into a file, which appears whole or not at all."""
    model, weight = counted
    tensors = {"about": torch.tensor([FORMAT_VERSION, model.vocabulary_size, model.end_of_text_id]),
               "weight": torch.tensor([weight], dtype=torch.float64)}  # fmt: skip
    for length, level in enumerate(model.levels, 1):
        tensors |= {f"keys.{length}": level.keys_U.cpu(), f"counts.{length}": level.counts_U.to("cpu", torch.int32)}
    with explain_disk_errors(path):
        write_tensors(path, tensors)


def load(path: Path, *, device: torch.device | str = "cpu") -> Weighted:
    """Read what `save` wrote.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
    except (OSError, SafetensorError) as error:
        raise damaged(path, f"the n-gram counts cannot be read: {error}") from error
    about, weight = tensors.pop("about", torch.zeros(0)), tensors.pop("weight", torch.zeros(0))
    order = len(tensors) // 2
    names = {f"{kind}.{length}" for kind in ("keys", "counts") for length in range(1, order + 1)}
    if about.shape != (3,) or weight.shape != (1,) or set(tensors) != names or not 1 <= order <= LARGEST_ORDER:
        raise damaged(path, "it does not hold n-gram counts")
    version, base, end = about.tolist()
    if version != FORMAT_VERSION:
        raise damaged(path, f"its format is {version}, not {FORMAT_VERSION}")
    levels = tuple(Level(tensors[f"keys.{length}"], tensors[f"counts.{length}"].long(), base) for length in range(1, order + 1))
    if not 0 <= end < base or not 0 < weight.item() < 1 or not all(_is_sound(level, length) for length, level in enumerate(levels, 1)):
        raise damaged(path, "its n-gram counts contradict each other")
    return Weighted(NgramModel(levels, base, end).to(device), weight.item())


def load_beside(folder: Path, *, device: torch.device | str = "cpu") -> Weighted | None:
    """Read the counts that lie in a checkpoint's folder; None where there are none.

    Raises:
        ArtifactError: they are damaged.
    """
    return load(folder / FILE, device=device) if (folder / FILE).is_file() else None


def _is_sound(level: Level, length: int) -> bool:
    keys_U, counts_U = level.keys_U, level.counts_U
    if keys_U.dtype != torch.int64 or keys_U.shape != counts_U.shape or keys_U.ndim != 1 or not len(keys_U):
        return False
    in_order = bool((keys_U[1:] > keys_U[:-1]).all())
    return in_order and int(keys_U[0]) >= 0 and int(keys_U[-1]) < level.base**length <= 1 << KEY_BITS and int(counts_U.min()) > 0
