"""The same task, asked by rodna and by lm-evaluation-harness with its own model: the same numbers, or a difference that is explained."""

import json

import numpy as np
import pytest

pytest.importorskip("lm_eval")

from tests.evals.harness_models import CONTEXT, SETTINGS, harness, make_model, numbers, reported, write_lines
from tests.evals.letters import Letters

from rodna.evals.harness.run import run_harness
from rodna.evals.models.open import open_language_model
from rodna.evals.tasks.config import TaskConfig
from rodna.evals.tasks.exact_match import grade, read_problem
from rodna.evals.tasks.items import Row
from rodna.evals.tasks.run import run_tasks
from rodna.models.generate import Sampling

WORDS = "saulė mėnuo upė akmuo duona vanduo žiema vasara miškas sodas langas laiškas".split()  # noqa: SIM905
TEXTS = [" ".join(WORDS), "Klausimas: kas yra upė? Atsakymas: vanduo, 12345 67890.", "Question: Answer: A. B. C. D."] * 2
FILES = {"exams": "exams_lt/Lithuanian.test.jsonl", "arc": "tilde_lt/arc_validation_lt.jsonl", "mmlu": "tilde_lt/mmlu_dev_lt.jsonl"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return {family: make_model(tmp_path_factory.mktemp(family), family, TEXTS) for family in ("llama", "qwen3", "gpt2")}


@pytest.fixture(scope="module")
def questions(tmp_path_factory):
    """Questions with options of different lengths; some are longer than the context."""
    rows = []
    for number in range(40):
        options = [" ".join(WORDS[(number + 3 * place + step) % 12] for step in range(1 + (number + place) % 3)) for place in range(4)]
        stem = " ".join(WORDS[(number * step) % 12] for step in range(2, 90 if number % 8 == 7 else 8))
        rows.append({"id": f"q{number}", "question": f"{stem}?", "choices": options, "answer": number % 4})
    return write_lines(tmp_path_factory.mktemp("questions") / "questions.jsonl", rows)


def ours(model, file, kind, settings=SETTINGS, **more):
    config = TaskConfig(name="task", kind=kind, path=file.name, **more)
    return run_tasks(open_language_model(str(model), settings), [config], settings, root=file.parent, anywhere=True)


def theirs(model, *tasks, **more):
    """Return metric -> number of the only task, with the harness' own model; and make sure that ours gives it the same."""
    found = reported(run_harness(str(model), harness(*tasks, backend="hf", **more)))
    adapted = reported(run_harness(str(model), harness(*tasks, **more)))
    assert adapted == pytest.approx(found, rel=1e-6, abs=1e-12)
    return {metric: value for (_, metric), value in found.items()}


def metrics(evaluation):
    return {metric: value for (task, metric), value in numbers(evaluation).items() if task == "task"}


# Log-likelihoods.

PAIRS = [
    ("", "saulė"),
    ("", " saulė ir mėnuo"),
    ("upė", " akmuo"),
    ("upė ", "akmuo"),
    ("upė  \n", "akmuo"),
    ("sau", "lė upė"),
    (" ".join(WORDS * 12), " duona ir vanduo"),
    ("ўсё ці ні", " 漢字 ᚠᚢ \U0001f600"),
    ("a", "\n"),
]


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2"])
def test_log_likelihoods_are_those_of_the_harness(family, folders):
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from rodna.evals.harness.model import HarnessModel

    hf = HFLM(pretrained=str(folders[family]), device="cpu", dtype="float32", batch_size=4)
    model = HarnessModel(open_language_model(str(folders[family]), SETTINGS), greedy={"t"})
    requests = [Instance("loglikelihood", {}, pair, 0, metadata=("t", place, 1)) for place, pair in enumerate(PAIRS)]
    # What the model writes by itself is the likeliest there is, where its tokens are those that the text would be encoded to.
    written = model.model.generate(WORDS, Sampling(temperature=0.0, top_p=1.0, max_tokens=1))
    pairs = [pair for pair in zip(WORDS, written, strict=True) if _is_apart(pair, hf.tok_encode)]
    requests += [Instance("loglikelihood", {}, pair, 0, metadata=("t", 99, 1)) for pair in pairs]
    expected, found = hf.loglikelihood(requests), model.loglikelihood(requests)

    assert [value for value, _ in found] == pytest.approx([value for value, _ in expected], abs=1e-4)
    assert [is_greedy for _, is_greedy in found] == [is_greedy for _, is_greedy in expected]
    assert 0 < sum(is_greedy for _, is_greedy in found) < len(found)


def _is_apart(pair, encode):
    """Return whether what was written is text, and no token joins it with what stands before: there the harness stops."""
    return "\ufffd" not in pair[1] and len(encode("".join(pair))) > len(encode(pair[0]))


# Multiple choice.


@pytest.mark.parametrize("family", ["llama", "qwen3", "gpt2"])
def test_accuracies_of_options_are_those_of_the_harness(family, folders, questions):
    expected = theirs(folders[family], f"multiple_choice={questions}")
    found = metrics(ours(folders[family], questions, "multiple_choice"))

    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert set(expected) == {"acc", "acc_norm", "acc_bytes"}
    assert 0 < expected["acc"] < 0.6


def test_the_harness_own_arc_gives_our_numbers_after_its_prompt(folders, questions):
    expected = theirs(folders["llama"], f"arc_easy={questions}")
    found = metrics(ours(folders["llama"], questions, "multiple_choice", prompt="Question: {question}\nAnswer: "))

    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)


