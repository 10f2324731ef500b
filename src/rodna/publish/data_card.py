"""A corpus as a data set for others: Parquet files, a card in the Hugging Face form (`README.md`), and Croissant metadata.

Everything said comes from the artifact's manifest and figures, and from what the project file says of its sources.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rodna import __version__
from rodna.core.artifact import Artifact
from rodna.core.files import write_json, write_text
from rodna.core.hub import front_matter_of, hub_name, md, size_category
from rodna.core.text import human_bytes
from rodna.corpus.config import Source
from rodna.corpus.inspect import ledger_of, statistics_of
from rodna.corpus.language import parse_language
from rodna.publish.croissant import croissant_of
from rodna.publish.data_files import FIELDS, write_splits
from rodna.publish.facts.corpus_account import signed
from rodna.publish.facts.corpus_drops import WORDS
from rodna.publish.facts.view import plural, share
from rodna.publish.licences import PublishError, check_publishable, licences_of, link_of

MARK = "<!-- Written by rodna"
"""By this line a card is known as ours, which may be written over."""
ONE_VOICE = 0.5
"""A source of more than this share of the text is named among the gaps."""
NUM_HITS = 20


def write_data_set(corpus: Artifact, sources: Mapping[str, Source], folder: Path, *, draft: bool) -> list[dict[str, Any]]:
    """Write a folder that can be loaded, or uploaded, as it is.

    Args:
        corpus: the artifact.
        sources: of the project as it stands now; what they say of licence, origin, date and consent goes into the card.
        folder: to write; files of other origin in it stay.
        draft: write it although a source has no licence, and mark it as a draft.

    Returns:
        Path, size and SHA-256 of each data file.

    Raises:
        PublishError: a source has no licence, or a card that rodna did not write is in the way.
    """
    if not draft:
        check_publishable(corpus, sources)
    readme = folder / "README.md"
    if readme.is_file() and MARK not in readme.read_text(encoding="utf-8", errors="replace"):
        raise PublishError(
            "there is a README.md that rodna did not write", where=str(readme), fix="move it away, or name another folder with --out"
        )
    statistics = statistics_of(corpus, sources)
    licences = licences_of(corpus, sources)
    files = write_splits(corpus, folder)
    write_text(readme, card_of(corpus, statistics, licences, files, draft=draft))
    language = statistics["language"]
    metadata = croissant_of(
        name=name_of(corpus, statistics),
        description=description_of(statistics),
        language=language,
        digest=corpus.digest,
        created=corpus.manifest.created,
        licences=list(dict.fromkeys(link_of(licence) for licence in licences.values() if licence)),
        files=files,
        cleaning=cleaning_of(statistics),
        draft=draft,
    )
    write_json(folder / "croissant.json", metadata)
    return files


def card_of(
    corpus: Artifact, statistics: Mapping[str, Any], licences: Mapping[str, str], files: Sequence[Mapping[str, Any]], *, draft: bool
) -> str:
    """Return the card: YAML front matter, then Markdown."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rodna.publish"),
        autoescape=False,  # it is Markdown, in which `md` escapes every value
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(md=md, size=human_bytes, signed=signed)
    text = environment.get_template("data_card.md.jinja").render(
        mark=f"{MARK} {__version__}. Written again by `rodna corpus card`: edit project.yaml instead. -->",
        front=front_matter(corpus, statistics, licences, files, draft=draft),
        name=name_of(corpus, statistics),
        description=description_of(statistics),
        draft=draft,
        statistics=statistics,
        licences=licences,
        missing=[name for name, licence in licences.items() if not licence],
        files=files,
        fields=FIELDS,
        ledger=ledger_of(statistics),
        words=WORDS,
        gaps=gaps_of(statistics),
        hits=statistics["selection"].get("contamination", []),
        num_hits=NUM_HITS,
        manifest=corpus.manifest,
        share=share,
    )
    return text if text.endswith("\n") else text + "\n"


