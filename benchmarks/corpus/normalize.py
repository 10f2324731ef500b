"""What normalising, evidence and repair cost, and what they change: megabytes of UTF-8 a second on one core, beside ftfy, in one run.

Documents are about 4 KB of whole lines. `ftfy` is `ftfy.fix_text` with what would change right text switched off: what pipelines use
otherwise. Each number is the best of `--rounds`; rounds alternate between the steps.

Run:
    python benchmarks/corpus/normalize.py --data <folder with folders of .txt files> --out <json> [be lt yue ...]
"""

import argparse
import json
import time
import unicodedata
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import regex

from rodna.corpus.config import NormalizeConfig
from rodna.corpus.language import parse_language
from rodna.corpus.normalize import normalize
from rodna.corpus.repair import Evidence, fit_repairs, repair

LANGUAGES = ("be", "lt", "yue", "eu", "is", "rw", "en")
DOCUMENT_CHARACTERS, MOST_CHARACTERS = 4096, 4_000_000


def documents_of(folder: Path) -> list[str]:
    """Return the folder's text in documents of whole lines."""
    documents: list[str] = []
    for file in sorted(folder.glob("*.txt")):
        lines, size = [], 0
        for line in file.read_text(encoding="utf-8", errors="replace").split("\n"):
            lines.append(line)
            size += len(line)
            if size >= DOCUMENT_CHARACTERS:
                documents.append("\n".join(lines))
                lines, size = [], 0
        documents.append("\n".join(lines))
    return documents[: MOST_CHARACTERS // DOCUMENT_CHARACTERS]


def speeds(steps: dict[str, tuple[Callable[[str], Any], list[str]]], rounds: int) -> dict[str, float]:
    """Return each step's MB/s over its documents, the best of several rounds."""
    best = dict.fromkeys(steps, float("inf"))
    for _ in range(rounds):
        for name, (step, documents) in steps.items():
            start = time.perf_counter()
            for document in documents:
                step(document)
            best[name] = min(best[name], time.perf_counter() - start)
    return {name: round(sum(len(d.encode()) for d in documents) / 1e6 / best[name], 1) for name, (_, documents) in steps.items()}


def slips_of(documents: list[str]) -> dict[str, Any]:
    """Count what repairs are for: words of two scripts, single Latin i and I, and each apostrophe between letters."""
    text = "\n".join(documents)
    words = regex.findall(r"[\p{L}\p{M}]+", text)
    mixed = sum(1 for word in words if sum(bool(regex.search(rf"\p{{{s}}}", word)) for s in ("Latin", "Cyrillic", "Greek")) > 1)
    return {
        "mixed_script_words": mixed,
        "latin_i_words": sum(word in ("I", "i") for word in words),
        "latin_letters": len(regex.findall(r"\p{Latin}", text)),
        "apostrophes": dict(Counter(regex.findall(r"(?<=\p{L})['’‘ʼʻ`´](?=\p{L})", text)).most_common()),
    }


def measure(language: str, data: Path, rounds: int) -> dict[str, Any]:
    """Return speeds and changes for one language's texts."""
    import ftfy

    config = NormalizeConfig()
    plain = ftfy.TextFixerConfig(fix_character_width=False, uncurl_quotes=False, fix_latin_ligatures=False, unescape_html=False)
    raw = documents_of(data / language)
    done = [normalize(document, config) for document in raw]
    clean = [document.text for document in done]
    evidence = Evidence()
    for document in clean:
        evidence.add(document, language)
    repairs = fit_repairs(evidence, parse_language(language), config)
    repaired = [repair(document, repairs) for document in clean]
    right = [document for document, _ in repaired]
    throwaway = Evidence()
    # Beyond its first megabytes a task's words are sampled: what evidence costs in a large corpus.
    throwaway.num_sampled = 1 << 40
    found = speeds(
        {
            "nfc": (lambda text: unicodedata.normalize("NFC", text), clean),
            "ftfy": (lambda text: ftfy.fix_text(text, plain), clean[: len(clean) // 8 + 1]),
            "normalize": (lambda text: normalize(text, config), clean),
            "normalize_raw": (lambda text: normalize(text, config), raw),
            "evidence": (lambda text: throwaway.add(text, "source"), right),
            "repair_needed": (lambda text: repair(text, repairs), clean),
            "repair_nothing": (lambda text: repair(text, repairs), right),
        },
        rounds,
    )
    changed: Counter[str] = Counter()
    for _, counts in repaired:
        changed.update(counts)
    return {
        "megabytes": round(sum(len(d.encode()) for d in raw) / 1e6, 2),
        "mb_per_s": found,
        "normalize_over_ftfy": round(found["normalize"] / found["ftfy"], 1),
        "documents_changed": dict(Counter(change for document in done for change in document.changes)),
        "characters_repaired": dict(changed),
        "evidence_json_bytes": len(json.dumps(evidence.as_json(), ensure_ascii=False).encode()),
        "notes": repairs.notes,
        "before": slips_of(clean),
        "after": slips_of(right),
    }


def main() -> None:
    """Measure the languages named and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("languages", nargs="*", default=LANGUAGES)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    results = {}
    for language in options.languages:
        results[language] = measure(language, options.data, options.rounds)
        print(language, json.dumps(results[language], ensure_ascii=False), flush=True)
    options.out.write_text(json.dumps(results, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
