"""lm-evaluation-harness as a verb of rodna: which tasks, over which files, what is left out, and what is said where it cannot be."""

import importlib.util
import json
import socket

import pytest

pytest.importorskip("lm_eval")

from tests.evals.harness_models import SETTINGS, harness, make_model, numbers, reported, write_lines
from tests.evals.letters import Letters

from rodna.core.errors import EvaluationError
from rodna.evals.harness.model import sampling_of
from rodna.evals.harness.run import harness_inputs, run_harness
from rodna.evals.harness.tasks import Source, parse_sources
from rodna.evals.measure import read_items
from rodna.evals.models.open import open_language_model
from rodna.evals.result import read_results

PAIRS = [
    {"id": f"p{n}", "sentence_good": f"the {word} is", "sentence_bad": f"the {word} are"} for n, word in enumerate(["cat", "dog", "sun"])
]
QUESTION = {"question": "Which is a river?", "choices": ["Nile", "Everest"], "answer": 0}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("model"), "llama", ["the cat is here", "the dogs are there"] * 3)


@pytest.fixture
def pairs(tmp_path):
    return write_lines(tmp_path / "pairs" / "adjunct_island.jsonl", PAIRS)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


# What is asked for.


@pytest.mark.parametrize(
    ("given", "sources"),
    [
        (["blimp=a/b", "mine"], [Source("blimp", "a/b"), Source("mine")]),
        (["one,two"], [Source("one"), Source("two")]),
        (["blimp=/x/y,gsm8k=z.jsonl"], [Source("blimp", "/x/y"), Source("gsm8k", "z.jsonl")]),
        (["blimp=/x, y/z"], [Source("blimp", "/x, y/z")]),
    ],
)
def test_tasks_are_named_with_or_without_items(given, sources):
    assert parse_sources(given) == sources


@pytest.mark.parametrize(
    ("given", "message"),
    [(["=x"], "not the name of a task"), (["a b=x"], "not the name"), (["a", "a=x"], "asked for twice"), ([""], "name")],
)
def test_tasks_named_wrongly_are_explained(given, message):
    with pytest.raises(EvaluationError, match=message):
        parse_sources(given)


def failure(*tasks, **more):
    with pytest.raises(EvaluationError) as caught:
        run_harness(Letters(), harness(*tasks, **more))
    return str(caught.value)


