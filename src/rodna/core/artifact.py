"""Artifacts: folders that are complete when, and only when, they hold a `manifest.json`.

A stage writes into a temporary folder; the manifest is written last, everything is flushed, and the folder is renamed into
place. A folder with a manifest never changes afterwards; one without is rubbish that a rerun deletes.
"""

import glob
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rodna import __version__
from rodna.core.errors import ArtifactError, explain_disk_errors
from rodna.core.files import is_abandoned, replace_folder, sha256_of, sync_file, temporary_name, write_json

MANIFEST = "manifest.json"
ARTIFACT_NAME = re.compile(r"-[0-9a-f]{8}$")
"""How the folder of an artifact ends; a folder so named but without a manifest is rubbish."""
MAX_MANIFEST_BYTES = 64 * 1024 * 1024


class FileEntry(BaseModel):
    """One file of an artifact."""

    model_config = ConfigDict(frozen=True)
    size_bytes: int
    sha256: str


class Manifest(BaseModel):
    """What an artifact is, what it was made from and how."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")
    kind: str
    name: str
    digest: str
    format_version: int
    inputs: dict[str, str] = Field(description="Role of each input -> its digest.")
    config: dict[str, Any]
    seed: int = 0
    counts: dict[str, Any] = Field(default_factory=dict)
    licences: dict[str, str] = Field(default_factory=dict, description="Source -> licence, inherited from the inputs.")
    files: dict[str, FileEntry] = Field(default_factory=dict)
    created: str = ""
    seconds: float = 0.0
    code_version: str = __version__
    code_commit: str = ""
    environment: dict[str, str] = Field(default_factory=dict)


class Artifact:
    """A complete folder made by a stage."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path, self.manifest = path, manifest

    def __repr__(self) -> str:
        return f"Artifact({self.kind} {self.path.name})"

    @property
    def kind(self) -> str:
        return self.manifest.kind

    @property
    def digest(self) -> str:
        return self.manifest.digest

    @property
    def counts(self) -> dict[str, Any]:
        return self.manifest.counts

    @classmethod
    def open(cls, path: Path, *, kind: str = "") -> "Artifact":
        """Open a complete artifact, checking that every file it lists is there at its size.

        Args:
            path: the artifact's folder.
            kind: refuse any other kind; empty accepts all.

        Raises:
            ArtifactError: no manifest, an unreadable one, a missing or shortened file, or another kind.
        """
        manifest = read_manifest(path)
        if kind and manifest.kind != kind:
            raise ArtifactError(f"expected a {kind}, found a {manifest.kind}", where=str(path), fix=f"give the folder of a {kind}")
        for name, entry in manifest.files.items():
            file = path / name
            size = file.stat().st_size if file.is_file() else -1
            if size != entry.size_bytes:
                found = "is missing" if size < 0 else f"has {size:,} bytes, its manifest says {entry.size_bytes:,}"
                raise damaged(path, f"{name} {found}")
        return cls(path, manifest)

    def verify(self) -> None:
        """Compare every file with its SHA-256.

        Raises:
            ArtifactError: a file's content has changed.
        """
        for name, entry in self.manifest.files.items():
            if sha256_of(self.path / name) != entry.sha256:
                raise damaged(self.path, f"the content of {name} has changed since it was written")


def damaged(path: Path, what: str) -> ArtifactError:
    """Return the error for an artifact that can no longer be trusted."""
    return ArtifactError(
        f"damaged artifact: {what}", where=str(path), fix=f"delete {path} and run `rodna run`: only this stage is done again"
    )


def read_manifest(path: Path) -> Manifest:
    """Read an artifact's manifest.

    Raises:
        ArtifactError: there is none, or it is not a manifest.
    """
    file = path / MANIFEST
    if not file.is_file():
        raise ArtifactError("not a complete artifact: it has no manifest.json", where=str(path), fix="run `rodna run` to build it")
    if file.stat().st_size > MAX_MANIFEST_BYTES:
        raise damaged(path, "manifest.json is far too large")
    try:
        return Manifest.model_validate_json(file.read_bytes())
    except (ValidationError, UnicodeDecodeError, OSError) as error:
        raise damaged(path, "manifest.json cannot be read") from error


