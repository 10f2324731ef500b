"""What teachers say, kept on disk: the k likeliest next tokens of every position, by the row's slot in the sequence of batches.

A run that sees the same rows again (a sweep, another student, a chain) does not pay its teachers again, or needs none at all. Everything
but the k likeliest tokens is one bucket: its probability is kept, and of how it is spread the student's own distribution is left to
decide, so that the divergence is that of the k tokens and the bucket: `sum_k q log(q / p) + rest log(rest / p(rest))`. With k = V it is
the whole divergence, to the rounding of float16.

    <folder>/index.json          what the cache is of, and how much probability the k tokens hold
    <folder>/piece-000012.npy    rows of consecutive slots; a row that was never written has the check 0

A token takes 4k + 2 bytes (6k + 2 where the vocabulary is beyond 65,536).

Shapes: B rows, T positions, N = B x T, C rows of a chunk, K tokens kept, V vocabulary.
"""

import json
import os
import zlib
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rodna.core.errors import StateError, TrainError, explain_disk_errors
from rodna.core.files import is_abandoned, sync_folder, temporary_name, write_json
from rodna.models.ensemble import Average

FORMAT_VERSION = 2
INDEX = "index.json"
PIECE_BYTES = 64 * 2**20
MOST_PIECE_SLOTS = 4096
MASS_BINS = 1000
"""Bins of the histogram of the mass kept: its percentile is known to a thousandth."""


@dataclass(frozen=True)
class CacheSetup:
    """Everything the cached numbers depend on. The batch size is not among it: a slot holds the same row at any, but for `order`.

    Attributes:
        teachers: digests of their weights, in order.
        average: how the teachers are averaged.
        temperature: of their distributions: the likeliest tokens at one temperature do not tell the rest at another.
        tokens: digest of the encoded text.
        seed: of the order of the text.
        context_length: tokens in a row.
        vocabulary_size: of teachers and students.
        top_k: tokens kept of each position.
        computed: where and in what precision the teachers were asked.
        order: what else decides which row a slot holds: a curriculum, or other segmentations up to some place of the training.
    """

    teachers: tuple[str, ...]
    average: Average
    temperature: float
    tokens: str
    seed: int
    context_length: int
    vocabulary_size: int
    top_k: int
    computed: str
    order: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.top_k <= self.vocabulary_size:
            raise TrainError(f"{self.top_k:,} of {self.vocabulary_size:,} tokens cannot be kept",
                             fix=f"keep from 1 to {self.vocabulary_size:,}; 64 is a good number")  # fmt: skip

    @property
    def bytes_per_token(self) -> int:
        """Of the disk, checks left out."""
        return (4 if self.vocabulary_size <= 1 << 16 else 6) * self.top_k + 2

    @property
    def row(self) -> np.dtype:
        """The layout of one row."""
        ids = "<u2" if self.vocabulary_size <= 1 << 16 else "<u4"
        length, count = self.context_length, self.top_k
        return np.dtype([("check", "<u4"), ("ids", ids, (length, count)), ("log_probabilities", "<f2", (length, count + 1))])


class TopK(NamedTuple):
    """The teachers' distributions at N positions.

    Attributes:
        ids_NK: int64 token ids, the likeliest first.
        log_probabilities_NK1: float16; the last column is that of all other tokens together.
    """

    ids_NK: Tensor
    log_probabilities_NK1: Tensor

    def targets(self, rows: slice, student_CV: Tensor) -> Tensor:
        """Return the distribution (C, V) of some positions in float32: the bucket is spread as the student's own.

        Args:
            rows: which.
            student_CV: the student's distribution, softened by the teachers' temperature.
        """
        ids_CK, kept_CK1 = self.ids_NK[rows], self.log_probabilities_NK1[rows].float().exp()
        kept_CK1 /= kept_CK1.sum(1, keepdim=True)
        tail_CV = student_CV.scatter(1, ids_CK, 0.0)
        share_C1 = kept_CK1[:, -1:] / tail_CV.sum(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny)
        return tail_CV.mul_(share_C1).scatter_(1, ids_CK, kept_CK1[:, :-1])


def top_k(probabilities_CV: Tensor, count: int) -> TopK:
    """Return the likeliest tokens of each position, and the rest as one bucket."""
    kept_CK, ids_CK = probabilities_CV.topk(count, dim=-1)
    rest_C1 = (1 - kept_CK.sum(-1, keepdim=True)).clamp_min(0)
    if count == probabilities_CV.shape[-1]:
        rest_C1 = torch.zeros_like(rest_C1)
    return TopK(ids_CK, torch.cat([kept_CK, rest_C1], -1).log().half())


