"""The three stages of a corpus: documents, cleaned, corpus. Each is skipped where nothing it depends on has changed.

`documents` reads the sources, `cleaned` repairs and measures each document, `corpus` chooses and holds out. The first two are the costly
ones; a changed threshold redoes the last alone.
"""

import glob
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import zstandard

from rodna.core.artifact import ARTIFACT_NAME, Artifact, Draft, create, damaged, digest_of
from rodna.core.errors import CorpusError, explain_disk_errors
from rodna.core.files import write_json, write_text
from rodna.corpus.config import CorpusConfig, Source
from rodna.corpus.documents import DROPPED, SPLITS
from rodna.corpus.language import parse_language
from rodna.corpus.passes import clean, extract, write
from rodna.corpus.passes.select import REASONS, select
from rodna.corpus.runners import run_tasks
from rodna.corpus.signals import Signals, write_index
from rodna.corpus.sources import fingerprint, fingerprint_files
from rodna.corpus.stats import counts_of, statistics_of_tally
from rodna.corpus.tally import Tally

KINDS = ("documents", "cleaned", "corpus")
FORMAT_VERSION = 3
LEVEL = 3
CUT = "cut"


def check_names(sources: Mapping[str, Source], config: CorpusConfig) -> None:
    """Check what settings call by name, before the hours that reading takes: a name that means nothing would be a setting without effect.

    Raises:
        CorpusError: there is no such source, or no such reason for a document to be dropped that a rule could overrule.
    """
    listed = f"use names under `sources`: {', '.join(sources)}"
    for name in config.quality.seed:
        if name not in sources:
            raise CorpusError(f"no such source: {name}", where="corpus.quality.seed", fix=listed)
    reasons = [reason for _, reason in REASONS if reason]
    for rule in config.keep:
        if rule.source and rule.source not in sources:
            raise CorpusError(f"no such source: {rule.source}", where="corpus.keep", fix=listed)
        if rule.reason and rule.reason not in reasons:
            raise CorpusError(
                f"no rule can overrule {rule.reason!r}", where="corpus.keep", fix=f"use one of these reasons: {', '.join(reasons)}"
            )


def check_sources(sources: Mapping[str, Source]) -> None:
    """Check that there are sources.

    Raises:
        CorpusError: there are none.
    """
    if not sources:
        raise CorpusError(
            "there is no text: `sources` is empty", where="project.yaml, sources", fix="run `rodna init LANG FOLDER`, or add a source"
        )


def settings_of(kind: str, sources: Mapping[str, Source], config: CorpusConfig, language: str) -> dict[str, Any]:
    """Return the settings that the digest of one of the `KINDS` covers: those its stage reads, and no others."""
    every = config.model_dump(mode="json", exclude={"runner"})
    form = every.pop("normalize")
    repairs = {name: form.pop(name) for name in ("apostrophes", "homoglyphs")}
    extracting = {"normalize": form, **{name: every.pop(name) for name in ("extract", "max_document_bytes")}, "sources": list(sources)}
    cleaning = {"normalize": repairs, **{name: every.pop(name) for name in ("steps", "privacy")}}
    cleaning["quality"] = {"seed": every["quality"]["seed"], "boilerplate": every["quality"].pop("boilerplate")}
    cleaning["language"] = {name: every["language"].pop(name) for name in ("identifier", "mixed_share")}
    chosen = {"documents": extracting, "cleaned": cleaning, "corpus": every}[kind]
    return {"language_tag": parse_language(language).tag, **chosen}