def test_the_harness_own_mmlu_compares_our_labels(folders, questions):
    expected = theirs(folders["llama"], f"mmlu={questions}")
    found = metrics(ours(folders["llama"], questions, "multiple_choice", prompt="{question}\n{options}\nAnswer: "))

    assert found["acc"] == pytest.approx(expected["acc"], abs=1e-12)


def test_the_same_solved_items_give_the_same_numbers(folders, questions, tmp_path):
    rows = [json.loads(line) for line in questions.read_text(encoding="utf-8").splitlines()]
    asked = write_lines(tmp_path / "items" / "test.jsonl", [row for row in rows if len(row["question"]) < 200][2:])
    shots = write_lines(tmp_path / "items" / "dev.jsonl", rows[:2])
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "shown.yaml").write_text(SHOWN.format(test=json.dumps(str(asked)), dev=json.dumps(str(shots))), encoding="utf-8")
    # The harness shows the first ones in order; ours are drawn, so a seed is taken that draws them in order.
    seed = next(seed for seed in range(99) if np.random.default_rng(seed).permutation(2).tolist() == [0, 1])
    settings = SETTINGS.model_copy(update={"seed": seed})
    expected = theirs(folders["qwen3"], "shown", path=str(tmp_path / "tasks"), shots=2)
    found = metrics(ours(folders["qwen3"], asked, "multiple_choice", settings, shots=2, shots_path=str(shots)))
    without = metrics(ours(folders["qwen3"], asked, "multiple_choice"))

    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-12)
    assert {name: without[name] for name in expected} != expected


SHOWN = """\
task: shown
dataset_path: json
dataset_kwargs: {{data_files: {{test: {test}, dev: {dev}}}}}
test_split: test
fewshot_split: dev
fewshot_config: {{sampler: first_n}}
output_type: multiple_choice
doc_to_text: "{{{{question}}}}\\n"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: answer
target_delimiter: ""
metric_list: [{{metric: acc}}, {{metric: acc_norm}}]
metadata: {{version: 2.5}}
"""


@pytest.mark.parametrize("name", sorted(FILES))
def test_real_questions_give_the_same_numbers(name, folders, shared_data, tmp_path):
    lines = (shared_data / "eval" / "qa" / FILES[name]).read_text(encoding="utf-8").split("\n")
    file = tmp_path / f"{name}.jsonl"
    # An option longer than the context is where the harness stops; ours reads it through windows.
    short = [line for line in lines if 0 < len(line) < 400]
    file.write_text("\n".join(short[:40]) + "\n", encoding="utf-8")
    expected = theirs(folders["llama"], f"multiple_choice={file}")
    evaluation = ours(folders["llama"], file, "multiple_choice")
    found = metrics(evaluation)

    assert {metric: found[metric] for metric in expected} == pytest.approx(expected, abs=1e-12)
    assert evaluation.results[0].n >= 36


# Exact match.

WORKED = [
    ("He has 2+2=4. #### 4", "#### 4"),
    ("He has 2+2=5. #### 5", "#### 4"),
    ("so it is 18.", "3*6=<<3*6=18>>18\n#### 18"),
    ("#### 1,234", "#### 1,234"),
    ("#### 1234", "#### 1,234"),
    ("#### $18", "#### 18"),
    ("it costs $18.50", "#### 18.50"),
    ("it costs 18.50 in all", "#### 18.5"),
    ("#### -3", "#### -3"),
    ("#### 7\n#### 8", "#### 8"),
    ("no number at all", "#### 8"),
    ("", "#### 8"),
    ("9 of 10", "#### 9"),
    ("9 of 10", "#### 10"),
]


