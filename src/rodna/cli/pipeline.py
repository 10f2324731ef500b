"""The order of the stages, and running only those whose result does not exist yet."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rodna.cli.lock import locked
from rodna.cli.project import Project
from rodna.cli.stages import ALL_STAGES, StageName, Stages, stages_of
from rodna.core.artifact import Artifact
from rodna.core.errors import ArtifactError
from rodna.core.files import write_bytes
from rodna.core.log import say
from rodna.core.text import human_bytes, human_count, human_seconds
from rodna.core.workspace import Workspace, remove_unfinished

State = Literal["done", "damaged", "stale", "missing"]


@dataclass(frozen=True)
class Step:
    """How far one stage is.

    Attributes:
        name: of the stage.
        state: `stale` means that a result exists, made from other inputs or settings.
        path: of the result; of the newest outdated one where stale; empty where there is none.
        detail: why it is stale or damaged, else what the result holds.
    """

    name: StageName
    state: State
    path: str
    detail: str

    def as_json(self) -> dict[str, str]:
        return {"stage": self.name, "state": self.state, "path": self.path, "detail": self.detail}


def look(stages: Stages, names: Sequence[StageName] = ()) -> list[Step]:
    """Return how far stages are, by default those of the project, without doing or changing anything."""
    everything = list(stages.workspace.all_artifacts())
    return [_look_at(stages, name, everything) for name in names or stages_of(stages.project)]


def _look_at(stages: Stages, name: StageName, everything: list[Artifact]) -> Step:
    stage = stages.stage(name)
    try:
        artifact = stage.existing(stages.workspace)
    except ArtifactError as error:
        return Step(name, "damaged", str(stage.out(stages.workspace)), error.what)
    if artifact is not None:
        return Step(name, "done", str(artifact.path), describe(artifact, stages.project))
    finished = stages.finished_members() if name == "ensemble" else 0
    begun = [f"{finished} of {stages.project.ensemble.members} members finished"] if finished else []
    older = [item for item in everything if item.kind == stage.kind and item.manifest.name == stage.name]
    if not older:
        return Step(name, "missing", "", *begun or [""])
    newest = max(older, key=lambda item: item.manifest.created)
    return Step(name, "stale", str(newest.path), "; ".join(begun + differences(newest, stage)))


def next_command(steps: list[Step]) -> str:
    """Return what to type next."""
    damaged = next((step for step in steps if step.state == "damaged"), None)
    if damaged is not None:
        return f"delete {damaged.path}, then `rodna run`"
    if all(step.state == "done" for step in steps):
        return "`rodna chat`, or open report/index.html"
    return "`rodna run`"


def describe(artifact: Artifact, project: Project) -> str:
    """Return in one line what a result holds."""
    counts = artifact.counts
    try:
        match artifact.kind:
            case "documents":
                return f"{counts['documents']:,} documents read, {human_bytes(counts['bytes'])}"
            case "cleaned":
                return f"{counts['documents']:,} documents repaired and measured"
            case "corpus":
                size = human_bytes(sum(counts[split]["bytes"] for split in ("train", "validation", "test")))
                return f"{counts['documents_kept']:,} documents kept, {counts['documents_dropped']:,} dropped; {size}"
            case "tokenizer":
                return f"{counts['vocabulary_size']:,} tokens, {counts['bytes_per_token']:.2f} bytes each on average"
            case "plan":
                members = counts.get("ensemble_members", 0) if project.leaves_ensemble_open else 0
                more = f"; {members} models and a student of theirs should do better: `rodna plan` says how" if members else ""
                return f"{human_count(counts['parameters'])} parameters, about {human_seconds(counts['seconds'])} of training{more}"
            case "tokens":
                return f"{counts['splits']['train']['num_tokens']:,} tokens to learn from"
            case "model":
                passes = f"{counts['epochs']:.1f} passes over the text"
                return f"{human_count(counts['parameters'])} parameters, {counts['steps']:,} steps, {passes}"
            case "ensemble":
                gain, number = counts["gain"], counts["members"]
                members = f"{number} members" if number > 1 else "1 member"
                measured = f", {counts['bits_per_byte']:.3f} bits per byte of validation text, {gain:.3f} fewer than one" if gain else ""
                return f"{members}, {human_count(counts['parameters'])} parameters together{measured}"
            case "evaluation":
                asked = f", {counts['tasks']} tasks of {counts['items']:,} items" if counts.get("tasks") else ""
                return f"{counts['bits_per_byte']:.3f} bits per byte of held-out text{asked}"
            case _:
                return ""
    except KeyError:
        return ""


def differences(artifact: Artifact, stage: Any) -> list[str]:
    """Return what has changed between an artifact and the stage that would make it now."""
    config = stage.config if isinstance(stage.config, dict) else stage.config.model_dump(mode="json")
    found = [f"{key}: {_short(old)} -> {_short(new)}" for key, old, new in _compare(artifact.manifest.config, config)]
    roles = {role: item if isinstance(item, str) else item.digest for role, item in stage.inputs.items()}
    found += [f"another {role}" for role, digest in roles.items() if artifact.manifest.inputs.get(role) != digest]
    if artifact.manifest.format_version != stage.format_version:
        found.append("another version of its format")
    return found


def _compare(old: Any, new: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for part in sorted({*old, *new}):
            yield from _compare(old.get(part), new.get(part), f"{key}.{part}" if key else part)
    elif old != new:
        yield key, old, new


def _short(value: Any) -> str:
    text = "unset" if value is None else str(value)
    return text if len(text) <= 30 else text[:27] + "..."


def run_stages(
    project: Project, workspace: Workspace, names: tuple[StageName, ...], *, tell: Callable[[str], None] = say
) -> dict[str, Any]:
    """Make the named stages' results where they do not exist, holding the workspace's lock.

    Args:
        project: the settings.
        workspace: where to.
        names: stages, in order; what they need must exist or be among them.
        tell: receives one line for a person at a time.

    Returns:
        Stage -> {path, digest, made, seconds, counts}.
    """
    with locked(workspace):
        remove_unfinished(workspace)
        stages = Stages(project, workspace)
        results: dict[str, Any] = {}
        order = [name for name in ALL_STAGES if name in {*stages_of(project), *names}]
        for name in names:
            number = f"[{order.index(name) + 1}/{len(order)}]"
            stage = stages.stage(name)
            existing = stage.existing(workspace)
            started = time.perf_counter()
            if existing is None:
                if "distill" in names:
                    stages.check_teachers()
                tell(f"{number} {name} ...")
            artifact = existing or stage.run(workspace)
            seconds = time.perf_counter() - started
            took = "unchanged" if existing else human_seconds(seconds)
            tell(f"{number} {name}: {describe(artifact, project) or 'done'} ({took})")
            results[name] = {
                "path": str(artifact.path), "digest": artifact.digest, "made": existing is None, "seconds": round(seconds, 3),
                "counts": artifact.counts,
            }  # fmt: skip
            if name == "report":
                publish_report(artifact, workspace)
        return results


def publish_report(artifact: Artifact, workspace: Workspace) -> None:
    """Put the newest report where people look for it: `report/index.html`."""
    page = (artifact.path / "index.html").read_bytes()
    target = workspace.report / "index.html"
    if not target.is_file() or target.read_bytes() != page:
        target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, page)
