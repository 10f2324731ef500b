"""From any artifact back to the sources it was made from."""

import contextlib
from pathlib import Path
from typing import Any, cast

from rodna.cli.stages import ALL_STAGES, Stages, stages_of
from rodna.core.artifact import Artifact
from rodna.core.errors import ArtifactError, CorpusError
from rodna.core.text import human_seconds


def find(stages: Stages, wanted: str) -> Artifact:
    """Return the artifact meant by a folder, a stage's name, a kind or the beginning of a digest.

    Args:
        stages: of the project.
        wanted: empty means the furthest result of the project as it stands now.

    Raises:
        ArtifactError: none, or more than one, is meant.
    """
    if wanted in ALL_STAGES:
        # Where the texts are gone, what they led to is still there, and is found by its kind below.
        with contextlib.suppress(CorpusError):
            return stages.artifact(wanted)
    if wanted and Path(wanted).is_dir():
        return Artifact.open(Path(wanted))
    everything = list(stages.workspace.all_artifacts())
    if not wanted:
        return _furthest(stages, everything)
    found = [item for item in everything if wanted in (item.path.name, item.kind) or item.digest.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(f"{item.kind}/{item.path.name}" for item in found or everything)
    what = f"{len(found)} artifacts are meant by {wanted!r}" if found else f"no artifact is meant by {wanted!r}"
    raise ArtifactError(
        what, where=str(stages.workspace.artifacts), fix=f"give a folder or a digest of one of: {names or 'none exist yet'}"
    )


def _furthest(stages: Stages, everything: list[Artifact]) -> Artifact:
    with contextlib.suppress(CorpusError):
        for name in reversed(stages_of(stages.project)):
            artifact = stages.stage(name).existing(stages.workspace)
            if artifact is not None:
                return artifact
    if not everything:
        raise ArtifactError("nothing has been made yet", where=str(stages.workspace.root), fix="run `rodna run`")
    return max(everything, key=lambda item: item.manifest.created)


def ancestry(artifact: Artifact, stages: Stages) -> dict[str, Any]:
    """Return an artifact and everything it was made from as a tree of plain values."""
    return _node(artifact, "", stages.workspace.by_digest(), stages, set())


def _node(artifact: Artifact, role: str, known: dict[str, Artifact], stages: Stages, seen: set[str]) -> dict[str, Any]:
    manifest = artifact.manifest
    node: dict[str, Any] = {
        "role": role,
        "kind": artifact.kind,
        "digest": artifact.digest,
        "path": _place(artifact.path, stages.workspace.root),
        "made": manifest.created,
        "seconds": manifest.seconds,
        "code": manifest.code_commit or manifest.code_version,
    }
    if artifact.digest in seen:
        return node | {"shown_above": True, "inputs": []}
    seen.add(artifact.digest)
    inputs: list[dict[str, Any]] = []
    for name, digest in manifest.inputs.items():
        if digest in known:
            inputs.append(_node(known[digest], name, known, stages, seen))
        elif name == "sources":
            inputs += _sources(artifact, stages)
        else:
            inputs.append({"role": name, "kind": "", "digest": digest, "inputs": []})
    return node | {"inputs": inputs}


def _place(path: Path, root: Path) -> str:
    """Return a path as seen from the workspace where it lies inside."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _sources(corpus: Artifact, stages: Stages) -> list[dict[str, Any]]:
    """Return the sources a corpus was made from; what it does not say itself is taken from the project file."""
    recorded = cast("dict[str, Any]", corpus.manifest.config.get("sources") or {})
    names = sorted(set(corpus.manifest.licences) | set(recorded)) or sorted(stages.project.sources)
    rows: list[dict[str, Any]] = []
    for name in names:
        source = stages.project.sources.get(name)
        licence = (source.licence if source else "") or corpus.manifest.licences.get(name, "")
        rows.append({"role": "source", "kind": "source", "name": name, "digest": "", "path": source.path if source else "",
                     "licence": licence, "origin": source.origin if source else "", "inputs": []})  # fmt: skip
    return rows


def render(tree: dict[str, Any]) -> str:
    """Return the tree as lines for people."""
    return "\n".join(_lines(tree, "", ""))


def _lines(node: dict[str, Any], first: str, rest: str) -> list[str]:
    lines = [first + _describe(node)]
    inputs = node["inputs"]
    for index, item in enumerate(inputs):
        last = index == len(inputs) - 1
        lines += _lines(item, rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))
    return lines


def _describe(node: dict[str, Any]) -> str:
    if node["kind"] == "source":
        licence = node["licence"] or "no licence given"
        return f"source {node['name']}: {node['path']} ({licence}{'; ' + node['origin'] if node['origin'] else ''})"
    if not node["kind"]:
        what = "" if node["role"] in ("machine", "project") else " (not in this workspace)"
        return f"{node['role']} {node['digest'][:8]}{what}"
    if node.get("shown_above"):
        return f"{node['kind']} {node['digest'][:8]} (shown above)"
    made = f"made {node['made']} in {human_seconds(node['seconds'])} by rodna {node['code'][:12]}"
    return f"{node['kind']} {node['digest'][:8]}  {node['path']}  {made}"
