"""Look at a folder of text and propose its sources, with reasons: what `rodna init LANG FOLDER` writes down."""

import glob
import re
import statistics
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from rodna.core.errors import CorpusError
from rodna.core.registry import PluginError
from rodna.core.text import human_bytes
from rodna.corpus.config import DocumentUnit, ExtractConfig, Source
from rodna.corpus.encodings import detect, read_text
from rodna.corpus.extractors import Piece, Rejected, format_of
from rodna.corpus.isolation import Isolated
from rodna.corpus.language import LanguageTag, parse_language
from rodna.corpus.sources import SourceFile, walk
from rodna.corpus.stats import scripts_of

SAMPLE_CHARACTERS = 1 << 18
MAX_SINGLE_SOURCES = 20
MIN_EXPECTED_SCRIPT_SHARE = 0.5
MIN_ALIKE = 0.8
"""Of many files in a folder, so many must look alike to be read that way."""
_SENTENCE_LENGTH = 400
_BOOK_BYTES = 65536
_MIN_BLOCK_BYTES = 1000
"""Blank lines part paragraphs where the blocks between them are shorter, documents where they are longer."""
_NUM_OPENED = 20
_LOOK_SECONDS = 10.0
_BOOKS = ("pdf", "epub", "docx", "odt", "rtf")
_KEPT_FORMATS = ("text", "markdown", "json_lines", "parquet", "html")
_WHAT_IS_ONE: dict[str, str] = {
    "html": "each page is one document",
    "warc": "each page in it is one document",
    "mediawiki": "each article is one document",
    "csv": "each row is one document",
    "json": "each item is one document",
    "archive": "the files in it are read each by its kind",
    "compressed": "what is in it is read by its kind",
}
_NUM_SECTIONS_WANTED = 500
"""So many sections give a held-out share of 5% about 25 documents, enough for a bootstrap over documents."""


@dataclass(frozen=True)
class Proposal:
    """One source to write into the project, and why it is read so.

    `scripts` is the share of each script among the letters, largest first; `warnings` are things the user should look at.
    """

    name: str
    source: Source
    reason: str
    num_files: int
    size_bytes: int
    scripts: dict[str, float]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Look:
    """What one file looks like."""

    file: SourceFile
    format: str
    document: DocumentUnit
    reason: str
    characters: Counter[str]
    text_field: str = "text"


class _Unread(NamedTuple):
    """A file that no source is proposed for."""

    file: SourceFile
    reason: str


@dataclass(frozen=True)
class Findings:
    """What a folder holds.

    Attributes:
        proposals: the sources, in the order of their names.
        left_out: why a file is in none of them, by the file's name.
    """

    proposals: list[Proposal]
    left_out: dict[str, str]


def propose_sources(folder: Path, language: str) -> Findings:
    """Return the sources found in a folder, and the files that are in none of them.

    Files of one folder and ending that are read alike become one source; the others one each.

    Args:
        folder: of text files, or one text file.
        language: a BCP-47 tag; a source in another script than the language's gets a warning.

    Raises:
        CorpusError: the folder is missing, empty, or nothing in it is text.
        ConfigError: the language tag is unknown.
    """
    tag = parse_language(language)
    folder = folder.expanduser()
    if not folder.exists():
        raise CorpusError("there is no such folder", where=str(folder), fix="give the folder that holds your text files")
    files = walk_or_explain(folder)
    with Isolated(ExtractConfig(seconds=_LOOK_SECONDS), max_document_bytes=1 << 20) as isolated:
        seen = list(_looks(files, isolated))
    looks = [look for look in seen if isinstance(look, _Look)]
    unread = [item for item in seen if isinstance(item, _Unread)]
    if not looks:
        reasons = Counter(item.reason for item in unread).most_common(3)
        kinds = ", ".join(sorted({file.path.suffix or "no ending" for file in files})[:8])
        raise CorpusError(
            f"no text found: {len(files):,} files ({kinds}), none of them text with anything in it"
            f" ({'; '.join(reason for reason, _ in reasons)})",
            where=str(folder),
            fix="convert them to one of these first: .txt, .md, .html, .pdf, .epub, .docx, .odt, .rtf, .srt, .csv, .jsonl, .parquet",
        )
    groups: dict[tuple[str, str, str], list[_Look]] = {}
    for look in looks:
        parent = look.file.name.rpartition("/")[0]
        groups.setdefault((parent, look.file.path.suffix.lower(), look.format), []).append(look)
    proposals = _with_unique_names([
        proposal
        for key, group in sorted(groups.items())
        for proposal in _propose(folder, key, group, tag, alone=len(looks) == len(files) == len(group))
    ])  # fmt: skip
    # What a source's pattern takes in besides is read, or dropped by the build with a reason.
    taken = {file.path for proposal in proposals for file in walk(proposal.source, Path("/"))}
    return Findings(proposals, {item.file.name: item.reason for item in unread if item.file.path not in taken})


