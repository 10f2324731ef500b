"""Resamples of one number of several models, over the same items and over their training seeds.

Shapes: R runs, N items, U units (items, or their groups), S resamples, C models.
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rodna.evals.classify.measure import macro_f1, resampled_macro_f1
from rodna.evals.compare.read import Contestant, Key, Run
from rodna.evals.compare.resample import resampled_ratios, seed_noise, spread
from rodna.evals.measure import MOST_NATS

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Drawn:
    """One number of all models over some items.

    Attributes:
        value_C: of each model.
        drawn_CS: its resamples.
        seeds_C: trainings behind it.
        num_units: that were drawn from.
    """

    value_C: list[float]
    drawn_CS: "NDArray[np.float64]"
    seeds_C: list[int]
    num_units: int


def draw(taken: Sequence[Contestant], key: Key, ids: Sequence[str], *, samples: int, seed: int) -> Drawn:
    """Resample the number of all models over the same items, and over training seeds where there are several."""
    runs = [run for one in taken for run in one.runs]
    if key[1] == "macro_f1":
        value_R, drawn_RS, num_units = _macro_f1(runs, key, ids, samples=samples, seed=seed)
    else:
        value_R, drawn_RS, num_units = _ratios(runs, key, ids, samples=samples, seed=seed)
    is_perplexity = runs[0].results[key].detail.get("scale") == "perplexity"
    # Two seeds far apart say that the mean may lie anywhere, but no share lies below nothing or above all.
    is_share = runs[0].results[key].unit.startswith("share ") and all(0 <= value <= 1 for value in value_R)
    values: list[float] = []
    drawn: list[NDArray[np.float64]] = []
    place = 0
    for one in taken:
        own = slice(place, place + len(one.runs))
        place += len(one.runs)
        value = float(np.mean(value_R[own]))
        drawn_S = spread(value, drawn_RS[own].mean(axis=0), num_units=num_units)
        # Which seeds are drawn depends on the model alone, so that no order of models changes a number.
        drawn_S = drawn_S + seed_noise(value_R[own].tolist(), samples=drawn_RS.shape[1], seed=[seed, _number_of(one)])
        if is_share:
            drawn_S = np.clip(drawn_S, 0.0, 1.0)
        values.append(math.exp(min(value, MOST_NATS)) if is_perplexity else value)
        drawn.append(np.exp(np.minimum(drawn_S, MOST_NATS)) if is_perplexity else drawn_S)
    return Drawn(values, np.stack(drawn), [len(one.runs) for one in taken], num_units)


def _number_of(one: Contestant) -> int:
    digests = " ".join(sorted(run.digest or str(run.path) for run in one.runs))
    return int.from_bytes(hashlib.sha256(digests.encode()).digest()[:8], "big")


def _ratios(
    runs: Sequence[Run], key: Key, ids: Sequence[str], *, samples: int, seed: int
) -> "tuple[NDArray[np.float64], NDArray[np.float64], int]":
    """Return sum(numerator) / sum(denominator) of each run over some items, its resamples, and how many units were drawn from."""
    tops: list[NDArray[np.float64]] = []
    bottoms: list[NDArray[np.float64]] = []
    groups: list[str] = []
    for run in runs:
        assert run.items is not None
        items = run.items[key]
        place = {identity: number for number, identity in enumerate(items.ids)}
        index = np.array([place[identity] for identity in ids])
        tops.append(items.numerator_N[index])
        bottoms.append(items.denominator_N[index])
        groups = groups or ([items.groups[number] for number in index] if items.groups else [])
    top_RN, bottom_RN = np.stack(tops), np.stack(bottoms)
    if runs[0].results[key].detail.get("mean_over") == "paradigms" and not np.allclose(bottom_RN, bottom_RN[:1], rtol=1e-12):
        # Items weigh what their paradigm's size asks for; models that skipped others have other weights, of which all get the mean.
        weight_N = bottom_RN.mean(axis=0)
        top_RN, bottom_RN = top_RN / bottom_RN * weight_N, np.tile(weight_N, (len(runs), 1))
    if groups:
        names = sorted(set(groups))
        number = {name: place for place, name in enumerate(names)}
        unit_N = np.array([number[name] for name in groups])
        top_RN, bottom_RN = (
            np.array([np.bincount(unit_N, weights=row, minlength=len(names)) for row in rows], dtype=np.float64)
            for rows in (top_RN, bottom_RN)
        )
    drawn_RS = resampled_ratios(top_RN, bottom_RN, samples=samples, seed=seed)
    drawn_RS = drawn_RS[:, np.isfinite(drawn_RS).all(axis=0)]
    return top_RN.sum(axis=1) / bottom_RN.sum(axis=1), drawn_RS, top_RN.shape[1]


def _macro_f1(
    runs: Sequence[Run], key: Key, ids: Sequence[str], *, samples: int, seed: int
) -> "tuple[NDArray[np.float64], NDArray[np.float64], int]":
    """Return what `_ratios` does for macro-F1, which is no ratio of sums: from what was answered to each item."""
    labels = sorted({label for run in runs for given in (run.answers[key[0]],) for label in given.gold.values()}
                    | {label for run in runs for said in run.answers[key[0]].predicted.values() for label in said})  # fmt: skip
    number = {label: place for place, label in enumerate(labels)}
    values: list[float] = []
    drawn: list[NDArray[np.float64]] = []
    for run in runs:
        answers = run.answers[key[0]]
        gold_N = np.array([number[answers.gold[identity]] for identity in ids])
        predicted_RN = np.array([[number[label] for label in answers.predicted[identity]] for identity in ids]).T
        values.append(float(np.mean([macro_f1(gold_N, predicted_N, len(labels)) for predicted_N in predicted_RN])))
        drawn.append(resampled_macro_f1(gold_N, predicted_RN, len(labels), samples=samples, seed=seed))
    return np.array(values), np.stack(drawn), len(ids)
