"""What the model writes: does it go round in circles, copy, leave its script or language?

Every number is also measured on held-out text that people wrote, of the same total length, and stands in `detail["reference"]`: a
share of unseen n-grams or of copied characters means nothing without it. The prompt is not part of what is measured.
"""

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rodna.core.text import human_bytes
from rodna.corpus.identify import identify_one
from rodna.corpus.language import parse_language
from rodna.evals.bootstrap import ratio_interval
from rodna.evals.config import EvalConfig
from rodna.evals.copies import TrainingText, copied_characters, longest_copy, unseen_windows
from rodna.evals.data import EvaluationData
from rodna.evals.model import LanguageModel
from rodna.evals.result import Direction, Evaluation, Result
from rodna.evals.text import WORD_RULE, count_letters, words

TASK_VERSION = 1
TASK = "generation"
UNSEEN_LENGTHS = (3, 5)
"""Characters of the n-grams that are looked up in the training text."""
COPY_LENGTH = 50
"""Characters from which a match with the training text counts as copied. Reference: Carlini et al. 2023, arXiv:2202.07646, of 50 tokens."""
LOOP_PERIOD = 100
LOOP_REPEATS = 4
LOOP_CHARACTERS = 24
MIN_LETTERS = 20
"""A text with fewer letters says too little about its language."""

Counts = tuple[NDArray[np.int64], NDArray[np.int64]]


def evaluate(model: LanguageModel, data: EvaluationData, config: EvalConfig) -> Evaluation:
    """Let the model write, and measure what it wrote beside held-out text.

    Args:
        model: any.
        data: held-out and training text.
        config: how many texts, how long, how drawn; no texts, no results.
    """
    from rodna.models.generate import Sampling

    if not config.num_samples:
        return Evaluation([], {"samples.json": []})
    prompts = choose_prompts([document.text for document in data.documents], config)
    sampling = Sampling(temperature=config.temperature, top_p=config.top_p, seed=config.seed, max_tokens=config.sample_tokens)
    texts = model.generate([prompt.text for prompt in prompts], sampling)
    reference = reference_texts(data, texts, seed=config.seed)
    train = TrainingText(data.train)
    results = _shares(texts, reference, train, data, config) if any(texts) and any(reference) else []
    copies = copied_characters(train, texts, COPY_LENGTH).tolist()
    samples = [
        {"prompt": prompt.text, "text": text, "document": prompt.document, "loops": in_loops(text) > 0, "copied_characters": copied}
        for prompt, text, copied in zip(prompts, texts, copies, strict=True)
    ]
    return Evaluation(results, {"samples.json": samples})


@dataclass(frozen=True)
class Prompt:
    """What a generated text begins with: the start of a held-out document, or nothing."""

    text: str
    document: int
    """Its number in the held-out split; -1 for nothing."""


