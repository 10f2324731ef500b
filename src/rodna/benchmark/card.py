"""The data card of a translated benchmark: how it was made, what the checks and people found, and what it is not good for.

Everything it says comes from the folder's own files, so that it is written again whenever they change.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from rodna import __version__
from rodna.benchmark import validate
from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.language import SOURCE_LETTERS
from rodna.benchmark.words import WORDS
from rodna.core.files import write_text
from rodna.core.hub import front_matter_of, hub_name, md, size_category
from rodna.core.log import warn
from rodna.corpus.language import parse_language

CARD = "README.md"
MARK = "<!-- Written by rodna"
"""By this line a card is known as ours, which may be written over."""
ROLES = {"first": "translates", "second": "compared with it, and stands in where it fails", "back": "translates back, for the round trip"}
SHARED = ("round_trip", "agreement", "length_ratio")
UNITS = {
    "round_trip": "chrF of an item translated back with its source (0 to 100)",
    "agreement": "chrF of an item's two translations (0 to 100)",
    "length_ratio": "characters of a translation to one of its source",
}


def is_in_the_way(folder: Path) -> bool:
    """Return whether there is a card that rodna did not write."""
    card = folder / CARD
    return card.is_file() and MARK not in card.read_text(encoding="utf-8", errors="replace")


def write_card(
    folder: Path,
    about: Mapping[str, Any],
    final: Sequence[Mapping[str, Any]],
    counts: Mapping[str, Any],
    verdicts: Sequence[Mapping[str, Any]],
) -> None:
    """Write `README.md`, unless there is one that rodna did not write.

    Args:
        folder: of the benchmark.
        about: what `about.json` says.
        final: items after the verdicts.
        counts: of them.
        verdicts: all that were given on the translations as they stand now, the overruled ones too.
    """
    if is_in_the_way(folder):
        warn(f"{folder / CARD} is not by rodna, and is left as it is: no data card")
        return
    write_text(folder / CARD, card_of(folder.resolve().name, about, final, counts, verdicts, harness=_harness_tasks(folder)))


def card_of(
    name: str,
    about: Mapping[str, Any],
    final: Sequence[Mapping[str, Any]],
    counts: Mapping[str, Any],
    verdicts: Sequence[Mapping[str, Any]],
    *,
    harness: Sequence[str],
) -> str:
    """Return the card: YAML front matter, then Markdown.

    Args:
        name: of the benchmark.
        about: what `about.json` says.
        final: items after the verdicts.
        counts: of them.
        verdicts: on the translations as they stand now.
        harness: names of the tasks for lm-evaluation-harness.
    """
    config = BenchmarkConfig.model_validate(about["config"])
    kept = [record for record in final if record["status"] in ("accepted", "repaired")]
    text = _template().render(
        mark=f"{MARK} {__version__}. Written again by `rodna benchmark`: what you change here is lost. -->",
        front=_front_matter(name, config, kept),
        name=name,
        about=about,
        config=config,
        source=parse_language(config.source_language),
        target=parse_language(config.language),
        translators=[(version, ROLES[role]) for role, version in about["translators"].items()],
        counts=counts,
        num_kept=len(kept),
        num_kept_unseen=sum(not record["human"] for record in kept),
        num_people=len({verdict["who"] for verdict in verdicts}),
        overruled=overruled(final),
        checks=_checks(final, config),
        measured=_measured(kept),
        words=WORDS,
        harness=harness,
        limits=limits_of(config, about, kept),
        version=__version__,
    )
    return text if text.endswith("\n") else text + "\n"


@cache
def _template() -> Any:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rodna.benchmark"),
        autoescape=False,  # it is Markdown, in which `md` escapes every value
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(md=md, number=_number, share=_share)
    return environment.get_template("benchmark_card.md.jinja")


def _number(value: int) -> str:
    return f"{value:,}"


def overruled(final: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return how often people disagreed with the checks, of the items they saw.

    Returns:
        `passed`: seen items that the checks had let through; `passed_wrongly`: those of them that were edited or rejected;
        `refused`: seen items that the checks had rejected; `refused_wrongly`: those of them that were accepted as they were.
    """
    seen = [record for record in final if record["human"] and record["checks"]]
    passed = [record for record in seen if record["by_checks"] in ("accepted", "repaired")]
    refused = [record for record in seen if record["by_checks"] == "rejected"]
    return {
        "passed": len(passed),
        "passed_wrongly": sum(record["human"] != "accept" for record in passed),
        "refused": len(refused),
        "refused_wrongly": sum(record["human"] == "accept" for record in refused),
    }


