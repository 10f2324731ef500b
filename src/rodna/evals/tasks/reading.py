"""Items from files: by our names whatever the file calls them, and a reason for each that cannot be used."""

import importlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np

from rodna.core.errors import EvaluationError
from rodna.evals.tasks.config import Kind, TaskConfig
from rodna.evals.tasks.files import PARALLEL, digest_of_files, item_files, locate, part_of, records, text_lines
from rodna.evals.tasks.items import Row, Skipped, Task

OPTIONS = tuple(f"option_{letter}" for letter in "abcdefghijklmnopqrstuvwxyz")
NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "minimal_pairs": {
        "good": ("good", "sentence_good", "sen"),
        "bad": ("bad", "sentence_bad", "wrong_sen"),
        "paradigm": ("paradigm", "UID"),
        "phenomenon": ("phenomenon", "linguistics_term"),
    },
    "multiple_choice": {
        "question": ("question.stem", "question", "instruction"),
        "choices": ("choices", "question.choices"),
        "answer": ("answer", "answerKey"),
        "category": ("category", "subject", "info.subject"),
    },
    "exact_match": {"question": ("question", "instruction"), "answer": ("answer",), "category": ("category",)},
    # Of a question with options the right one's text is the answer.
    "question_answer": {
        "question": ("question.stem", "question", "instruction", "prompt"),
        "choices": ("choices", "question.choices"),
        "answer": ("answer", "answerKey", "response"),
        "category": ("category", "subject", "info.subject"),
    },
    "text": {"text": ("text",), "source": ("source",), "category": ("category",)},
}
"""Kind -> our name of a field -> what benchmarks call it, the first that an item has; `TaskConfig.fields` comes before."""
LOOKED_AT = 50
"""Items from which the kind of a task is known."""
MISSING = object()


def read_task(config: TaskConfig, root: Path, *, seed: int = 0, anywhere: bool = False) -> Task:
    """Read a task's items.

    Args:
        config: where they lie, and what their fields are called.
        root: folder that relative paths begin at.
        seed: of the draw where `max_items` leaves some out.
        anywhere: whether paths may lead out of `root`.

    Raises:
        EvaluationError: nothing is there, it cannot be read, its kind cannot be known, or no item can be used.
    """
    where = f"task {config.name}"
    files = item_files(locate(config.path, root, where=where, anywhere=anywhere), where=where)
    digest = digest_of_files(files)
    if files[0].suffix == PARALLEL:
        kind, rows, skipped = _aligned(config, files, where=where)
    else:
        raw, skipped = _raw(files)
        kind = _kind(config, [row.fields for row in raw[:LOOKED_AT]], skipped, where=f"{where}: {config.path}")
        rows, unusable = _usable(raw, config, kind)
        skipped += unusable
    if not rows:
        raise EvaluationError(
            f"the task has no usable item: {len(skipped)} skipped" + _examples(skipped),
            where=f"{where}: {config.path}",
            fix="correct the items, or say what their fields are called with `fields`",
        )
    return Task(config.name, _drawn(rows, config.max_items, seed), skipped, digest, root, kind, anywhere)


def look_up(values: Any, path: str) -> Any:
    """Return what lies at a dotted path of names and list indexes, `MISSING` where nothing does; a name with dots itself comes first."""
    if isinstance(values, Mapping) and path in values:
        return values[path]
    for name in path.split("."):
        if isinstance(values, Mapping) and name in values:
            values = values[name]
        elif isinstance(values, list) and name.isdecimal() and int(name) < len(values):
            values = values[int(name)]
        else:
            return MISSING
    return values


def _raw(files: Sequence[Path]) -> tuple[list[Row], list[Skipped]]:
    rows: list[Row] = []
    skipped: list[Skipped] = []
    for file in files:
        part = part_of(file)
        for line, record in records(file):
            identity, where = f"{part}:{line}", f"{file.name}:{line}"
            if isinstance(record, str):
                skipped.append(Skipped(identity, where, record))
            else:
                rows.append(Row(identity, part, record, where))
    return rows, skipped


def _kind(config: TaskConfig, items: Sequence[Mapping[str, Any]], skipped: Sequence[Skipped], *, where: str) -> Kind:
    """Return how items are scored, known by the fields that they have.

    Raises:
        EvaluationError: no kind has fields like these.
    """
    if config.kind != "by_fields":
        return config.kind
    for item in items:
        has = _Names(item, config.fields)
        if has("minimal_pairs", "good", "bad"):
            return "minimal_pairs"
        if has("consistency", "prompts"):
            return "consistency"
        if has("multiple_choice", "question", "choices") or (has("multiple_choice", "question") and OPTIONS[0] in item):
            return "multiple_choice"
        if has("exact_match", "question", "answer"):
            # Worked answers that end in `#### 42`, as GSM8K's do.
            worked = sum("####" in str(other.get("answer", "")) for other in items)
            return "exact_match" if worked * 2 > len(items) else "question_answer"
        if has("question_answer", "question", "answer"):
            return "question_answer"
        if has("text", "text"):
            return "text"
    found = ", ".join(sorted({name for item in items for name in item})) or "none"
    raise EvaluationError(
        f"the kind of the task cannot be known by its fields: found {found}{_examples(skipped)}",
        where=where,
        fix=f"give items the fields of a kind: {_possible()}; or name the kind ({', '.join(get_args(Kind))}) and its fields",
    )


