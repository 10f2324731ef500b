"""Tasks of lm-evaluation-harness over local files: its own task definitions with another data set, the user's, and two of ours.

`NAME=PATH` takes the harness' own definition of NAME and replaces nothing but where the data lies. Items that cannot be read, or that
lack what the definition names, are left out and counted.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rodna.core.errors import EvaluationError
from rodna.evals.harness.definitions import OURS, SHAPES, SPLITS, definition_of, packaged, unknown_task
from rodna.evals.tasks.files import item_files, part_of, records
from rodna.evals.tasks.items import Row, Skipped
from rodna.evals.tasks.multiple_choice import read_question
from rodna.evals.tasks.prompts import UnusableItemError

NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_NEXT = re.compile(r",(?=[A-Za-z0-9][\w.-]*(?:=|$|,))")


@dataclass(frozen=True)
class Source:
    """A task that was asked for: its name, and the file or folder of its items where one was given."""

    name: str
    path: str = ""


@dataclass
class Prepared:
    """Task files, written or found.

    Attributes:
        names: of the tasks to load, in the order they were asked for.
        folders: with task files.
        skipped: root task -> items that were left out.
        files: root task -> files of items that were read.
    """

    names: list[str]
    folders: list[Path]
    skipped: dict[str, list[Skipped]] = field(default_factory=dict)
    files: dict[str, list[Path]] = field(default_factory=dict)


def parse_sources(given: Sequence[str]) -> list[Source]:
    """Return tasks from `NAME` and `NAME=PATH`, several of them parted by commas.

    Raises:
        EvaluationError: one has no name, or two have the same.
    """
    parts = [part.strip() for text in given for part in _NEXT.split(text)]
    sources: list[Source] = []
    for part in parts:
        name, _, path = part.partition("=")
        if not NAME.fullmatch(name):
            raise EvaluationError(
                f"not the name of a task: {name!r}", where="--harness", fix="write NAME, or NAME=PATH with the task's items"
            )
        if any(name == other.name for other in sources):
            raise EvaluationError(f"the task {name} is asked for twice", where="--harness", fix="name each task once")
        sources.append(Source(name, path))
    return sources


def prepare(sources: Sequence[Source], folder: str, scratch: Path) -> Prepared:
    """Write task files for what has items of its own, and find those of the rest.

    Args:
        sources: what is asked for.
        folder: of the user's own task files; empty for none.
        scratch: where task files and readable items may be written.

    Raises:
        EvaluationError: a task or its items cannot be found or read.
    """
    prepared = Prepared([source.name for source in sources], [scratch])
    own = Path(folder).expanduser() if folder else None
    if own is not None and not own.is_dir():
        raise EvaluationError(
            "no such folder of task files", where=f"--harness-path {folder}", fix="give the folder that holds the YAML files"
        )
    known = _names_in(own) if own else set[str]()
    for source in sources:
        if source.path:
            TaskWriter(source, scratch, prepared).write()
        elif source.name not in known:
            found = packaged(source.name)
            if found is None:
                raise unknown_task(source.name, known)
            prepared.folders.append(found.parent)
    if own is not None:
        prepared.folders.append(own)
    return prepared


def _names_in(folder: Path) -> set[str]:
    from lm_eval.tasks import TaskManager

    return set(TaskManager(include_path=str(folder), include_defaults=False).all_tasks)


class TaskWriter:
    """Writes a task file, or one for each member of a group, beside readable copies of the items."""

    def __init__(self, source: Source, scratch: Path, prepared: Prepared) -> None:
        self.source, self.scratch, self.prepared = source, scratch / source.name, prepared
        self.where = f"--harness {source.name}={source.path}"
        self.path = Path(source.path).expanduser()
        if not self.path.exists():
            raise EvaluationError(
                "no such file or folder of items", where=self.where, fix="give the file of the task's items, or their folder"
            )
        self.skipped: list[Skipped] = []
        self.files: list[Path] = []

    def write(self) -> None:
        name = self.source.name
        self.scratch.mkdir(parents=True)
        if name in OURS:
            self._write_task(name, {"task": name, **OURS[name]}, OURS[name])
        else:
            file = definition_of(name)
            if file is None:
                raise unknown_task(name, set())
            config = _load(file)
            if "group" in config:
                self._write_group(file, config)
            else:
                self._write_task(name, {"include": str(file), "task": name}, config)
        self.prepared.skipped[name] = self.skipped
        self.prepared.files[name] = self.files

    def _write_group(self, file: Path, config: Mapping[str, Any]) -> None:
        """Write each member over the file in the folder that is named like its part of the data set."""
        if not self.path.is_dir():
            raise EvaluationError(
                f"{self.source.name} is a group of {len(config['task'])} tasks, but its items are one file", where=self.where,
                fix="give a folder with a file for each, named like its part of the data set",
            )  # fmt: skip
        members = {str(other.get("task")): (path, other) for path, other in _definitions(file.parent)}
        wanted = [name if isinstance(name, str) else str(name.get("task", name.get("group"))) for name in config["task"]]
        strange = [name for name in wanted if name not in members]
        if strange:
            raise EvaluationError(
                f"{self.source.name} is a group of groups ({', '.join(strange[:3])}), whose items cannot be given as one folder",
                where=self.where, fix=f"ask for its members, such as {strange[0]}=FOLDER, or write a task file of your own",
            )  # fmt: skip
        for name in wanted:
            path, member = members[name]
            self._write_task(name, {"include": str(path), "task": name}, member, part=str(member.get("dataset_name") or name))
        _dump(self.scratch / f"{self.source.name}.group.yaml", {"include": str(file)})

    def _write_task(self, name: str, start: Mapping[str, Any], config: Mapping[str, Any], part: str = "") -> None:
        """Write one task file: its definition, of which only the data set and its splits change.

        Args:
            name: of the task.
            start: what the file begins with.
            config: the whole definition.
            part: the name of its file in the folder; empty: the folder's files are named like splits, or the path is the file itself.
        """
        measured = next((str(config[key]) for key in SPLITS if config.get(key)), "test")
        splits = {measured: self._part(part)} if part else self._splits(config, measured)
        fields = _fields(config)
        data = {split: str(self._readable(name, split, files, fields)) for split, files in splits.items()}
        changed: dict[str, Any] = {
            "dataset_path": "json",
            "dataset_name": None,
            "dataset_kwargs": {"data_files": data, "cache_dir": str(self.scratch.parent / "cache")},
        }
        changed |= {key: None for key in SPLITS if config.get(key) and config[key] not in data}
        if _needs_solved(config) and _solved_split(config, measured) not in data:
            # Named as both, so that the harness never shows a question among its own solved items.
            changed |= {"fewshot_split": measured, "test_split": measured}
        _dump(self.scratch / f"{name}.yaml", {**start, **changed})

    def _part(self, part: str) -> list[Path]:
        found = [file for file in item_files(self.path, where=self.where) if part_of(file) == part]
        if not found:
            raise EvaluationError(
                f"the folder has no file {part}.jsonl", where=self.where, fix="give the whole benchmark, a file for each part"
            )
        return found

    def _splits(self, config: Mapping[str, Any], measured: str) -> dict[str, list[Path]]:
        """Return split -> files: files of a folder that are named like splits, or all of them as the split that is measured."""
        files = item_files(self.path, where=self.where)
        names = {str(config[key]) for key in (*SPLITS, "fewshot_split") if config.get(key)}
        by_name = {name: [file for file in files if part_of(file) == name] for name in sorted(names)}
        if by_name.get(measured):
            return {name: found for name, found in by_name.items() if found}
        return {measured: files}

    def _readable(self, name: str, split: str, files: Sequence[Path], fields: frozenset[str]) -> Path:
        """Write what can be read of some files as one file of JSON Lines, each item with the fields that the definition names."""
        self.files += files
        out = self.scratch / f"{name}.{split}.jsonl"
        count = 0
        with out.open("w", encoding="utf-8") as target:
            for file in files:
                for row in self._rows(file):
                    try:
                        shaped = self._shaped(row, fields)
                    except UnusableItemError as error:
                        self.skipped.append(Skipped(row.id, row.where, error.what))
                        continue
                    target.write(json.dumps(shaped, ensure_ascii=False) + "\n")
                    count += 1
        if not count:
            examples = "".join(f"\n    {item.where}: {item.reason}" for item in self.skipped[:3])
            raise EvaluationError(f"the task has no usable item{examples}", where=f"{self.where}: {name}", fix="correct the items")
        return out

    def _rows(self, file: Path) -> Iterator[Row]:
        part = part_of(file)
        for line, record in records(file):
            where = f"{file.name}:{line}"
            if isinstance(record, str):
                self.skipped.append(Skipped(f"{part}:{line}", where, record))
            else:
                yield Row(f"{part}:{line}", part, record, where)

    def _shaped(self, row: Row, fields: frozenset[str]) -> dict[str, Any]:
        shape = SHAPES.get(self.source.name)
        if shape is not None:
            own = row.fields.get("id")
            return {"id": str(own) if isinstance(own, str | int) else row.id, **shape(read_question(row))}
        for name in sorted(fields):
            value = row.fields.get(name)
            if value is None:
                raise UnusableItemError(f"missing field: {name}")
            if isinstance(value, str) and not value.strip():
                raise UnusableItemError(f"empty {name}")
        return dict(row.fields)


def _needs_solved(config: Mapping[str, Any]) -> bool:
    """Return whether solved items may be shown that the definition does not hold itself."""
    return config.get("num_fewshot") != 0 and not (config.get("fewshot_config") or {}).get("samples")


def _solved_split(config: Mapping[str, Any], measured: str) -> str:
    """Return the split that solved items are from, "" where it is none but the measured one."""
    splits = (config.get(key) for key in ("fewshot_split", "training_split", "validation_split"))
    return next((str(split) for split in splits if split and split != measured), "")


def _load(file: Path) -> dict[str, Any]:
    from lm_eval.tasks._yaml_loader import load_yaml

    return load_yaml(file, resolve_func=False)


def data_files(file: Path) -> list[Path]:
    """Return the local files that a task file reads its items from; none where it cannot be read."""
    try:
        given = _load(file).get("dataset_kwargs")
    except Exception:
        # A file of another purpose may hold anything; the harness says what is wrong with one that is asked for.
        return []
    named = given.get("data_files") if isinstance(given, dict) else None
    values = list(named.values()) if isinstance(named, dict) else [named]
    paths = [Path(str(item)) for value in values for item in (value if isinstance(value, list) else [value])]
    return [path for path in paths if path.is_file()]


def _definitions(folder: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in sorted(folder.glob("*.yaml")):
        config = _load(path)
        if "group" not in config:
            yield path, config


def _fields(config: Mapping[str, Any]) -> frozenset[str]:
    """Return the fields that a definition's templates name: an item without one would be asked with a hole in it."""
    import jinja2
    import jinja2.meta

    environment = jinja2.Environment()
    found: set[str] = set()
    for key in ("doc_to_text", "doc_to_target", "doc_to_choice"):
        template = config.get(key)
        if isinstance(template, str) and "{" in template:
            found |= jinja2.meta.find_undeclared_variables(environment.parse(template))
    return frozenset(found)


def _dump(file: Path, values: Mapping[str, Any]) -> None:
    # JSON is YAML; the harness' loader reads both.
    file.write_text(json.dumps(dict(values), ensure_ascii=False, indent=1), encoding="utf-8")
