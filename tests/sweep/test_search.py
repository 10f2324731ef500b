"""Rung after rung, with a journal: nothing finished is done again."""

import csv
import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from rodna.core.errors import TrainError
from rodna.sweep.halving import Rung
from rodna.sweep.search import RESULTS, Result, Train, ranked, read_results, search
from rodna.sweep.table import as_csv, as_markdown, rows

RUNGS = [Rung(4, 0.25, 10.0), Rung(2, 1.0, 40.0)]
TRIALS: list[dict[str, Any]] = [{}, {"x": 1}, {"x": 2}, {"x": 3}]


def trainer(values: Mapping[tuple[int, int], float | None], *, log: list[tuple[int, int]] | None = None) -> Train:
    """Return what 'trains' for ten seconds a trial, forty in the second rung, and ends with these values."""

    def train(trial: int, number: int, settings: Mapping[str, Any], rung: Rung) -> Result:
        if log is not None:
            log.append((trial, number))
        value = values[trial, number]
        return Result(trial, number, dict(settings), value, rung.seconds, "" if value else "training has diverged")

    return train


VALUES = {(0, 0): 2.0, (1, 0): 1.5, (2, 0): None, (3, 0): 1.8, (1, 1): 1.2, (3, 1): 1.1}


def go(folder: Path, train: Train, *, budget_s: float = 1000, tell: Callable[[str], None] = lambda _: None) -> list[Result]:
    return search(TRIALS, RUNGS, train, folder, budget_s=budget_s, tell=tell)


def test_the_better_half_goes_on_and_the_last_rung_decides(tmp_path: Path) -> None:
    log: list[tuple[int, int]] = []
    results = go(tmp_path, trainer(VALUES, log=log))

    assert log == [(0, 0), (1, 0), (2, 0), (3, 0), (1, 1), (3, 1)]
    assert [(result.trial, result.bits_per_byte) for result in ranked(results)] == [(3, 1.1), (1, 1.2), (0, 2.0), (2, None)]
    assert read_results(tmp_path) == sorted(results, key=lambda result: (result.rung, result.trial))


@pytest.mark.parametrize("finished", range(6))
def test_stopped_after_any_trial_the_same_search_goes_on_and_ends_the_same(tmp_path: Path, finished: int) -> None:
    def stopping(trial: int, number: int, settings: Mapping[str, Any], rung: Rung) -> Result:
        if len(read_results(tmp_path)) == finished:
            raise KeyboardInterrupt
        return trainer(VALUES)(trial, number, settings, rung)

    with pytest.raises(KeyboardInterrupt):
        go(tmp_path, stopping)
    log: list[tuple[int, int]] = []
    results = go(tmp_path, trainer(VALUES, log=log))

    assert len(log) == 6 - finished
    assert results == go(tmp_path.joinpath("other"), trainer(VALUES))


def test_a_line_cut_short_by_a_crash_is_one_trial_that_runs_again(tmp_path: Path) -> None:
    expected = go(tmp_path, trainer(VALUES))
    file = tmp_path / RESULTS
    file.write_text(file.read_text(encoding="utf-8")[:-20], encoding="utf-8")
    log: list[tuple[int, int]] = []

    assert go(tmp_path, trainer(VALUES, log=log)) == expected
    assert log == [(3, 1)]


def test_when_the_budget_is_used_up_the_worse_trials_are_left_out(tmp_path: Path) -> None:
    said: list[str] = []
    results = go(tmp_path, trainer(VALUES), budget_s=80, tell=said.append)

    assert [(result.trial, result.rung) for result in results] == [(0, 0), (1, 0), (2, 0), (3, 0), (1, 1)]
    assert any("the budget is used up after 1 min 20 s: trial 3" in line for line in said)
    assert ranked(results)[0].trial == 1


def test_a_first_rung_that_takes_too_long_ends_with_what_there_is(tmp_path: Path) -> None:
    results = go(tmp_path, trainer(VALUES), budget_s=20)
    assert [(result.trial, result.rung) for result in results] == [(0, 0), (1, 0)]
    assert ranked(results)[0].trial == 1


def test_when_everything_fails_the_error_has_a_reason_and_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(TrainError, match=r"all 4 trials failed; the first: training has diverged(.|\n)*fix: +try smaller values"):
        go(tmp_path, trainer(dict.fromkeys(VALUES)))


def test_a_failed_trial_is_said_with_its_reason(tmp_path: Path) -> None:
    said: list[str] = []
    go(tmp_path, trainer(VALUES), tell=said.append)
    assert "  trial 2 (x=2): failed: training has diverged, 10 s" in said
    assert "  trial 0 (the project's own settings): 2.0000 bits per byte, 10 s" in said


def test_tables_hold_every_trial_best_first(tmp_path: Path) -> None:
    results = go(tmp_path, trainer(VALUES))
    table = rows(results, ["x"], lambda result, key: result.settings.get(key, "a|b"))

    read = list(csv.DictReader(io.StringIO(as_csv(table))))
    assert [(row["trial"], row["x"], row["bits_per_byte"], row["rung"]) for row in read] == [
        ("3", "3", "1.1", "2"), ("1", "1", "1.2", "2"), ("0", "a|b", "2.0", "1"), ("2", "2", "", "1"),
    ]  # fmt: skip
    assert [row["note"] for row in read] == ["", "", "the project's own settings", "training has diverged"]
    markdown = as_markdown(table).splitlines()
    assert len(markdown) == 6
    assert "a\\|b" in markdown[4]
    assert "| 1.1000 |" in markdown[2]