def choose_prompts(texts: Sequence[str], config: EvalConfig) -> list[Prompt]:
    """Return as many prompts as texts are wanted: beginnings of held-out documents, then as many times nothing.

    A beginning is at most half of its document, and ends where a word does.
    """
    usable = [index for index, text in enumerate(texts) if beginning(text, config.prompt_characters)]
    random = np.random.default_rng(config.seed)
    chosen = [usable[int(place)] for place in random.permutation(len(usable))[: (config.num_samples + 1) // 2]]
    begun = [Prompt(beginning(texts[index], config.prompt_characters), index) for index in chosen]
    return begun + [Prompt("", -1)] * (config.num_samples - len(begun))


def beginning(text: str, num_characters: int) -> str:
    """Return whole words from the start of a text: at most half of it, and at most so many characters."""
    import regex

    room = min(num_characters, len(text) // 2)
    ends = [match.start() for match in regex.finditer(r"(?w)\b", text[: room + 1], flags=regex.V1) if 0 < match.start() <= room]
    return text[: ends[-1]].rstrip() if ends else ""


def reference_texts(data: EvaluationData, texts: Sequence[str], *, seed: int) -> list[str]:
    """Return held-out text, no piece longer than the longest sample, in all as many characters as the samples have if there are."""
    longest, needed = max(map(len, texts)), sum(map(len, texts))
    pieces: list[str] = []
    for index in np.random.default_rng(seed).permutation(len(data.documents)):
        if needed <= 0:
            break
        piece = data.documents[index].text[: min(longest, needed)]
        pieces.append(piece)
        needed -= len(piece)
    return pieces


def in_loops(text: str) -> int:
    """Return how many characters are part of a unit of up to 100 characters that is repeated 4 times or more in a row.

    Shorter runs than 24 characters, such as a row of dots, are no loops.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    inside = np.zeros(len(codes), dtype=bool)
    for period in range(1, min(LOOP_PERIOD, len(codes) // LOOP_REPEATS) + 1):
        same = np.concatenate([[False], codes[period:] == codes[:-period], [False]])
        edges = np.flatnonzero(same[1:] != same[:-1])
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            if stop - start + period >= max(LOOP_REPEATS * period, LOOP_CHARACTERS):
                inside[start : stop + period] = True
    return int(np.count_nonzero(inside))


def distinct(texts: Sequence[str], length: int) -> tuple[int, int]:
    """Return how many different n-grams of words the texts have, and how many in all. Reference: Li et al. 2016, arXiv:1510.03055."""
    split = [words(text) for text in texts]
    grams = Counter(tuple(item[start : start + length]) for item in split for start in range(len(item) - length + 1))
    return len(grams), sum(grams.values())


def _shares(texts: Sequence[str], reference: Sequence[str], train: TrainingText, data: EvaluationData, config: EvalConfig) -> list[Result]:
    tag = parse_language(data.language)
    results = [
        _share("loops", "share of texts caught in a loop", texts, reference, config, _looping, "lower"),
        _share("looped_characters", "share of characters", texts, reference, config, _looped, "lower"),
        *_distinct(texts, reference),
    ]
    searched = {"searched": f"{human_bytes(data.sampled_train_bytes)} of {human_bytes(data.train_bytes)} of training text"}
    for length in UNSEEN_LENGTHS:
        unit = f"share of {length}-character sequences not in the training text"

        def unseen(items: Sequence[str], length: int = length) -> Counts:
            return unseen_windows(train, items, length)

        results.append(_share(f"unseen_{length}_grams", unit, texts, reference, config, unseen, "none", searched))

    def copied(items: Sequence[str]) -> Counts:
        return copied_characters(train, items, COPY_LENGTH), _lengths(items)

    unit = f"share of characters inside {COPY_LENGTH} or more that stand so in the training text"
    results.append(_share("copied_characters", unit, texts, reference, config, copied, "lower", searched))
    results.append(_longest(texts, reference, train, searched))
    if tag.script != "Zzzz":

        def in_script(items: Sequence[str]) -> Counts:
            found = np.array([count_letters(text, tag.unicode_scripts) for text in items], dtype=np.int64).reshape(-1, 2)
            return found[:, 1], found[:, 0]

        scripts = {"scripts": list(tag.unicode_scripts)}
        results.append(
            _share("in_script", "share of letters in the language's script", texts, reference, config, in_script, "higher", scripts)
        )
    results += _language(texts, reference, config)
    return [result for result in results if result.n]


def _share(
    metric: str,
    unit: str,
    texts: Sequence[str],
    reference: Sequence[str],
    config: EvalConfig,
    count: Callable[[Sequence[str]], Counts],
    direction: Direction,
    detail: dict[str, Any] | None = None,
) -> Result:
    """Return sum(part) / sum(whole) over the texts, and the same of the reference; n is 0 where there is nothing to count."""
    part, whole = count(texts)
    reference_part, reference_whole = count(reference)
    detail = dict(detail or {})
    if reference_whole.sum():
        detail["reference"] = float(reference_part.sum() / reference_whole.sum())
    if not whole.sum():
        return Result(TASK, metric, 0.0, unit, 0.0, 0.0, 0, direction, TASK_VERSION, detail)
    low, high = ratio_interval(part, whole, samples=config.bootstrap_samples, seed=config.seed)
    return Result(TASK, metric, float(part.sum() / whole.sum()), unit, low, high, len(texts), direction, TASK_VERSION, detail)


def _lengths(texts: Sequence[str]) -> NDArray[np.int64]:
    return np.array([len(text) for text in texts], dtype=np.int64)


def _looping(texts: Sequence[str]) -> Counts:
    return np.array([in_loops(text) > 0 for text in texts], dtype=np.int64), np.ones(len(texts), dtype=np.int64)


def _looped(texts: Sequence[str]) -> Counts:
    return np.array([in_loops(text) for text in texts], dtype=np.int64), _lengths(texts)


def _distinct(texts: Sequence[str], reference: Sequence[str]) -> list[Result]:
    results: list[Result] = []
    for length in (1, 2, 3):
        different, total = distinct(texts, length)
        other, other_total = distinct(reference, length)
        if not total or not other_total:
            continue
        value = different / total
        detail = {"reference": other / other_total, "different": different, "total": total, "words_are": WORD_RULE}
        unit = f"share of {length}-word sequences that are different"
        results.append(Result(TASK, f"distinct_{length}", value, unit, value, value, len(texts), "none", TASK_VERSION, detail))
    return results


def _longest(texts: Sequence[str], reference: Sequence[str], train: TrainingText, searched: dict[str, str]) -> Result:
    found, other = longest_copy(train, texts), longest_copy(train, reference)
    value = float(len(found))
    detail = {**searched, "reference": len(other), "copy": found}
    return Result(
        TASK,
        "longest_copy",
        value,
        "characters that stand so in the training text",
        value,
        value,
        len(texts),
        "lower",
        TASK_VERSION,
        detail,
    )


def _language(texts: Sequence[str], reference: Sequence[str], config: EvalConfig) -> list[Result]:
    """Return the share of texts in the language that held-out text is taken for, where most of it is taken for one.

    The identifier knows few languages and takes an unknown one for a neighbour; so agreement with held-out text is what counts.
    """
    enough = [text for text in texts if count_letters(text, ())[0] >= MIN_LETTERS]
    known = [text for text in reference if count_letters(text, ())[0] >= MIN_LETTERS]
    if not enough or not known:
        return []
    expected, votes = statistics.mode(labels := [identify_one(text)[0] for text in known]), len(labels)
    agreement = labels.count(expected) / votes
    if agreement < 0.5:
        return []
    found = [identify_one(text)[0] for text in enough]
    same = np.array([label == expected for label in found], dtype=np.int64)
    low, high = ratio_interval(same, np.ones(len(same)), samples=config.bootstrap_samples, seed=config.seed)
    detail = {"reference": agreement, "taken_for": expected, "languages": dict(Counter(found).most_common())}
    unit = "share of texts taken for the language that held-out text is taken for"
    return [Result(TASK, "in_language", float(same.mean()), unit, low, high, len(same), "higher", TASK_VERSION, detail)]