def walk_or_explain(folder: Path) -> list[SourceFile]:
    """Return the files of a folder.

    Raises:
        CorpusError: there are none.
    """
    try:
        return walk(Source(path=str(folder.resolve())), Path("/"))
    except CorpusError as error:
        raise CorpusError(
            "the folder has no files", where=str(folder), fix="put text files there: .txt, .html, .pdf, .epub, .docx, .jsonl and many more"
        ) from error


def _looks(files: list[SourceFile], isolated: Isolated) -> Iterator[_Look | _Unread]:
    """Yield what the files look like, or why they hold no text; of many alike that a parser must open, a few speak for all."""
    opened: dict[tuple[str, str, str], list[_Look]] = {}
    for file in files:
        if file.problem or not file.size_bytes:
            yield _Unread(file, file.problem or "empty")
            continue
        name = format_of(file.path)
        if not name:
            yield _Unread(file, f"of no kind that is read ({file.path.suffix or 'no ending'})")
        elif name in ("text", "markdown"):
            yield _look_at_text(file, name)
        elif name in ("json_lines", "parquet"):
            yield _look_at_table(file, name)
        else:
            alike = opened.setdefault((file.name.rpartition("/")[0], file.path.suffix.lower(), name), [])
            if len(alike) >= _NUM_OPENED:
                yield replace(alike[0], file=file, characters=Counter())
            else:
                look = _look_inside(file, name, isolated)
                alike.extend([look] if isinstance(look, _Look) else [])
                yield look


def _look_at_text(file: SourceFile, name: str) -> _Look | _Unread:
    encoding = detect(file.path)
    if not encoding.name:
        return _Unread(file, "not text in any encoding that is known")
    sample = ""
    for chunk in read_text(file.path, encoding):
        sample += chunk
        if len(sample) >= SAMPLE_CHARACTERS:
            break
    sample = sample[:SAMPLE_CHARACTERS]
    if not sample.strip():
        return _Unread(file, "nothing but spaces")
    unit, reason = document_unit(sample, file.size_bytes)
    if name == "markdown" and unit in ("line", "blank_line"):
        # Markdown is written as one text: its blank lines part paragraphs, its short lines are lists and tables.
        unit, reason = ("section" if file.size_bytes > _BOOK_BYTES else "file"), f"one Markdown text of {human_bytes(file.size_bytes)}"
    return _Look(file, name, unit, reason, Counter(sample))


def _look_inside(file: SourceFile, name: str, isolated: Isolated) -> _Look | _Unread:
    """Open a file whose text only a parser can see, and read its beginning."""
    texts: list[str] = []
    num_characters, problem = 0, "no text in it"
    try:
        with closing(isolated.extract(file.path, Source(path="."))) as items:
            for item in items:
                if isinstance(item, Piece):
                    texts.append(item.text)
                    num_characters += len(item.text)
                elif isinstance(item, Rejected):
                    problem = f"{item.reason}: {item.detail}"
                if num_characters >= SAMPLE_CHARACTERS:
                    break
    except PluginError as error:
        return _Unread(file, f"{error.what}: {error.fix}")
    if not num_characters:
        return _Unread(file, problem)
    unit, reason = "file", _WHAT_IS_ONE.get(name, "each file is one document")
    if name in _BOOKS and num_characters > _BOOK_BYTES:
        unit, reason = "section", "a book: cut into sections, so that parts of it can be held out"
    return _Look(file, name, unit, reason, Counter("".join(texts)[:SAMPLE_CHARACTERS]))


