"""What the quality filter drops: of real text (nothing, it should be) and of garbage planted in it (all, it should be), and how fast.

Run: python benchmarks/corpus/quality.py clean|planted|speed --data <folder with a folder of .txt files a language> [languages ...]
"""

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from rodna.corpus.config import QualityConfig, Source
from rodna.corpus.cutting import documents_of
from rodna.corpus.quality.characters import CharacterModel
from rodna.corpus.quality.measures import measure
from rodna.corpus.quality.thresholds import QUALITY_REASONS, Thresholds, explain_quality, fit_thresholds, judge_quality

LANGUAGES = ("be", "lt", "yue", "is", "eu", "rw", "en")
UNITS = ("line", "blank_line", "section", "file")
SECTION_BYTES = 4096
NUM_PLANTED = 200
FOREIGN = {"be": "en", "yue": "be"}
"""A language in another script; for those not named, Belarusian."""


def documents(folder: Path, unit: str) -> list[str]:
    source = Source(path="x", document=unit, section_bytes=SECTION_BYTES)  # pyright: ignore[reportArgumentType]
    texts = []
    for path in sorted(folder.glob("*.txt")):
        data = path.read_bytes()
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = data.decode("latin-1")
        text = "\n".join(line.rstrip() for line in text.replace("\r\n", "\n").split("\n"))
        texts += [piece.strip() for piece in documents_of([text], source, max_bytes=1 << 20) if piece.strip()]
    return texts


def measured(texts: list[str], model: CharacterModel) -> np.ndarray:
    return np.concatenate([measure(batch, model) for batch in batches(texts)])


def batches(texts: list[str], size: int = 2 << 20) -> Iterator[list[str]]:
    batch: list[str] = []
    total = 0
    for text in texts:
        batch.append(text)
        total += len(text)
        if total >= size:
            yield batch
            batch, total = [], 0
    if batch:
        yield batch


# What is planted: each makes garbage about as long as a real document.


def shuffled(text: str, words: list[str], source: random.Random) -> str:
    characters = list(text)
    source.shuffle(characters)
    return "".join(characters)


def binary(text: str, words: list[str], source: random.Random) -> str:
    return bytes(source.choices(range(32, 256), k=len(text))).decode("latin-1")


def spam(text: str, words: list[str], source: random.Random) -> str:
    phrase = source.sample(words, 4)
    out: list[str] = []
    while sum(map(len, out)) + len(out) < len(text):
        out += [*phrase, source.choice(words)] if source.random() < 0.3 else phrase
    return " ".join(out)


