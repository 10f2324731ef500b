"""Writing a new `project.yaml`, with a reason beside every value that was not typed."""

import io
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rodna.core.errors import ConfigError
from rodna.core.files import write_text
from rodna.core.workspace import PROJECT_FILE, Workspace


@dataclass(frozen=True)
class NewSource:
    """A source to write down: its settings, and for some of them the reason."""

    settings: Mapping[str, Any]
    reasons: Mapping[str, str]


def create_workspace(
    root: Path,
    *,
    language: str,
    name: str,
    sources: Mapping[str, NewSource],
    facts: list[str],
    sections: Mapping[str, Mapping[str, Any]] = {},
) -> Workspace:
    """Write `project.yaml` into `root`, which is made if missing.

    Args:
        root: the workspace's folder.
        language: BCP-47 tag.
        name: of the project.
        sources: by name.
        facts: sentences about the text, written as comments at the top.
        sections: section -> key -> value, for settings that differ from the defaults.

    Raises:
        ConfigError: there is a project file already, or `name` cannot be one.
    """
    file = root / PROJECT_FILE
    if file.exists():
        raise ConfigError(
            "there is a project here already; it is not overwritten",
            where=str(file),
            fix="edit it, or choose another folder with --workspace",
        )
    text = render(language=language, name=name, sources=sources, facts=facts, sections=sections)
    root.mkdir(parents=True, exist_ok=True)
    write_text(file, text)
    return Workspace(root.resolve())


def render(
    *, language: str, name: str, sources: Mapping[str, NewSource], facts: list[str], sections: Mapping[str, Mapping[str, Any]]
) -> str:
    """Return the text of a project file.

    Raises:
        ConfigError: `name` cannot be one.
    """
    from rodna.cli.project import SLUG

    if not re.fullmatch(SLUG, name):
        raise ConfigError(f"{name!r} cannot name a project: folders are called by it", where="--name",
                          fix="use letters, digits, and `-`, `_` or `.` between them, up to 64, e.g. my-language")  # fmt: skip
    lines = [
        "# A project of rodna. Every setting that is not here has a default; `rodna plan` shows what it proposes and why.",
        *(f"# {fact}" for fact in facts),
        "",
        f"language: {scalar(language)}",
        f"name: {scalar(name)}",
        "",
        "sources:",
    ]
    for key, source in sources.items():
        lines.append(f"  {scalar(key)}:")
        for setting, value in source.settings.items():
            reason = source.reasons.get(setting, "")
            lines.append(f"    {setting}: {scalar(value)}" + (f"  # {reason}" if reason else ""))
    for section, values in sections.items():
        lines += ["", f"{section}:", *(f"  {key}: {scalar(value)}" for key, value in values.items())]
    return "\n".join(lines) + "\n"


@contextmanager
def edited(file: Path) -> Iterator[Any]:
    """Offer the tree of a YAML file to be changed; it is written back with its comments, order and everything else."""
    from ruamel.yaml import YAML
    from ruamel.yaml.util import load_yaml_guess_indent

    text = file.read_text(encoding="utf-8-sig")
    _, indent, offset = load_yaml_guess_indent(text)
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    yaml.indent(mapping=2, sequence=indent or 4, offset=2 if offset is None else offset)
    tree = yaml.load(text)
    yield tree
    buffer = io.StringIO()
    yaml.dump(tree, buffer)
    # Through a link, so that the file it points to changes and the link stays.
    write_text(file.resolve(), buffer.getvalue())


def add_keep_rules(file: Path, rules: Sequence[Mapping[str, str]]) -> int:
    """Add rules to the list `corpus.keep` of a project file, a line each; return how many were not there yet."""
    from ruamel.yaml.comments import CommentedMap, CommentedSeq

    with edited(file) as tree:
        if tree.get("corpus") is None:
            tree["corpus"] = CommentedMap()
        if tree["corpus"].get("keep") is None:
            tree["corpus"]["keep"] = CommentedSeq()
        kept = tree["corpus"]["keep"]
        before = len(kept)
        for rule in rules:
            if rule not in kept:
                line = CommentedMap(rule)
                line.fa.set_flow_style()
                kept.append(line)
        return len(kept) - before


def scalar(value: Any) -> str:
    """Return a value as YAML: words as they are, everything else quoted like JSON."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z][\w./-]*", value, re.ASCII) and value.lower() not in ("true", "false", "null"):
        return value
    return json.dumps(value, ensure_ascii=False)
