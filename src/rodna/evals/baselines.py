"""What simple means make of the very same held-out text, so that the model's number can be read.

Every baseline pays for the same things as the model: the bytes of each document and the knowledge of where it ends, which for
compressors and the n-gram model is one symbol, the byte 0xFF that UTF-8 never uses. The denominator is the text's bytes alone.
"""

import lzma
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import zstandard

from rodna.core.text import human_bytes
from rodna.evals.bootstrap import ratio_interval
from rodna.evals.config import EvalConfig
from rodna.evals.data import EvaluationData
from rodna.evals.ngram import END, best_ngram
from rodna.evals.result import Result

if TYPE_CHECKING:
    from numpy.typing import NDArray

TASK_VERSION = 1
MAX_DICTIONARY = 1 << 26
"""Of `xz -9`, in bytes; a smaller text needs, and is given, less memory for the same result."""
ZSTD_WINDOW = 27
"""log2 of the bytes that zstd looks back over, so that all of the training text is within reach (`--long=27`)."""


@dataclass(frozen=True)
class Baseline:
    """One baseline: the bits of each held-out document; of a compressor, its total spread evenly over the bytes."""

    name: str
    description: str
    bits_D: "NDArray[np.float64]"
    is_per_document: bool
    detail: dict[str, Any] = field(default_factory=dict)


def baselines(data: EvaluationData, config: EvalConfig) -> list[Baseline]:
    """Measure every baseline on the held-out text.

    Args:
        data: held-out, training and validation text.
        config: the n-gram's longest order.
    """
    held_out = [document.text.encode("utf-8") for document in data.documents]
    train = [text.encode("utf-8") for text in data.train]
    used = sum(map(len, train))
    given = f"given {human_bytes(used)} of training text first"
    if used < data.train_bytes:
        given += f", a sample of {human_bytes(data.train_bytes)}"
    symbols_D = np.array([len(document) + 1 for document in held_out], dtype=np.float64)
    test_stream, train_stream = _marked(held_out), _marked(train)
    with ThreadPoolExecutor(2) as pool:
        # Compressors release the interpreter's lock, so they run beside the n-gram model.
        jobs = {
            (name, is_given): pool.submit(_cost, size, train_stream if is_given else b"", test_stream)
            for name, size in (("xz", xz_size), ("zstd", zstd_size))
            for is_given in (False, True)
        }
        ngram = best_ngram(train, [text.encode("utf-8") for text in data.validation], held_out, max_order=config.ngram_order)
        sizes = {key: job.result() for key, job in jobs.items()}
    found = [Baseline("uniform", "every byte equally likely", 8 * symbols_D, is_per_document=True)]
    for (name, is_given), size in sizes.items():
        spread_D = symbols_D * (8 * size / symbols_D.sum())
        command = "xz -9" if name == "xz" else "zstd -19"
        label, what = (f"{name}_given_train", f"{command}, {given}") if is_given else (name, f"{command} of the held-out text alone")
        found.append(Baseline(label, what, spread_D, is_per_document=False, detail={"compressed_bytes": size}))
    smoothing = ngram.smoothing.replace("_", "-").title()
    what = f"byte {ngram.order}-gram, {smoothing} smoothing, {given}; both chosen on validation"
    chosen = {"order": ngram.order, "smoothing": ngram.smoothing, "validation_bits_per_byte": ngram.validation_bits_per_byte}
    found.append(Baseline("ngram", what, ngram.bits_D, is_per_document=True, detail=chosen))
    return [
        Baseline(item.name, item.description, item.bits_D, item.is_per_document, {**item.detail, "train_bytes": used}) for item in found
    ]


def compare(
    baseline: Baseline, model_bits_D: "NDArray[np.float64]", bytes_D: "NDArray[np.int64]", config: EvalConfig
) -> tuple[Result, Result]:
    """Return a baseline's bits per byte, and by how many the model differs, with the interval of the paired bootstrap.

    Args:
        baseline: the simple means.
        model_bits_D: what each document costs the model.
        bytes_D: UTF-8 bytes of each document.
        config: resamples and seed.
    """
    total = float(bytes_D.sum())
    value = float(baseline.bits_D.sum()) / total
    bootstrap = {"samples": config.bootstrap_samples, "seed": config.seed}
    low, high = ratio_interval(baseline.bits_D, bytes_D, **bootstrap) if baseline.is_per_document else (value, value)
    difference_D = model_bits_D - baseline.bits_D
    task, count = f"baseline:{baseline.name}", len(bytes_D)
    detail = {"baseline": baseline.name, "description": baseline.description, **baseline.detail}
    if not baseline.is_per_document:
        detail["interval"] = "a compressor's total cannot be told apart by document: its rate is taken as fixed"
    difference = float(difference_D.sum()) / total
    difference_low, difference_high = ratio_interval(difference_D, bytes_D, **bootstrap)
    return (
        Result(task, "bits_per_byte", value, "bits per UTF-8 byte", low, high, count, "lower", TASK_VERSION, detail=detail),
        Result(
            task, "model_minus_baseline", difference, "bits per UTF-8 byte", difference_low, difference_high, count, "lower", TASK_VERSION,
            detail={"baseline": baseline.name, "description": "bits per byte of the model less the baseline's; below 0 it is better"},
        ),
    )  # fmt: skip


def xz_size(text: bytes) -> int:
    """Return the bytes of `xz -9`."""
    dictionary = min(MAX_DICTIONARY, max(4096, 1 << max(0, len(text) - 1).bit_length()))
    return len(lzma.compress(text, check=lzma.CHECK_CRC64, filters=[{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": dictionary}]))


def zstd_size(text: bytes) -> int:
    """Return the bytes of `zstd -19 --long=27`."""
    parameters = zstandard.ZstdCompressionParameters.from_level(19, source_size=len(text), window_log=_window(text), enable_ldm=True)
    return len(zstandard.ZstdCompressor(compression_params=parameters).compress(text))


def _window(text: bytes) -> int:
    return min(ZSTD_WINDOW, max(10, max(0, len(text) - 1).bit_length()))


def _cost(size_of: Callable[[bytes], int], train: bytes, held_out: bytes) -> int:
    return size_of(train + held_out) - (size_of(train) if train else 0)


def _marked(documents: Sequence[bytes]) -> bytes:
    """Return documents as one stream, each followed by the mark that ends it."""
    return b"".join(document + bytes([END]) for document in documents)
