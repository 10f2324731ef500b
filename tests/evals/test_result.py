import pytest

from rodna.core.errors import EvaluationError
from rodna.evals.result import Result, read_results, write_results


def result(**changes):
    names = {"task": "held_out_text", "metric": "bits_per_byte", "unit": "bits", "direction": "lower", "detail": {"словы": 5}}
    values = {**names, "value": 1.5, "low": 1.4, "high": 1.6, "n": 3}
    return Result(**{**values, **changes})


def test_results_come_back_from_json_as_they_were(tmp_path):
    results = [result(), result(task="source:a", detail={})]
    write_results(tmp_path / "results.json", results)
    assert read_results(tmp_path / "results.json") == results


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused_with_its_cause(value):
    with pytest.raises(
        EvaluationError, match=r"bits_per_byte is not a finite number: value = (nan|inf)\n  where: held_out_text\n.*weights hold NaN"
    ):
        result(value=value)


def test_two_results_of_one_name_are_refused(tmp_path):
    with pytest.raises(EvaluationError, match="two results are both named bits_per_byte of held_out_text"):
        write_results(tmp_path / "results.json", [result(), result()])


@pytest.mark.parametrize("content", ["[", '{"a": 1}', '[{"task": "x"}]', "[1]", None])
def test_damaged_or_missing_results_are_reported_with_the_file(tmp_path, content):
    file = tmp_path / "results.json"
    if content is not None:
        file.write_text(content)
    with pytest.raises(EvaluationError, match=r"(?s)cannot read the results: .*results.json\n  fix:   delete the evaluation's folder"):
        read_results(file)