def limits_of(config: BenchmarkConfig, about: Mapping[str, Any], kept: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what somebody who uses the benchmark should know that it lacks."""
    limits = []
    unseen = sum(not record["human"] for record in kept)
    if unseen:
        limits.append(
            f"{unseen:,} of its {len(kept):,} items are a machine's translation that no person has seen. Checks find what is lost, "
            "doubled or left as it was; they do not find a sentence that nobody would say, or one that says something else fluently."
        )
    else:
        limits.append("The translation is a machine's, though a person saw every item: it may still sound translated.")
    limits.append(
        "What the source takes for granted (money, measures, names, schools, laws, jokes) was translated, not replaced: "
        "it may be foreign to speakers. Errors of the source are errors here."
    )
    roles = about["translators"]
    if "second" not in roles:
        limits.append("There was one translator only: nothing was compared with another's translation.")
    if "back" not in roles:
        limits.append("Nothing was translated back.")
    elif "first" in roles and roles["back"].split()[0] == roles["first"].split()[0]:
        limits.append("The same program translated back: a mistake that it makes in both directions is not found by the round trip.")
    if config.identifier == "off":
        limits.append("No check told the language of the translations.")
    if config.ignore:
        limits.append(f"These checks rejected nothing, by the maker's wish: {', '.join(config.ignore)}.")
    limits.append("Results are not comparable with those on the source: another language, and other items left.")
    return limits


def _front_matter(name: str, config: BenchmarkConfig, kept: Sequence[Mapping[str, Any]]) -> str:
    source, target = parse_language(config.source_language), parse_language(config.language)
    has_options = bool(kept) and bool(kept[0]["options"])
    people = any(record["human"] == "edit" for record in kept)
    values: dict[str, Any] = {
        "language": [target.tag.split("-")[0].lower()],
        "license": hub_name(config.licence) if config.licence else "unknown",
        "pretty_name": f"{name}: {target.name} from {source.name}",
        "size_categories": [size_category(len(kept))],
        "task_categories": ["multiple-choice"] if has_options else ["question-answering"],
        "multilinguality": ["translation"],
        "source_datasets": ["extended|other"],
        "language_creators": ["machine-generated", *(["expert-generated"] if people else [])],
        "tags": ["machine-translated", "evaluation", "rodna"],
        "configs": [{"config_name": "default", "data_files": [{"split": "test", "path": "benchmark.jsonl"}]}],
    }
    if "-" in target.tag:
        values["language_bcp47"] = [target.tag]
    if config.licence and hub_name(config.licence) == "other":
        values["license_name"] = config.licence
    return front_matter_of(values)


def _checks(final: Sequence[Mapping[str, Any]], config: BenchmarkConfig) -> list[dict[str, Any]]:
    """Return every check with what it wants and how many items passed, failed or could not be judged, before any person."""
    outcomes: dict[str, Counter[Any]] = {}
    for record in final:
        for check in record["checks"]:
            outcomes.setdefault(check["name"], Counter())[check["passed"]] += 1
    wants = _wants(config)
    return [
        {
            "name": name,
            "wants": wants.get(name, ""),
            "passed": found[True],
            "failed": found[False],
            "unknown": found[None],
            "ignored": name in config.ignore,
        }
        for name, found in outcomes.items()
    ]


def _wants(config: BenchmarkConfig) -> dict[str, str]:
    """Return check -> what it asks of an item, with its threshold."""
    target = parse_language(config.language).name
    usual = f"{config.fence:g} quartile distances of this benchmark's quartiles"
    not_low = f"no lower than {config.fence:g} quartile distances below this benchmark's lower quartile"
    copied_from, fit_from = validate.MIN_LETTERS_TO_COUNT, validate.MIN_TO_FIT
    return {
        "empty": "every text that says something has a translation",
        "placeholders": "formulas, code, markup, addresses, gaps and line breaks are all there, and no others",
        "numbers": "the numbers are all there, and no others",
        "length_ratio": f"characters for each of the source's are within {usual}; from {fit_from} texts on",
        "untranslated": f"no text of {validate.MIN_LETTERS_TO_COPY} letters or more is its source again",
        "copied_words": (
            f"letters in words of the source are at most {validate.MIN_COPIED:.0%}, or no more than is usual in this benchmark; "
            f"from {copied_from} letters on"
        ),
        "language": (
            f"is not told to be another language than {target} with a confidence of {config.min_confidence:g} or more; "
            f"from {config.min_letters} letters on, from {SOURCE_LETTERS} for the source's language"
        ),
        "options": "as many options as in the source",
        "distinct_options": "no two options say the same",
        "answer_key": "the key names the same option or number; translated again or back, the right answer is not nearer to another option",
        "round_trip": f"chrF of the item translated back and its source is at least {config.min_round_trip:g}, and {not_low}",
        "agreement": f"chrF of two translators' texts is at least {config.min_agreement:g}, and {not_low}",
    }


def _measured(kept: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the quartiles of what the checks measured on the machine's translation of the items that are kept."""
    import numpy as np

    found = []
    for name in SHARED:
        checks = [check for record in kept for check in record["checks"] if check["name"] == name]
        values = [float(check["value"]) for check in checks if check["value"] is not None]
        if values:
            low, middle, high = np.quantile(np.array(values), [0.25, 0.5, 0.75]).tolist()
            digits = 2 if name == "length_ratio" else 1
            found.append({"what": UNITS[name], "n": len(values), "quartiles": [f"{value:.{digits}f}" for value in (low, middle, high)]})
    return found


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "–"


def _harness_tasks(folder: Path) -> list[str]:
    return sorted(path.stem for path in (folder / "harness").glob("*.yaml"))
