"""Typed configuration: pydantic models read from YAML 1.2 with dotted overrides.

Precedence: default < preset < file < `--set`. Unknown keys are errors that name the closest valid one, and all problems of a
file are reported at once. YAML 1.2 because under 1.1 the language code `no` reads as false and `3e-4` as a string.
"""

import difflib
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, cast, get_args

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML, AliasToken
from ruamel.yaml.error import YAMLError

from rodna.core.errors import ConfigError

MAX_CONFIG_BYTES = 1024 * 1024

S = TypeVar("S", bound=BaseModel)

Planned = Literal["planned"]
"""A setting whose value `rodna plan` proposes from the corpus and the machine."""


class Section(BaseModel):
    """Base of every configuration section: frozen, and strict about unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


def load(schema: type[S], path: Path, *, overrides: Sequence[str] = (), base: Mapping[str, Any] | None = None) -> S:
    """Read and validate a YAML file.

    A section with nothing under it (all its lines are comments, say) has its defaults.

    Args:
        schema: the section class of the whole file.
        path: a YAML 1.2 mapping.
        overrides: `dotted.key=value` assignments; values are YAML scalars or flow collections.
        base: a preset, overridden by the file.

    Raises:
        ConfigError: with every problem found, the line each stands on and the closest valid key.
    """
    tree = read_yaml(path)
    settings: dict[str, Any] = plain(tree)
    settings = {key: {} if value is None and _is_section(schema, key) else value for key, value in settings.items()}
    values = merge(base or {}, settings)
    for override in overrides:
        values = merge(values, parse_override(override))
    return validate(schema, values, tree=tree, path=path, overrides=overrides)


def _is_section(schema: type[BaseModel], key: str) -> bool:
    field = schema.model_fields.get(key)
    return field is not None and isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)


def read_yaml(path: Path) -> Mapping[str, Any]:
    """Read one YAML 1.2 mapping, keeping line numbers; aliases are refused, so a file cannot expand without bound."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigError(
            f"cannot read the configuration: {error.strerror}", where=str(path), fix="run `rodna init LANG FOLDER` to create one"
        ) from error
    if len(data) > MAX_CONFIG_BYTES:
        raise ConfigError(f"the configuration has more than {MAX_CONFIG_BYTES:,} bytes", where=str(path), fix="is this the right file?")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"the file is not UTF-8: byte {error.start:,} is none of it", where=str(path), fix="save it as UTF-8") from error
    try:
        if any(isinstance(token, AliasToken) for token in _yaml_call("scan", io.StringIO(text))):
            raise ConfigError("YAML aliases (`*name`) are not supported", where=str(path), fix="write the value out in full")
        tree = _yaml_call("load", text)
    except (YAMLError, RecursionError) as error:
        what, line = _yaml_problem(error)
        where = f"{path}, line {line}" if line else str(path)
        raise ConfigError(f"not valid YAML: {what}", where=where, fix="check indentation and quoting near that line") from error
    if tree is None:
        tree = {}
    if not isinstance(tree, Mapping):
        raise ConfigError(
            f"expected `key: value` lines, found a {type(tree).__name__}", where=str(path), fix="start from `rodna init`'s file"
        )
    return cast("Mapping[str, Any]", tree)


def _yaml_call(method: str, source: Any) -> Any:
    """Call a method of a fresh YAML 1.2 reader; ruamel's own signatures are untyped."""
    return getattr(YAML(pure=True), method)(source)


def _yaml_problem(error: Exception) -> tuple[str, int]:
    """Return what is wrong and the 1-based line, 0 where it is unknown."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply", 0
    mark: Any = getattr(error, "problem_mark", None)
    what: Any = getattr(error, "problem", None) or str(error).splitlines()[0]
    return str(what), mark.line + 1 if mark else 0


def parse_override(text: str) -> dict[str, Any]:
    """Turn `train.learning_rate=3e-4` into a nested mapping.

    Raises:
        ConfigError: there is no `=`, an empty key, or a value that is not YAML.
    """
    key, equals, value = text.partition("=")
    parts = key.strip().split(".")
    if not equals or not all(parts):
        raise ConfigError(
            f"not an assignment: {text!r}", where="--set", fix="write --set section.key=value, e.g. --set train.learning_rate=3e-4"
        )
    try:
        tree = plain(_yaml_call("load", value))
    except (YAMLError, RecursionError) as error:
        raise ConfigError(f"the value of {key} is not valid YAML: {value!r}", where="--set", fix="quote it") from error
    for part in reversed(parts):
        tree = {part: tree}
    return tree


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return `below` with every value of `above` laid over it, mapping by mapping.

    A mapping whose keys are places in a list below, such as that of `members.0.name=a`, changes the items at these places.
    """
    return {**below, **{key: _lay_over(below.get(key), value) for key, value in above.items()}}