def digest_of(kind: str, *, format_version: int, inputs: Mapping[str, str], config: BaseModel | Mapping[str, Any]) -> str:
    """Return the digest that identifies a stage's result before it is built.

    The same inputs, configuration and format version give the same digest, so an unchanged stage can be skipped.
    """
    settings = config.model_dump(mode="json") if isinstance(config, BaseModel) else dict(config)
    text = json.dumps([kind, format_version, dict(inputs), settings], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


class Draft:
    """An artifact being written: put files under `path`, numbers in `counts`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.counts: dict[str, Any] = {}
        self.licences: dict[str, str] = {}
        self.artifact: Artifact | None = None

    @property
    def result(self) -> Artifact:
        """The finished artifact, once the `create` block has ended."""
        assert self.artifact is not None, "the artifact is not complete yet"
        return self.artifact


@contextmanager
def create(
    out: Path,
    *,
    kind: str,
    format_version: int,
    inputs: Mapping[str, Artifact | str],
    config: BaseModel | Mapping[str, Any],
    seed: int = 0,
) -> Generator[Draft]:
    """Write an artifact to `out`; nothing appears there unless the block ends without an error.

    Licences of input artifacts are inherited. An unfinished folder in the way is deleted; a finished one is replaced.

    Args:
        out: the final folder, by convention `<name>-<digest8>`.
        kind: what it is: `corpus`, `tokenizer`, `tokens`, ...
        format_version: of this kind's files; raising it makes old artifacts stale.
        inputs: role -> artifact, or a digest of what is not an artifact.
        config: the frozen configuration section the stage was given.
        seed: the seed of every random choice made.
    """
    digests = {role: item if isinstance(item, str) else item.digest for role, item in inputs.items()}
    settings = config.model_dump(mode="json") if isinstance(config, BaseModel) else dict(config)
    temporary = temporary_name(out)
    started = time.perf_counter()
    with explain_disk_errors(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        remove_rubbish(out)
        temporary.mkdir()
        draft = Draft(temporary)
        for item in inputs.values():
            if isinstance(item, Artifact):
                draft.licences.update(item.manifest.licences)
        try:
            yield draft
            files: dict[str, FileEntry] = {}
            for file in sorted(path for path in temporary.rglob("*") if path.is_file()):
                sync_file(file)
                name = file.relative_to(temporary).as_posix()
                files[name] = FileEntry(size_bytes=file.stat().st_size, sha256=sha256_of(file))
            manifest = Manifest(
                kind=kind,
                name=out.name.rpartition("-")[0] or out.name,
                digest=digest_of(kind, format_version=format_version, inputs=digests, config=settings),
                format_version=format_version,
                inputs=digests,
                config=settings,
                seed=seed,
                counts=draft.counts,
                licences=draft.licences,
                files=files,
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                seconds=round(time.perf_counter() - started, 3),
                code_commit=code_commit(),
                environment=environment(),
            )
            write_json(temporary / MANIFEST, manifest.model_dump(mode="json"))
            replace_folder(temporary, out)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
    draft.path, draft.artifact = out, Artifact(out, manifest)


def remove_rubbish(out: Path) -> None:
    """Delete what earlier, interrupted attempts at `out` left behind; what a living process is writing stays.

    Raises:
        ArtifactError: a folder is in the way that is neither an artifact nor named like one.
    """
    for leftover in out.parent.glob(f".{glob.escape(out.name)}.*.tmp"):
        if is_abandoned(leftover):
            shutil.rmtree(leftover, ignore_errors=True)
    if not out.exists() or (out / MANIFEST).is_file():
        return
    if out.is_dir() and (ARTIFACT_NAME.search(out.name) or not any(out.iterdir())):
        shutil.rmtree(out)
        return
    raise ArtifactError("something that is not an artifact is in the way", where=str(out), fix="move it away, or choose another folder")


@cache
def code_commit() -> str:
    """Return the commit of the source tree rodna runs from, `+changes` where it is edited; empty for an installed package."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return ""
    commit = _git(root, "rev-parse", "HEAD")
    return f"{commit}+changes" if commit and _git(root, "status", "--porcelain", "--untracked-files=no") else commit


def _git(root: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


@cache
def environment() -> dict[str, str]:
    """Return what a reader needs to judge or repeat a number: platform, Python, and torch where it is loaded."""
    result = {"python": platform.python_version(), "platform": platform.platform(), "cpus": str(os.cpu_count())}
    for package in ("torch", "tokenizers", "numpy"):
        if package in sys.modules:
            result[package] = str(sys.modules[package].__version__)
    return result