def _possible() -> str:
    needed = {
        "minimal_pairs": ("good", "bad"),
        "multiple_choice": ("question", "choices", "answer"),
        "question_answer": ("question", "answer"),
        "consistency": ("prompts",),
        "text": ("text",),
    }
    kinds = [
        f"{kind}: " + ", ".join(" or ".join(NAMES.get(kind, {}).get(name, (name,))) for name in names) for kind, names in needed.items()
    ]
    return "; ".join([*kinds, f"parallel: a folder of aligned {PARALLEL} files"])


class _Names:
    """Which of a kind's fields an item has, by the user's names or by those that benchmarks use."""

    def __init__(self, item: Mapping[str, Any], fields: Mapping[str, str]) -> None:
        self.item, self.fields = item, fields

    def __call__(self, kind: str, *names: str) -> bool:
        return all(self.value(kind, name) is not MISSING for name in names)

    def value(self, kind: str, name: str) -> Any:
        """Return the field of our name, `MISSING` where the item has none."""
        if name in self.fields:
            return look_up(self.item, self.fields[name])
        found = (look_up(self.item, theirs) for theirs in NAMES.get(kind, {}).get(name, (name,)))
        # `question` may be an object that holds the question: that is no text by itself.
        return next((value for value in found if value is not MISSING and not (name == "question" and isinstance(value, Mapping))), MISSING)


def _usable(raw: Sequence[Row], config: TaskConfig, kind: Kind) -> tuple[list[Row], list[Skipped]]:
    """Return items by our names, and those that lack what the kind needs."""
    needed = importlib.import_module(f"rodna.evals.tasks.{kind}").FIELDS
    ours = [*sorted(needed), *(name for name in [*NAMES.get(kind, {}), *config.fields] if name not in needed)]
    several = len({row.part for row in raw}) > 1
    rows: list[Row] = []
    skipped: list[Skipped] = []
    first: dict[str, str] = {}
    for row in raw:
        fields = {**row.fields, **_ours(row.fields, config, kind, ours)}
        identity = _identity(fields, row, several=several)
        reason = _lacking(fields, needed, row.fields)
        if not reason and identity in first:
            reason = f"its id {identity!r} is that of {first[identity]}"
        if reason:
            skipped.append(Skipped(identity, row.where, reason))
        else:
            first[identity] = row.where
            rows.append(Row(identity, row.part, fields, row.where))
    return rows, skipped


def _ours(item: Mapping[str, Any], config: TaskConfig, kind: str, names: Collection[str]) -> dict[str, Any]:
    has = _Names(item, config.fields)
    found = {name: value for name in names if (value := has.value(kind, name)) is not MISSING}
    if "choices" in names and "choices" not in found and OPTIONS[0] in item:
        found["choices"] = [item[name] for name in OPTIONS if name in item]
    return found


def _identity(fields: Mapping[str, Any], row: Row, *, several: bool) -> str:
    own = fields.get("id")
    if isinstance(own, bool) or not isinstance(own, str | int) or not str(own).strip():
        return row.id
    return f"{row.part}/{own}" if several else str(own)


def _lacking(fields: Mapping[str, Any], needed: Collection[str], own: Mapping[str, Any]) -> str:
    missing = sorted(name for name in needed if fields.get(name) is None)
    if missing:
        return f"no field {' or '.join(missing)}; it has {', '.join(sorted(map(str, own))) or 'none'}"
    empty = sorted(name for name in needed if isinstance(fields[name], str) and not fields[name].strip())
    return f"empty text in {', '.join(empty)}" if empty else ""


def _aligned(config: TaskConfig, files: Sequence[Path], *, where: str) -> tuple[Kind, list[Row], list[Skipped]]:
    """Return one row a line of aligned text files, each a field named like its file.

    Raises:
        EvaluationError: the files differ in length, or another kind is wanted.
    """
    if config.kind not in ("by_fields", "parallel") or len(files) < 2:
        raise EvaluationError(
            f"{len(files)} text {'files' if len(files) > 1 else 'file'}, where {config.kind} was expected", where=f"{where}: {config.path}",
            fix="give JSON Lines, CSV or TSV; two or more aligned text files make a parallel task",
        )  # fmt: skip
    lines = {_language(file): text_lines(file) for file in files}
    counts = {name: len(texts) for name, texts in lines.items()}
    if len(set(counts.values())) > 1 or len(counts) < len(files):
        raise EvaluationError(
            "aligned texts differ in their number of lines: " + ", ".join(f"{name} has {count:,}" for name, count in counts.items()),
            where=f"{where}: {config.path}",
            fix="line n of every file must mean the same: correct the files",
        )
    names = {theirs: ours for ours, theirs in config.fields.items()}
    rows: list[Row] = []
    skipped: list[Skipped] = []
    for number, texts in enumerate(zip(*lines.values(), strict=True), 1):
        fields = {names.get(name, name): text for name, text in zip(lines, texts, strict=True)}
        empty = [name for name, text in fields.items() if not text.strip()]
        identity, place = f"line:{number}", f"line {number} of every file"
        if empty:
            skipped.append(Skipped(identity, place, f"empty text in {', '.join(empty)}"))
        else:
            rows.append(Row(identity, "", fields, place))
    return "parallel", rows, skipped


def _language(file: Path) -> str:
    """Return what of an aligned file's name tells it from the others: `lit` of `newstest2019-ref.lit.txt`."""
    return file.stem.rpartition(".")[2]


def _drawn(rows: list[Row], max_items: int, seed: int) -> list[Row]:
    if not 0 < max_items < len(rows):
        return rows
    return [rows[place] for place in sorted(np.random.default_rng(seed).permutation(len(rows))[:max_items].tolist())]


def _examples(skipped: Sequence[Skipped]) -> str:
    return "".join(f"\n    {item.where}: {item.reason}" for item in skipped[:3])
