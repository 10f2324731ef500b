"""The tables that ablations and teachers are read from: means, intervals, shares, and what is compared with what."""

import importlib
import json
from argparse import Namespace
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def ablations(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("ablations")


@pytest.fixture
def teachers(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("teachers")


def run_of(final, **others):
    return {"final": final, "best": final, "training": 1.0, "train_bytes": 740_000, "passes": 10.0, "flops_per_token": 100.0,
            "steps": 700, **others}  # fmt: skip


def cells(table, row):
    (line,) = [line for line in table.splitlines() if line.startswith(f"| {row} |")]
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_a_row_is_its_studys_base_with_its_changes_and_several_rows_are_joined_by_a_plus(ablations):
    assert ablations.settings_of("base", "repeated") == ablations.BASE
    assert ablations.settings_of("dropout-0+batch-1024", "repeated") == ablations.BASE | {"model.dropout": 0.0, "batch_tokens": 1024}
    assert ablations.settings_of("decay-1", "one-pass")["train.decay_fraction"] == 0.65
    with pytest.raises(SystemExit, match="there is no row 'dropout-9'"):
        ablations.settings_of("dropout-9", "repeated")


def test_every_row_is_a_model_and_a_training_that_the_product_accepts(ablations):
    for row in ablations.ROWS:
        settings = ablations.settings_of(row, "repeated")
        assert ablations.model_of(settings, 2048).num_parameters > 1e5
        values = ablations.values_of(settings, seed=1, budget=1e5)
        assert values.batch_size % values.micro_batch_size == 0


def test_differences_have_students_interval_from_the_scatter_of_all_rows(ablations):
    runs = {"base": {0: run_of(1.0), 1: run_of(1.02)}, "better": {0: run_of(0.9, steps=1400), 1: run_of(0.92)}, "once": {0: run_of(1.11)}}
    table = ablations.table_of("repeated-be", runs)
    # Two rows of two seeds: a deviation of 0.0141 with two degrees of freedom, whose t is 4.30.
    assert "scatter by 0.0141 (2 degrees of freedom)" in table
    assert cells(table, "better")[1:4] == ["0.9100", "-0.1000 ± 0.0608", "2"]
    assert cells(table, "once")[1:3] == ["1.1100", "+0.1000 ± 0.0745"]
    assert cells(table, "better")[-1] == "2.00"
    assert cells(table, "base")[2] == ""


def test_one_seed_has_no_intervals_and_the_table_says_so(ablations):
    table = ablations.table_of("repeated-be", {"base": {0: run_of(1.0)}, "worse": {0: run_of(1.1)}})
    assert "one seed: no intervals" in table
    assert cells(table, "worse")[2] == "+0.1000"


def test_a_share_of_the_documents_is_spread_over_all_of_them(ablations):
    assert ablations.spread_numbers(100, 0.25).tolist()[::8] == [0, 33, 66, 99]
    assert len(ablations.spread_numbers(1000, 0.0625)) == 62


def test_runs_that_are_there_are_not_made_again(ablations, tmp_path, monkeypatch, capsys):
    lines = [json.dumps({"row": row, "seed": 0, "final": 1.0}) for row in ("base", "dropout-0")]
    (tmp_path / "repeated-xx.jsonl").write_text("\n".join([*lines, '{"row": "decay-1", "se']), encoding="utf-8")
    monkeypatch.setattr(ablations, "prepare_tokens", lambda *_: None)
    monkeypatch.setattr(ablations.subprocess, "run", lambda *_, **__: pytest.fail("a run was made again"))
    given = Namespace(results=tmp_path, study="repeated", language="xx", data=tmp_path, work=tmp_path, rows=["base", "dropout-0"],
                      seeds=[0], jobs=1, threads=1)  # fmt: skip
    ablations.run_rows(given)
    assert "a line cut short is left out" in capsys.readouterr().err


def test_students_are_compared_with_what_learns_alone_at_their_size_and_passes(teachers):
    def line(row, bits, seed=0):
        return {"row": row, "seed": seed, "bits": bits, "bits_with_counts": bits - 0.05, "steps": 100, "train_bytes": 740_000,
                "passes": 10.0, "parameters": 1e6, "members": 3}  # fmt: skip

    table = teachers.table_of("repeated-be", [
        line("together", 1.1), line("alone", 1.2), line("alone-dropout-0.1", 1.18), line("alone-192x4", 1.16), line("three", 1.14),
        line("three-192x4", 1.08), line("three-passes-double", 1.09), *(line("member", 1.2, seed) for seed in (11, 12, 13)),
    ])  # fmt: skip
    # The best that learns alone counts, whatever its dropout: (1.18 - 1.14) / (1.18 - 1.1).
    assert cells(table, "taught by three")[2:5] == ["-0.0600", "-0.0400", "50%"]
    assert cells(table, "taught by three-192x4")[3:5] == ["-0.0800", "133%"]
    # Nothing learnt alone for as many passes: nothing to compare with.
    assert cells(table, "taught by three-passes-double")[3:5] == ["", ""]
    assert cells(table, "alone-192x4")[3:5] == ["", ""]


def test_a_students_arithmetic_holds_its_teachers_forward_passes(teachers):
    assert teachers.arithmetic_of("alone") == 1.0
    one, three = teachers.arithmetic_of("one"), teachers.arithmetic_of("three")
    # A forward pass is about a third of a step of the same size.
    assert one - 1 == pytest.approx(1 / 3, rel=0.05)
    assert three - 1 == pytest.approx(3 * (one - 1))
    assert teachers.arithmetic_of("chain") - 1 == pytest.approx(2 * (one - 1))
    assert teachers.arithmetic_of("alone-192x4") > 1.5
