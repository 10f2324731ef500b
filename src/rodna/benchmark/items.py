"""Items of a benchmark: which of their texts are translated, which are options, and which answer is right."""

import copy
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.errors import BenchmarkError
from rodna.benchmark.numbers import final_number

ANSWERS = ("answer", "answerKey", "gold", "label")
"""Where the right answer is looked for, unless the user says."""
LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LABEL_FIELDS = ("label", "key")
"""Beside an option's text, what it is called."""
_SERIES = re.compile(r"(.*?)([^\W\d_]|\d+)")
STARTS = ("a", "A", "0", "1")
MISSING = object()


@dataclass(frozen=True)
class Segment:
    """One text of an item: where it stands (`question.choices.0.text`), and what it says."""

    path: str
    text: str


@dataclass(frozen=True)
class Key:
    """What an item says about its right answer.

    Attributes:
        kind: `option`: one of the options is right; `number`: a number is; `none`: nothing that can be checked.
        gold: index of the right option, -1 where there is none.
        number: as it is written.
        path: where the text of the right option stands once more, as the answer; empty where the answer is a label or an index.
    """

    kind: str
    gold: int = -1
    number: str = ""
    path: str = ""


@dataclass(frozen=True)
class Item:
    """One item of the source.

    Attributes:
        id: its own `id`, or `line-7`; unique in the benchmark.
        line: of the file, from 1.
        source: as it was read.
        segments: texts to translate, in the order of the fields.
        options: paths of the segments that are options, in their order.
        key: the right answer.
        problem: reason why it cannot be used, in snake_case, then what is wrong; empty where it can.
    """

    id: str
    line: int
    source: Any
    segments: tuple[Segment, ...] = ()
    options: tuple[str, ...] = ()
    key: Key = Key("none")
    problem: tuple[str, str] = ("", "")


def read_items(path: Path, config: BenchmarkConfig) -> list[Item]:
    """Read every item; one that cannot be used has a `problem`, and none is left out.

    Raises:
        BenchmarkError: the file cannot be read, holds nothing, or no item has the fields.
    """
    from rodna.evals.tasks.files import records

    if not path.is_file():
        raise BenchmarkError("no such file", where=str(path), fix="give a file of JSON Lines")
    items: list[Item] = []
    taken: dict[str, int] = {}
    for line, record in records(path):
        identity = _identity(record, line)
        taken[identity] = taken.get(identity, 0) + 1
        if taken[identity] > 1:
            identity = f"{identity}#{taken[identity]}"
        items.append(_read_item(identity, line, record, config))
    if not items:
        raise BenchmarkError("the file holds no item", where=str(path), fix="give a file of JSON Lines, one item a line")
    if all(item.problem[0] in ("malformed", "missing_field") for item in items):
        found = sorted({name for item in items if isinstance(item.source, dict) for name in item.source})
        raise BenchmarkError(
            f"no item has the fields {', '.join(config.fields)}: {items[0].problem[1]}",
            where=str(path),
            fix=f"name fields that items have with --fields: {', '.join(found) or 'none was read'}",
        )
    return items


def _identity(record: Any, line: int) -> str:
    own = record.get("id") if isinstance(record, Mapping) else None
    if isinstance(own, bool) or not isinstance(own, str | int) or not str(own).strip():
        return f"line-{line}"
    return str(own)


def _read_item(identity: str, line: int, record: Any, config: BenchmarkConfig) -> Item:
    if not isinstance(record, dict):
        return Item(identity, line, str(record), problem=("malformed", str(record)))
    if re.search(r"\\ud[89a-f]", json.dumps(record)) and _has_half_characters(record):
        return Item(identity, line, json.dumps(record), problem=("malformed", "half of a character: a surrogate without its pair"))
    try:
        by_field = {name: list(_walk(record, name)) for name in config.fields}
        segments = tuple(segment for found in by_field.values() for segment in found)
        options = _option_paths(by_field, config)
        key = _read_key(record, {segment.path: segment.text for segment in segments}, options, config)
    except _UnusableError as error:
        return Item(identity, line, record, problem=(error.reason, error.detail))
    return Item(identity, line, record, segments, options, key)


