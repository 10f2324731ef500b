"""Licences: nothing is published whose sources have none."""

from collections.abc import Mapping

from rodna.core.artifact import Artifact
from rodna.core.errors import RodnaError
from rodna.core.hub import hub_name
from rodna.corpus.config import Source


class PublishError(RodnaError):
    """Something cannot be given to others as it is."""


def licences_of(artifact: Artifact, sources: Mapping[str, Source] = {}) -> dict[str, str]:
    """Return source -> licence of everything an artifact was made from.

    Args:
        artifact: any; licences are inherited from what it was made from.
        sources: of the project as it stands now: a licence written down since the artifact was made counts.
    """
    now = {name: source.licence.strip() for name, source in sources.items()}
    return {name: now.get(name, "") or licence.strip() for name, licence in artifact.manifest.licences.items()}


def check_publishable(artifact: Artifact, sources: Mapping[str, Source] = {}) -> None:
    """Check that every source of an artifact has a licence.

    Raises:
        PublishError: some have none; the message names them.
    """
    licences = licences_of(artifact, sources)
    missing = [name for name, licence in licences.items() if not licence]
    if missing or not licences:
        raise PublishError(
            f"no licence is given for {', '.join(missing) or 'any source'}: what is made from it cannot be published",
            where="project.yaml, sources",
            fix="find out who owns the text and what they allow, and write it down as `licence`",
        )


def link_of(licence: str) -> str:
    """Return the address of a licence where its name tells it, else the name."""
    name = hub_name(licence)
    if name == "cc0-1.0":
        return "https://creativecommons.org/publicdomain/zero/1.0/"
    if name.startswith("cc-by"):
        kind, _, version = name.removeprefix("cc-").rpartition("-")
        return f"https://creativecommons.org/licenses/{kind}/{version}/"
    return licence