@pytest.mark.usefixtures("no_network")
def test_a_task_that_needs_a_download_says_how_to_give_its_items(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    message = failure("arc_easy")

    assert "the data of the task arc_easy is not on this machine, and nothing is downloaded" in message
    assert "--harness arc_easy=FILE.jsonl" in message


def test_what_cannot_be_found_is_explained(tmp_path, pairs):
    (tmp_path / "empty").mkdir()

    assert "no task is called 'surely_no_such_task'" in failure("surely_no_such_task")
    assert "no such file or folder of items" in failure(f"blimp={tmp_path}/nowhere")
    assert "no such folder of task files" in failure("x", path=str(tmp_path / "nowhere"))
    assert "a group of 67 tasks, but its items are one file" in failure(f"blimp={pairs}")
    assert "no file anaphor_gender_agreement.jsonl" in failure(f"blimp={pairs.parent}")
    assert "a group of groups" in failure(f"mmlu_stem={pairs.parent}")


def test_a_task_file_that_is_broken_is_explained(tmp_path, pairs):
    (tmp_path / "bad.yaml").write_text("task: bad\ndataset_path: json\noutput_type: riddles\ntest_split: test\n", encoding="utf-8")
    lines = SHORT.format(file=json.dumps(str(pairs))).replace("sentence_good", "no_such_field.deeper")
    (tmp_path / "worse.yaml").write_text(lines, encoding="utf-8")

    assert "the task cannot be loaded" in failure("bad", path=str(tmp_path))
    assert "the task cannot be loaded: UndefinedError" in failure("short", path=str(tmp_path))


SHORT = """\
task: short
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: ""
doc_to_choice: "{{{{[sentence_bad, sentence_good]}}}}"
doc_to_target: 1
metric_list: [{{metric: acc}}]
metadata: {{version: 2.5}}
"""


# What is left out.


def test_items_that_cannot_be_read_are_counted_with_reasons(tmp_path):
    rows = [json.dumps(row) for row in PAIRS]
    rows += ["{half a li", json.dumps({"sentence_good": "alone"}), json.dumps({"sentence_good": " ", "sentence_bad": "x"}), "[1]"]
    file = tmp_path / "adjunct_island.jsonl"
    file.write_text("\n".join(rows) + "\n", encoding="utf-8")
    evaluation = run_harness(Letters(), harness(f"blimp_adjunct_island={file}"))
    record = evaluation.files["tasks.json"]["tasks"]["blimp_adjunct_island"]

    assert (record["num_items"], record["num_skipped"]) == (3, 4)
    assert [item["where"] for item in record["skipped"]] == [f"adjunct_island.jsonl:{line}" for line in (4, 5, 6, 7)]
    reasons = [item["reason"] for item in record["skipped"]]
    assert "not JSON" in reasons[0]
    assert reasons[1:3] == ["missing field: sentence_bad", "empty sentence_good"]
    assert evaluation.measurements[0].ids == ["p0", "p1", "p2"]


def test_questions_of_any_shape_are_read_and_bad_ones_left_out(tmp_path):
    rows = [
        {"question": {"stem": "Which is a river?", "choices": [{"text": "Nile", "label": "A"}, {"text": "Oslo", "label": "B"}]},
         "answerKey": "A"},
        {"instruction": "Which is a town?", "option_a": "Nile", "option_b": "Oslo", "answer": "B"},
        QUESTION,
        {**QUESTION, "answer": 7},
        {**QUESTION, "choices": ["Nile", "Nile"]},
    ]  # fmt: skip
    file = write_lines(tmp_path / "items.jsonl", rows)
    evaluation = run_harness(Letters(), harness(f"arc_easy={file}"))
    record = evaluation.files["tasks.json"]["tasks"]["arc_easy"]

    assert evaluation.measurements[0].ids == ["items:1", "items:2", "items:3"]
    assert record["example"] == {"context": "Question: Which is a river?\nAnswer:", "continuation": " Nile"}
    assert [item["reason"].split(":")[0] for item in record["skipped"]] == ["answer outside the options", "duplicated options"]
    assert "no usable item" in failure(f"mmlu={file}")


def test_a_question_is_never_among_its_own_solved_items(tmp_path):
    rows = [{**QUESTION, "question": f"Which is river number {number}?"} for number in range(4)]
    file = write_lines(tmp_path / "items.jsonl", rows)
    for task in (f"arc_easy={file}", f"mmlu={write_lines(tmp_path / 'four.jsonl', [{**row, 'choices': [*'abcd']} for row in rows])}"):
        model = Letters()
        run_harness(model, harness(task, shots=3))
        asked = {context for contexts, _ in model.asked for context in contexts}
        assert len(asked) == 4
        for context in asked:
            assert sorted(context.count(row["question"]) for row in rows) == [1, 1, 1, 1]


def test_solved_items_are_from_the_split_that_the_definition_says(tmp_path):
    for name in ("train", "test"):
        rows = [{"question": f"{name} {number}?", "answer": f"{number} #### {number}"} for number in range(6)]
        write_lines(tmp_path / "gsm8k" / f"{name}.jsonl", rows)
    model = Letters()
    found = run_harness(model, harness(f"gsm8k={tmp_path / 'gsm8k'}"))

    assert {measurement.detail["shots"] for measurement in found.measurements} == {5}
    assert all(prompt.count("train ") == 5 and prompt.count("test ") == 1 for prompt in model.prompts)
    assert len(model.prompts) == 6


# What comes of it.


def test_a_task_file_of_ones_own_runs_as_it_is(tmp_path, pairs, checkpoint):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "short.yaml").write_text(SHORT.format(file=json.dumps(str(pairs))), encoding="utf-8")
    model = open_language_model(str(checkpoint), SETTINGS)
    (found,) = run_harness(model, harness("short", path=str(tmp_path / "own"))).measurements
    # The harness parts an answer from what stands before it with a space, even from nothing.
    scores = model.score([""] * 6, [f" {row[name]}" for row in PAIRS for name in ("sentence_good", "sentence_bad")])

    assert found.numerator_N.tolist() == [float(good.nats < bad.nats) for good, bad in zip(scores[::2], scores[1::2], strict=True)]
    assert (found.task_version, found.detail["version"], found.detail["chance"]) == (2, 2.5, 0.5)