def _has_half_characters(record: Any) -> bool:
    try:
        json.dumps(record, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        return True
    return False


class _UnusableError(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason, self.detail = reason, detail


def _walk(record: Any, name: str) -> Iterator[Segment]:
    """Yield the texts of a field; lists on the way, and at its end, are walked through."""
    found = list(_follow(record, name.split("."), ()))
    if not found:
        raise _UnusableError("missing_field", f"there is no field {name!r}; there are: {', '.join(map(str, record)) or 'none'}")
    for path, value in found:
        if isinstance(value, bool | None) or not isinstance(value, str | int | float):
            raise _UnusableError("missing_field", f"{path} is {json.dumps(value, ensure_ascii=False)[:60]}, not text")
        if not str(value).strip():
            raise _UnusableError("empty_text", f"{path} is empty")
        yield Segment(path, str(value))


def _follow(value: Any, names: Sequence[str], path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    if isinstance(value, list) and not (names and names[0].isdecimal()):
        for index, part in enumerate(cast("list[Any]", value)):
            yield from _follow(part, names, (*path, str(index)))
    elif not names:
        yield ".".join(path), value
    else:
        inner = look_up(value, names[0])
        if inner is not MISSING:
            yield from _follow(inner, names[1:], (*path, names[0]))


def look_up(value: Any, name: str) -> Any:
    """Return what an object has under a name, or a list at a place; `MISSING` where nothing is there."""
    if isinstance(value, Mapping):
        return cast("Mapping[str, Any]", value).get(name, MISSING)
    if isinstance(value, list) and name.isdecimal() and int(name) < len(cast("list[Any]", value)):
        return cast("list[Any]", value)[int(name)]
    return MISSING


def _option_paths(by_field: Mapping[str, Sequence[Segment]], config: BenchmarkConfig) -> tuple[str, ...]:
    """Return the paths of the options: of the fields the user named; else of a list, or of fields `option_a`, `option_b`, ..."""
    if config.options:
        return tuple(segment.path for name in config.options for segment in by_field[name])
    lists = [found for found in by_field.values() if len(found) > 1]
    if lists:
        return tuple(segment.path for segment in max(lists, key=len))
    longest = max(_runs(list(by_field)), key=len, default=[])
    return tuple(longest) if len(longest) > 1 else ()


def _runs(names: Sequence[str]) -> list[list[str]]:
    """Return names that follow each other as `option_a`, `option_b` or `1`, `2` do."""
    runs: list[list[str]] = []
    wanted: tuple[str, str] = ("", "")
    for name in names:
        match = _SERIES.fullmatch(name)
        if not match or (match[1] and match[1][-1].isalnum()):
            continue
        if (match[1], match[2]) == wanted:
            runs[-1].append(name)
        elif match[2] in STARTS:
            runs.append([name])
        else:
            continue
        wanted = (match[1], str(int(match[2]) + 1) if match[2].isdecimal() else chr(ord(match[2]) + 1))
    return runs


def key_of(record: Any, item: Item, config: BenchmarkConfig) -> Key:
    """Return the key of a translated item, read as that of the source is.

    Raises:
        BenchmarkError: it has none any more.
    """
    texts = {segment.path: str(field_of(record, segment.path)) for segment in item.segments}
    try:
        return _read_key(record, texts, item.options, config)
    except _UnusableError as error:
        raise BenchmarkError(str(error), where=item.id) from error


def _read_key(record: dict[str, Any], texts: Mapping[str, str], options: Sequence[str], config: BenchmarkConfig) -> Key:
    name = config.answer or next((name for name in ANSWERS if name in record), "")
    answer = field_of(record, name) if name else MISSING
    if not options:
        if answer is MISSING and config.answer:
            raise _UnusableError("missing_field", f"there is no field {config.answer!r}")
        number = final_number(str(answer)) if isinstance(answer, str | int | float) and not isinstance(answer, bool) else ""
        return Key("number", number=number) if number else Key("none")
    if len(options) < 2:
        raise _UnusableError("too_few_options", f"{len(options)} option, where at least 2 are needed")
    said = [texts[path].strip() for path in options]
    if len(set(said)) < len(said):
        raise _UnusableError("duplicated_options", f"more than one option is {next(text for text in said if said.count(text) > 1)[:60]!r}")
    if answer is MISSING or answer is None:
        raise _UnusableError("missing_field", f"there is no field {config.answer or ' or '.join(ANSWERS)!r}")
    gold, is_text = _gold(answer, option_labels(record, options), said)
    return Key("option", gold=gold, path=name if is_text else "")


def _gold(answer: Any, labels: Sequence[str], texts: Sequence[str]) -> tuple[int, bool]:
    """Return the index of the right option, and whether the answer is its text.

    A label goes before a text, and that, for a whole number, before an index from 0.
    """
    for names in (labels, texts):
        if (text := str(answer).strip()) in names:
            return list(names).index(text), names is texts
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(texts):
        return answer, False
    raise _UnusableError("answer_outside_options", f"the answer {str(answer)[:60]!r} is not among {', '.join(labels)}")


def option_labels(record: Any, options: Sequence[str]) -> list[str]:
    """Return what options are called: by a field beside their text, by the last letter of their field's name, or A, B, C."""
    beside = [_label_beside(record, path) for path in options]
    if all(beside):
        return beside
    ends = [match[2] for path in options if (match := _SERIES.fullmatch(path)) and not path.rpartition(".")[2].isdecimal()]
    if len(ends) == len(options) and len(set(ends)) == len(ends) and all(not end.isdecimal() for end in ends):
        return [end.upper() for end in ends]
    return [LABELS[index] if index < len(LABELS) else str(index + 1) for index in range(len(options))]


def _label_beside(record: Any, path: str) -> str:
    parent, _, name = path.rpartition(".")
    holder = field_of(record, parent) if parent else record
    if name.isdecimal():
        # Two lists side by side: {"text": [...], "label": [...]}.
        above = field_of(record, parent.rpartition(".")[0]) if "." in parent else record
        names = [look_up(look_up(above, field), name) for field in LABEL_FIELDS if isinstance(look_up(above, field), list)]
    else:
        names = [look_up(holder, field) for field in LABEL_FIELDS] if parent else []
    return next((str(name) for name in names if isinstance(name, str | int)), "")


def field_of(record: Any, path: str) -> Any:
    """Return what lies at a dotted path, `MISSING` where nothing does."""
    for name in path.split("."):
        record = look_up(record, name)
    return record


def translated(source: Any, texts: Mapping[str, str]) -> Any:
    """Return a copy of an item with the texts at these paths replaced."""
    result = copy.deepcopy(source)
    for path, text in texts.items():
        parent, _, name = path.rpartition(".")
        holder = field_of(result, parent) if parent else result
        if isinstance(holder, list):
            holder[int(name)] = text
        else:
            holder[name] = text
    return result
