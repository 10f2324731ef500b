"""What the model writes: does it go round in circles, repeat itself, copy, make up words, leave its script or language?

Every number is also measured on held-out text that people wrote, of the same total length, and stands in `detail["reference"]`: a
share of unseen n-grams or of copied characters means nothing without it. The prompt is not part of what is measured.
"""

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rodna.core.text import human_bytes
from rodna.corpus.identify import identify_one
from rodna.corpus.language import parse_language
from rodna.evals.bootstrap import ratio_interval
from rodna.evals.config import EvalConfig
from rodna.evals.data import EvaluationData
from rodna.evals.measure import prompt_digest
from rodna.evals.models.model import LanguageModel
from rodna.evals.result import Direction, Evaluation, Measurement, Result
from rodna.evals.text import UNIT_RULE, count_letters, units
from rodna.evals.writing.copies import Copy, TrainingText, copied_characters, unseen_windows
from rodna.evals.writing.diversity import (
    SIZES,
    WINDOW,
    common_size,
    distinct,
    distinct_of,
    piece_size,
    pieces_of_documents,
    repeated,
    self_bleu,
)
from rodna.evals.writing.real_words import SEQUENCES, WordList, whole_words

TASK_VERSION = 2
TASK = "generation"
UNSEEN_LENGTHS = (3, 5)
"""Characters of the n-grams that are looked up in the training text."""
COPY_LENGTH = 50
"""Characters from which a match with the training text counts as copied. Reference: Carlini et al. 2023, arXiv:2202.07646, of 50 tokens."""
LISTED_COPIES = 20
LOOP_PERIOD = 100
LOOP_REPEATS = 4
LOOP_CHARACTERS = 24
LEAST_SHARE = 0.05
"""Of held-out words and character pairs that must be of a kind for it to be looked up."""
MIN_LETTERS = 20
"""A text with fewer letters says too little about its language."""

Counts = tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class Prompt:
    """What a generated text begins with: the start of a held-out document, or nothing."""

    text: str
    document: int
    """Its number in the held-out split; -1 for nothing."""


@dataclass(frozen=True)
class Written:
    """What a model wrote, and what people did.

    Attributes:
        texts: the model's.
        ids: of its prompts, unique.
        reference: held-out text.
        config: resamples and seed.
        digest: of prompts and sampling.
    """

    texts: list[str]
    ids: list[str]
    reference: list[str]
    config: EvalConfig
    digest: str

    def measure(self, metric: str, unit: str, direction: Direction, ours: Counts, theirs: Counts, **detail: Any) -> list[Measurement]:
        """Return sum(part) / sum(whole) over the texts, beside that of held-out text; nothing where there is nothing to count."""
        part, whole = (np.asarray(numbers, dtype=np.float64) for numbers in ours)
        if not whole.sum():
            return []
        other_part, other_whole = (np.asarray(numbers, dtype=np.float64) for numbers in theirs)
        if other_whole.sum():
            interval = ratio_interval(other_part, other_whole, samples=self.config.bootstrap_samples, seed=self.config.seed)
            detail["reference"] = float(other_part.sum() / other_whole.sum())
            detail |= {"reference_interval": list(interval), "reference_n": int(np.count_nonzero(other_whole))}
        counts = np.flatnonzero(whole)
        ids = [self.ids[index] for index in counts]
        return [
            Measurement(
                TASK, metric, unit, direction, ids, part[counts], whole[counts],
                task_version=TASK_VERSION, prompt_digest=self.digest, detail=detail,
            )
        ]  # fmt: skip

    def measure_with(
        self, metric: str, unit: str, direction: Direction, count: Callable[[Sequence[str]], Counts], **detail: Any
    ) -> list[Measurement]:
        """Return what `measure` does, counting the model's and people's texts in the same way."""
        return self.measure(metric, unit, direction, count(self.texts), count(self.reference), **detail)

    def result(self, metric: str, unit: str, direction: Direction, *value: float, **detail: Any) -> Result:
        """Return a number that has no items: its value, and low and high where they are known."""
        low, high = value[1:] or value * 2
        return Result(TASK, metric, value[0], unit, low, high, len(self.texts), direction, TASK_VERSION, self.digest, 0, detail)


