"""What is given to be compared: names, seeds, and folders that cannot be used."""

import pytest

from made_evaluations import answers, measured, write_made
from rodna.core.errors import ArtifactError, ConfigError, EvaluationError
from rodna.evals.compare.read import parse, read_contestants
from rodna.evals.result import Result


@pytest.fixture
def made(tmp_path):
    """Return what writes evaluations below one folder, and returns what is given to compare them."""

    def write(name: str, *measurements, **more) -> str:
        write_made(tmp_path / name, measurements, **more)
        return str(tmp_path / name)

    return write


def test_names_come_from_the_models_and_differ(made):
    pairs = measured("pairs", answers(10, 0.5, seed=1))
    given = [
        made("a", pairs, where="/somewhere/small"),
        made("b", pairs, where="http://host:1/v1#org/large"),
        made("c", pairs, where="/x/small/"),
        f"mine={made('d', pairs)}",
    ]  # fmt: skip
    assert [one.name for one in read_contestants(given)] == ["small (a)", "org/large", "small (c)", "mine"]


def test_paths_with_signs_in_them_are_paths(tmp_path):
    folder = tmp_path / "a=b,c"
    folder.mkdir()
    assert parse(str(folder)) == ("", [folder])
    assert parse(f"name={folder}") == ("name", [folder])
    assert parse("name=x,y")[0] == "name"
    for wrong in ("=x", "name="):
        with pytest.raises(ConfigError, match="cannot read") as error:
            parse(wrong)
        assert "NAME=FOLDER" in str(error.value)


def test_one_evaluation_or_the_same_twice_is_refused(made):
    a = made("a", measured("pairs", [1.0, 0]))
    with pytest.raises(ConfigError, match="only one evaluation to compare"):
        read_contestants([a])
    with pytest.raises(ConfigError, match="nothing to compare"):
        read_contestants([])
    with pytest.raises(ConfigError, match="the same evaluation is given twice"):
        read_contestants([a, f"again={a}/../a"])
    b = made("b", measured("pairs", [1.0, 0]))
    with pytest.raises(ConfigError, match="two models are called x"):
        read_contestants([f"x={a}", f"x={b}"])


def test_two_evaluations_of_the_same_weights_are_no_two_seeds(made, tmp_path):
    a = made("a", measured("pairs", [1.0, 0]))
    (tmp_path / "elsewhere").mkdir()
    write_made(tmp_path / "elsewhere" / "a", [measured("pairs", [1.0, 0])])
    with pytest.raises(ConfigError, match="are of the same weights: no two seeds"):
        read_contestants([f"x={a},{tmp_path / 'elsewhere' / 'a'}", made("b", measured("pairs", [1.0, 0]))])


def test_what_is_no_evaluation_or_damaged_is_refused(made, tmp_path):
    a, b = made("a", measured("pairs", [1.0, 0])), made("b", measured("pairs", [1.0, 0]))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ArtifactError, match="no evaluation here"):
        read_contestants([a, str(tmp_path / "empty")])
    items = tmp_path / "b" / "items.parquet"
    items.write_bytes(b"x" * items.stat().st_size)
    with pytest.raises(EvaluationError, match="cannot read the items"):
        read_contestants([a, b])
    tasks = tmp_path / "a" / "tasks.json"
    tasks.write_bytes(b"{" * tasks.stat().st_size)
    with pytest.raises(EvaluationError, match="cannot read the tasks"):
        read_contestants([a, b])
    items.unlink()
    with pytest.raises(ArtifactError, match=r"items.parquet is missing"):
        read_contestants([b, a])


def test_damaged_predictions_are_refused(made):
    result = Result("mood/probe", "macro_f1", 0.5, "share of 1", 0.4, 0.6, 80, "higher")
    a = made("a", results=[result], predictions=[{"id": "x"}])
    with pytest.raises(EvaluationError, match="cannot read the predictions"):
        read_contestants([a, made("b", measured("pairs", [1.0]))])
