"""Documents on a terminal, and a speaker's judgement of the dropped ones, written into the project file as rules."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rodna.cli.output import printable, show
from rodna.core.errors import ConfigError
from rodna.core.log import say, warn

if TYPE_CHECKING:
    from rodna.cli.stages import Stages
    from rodna.core.artifact import Artifact
    from rodna.corpus.config import KeepRule
    from rodna.corpus.documents import Document, Dropped

MOST = 0.8
"""Where a speaker keeps this share of what was shown, the reason itself is wrong for this text."""
ENOUGH = 5


def corpus_to_judge(stages: "Stages") -> "Artifact":
    """Return the corpus; where only rules have been added since it was built, the newest without them.

    Raises:
        ArtifactError: there is none.
    """
    stage = stages.stage("corpus")
    found = stage.existing(stages.workspace)
    if found is None:
        wanted = stage.config if isinstance(stage.config, Mapping) else stage.config.model_dump(mode="json")
        inputs = {role: item if isinstance(item, str) else item.digest for role, item in stage.inputs.items()}
        alike = [
            item
            for item in stages.workspace.all_artifacts()
            if item.kind == stage.kind and item.manifest.inputs == inputs and {**item.manifest.config, "keep": []} == {**wanted, "keep": []}
        ]
        found = max(alike, key=lambda item: item.manifest.created, default=None)
    return found or stages.artifact("corpus")


def show_items(stages: "Stages", items: Sequence["Document | Dropped"], *, characters: int) -> None:
    """Print documents, drops or cut passages on stdout; of drops the whole text, where it is still there."""
    texts = whole_texts(stages, items)
    for item in items:
        show(heading(item) + "\n" + text_of(item, texts)[:characters] + "\n\n")


def heading(item: "Document | Dropped") -> str:
    """Return the line over a document: its id and, of a drop, what tripped it."""
    from rodna.corpus.documents import Dropped

    return f"── {item.id}" + (f"\n   {item.step}: {item.reason}; {item.detail}" if isinstance(item, Dropped) else "")


def whole_texts(stages: "Stages", items: Sequence[Any]) -> dict[str, str]:
    """Return id -> text of dropped documents that came as far as the choice, where the cleaned documents are still there."""
    from rodna.corpus.documents import Dropped
    from rodna.corpus.overrule import can_return, texts_of

    wanted = [item.id for item in items if isinstance(item, Dropped) and can_return(item.step, item.reason)]
    cleaned = stages.stage("cleaned").existing(stages.workspace) if wanted else None
    return dict(texts_of(cleaned, wanted)) if cleaned else {}


def text_of(item: "Document | Dropped", texts: dict[str, str]) -> str:
    """Return what there is of a document's text."""
    from rodna.corpus.documents import Dropped
    from rodna.corpus.overrule import can_return

    if not isinstance(item, Dropped):
        return item.text
    # Of a passage that was cut, the document's text would be the wrong one.
    return texts.get(item.id, item.excerpt) if can_return(item.step, item.reason) and item.reason not in _CUT else item.excerpt


_CUT = ("repeated_line", "repeated_passage")


def keep(stages: "Stages", corpus: "Artifact", *, step: str, reason: str, source: str, document: str) -> None:
    """Write the rule that keeps all that is meant, and say what it brings back."""
    from rodna.corpus.config import KeepRule

    if step:
        raise ConfigError("a rule names a reason, not a step", where="--step", fix="give --reason; see `rodna corpus inspect`")
    write_rules(stages, corpus, [KeepRule(reason=reason, source=source, document=document)])


def write_rules(stages: "Stages", corpus: "Artifact", rules: "Sequence[KeepRule]") -> None:
    """Add rules to project.yaml, after a check of each, and say what they do."""
    from rodna.cli.projectfile import add_keep_rules
    from rodna.core.text import human_bytes
    from rodna.corpus.overrule import check_rule, describe, how_instead

    effects = [check_rule(corpus, rule, stages.project.corpus.keep) for rule in rules]
    add_keep_rules(stages.workspace.project_file, [rule.model_dump(exclude_defaults=True) for rule in rules])
    for rule, effect in zip(rules, effects, strict=True):
        number = effect.returning.total()
        documents = "1 document" if number == 1 else f"{number:,} documents"
        say(f"{describe(rule)}: brings back {documents} ({human_bytes(effect.size_bytes)}), unless another step drops them")
        for (step, reason), lost in effect.lost.items():
            warn(f"{lost:,} more stay dropped ({step}: {reason}): {how_instead(step)}")
        if any(step == "decontaminate" for step, _ in effect.returning):
            warn("these share text with what is held out: results on it will look better than they are")
    say(f"written into {stages.workspace.project_file}; `rodna corpus build` carries it out, and redoes only the choice")


def judge(stages: "Stages", corpus: "Artifact", items: "Sequence[Dropped]", *, reason: str, source: str, characters: int) -> None:
    """Ask about each dropped document, and write rules for those to keep; where most are, offer one rule for the reason.

    Raises:
        ConfigError: no reason is given, or its drops cannot be brought back.
    """
    from rodna.corpus.config import KeepRule
    from rodna.corpus.overrule import check_rule, literal

    if not reason:
        raise ConfigError("one reason is judged at a time", where="--judge", fix="add --reason; `rodna corpus inspect` lists them")
    whole = KeepRule(reason=reason, source=source)
    check_rule(corpus, whole, stages.project.corpus.keep)
    texts = whole_texts(stages, items)
    kept: list[Dropped] = []
    judged = 0
    for number, item in enumerate(items, start=1):
        say(printable(f"\n[{number}/{len(items)}] {heading(item)}\n{text_of(item, texts)[:characters]}"))
        answer = ask("keep it? [k]eep, [d]rop, [q]uit", "kdq")
        if answer == "q":
            break
        judged += 1
        kept += [item] if answer == "k" else []
    say(f"\n{judged} judged, {len(kept)} to keep")
    if (
        judged >= ENOUGH
        and len(kept) >= MOST * judged
        and ask(f"most are good: keep all that was dropped for {reason}? [y]es, [n]o", "yn") == "y"
    ):
        write_rules(stages, corpus, [whole])
    elif kept:
        existing = stages.project.corpus.keep
        rules = [KeepRule(reason=reason, document=literal(item.id)) for item in kept]
        write_rules(stages, corpus, [rule for rule in rules if rule not in existing])


def ask(question: str, answers: str) -> str:
    """Ask on stderr until one of the answers' letters is typed on stdin; the end of the input is the last of them."""
    while True:
        print(f"{question}: ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            return answers[-1]
        if line.strip()[:1].lower() in tuple(answers):
            return line.strip()[0].lower()