@dataclass
class _Found:
    """What was measured so far."""

    results: list[Result] = field(default_factory=list)
    measurements: list[Measurement] = field(default_factory=list)
    files: dict[str, Any] = field(default_factory=dict)


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
    digest = prompt_digest(TASK, TASK_VERSION, prompts=[prompt.text for prompt in prompts], sampling=asdict(sampling))
    ids = [f"document {item.document}" if item.document >= 0 else f"nothing {number}" for number, item in enumerate(prompts)]
    written = Written(texts, ids, reference_texts(data, texts, seed=config.seed), config, digest)
    train = TrainingText(data.train)
    found = _Found()
    _form(written, found)
    if any(texts) and any(written.reference):
        searched = f"{human_bytes(data.sampled_train_bytes)} of {human_bytes(data.train_bytes)} of training text"
        _diversity(written, data, found)
        _against_training(written, train, searched, found)
        _list_copies(written, train, data, searched, found)
        _real_words(written, [prompt.text for prompt in prompts], data, searched, found)
        _script_and_language(written, data.language, found)
    copies = copied_characters(train, texts, COPY_LENGTH).tolist()
    found.files["samples.json"] = [
        {"prompt": prompt.text, "text": text, "document": prompt.document, "loops": in_loops(text) > 0, "copied_characters": copied}
        for prompt, text, copied in zip(prompts, texts, copies, strict=True)
    ]
    return Evaluation(found.results, found.files, found.measurements)


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


def _form(written: Written, found: _Found) -> None:
    def empty(texts: Sequence[str]) -> Counts:
        return np.array([not text.strip() for text in texts]), np.ones(len(texts))

    def looping(texts: Sequence[str]) -> Counts:
        return np.array([in_loops(text) > 0 for text in texts]), np.ones(len(texts))

    def looped(texts: Sequence[str]) -> Counts:
        return np.array([in_loops(text) for text in texts]), _lengths(texts)

    found.measurements += written.measure_with("empty", "share of texts that say nothing", "lower", empty)
    found.measurements += written.measure_with("loops", "share of texts caught in a loop", "lower", looping)
    found.measurements += written.measure_with("looped_characters", "share of characters", "lower", looped)


