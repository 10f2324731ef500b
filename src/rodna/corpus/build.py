"""Build a corpus: read every source, normalize, drop copies, hold out a split, count everything.

Two passes, so that memory use does not grow with the text: the first writes what is kept to a temporary file and remembers 32 bytes a
document; the second deals the documents out to the splits.
"""

from array import array
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rodna.core.artifact import Artifact, create
from rodna.core.errors import CorpusError, RodnaError
from rodna.core.files import write_json
from rodna.core.workspace import Stage
from rodna.corpus.config import CorpusConfig, Source
from rodna.corpus.documents import DROPPED, SPLITS, Document, Dropped, JsonLinesWriter, excerpt_of, open_lines
from rodna.corpus.extractors import Extractor, Limits, Piece, Rejected, format_of, load_extractor
from rodna.corpus.extractors.text import reject_binary
from rodna.corpus.language import parse_language
from rodna.corpus.normalize import normalize
from rodna.corpus.sources import SourceFile, fingerprint, walk
from rodna.corpus.split import SplitPlan, key_of, position_of
from rodna.corpus.stats import Statistics

KIND = "corpus"
FORMAT_VERSION = 1
_KEPT = "kept.jsonl.zst.tmp"


def corpus_stage(sources: Mapping[str, Source], config: CorpusConfig, *, language: str, root: Path) -> Stage:
    """Return the stage that builds this corpus, so that it can be skipped where nothing has changed.

    Raises:
        CorpusError: a source is missing or empty, or there is none.
        ConfigError: the language tag is unknown.
    """
    _check_sources(sources)
    tag = parse_language(language).tag
    digest = fingerprint(sources, root)
    return Stage(
        kind=KIND,
        name=tag,
        format_version=FORMAT_VERSION,
        inputs={"sources": digest},
        config=settings_of(config, tag),
        make=lambda out: _build(sources, config, out, language=tag, root=root, digest=digest),
    )


def settings_of(config: CorpusConfig, language: str) -> dict[str, Any]:
    """Return the settings that a corpus' digest covers."""
    return {"language": language, **config.model_dump(mode="json")}


def build_corpus(sources: Mapping[str, Source], config: CorpusConfig, out: Path, *, language: str, root: Path) -> Artifact:
    """Read every source and write the corpus to `out`.

    Args:
        sources: by name; paths are relative to `root`.
        config: how to clean and to hold out.
        out: the artifact's folder.
        language: a BCP-47 tag.
        root: the workspace's folder.

    Raises:
        CorpusError: a source is missing or empty, nothing is left, or there is too little text for the split.
        ConfigError: the language tag is unknown.
    """
    _check_sources(sources)
    tag = parse_language(language).tag
    return _build(sources, config, out, language=tag, root=root, digest=fingerprint(sources, root))


def _check_sources(sources: Mapping[str, Source]) -> None:
    if not sources:
        raise CorpusError(
            "there is no text: `sources` is empty", where="project.yaml, sources", fix="run `rodna init LANG FOLDER`, or add a source"
        )


def _build(sources: Mapping[str, Source], config: CorpusConfig, out: Path, *, language: str, root: Path, digest: str) -> Artifact:
    settings = settings_of(config, language)
    with create(out, kind=KIND, format_version=FORMAT_VERSION, inputs={"sources": digest}, config=settings, seed=config.seed) as draft:
        statistics = Statistics(language, sources)
        with JsonLinesWriter(draft.path / f"{DROPPED}.jsonl.zst") as dropped, JsonLinesWriter(draft.path / _KEPT, level=1) as kept:
            reader = Reader(config, language, statistics)
            for item in reader.read(sources, root):
                if isinstance(item, Dropped):
                    statistics.add_dropped(item)
                    dropped.write(item)
                else:
                    kept.write(item)
                    statistics.add_text(item.text)
        if not reader.plan.sizes:
            raise _nothing_left(statistics, out)
        splits = reader.plan.assign(config.split, where="project.yaml, corpus.split")
        _deal_out(draft.path, splits, reader, statistics)
        (draft.path / _KEPT).unlink()
        statistics.check_balance()
        write_json(draft.path / "statistics.json", statistics.as_json())
        draft.counts.update(statistics.counts())
        draft.licences.update({name: source.licence for name, source in sources.items()})
    return draft.result


def _deal_out(folder: Path, splits: np.ndarray, reader: "Reader", statistics: Statistics) -> None:
    """Write every kept document to the file of its split, in the order it was read."""
    names = list(statistics.sources)
    with ExitStack() as stack:
        writers = [stack.enter_context(JsonLinesWriter(folder / f"{split}.jsonl.zst")) for split in SPLITS]
        lines = stack.enter_context(open_lines(folder / _KEPT))
        every = zip(lines, splits.tolist(), reader.plan.sizes, reader.lengths, reader.sources, strict=True)
        for line, split, size_bytes, num_characters, source in every:
            statistics.add_kept(names[source], SPLITS[split], size_bytes, num_characters)
            writers[split].write_line(line)


def _nothing_left(statistics: Statistics, out: Path) -> CorpusError:
    reasons = sorted(statistics.reasons.items(), key=lambda item: -item[1][0])[:5]
    listed = "; ".join(f"{documents:,} x {reason} ({step})" for (step, reason), (documents, _) in reasons)
    num_files = sum(counts.files for counts in statistics.by_source.values())
    return CorpusError(
        f"no document is left to learn from: {num_files:,} files read, everything in them dropped: {listed or 'they are blank'}",
        where=", ".join(source.path for source in statistics.sources.values()),
        fix="look at the files: are they text in the language? A source's `format`, `document` and `text_field` say how they are read",
    )


