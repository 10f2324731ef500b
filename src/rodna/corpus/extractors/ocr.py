"""Reading pictures of pages with Debian's Tesseract."""

import os
import re
import shutil
import subprocess
from functools import cache
from typing import Any

from rodna.core.errors import CorpusError
from rodna.core.registry import PluginError
from rodna.corpus.extractors.pdf_layout import Line

DOTS_PER_INCH = 300
"""What Tesseract's models are trained at; its manual, "ImproveQuality"."""
MAX_PIXELS = 40_000_000
PAGE_SECONDS = 300
_LANGUAGE = re.compile(r"[A-Za-z][A-Za-z0-9_/-]*")


def read_page(page: Any, languages: str) -> list[Line]:
    """Return the lines that Tesseract reads on a page of pypdfium2.

    Args:
        page: the page.
        languages: Tesseract's names, joined by plus signs.

    Raises:
        CorpusError: Tesseract or a language is not installed, or it failed.
    """
    check_ocr(languages)
    width, height = page.get_size()
    scale = min(DOTS_PER_INCH / 72, (MAX_PIXELS / max(1.0, width * height)) ** 0.5)
    bitmap = page.render(scale=scale, grayscale=True)
    try:
        pixels = bitmap.to_numpy()
        image = b"P5 %d %d 255\n" % (pixels.shape[1], pixels.shape[0]) + pixels.tobytes()
    finally:
        bitmap.close()
    return lines_of_table(_tesseract(["stdin", "stdout", "-l", languages, "--dpi", str(round(72 * scale)), "tsv"], image), height, scale)


def lines_of_table(table: str, height: float, scale: float) -> list[Line]:
    """Return the lines in Tesseract's table of words, places in points.

    Args:
        table: tab-separated: level, page, block, paragraph, line, word, left, top, width, height, confidence, text; places in pixels.
        height: the page's, in points.
        scale: pixels a point.
    """
    lines: dict[tuple[str, ...], list[tuple[float, float, float, float, str]]] = {}
    for row in table.splitlines()[1:]:
        cells = row.split("\t")
        if len(cells) == 12 and cells[0] == "5" and cells[11].strip():
            left, top, wide, high = (float(cell) / scale for cell in cells[6:10])
            lines.setdefault(tuple(cells[1:5]), []).append((left, left + wide, height - top - high, high, cells[11]))
    result = []
    for words in lines.values():
        text = " ".join(word[4] for word in words)
        # A hyphen that ends a line stays as it is: whether it parts a word is for the reflowing of lines to find out.
        size = sorted(word[3] for word in words)[len(words) // 2]
        result.append(Line(text, words[0][0], words[-1][1], min(word[2] for word in words), max(size, 0.1)))
    typical = sorted(line.size for line in result)[len(result) // 2] if result else 0.0
    for line in result:
        # Boxes of words follow their letters: without ascenders they seem smaller. Only headings differ by more than this.
        line.size = typical if 0.6 * typical < line.size < 1.5 * typical else line.size
    return result


@cache
def check_ocr(languages: str) -> None:
    """Return if Tesseract and its languages are installed.

    Raises:
        PluginError: they are not; it names the Debian packages that bring them.
        CorpusError: that is no name of a language.
    """
    where = f"corpus.extract.ocr: {languages}"
    wanted = languages.split("+")
    bad = next((name for name in wanted if not _LANGUAGE.fullmatch(name)), None)
    if bad is not None:
        raise CorpusError(f"{bad!r} is no name of a Tesseract language", where=where, fix="join names by plus signs, as in bel+rus")
    packages = " ".join(["tesseract-ocr", *(f"tesseract-ocr-{name.lower().replace('_', '-')}" for name in wanted)])
    if shutil.which("tesseract") is None:
        raise PluginError("tesseract is not installed", where=where, fix=f"apt install {packages}")
    present = set(_tesseract(["--list-langs"], b"").split("\n")[1:])
    missing = [name for name in wanted if name not in present]
    if missing:
        package = " ".join(f"tesseract-ocr-{name.lower().replace('_', '-')}" for name in missing)
        known = ", ".join(sorted(present - {"", "osd"}))
        raise PluginError(f"Tesseract has no language {', '.join(missing)}; it has: {known}", where=where, fix=f"apt install {package}")


def _tesseract(arguments: list[str], image: bytes) -> str:
    # One thread: pages are read side by side by several processes, and the result must not depend on their number.
    environment = {**os.environ, "OMP_THREAD_LIMIT": "1"}
    try:
        done = subprocess.run(
            ["tesseract", *arguments], input=image, capture_output=True, timeout=PAGE_SECONDS, env=environment, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise CorpusError(f"tesseract took more than {PAGE_SECONDS} seconds for a page", fix="leave the file out") from error
    if done.returncode:
        message = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise CorpusError(f"tesseract failed: {message[-1] if message else done.returncode}", fix="try it by hand on the page")
    return done.stdout.decode("utf-8", "replace")
