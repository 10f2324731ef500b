"""Overruling drops: what a rule of `corpus.keep` would bring back, and why some drops cannot be.

A rule is carried out where documents are chosen (`passes.select`), so that it redoes only the choice. What earlier passes dropped has
no text there any more.
"""

import fnmatch
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from rodna.core.artifact import Artifact
from rodna.core.errors import CorpusError
from rodna.corpus.config import KeepRule
from rodna.corpus.documents import Dropped, read_dropped
from rodna.corpus.passes.select import FATE, ids_of
from rodna.corpus.passes.shards import read_shard
from rodna.corpus.signals import Signals

INSTEAD = {
    "extract": "the file or part of it could not be read as text: mend it, or set the source's `format`, `document` or `text_field`, or "
    "raise a limit in `corpus.extract`",
    "normalize": "nothing but white space was in it",
    "clean": "nothing but white space was left of it by the steps in `corpus.steps` and `corpus.privacy`: change these",
    "deduplicate": "every line of it stands in other documents, which are kept: set `corpus.deduplicate.lines` or `.passages` to 0",
    "decontaminate": "all of it stands in held-out or benchmark texts: take the benchmark out of `corpus.decontaminate.benchmarks`",
}
"""Step -> what to do about drops of its that no rule reaches."""


@dataclass
class Effect:
    """What a rule does, counted over the drops of a corpus as it is.

    `returning` is (step, reason) -> documents that the rule lets pass there (a later step may still drop them); `lost` the same of those
    whose text is gone; `size_bytes` is the text of the first.
    """

    returning: Counter[tuple[str, str]] = field(default_factory=Counter)
    lost: Counter[tuple[str, str]] = field(default_factory=Counter)
    size_bytes: int = 0


def can_return(step: str, reason: str) -> bool:
    """Return whether a rule can keep what a step drops for a reason."""
    return (step, reason) in FATE


def how_instead(step: str) -> str:
    """Return what to do about drops of a step that no rule reaches."""
    return INSTEAD.get(
        step, f"the plugin {step!r} dropped it before anything was chosen: change the plugin, or take it out of `corpus.steps`"
    )


def matches(rule: KeepRule, item: Dropped) -> bool:
    """Return whether a rule is about a drop."""
    return (
        rule.reason in ("", item.reason)
        and rule.source in ("", item.source)
        and (not rule.document or fnmatch.fnmatchcase(item.id, rule.document))
    )


def effect_of(corpus: Artifact, rule: KeepRule) -> Effect:
    """Count what a rule would bring back."""
    effect = Effect()
    for item in read_dropped(corpus.path):
        if matches(rule, item):
            if can_return(item.step, item.reason):
                effect.returning[item.step, item.reason] += 1
                effect.size_bytes += item.size_bytes
            else:
                effect.lost[item.step, item.reason] += 1
    return effect


def check_rule(corpus: Artifact, rule: KeepRule, existing: Sequence[KeepRule]) -> Effect:
    """Check that a rule would bring something back, and return what.

    Raises:
        CorpusError: it says nothing, exists already, is about no dropped document, or only about documents whose text is gone.
    """
    where = "project.yaml, corpus.keep"
    if rule == KeepRule():
        raise CorpusError("a rule that names nothing keeps everything", where=where, fix="give --reason, --source or --document")
    if rule in existing:
        raise CorpusError(f"the rule is there already: {describe(rule)}", where=where, fix="run `rodna corpus build` to carry it out")
    effect = effect_of(corpus, rule)
    if effect.returning:
        return effect
    if not effect.lost:
        raise CorpusError(
            f"no dropped document is meant: {describe(rule)}", where=where, fix="look at what was dropped: `rodna corpus sample --dropped`"
        )
    (step, reason), number = effect.lost.most_common(1)[0]
    raise CorpusError(
        f"{number:,} documents are meant, but no rule can bring them back: {step} dropped them ({reason}) before there was a choice",
        where=where,
        fix=how_instead(step),
    )


def describe(rule: KeepRule) -> str:
    """Return a rule in words."""
    parts = [f"{name} {value}" for name, value in rule.model_dump().items() if value]
    return ", ".join(parts) or "everything"


def literal(identity: str) -> str:
    """Return a pattern that matches exactly this id."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in identity)


def texts_of(cleaned: Artifact, ids: Collection[str]) -> Mapping[str, str]:
    """Return id -> whole text, of those documents that came as far as the choice; only shards that hold one are read."""
    signals, wanted = Signals.open(cleaned.path), set(ids)
    texts: dict[str, str] = {}
    for shard in signals.shards:
        if wanted.isdisjoint(ids_of(signals, shard)):
            continue
        texts.update((document.id, document.text) for document, _ in read_shard(cleaned.path, shard.name) if document.id in wanted)
    return texts
