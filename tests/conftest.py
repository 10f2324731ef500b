"""Fixtures shared by every room's tests."""

import json
import os
import random
import signal
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = Path("/usr/bin/chromium")
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

# Tests run side by side: threads that wait must sleep, not spin on a core that another test needs. Set before torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("OMP_NUM_THREADS", "1")
# What a script starts in the background ignores Ctrl-C, and so would the children that tests send it to.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: Any, argname: str) -> str | None:
    """Name bytes by their argument: packed ones may hold the time of day, and all workers must collect the same names."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real corpora beside the repository; tests that need it skip where it is absent."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"needs real corpora in {SHARED_DATA}, which is absent")
    return SHARED_DATA


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium, driven by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    if not CHROMIUM.is_file():
        pytest.skip(f"needs {CHROMIUM}, which is absent")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        yield chromium
        chromium.close()


SYLLABLES = {"Cyrl": "ба ве гі до жу зы ка ле мі но пу ры са тэ ўх ца шы ча", "Deva": "का खि गु चे जो टं डा ति नु पे फो बं मा रि लु वे शो हं"}


def invented_text(num_documents: int, *, script: str, seed: int = 0) -> str:
    """Return documents of invented words, parted by blank lines; words are few, so that there is something to learn."""
    source = random.Random(seed)
    syllables = SYLLABLES[script].split()
    words = ["".join(source.choices(syllables, k=source.randint(1, 3))) for _ in range(80)]
    documents = ["\n".join(" ".join(source.choices(words, k=8)) + "." for _ in range(5)) for _ in range(num_documents)]
    return "\n\n".join(documents) + "\n"


PROJECT = """\
# A comment that must survive.
language: be
name: tiny

sources:
  cyrillic: {path: texts/cyrillic.txt, document: blank_line, licence: CC0-1.0, origin: invented}
  devanagari: {path: texts/devanagari.txt, document: blank_line, licence: CC-BY-4.0}

corpus:
  split: {min_bytes: 1000}  # the tiniest
  language: {action: keep}  # no identifier knows invented words
tokenizer:
  vocabulary_size: 384
model: {width: 32, num_layers: 1, num_heads: 2, num_kv_heads: 2, head_width: 16, ffn_width: 64, context_length: 64}
plan:
  calibration: estimated
  device: cpu
train: {steps: 12, batch_size: 4, micro_batch_size: 2, evaluations: 2, evaluation_tokens: 1000, compile: "off", trackers: []}
eval: {bootstrap_samples: 100, num_samples: 2, sample_tokens: 8, ngram_order: 3}
"""


@pytest.fixture(scope="session")
def make_workspace() -> Callable[[Path], Path]:
    """Return what writes a workspace of two scripts, that no stage has touched yet, below a folder."""
    return _make_workspace


@pytest.fixture(scope="session")
def go_through() -> Callable[..., None]:
    """Return what types verbs in a workspace, each with the same further options, and wants every one to succeed."""
    from typer.testing import CliRunner

    from rodna.cli.main import app

    def type_verbs(root: Path, verbs: Sequence[str], *options: str) -> None:
        for verb in verbs:
            result = CliRunner().invoke(app, [*verb.split(), "--workspace", str(root), *options])
            assert result.exit_code == 0, result.stderr

    return type_verbs


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A workspace of two scripts that no stage has touched yet."""
    return _make_workspace(tmp_path)


def _make_workspace(folder: Path) -> Path:
    root = folder / "tiny"
    (root / "texts").mkdir(parents=True)
    (root / "texts" / "cyrillic.txt").write_text(invented_text(60, script="Cyrl"), encoding="utf-8")
    (root / "texts" / "devanagari.txt").write_text(invented_text(60, script="Deva"), encoding="utf-8")
    (root / "project.yaml").write_text(PROJECT, encoding="utf-8")
    return root


@pytest.fixture
def rodna() -> Callable[..., Any]:
    """Type a command; the result has `exit_code`, `stdout` and `stderr`."""
    from typer.testing import CliRunner

    from rodna.cli.main import app

    runner = CliRunner()

    def type_command(*arguments: object, stdin: str = "") -> Any:
        return runner.invoke(app, [str(argument) for argument in arguments], input=stdin)

    return type_command


@pytest.fixture
def as_json() -> Callable[[Any], Any]:
    """Read what a command that succeeded printed as JSON."""

    def read(result: Any) -> Any:
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    return read