def test_a_digest_changes_with_the_prompt_and_not_with_where_the_items_lie(tmp_path, pairs):
    elsewhere = write_lines(tmp_path / "elsewhere" / "adjunct_island.jsonl", PAIRS)
    first, moved = (run_harness(Letters(), harness(f"blimp_adjunct_island={file}")).measurements[0] for file in (pairs, elsewhere))
    digests = set()
    for number, text in enumerate(["", "Say: "]):
        folder = tmp_path / f"own{number}"
        folder.mkdir()
        lines = SHORT.format(file=json.dumps(str(pairs))).replace('doc_to_text: ""', f"doc_to_text: {json.dumps(text)}")
        (folder / "short.yaml").write_text(lines, encoding="utf-8")
        digests.add(run_harness(Letters(), harness("short", path=str(folder))).measurements[0].prompt_digest)

    assert first.prompt_digest == moved.prompt_digest
    assert len(digests) == 2


def test_a_group_is_the_mean_of_its_tasks_as_the_harness_says(tmp_path):
    folder = tmp_path / "own"
    folder.mkdir()
    for number, size in enumerate([2, 3]):
        file = write_lines(tmp_path / f"part{number}.jsonl", [PAIRS[(number + step) % 3] for step in range(size)])
        lines = SHORT.format(file=json.dumps(str(file))).replace("task: short", f"task: both_part{number}")
        (folder / f"part{number}.yaml").write_text(lines.replace("doc_to_target: 1", f"doc_to_target: {number}"), encoding="utf-8")
    for name, by_size in (("both", "false"), ("pooled", "true")):
        rule = f"aggregate_metric_list: [{{metric: acc, weight_by_size: {by_size}}}]"
        (folder / f"{name}.yaml").write_text(f"group: {name}\ntask: [both_part0, both_part1]\n{rule}\n", encoding="utf-8")
    means = run_harness(Letters(), harness("both", path=str(folder)))
    pooled = run_harness(Letters(), harness("pooled", path=str(folder)))

    assert reported(means)["both", "acc"] != reported(pooled)["pooled", "acc"]
    for evaluation in (means, pooled):
        assert numbers(evaluation) == pytest.approx(reported(evaluation), abs=1e-12)
    assert means.measurements[0].ids == ["part0/p0", "part0/p1", "part1/p1", "part1/p2", "part1/p0"]


def test_numbers_that_are_no_mean_have_an_interval_and_no_items(tmp_path):
    rows = [{"question": f"Is {n} odd?", "choices": ["yes", "no"], "answer": n % 2} for n in range(12)]
    file = write_lines(tmp_path / "items.jsonl", rows)
    (tmp_path / "f1.yaml").write_text(F1.format(file=json.dumps(str(file))), encoding="utf-8")
    evaluation = run_harness(Letters(cost={"n": 0.1}), harness("odd", path=str(tmp_path)))
    (result,) = evaluation.results

    assert (result.metric, result.n, evaluation.measurements) == ("f1", 12, [])
    assert result.value == result.detail["harness_value"]
    assert result.low <= result.value <= result.high


F1 = """\
task: odd
dataset_path: json
dataset_kwargs: {{data_files: {{test: {file}}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: answer
metric_list: [{{metric: f1, aggregation: f1, higher_is_better: true}}]
"""


def test_items_of_the_training_text_are_found_and_counted_apart(pairs):
    places = ["standing behind the old wooden gate", "asleep under a heap of yellow leaves", "what everybody wanted from the beginning"]
    rows = [{**row, "sentence_good": f"{row['sentence_good']} {place}"} for row, place in zip(PAIRS, places, strict=True)]
    write_lines(pairs, rows)
    training = ["Long ago. " + rows[1]["sentence_good"] + ". The end of it."]
    evaluation = run_harness(Letters(), harness(f"blimp_adjunct_island={pairs}"), training=iter(training))

    assert evaluation.seen == {"blimp_adjunct_island": frozenset({"p1"})}
    assert evaluation.files["tasks.json"]["tasks"]["blimp_adjunct_island"]["contamination"] == {
        "is_checked": True, "seen": 1, "unseen": 2, "unknown": 0,
    }  # fmt: skip


