"""Does a model say many things or a few over and over: distinct n-grams, repetition within a text, likeness between texts.

Long texts have a smaller share of different n-grams than short ones, whoever wrote them. So every measure here also comes for a fixed
length, which stands in its name: only equal names compare.

Shapes: G different n-grams, T texts, U units of one text (words, or characters where a script has no spaces).
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from rodna.evals.text import units

Units = Sequence[str]
Counts = tuple[NDArray[np.int64], NDArray[np.int64]]

SIZES = (5000, 500, 100)
"""N-grams that distinct ones are counted among, the largest first that fits twice into the texts."""
WINDOW = 30
"""Units within which repetition is counted."""
PIECES = (30, 15, 8)
"""Units of a text that self-BLEU compares, the largest first that at least half of the texts have."""
REFERENCES = 10
"""Other texts that each is compared with: more references find more matches, so their number is fixed."""
MAX_ORDER = 4
EPSILON = 0.1
"""Stands for the matches of an order without any, as in Texygen (NLTK's smoothing method 1)."""
JACKKNIFE_GROUPS = 50


def ngrams(text: Units, length: int) -> list[tuple[str, ...]]:
    """Return the n-grams of a text, in order."""
    return [tuple(text[start : start + length]) for start in range(len(text) - length + 1)]


def distinct(texts: Sequence[Units], length: int) -> tuple[int, int]:
    """Return how many different n-grams the texts have, and how many in all. Reference: Li et al. 2016, arXiv:1510.03055."""
    grams = Counter(gram for text in texts for gram in ngrams(text, length))
    return len(grams), sum(grams.values())


def distinct_of(texts: Sequence[Units], length: int, size: int) -> tuple[float, float, float] | None:
    """Return the share of different n-grams among `size` that are drawn from the texts without replacement, and its 95% interval.

    The share expected over all draws, computed rather than drawn (rarefaction). Reference: Hurlbert 1971, "The nonconcept of species
    diversity", equation 14. The interval is the jackknife's over texts: a bootstrap would draw texts twice and so find too few n-grams.

    Args:
        texts: each as its units.
        length: of the n-grams.
        size: how many are drawn.

    Returns:
        Value, low and high; nothing where the texts have fewer n-grams than `size`.
    """
    place: dict[tuple[str, ...], int] = {}
    owned = [Counter(place.setdefault(gram, len(place)) for gram in ngrams(text, length)) for text in texts]
    parts_TG = [(np.array(list(own), dtype=np.int64), np.array(list(own.values()), dtype=np.int64)) for own in owned]
    count_G = np.zeros(len(place), dtype=np.int64)
    for ids, counts in parts_TG:
        count_G[ids] += counts
    if count_G.sum() < size:
        return None
    value = _rarefied(count_G, size)
    num_groups = min(len(texts), JACKKNIFE_GROUPS)
    without: list[float] = []
    for group in range(num_groups):
        left_G = count_G.copy()
        for ids, counts in parts_TG[group::num_groups]:
            left_G[ids] -= counts
        if left_G.sum() < size:
            return value, value, value
        without.append(_rarefied(left_G, size))
    spread = np.asarray(without) - np.mean(without)
    half = 1.96 * math.sqrt((num_groups - 1) / num_groups * float(spread @ spread))
    return value, max(0.0, value - half), min(1.0, value + half)


def _rarefied(count_G: NDArray[np.int64], size: int) -> float:
    """Return the expected share of different ones among `size` drawn without replacement: mean of 1 - C(N - n_i, size) / C(N, size)."""
    total = int(count_G.sum())
    log_factorial = np.concatenate([[0.0], np.cumsum(np.log(np.arange(1, total + 1)))])
    left_G = total - count_G[count_G > 0]
    possible = left_G >= size
    rest = left_G[possible]
    log_missed = log_factorial[rest] - log_factorial[rest - size] - (log_factorial[total] - log_factorial[total - size])
    return float((len(left_G) - np.exp(log_missed).sum()) / size)


def common_size(sizes: Sequence[int], *, fits: int) -> int:
    """Return the largest of some sizes, given largest first, that fits; 0 where none does."""
    return next((size for size in sizes if size <= fits), 0)


def repeated(texts: Sequence[Units], length: int, *, window: int = WINDOW) -> Counts:
    """Return, for each text, how many n-grams stand a second time or more within a window, and how many stand there, over all windows.

    One minus the moving-average type-token ratio (Covington & McFall 2010), which a text's length does not change; with whole texts for
    windows it is seq-rep-n (Welleck et al. 2019, arXiv:1908.04319). A text shorter than the window counts as nothing.
    """
    repeats, totals = [], []
    inside = window - length + 1
    for text in texts:
        before: dict[tuple[str, ...], int] = {}
        previous: list[int] = []
        for place, gram in enumerate(ngrams(text, length)):
            previous.append(before.get(gram, -1))
            before[gram] = place
        if len(text) < window:
            repeats.append(0)
            totals.append(0)
            continue
        windows = np.lib.stride_tricks.sliding_window_view(np.array(previous, dtype=np.int64), inside)
        repeats.append(int((windows >= np.arange(len(windows))[:, None]).sum()))
        totals.append(windows.size)
    return np.array(repeats, dtype=np.int64), np.array(totals, dtype=np.int64)


def piece_size(texts: Sequence[Units]) -> int:
    """Return how many units of each text self-BLEU shall compare; 0 where the texts are too short or fewer than two."""
    lengths = sorted((len(text) for text in texts if text), reverse=True)
    return common_size(PIECES, fits=lengths[(len(lengths) - 1) // 2]) if len(lengths) > 1 else 0


def pieces_of_documents(documents: Iterable[str], size: int, count: int) -> list[Units]:
    """Return as many pieces of held-out text as wanted, if there are: a document's beginning each; short documents are joined."""
    pieces: list[Units] = []
    held: list[str] = []
    for text in documents:
        if len(pieces) == count:
            break
        # Only the beginning is read: few units are longer than this.
        held += units(text[: 60 * size])[:size]
        if len(held) >= size:
            pieces.append(held[:size])
            held = []
    return pieces


def self_bleu(pieces: Sequence[Units], *, seed: int) -> NDArray[np.float64]:
    """Return, for each piece, its BLEU against others of them, from 0 (nothing in common) to 1 (the same).

    Each is compared with as many others as there are, at most `REFERENCES`, drawn without replacement. Reference: Zhu et al. 2018,
    Texygen, arXiv:1802.01886, which takes all others.

    Args:
        pieces: two or more, of equal length, so that length plays no part.
        seed: of the draws.
    """
    random = np.random.default_rng(seed)
    scores: list[float] = []
    for index, piece in enumerate(pieces):
        drawn = random.choice(len(pieces) - 1, size=min(REFERENCES, len(pieces) - 1), replace=False)
        scores.append(bleu(piece, [pieces[int(place) + int(place >= index)] for place in drawn]))
    return np.array(scores)


def bleu(hypothesis: Units, references: Sequence[Units]) -> float:
    """Return the BLEU of one text, from 0 to 1: n-grams of up to 4 units, brevity penalty by the closest reference, floor smoothing.

    Reference: Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation".
    """
    logs = 0.0
    for order in range(1, MAX_ORDER + 1):
        grams = Counter(ngrams(hypothesis, order))
        if not grams:
            return 0.0
        most: Counter[tuple[str, ...]] = Counter()
        for reference in references:
            most |= Counter(ngrams(reference, order))
        matches = sum((grams & most).values())
        if order == 1 and not matches:
            return 0.0
        logs += math.log((matches or EPSILON) / sum(grams.values()))
    closest = min((len(reference) for reference in references), key=lambda length: (abs(length - len(hypothesis)), length))
    penalty = min(0.0, 1 - closest / len(hypothesis))
    return math.exp(penalty + logs / MAX_ORDER)