@dataclass
class Reader:
    """Reads sources into documents and drops, and remembers what the split needs."""

    config: CorpusConfig
    language: str
    statistics: Statistics

    def __post_init__(self) -> None:
        self.plan = SplitPlan()
        # Of each kept document: its length in characters and the number of its source.
        self.lengths: array[int] = array("q")
        self.sources: array[int] = array("L")
        self._seen: dict[bytes, int] = {}
        self._ids: list[str] = []
        self._source_number = 0

    def read(self, sources: Mapping[str, Source], root: Path) -> Iterator[Document | Dropped]:
        """Yield one `Document` or `Dropped` for each document read, source by source, file by file."""
        for self._source_number, (name, source) in enumerate(sources.items()):
            for file in walk(source, root, name=name):
                counts = self.statistics.by_source[name]
                counts.files += 1
                counts.size_bytes += file.size_bytes
                number = 0
                for piece in self._pieces(file, source):
                    whole = isinstance(piece, Piece) and is_valid(piece.text)
                    for part in (piece,) if whole else without_damage(piece):
                        number += 1
                        counts.read += 1
                        yield self._judge(f"{name}/{file.name}#{number}", name, part)

    def _pieces(self, file: SourceFile, source: Source) -> Iterator[Piece | Rejected]:
        """Yield what a file's extractor finds in it; an error in the file becomes a rejection."""
        if file.size_bytes == 0:
            yield Rejected("empty_file", "the file has no bytes", 0)
            return
        if file.size_bytes > self.config.extract.max_file_bytes:
            yield Rejected(
                "file_too_large",
                f"{file.size_bytes:,} bytes; corpus.extract.max_file_bytes is {self.config.extract.max_file_bytes:,}",
                file.size_bytes,
            )
            return
        name = format_of(file.path) if source.format == "auto" else source.format
        if not name:
            yield reject_binary(file.path)
            return
        extract: Extractor = load_extractor(name)
        found = False
        try:
            for piece in extract(file.path, source, Limits(max_document_bytes=self.config.max_document_bytes)):
                found = True
                yield piece
        except (OSError, RodnaError) as error:
            found = True
            yield Rejected("unreadable_file", str(error).replace("\n", " "), file.size_bytes)
        if not found:
            yield Rejected("blank_file", "nothing but white space, or no text in it", file.size_bytes)

    def _judge(self, identity: str, source: str, piece: Piece | Rejected) -> Document | Dropped:
        if isinstance(piece, Rejected):
            return Dropped(identity, source, "extract", piece.reason, piece.detail, piece.size_bytes, excerpt_of(piece.excerpt))
        text = piece.text
        if self.config.normalize.unicode:
            done = normalize(text, mend=self.config.normalize.mend_mojibake)
            text = done.text
            if done.changes:
                self.statistics.mended.update(done.changes)
        if "encoding" in piece.meta:
            self.statistics.encodings[piece.meta["encoding"]] += 1
        size_bytes = len(text.encode("utf-8"))
        if not text or text.isspace():
            return Dropped(
                identity, source, "normalize", "blank", "nothing is left but white space", len(piece.text.encode()), excerpt_of(piece.text)
            )
        if size_bytes < self.config.min_document_bytes:
            detail = f"{size_bytes} bytes; corpus.min_document_bytes is {self.config.min_document_bytes:,}"
            return Dropped(identity, source, "filter", "too_short", detail, size_bytes, excerpt_of(text))
        key = key_of(text)
        if self.config.deduplicate.exact:
            first = self._seen.setdefault(key, len(self._ids))
            if first < len(self._ids):
                return Dropped(
                    identity, source, "deduplicate", "duplicate", f"same text as {self._ids[first]}", size_bytes, excerpt_of(text)
                )
            self._ids.append(identity)
        self.plan.add(position_of(key, self.config.seed), size_bytes)
        self.lengths.append(len(text))
        self.sources.append(self._source_number)
        return Document(identity, text, source, self.language, dict(piece.meta))


def without_damage(piece: Piece | Rejected) -> Iterator[Piece | Rejected]:
    """Yield a piece without the lines that hold undecodable bytes, and a rejection for these lines."""
    if isinstance(piece, Rejected) or is_valid(piece.text):
        yield piece
        return
    lines = piece.text.split("\n")
    whole = "\n".join(line for line in lines if is_valid(line))
    if whole and not whole.isspace():
        yield Piece(whole, piece.meta)
    damaged = [line for line in lines if not is_valid(line)]
    text = "\n".join(damaged)
    bad = [character for character in text if "\ud800" <= character <= "\udfff"]
    # read_text turns the byte 0xE9 into U+DCE9; other surrogates were written so, as JSON allows.
    kinds = dict.fromkeys(f"byte 0x{ord(c) - 0xDC00:02X}" if "\udc00" <= c <= "\udcff" else f"U+{ord(c):04X}" for c in bad)
    where = "1 line" if len(damaged) == 1 else f"{len(damaged):,} lines"
    detail = f"not valid {piece.meta.get('encoding', 'UTF-8')}: {', '.join(list(kinds)[:5])} ({len(bad):,} in {where})"
    yield Rejected("undecodable", detail, len(text.encode("utf-8", "surrogatepass")), text)


def is_valid(text: str) -> bool:
    """Return whether a text can be written as UTF-8: it holds no lone surrogate."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True
