"""Tasks from files to results: read, asked, looked up in the training text, written down."""

import json

import pytest
from tests.evals.letters import Letters

from rodna.core.errors import CannotScoreError, EvaluationError
from rodna.evals.config import EvalConfig
from rodna.evals.tasks.config import TaskConfig
from rodna.evals.tasks.run import TASKS, run_tasks

SETTINGS = EvalConfig(bootstrap_samples=100, seed=4)
SENTENCES = [
    "Над ціхай ракой стаіць старая хата, а ў хаце жыве бабуля з унукам.",
    "Восеньскае лісце падае долу, і птушкі ляцяць у вырай цёмнымі чародамі.",
    "Вечарам на прызбе сядзяць суседзі ды гавораць пра ўраджай і надвор'е.",
]


@pytest.fixture
def root(tmp_path):
    """A folder with pairs and with documents."""
    pairs = [{"sentence_good": text, "sentence_bad": text[::-1] + "!"} for text in SENTENCES]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in pairs))
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps({"text": text, "id": place}) + "\n" for place, text in enumerate(SENTENCES)))
    return tmp_path


def tasks(*names):
    return [TaskConfig(name=name, path=f"{name}.jsonl") for name in names]


def test_every_task_gives_results_items_and_a_record(root):
    found = run_tasks(Letters(), tasks("pairs", "texts"), SETTINGS, root=root)
    assert [(item.task, item.metric) for item in found.results] == [
        ("pairs", "accuracy"), ("texts", "bits_per_byte"), ("texts", "token_perplexity"),
    ]  # fmt: skip
    assert [(item.task, item.metric) for item in found.measurements] == [(item.task, item.metric) for item in found.results]
    assert all(item.n == 3 and item.seed == 4 and item.task_version and len(item.prompt_digest) == 64 for item in found.results)
    kept = found.files[TASKS]
    assert kept["model"] == {"where": "letters", "kind": "letters"}
    record = kept["tasks"]["pairs"]
    assert (record["kind"], record["num_items"], record["num_skipped"], len(record["digest"])) == ("minimal_pairs", 3, 0, 64)
    assert record["contamination"]["is_checked"] is False
    json.dumps(kept, allow_nan=False)


def test_items_of_the_training_text_are_listed_and_counted_apart(root):
    training = ["Пачатак. " + SENTENCES[1].upper() + " Канец.", "Іншы тэкст, у якім няма нічога з таго, пра што пытаюцца."]
    found = run_tasks(Letters(cost={"!": 1.0}), tasks("pairs", "texts"), SETTINGS, root=root, training=iter(training))
    accuracy, bits = found.results[0], found.results[1]
    assert (accuracy.detail["seen"]["n"], accuracy.detail["unseen"]["n"]) == (1, 2)
    assert (bits.detail["seen"]["n"], bits.detail["unseen"]["n"]) == (1, 2)
    assert found.seen["pairs"] == {"pairs:2"}
    assert found.seen["texts"] == {"1"}
    record = found.files[TASKS]["tasks"]["texts"]
    assert record["contamination"] == {"is_checked": True, "seen": 1, "unseen": 2, "unknown": 0}
    assert list(record["seen"]) == ["1"]
    assert record["seen"]["1"]["share"] == 1


def test_looked_up_and_not_found_is_told_from_not_looked_up(root):
    found = run_tasks(Letters(), tasks("pairs"), SETTINGS, root=root, training=["Нічога."])
    assert found.files[TASKS]["tasks"]["pairs"]["contamination"] == {"is_checked": True, "seen": 0, "unseen": 3, "unknown": 0}
    assert found.seen == {}
    assert "seen" not in found.results[0].detail


def test_no_tasks_are_no_results(root):
    found = run_tasks(Letters(), [], SETTINGS, root=root, training=iter(()))
    assert found.results == []
    assert found.files[TASKS]["tasks"] == {}


def test_two_tasks_of_one_name_are_refused_before_anything_is_asked(root):
    model = Letters()
    with pytest.raises(EvaluationError, match="two tasks have the same name: pairs"):
        run_tasks(model, tasks("pairs", "pairs"), SETTINGS, root=root)
    assert model.asked == []


def test_all_tasks_are_read_before_the_first_is_asked(root):
    model = Letters()
    with pytest.raises(EvaluationError, match=r"no such file or folder: missing.jsonl"):
        run_tasks(model, tasks("pairs", "missing"), SETTINGS, root=root)
    assert model.asked == []


def test_a_task_of_which_nothing_could_be_scored_is_an_error_not_a_zero(root):
    (root / "same.jsonl").write_text(json.dumps({"good": "так", "bad": "так"}) + "\n")
    with pytest.raises(
        EvaluationError, match=r"no item of the task could be scored: 1 skipped\n    same.jsonl:1: both sentences are the sam"
    ):
        run_tasks(Letters(), tasks("same"), SETTINGS, root=root)


def test_the_same_again_gives_the_same(root):
    first, second = (run_tasks(Letters(), tasks("pairs", "texts"), SETTINGS, root=root, training=SENTENCES[:1]) for _ in range(2))
    assert first.results == second.results
    assert first.files == second.files


class Silent(Letters):
    """A server's model that writes, but says nothing of costs."""

    def score(self, contexts, continuations):
        raise CannotScoreError("the server gives no log-probabilities", where="http://somewhere", fix="serve it otherwise")


def test_what_a_model_can_be_asked_is_not_lost_with_what_it_cannot(root, capsys):
    (root / "sums.jsonl").write_text(json.dumps({"question": "2 + 2?", "answer": "#### 4"}) + "\n")
    found = run_tasks(Silent(writes={"": "#### 4"}), tasks("pairs", "sums"), SETTINGS, root=root)
    assert {item.task for item in found.results} == {"sums"}
    records = found.files[TASKS]["tasks"]
    assert records["pairs"]["refused"] == "the server gives no log-probabilities"
    assert records["sums"]["refused"] == ""
    assert "warning: pairs was not asked: the server gives no log-probabilities" in capsys.readouterr().err


def test_the_first_thing_that_the_model_was_given_is_kept(root):
    (root / "sums.jsonl").write_text(json.dumps({"question": "2 + 2?", "answer": "#### 4"}) + "\n")
    found = run_tasks(Letters(writes={"": "#### 4"}), tasks("pairs", "texts", "sums"), SETTINGS, root=root)
    examples = {name: record["example"] for name, record in found.files[TASKS]["tasks"].items()}
    assert examples["pairs"] == {"context": "", "continuation": " " + SENTENCES[0]}
    assert examples["texts"] == {"context": "", "continuation": SENTENCES[0]}
    assert "2 + 2?" in examples["sums"]["prompt"]
    assert examples["sums"]["written"] == "#### 4"