def _look_at_table(file: SourceFile, name: str) -> _Look | _Unread:
    """Look at JSON Lines or Parquet: which field holds the text, the longest strings on average."""
    rows = _first_json_lines(file.path) if name == "json_lines" else _first_rows(file.path)
    lengths: dict[str, list[str]] = {}
    for row in rows:
        for key, value in row.items():
            if isinstance(value, str):
                lengths.setdefault(key, []).append(value)
    if not lengths:
        return _Unread(file, "damaged, or no text in any of its fields")
    field = "text" if "text" in lengths else max(lengths, key=lambda key: sum(map(len, lengths[key])))
    kind = "line" if name == "json_lines" else "row"
    reason = f"each {kind} is one document; its text is in the field {field!r}"
    return _Look(file, name, "file", reason, Counter("".join(lengths[field])[:SAMPLE_CHARACTERS]), field)


def _first_json_lines(path: Path) -> list[dict]:
    import json

    rows: list[dict] = []
    with path.open("rb") as file:
        for _ in range(200):
            try:
                row = json.loads(file.readline(1 << 24))
            except (ValueError, RecursionError):
                continue
            rows.extend([row] if isinstance(row, dict) else [])
    return rows


def _first_rows(path: Path) -> list[dict]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            batch = next(file.iter_batches(batch_size=200), None)
            return batch.to_pylist() if batch else []
    except (pa.ArrowException, OSError):
        return []


def document_unit(sample: str, size_bytes: int) -> tuple[DocumentUnit, str]:
    """Return what a document should be in a text that begins like this, and why, in a sentence.

    Args:
        sample: the text's beginning.
        size_bytes: of the whole file.
    """
    blocks = [block for block in re.split(r"\n[^\S\n]*\n\s*", sample.strip()) if block]
    lines = [line for line in sample.split("\n") if line.strip()]
    share = min(1.0, len(sample.encode("utf-8", "replace")) / max(1, size_bytes))
    lines_a_block = len(lines) / max(1, len(blocks))
    typical = statistics.median(len(line) for line in lines)
    if len(blocks) >= 5 and lines_a_block >= 1.5 and size_bytes * share / len(blocks) >= _MIN_BLOCK_BYTES:
        return "blank_line", f"blank lines part about {len(blocks) / share:,.0f} texts of {lines_a_block:.0f} lines on average"
    if len(blocks) >= 5 and size_bytes <= _BOOK_BYTES:
        return "file", f"blank lines part paragraphs of one text of {human_bytes(size_bytes)}"
    if len(blocks) < 5 and len(lines) >= 20 and typical <= _SENTENCE_LENGTH and _are_loose(lines):
        return "line", f"each line is a sentence of its own ({typical:.0f} characters at the median), and neighbours share no thread"
    if size_bytes > _BOOK_BYTES:
        return "section", f"one running text of {human_bytes(size_bytes)}: cut into sections, so that parts of it can be held out"
    return "file", f"one running text of {human_bytes(size_bytes)}"


