"""The text of `rodna demo`: real Cantonese that comes with the PyPI package `pycantonese`.

Only its HKCanCor dialogues and its Common Voice sentences are used; its other data has licences that do not fit.
"""

import json
import re
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import regex

from rodna.core.errors import CorpusError
from rodna.core.files import write_text
from rodna.corpus.config import Source

DEMO_LANGUAGE = "yue"
DIALOGUES = Source(
    path="sources/hkcancor.txt",
    format="text",
    document="blank_line",
    licence="CC-BY-4.0",
    origin=(
        "Hong Kong Cantonese Corpus, K. K. Luke and May L. Y. Wong 2015, https://github.com/fcbond/hkcancor, as carried by "
        "the Python package pycantonese; words joined to running text"
    ),
)
SENTENCES = Source(
    path="sources/common_voice.txt",
    format="text",
    document="line",
    licence="CC0-1.0",
    origin="Sentences contributed to Mozilla Common Voice (yue), https://github.com/common-voice/common-voice, as carried by pycantonese",
)
_CONTINUATION = re.compile(r"\n\t")
_SPACES_NOT_WRITTEN = regex.compile(r"(?<=[\p{Han}\p{Po}]) (?=\p{Han})|(?<=\p{Han}) (?=[\p{Han}])| (?=[.,?!…。，？！])")


def write_demo_sources(folder: Path) -> dict[str, Source]:
    """Write the demo's text below a workspace's folder and return its sources, with licence and origin.

    Args:
        folder: the workspace; files go into `sources/`.

    Raises:
        CorpusError: the package is not installed, or holds something else than expected.
    """
    data = _package_data()
    sources = {"hkcancor": DIALOGUES, "common_voice": SENTENCES}
    texts = {
        "hkcancor": "\n\n".join(_dialogues(data / "hkcancor")),
        "common_voice": "\n".join(_sentences(data / "common_voice" / "sents.json")),
    }
    (folder / "sources").mkdir(parents=True, exist_ok=True)
    for name, source in sources.items():
        path = folder / source.path
        content = texts[name] + "\n"
        # An unchanged file keeps its time, so a second demo has nothing to do.
        if not (path.is_file() and path.read_text(encoding="utf-8") == content):
            write_text(path, content)
    return sources


def _package_data() -> Path:
    spec = find_spec("pycantonese")
    if spec is None or not spec.submodule_search_locations:
        raise CorpusError(
            "the demo's Cantonese text is not installed: it comes with the Python package pycantonese",
            where="rodna demo",
            fix="run `pip install 'rodna[demo]'`, or use your own text: `rodna init LANG FOLDER`",
        )
    data = Path(spec.submodule_search_locations[0]) / "data"
    if not (data / "hkcancor").is_dir() or not (data / "common_voice" / "sents.json").is_file():
        raise CorpusError(
            "this version of pycantonese carries other data than expected", where=str(data), fix="run `pip install 'pycantonese>=5,<6'`"
        )
    return data


def _dialogues(folder: Path) -> Iterator[str]:
    """Yield each dialogue, one utterance a line, in the order of its file name."""
    for path in sorted(folder.glob("*.cha")):
        lines = _CONTINUATION.sub(" ", path.read_text(encoding="utf-8-sig")).split("\n")
        spoken = (line.partition("\t")[2].strip() for line in lines if line.startswith("*"))
        yield "\n".join(join_words(words) for words in spoken if words)


def join_words(words: str) -> str:
    """Return running text from words parted by spaces: none between Chinese characters or before punctuation."""
    return _SPACES_NOT_WRITTEN.sub("", " ".join(words.split()))


def _sentences(path: Path) -> list[str]:
    return [" ".join(sentence.split()) for sentence in json.loads(path.read_text(encoding="utf-8")) if sentence.strip()]