def front_matter(
    corpus: Artifact, statistics: Mapping[str, Any], licences: Mapping[str, str], files: Sequence[Mapping[str, Any]], *, draft: bool
) -> str:
    """Return the YAML that the Hub reads. Reference: huggingface.co/docs/hub/datasets-cards."""
    tag = statistics["language"]
    names = list(dict.fromkeys(hub_name(licence) for licence in licences.values() if licence))
    unknown = draft and not all(licences.values())
    values: dict[str, Any] = {
        "language": [tag.split("-")[0].lower()],
        "license": "unknown" if unknown or not names else names[0] if len(names) == 1 else names,
        "pretty_name": name_of(corpus, statistics),
        "size_categories": [size_category(statistics["total"]["documents"])],
        "task_categories": ["text-generation", "fill-mask"],
        "task_ids": ["language-modeling", "masked-language-modeling"],
        "multilinguality": ["monolingual"],
        "source_datasets": ["original"],
        "configs": [{"config_name": "default", "data_files": [{"split": file["split"], "path": file["path"]} for file in files]}],
    }
    if "-" in tag:
        values["language_bcp47"] = [tag]
    if "other" in names and not unknown:
        values["license_name"] = "; ".join(dict.fromkeys(licence for licence in licences.values() if hub_name(licence) == "other"))
    return front_matter_of(values)


def name_of(corpus: Artifact, statistics: Mapping[str, Any]) -> str:
    """Return what the data set is called."""
    return f"{parse_language(statistics['language']).name} text: {corpus.manifest.name}"


def description_of(statistics: Mapping[str, Any]) -> str:
    """Return what the data set is, in a sentence."""
    total, language = statistics["total"], parse_language(statistics["language"])
    documents, sources = plural(total["documents"], "document"), plural(len(statistics["sources"]), "source")
    return (
        f"{human_bytes(total['bytes'])} of {language.name} ({language.tag}) text in {documents} from {sources}, cleaned, without copies, "
        "with a held-out part, for training language models."
    )


def cleaning_of(statistics: Mapping[str, Any]) -> str:
    """Return the ledger in a few sentences."""
    steps = [
        f"{entry.step}: {entry.what.replace('_', ' ')} ({signed(entry.documents)} documents, {signed(entry.size_bytes)} bytes)"
        for entry in ledger_of(statistics)
        if entry.step
    ]
    balance = statistics["balance"]
    return f"{balance['read']:,} documents read, {balance['kept']:,} kept, {balance['dropped']:,} dropped. " + "; ".join(steps)


def gaps_of(statistics: Mapping[str, Any]) -> list[str]:
    """Return what a user should know that the text lacks or leans towards."""
    gaps: list[str] = []
    whole = max(1, statistics["total"]["bytes"])
    for name, source in statistics["sources"].items():
        size = sum(split["bytes"] for split in source["splits"].values())
        if size > ONE_VOICE * whole and len(statistics["sources"]) > 1:
            gaps.append(f"{share(size, whole)} of the text is from one source, {md(name)}: a model learns its voice and its subjects.")
    for field, says in (
        ("origin", "where it comes from"),
        ("date", "when it was written or collected"),
        ("consent", "who agreed to this use"),
    ):
        lacking = [md(name) for name, source in statistics["sources"].items() if not source[field].strip()]
        if lacking:
            gaps.append(f"Not written down {says}: {', '.join(lacking)}.")
    scanned = sum(entry["documents"] for entry in statistics["dropped"] if entry["reason"] == "page_needs_ocr")
    if scanned:
        gaps.append(f"Scanned pages, which hold no text, of {plural(scanned, 'file')} are missing.")
    if number := statistics["mixed"]["documents"]:
        gaps.append(f"{number:,} documents switch between languages; `share` in their `meta` says how much of each is in the language.")
    replaced = ", ".join(f"{number:,} x {kind}" for kind, number in statistics["redacted"].items())
    gaps.append(
        f"Personal data was replaced where a pattern shows it ({replaced}); names were not."
        if replaced
        else "No personal data was taken out: names, and what people wrote of themselves, may be in it."
    )
    return gaps
