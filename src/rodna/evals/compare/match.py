"""What may be compared with what, and why the rest may not."""

from collections.abc import Sequence

import numpy as np

from rodna.evals.classify.config import MAJORITY, NGRAM
from rodna.evals.compare.read import Contestant, Key, Run

HELD_OUT = "held_out_text"
OF_THE_TEXT = ("bits per UTF-8 byte", "bits per character", "perplexity per word")
"""Units that are counted in the text itself: of the same texts, every model has the same number of them."""


def is_main(run: Run, key: Key) -> bool:
    """Return whether a result is compared without being asked for: the wholes and groups of tasks, and what held-out text costs."""
    task, metric = key
    if run.results[key].detail.get("level") == "part" or task.startswith(("baseline:", "member:")) or "_minus_" in metric:
        return False
    if is_per_token(run, key) or _is_no_models(run, task):
        return False
    return task != HELD_OUT or metric == "bits_per_byte"


def _is_no_models(run: Run, task: str) -> bool:
    """Return whether a classification's number is that of a baseline, which is the same beside every model."""
    whole, _, method = task.rpartition("/")
    return run.tasks.get(whole, {}).get("kind") == "classify" and method in (MAJORITY, NGRAM)


def why_not(reference: Run, other: Run, key: Key) -> str:
    """Return why two evaluations' numbers of one name cannot be compared, empty where they can."""
    if key not in other.results:
        refused = other.tasks.get(key[0].partition("/")[0], {}).get("refused", "")
        return f"was not asked: {refused}" if refused else "was not measured"
    ours, theirs = reference.results[key], other.results[key]
    if ours.task_version != theirs.task_version:
        return f"measured in another way: version {theirs.task_version} of the task, where the baseline has {ours.task_version}"
    if (ours.unit, ours.direction) != (theirs.unit, theirs.direction):
        return f"another unit: {theirs.unit}, where the baseline has {ours.unit}"
    if ours.detail.get("scale") != theirs.detail.get("scale"):
        return "another scale"
    digests = [run.tasks.get(key[0].partition("/")[0], {}).get("digest", "") for run in (reference, other)]
    if digests[0] != digests[1]:
        return f"other items: the task's file is another one ({_short(digests[1])}, where the baseline has {_short(digests[0])})"
    if is_per_token(reference, key) and (not reference.tokenizer or reference.tokenizer != other.tokenizer):
        unknown = not (reference.tokenizer and other.tokenizer)
        return f"counted in tokens, and the tokenizers {'are not known' if unknown else 'differ'}: longer tokens cost more each"
    if ours.prompt_digest != theirs.prompt_digest:
        return "another prompt: what the models read differs in its template, its solved examples or its settings"
    return ""


def is_per_token(run: Run, key: Key) -> bool:
    """Return whether a number tells about a model only beside others of the same tokenizer."""
    result = run.results[key]
    return "perplexity per token" in result.unit or result.detail.get("compares") == "only models of one tokenizer"


def common_ids(runs: Sequence[Run], key: Key) -> list[str]:
    """Return the ids of the items that all have, sorted, so that no order of folders changes what is drawn."""
    sets = [set(_ids(run, key)) for run in runs]
    return sorted(set.intersection(*sets))


def _ids(run: Run, key: Key) -> Sequence[str]:
    if key[1] == "macro_f1" and key[0] in run.answers:
        return list(run.answers[key[0]].gold)
    assert run.items is not None
    return run.items[key].ids


def has_items(run: Run, key: Key) -> bool:
    """Return whether the items behind a result are known."""
    return (key[1] == "macro_f1" and key[0] in run.answers) or (run.items is not None and key in run.items)


def other_texts(reference: Run, other: Run, key: Key, ids: Sequence[str]) -> str:
    """Return why items of the same ids are not the same items, empty where they are."""
    if key[1] == "macro_f1" and key[0] in reference.answers:
        changed = [identity for identity in ids if reference.answers[key[0]].gold[identity] != other.answers[key[0]].gold[identity]]
        return f"other items: {len(changed):,} of the same name have another label" if changed else ""
    if not reference.results[key].unit.startswith(OF_THE_TEXT) or key[0].startswith("generat"):
        return ""
    sizes = [dict(zip(run.items[key].ids, run.items[key].denominator_N.tolist(), strict=True)) for run in (reference, other) if run.items]
    changed = [identity for identity in ids if not np.isclose(sizes[0][identity], sizes[1][identity], rtol=1e-9)]
    return f"other items: {len(changed):,} of the same name have another length" if changed else ""


def check_notes(contestants: Sequence[Contestant], key: Key) -> list[str]:
    """Return what has to be known of tasks that were looked up in one model's training text and not in another's."""
    task = key[0].partition("/")[0]
    checked = {
        one.name: all(run.tasks[task].get("contamination", {}).get("is_checked", False) for run in one.runs if task in run.tasks)
        for one in contestants
        if any(task in run.tasks for run in one.runs)
    }
    if checked and not all(checked.values()):
        names = [name for name, is_checked in checked.items() if not is_checked]
        whose = "any model" if len(names) == len(contestants) else ", ".join(names)
        return [f"not looked up in the training text of {whose}: whether the items were seen is not known"]
    return []


def _short(digest: str) -> str:
    return digest[:8] or "unknown"
