"""Results: one small JSON file a piece, written whole or not at all."""

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.data_efficiency.scoring import Scored
from benchmarks.data_efficiency.texts import ROOT, TEXTS, Place

from rodna.core.files import write_json
from rodna.evals.bootstrap import ratio_interval
from rodna.plan.hardware import describe_machine

Speeds = dict[str, Any]
"""Of one machine: itself, the texts whose trainings it measured, sizes of vocabularies, rodna's plans, and seconds a step."""
BOOTSTRAP_SAMPLES = 1000
SPEEDS = "speeds-*.json"
"""A file a machine, named by its label."""


def read_results(place: Place) -> dict[str, dict[str, Any]]:
    """Return every result by its piece's name."""
    found = {}
    for file in sorted({*place.results.glob("*.json")} - {*place.results.glob(SPEEDS)}):
        found[file.stem] = json.loads(file.read_text(encoding="utf-8"))
    return found


def write_result(place: Place, name: str, values: dict[str, Any]) -> None:
    """Write one piece's result."""
    place.results.mkdir(parents=True, exist_ok=True)
    write_json(place.results / f"{name}.json", {"piece": name, **values})


def read_machines(place: Place) -> dict[str, Speeds]:
    """Return what the `speeds` command has measured, by the machine's label."""
    files = sorted(place.results.glob(SPEEDS))
    return {file.stem.removeprefix("speeds-"): json.loads(file.read_text(encoding="utf-8")) for file in files}


def read_speeds(place: Place) -> dict[str, Speeds]:
    """Return, for every text, the speeds of the machine that its trainings were measured on.

    Of several machines the last one's count, by their labels; what it has not measured is the others'. `measured_on` names the machine of
    every plan and step.
    """
    found = {text: {**no_speeds(), "measured_on": {}} for text in TEXTS}
    for speeds in read_machines(place).values():
        for text in speeds["texts"]:
            here = {**speeds, "measured_on": dict.fromkeys([*speeds["plans"], *speeds["steps"]], speeds["machine"])}
            parts = ("vocabularies", "plans", "steps", "measured_on")
            found[text] = {**here, **{part: {**found[text][part], **here[part]} for part in parts}}
    return found


def no_speeds() -> Speeds:
    """Return what is known of a machine before anything has been measured."""
    return {"machine": {}, "texts": [], "vocabularies": {}, "plans": {}, "steps": {}}


def write_speeds(place: Place, label: str, speeds: Speeds) -> None:
    """Keep what was measured on a machine."""
    place.results.mkdir(parents=True, exist_ok=True)
    write_json(place.results / SPEEDS.replace("*", label), speeds)


def held_out_figures(scored: Scored) -> dict[str, Any]:
    """Return the test figures of a result: with each document's bits, so that systems can be compared document by document."""
    low, high = ratio_interval(scored.bits_D, scored.bytes_D, samples=BOOTSTRAP_SAMPLES, seed=0)
    return {
        "test_bits_per_byte": scored.bits_per_byte, "test_interval": [low, high], "test_documents": len(scored.bytes_D),
        "test_document_bits": [round(float(bits), 2) for bits in scored.bits_D], "test_document_bytes": scored.bytes_D.tolist(),
    }  # fmt: skip


def origin(command: str, device: str) -> dict[str, Any]:
    """Return where a result comes from: code, command, machine."""
    machine = describe_machine("auto" if device == "cuda" else "cpu")
    return {"commit": _git("rev-parse", "--short=12", "HEAD"), "uncommitted_changes": bool(_git("status", "--porcelain", "--", "src")),
            "command": command, "machine": {"name": machine.name, "cores": machine.cores, "device": machine.device}}  # fmt: skip


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def relative(path: Path) -> str:
    """Return a path as it is written in commands: from the repository's root where it lies within."""
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)
