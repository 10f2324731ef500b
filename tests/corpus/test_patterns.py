"""No pattern of the corpus room repeats a group possessively: Python before 3.11.5 matches wrongly then (python/cpython#106052)."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import rodna.corpus

OF_ONE_CHARACTER = (sre.LITERAL, sre.NOT_LITERAL, sre.IN, sre.ANY)


def possessive_groups(pattern: str) -> int:
    """Return how many possessive quantifiers of a pattern repeat more than one character."""

    def count(node: Any) -> int:
        if isinstance(node, (list, tuple, parser.SubPattern)):
            found = sum(map(count, node))
            if isinstance(node, tuple) and node and node[0] is sre.POSSESSIVE_REPEAT:
                body = node[1][2]
                found += not (len(body) == 1 and body[0][0] in OF_ONE_CHARACTER)
            return found
        return 0

    return count(parser.parse(pattern))


def patterns() -> Iterator[tuple[str, str]]:
    """Yield (where, pattern) of every pattern that a module of the corpus room compiles as it is imported."""
    for found in pkgutil.walk_packages(rodna.corpus.__path__, "rodna.corpus."):
        try:
            module = importlib.import_module(found.name)
        except ImportError:
            continue  # An extra that is not installed.
        for name, value in vars(module).items():
            for one in value if isinstance(value, tuple) else (value,):
                if isinstance(one, re.Pattern) and isinstance(one.pattern, str):
                    yield f"{found.name}.{name}", one.pattern


def test_possessive_groups_are_found_where_there_are_any() -> None:
    assert [possessive_groups(one) for one in (r"(?:ab?c)*+", r"[^>]*+(?>(?:ab?c)*)", r"(?:x{2,3}){1,2}+y++")] == [1, 0, 1]


def test_no_pattern_repeats_a_group_possessively() -> None:
    found = list(patterns())
    assert len(found) > 100
    assert [where for where, pattern in found if possessive_groups(pattern)] == []
