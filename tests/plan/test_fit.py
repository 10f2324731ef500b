"""A fit written and read again."""

import json

import pytest

from rodna.core import artifact
from rodna.core.errors import ArtifactError
from rodna.core.files import write_json
from rodna.plan.fit import FIT_FILE, FORMAT_VERSION, KIND, Fit, fit_json, fit_points, read_fit
from rodna.plan.laws import Point


@pytest.fixture
def fit() -> Fit:
    points = [Point(n, d, 5e5, 0.4 + 14 / n**0.34 + 30.5 / d**0.28, f"{n:g}-{d:g}") for n in (1e5, 4e5) for d in (2e5, 8e5)]
    return fit_points([*points, Point(1e5, 2e5, 5e5, float("nan"), "bad")], draws=50)


@pytest.fixture
def written(fit, tmp_path):
    with artifact.create(tmp_path / "tiny-00000000", kind=KIND, format_version=FORMAT_VERSION, inputs={}, config={}) as draft:
        write_json(draft.path / FIT_FILE, fit_json(fit))
    return draft.result


def test_what_is_read_predicts_what_was_written(fit, written):
    read = read_fit(written)

    assert read.predict(2e6, 4e6, 5e5) == pytest.approx(fit.predict(2e6, 4e6, 5e5), rel=1e-5)
    assert (read.points, read.left_out, read.law, read.noise) == (fit.points, fit.left_out, fit.law, fit.noise)
    assert (read.rate_factor, read.batch_factor) == (1.0, 1.0)


def test_the_file_is_plain_json_with_the_constants_by_name(written):
    values = json.loads((written.path / FIT_FILE).read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(name))

    assert set(values["constants"]) == {"E", "A", "B", "alpha", "beta", "R*", "C", "k", "m"}
    assert values["left_out"] == {"bad": "its loss is nan"}


@pytest.mark.parametrize("content", ["", "{}", '{"constants": {}, "law": 3}', "[1]"])
def test_a_damaged_fit_says_what_to_delete(written, content):
    (written.path / FIT_FILE).write_text(content, encoding="utf-8")

    with pytest.raises(ArtifactError, match=r"scaling\.json cannot be read") as error:
        read_fit(written)
    assert "delete" in error.value.fix
