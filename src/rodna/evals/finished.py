"""An evaluation that is there already: found by what it depends on, never replaced by another."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from rodna.core.artifact import MANIFEST, Artifact, digest_of
from rodna.core.errors import ArtifactError
from rodna.evals.config import FORMAT_VERSION


def digest_of_evaluation(inputs: Mapping[str, Artifact | str], config: BaseModel) -> str:
    """Return the digest of what an evaluation depends on."""
    digests = {role: item if isinstance(item, str) else item.digest for role, item in inputs.items()}
    return digest_of("evaluation", format_version=FORMAT_VERSION, inputs=digests, config=config)


def existing_evaluation(folder: Path, digest: str) -> Artifact | None:
    """Return the very same evaluation, None where its folder is free.

    Raises:
        ArtifactError: another one is in its place.
    """
    if not (folder / MANIFEST).is_file():
        return None
    found = Artifact.open(folder, kind="evaluation")
    if found.digest != digest:
        raise ArtifactError(
            "another evaluation is in the way: of another model, other items or settings",
            where=str(folder),
            fix="choose another --out, or delete that folder",
        )
    return found
