"""BLiMP by lm-evaluation-harness' own definition: its number, with its own model, is ours to the digit."""

import json
import shutil
from pathlib import Path

import pytest

pytest.importorskip("lm_eval")

from tests.evals.harness_models import SETTINGS, harness, make_model, numbers, reported, write_lines

from rodna.evals.harness.run import run_harness
from rodna.evals.models.open import open_language_model
from rodna.evals.tasks.config import TaskConfig
from rodna.evals.tasks.run import run_tasks

FAMILIES = ("llama", "qwen3", "gpt2")


def first_items(source, folder, *, count, parts=67):
    """Copy the first items of BLiMP's first paradigms."""
    for file in sorted(source.glob("*.jsonl"))[:parts]:
        lines = file.read_text(encoding="utf-8").split("\n")[:count]
        (folder / file.name).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def blimp(shared_data, tmp_path_factory):
    return first_items(shared_data / "eval" / "blimp", tmp_path_factory.mktemp("blimp"), count=20)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    words = ["the cat sees a dog", "these children have not seen the red houses", "who does she know", "Mary's friends"] * 3
    return {family: make_model(tmp_path_factory.mktemp(family), family, words) for family in FAMILIES}


def ours(model, folder):
    config = TaskConfig(name="blimp", kind="minimal_pairs", path=folder.name)
    return run_tasks(open_language_model(str(model), SETTINGS), [config], SETTINGS, root=folder.parent)


def by_paradigm(found, name="accuracy"):
    """Return the number of each paradigm, which lies in a phenomenon of ours, and of the whole; not those of phenomena."""
    phenomena = {task.rpartition("/")[0] for task, _ in found} - {"blimp"}
    return {task.rpartition("/")[2]: value for (task, metric), value in found.items() if metric == name and task not in phenomena}


def test_the_published_setting_is_the_definition_the_harness_ships(blimp):
    import lm_eval.tasks
    from lm_eval.tasks import TaskManager

    from rodna.evals.harness.tasks import parse_sources, prepare

    theirs = Path(lm_eval.tasks.__file__).parent / "blimp"
    scratch = blimp.parent / "written"
    scratch.mkdir()
    prepare(parse_sources([f"blimp={blimp}"]), "", scratch)
    written = {file.name: json.loads(file.read_text(encoding="utf-8")) for file in (scratch / "blimp").glob("*.yaml")}
    manager = TaskManager(include_path=str(scratch), include_defaults=False)

    assert len(written) == 68
    for name, values in written.items():
        assert Path(values.pop("include")).parent == theirs, name
        assert set(values) <= {"task", "dataset_path", "dataset_name", "dataset_kwargs"}, name
    assert manager.task_index["blimp"].cfg["aggregate_metric_list"] == [{"metric": "acc", "aggregation": "mean", "weight_by_size": False}]


def test_every_paradigm_and_the_whole_are_the_harness_with_its_own_model(blimp, folders):
    theirs = run_harness(str(folders["llama"]), harness(f"blimp={blimp}", backend="hf"))
    adapted = run_harness(str(folders["llama"]), harness(f"blimp={blimp}"))
    mine = by_paradigm(numbers(ours(folders["llama"], blimp)))
    expected = by_paradigm(reported(theirs), "acc")

    assert len(expected) == 68
    assert 0.3 < expected["blimp"] < 0.7
    assert len({expected[name] for name in expected}) > 5
    assert mine == pytest.approx(expected, abs=1e-12)
    assert by_paradigm(reported(adapted), "acc") == expected
    assert numbers(theirs) == pytest.approx(reported(theirs), abs=1e-12)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_agrees_on_some_paradigms(family, folders, tmp_path, shared_data):
    folder = tmp_path / "pairs"
    folder.mkdir()
    first_items(shared_data / "eval" / "blimp", folder, count=30, parts=3)
    tasks = [f"blimp_{file.stem}={file}" for file in sorted(folder.glob("*.jsonl"))]
    theirs = run_harness(str(folders[family]), harness(*tasks, backend="hf"))
    adapted = run_harness(str(folders[family]), harness(*tasks))
    expected = {task.removeprefix("blimp_"): value for (task, _), value in reported(theirs).items()}

    mine = by_paradigm(numbers(ours(folders[family], folder)))
    assert len(expected) == 3
    assert {name: mine[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert reported(adapted) == reported(theirs)


def test_ties_explain_the_whole_difference(tmp_path):
    model = make_model(tmp_path / "flat", "llama", ["a b c"], scale=0.0)
    pairs = [("sun", "sum"), ("sun", "s"), ("moon", "moons"), ("a b", "b a"), ("abc", "xyzw")]
    rows = [{"sentence_good": good, "sentence_bad": bad} for good, bad in pairs]
    file = write_lines(tmp_path / "pairs" / "adjunct_island.jsonl", rows)
    theirs = reported(run_harness(str(model), harness(f"blimp_adjunct_island={file}", backend="hf")))["blimp_adjunct_island", "acc"]
    (mine,) = [result for result in ours(model, file.parent).results if result.task == "blimp"]

    assert mine.detail["ties"] == 2
    assert theirs == mine.value + mine.detail["ties"] * 0.5 / len(pairs) == mine.detail["accuracy_ties_right"]
    adapted = run_harness(str(model), harness(f"blimp_adjunct_island={file}")).measurements[0]
    assert adapted.detail["ties"] == 2
    assert adapted.detail["harness_value"] == theirs


@pytest.mark.slow
def test_all_67000_pairs_are_the_harness(shared_data, folders, tmp_path):
    source = shared_data / "eval" / "blimp"
    # The harness gives up where a sentence alone is longer than the context.
    model = shutil.copytree(folders["qwen3"], tmp_path / "model")
    settings = json.loads((model / "config.json").read_text(encoding="utf-8"))
    (model / "config.json").write_text(json.dumps({**settings, "max_position_embeddings": 256}), encoding="utf-8")
    theirs = by_paradigm(reported(run_harness(str(model), harness(f"blimp={source}", backend="hf"))), "acc")
    mine = by_paradigm(numbers(ours(model, source)))

    # Seven pairs are twice the same sentence: we skip them, the harness counts them as right.
    for name, same in (("passive_1", 2), ("principle_A_case_2", 5)):
        theirs[name] = (1000 * theirs[name] - same) / (1000 - same)
    theirs["blimp"] = sum(value for name, value in theirs.items() if name != "blimp") / 67
    assert mine == pytest.approx(theirs, abs=1e-12)