def test_numbers_are_graded_as_by_the_filters_of_the_harness_gsm8k(tmp_path):
    rows = [{"question": f"How many are {place}?", "answer": answer} for place, (_, answer) in enumerate(WORKED)]
    file = write_lines(tmp_path / "gsm8k.jsonl", rows)
    model = Letters(writes={f"How many are {place}?\nAnswer:": text for place, (text, _) in enumerate(WORKED)})
    evaluation = run_harness(model, harness(f"gsm8k={file}", shots=0))
    expected = {item.metric: item.numerator_N.tolist() for item in evaluation.measurements}
    config = TaskConfig(name="task", kind="exact_match", path=file.name, prompt="Question: {question}\nAnswer:")
    mine = {item.metric: item.numerator_N.tolist() for item in run_tasks(model, [config], SETTINGS, root=tmp_path).measurements}

    assert mine["exact_match_strict"] == expected["exact_match,strict-match"]
    assert mine["exact_match_flexible"] == expected["exact_match,flexible-extract"]
    assert 0 < sum(expected["exact_match,strict-match"]) < sum(expected["exact_match,flexible-extract"]) < len(rows)


# What the harness' expressions, written for English, do not read; ours do, on purpose.
@pytest.mark.parametrize(
    ("written", "answer"),
    [("#### 1 234", "#### 1234"), ("#### ৪২", "#### ৪২"), ("#### \u22123", "#### -3"), ("####18", "#### 18"), ("18 %.", "#### 18")],
)
def test_numbers_of_other_scripts_are_where_grades_differ(written, answer):
    grades = grade(read_problem(Row("1", "", {"question": "?", "answer": answer})), written)

    assert grades["exact_match_flexible"]


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_what_is_written_is_what_the_harness_model_writes(family, folders):
    from lm_eval.api.instance import Instance
    from lm_eval.models.huggingface import HFLM

    from rodna.evals.harness.model import HarnessModel

    hf = HFLM(pretrained=str(folders[family]), device="cpu", dtype="float32", batch_size=1)
    model = HarnessModel(open_language_model(str(folders[family]), SETTINGS))
    kwargs = {"until": ["A", "\n\n"], "max_gen_toks": 24, "do_sample": False}
    prompts = ["Question: upė?\nAnswer:", "saulė", "12345 "]
    requests = [Instance("generate_until", {}, (prompt, kwargs), 0, metadata=("t", place, 1)) for place, prompt in enumerate(prompts)]

    found = model.generate_until(requests)
    assert found == hf.generate_until(requests)
    assert all(len(text) > 0 for text in found)


# Documents.


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    rows = [{"text": " ".join(WORDS[(number * step) % 12] for step in range(1, count))} for number, count in enumerate([3, 9, 14, 20], 1)]
    return write_lines(tmp_path_factory.mktemp("documents") / "documents.jsonl", rows)


def nats_without_end(model, texts):
    return sum(score.nats for score in model.score([""] * len(texts), texts))


def test_bits_per_byte_differ_by_the_cost_of_the_end_alone(folders, documents):
    expected = theirs(folders["llama"], f"text={documents}")["bits_per_byte"]
    texts = [json.loads(line)["text"] for line in documents.read_text(encoding="utf-8").splitlines()]
    model = open_language_model(str(folders["llama"]), SETTINGS)
    num_bytes = sum(len(text.encode()) for text in texts)
    ends = sum(score.nats for score in model.score_documents(texts)) - nats_without_end(model, texts)
    found = metrics(ours(folders["llama"], documents, "text"))["bits_per_byte"]

    assert ends > 0
    assert found - ends / np.log(2) / num_bytes == pytest.approx(expected, rel=1e-6)


def test_documents_longer_than_the_context_are_read_through_the_windows_of_the_harness(folders, tmp_path):
    # Not periodic: of windows that read the same, but score other parts of it, the harness confuses the results.
    drawn = np.random.default_rng(0).integers(0, 12, size=(3, 250))
    texts = [" ".join(WORDS[place] for place in row) for row in drawn]
    file = write_lines(tmp_path / "long.jsonl", [{"text": text} for text in texts])
    model = open_language_model(str(folders["llama"]), SETTINGS.model_copy(update={"stride": 1.0}))
    halves = open_language_model(str(folders["llama"]), SETTINGS)
    expected = theirs(folders["llama"], f"text={file}")["bits_per_byte"]
    to_bits = 1 / np.log(2) / sum(len(text.encode()) for text in texts)

    assert all(score.num_tokens > 2 * CONTEXT for score in model.score([""] * 3, texts))
    assert nats_without_end(model, texts) * to_bits == pytest.approx(expected, rel=1e-6)
    # Windows that overlap by half, as ours do unless told otherwise, show every token more of what precedes it: another number.
    assert abs(nats_without_end(halves, texts) * to_bits - expected) > 1e-4
