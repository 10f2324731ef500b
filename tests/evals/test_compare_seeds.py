"""Models that were trained with several seeds, and macro-F1, which is no mean over items."""

import math

import numpy as np
import pytest

from made_evaluations import answers, measured, write_made
from rodna.evals.compare.read import read_contestants
from rodna.evals.compare.resample import p_value, resampled_ratios, seed_noise
from rodna.evals.compare.run import compare
from rodna.evals.result import Result

SAMPLES = 2000


@pytest.fixture
def made(tmp_path):
    """Return what writes evaluations below one folder, and returns what is given to compare them."""

    def write(name: str, *measurements, **more) -> str:
        write_made(tmp_path / name, measurements, **more)
        return str(tmp_path / name)

    return write


def compared(*given: str, **options):
    return compare(read_contestants(given), samples=SAMPLES, **options)


def only_match(comparison, task: str = "pairs"):
    return next(match for match in comparison.matches if match.task == task)


def seeds(made, name: str, *shares: float) -> str:
    folders = [made(f"{name}{seed}", measured("pairs", answers(400, share, seed=seed + 1))) for seed, share in enumerate(shares)]
    return f"{name}={','.join(folders)}"


def test_the_spread_of_seeds_enters_the_interval(made):
    calm, wild = seeds(made, "calm", 0.7, 0.7, 0.7), seeds(made, "wild", 0.5, 0.7, 0.9)
    base = seeds(made, "base", 0.7)
    match = only_match(compared(base, calm, wild))
    near, far = match.differences
    assert (match.estimates["wild"].seeds, match.estimates["base"].seeds) == (3, 1)
    assert far.high - far.low > 3 * (near.high - near.low)
    assert far.verdict == "cannot be told apart"
    assert "of base only one training is known" in match.notes[-1]


def test_the_interval_of_seeds_alone_is_students(made):
    # Every item answered alike within a seed: all that varies is the seed.
    given = [made(f"s{number}", measured("text", [value] * 50, metric="bits")) for number, value in enumerate([1.0, 1.2, 1.1])]
    base = made("base", measured("text", [2.0] * 50, metric="bits"))
    match = only_match(compare(read_contestants([base, f"s={','.join(given)}"]), samples=50_000), "text")
    half = 4.3027 * 0.1 / math.sqrt(3)
    assert match.differences[0].value == pytest.approx(-0.9)
    assert (match.differences[0].low, match.differences[0].high) == pytest.approx((-0.9 - half, -0.9 + half), abs=0.02)


def test_equal_models_with_several_seeds_raise_no_more_false_alarms_than_they_should():
    alarms = 0
    for trial in range(300):
        random = np.random.default_rng(trial)
        skill = 0.6 + random.normal(0, 0.05, size=6)
        top = (random.random((6, 200)) < skill[:, None]).astype(float)
        drawn = resampled_ratios(top, np.ones((6, 200)), samples=500, seed=0)
        both = [drawn[part].mean(axis=0) + seed_noise(top[part].mean(axis=1).tolist(), samples=500, seed=[part.start, trial])
                for part in (slice(0, 3), slice(3, 6))]  # fmt: skip
        alarms += p_value(float(top[3:].mean() - top[:3].mean()), both[1] - both[0], is_smooth=False) < 0.05
    # Student's distribution on both sides is cautious: at most 5 percent, give or take three standard errors of 300 trials.
    assert alarms / 300 <= 0.088


def test_macro_f1_is_compared_through_the_answers(made):
    def classified(name: str, right: float, seed: int) -> str:
        random = np.random.default_rng(seed)
        rows = [
            {
                "id": f"t{n}",
                "label": "ab"[n % 2],
                "predicted": {"probe": ["ab"[n % 2] if random.random() < right else "c" for _ in range(2)]},
            }
            for n in range(80)
        ]
        result = Result("mood/probe", "macro_f1", 0.5, "share of 1", 0.4, 0.6, 80, "higher")
        accuracy = measured("mood/probe", [1.0] * 80, ids=[f"t{n}" for n in range(80)])
        return made(name, accuracy, results=[result], predictions=rows)

    match = next(m for m in compared(classified("a", 0.5, 1), classified("b", 0.95, 2)).matches if m.metric == "macro_f1")
    assert (match.how, match.n, match.differences[0].verdict) == ("paired", 80, "better")
    f1_score = pytest.importorskip("sklearn.metrics", reason="needs scikit-learn").f1_score
    random = np.random.default_rng(2)
    gold = ["ab"[n % 2] for n in range(80)]
    said = [["ab"[n % 2] if random.random() < 0.95 else "c" for _ in range(2)] for n in range(80)]
    expected = np.mean([f1_score(gold, [row[run] for row in said], average="macro") for run in range(2)])
    assert match.estimates["b"].value == pytest.approx(expected)


def test_a_classifications_baselines_are_no_models(made):
    def model(name: str, right: float, seed: int) -> str:
        return made(
            name, measured("mood/ngram", answers(30, 0.5, seed=9)), measured("mood/probe", answers(30, right, seed=seed)), kind="classify"
        )

    given = (model("a", 0.3, 1), model("b", 0.9, 2), model("c", 0.5, 3))
    assert [(match.task, match.is_whole) for match in compared(*given).matches] == [("mood/probe", True)]
    shown = [(match.task, match.is_whole) for match in compared(*given, show_all=True).matches]
    assert shown == [("mood/ngram", False), ("mood/probe", True)]
