"""Items of a task: read from files, one by one, with a reason for every one that cannot be used."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rodna.evals.result import Measurement

TEXT_OF = "\x1f"
"""Parts an item's id from the name of one of its texts."""


@dataclass(frozen=True)
class Row:
    """One raw item.

    Attributes:
        id: the item's own `id`, or file and line.
        part: name of the file it is from, without suffix.
        fields: by our names; the file's own stand beside them.
        where: file and line, for `Skipped`.
    """

    id: str
    part: str
    fields: Mapping[str, Any]
    where: str = ""


@dataclass(frozen=True)
class Skipped:
    """An item that was not scored: which, where it stands and why."""

    id: str
    where: str
    reason: str


@dataclass(frozen=True)
class Outcome:
    """What a kind of task returns.

    Attributes:
        measurements: numbers with their items.
        skipped: items that were not scored.
        texts: item id -> what the training text must not hold for the item to be a fair question. Of an item with several texts,
            each by itself: its id, `TEXT_OF` and the text's name.
        files: what else is kept, as file name -> JSON value.
    """

    measurements: list[Measurement]
    skipped: list[Skipped] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    files: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """A task, read: what a kind scores.

    Attributes:
        name: of its results.
        rows: usable so far; a kind may skip more.
        skipped: unreadable lines.
        digest: sha256 of the files.
        root: folder that relative paths begin at.
        kind: how it is scored, once that is known.
        is_anywhere: whether paths may lead out of `root`: given by the user on the command line.
    """

    name: str
    rows: list[Row]
    skipped: list[Skipped]
    digest: str
    root: Path
    kind: str = ""
    is_anywhere: bool = False
