"""Typed configuration: pydantic models read from YAML 1.2 with dotted overrides.

Precedence: default < preset < file < `--set`. Unknown keys are errors that name the closest valid one, and all problems of a
file are reported at once. YAML 1.2 because under 1.1 the language code `no` reads as false and `3e-4` as a string.
"""

import difflib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

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

    Args:
        schema: the section class of the whole file.
        path: a YAML 1.2 mapping.
        overrides: `dotted.key=value` assignments; values are YAML scalars or flow collections.
        base: a preset, overridden by the file.

    Raises:
        ConfigError: with every problem found, the line each stands on and the closest valid key.
    """
    tree = read_yaml(path)
    values = merge(base or {}, plain(tree))
    for override in overrides:
        values = merge(values, parse_override(override))
    return validate(schema, values, tree=tree, path=path)


def read_yaml(path: Path) -> Any:
    """Read one YAML 1.2 mapping, keeping line numbers; aliases are refused, so a file cannot expand without bound."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read the configuration: {error.strerror}", where=str(path), fix="run `rodna init LANG FOLDER` to create one"
        ) from error
    if len(data) > MAX_CONFIG_BYTES:
        raise ConfigError(
            f"the configuration has {len(data):,} bytes, more than {MAX_CONFIG_BYTES:,}", where=str(path), fix="is this the right file?"
        )
    try:
        text = data.decode("utf-8")
        if any(isinstance(token, AliasToken) for token in YAML(pure=True).scan(io.StringIO(text))):
            raise ConfigError("YAML aliases (`*name`) are not supported", where=str(path), fix="write the value out in full")
        tree = YAML(pure=True).load(text)
    except (YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"not valid YAML: {error}", where=str(path), fix="check indentation and quoting near that line") from error
    if tree is None:
        tree = {}
    if not isinstance(tree, Mapping):
        raise ConfigError(
            f"expected `key: value` lines, found a {type(tree).__name__}", where=str(path), fix="start from `rodna init`'s file"
        )
    return tree


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
        tree = plain(YAML(pure=True).load(value))
    except YAMLError as error:
        raise ConfigError(f"the value of {key} is not valid YAML: {value!r}", where="--set", fix="quote it") from error
    for part in reversed(parts):
        tree = {part: tree}
    return tree


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Return `below` with every value of `above` laid over it, mapping by mapping."""
    result = dict(below)
    for key, value in above.items():
        lower = result.get(key)
        result[key] = merge(lower, value) if isinstance(value, Mapping) and isinstance(lower, Mapping) else value
    return result


def validate(schema: type[S], values: Mapping[str, Any], *, tree: Any = None, path: Path | None = None) -> S:
    """Validate `values`, turning every problem into one readable line.

    Raises:
        ConfigError: lists all problems.
    """
    try:
        return schema.model_validate(values)
    except ValidationError as error:
        problems = [describe(schema, item, tree) for item in error.errors(include_url=False)]
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    where = str(path) if path else "--set"
    raise ConfigError(
        f"{count} in the configuration\n" + "\n".join(f"  - {problem}" for problem in problems),
        where=where,
        fix="correct the lines named above",
    )


def describe(schema: type[BaseModel], problem: Mapping[str, Any], tree: Any) -> str:
    """Return one line for one pydantic problem: key, line, what is wrong, closest valid key."""
    keys = [
        part
        for part in problem["loc"]
        if not (isinstance(part, str) and part.startswith(("function-", "literal[", "int", "float", "constrained", "bool", "str")))
    ]
    line = line_of(tree, keys)
    place = ".".join(str(key) for key in keys) + (f" (line {line})" if line else "")
    if problem["type"] == "extra_forbidden":
        valid = fields_at(schema, keys[:-1])
        close = difflib.get_close_matches(str(keys[-1]), valid, n=1, cutoff=0.5)
        hint = f"did you mean `{close[0]}`?" if close else f"valid keys here: {', '.join(sorted(valid))}"
        return f"{place}: unknown key; {hint}"
    if problem["type"] == "missing":
        return f"{place}: required, but not given"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{place}: {message[:1].lower()}{message[1:]} (found {problem['input']!r:.80})"


def line_of(tree: Any, keys: Sequence[Any]) -> int:
    """Return the 1-based line of a key in a YAML tree read by `read_yaml`, or 0 where it is not in the file."""
    line = 0
    for key in keys:
        try:
            position = tree.lc.data[key]
            line, tree = position[0] + 1, tree[key]
        except (AttributeError, KeyError, IndexError, TypeError):
            return line if isinstance(tree, Mapping | list) is False else 0
    return line


def fields_at(schema: type[BaseModel], keys: Sequence[Any]) -> list[str]:
    """Return the valid keys of the section found by following `keys` from `schema`."""
    for key in keys:
        if isinstance(key, int):
            continue
        field = schema.model_fields.get(str(key))
        found = next((item for item in section_types(field.annotation)), None) if field else None
        if found is None:
            return []
        schema = found
    return list(schema.model_fields)


def section_types(annotation: Any) -> list[type[BaseModel]]:
    """Return the models mentioned anywhere in a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for item in get_args(annotation) for found in section_types(item)]


def plain(tree: Any) -> Any:
    """Return ruamel's round-trip values as plain dict, list, str, int, float and bool."""
    if isinstance(tree, Mapping):
        return {str(key): plain(value) for key, value in tree.items()}
    if isinstance(tree, list):
        return [plain(value) for value in tree]
    if isinstance(tree, bool) or tree is None:
        return tree
    for kind in (int, float, str):
        if isinstance(tree, kind):
            return kind(tree)
    return tree
