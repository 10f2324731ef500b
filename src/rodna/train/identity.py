"""What ensembles and students depend on, known before anything is made. Imports nothing heavy."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rodna.core.workspace import Workspace
from rodna.train.config import TrainConfig
from rodna.train.ensemble_config import DistillConfig, EnsembleConfig

ENSEMBLE_FORMAT_VERSION = 1
SPLIT = "split.json"
"""In the folder of an ensemble's runs: what was begun there, and over how many members the time was split."""
CHAIN_SETTINGS = {"temperature", "alpha", "loss", "average"}
"""The settings of distillation that chain distillation uses too."""
SAMPLED_BLOCKS, BLOCK_BYTES = 64, 1 << 16
NO_WEIGHTS = ("manifest.json", "training.json", "distillation.json", "generation_config.json")
"""Files of a checkpoint's folder that say nothing about what the model computes."""


def member_minutes(config: EnsembleConfig, minutes: float, split_over: int) -> float:
    """Return the time of one member; rounded, so that 60 minutes for 4 members and 90 for 6 are the same plan."""
    return round(minutes * config.share / split_over, 9)


def time_split(config: EnsembleConfig, minutes: float, split_over: int) -> dict[str, float]:
    """Return how the time is split between members and student, in minutes; empty without an ensemble."""
    if not config.members:
        return {}
    each = member_minutes(config, minutes, split_over)
    return {"members": config.members, "split_over": split_over, "minutes": minutes, "member_minutes": each,
            "student_minutes": minutes * (1 - config.share)}  # fmt: skip


def ensemble_settings(config: EnsembleConfig, distill: DistillConfig, *, split_over: int) -> dict[str, Any]:
    """Return what an ensemble depends on besides its inputs."""
    settings = config.model_dump(mode="json") | {"split_over": split_over}
    return {"ensemble": settings, "distill": distill.model_dump(mode="json", include=CHAIN_SETTINGS) if config.chain else {}}


def distill_settings(config: DistillConfig, ensemble: EnsembleConfig, train: TrainConfig, *, split_over: int) -> dict[str, Any]:
    """Return what a student depends on besides its inputs. Teachers count by their content, not by where they lie."""
    shared = {"share": ensemble.share, "split_over": split_over} if ensemble.members else {}
    return {
        "distill": config.model_dump(mode="json", exclude={"teachers", "preset"}),
        "ensemble": shared,
        "train": train.model_dump(mode="json"),
    }


def begun_splits(workspace: Workspace, name: str, runs: Path) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Yield over how many members the time was split, and the inputs' digests, of every ensemble that was finished or begun."""
    for artifact in workspace.all_artifacts():
        if artifact.kind == "ensemble" and artifact.manifest.name == name:
            yield int(artifact.manifest.config["ensemble"]["split_over"]), artifact.manifest.inputs
    try:
        begun = json.loads((runs / SPLIT).read_text(encoding="utf-8"))
        yield int(begun["split_over"]), begun["inputs"]
    except (OSError, ValueError, KeyError, TypeError):
        return


def teacher_folders(config: DistillConfig, root: Path) -> list[Path]:
    """Return the folders of the teachers that are given by path.

    Args:
        config: with paths, absolute or seen from `root`.
        root: the workspace's folder.
    """
    return [root / Path(teacher).expanduser() for teacher in config.teachers]


def teacher_fingerprint(folder: Path) -> str:
    """Return what tells a checkpoint from others without reading all of it: its small files, and samples spread over its weights.

    Where there is no checkpoint it is that of no files: the stage says so once it runs.
    """
    digest = hashlib.sha256()
    for file in sorted([*folder.glob("*.json"), *folder.glob("*.safetensors")]):
        if file.name in NO_WEIGHTS:
            continue
        size = file.stat().st_size
        digest.update(f"{file.name} {size} ".encode())
        with file.open("rb") as stream:
            for place in sorted({size * block // SAMPLED_BLOCKS for block in range(SAMPLED_BLOCKS)}):
                stream.seek(place)
                digest.update(stream.read(BLOCK_BYTES))
    return digest.hexdigest()
