"""A workspace: one language's folder, with its project file, artifacts, runs and report."""

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel

from rodna.core.artifact import MANIFEST, Artifact, damaged, digest_of
from rodna.core.errors import ArtifactError, ConfigError
from rodna.core.files import is_abandoned

PROJECT_FILE = "project.yaml"
AGAIN = "again"
"""Input that counts how often a result was made again though nothing that it is made from had changed: what is measured comes out
otherwise, and what was made from it before must not pass for made from it now."""


@dataclass(frozen=True)
class Workspace:
    """The folders of one project; nothing is read until asked for."""

    root: Path

    @classmethod
    def find(cls, start: Path) -> "Workspace":
        """Return the workspace that `start` lies in.

        Raises:
            ConfigError: neither `start` nor a folder above it holds a `project.yaml`.
        """
        for folder in (start.resolve(), *start.resolve().parents):
            if (folder / PROJECT_FILE).is_file():
                return cls(folder)
        raise ConfigError(
            f"no workspace here: {PROJECT_FILE} not found",
            where=str(start.resolve()),
            fix="run `rodna init LANG FOLDER`, or name the workspace with --workspace",
        )

    @property
    def project_file(self) -> Path:
        return self.root / PROJECT_FILE

    @property
    def artifacts(self) -> Path:
        return self.root / "artifacts"

    @property
    def runs(self) -> Path:
        return self.root / "runs"

    @property
    def report(self) -> Path:
        return self.root / "report"

    def artifact_path(self, kind: str, name: str, digest: str) -> Path:
        """Return where the artifact of this kind, name and digest lives, whether or not it exists."""
        return self.artifacts / kind / f"{name}-{digest[:8]}"

    def all_artifacts(self, kind: str = "*") -> Iterator[Artifact]:
        """Yield every complete artifact, or those of a kind, by kind and name; damaged ones are left out."""
        for manifest in sorted(self.artifacts.glob(f"{kind}/*/{MANIFEST}")):
            if manifest.parent.name.startswith("."):
                continue
            try:
                yield Artifact.open(manifest.parent)
            except ArtifactError:
                continue

    def by_digest(self) -> dict[str, Artifact]:
        """Return every complete artifact by its full digest."""
        return {artifact.digest: artifact for artifact in self.all_artifacts()}


@dataclass(frozen=True)
class Result:
    """An artifact known by what it depends on, whether or not it exists: `digest` identifies it before it is made."""

    kind: str
    name: str
    format_version: int
    inputs: Mapping[str, Artifact | str]
    config: BaseModel | Mapping[str, Any]

    @property
    def digest(self) -> str:
        return digest_of(self.kind, format_version=self.format_version, inputs=self._digests(), config=self.config)

    def out(self, workspace: Workspace) -> Path:
        """Return the folder it has or will have."""
        return workspace.artifact_path(self.kind, self.name, self.digest)

    def existing(self, workspace: Workspace) -> Artifact | None:
        """Return it if it is complete.

        Raises:
            ArtifactError: it is there but damaged.
        """
        path = self.out(workspace)
        if not (path / MANIFEST).is_file():
            return None
        artifact = Artifact.open(path, kind=self.kind)
        if artifact.digest != self.digest:
            raise damaged(path, f"its manifest has the digest {artifact.digest[:8]}, its place is that of {self.digest[:8]}")
        return artifact

    @property
    def times_again(self) -> int:
        """How often it was made again."""
        return int(str(self.inputs.get(AGAIN, 0)))

    def newest(self, workspace: Workspace, *, whatever: Collection[str] = ()) -> Self:
        """Return it as it was last made again, itself where it was not.

        Args:
            workspace: where it is looked for.
            whatever: inputs that may differ where there is none with these.
        """
        own = self._digests()
        settings = self.config.model_dump(mode="json") if isinstance(self.config, BaseModel) else self.config
        known = (self.kind, self.name, self.format_version, settings)
        found = [
            made.manifest.inputs
            for made in workspace.all_artifacts(self.kind)
            if (made.kind, made.manifest.name, made.manifest.format_version, made.manifest.config) == known
            and _without(made.manifest.inputs, {*whatever, AGAIN}) == _without(own, {*whatever, AGAIN})
        ]
        best = max(found, default=own, key=lambda inputs: (int(inputs.get(AGAIN, 0)), _without(inputs, {AGAIN}) == _without(own, {AGAIN})))
        return replace(self, inputs=best)

    def anew(self, workspace: Workspace, *, whatever: Collection[str] = ()) -> Self:
        """Return what it will be made again as: a result of its own, beside those that there are."""
        times = self.newest(workspace, whatever=whatever).times_again
        inputs = _without(self._digests(), {AGAIN})
        result = replace(self, inputs={**inputs, AGAIN: str(times)} if times else inputs)
        while (result.out(workspace) / MANIFEST).is_file():
            times += 1
            result = replace(self, inputs={**inputs, AGAIN: str(times)})
        return result

    def _digests(self) -> dict[str, str]:
        return {role: item if isinstance(item, str) else item.digest for role, item in self.inputs.items()}


def _without(inputs: Mapping[str, str], roles: Collection[str]) -> dict[str, str]:
    return {role: digest for role, digest in inputs.items() if role not in roles}


@dataclass(frozen=True)
class Stage(Result):
    """One step of the pipeline: a result, and the function that makes it. An unchanged stage can be skipped."""

    make: Callable[[Path], Artifact]

    def run(self, workspace: Workspace) -> Artifact:
        """Return the existing result, or make it."""
        existing = self.existing(workspace)
        if existing is not None:
            return existing
        made = self.make(self.out(workspace))
        # A stage that records other inputs, settings or version than it was announced with would be made again for ever.
        assert made.digest == self.digest, f"the {self.kind} stage wrote digest {made.digest[:8]}, announced {self.digest[:8]}"
        return made


def remove_unfinished(workspace: Workspace) -> list[Path]:
    """Delete folders that a dead process left without a manifest; return what was deleted."""
    removed: list[Path] = []
    for folder in workspace.artifacts.glob("*/.*.tmp"):
        if is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
    return removed