def _diversity(written: Written, data: EvaluationData, found: _Found) -> None:
    ours, theirs = ([units(text) for text in texts] for texts in (written.texts, written.reference))
    for length in (1, 2, 3):
        (different, total), (other, other_total) = distinct(ours, length), distinct(theirs, length)
        if not total or not other_total:
            continue
        detail = {"reference": other / other_total, "different": different, "total": total, "n_grams_of": UNIT_RULE}
        unit = f"share of {length}-grams that are different; shorter texts have more"
        found.results.append(written.result(f"distinct_{length}", unit, "none", different / total, **detail))
        size = common_size(SIZES, fits=min(total, other_total) // 2)
        value, human = (distinct_of(texts, length, size) if size else None for texts in (ours, theirs))
        if value and human:
            detail = {"reference": human[0], "reference_interval": list(human[1:]), "n_grams_of": UNIT_RULE}
            unit = f"share of {length}-grams that are different, among {size} drawn"
            found.results.append(written.result(f"distinct_{length}_of_{size}", unit, "none", *value, **detail))
    for length in (1, 4):
        unit = f"share of {length}-grams that stood before within {WINDOW}"
        counts = repeated(ours, length), repeated(theirs, length)
        found.measurements += written.measure(f"repeated_{length}_grams", unit, "none", *counts, n_grams_of=UNIT_RULE)
    _likeness(written, ours, data, found)


def _likeness(written: Written, ours: Sequence[Sequence[str]], data: EvaluationData, found: _Found) -> None:
    size, seed = piece_size(ours), written.config.seed
    long_enough = np.array([len(text) >= size > 0 for text in ours])
    if long_enough.sum() < 2:
        return
    scores = np.zeros(len(ours))
    scores[long_enough] = self_bleu([text[:size] for text, is_long in zip(ours, long_enough, strict=True) if is_long], seed=seed)
    order = np.random.default_rng(seed).permutation(len(data.documents))
    human = pieces_of_documents((data.documents[int(index)].text for index in order), size, int(long_enough.sum()))
    theirs = self_bleu(human, seed=seed) if len(human) > 1 else np.zeros(0)
    unit = f"BLEU of a text's first {size} words against those of other texts, from 0 to 1"
    counts = (scores, long_enough), (theirs, np.ones(len(theirs)))
    found.measurements += written.measure(f"self_bleu_{size}", unit, "none", *counts, n_grams_of=UNIT_RULE)


def _against_training(written: Written, train: TrainingText, searched: str, found: _Found) -> None:
    for length in UNSEEN_LENGTHS:

        def unseen(texts: Sequence[str], length: int = length) -> Counts:
            return unseen_windows(train, texts, length)

        unit = f"share of {length}-character sequences not in the training text"
        found.measurements += written.measure_with(f"unseen_{length}_grams", unit, "none", unseen, searched=searched)

    def copied(texts: Sequence[str]) -> Counts:
        return copied_characters(train, texts, COPY_LENGTH), _lengths(texts)

    def memorised(texts: Sequence[str]) -> Counts:
        return copied_characters(train, texts, COPY_LENGTH) > 0, _lengths(texts) >= COPY_LENGTH

    unit = f"share of characters inside {COPY_LENGTH} or more that stand so in the training text"
    found.measurements += written.measure_with("copied_characters", unit, "lower", copied, searched=searched)
    unit = f"share of texts, of {COPY_LENGTH} characters or more, that hold so many from the training text"
    found.measurements += written.measure_with("texts_with_copies", unit, "lower", memorised, searched=searched)


def _list_copies(written: Written, train: TrainingText, data: EvaluationData, searched: str, found: _Found) -> None:
    ours, theirs = train.longest(written.texts), train.longest(written.reference)
    size, other = (max((len(copy.text) for copy in copies if copy), default=0) for copies in (ours, theirs))
    longest = next((copy.text for copy in ours if copy and len(copy.text) == size), "")
    unit = "characters that stand so in the training text"
    detail = {"searched": searched, "reference": other, "copy": longest}
    found.results.append(written.result("longest_copy", unit, "lower", float(size), **detail))
    found.files["copies.json"] = {
        "searched": searched,
        "written": _listed(ours, written.ids, data),
        "held_out": _listed(theirs, [f"held-out piece {number}" for number in range(len(theirs))], data),
    }


def _listed(copies: Sequence[Copy | None], ids: Sequence[str], data: EvaluationData) -> list[dict[str, Any]]:
    """Return the longest copies, each with where in the training text it stands."""
    pairs = sorted(((copy, name) for copy, name in zip(copies, ids, strict=True) if copy), key=lambda pair: -len(pair[0].text))
    names = data.train_ids
    return [
        {"id": name, "length": len(copy.text), **asdict(copy), "document": names[copy.document] if names else copy.document}
        for copy, name in pairs[:LISTED_COPIES]
    ]


def _real_words(written: Written, prompts: Sequence[str], data: EvaluationData, searched: str, found: _Found) -> None:
    known = WordList(data.train, [*written.texts, *written.reference])
    ours = [whole_words(text, continues=bool(prompt)) for text, prompt in zip(written.texts, prompts, strict=True)]
    theirs = [whole_words(text, continues=False) for text in written.reference]
    attested = {"attested_at_least": known.attested, "searched": searched}
    num_words = sum(map(len, theirs))
    num_sequences = int(known.count_sequences(written.reference, SEQUENCES[0])[1].sum())
    # A few foreign words in a text without spaces say nothing of it, nor a few foreign characters in one with spaces.
    least = LEAST_SHARE * (num_words + num_sequences)
    if num_words > least:
        unit = f"share of words that stand {known.attested} times or more in the training text"
        counts = known.count_words(ours), known.count_words(theirs)
        found.measurements += written.measure("real_words", unit, "higher", *counts, **attested)
        lists = {"written": known.unattested(ours), "held_out": known.unattested(theirs)}
        found.files["non_words.json"] = {**attested, **lists}
    for length in SEQUENCES:
        counts = known.count_sequences(written.texts, length), known.count_sequences(written.reference, length)
        if counts[1][1].sum():
            unit = (
                f"share of {length}-character sequences of unspaced script that stand {known.attested} times or more in the training text"
            )
            found.measurements += written.measure(f"attested_{length}_grams", unit, "higher", *counts, **attested)


def _script_and_language(written: Written, language: str, found: _Found) -> None:
    tag = parse_language(language)
    if tag.script != "Zzzz":

        def in_script(texts: Sequence[str]) -> Counts:
            letters = np.array([count_letters(text, tag.unicode_scripts) for text in texts]).reshape(-1, 2)
            return letters[:, 1], letters[:, 0]

        unit = "share of letters in the language's script"
        found.measurements += written.measure_with("in_script", unit, "higher", in_script, scripts=list(tag.unicode_scripts))
    # The identifier knows few languages and takes an unknown one for a neighbour; so agreement with held-out text is what counts.
    labels = [identify_one(text)[0] for text in written.reference if count_letters(text, ())[0] >= MIN_LETTERS]
    if not labels:
        return
    expected = statistics.mode(labels)
    if labels.count(expected) * 2 < len(labels):
        return
    taken_for = [identify_one(text)[0] if count_letters(text, ())[0] >= MIN_LETTERS else "" for text in written.texts]
    same = np.array([label == expected for label in taken_for]), np.array([bool(label) for label in taken_for])
    human = np.array([label == expected for label in labels]), np.ones(len(labels))
    unit = "share of texts taken for the language that held-out text is taken for"
    languages = dict(Counter(label for label in taken_for if label).most_common())
    found.measurements += written.measure("in_language", unit, "higher", same, human, taken_for=expected, languages=languages)


def _lengths(texts: Sequence[str]) -> NDArray[np.int64]:
    return np.array([len(text) for text in texts], dtype=np.int64)
