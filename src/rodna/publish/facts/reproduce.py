"""How to get the same again: commands, versions, seeds, digests, hardware."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from rodna.core.artifact import Artifact
from rodna.core.text import human_bytes, human_seconds
from rodna.publish.facts.view import Column, Row, amount, get, number, read_json

COLUMNS = (
    Column("Artifact"),
    Column("Digest", "digest"),
    Column("Seed", "num"),
    Column("Size", "num"),
    Column("Made in", "num"),
    Column("When", "nowrap"),
)
ENVIRONMENT_COLUMNS = (Column("What", "nowrap"), Column("Value"))


@dataclass(frozen=True)
class ReproduceFacts:
    """The last section."""

    lead: str
    commands: list[str]
    columns: tuple[Column, ...]
    artifacts: list[Row]
    environment_columns: tuple[Column, ...]
    environment: list[Row]
    settings: list[tuple[str, str]]


def reproduce_facts(artifacts: Mapping[str, Artifact]) -> ReproduceFacts | None:
    """Return the section, None where there is no artifact at all."""
    if not artifacts:
        return None
    newest = max(artifacts.values(), key=lambda artifact: artifact.manifest.created).manifest
    commands = [
        f'pip install "rodna=={newest.code_version}"',
        "# in the workspace: the same sources and project.yaml",
        "rodna run",
        "# the ancestry of the result, digest by digest",
        "rodna trace",
    ]
    return ReproduceFacts(
        "The same sources, settings and versions give the same digests; the same machine and number of threads also the same weights.",
        commands,
        COLUMNS,
        [_row(role, artifact) for role, artifact in artifacts.items()],
        ENVIRONMENT_COLUMNS,
        _environment(artifacts),
        [(role, json.dumps(artifact.manifest.config, indent=2, ensure_ascii=False)) for role, artifact in artifacts.items()],
    )


def _row(role: str, artifact: Artifact) -> Row:
    manifest = artifact.manifest
    size = sum(entry.size_bytes for entry in manifest.files.values())
    # Packing the model is the artifact's own time; training came before.
    seconds = amount(get(read_json(artifact, "training.json"), "seconds")) or manifest.seconds
    when = manifest.created[:16].replace("T", " ")
    return Row([role, manifest.digest[:16], manifest.seed, human_bytes(size), human_seconds(seconds), when])


def _environment(artifacts: Mapping[str, Artifact]) -> list[Row]:
    machine = read_json(artifacts.get("plan"), "plan.json")
    machine = machine.get("machine") or {} if isinstance(machine, dict) else {}
    rows: list[Row] = []
    if machine.get("name"):
        memory = human_bytes(amount(machine.get("memory_bytes")))
        rows.append(Row(["machine", f"{machine['name']}, {number(machine.get('cores'))} cores, {memory} of memory"]))
    for key, label in (("bf16_flops", "measured matrix product, bfloat16"), ("fp32_flops", "measured matrix product, float32")):
        if amount(machine.get(key)):
            rows.append(Row([label, f"{amount(machine[key]) / 1e12:.2f} TFLOP/s"]))
    summary = read_json(artifacts.get("model"), "training.json")
    if get(summary, "dtype"):
        threads, compiled = number(get(summary, "threads")), "compiled" if get(summary, "compiled") else "not compiled"
        rows.append(Row(["training", f"{get(summary, 'dtype')}, {compiled}, {threads} threads"]))
    versions: dict[str, set[str]] = {"rodna": set(), "commit": set()}
    for artifact in artifacts.values():
        versions["rodna"].add(artifact.manifest.code_version)
        versions["commit"].add(artifact.manifest.code_commit)
        for key, value in artifact.manifest.environment.items():
            versions.setdefault(key, set()).add(value)
    rows += [Row([key, ", ".join(sorted(values - {""}))]) for key, values in versions.items() if values - {""}]
    return rows
