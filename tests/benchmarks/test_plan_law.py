"""The law that a plan follows where nothing was tried: what it says of the runs that are kept in benchmarks/results."""

import json
from pathlib import Path

import numpy as np
import pytest
from benchmarks.plan_law import OLDER, fit_all, pilots, residuals, whole_runs

from rodna.plan import laws
from rodna.plan.laws import Point

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"


def test_the_law_in_use_describes_every_whole_run_that_is_kept() -> None:
    runs = [*whole_runs(RESULTS), *((text, point) for text, point in pilots(RESULTS) if point.name == "the long run")]
    off = residuals(np.array(laws.WHOLE_RUNS), [point for _, point in runs])
    for text in {text for text, _ in runs}:
        mine = np.array([name == text for name, _ in runs])
        off[mine] -= off[mine].mean()

    assert len(runs) >= 20
    assert np.median(abs(off)) < 0.01
    assert abs(off).max() < 0.03


def test_a_text_twice_as_hard_has_twice_the_factor_and_the_law_stays() -> None:
    places = [(n, d, 4e5, p) for n in (3e5, 8e5, 2e6) for d in (1e6, 3e6, 6e6) for p in (0.0, 0.2)]
    truth = [(place, laws.whole_run_loss(*place)) for place in places]
    runs = [(text, Point(*place[:3], loss * times, "", place[3])) for text, times in (("be", 1.0), ("xx", 2.0)) for place, loss in truth]
    theta_P, factors = fit_all(runs, np.full(len(runs), 5.0))

    assert factors == pytest.approx({"be": 0.0, "xx": np.log(2)}, abs=1e-6)
    off = residuals(theta_P, [point for _, point in runs]) - np.array([factors[text] for text, _ in runs])
    assert abs(off).max() < 0.005


def test_a_result_is_read_as_a_point_of_the_law(tmp_path: Path) -> None:
    model = {"vocabulary_size": 4096, "context_length": 256, "width": 96, "num_layers": 4, "num_heads": 3, "num_kv_heads": 3,
             "head_width": 32, "ffn_width": 256, "dropout": 0.1}  # fmt: skip
    values = {"text": "eu", "steps": 100, "epochs": 2.0, "validation_bits_per_byte": 1.5,
              "recipe": {"model": model, "train": {"batch_size": 16}}}  # fmt: skip
    folder = tmp_path / "data_efficiency"
    folder.mkdir()
    (folder / "eu--rodna--rodna-5min--seed1.json").write_text(json.dumps(values), encoding="utf-8")
    (folder / "eu--nanogpt-bpe--tuned-5min--seed1.json").write_text("{}", encoding="utf-8")
    (folder / "tries").mkdir()
    tried = values | {"changed": ["tokenizer.vocabulary_size=1024"]}
    (folder / "tries" / "eu--try-5min-tokenizer.vocabulary_size=1024.json").write_text(json.dumps(tried), encoding="utf-8")
    (folder / "eu--rodna--rodna-20min--seed1.json").write_text(json.dumps(values | {"members": 2}), encoding="utf-8")
    kept = list(whole_runs(tmp_path))
    text, point = kept[0]
    assert [text for text, _ in kept].count("eu") == 1 + sum(text == "eu" for text, _ in OLDER)

    assert (text, point.tokens_seen, point.unique_tokens) == ("eu", 409_600, 204_800)
    assert (point.parameters, point.bits_per_byte, point.dropout) == (442_368, 1.5, 0.1)