# How text is written.


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"until": ["\n"], "do_sample": False, "temperature": 0.0}, {"temperature": 0.0, "top_p": 1.0, "max_tokens": 256, "stop": ("\n",)}),
        ({"until": "Q:", "max_new_tokens": 7}, {"temperature": 0.0, "max_tokens": 7, "stop": ("Q:",)}),
        ({"temperature": 0.7, "top_p": 0.9, "max_gen_toks": 3, "max_tokens": 9}, {"temperature": 0.7, "top_p": 0.9, "max_tokens": 3}),
        ({"do_sample": False, "temperature": 0.7}, {"temperature": 0.0}),
        ({"do_sample": True}, {"temperature": 1.0, "top_p": 1.0}),
    ],
)
def test_generation_settings_mean_what_they_do_in_the_harness(given, expected):
    sampling = sampling_of(given, seed=0, task="t")

    assert {name: getattr(sampling, name) for name in expected} == expected


def test_a_search_with_beams_is_refused():
    with pytest.raises(EvaluationError, match=r'num_beams": 4[\s\S]*--harness-backend hf'):
        sampling_of({"num_beams": 4}, seed=0, task="t")


# The command line.


@pytest.mark.usefixtures("no_network")
def test_the_verb_writes_an_evaluation_like_any_other(checkpoint, pairs, tmp_path, rodna, as_json, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = (
        "eval",
        "--model",
        checkpoint,
        "--harness",
        f"blimp_adjunct_island={pairs}",
        "--out",
        "found",
        "--set",
        "eval.bootstrap_samples=100",
    )
    printed = as_json(rodna(*command, "--json"))
    (result,) = read_results(tmp_path / "found" / "results.json")

    assert (result.task, result.metric, result.n, result.seed) == ("blimp_adjunct_island", "acc", 3, 0)
    assert result.low <= result.value <= result.high
    assert printed["tasks"]["blimp_adjunct_island"]["kind"] == "harness"
    assert read_items(tmp_path / "found" / "items.parquet")["blimp_adjunct_island", "acc"].ids == ["p0", "p1", "p2"]
    again = rodna(*command)
    assert "unchanged" in again.stderr
    assert again.stdout.strip() == "found"
    other = rodna(*command, "--limit", "2")
    assert "another evaluation is in the way" in other.stderr
    assert "would be measured" in rodna(*command, "--limit", "2", "--out", "more", "--dry-run").stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--harness", "blimp=x", "--task", "y"), "--harness does not go with --task"),
        (("--harness", "blimp=x", "--ensemble", "--checkpoints", "y"), "does not go with --checkpoints, --ensemble"),
        (("--harness-path", "x"), "--harness-path without --harness"),
        (("--limit", "3", "--shots", "2"), "--prompt, --shots and --limit change tasks that are given"),
        (("--harness", "blimp=x", "--prompt", "{question}"), "--harness does not go with --prompt"),
        (("--harness", "blimp=x", "--harness-backend", "jax"), "backend"),
        (("--harness", "blimp=x", "--shots", "-2"), "shots"),
    ],
)
def test_options_that_would_be_ignored_are_refused(options, message, checkpoint, rodna):
    result = rodna("eval", "--model", checkpoint, *options)

    assert result.exit_code == 1
    assert message in result.stderr


def test_items_that_a_task_file_reads_are_part_of_what_identifies_an_evaluation(checkpoint, pairs, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "short.yaml").write_text(SHORT.format(file=json.dumps(str(pairs))), encoding="utf-8")
    (tmp_path / "own" / "notes.yaml").write_text("- no: [task", encoding="utf-8")
    config = harness("short", path=str(tmp_path / "own"))
    before = harness_inputs(str(checkpoint), config)
    write_lines(pairs, PAIRS[:2])

    assert harness_inputs(str(checkpoint), config)["tasks"] != before["tasks"]


def test_a_machine_without_the_harness_is_told_what_to_install(monkeypatch, checkpoint, rodna):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *more: None if name == "lm_eval" else find(name, *more))
    result = rodna("eval", "--model", checkpoint, "--harness", "blimp=x")

    assert result.exit_code == 1
    assert "pip install 'rodna[harness]'" in result.stderr
