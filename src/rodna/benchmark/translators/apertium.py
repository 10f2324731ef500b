"""Apertium: rule-based translation between related and small languages, wholly offline.

Reference: Forcada et al. 2011, doi:10.1007/s10590-011-9090-0.

One process translates many texts: each ends in a NUL, which makes every program of the pipeline forget what came before. We write
Apertium's own stream format, in which a text's special characters are escaped and a protected span is a *superblank*, `[...]`,
that no rule looks into.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.errors import TranslationError
from rodna.benchmark.translators.contract import FIRST_MASK, LAST_MASK

SECONDS_TO_START, SECONDS_A_TEXT = 60.0, 2.0
"""How long a process may take. Measured: 0.8 s for 300 texts; the rest is for slow or busy machines."""
_SPECIAL = re.compile(r"[\\^$/\[\]{}@<>]")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_BLANK = re.compile(r"(?<!\\)\[(\d+)\]")
_END = re.compile(r"\s*\[end (\d+)\]")
_QUOTED_FILE = re.compile(r"'(/[^']+)'")


class Apertium:
    """The `apertium` program."""

    name = "apertium"
    batch_size = 200
    concurrency = 1

    def __init__(self, program: str) -> None:
        self._program = program
        self._pairs: dict[str, str] = {}

    def version(self, source: str, target: str) -> str:
        mode = self._mode(source, target)
        digest = hashlib.sha256(mode.encode())
        folder = Path(self._program).resolve().parent.parent / "share" / "apertium" / "modes"
        file = folder / f"{mode}.mode"
        if file.is_file():
            rules = file.read_text(encoding="utf-8")
            digest.update(rules.encode())
            for path in sorted(set(_QUOTED_FILE.findall(rules))):
                digest.update(Path(path).read_bytes() if Path(path).is_file() else path.encode())
        return f"{mode}-{digest.hexdigest()[:12]}"

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        mode = self._mode(source, target)
        stream = "".join(f"{_written(text)}[][end {number}]\0" for number, text in enumerate(texts))
        limit_s = SECONDS_TO_START + SECONDS_A_TEXT * len(texts)
        done = self._run(["-z", "-u", "-f", "none", mode], stream, limit_s)
        # The programs of the pipeline end with NULs of their own.
        found = [part for part in done.split("\0") if part.strip()]
        answers = [_END.search(part) for part in found]
        if [int(end.group(1)) if end else -1 for end in answers] != list(range(len(texts))):
            raise TranslationError(f"apertium answered {len(found)} of {len(texts)} texts, or out of order", where=mode, fix="run it again")
        return [_read(part[: end.start()].removesuffix("[]")) for part, end in zip(found, answers, strict=True) if end]

    def _run(self, arguments: list[str], stream: str, limit_s: float) -> str:
        """Run the program, killing all of its pipeline when it takes too long.

        Raises:
            TranslationError: it failed or took too long.
        """
        environment = {**os.environ, "LC_ALL": "C.UTF-8"}
        with subprocess.Popen(
            [self._program, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        ) as process:
            try:
                out, errors = process.communicate(stream.encode("utf-8", "replace"), timeout=limit_s)
            except BaseException as error:
                os.killpg(process.pid, signal.SIGKILL)
                if isinstance(error, subprocess.TimeoutExpired):
                    raise TranslationError(f"apertium took more than {limit_s:.0f} s", where=arguments[-1], fix="run it again") from error
                raise
        if process.returncode:
            message = errors.decode("utf-8", "replace").strip()[-300:]
            raise TranslationError(f"apertium ended with {process.returncode}: {message}", where=arguments[-1], fix="try it by hand")
        return out.decode("utf-8", "replace")

    def _mode(self, source: str, target: str) -> str:
        """Return Apertium's name of a pair, `eng-cat` or `en-gl`: packages use codes of two letters or three.

        Raises:
            TranslationError: the pair is not installed.
        """
        if not self._pairs:
            listed = self._run(["-l"], "", SECONDS_TO_START)
            self._pairs = {line.strip(): line.strip() for line in listed.splitlines() if line.strip()}
        for first in _codes(source):
            for second in _codes(target):
                if f"{first}-{second}" in self._pairs:
                    return f"{first}-{second}"
        raise TranslationError(
            f"apertium has no {source}-{target}; installed: {', '.join(sorted(self._pairs)) or 'nothing'}",
            where="--translator",
            fix="install the pair (Debian: `apt-get install apertium-eng-cat`), or take another translator",
        )


def make(where: str, config: BenchmarkConfig, folder: Path) -> Apertium:
    """Return Apertium.

    Args:
        where: the program, where it is not on the path.
        config: not needed.
        folder: not needed.

    Raises:
        TranslationError: it is not installed.
    """
    program = shutil.which(where or "apertium")
    if program is None:
        raise TranslationError(
            f"the program {where or 'apertium'!r} is not installed",
            where="--translator",
            fix="install it (Debian: `apt-get install apertium apertium-eng-cat`), or take another translator",
        )
    return Apertium(program)


def _codes(tag: str) -> list[str]:
    """Return the ways Apertium's packages may write a language: `ca`, `cat`."""
    import langcodes

    language = langcodes.Language.get(tag).language or tag
    try:
        return list(dict.fromkeys([langcodes.Language.get(tag).to_alpha3(), language]))
    except LookupError:
        return [language]


def _written(text: str) -> str:
    """Return a text in Apertium's stream format."""
    escaped = _SPECIAL.sub(lambda found: "\\" + found.group(), text.replace("\0", " "))
    return "".join(f"[{ord(character) - FIRST_MASK}]" if FIRST_MASK <= ord(character) <= LAST_MASK else character for character in escaped)


def _read(stream: str) -> str:
    """Return the text that Apertium's stream format stands for."""
    parts: list[str] = []
    position = 0
    for found in _BLANK.finditer(stream):
        parts += [_ESCAPED.sub(r"\1", stream[position : found.start()]), chr(FIRST_MASK + int(found.group(1)))]
        position = found.end()
    return "".join([*parts, _ESCAPED.sub(r"\1", stream[position:])]).strip()