def keywords(text: str, words: list[str], source: random.Random) -> str:
    return ", ".join(source.choices(words, k=max(3, len(text) // 8)))


def menu(text: str, words: list[str], source: random.Random) -> str:
    lines, separator = [], source.choice(("\n", "\n", " | ", " » "))
    for _ in range(max(5, len(text) // 14)):
        lines.append(" ".join(source.choices(words, k=source.randint(1, 3))).capitalize())
    return separator.join(lines)


def numbers(text: str, words: list[str], source: random.Random) -> str:
    rows = []
    for _ in range(max(1, len(text) // 30)):
        rows.append("\t".join(f"{source.random() * 10 ** source.randint(0, 5):.{source.randint(0, 2)}f}" for _ in range(5)))
    return "\n".join(rows)


def random_letters(text: str, words: list[str], source: random.Random) -> str:
    counts = Counter(character for word in words[:20_000] for character in word if character.isalpha())
    letters = [character for character, _ in counts.most_common(40)]
    return " ".join("".join(source.choices(letters, k=source.randint(2, 9))) for _ in range(max(2, len(text) // 6)))


def ocr(share: float) -> Callable[[str, list[str], random.Random], str]:
    def noise(text: str, words: list[str], source: random.Random) -> str:
        letters = source.choice(words) + source.choice(words) + "|1l.,;~^'*0"
        return "".join(source.choice(letters) if source.random() < share and character != "\n" else character for character in text)

    return noise


KINDS: dict[str, Callable[[str, list[str], random.Random], str]] = {
    "shuffled": shuffled,
    "binary": binary,
    "spam": spam,
    "keywords": keywords,
    "menu": menu,
    "numbers": numbers,
    "random_letters": random_letters,
    "ocr_15%": ocr(0.15),
    "ocr_30%": ocr(0.3),
}


def planted(clean: list[str], foreign: list[str], seed: int = 0) -> dict[str, list[str]]:
    source = random.Random(seed)
    long_enough = [text[:8_000] for text in clean if len(text) >= 40] or clean
    words = " ".join(source.sample(clean, min(len(clean), 3000)))[:2_000_000].split()
    if len(words) < 2 * len(clean) and sum(map(len, words[:500])) > 3000:
        # Not parted by spaces: any few neighbouring characters.
        words = [text[i : i + 3] for text in clean[:3000] for i in range(0, len(text) - 3, 7)]
    words = [word.strip('.,;:!?()"«»') for word in words]
    words = [word for word in words if word] * 4
    chosen = {name: [make(source.choice(long_enough), words, source) for _ in range(NUM_PLANTED)] for name, make in KINDS.items()}
    chosen["other_script"] = [source.choice(foreign)[: len(source.choice(long_enough))] for _ in range(NUM_PLANTED)]
    return chosen


def report_clean(data: Path, languages: list[str], config: QualityConfig, *, show: int) -> None:
    print("language unit        documents  dropped   bytes    per reason")
    for language in languages:
        for unit in UNITS:
            texts = documents(data / language, unit)
            model = CharacterModel.fit(texts)
            values = measured(texts, model)
            thresholds = fit_thresholds(values, config)
            reasons = judge_quality(values, thresholds, config)
            sizes = np.array([len(text.encode()) for text in texts])
            dropped = reasons > 0
            counts = {QUALITY_REASONS[reason]: int((reasons == reason).sum()) for reason in np.unique(reasons[dropped])}
            share = sizes[dropped].sum() / sizes.sum()
            print(f"{language:8} {unit:10} {len(texts):10} {dropped.mean():8.3%} {share:8.3%}   {counts}")
            for index in np.flatnonzero(dropped)[:: max(1, int(dropped.sum()) // max(1, show))][:show] if show else ():
                print(f"      {explain_quality(values[index], thresholds, QUALITY_REASONS[reasons[index]])}")
                print(f"      > {texts[index][:160]!r}")


def report_planted(data: Path, languages: list[str], config: QualityConfig, *, show: int) -> None:
    names = [*KINDS, "other_script"]
    print("language unit    fit   clean   " + " ".join(f"{name[:8]:>8}" for name in names))
    for language in languages:
        foreign = documents(data / FOREIGN.get(language, "be"), "line")
        for unit in UNITS[:3]:
            texts = documents(data / language, unit)
            random.Random(1).shuffle(texts)
            garbage = planted(texts, foreign if unit == "line" else ["\n".join(foreign[i : i + 80]) for i in range(0, len(foreign), 80)])
            everything = texts + [text for kind in names for text in garbage[kind]]
            half = len(texts) // 2
            for fit, seed in (("seed", texts[:half]), ("all", everything)):
                if fit == "all" and len(texts) < 5000:
                    continue
                order = list(seed)
                random.Random(2).shuffle(order)
                model = CharacterModel.fit(order)
                chosen = config.model_copy(update={"seed": ("x",) if fit == "seed" else ()})
                thresholds = fit_thresholds(measured(seed, model), chosen)
                print(f"{language:8} {unit:7} {fit:4} {_share(texts[half:], model, thresholds, chosen):8.3%} ", end="")
                print(" ".join(f"{_share(garbage[kind], model, thresholds, chosen):8.1%}" for kind in names))
                if show:
                    _show_missed(garbage, model, thresholds, chosen, show)


def _share(texts: list[str], model: CharacterModel, thresholds: Thresholds, config: QualityConfig) -> float:
    return float((judge_quality(measured(texts, model), thresholds, config) > 0).mean())


def _show_missed(garbage: dict[str, list[str]], model: CharacterModel, thresholds: Thresholds, config: QualityConfig, show: int) -> None:
    for kind, texts in garbage.items():
        values = measured(texts, model)
        missed = np.flatnonzero(judge_quality(values, thresholds, config) == 0)
        for index in missed[:show]:
            print(f"      missed {kind}: {np.round(values[index], 3).tolist()} {texts[index][:70]!r}")


def report_speed(data: Path, languages: list[str]) -> None:
    print("language unit        MB   fit s   measure MB/s")
    for language in languages:
        for unit in ("line", "section"):
            texts = documents(data / language, unit)
            size = sum(len(text.encode()) for text in texts) / 1e6
            started = time.perf_counter()
            model = CharacterModel.fit(texts)
            fitted = time.perf_counter()
            best = min(_seconds(texts, model) for _ in range(3))
            print(f"{language:8} {unit:8} {size:6.1f} {fitted - started:7.2f} {size / best:9.1f}")


def _seconds(texts: list[str], model: CharacterModel) -> float:
    started = time.perf_counter()
    measured(texts, model)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("clean", "planted", "speed"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--show", type=int, default=0, help="how many dropped or missed texts to print")
    parser.add_argument("languages", nargs="*", default=list(LANGUAGES))
    arguments = parser.parse_args()
    languages = arguments.languages or list(LANGUAGES)
    if arguments.what == "speed":
        report_speed(arguments.data, languages)
    else:
        report = report_clean if arguments.what == "clean" else report_planted
        report(arguments.data, languages, QualityConfig(), show=arguments.show)


if __name__ == "__main__":
    sys.exit(main())
