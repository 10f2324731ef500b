"""Saved states of a run: a checkpoint anyone can open, plus what resuming needs. A crash at any moment leaves a complete one.

    runs/<run>/step-000500/   a checkpoint, with optimizer.safetensors, progress.json and, where weights are averaged, average.safetensors
    runs/<run>/best-000400/   a checkpoint: the lowest validation loss so far, of the averaged weights where there are any
    runs/<run>/kept-000100/   a checkpoint on the way, where train.keep_checkpoints asks for some

About data and randomness nothing is saved: batches and seeds are pure functions of the step.
"""

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from rodna.core.artifact import digest_of
from rodna.core.errors import RodnaError, StateError, explain_disk_errors
from rodna.core.files import is_abandoned, replace_folder, sha256_of, sync_file, temporary_name, write_json
from rodna.models import checkpoint
from rodna.models.decoder import Decoder
from rodna.train.config import KEPT
from rodna.train.optim import Optimizers, load_optimizer_tensors, optimizer_tensors

OPTIMIZER, AVERAGE, PROGRESS = "optimizer.safetensors", "average.safetensors", "progress.json"
RESUMING = (OPTIMIZER, AVERAGE, PROGRESS)
"""What a state has besides a checkpoint's files."""


@dataclass
class Progress:
    """How far a run is: everything that changes from step to step, except weights and optimizer.

    Attributes:
        step: finished optimizer steps.
        tokens: targets learned from.
        seconds: spent in the loop, over all attempts.
        interruptions: how often the run was taken up again.
        best_step: of the lowest validation loss; 0 before the first evaluation.
        best_bits_per_byte: on the validation text.
        worse_evaluations: evaluations since then.
        stopped_early: patience was exhausted.
        peak_memory_bytes: over all attempts.
        lesson_flops: a token costs besides the decoder's own, as the first attempt found it; below 0 before that.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    interruptions: int = 0
    best_step: int = 0
    best_bits_per_byte: float = float("inf")
    worse_evaluations: int = 0
    stopped_early: bool = False
    peak_memory_bytes: int = 0
    lesson_flops: float = -1.0


class RunFolder:
    """Where a run keeps its states.

    Args:
        path: the folder, made if missing.
        tokenizer_folder: copied into every checkpoint.
        setup: digest of what the run learns and how; a folder of another run is refused.
    """

    def __init__(self, path: Path, *, tokenizer_folder: Path, setup: str) -> None:
        self.path, self.tokenizer_folder, self._setup = path, tokenizer_folder, setup
        with explain_disk_errors(path):
            path.mkdir(parents=True, exist_ok=True)
        for leftover in path.glob(".*.tmp"):
            if is_abandoned(leftover):
                shutil.rmtree(leftover, ignore_errors=True)

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    def best(self, progress: Progress) -> Path:
        """Return the best checkpoint's folder."""
        return self.path / f"best-{progress.best_step:06d}"

    def released(self, progress: Progress) -> Path:
        """Return the folder of the checkpoint that the run is for: the best, or the last where nothing was evaluated."""
        best = self.best(progress)
        return best if best.is_dir() else self.path / f"step-{progress.step:06d}"

    def save(
        self, decoder: Decoder, optimizers: Optimizers, progress: Progress, *, average: Mapping[str, Tensor] = MappingProxyType({})
    ) -> Path:
        """Write everything that resuming needs; older states go once this one is safe."""

        def add_state(folder: Path) -> None:
            tensors = {name: tensor.contiguous() for name, tensor in optimizer_tensors(decoder, optimizers).items()}
            checkpoint.write_tensors(folder / OPTIMIZER, tensors)
            if average:
                checkpoint.write_tensors(folder / AVERAGE, dict(average))
            files = {name: sha256_of(folder / name) for name in (OPTIMIZER, AVERAGE, checkpoint.WEIGHTS) if (folder / name).is_file()}
            write_json(folder / PROGRESS, {"setup": self._setup, "files": files, **asdict(progress)})

        state = self._write(self.path / f"step-{progress.step:06d}", decoder, add_state)
        for old in [*self.path.glob("step-*"), *self.path.glob("best-*")]:
            if old not in (state, self.best(progress)):
                shutil.rmtree(old, ignore_errors=True)
        return state

    def average(self, progress: Progress) -> dict[str, Tensor]:
        """Return the averaged weights of the state that `resume` has loaded; none where nothing is averaged."""
        file = self.path / f"step-{progress.step:06d}" / AVERAGE
        return load_file(file) if file.is_file() else {}

    def save_best(self, decoder: Decoder, progress: Progress) -> None:
        """Write the weights as the best so far; the previous best stays until the next `save`, which refers to this one."""
        self._write(self.best(progress), decoder)

    def keep(self, decoder: Decoder, progress: Progress) -> None:
        """Write the weights to stay: a rung of the model's ladder."""
        self._write(self.path / f"{KEPT}{progress.step:06d}", decoder)

    def _write(self, folder: Path, decoder: Decoder, add: Callable[[Path], None] = lambda _: None) -> Path:
        temporary = temporary_name(folder)
        with explain_disk_errors(folder):
            try:
                checkpoint.save(temporary, decoder, self.tokenizer_folder)
                add(temporary)
                for file in temporary.iterdir():
                    sync_file(file)
                replace_folder(temporary, folder)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
        return folder

    def resume(self, decoder: Decoder, optimizers: Optimizers) -> Progress:
        """Load the last saved state into the decoder and optimizers; a new run begins at step 0.

        Raises:
            StateError: the state is damaged, or of another run.
        """
        states = [folder for folder in self.path.glob("step-*") if (folder / PROGRESS).is_file()]
        if not states:
            return Progress()
        folder = max(states, key=lambda state: int(state.name.removeprefix("step-")))
        try:
            values = json.loads((folder / PROGRESS).read_text(encoding="utf-8"))
            setup, files = values.pop("setup"), values.pop("files")
            progress = Progress(**values)
            changed = [name for name, digest in files.items() if sha256_of(folder / name) != digest]
            if changed:
                raise _damaged(folder, f"{', '.join(changed)} changed since it was written")
            if setup != self._setup:
                raise StateError("this run learned something else before: its text, model or settings differ", where=str(self.path),
                                 fix="train into another folder, or delete this one")  # fmt: skip
            loaded = checkpoint.load_decoder(folder, device=decoder.embedding.weight.device)
            decoder.load_state_dict(loaded.state_dict())
            load_optimizer_tensors(decoder, optimizers, load_file(folder / OPTIMIZER))
        except (OSError, ValueError, TypeError, KeyError, SafetensorError) as error:
            raise _damaged(folder, str(error)) from error
        if progress.best_step and not (self.best(progress) / checkpoint.WEIGHTS).is_file():
            raise _damaged(self.best(progress), "the best checkpoint is missing")
        progress.interruptions += 1
        return progress


def setup_digest(**parts: object) -> str:
    """Return what identifies a run: any difference in these parts makes it another one."""
    return digest_of("run", format_version=1, inputs={}, config=parts)


def _damaged(folder: Path, why: str) -> RodnaError:
    return StateError(f"the saved state of training is damaged: {why}", where=str(folder),
                      fix=f"delete {folder.parent} and run the same command: training starts from the beginning")  # fmt: skip
