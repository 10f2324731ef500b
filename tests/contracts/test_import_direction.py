"""Rooms are ordered; a room imports only rooms to its left, and torch is imported where models are and nowhere else."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src" / "rodna"
ROOMS = (
    "core",
    "corpus",
    "tokenizer",
    "data",
    "models",
    "evals",
    "plan",
    "train",
    "serve",
    "publish",
    "benchmark",
    "sweep",
    "cli",
    "testing",
)
ROOMS_WITH_TORCH = ("models", "evals", "train")
LIGHT = frozenset({"pydantic", "rodna"})
FILES = sorted(SOURCE.rglob("*.py"))


def imports_of(file: Path, *, only_at_import: bool = False) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of every import; with `only_at_import`, of those that run when the module is imported."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    pending: list[ast.AST] = list(ast.iter_child_nodes(tree))
    while pending:
        node = pending.pop()
        if only_at_import and (isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) or is_type_checking(node)):
            continue
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = resolve(file, node)
            yield node.lineno, base
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        pending += ast.iter_child_nodes(node)


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def resolve(file: Path, node: ast.ImportFrom) -> str:
    """Return the absolute name of the module that an import statement names."""
    if not node.level:
        return node.module or ""
    package = ("rodna", *file.relative_to(SOURCE).parts[:-1])
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def room_of(file: Path) -> str:
    return file.relative_to(SOURCE).parts[0] if file.parent != SOURCE else ""


def test_every_folder_is_a_known_room():
    folders = {path.name for path in SOURCE.iterdir() if path.is_dir() and path.name != "__pycache__"}

    # `serve` is planned and has no folder yet; `testing` is no room: it is what plugin authors test with.
    assert folders == set(ROOMS) - {"serve"} | {"testing"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_only_rooms_to_its_left(room: str):
    allowed = ROOMS[: ROOMS.index(room) + 1]
    wrong = [
        f"{file.relative_to(SOURCE)}:{line} imports {name}"
        for file in FILES
        if room_of(file) == room
        for line, name in imports_of(file)
        if name.startswith("rodna.") and name.split(".")[1] in ROOMS and name.split(".")[1] not in allowed
    ]

    assert wrong == []


def test_torch_is_imported_with_a_module_only_where_models_are():
    heavy = ("torch", "transformers")
    wrong = [
        f"{file.relative_to(SOURCE)}:{line} imports {name}"
        for file in FILES
        if room_of(file) not in ROOMS_WITH_TORCH
        for line, name in imports_of(file, only_at_import=True)
        if name.split(".")[0] in heavy
    ]

    assert wrong == []


def test_configuration_modules_import_only_pydantic_and_the_core():
    wrong = [
        f"{file.relative_to(SOURCE)}:{line} imports {name}"
        for file in FILES
        if file.name == "config.py"
        for line, name in imports_of(file)
        if name.split(".")[0] not in LIGHT | sys.stdlib_module_names and room_of(file) != "core"
    ]

    assert wrong == []


def test_the_reader_of_imports_sees_relative_and_nested_ones(tmp_path: Path):
    file = SOURCE / "corpus" / "imaginary.py"
    node = ast.parse("from ..train import stages").body[0]
    assert isinstance(node, ast.ImportFrom)
    nested = tmp_path / "nested.py"
    nested.write_text("def f():\n    import torch\n\nclass A:\n    import numpy\n")

    assert resolve(file, node) == "rodna.train"
    assert {name for _, name in imports_of(nested)} == {"torch", "numpy"}
    assert [name for _, name in imports_of(nested, only_at_import=True)] == ["numpy"]
