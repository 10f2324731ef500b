"""`rodna doctor`: what the machine offers, and whether the workspace is sound."""

import shutil
from pathlib import Path
from typing import Any

import typer

from rodna.cli.options import HERE, JsonOption, WorkspaceOption
from rodna.cli.verbs import print_json
from rodna.core.errors import RodnaError


def doctor(workspace: WorkspaceOption = HERE, as_json: JsonOption = False) -> None:
    """Check the machine, the installation and every file of the workspace."""
    checks = [*_installation(), *_machine(workspace), *_workspace(workspace)]
    if as_json:
        print_json(checks)
    else:
        for check in checks:
            print(f"{'ok     ' if check['ok'] else 'PROBLEM'}  {check['what']}: {check['found']}")
            if check["fix"]:
                print(f"           fix: {check['fix']}")
    if not all(check["ok"] for check in checks):
        raise typer.Exit(1)


def _check(what: str, found: str, *, ok: bool = True, fix: str = "") -> dict[str, Any]:
    return {"what": what, "found": found, "ok": ok, "fix": fix}


def _installation() -> list[dict[str, Any]]:
    import sys
    from importlib.metadata import version

    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "tokenizers", "numpy", "pydantic"))
    return [_check("rodna", f"{version('rodna')} on Python {sys.version.split()[0]}"), _check("packages", packages)]


def _machine(workspace: Path) -> list[dict[str, Any]]:
    from rodna.core.text import human_bytes
    from rodna.plan.hardware import available_memory, describe_machine

    machine = describe_machine()
    free = shutil.disk_usage(workspace if workspace.exists() else Path()).free
    memory = available_memory(machine)
    return [
        _check("trains on", f"{machine.device}: {machine.name}, {machine.cores} cores, {human_bytes(machine.memory_bytes)} of memory"),
        _check("bfloat16", {"none": "no instructions for it; float32 is used"}.get(machine.bf16, machine.bf16)),
        _check("compiler", machine.compiler or "none found: training works, about 1.5 times slower; install g++ and the Python headers"),
        _check("free memory", human_bytes(memory), ok=memory > 1e9, fix="" if memory > 1e9 else "close other programs"),
        _check("free disk", human_bytes(free), ok=free > 1e9, fix="" if free > 1e9 else "free at least 1 GB"),
    ]


def _workspace(start: Path) -> list[dict[str, Any]]:
    from rodna.cli.project import load_project
    from rodna.core.artifact import MANIFEST, Artifact
    from rodna.core.workspace import Workspace

    try:
        workspace = Workspace.find(start)
    except RodnaError:
        return [_check("workspace", "none here")]
    checks = [_check("workspace", str(workspace.root))]
    try:
        load_project(workspace)
        checks.append(_check("project.yaml", "valid"))
    except RodnaError as error:
        checks.append(_check("project.yaml", error.what, ok=False, fix=error.fix))
    for manifest in sorted(workspace.artifacts.glob(f"*/*/{MANIFEST}")):
        if manifest.parent.name.startswith("."):
            continue
        name = manifest.parent.relative_to(workspace.artifacts).as_posix()
        try:
            Artifact.open(manifest.parent).verify()
            checks.append(_check(name, "every file is as it was written"))
        except (RodnaError, OSError) as error:
            fix = error.fix if isinstance(error, RodnaError) else "check the disk"
            checks.append(_check(name, str(error).splitlines()[0], ok=False, fix=fix))
    return checks