def _are_loose(lines: list[str]) -> bool:
    """Return whether lines look like sentences put together from anywhere rather than a text with one sentence a line.

    In a running text neighbouring lines share rare words (names above all) more often than lines far apart. Lists of sentences are
    often sorted, so the first few characters are left out of the comparison. Scripts without spaces are compared by character pairs.
    """
    lines = lines[:3000]
    if len(lines) < 20:
        return False
    if sum(line.split()[0] <= following.split()[0] for line, following in pairwise(lines)) > 0.7 * len(lines):
        return True
    features = [_features(line) for line in lines]
    frequency = Counter(feature for found in features for feature in found)
    rare = [{feature for feature in found if 2 <= frequency[feature] <= max(3, len(lines) // 50)} for found in features]
    far = len(lines) // 2
    near_shared = sum(len(a & b) for a, b in pairwise(rare)) / (len(lines) - 1)
    far_shared = sum(len(a & b) for a, b in zip(rare, rare[far:], strict=False)) / (len(lines) - far)
    return near_shared < 1.5 * far_shared + 0.02


def _features(line: str) -> set[str]:
    words = line.casefold().split()
    if len(line) / max(1, len(words)) > 15:
        return {line[index : index + 2] for index in range(len(line) - 1)}
    return {word.strip(".,;:!?\"'()«»“”„…") for word in words} - {""}


def _propose(folder: Path, key: tuple[str, str, str], group: list[_Look], tag: LanguageTag, *, alone: bool) -> list[Proposal]:
    """Return one source for a folder's files of one ending where they are read alike, else one for each; for many, the commonest way."""
    parent, suffix, name = key
    base = folder if folder.is_dir() else folder.parent
    ways = Counter((look.document, look.text_field) for look in group)
    if len(group) == 1 or (len(ways) > 1 and len(group) <= MAX_SINGLE_SOURCES):
        return [_proposal(_slug(look.file.path.stem), str(look.file.path), [look], look.reason, tag) for look in group]
    (unit, field), num_alike = ways.most_common(1)[0]
    reason = next(look.reason for look in group if (look.document, look.text_field) == (unit, field))
    typical = statistics.median(look.file.size_bytes for look in group)
    if name in ("text", "markdown") and (unit == "file" or num_alike < MIN_ALIKE * len(group)):
        unit = "file" if typical <= _BOOK_BYTES else "section"
        reason = f"{len(group):,} texts, one a file ({human_bytes(typical)} at the median)"
        reason += ": cut into sections, so that parts of them can be held out" if unit == "section" else ""
    elif num_alike < len(group):
        reason += f" (so in {num_alike:,} of {len(group):,} files)"
    path = base / parent
    pattern = str(path) if alone else f"{glob.escape(str(path))}/*{_either_case(suffix, group)}"
    chosen = [replace(look, document=unit, text_field=field) for look in group]
    return [_proposal(_slug(path.name), pattern, chosen, reason, tag)]


def _either_case(suffix: str, group: list[_Look]) -> str:
    """Return a pattern for an ending as the files have it: in capitals, too, where some are so."""
    endings = {look.file.path.suffix for look in group}
    if len(endings) == 1:
        return glob.escape(endings.pop())
    return "".join(f"[{letter}{letter.upper()}]" if letter.upper() != letter else letter for letter in suffix)


def _proposal(name: str, path: str, looks: list[_Look], reason: str, tag: LanguageTag) -> Proposal:
    scripts = scripts_of(sum((look.characters for look in looks), Counter()))
    first = looks[0]
    size_bytes = sum(look.file.size_bytes for look in looks)
    source = Source(
        path=path, format=first.format if first.format in _KEPT_FORMATS else "auto", document=first.document, text_field=first.text_field
    )
    if first.document == "section":
        source = source.model_copy(update={"section_bytes": section_bytes_for(size_bytes)})
        reason += f" (of about {human_bytes(source.section_bytes)} each)"
    return Proposal(name, source, reason, len(looks), size_bytes, scripts, tuple(script_warnings(scripts, tag)))


def section_bytes_for(size_bytes: int) -> int:
    """Return how long sections should be, a power of two: enough of them to hold some out, long enough to learn from."""
    wanted = max(1, size_bytes // _NUM_SECTIONS_WANTED)
    return min(65536, max(4096, 1 << (wanted - 1).bit_length()))


def script_warnings(scripts: dict[str, float], tag: LanguageTag) -> list[str]:
    """Return a warning where most of a text is not in the script that the language tag implies."""
    expected = sum(scripts.get(script, 0) for script in tag.unicode_scripts)
    if not scripts or tag.script == "Zzzz" or expected >= MIN_EXPECTED_SCRIPT_SHARE:
        return []
    main = max(scripts, key=lambda script: scripts[script])
    language = tag.tag.split("-")[0]
    return [
        f"{scripts[main]:.0%} of the letters are {main}, but {tag.tag} ({tag.name}) is written in {tag.script} unless its tag says more: "
        f"use `{language}-{main}` if this is right"
    ]


def _slug(name: str) -> str:
    """Return a name for a source that is easy to type: letters, digits and underscores."""
    return re.sub(r"\W+", "_", name).strip("_").lower() or "text"


def _with_unique_names(proposals: list[Proposal]) -> list[Proposal]:
    seen: Counter[str] = Counter()
    result: list[Proposal] = []
    for proposal in proposals:
        seen[proposal.name] += 1
        count = seen[proposal.name]
        result.append(replace(proposal, name=f"{proposal.name}_{count}") if count > 1 else proposal)
    return result