class TeacherCache:
    """A folder of pieces. Rows may come in any order; whatever is missing can be added at any time.

    Rows are gathered in memory until their piece is full or another one begins, and reach the disk then, or with `flush`: a crash loses
    at most one piece, which the next run computes again. Runs may share a cache; two that write the same piece at once may lose rows of
    one of them, which are computed again too.

    Args:
        folder: made if missing.
        setup: what the cache is of.

    Raises:
        TrainError: the folder is a cache of something else, or damaged.
        DiskError: it cannot be written.
    """

    def __init__(self, folder: Path, setup: CacheSetup) -> None:
        self.folder, self.setup = folder, setup
        self.slots_per_piece = max(1, min(MOST_PIECE_SLOTS, PIECE_BYTES // setup.row.itemsize))
        # How many tokens keep how much: in bins, and their sum.
        self._mass: Counter[int] = Counter()
        self._mass_sum = 0.0
        self._open: tuple[int, NDArray[Any]] | None = None
        self._changed = False
        self._mapped: tuple[int, NDArray[Any] | None] | None = None
        with explain_disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            for leftover in folder.glob(".*.tmp"):
                if is_abandoned(leftover):
                    leftover.unlink(missing_ok=True)
        if (folder / INDEX).is_file():
            self._read_index()
        else:
            self._write_index()

    def read(self, slots_B: Tensor, inputs_BT: Tensor) -> TopK | None:
        """Return what is kept of some rows, on their device; None where any of them is missing.

        Raises:
            TrainError: a slot holds another row's.
        """
        slots, checks = self._place(slots_B, inputs_BT)
        rows = np.zeros(len(slots), self.setup.row)
        for piece in np.unique(slots // self.slots_per_piece).tolist():
            here = np.flatnonzero(slots // self.slots_per_piece == piece)
            places = slots[here] - piece * self.slots_per_piece
            stored = self._piece(piece)
            if stored is None or places.max() >= len(stored) or not stored["check"][places].all():
                return None
            rows[here] = stored[places]
        if not np.array_equal(rows["check"], checks):
            raise StateError("the teacher cache holds other text than this run reads", where=str(self.folder), fix=_DELETE)
        ids = torch.from_numpy(rows["ids"].astype(np.int64)).flatten(0, 1)
        return TopK(ids.to(inputs_BT.device), torch.from_numpy(rows["log_probabilities"].copy()).flatten(0, 1).to(inputs_BT.device))

    def write(self, slots_B: Tensor, inputs_BT: Tensor, kept: TopK) -> None:
        """Keep what the teachers said of some rows.

        Args:
            slots_B: the rows' places in the sequence of batches.
            inputs_BT: the rows.
            kept: of the rows' positions.

        Raises:
            DiskError: a full piece cannot be written.
        """
        slots, checks = self._place(slots_B, inputs_BT)
        rows = np.zeros(len(slots), self.setup.row)
        rows["check"] = checks
        rows["ids"] = kept.ids_NK.cpu().numpy().reshape(rows["ids"].shape)
        rows["log_probabilities"] = kept.log_probabilities_NK1.cpu().numpy().reshape(rows["log_probabilities"].shape)
        for piece in np.unique(slots // self.slots_per_piece).tolist():
            here = np.flatnonzero(slots // self.slots_per_piece == piece)
            buffer = self._begin(piece)
            places = slots[here] - piece * self.slots_per_piece
            fresh = here[buffer["check"][places] == 0]
            mass = -np.expm1(np.minimum(rows["log_probabilities"][fresh, :, -1].astype(np.float64), 0.0))
            self._mass_sum += float(mass.sum())
            self._mass.update(np.minimum((mass * MASS_BINS).astype(np.int64), MASS_BINS - 1).ravel().tolist())
            buffer[places] = rows[here]
            self._changed = True
            if buffer["check"].all():
                self.flush()

    def flush(self) -> None:
        """Write what is only in memory.

        Raises:
            DiskError: the disk is full.
        """
        if self._open is not None and self._changed:
            piece, buffer = self._open
            filled = np.flatnonzero(buffer["check"])
            self._save(self._path(piece), buffer[: filled[-1] + 1])
            self._mapped = None
            self._write_index()
        self._open, self._changed = None, False

    @property
    def kept_tokens(self) -> int:
        """Positions that the teachers were asked about and that are kept."""
        return sum(self._mass.values())

    def summary(self) -> dict[str, Any]:
        """Return what a run's summary says: the share of the teachers' probability that the tokens kept hold, and the size on disk."""
        total = self.kept_tokens
        seen, low = 0, 0.0
        for bin_ in sorted(self._mass):
            seen += self._mass[bin_]
            if seen >= 0.05 * total:
                low = bin_ / MASS_BINS
                break
        return {
            "top_k": self.setup.top_k,
            "bytes_per_token": self.setup.bytes_per_token,
            "tokens": total,
            "mass_mean": self._mass_sum / total if total else 0.0,
            "mass_5th_percentile": low,
        }

    def _place(self, slots_B: Tensor, inputs_BT: Tensor) -> tuple[NDArray[np.int64], NDArray[np.uint32]]:
        """Return the slots of some rows, and a check of each row's tokens, never 0."""
        if inputs_BT.shape[1] != self.setup.context_length:
            raise TrainError(
                f"the teacher cache is of rows of {self.setup.context_length} tokens, not {inputs_BT.shape[1]}",
                where=str(self.folder), fix="train with one length of rows, or without the cache",
            )  # fmt: skip
        rows = inputs_BT.cpu().numpy()
        return slots_B.cpu().numpy(), np.array([zlib.crc32(row.tobytes()) | 1 for row in rows], dtype=np.uint32)

    def _path(self, piece: int) -> Path:
        return self.folder / f"piece-{piece:06d}.npy"

    def _piece(self, piece: int) -> NDArray[Any] | None:
        """Return the rows of a piece, those only in memory included; None where there are none."""
        if self._open is not None and self._open[0] == piece:
            return self._open[1]
        if self._mapped is None or self._mapped[0] != piece:
            self._mapped = (piece, self._load(piece))
        return self._mapped[1]

    def _load(self, piece: int) -> NDArray[Any] | None:
        path = self._path(piece)
        if not path.is_file():
            return None
        try:
            rows = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise StateError(f"a piece of the teacher cache is damaged: {error}", where=str(path), fix=_REMOVE) from error
        if rows.dtype != self.setup.row or rows.ndim != 1 or len(rows) > self.slots_per_piece:
            raise StateError("a piece of the teacher cache is damaged: it is not laid out as its index says", where=str(path), fix=_REMOVE)
        return rows

    def _begin(self, piece: int) -> NDArray[Any]:
        """Return the rows of a piece in memory, to be changed."""
        if self._open is None or self._open[0] != piece:
            self.flush()
            stored, buffer = self._load(piece), np.zeros(self.slots_per_piece, self.setup.row)
            if stored is not None:
                buffer[: len(stored)] = stored
            self._open = (piece, buffer)
        return self._open[1]

    def _save(self, path: Path, rows: NDArray[Any]) -> None:
        temporary = temporary_name(path)
        with explain_disk_errors(path):
            try:
                with temporary.open("wb") as file:
                    # numpy's own writing of an array hides the system's reason for a failure.
                    np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(rows))
                    file.write(rows.view(np.uint8).data)
                    file.flush()
                    os.fsync(file.fileno())
                temporary.replace(path)
            finally:
                temporary.unlink(missing_ok=True)
            sync_folder(path.parent)

    def _write_index(self) -> None:
        described = {"format_version": FORMAT_VERSION, "slots_per_piece": self.slots_per_piece, "setup": asdict(self.setup)}
        histogram = {str(bin_): self._mass[bin_] for bin_ in sorted(self._mass)}
        write_json(self.folder / INDEX, {**described, **self.summary(), "mass_sum": self._mass_sum, "mass_histogram": histogram})

    def _read_index(self) -> None:
        path = self.folder / INDEX
        try:
            index = json.loads(path.read_text(encoding="utf-8"))
            version, setup, slots = index["format_version"], index["setup"], int(index["slots_per_piece"])
            mass, mass_sum = Counter({int(bin_): int(count) for bin_, count in index["mass_histogram"].items()}), float(index["mass_sum"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateError(f"the teacher cache is damaged: {error!r}", where=str(path), fix=_DELETE) from error
        wanted = json.loads(json.dumps(asdict(self.setup)))
        changed = [name for name in wanted if wanted[name] != setup.get(name)]
        if version != FORMAT_VERSION or changed:
            what = f"of another format: {version}" if version != FORMAT_VERSION else f"made with other {', '.join(changed)}"
            raise StateError(f"the teacher cache is {what}", where=str(path), fix=_DELETE)
        self.slots_per_piece, self._mass, self._mass_sum = slots, mass, mass_sum


_DELETE = "use another folder for the cache, or delete this one: it is made again"
_REMOVE = "delete this file: its rows are computed again"
