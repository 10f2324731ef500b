"""Help is quick, and heavy libraries are imported only when they are needed."""

import subprocess
import sys

import pytest

HEAVY = ("torch", "numpy", "transformers", "tokenizers", "pyarrow", "trafilatura", "jinja2")
"""What takes longer to import than help may take; a clock would fail on a busy machine, and say less."""
ASK = """
import sys
from rodna.cli.main import main
sys.argv = ["rodna", *{arguments}]
try:
    main()
finally:
    print("LOADED", *sys.modules, file=sys.stderr)
"""


def loaded_by(*arguments: str) -> set[str]:
    done = subprocess.run([sys.executable, "-c", ASK.format(arguments=list(arguments))], capture_output=True, text=True, check=False)
    line = next(line for line in done.stderr.splitlines() if line.startswith("LOADED"))
    return set(line.split())


@pytest.mark.parametrize(
    "arguments", [["--help"], ["corpus", "--help"], ["train", "pretrain", "--help"], ["generate", "--help"], ["--version"]]
)
def test_help_imports_nothing_heavy(arguments: list[str]):
    loaded = loaded_by(*arguments)

    assert "rodna.cli.main" in loaded
    assert sorted(loaded.intersection(HEAVY)) == []


def test_the_first_help_does_not_even_read_settings():
    assert "pydantic" not in loaded_by("--help")


def test_status_and_init_do_not_import_torch(workspace, tmp_path):
    status = loaded_by("status", "--workspace", str(workspace))
    init = loaded_by("init", "be", str(workspace / "texts"), "--workspace", str(tmp_path / "new"))

    assert "rodna.cli.pipeline" in status
    assert "rodna.cli.detection" in init
    assert "torch" not in status | init


def test_every_verb_has_help_and_stage_verbs_share_their_options(rodna):
    stage_verbs = ["run", "corpus build", "tokenizer train", "plan", "train tokens", "train pretrain", "eval", "report"]
    others = [
        "init",
        "demo",
        "status",
        "trace",
        "doctor",
        "corpus inspect",
        "corpus sample",
        "tokenizer compare",
        "generate",
        "chat",
        "sweep",
    ]

    for verb in stage_verbs + others:
        result = rodna(*verb.split(), "--help")
        assert result.exit_code == 0, verb
        missing = [option for option in ("--workspace", "--set", "--dry-run", "--json") if option not in result.stdout]
        assert verb in others or not missing, (verb, missing)