def _lay_over(lower: Any, value: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(lower, Mapping):
        return merge(cast("Mapping[str, Any]", lower), cast("Mapping[str, Any]", value))
    if isinstance(value, Mapping) and isinstance(lower, list):
        places = {str(place): item for place, item in enumerate(cast("list[Any]", lower))}
        changes = cast("Mapping[str, Any]", value)
        if changes and set(changes) <= set(places):
            return list(merge(places, changes).values())
    return cast("Any", value)


def validate(schema: type[S], values: Mapping[str, Any], *, tree: Any = None, path: Path | None = None, overrides: Sequence[str] = ()) -> S:
    """Validate `values`, turning every problem into one readable line.

    Args:
        schema: the section class.
        values: plain values.
        tree: what `read_yaml` returned, for line numbers.
        path: the file, for the message.
        overrides: the assignments already merged into `values`; a problem in one of them is blamed on `--set`.

    Raises:
        ConfigError: lists all problems.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        problems = describe_all(schema, error, values, tree, overrides)
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    where = str(path) if path else "--set"
    raise ConfigError(
        f"{count} in the configuration\n" + "\n".join(f"  - {problem}" for problem in problems),
        where=where,
        fix="correct the lines named above",
    )


def describe_all(
    schema: type[BaseModel], error: ValidationError, values: Mapping[str, Any], tree: Any, overrides: Sequence[str]
) -> list[str]:
    """Return one line for each place that is wrong, whatever number of problems pydantic finds there."""
    found: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for problem in error.errors(include_url=False):
        found.setdefault(keys_of(problem, values), []).append(problem)
    assigned = {override.partition("=")[0].strip() for override in overrides}
    return [describe(schema, keys, problems, place_of(keys, tree, assigned)) for keys, problems in found.items()]


def keys_of(problem: Mapping[str, Any], values: Any) -> tuple[Any, ...]:
    """Return the keys that lead to a problem: pydantic's location without the names of the types it tried."""
    keys: list[Any] = []
    location = problem["loc"]
    for index, part in enumerate(location):
        if isinstance(values, Mapping) and part in values:
            values = cast("Mapping[str, Any]", values)[part]
        elif isinstance(values, list) and isinstance(part, int) and part < len(cast("list[Any]", values)):
            values = cast("list[Any]", values)[part]
        elif not (problem["type"] == "missing" and index == len(location) - 1):
            continue
        keys.append(part)
    return tuple(keys)


def place_of(keys: Sequence[Any], tree: Any, assigned: Collection[str]) -> str:
    """Return `section.key (line 12)`, or `section.key (--set)` where the value was assigned on the command line."""
    name = ".".join(str(key) for key in keys)
    if any(name == other or name.startswith(f"{other}.") for other in assigned):
        return f"{name} (--set)"
    line = line_of(tree, keys)
    return f"{name} (line {line})" if line else name


def describe(schema: type[BaseModel], keys: Sequence[Any], problems: Sequence[Mapping[str, Any]], place: str) -> str:
    """Return one line: the place, what is wrong there, and the closest valid key."""
    first = problems[0]
    if first["type"] == "extra_forbidden":
        valid = fields_at(schema, keys[:-1])
        close = difflib.get_close_matches(str(keys[-1]), valid, n=1, cutoff=0.5)
        hint = f"did you mean `{close[0]}`?" if close else f"valid keys here: {', '.join(sorted(valid))}"
        return f"{place}: unknown key; {hint}"
    if first["type"] == "missing":
        return f"{place}: required, but not given"
    if len(problems) > 1:
        # A value that fits no member of a union: one sentence, not one for each member.
        wanted = dict.fromkeys(problem["msg"].removeprefix("Input should be ").partition(",")[0] for problem in problems)
        message = f"should be {' or '.join(wanted)}"
    else:
        message = first["msg"].removeprefix("Value error, ").replace("Input should", "should")
        message = message[:1].lower() + message[1:]
    return f"{place}: {message}" if isinstance(first["input"], Mapping) else f"{place}: {message} (found {first['input']!r:.80})"


def line_of(tree: Any, keys: Sequence[Any]) -> int:
    """Return the 1-based line of a key in a tree read by `read_yaml`.

    Of a key that is not in the file, the line of its section; 0 where that is not there either.
    """
    line = 0
    for key in keys:
        try:
            line, tree = tree.lc.data[key][0] + 1, tree[key]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line


def fields_at(schema: type[BaseModel], keys: Sequence[Any]) -> list[str]:
    """Return the valid keys of the section found by following `keys` from `schema`."""
    for key in keys:
        field = schema.model_fields.get(str(key))
        if field is None:
            # A name the user chose, such as that of a source: `schema` already is the section of its value.
            continue
        sections = section_types(field.annotation)
        if not sections:
            return []
        schema = sections[0]
    return list(schema.model_fields)


def section_types(annotation: Any) -> list[type[BaseModel]]:
    """Return the models mentioned anywhere in a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for item in get_args(annotation) for found in section_types(item)]


def plain(tree: Any) -> Any:
    """Return ruamel's round-trip values as plain dict, list, str, int, float and bool."""
    if isinstance(tree, Mapping):
        return {str(key): plain(value) for key, value in cast("Mapping[Any, Any]", tree).items()}
    if isinstance(tree, list):
        return [plain(value) for value in cast("list[Any]", tree)]
    if isinstance(tree, bool) or tree is None:
        return tree
    for kind in (int, float, str):
        if isinstance(tree, kind):
            return kind(tree)
    return tree
