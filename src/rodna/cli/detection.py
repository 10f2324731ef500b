"""What `rodna init` writes down about a folder of text."""

import os
from dataclasses import dataclass
from pathlib import Path

from rodna.cli.projectfile import NewSource
from rodna.core.errors import ConfigError
from rodna.core.text import human_bytes
from rodna.corpus.config import Source
from rodna.corpus.detect import Proposal, propose_sources
from rodna.corpus.language import parse_language

MAX_NAMED = 5
LICENCE_REASON = "needed before anything is published: an SPDX identifier such as CC-BY-4.0, CC0-1.0"


@dataclass(frozen=True)
class Found:
    """The language as its tag should be written, sources with reasons, and sentences about the text as a whole."""

    language: str
    sources: dict[str, NewSource]
    facts: list[str]
    warnings: list[str]


def describe_folder(language: str, folder: Path, workspace: Path) -> Found:
    """Look at a folder of text.

    Args:
        language: as typed.
        folder: of text, or one file.
        workspace: where the project file will be.

    Raises:
        ConfigError: the tag is unknown, or the workspace would lie among the texts.
        CorpusError: there is no text.
    """
    tag = parse_language(language)
    texts, root = folder.expanduser().resolve(), workspace.expanduser().resolve()
    if texts.is_dir() and root.is_relative_to(texts):
        raise ConfigError(
            "the project would lie inside the folder of texts, and be read as text itself",
            where=str(texts),
            fix=f"make it beside the texts: `rodna init {language} {folder} --workspace {os.path.relpath(texts.parent / tag.tag)}`",
        )
    findings = propose_sources(texts, language)
    proposals = findings.proposals
    facts = [
        f"{tag.name} ({tag.tag}): {human_bytes(sum(item.size_bytes for item in proposals))} in "
        f"{sum(item.num_files for item in proposals):,} files; {_scripts(proposals)}"
    ]
    sources = {item.name: _source(item, root) for item in proposals}
    warnings = [f"{item.name}: {warning}" for item in proposals for warning in item.warnings]
    return Found(tag.tag, sources, facts, warnings + _left_out(findings.left_out))


def _left_out(reasons: dict[str, str]) -> list[str]:
    """Return a sentence for each reason why files are in no source."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reasons.items():
        by_reason.setdefault(reason, []).append(name)
    sentences = []
    for reason, names in sorted(by_reason.items(), key=lambda pair: -len(pair[1])):
        more = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
        sentences.append(f"left out, in no source: {', '.join(names[:MAX_NAMED])}{more}: {reason}")
    return sentences


def _scripts(proposals: list[Proposal]) -> str:
    """Return the scripts of all sources together, each weighed by its size."""
    total = sum(item.size_bytes for item in proposals)
    shares: dict[str, float] = {}
    for item in proposals:
        for script, share in item.scripts.items():
            shares[script] = shares.get(script, 0.0) + share * item.size_bytes / max(1, total)
    named = [f"{script} {share:.0%}" for script, share in sorted(shares.items(), key=lambda pair: -pair[1])[:4] if share >= 0.005]
    return f"letters: {', '.join(named)}" if named else "no letters"


def _source(proposal: Proposal, root: Path) -> NewSource:
    source = proposal.source
    shown = ("path", "format", "document", "licence", "origin")
    chosen = {key: value for key, value in source if key not in shown and value != Source.model_fields[key].default}
    path = _from_workspace(Path(source.path), root)
    settings = {
        "path": path,
        "format": source.format,
        "document": source.document,
        **chosen,
        "licence": source.licence,
        "origin": source.origin,
    }
    reasons = {
        "path": f"{proposal.num_files:,} {'file' if proposal.num_files == 1 else 'files'}, {human_bytes(proposal.size_bytes)}",
        "document": proposal.reason,
        "licence": LICENCE_REASON,
        "origin": "where it comes from: an address or a sentence",
    }
    return NewSource(settings, reasons)


def _from_workspace(path: Path, root: Path) -> str:
    """Return a path as seen from the workspace where both lie in one folder, so that they can move together; else absolute."""
    return os.path.relpath(path, root) if path.is_relative_to(root.parent) and root.parent != Path(root.anchor) else str(path)