def inputs_of(kind: str, before: Artifact | str, *, config: CorpusConfig, root: Path) -> dict[str, Artifact | str]:
    """Return what one of the `KINDS` is made from: the result before it, and files that the settings name.

    Args:
        kind: of the stage.
        before: the artifact before it; the fingerprint of the sources, for the first.
        config: the project's.
        root: the workspace's folder.

    Raises:
        CorpusError: a file is missing.
    """
    if kind == "documents":
        return {"sources": before}
    if kind == "cleaned":
        paths = [] if config.language.identifier in ("builtin", "off") else [config.language.identifier]
        return {"documents": before, "identifier": fingerprint_files(paths, root, where="corpus.language.identifier")}
    paths = config.decontaminate.benchmarks
    return {"cleaned": before, "benchmarks": fingerprint_files(paths, root, where="corpus.decontaminate.benchmarks")}


def make_documents(
    sources: Mapping[str, Source], config: CorpusConfig, out: Path, *, language: str, root: Path, digest: str = ""
) -> Artifact:
    """Read every source into shards of documents.

    Args:
        sources: by name; paths are relative to `root`.
        config: how to read.
        out: the artifact's folder.
        language: a BCP-47 tag.
        root: the workspace's folder.
        digest: of the sources, where it is known already.

    Raises:
        CorpusError: a source is missing or empty, or nothing in it is text.
    """
    check_sources(sources)
    check_names(sources, config)
    settings = settings_of("documents", sources, config, language)
    inputs = inputs_of("documents", digest or fingerprint(sources, root), config=config, root=root)
    with _stage("documents", out, inputs, settings) as (work, draft):
        tasks = extract.extract_tasks(sources, config, work / "files", language=settings["language_tag"], root=root)
        results = run_tasks(config.runner, extract.FUNCTION, tasks, work=work)
        tally = Tally().merge(Tally.from_json(result["tally"]) for result in results)
        shards = [shard for result in results for shard in result["shards"]]
        if not shards:
            raise nothing_left(tally, sources)
        take(work / "files", draft, [f"{shard['name']}.jsonl.zst" for shard in shards] + [result["evidence"] for result in results])
        join(work / "files", draft, DROPPED, [f"{result['dropped']}.jsonl.zst" for result in results])
        write_json(draft.path / "shards.json", {"shards": shards, "evidence": [result["evidence"] for result in results]})
        write_text(draft.path / "tally.json", json.dumps(tally.as_json(), ensure_ascii=False))
        draft.counts.update(documents=sum(shard["documents"] for shard in shards), bytes=sum(shard["bytes"] for shard in shards))
        draft.licences.update({name: source.licence for name, source in sources.items()})
    return draft.result


def make_cleaned(
    documents: Artifact, sources: Mapping[str, Source], config: CorpusConfig, out: Path, *, language: str, root: Path
) -> Artifact:
    """Repair and measure every document.

    Raises:
        CorpusError: nothing is left.
    """
    check_names(sources, config)
    settings = settings_of("cleaned", sources, config, language)
    inputs = inputs_of("cleaned", documents, config=config, root=root)
    with _stage("cleaned", out, inputs, settings) as (work, draft):
        files = work / "files"
        if not (files / "characters.npz").is_file():
            clean.fit(documents, config, files, language=settings["language_tag"])
        shards = json.loads((documents.path / "shards.json").read_text(encoding="utf-8"))["shards"]
        shared = {
            "documents": str(documents.path),
            "fitted": str(files),
            "out": str(files),
            "inputs": {role: item if isinstance(item, str) else item.digest for role, item in inputs.items()},
            "config": config.model_dump(mode="json", include={"steps", "privacy", "language", "quality"}),
            "language": settings["language_tag"],
            "root": str(root),
            "sources": list(sources),
        }
        results = run_tasks(config.runner, clean.FUNCTION, [{"name": shard["name"], **shared} for shard in shards], work=work)
        tally = Tally().merge([_tally(documents.path), *(Tally.from_json(result["tally"]) for result in results)])
        if not any(result["documents"] for result in results):
            raise nothing_left(tally, sources)
        columns = ("jsonl.zst", "rows.npy", "sketches.npy", "windows.npy", "lines.npy", "ids.json")
        names = [f"{result['name']}.{column}" for result in results for column in columns]
        take(files, draft, [*names, "repairs.json", "characters.npz"])
        join(
            files,
            draft,
            DROPPED,
            [str(documents.path.absolute() / f"{DROPPED}.jsonl.zst"), *(f"{result['dropped']}.jsonl.zst" for result in results)],
        )
        write_index(draft.path, [{"name": result["name"], "documents": result["documents"]} for result in results])
        write_text(draft.path / "tally.json", json.dumps(tally.as_json(), ensure_ascii=False))
        draft.counts.update(documents=sum(result["documents"] for result in results))
    return draft.result


