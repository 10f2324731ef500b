"""Plugins: Python entry points; rodna's own parts are registered the same way as anyone else's.

The kinds are entry-point groups: `rodna.extractors`, `rodna.corpus_steps`, `rodna.architectures`, `rodna.translators` and
`rodna.evaluators`.
"""

from importlib.metadata import EntryPoint, entry_points
from typing import Any

from rodna.core.errors import RodnaError


class PluginError(RodnaError):
    """A plugin is unknown, clashes with another, or cannot be loaded."""


def names(group: str) -> list[str]:
    """Return the names registered in a group, sorted.

    Raises:
        PluginError: two packages register the same name.
    """
    return sorted(_entries(group))


def load(group: str, name: str) -> Any:
    """Import and return the object registered as `name`.

    Raises:
        PluginError: the name is unknown, or its module cannot be imported.
    """
    entries = _entries(group)
    if name not in entries:
        raise PluginError(
            f"unknown {group.removeprefix('rodna.').removesuffix('s')}: {name!r}",
            where=group,
            fix=f"use one of: {', '.join(sorted(entries)) or 'none are installed'}",
        )
    try:
        return entries[name].load()
    except ImportError as error:
        raise PluginError(
            f"cannot load {name!r}: {error}", where=entries[name].value, fix="install what it needs, or choose another"
        ) from error


def _entries(group: str) -> dict[str, EntryPoint]:
    found: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group):
        other = found.get(entry.name)
        if other is not None and other.value != entry.value:
            raise PluginError(
                f"two packages register {entry.name!r}: {_package(other)} and {_package(entry)}", where=group, fix="uninstall one of them"
            )
        found[entry.name] = entry
    return found


def _package(entry: EntryPoint) -> str:
    return entry.dist.name if entry.dist else entry.value
