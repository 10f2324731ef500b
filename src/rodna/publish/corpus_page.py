"""The page about a corpus: what went in, what came out, and every decision between them.

Everything shown comes from the artifacts. What a corpus says is untrusted: every value is escaped by the template.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rodna.core.artifact import Artifact
from rodna.core.files import write_text
from rodna.core.text import human_bytes
from rodna.corpus.inspect import without_licence
from rodna.corpus.language import parse_language
from rodna.corpus.words import OwnWords
from rodna.publish.facts.corpus_account import account_facts, make_up_facts, source_facts
from rodna.publish.facts.corpus_choice import contamination_facts, mix_facts, word_facts
from rodna.publish.facts.corpus_drops import cut_facts, drop_facts, kept_facts
from rodna.publish.facts.corpus_spread import copy_facts, spread_facts
from rodna.publish.page import Section, render_page

NUM_SAMPLES = 6
CHARACTERS = 320


def write_corpus_page(
    corpus: Artifact,
    cleaned: Artifact | None,
    statistics: Mapping[str, Any],
    out: Path,
    *,
    own: Mapping[str, OwnWords],
    against: Mapping[str, OwnWords] = {},
    seed: int = 0,
) -> None:
    """Write the page.

    Args:
        corpus: the artifact.
        cleaned: what it was chosen from; without it the histograms are left out, and the page says so.
        statistics: of the corpus, as `corpus.inspect.statistics_of` returns them.
        out: the page's file.
        own: source -> the words only it has.
        against: what the corpus was compared with -> the words only the corpus has.
        seed: another seed shows other samples.
    """
    language = statistics["language"]
    page = render_page(
        language=language,
        name=corpus.manifest.name,
        heading=f"The {parse_language(language).name} corpus",
        opening=opening(corpus, statistics),
        sections=sections_of(corpus, cleaned, statistics, own=own, against=against, seed=seed),
        folder="corpus",
        styles=["style.css", "corpus.css"],
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, page)


def sections_of(
    corpus: Artifact,
    cleaned: Artifact | None,
    statistics: Mapping[str, Any],
    *,
    own: Mapping[str, OwnWords],
    against: Mapping[str, OwnWords],
    seed: int,
) -> list[Section]:
    """Gather what every section says."""
    shown = {"num_samples": NUM_SAMPLES, "characters": CHARACTERS, "seed": seed}
    gone = "The cleaned documents are not there any more: rodna corpus build makes them again."
    return [
        Section("account", "Account", "What became of every document", account_facts(statistics), ""),
        Section("sources", "Sources", "Where the text comes from", source_facts(statistics), ""),
        Section("make_up", "Make-up", "Scripts, languages and domains", make_up_facts(statistics), ""),
        Section("dropped", "Dropped", "What was dropped, and what tripped it", drop_facts(corpus, statistics, **shown), ""),
        Section("cut", "Cut", "What was cut from kept documents", cut_facts(corpus, **shown), ""),
        Section("kept", "Kept", "What was kept", kept_facts(corpus, statistics, **shown), ""),
        Section("spread", "Histograms", "Length, language and quality", spread_facts(cleaned, corpus, statistics), gone),
        Section("copies", "Copies", "How much is said twice", copy_facts(cleaned, statistics), ""),
        Section("mix", "Mix", "How much each source weighs", mix_facts(statistics), "Nothing is known about the mix."),
        Section("contamination", "Held out", "Held-out text met in training", contamination_facts(statistics), ""),
        Section("words", "Own words", "The words only this text has", word_facts(own, against), ""),
    ]


def opening(corpus: Artifact, statistics: Mapping[str, Any]) -> list[str]:
    """Return the few facts under the title."""
    total, missing = statistics["total"], without_licence(statistics)
    found = [
        f"{total['documents']:,} documents",
        f"{human_bytes(total['bytes'])} of text",
        f"digest {corpus.digest[:8]}",
        corpus.manifest.created[:10],
    ]
    return [*found, f"{len(missing)} without a licence"] if missing else found