def make_corpus(
    cleaned: Artifact, sources: Mapping[str, Source], config: CorpusConfig, out: Path, *, language: str, root: Path
) -> Artifact:
    """Choose what is kept and what is held out, and write it.

    Raises:
        CorpusError: nothing is left, or there is too little text for the split.
    """
    check_names(sources, config)
    settings = settings_of("corpus", sources, config, language)
    inputs = inputs_of("corpus", cleaned, config=config, root=root)
    with _stage("corpus", out, inputs, settings, seed=config.seed) as (work, draft):
        files = work / "files"
        if not (files / "selected.json").is_file():
            facts = select(cleaned, config, files, language=settings["language_tag"], sources=tuple(sources), root=root)
            if not facts["documents"]:
                before = _tally(cleaned.path)
                for step, reason, number in facts["dropped"]:
                    before.add("dropped_documents", "", step, reason, number=number)
                raise nothing_left(before, sources)
            write_json(files / "selected.json", facts)
        facts = json.loads((files / "selected.json").read_text(encoding="utf-8"))
        signals = Signals.open(cleaned.path)
        shared = {"cleaned": str(cleaned.path), "selected": str(files), "out": str(files), "sources": list(sources)}
        results = run_tasks(config.runner, write.FUNCTION, [{"name": shard.name, **shared} for shard in signals.shards], work=work)
        tally = Tally().merge([_tally(cleaned.path), *(Tally.from_json(result["tally"]) for result in results)])
        if not any(split == SPLITS[0] for _, split in tally.table("kept_documents")):
            raise nothing_to_train_on(tally, sources)
        tally.check_balance(sources)
        for split in (*SPLITS, CUT):
            join(files, draft, split, [result["files"][split] for result in results])
        join(
            files,
            draft,
            DROPPED,
            [str(cleaned.path.absolute() / f"{DROPPED}.jsonl.zst"), *(result["files"][DROPPED] for result in results)],
        )
        figures = statistics_of_tally(tally, sources, language=settings["language_tag"])
        write_json(draft.path / "statistics.json", {**figures, "selection": facts})
        draft.counts.update(counts_of(tally))
    return draft.result


