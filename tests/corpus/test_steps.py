"""Steps are found by name, made for a language, and wrong ones are told what is wrong."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rodna.core.registry import PluginError
from rodna.corpus.documents import Document
from rodna.corpus.extractors import Rejected
from rodna.corpus.steps import load_steps

MODULE = """
from dataclasses import replace
from rodna.corpus.extractors import Rejected

def shout(language):
    return lambda document: replace(document, text=document.text.upper() + language)

def drop(language):
    return lambda document: Rejected("unwanted", "because", len(document.text))

def nothing(language):
    return None
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Install a package that registers three steps."""

    def write() -> None:
        (tmp_path / "my_steps.py").write_text(MODULE)
        info = tmp_path / "my_steps-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-steps\nVersion: 1.0\n")
        entries = "\n".join(f"{name} = my_steps:{name}" for name in ("shout", "drop", "nothing"))
        (info / "entry_points.txt").write_text(f"[rodna.corpus_steps]\n{entries}\nabsent = my_steps_of_none:make\n")
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "my_steps", raising=False)

    return write


def test_steps_are_loaded_in_order_and_told_the_language(install: Callable[[], None]):
    install()
    document = Document("a", "so", "s", "be")

    (first, shout), (second, drop) = load_steps(["shout", "drop"], language="be")

    shouted = shout(document)
    assert (first, second) == ("shout", "drop")
    assert isinstance(shouted, Document)
    assert shouted.text == "SObe"
    assert drop(document) == Rejected("unwanted", "because", 2)


def test_an_unknown_step_names_those_there_are(install: Callable[[], None]):
    install()
    with pytest.raises(PluginError, match=r"unknown corpus_step: 'whisper'[\s\S]*use one of: .*shout"):
        load_steps(["whisper"], language="be")


def test_a_factory_that_makes_no_step_is_named(install: Callable[[], None]):
    install()
    with pytest.raises(PluginError, match=r"'nothing' makes no corpus step but NoneType[\s\S]*takes the language"):
        load_steps(["nothing"], language="be")


def test_a_step_whose_package_is_broken_says_so(install: Callable[[], None]):
    install()
    with pytest.raises(PluginError, match=r"cannot load 'absent'"):
        load_steps(["absent"], language="be")


def test_no_steps_are_no_steps():
    assert load_steps([], language="be") == []