def build_corpus(sources: Mapping[str, Source], config: CorpusConfig, out: Path, *, language: str, root: Path) -> Artifact:
    """Make a corpus in one go, its intermediate artifacts in a temporary folder beside it.

    Raises:
        CorpusError: a source is missing or empty, nothing is left, or there is too little text for the split.
        ConfigError: the language tag is unknown.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}.", suffix=".parts", dir=out.parent) as folder:
        documents = make_documents(sources, config, Path(folder) / "documents-00000000", language=language, root=root)
        cleaned = make_cleaned(documents, sources, config, Path(folder) / "cleaned-00000000", language=language, root=root)
        return make_corpus(cleaned, sources, config, out, language=language, root=root)


@contextmanager
def _stage(
    kind: str, out: Path, inputs: Mapping[str, Artifact | str], settings: Mapping[str, Any], *, seed: int = 0
) -> Iterator[tuple[Path, Draft]]:
    """Offer a folder for work that survives a crash, and the artifact that is made from it; the folder goes when the artifact is whole."""
    digests = {role: item if isinstance(item, str) else item.digest for role, item in inputs.items()}
    digest = digest_of(kind, format_version=FORMAT_VERSION, inputs=digests, config=settings)
    work = out.parent / f".{out.name}.work"
    with explain_disk_errors(out):
        # What is left of a build from other text or settings is of no use any more.
        others = out.parent.glob(f".{glob.escape(out.name.rpartition('-')[0])}-*.work") if ARTIFACT_NAME.search(out.name) else ()
        for other in {*others, work}:
            marker = other / "digest"
            if other != work or not marker.is_file() or marker.read_text(encoding="utf-8") != digest:
                shutil.rmtree(other, ignore_errors=True)
        (work / "files").mkdir(parents=True, exist_ok=True)
        write_text(work / "digest", digest)
        try:
            with create(out, kind=kind, format_version=FORMAT_VERSION, inputs=inputs, config=settings, seed=seed) as draft:
                yield work, draft
        except FileNotFoundError as error:
            if not Path(str(error.filename)).is_relative_to(work):
                raise
            shutil.rmtree(work, ignore_errors=True)
            raise damaged(work, f"{Path(error.filename).name}, which a finished task wrote, is not there any more") from error
        except BaseException as error:
            # Finished tasks are kept for the next try, unless it is the text that must change first.
            if isinstance(error, CorpusError) or not any((work / "results").glob("*.json")):
                shutil.rmtree(work, ignore_errors=True)
            raise
        shutil.rmtree(work, ignore_errors=True)


def take(folder: Path, draft: Draft, names: Sequence[str]) -> None:
    """Put finished files into the artifact, as links where the file system has them: until it is whole, they stay where they were made."""
    for name in names:
        try:
            os.link(folder / name, draft.path / name)
        except OSError:
            shutil.copyfile(folder / name, draft.path / name)


def join(folder: Path, draft: Draft, name: str, parts: Sequence[str]) -> None:
    """Write the lines of several compressed files, in `folder` or at full paths, as one frame: many readers stop after the first."""
    # With threads, zstd's output is the same for any number of them.
    compressor = zstandard.ZstdCompressor(level=LEVEL, threads=2)
    with (draft.path / f"{name}.jsonl.zst").open("wb") as file, compressor.stream_writer(file) as target:
        for part in parts:
            with (folder / part).open("rb") as source, zstandard.ZstdDecompressor().stream_reader(source) as stream:
                shutil.copyfileobj(stream, target, 1 << 20)  # pyright: ignore[reportArgumentType]


def _tally(folder: Path) -> Tally:
    return Tally.from_json(json.loads((folder / "tally.json").read_text(encoding="utf-8")))


def nothing_left(tally: Tally, sources: Mapping[str, Source]) -> CorpusError:
    """Return the error for sources in which nothing can be learned from."""
    listed = _reasons(tally) or "they are blank"
    return CorpusError(
        f"no document is left to learn from: {tally.total('files'):,} files read, everything in them dropped: {listed}",
        where=", ".join(source.path for source in sources.values()),
        fix="look at the files: are they text in the language? A source's `format`, `document` and `text_field` say how they are read",
    )


def nothing_to_train_on(tally: Tally, sources: Mapping[str, Source]) -> CorpusError:
    """Return the error for a corpus of which at most held-out text is left."""
    return CorpusError(
        f"no training text is left: {_reasons(tally)}",
        where=", ".join(source.path for source in sources.values()),
        fix="look at what would drop so much: corpus.decontaminate.benchmarks may hold this very text, corpus.mix may leave all of it out",
    )


def _reasons(tally: Tally) -> str:
    """Return the commonest reasons for which documents were dropped, in words."""
    reasons: dict[str, int] = {}
    for (_, step, reason), number in tally.table("dropped_documents").items():
        reasons[f"{reason} ({step})"] = reasons.get(f"{reason} ({step})", 0) + number
    return "; ".join(f"{number:,} x {reason}" for reason, number in sorted(reasons.items(), key=lambda item: -item[1])[:5])
