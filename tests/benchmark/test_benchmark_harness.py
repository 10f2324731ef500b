"""A translated benchmark runs in lm-evaluation-harness and in `rodna eval` as it is, with the same numbers, and from the command line."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from toy_translators import CYRILLIC, LATIN, Cipher

from rodna.benchmark.candidates import Translators
from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.translate import translate_benchmark

pytestmark = [
    # lm-evaluation-harness and what it stands on warn of their own accord.
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
]

WORDS = "sun moon river stone bread water winter summer forest garden window letter".split()  # noqa: SIM905


def exams(number: int) -> dict[str, Any]:
    choices = [{"text": f"the {WORDS[(number + 5 * step) % 12]}", "label": "ABCD"[step]} for step in range(4)]
    question = {"stem": f"what do {number + 2} friends see on page {number}?", "choices": choices}
    return {"id": f"e{number}", "question": question, "answerKey": "ABCD"[number % 4]}


def worked(number: int) -> dict[str, Any]:
    return {"question": f"How much are {number} and {number}?", "answer": f"{number}+{number}={2 * number}\n#### {2 * number}"}


def make(folder: Path, items: list[dict[str, Any]], *fields: str) -> Path:
    """Return the folder of a benchmark translated with the cipher."""
    source = folder / "source.jsonl"
    source.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")
    config = BenchmarkConfig(source_language="en", language="be", fields=fields, identifier="off")
    counts = translate_benchmark(source, folder / "translated-be", config, Translators(Cipher()))
    assert counts["accepted"] == len(items)
    return folder / "translated-be"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama that reads letters."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("letters")
    letters = ["<eos>", "<unk>", *dict.fromkeys(CYRILLIC + LATIN + "0123456789+=#.,?! \n")]
    tokenizer = Tokenizer(models.WordLevel({letter: number for number, letter in enumerate(letters)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", unk_token="<unk>", pad_token="<eos>")
    fast.save_pretrained(folder)
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=len(letters), hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
        max_position_embeddings=256, bos_token_id=0, eos_token_id=0, initializer_range=1.0,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def in_harness(checkpoint: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, **more: Any) -> dict[str, Any]:
    pytest.importorskip("lm_eval")
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("HF_HOME", str(folder.parent / "hf"))
    import lm_eval
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    manager = TaskManager(include_path=str(folder / "harness"), include_defaults=False)
    model = HFLM(pretrained=str(checkpoint), device="cpu", batch_size=4, dtype="float32")
    results = lm_eval.simple_evaluate(model=model, tasks=[folder.name], task_manager=manager, bootstrap_iters=0, **more)
    return results["results"][folder.name]


def in_rodna(checkpoint: Path, folder: Path, as_json: Callable[[Any], Any], rodna: Callable[..., Any]) -> dict[str, Any]:
    result = as_json(
        rodna("eval", "--model", checkpoint, "--task", folder / "benchmark.jsonl", "--out", folder.parent / "measured", "--json",
              "--no-corpus", "--set", "eval.bootstrap_samples=100", "--set", "eval.compute_dtype=float32")
    )  # fmt: skip
    return {row["metric"]: row for row in result["results"] if row["task"] == "benchmark"}


def test_options_are_scored_alike_in_the_harness_and_in_rodna(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_json: Any, rodna: Any
):
    folder = make(tmp_path, [exams(number) for number in range(24)], "question.stem", "question.choices.text")
    theirs = in_harness(checkpoint, folder, monkeypatch)
    monkeypatch.chdir(tmp_path)
    ours = in_rodna(checkpoint, folder, as_json, rodna)

    assert 0 < theirs["acc,none"] < 1
    assert ours["acc"]["n"] == 24
    assert ours["acc"]["value"] == pytest.approx(theirs["acc,none"], abs=1e-6)
    assert ours["acc_norm"]["value"] == pytest.approx(theirs["acc_norm,none"], abs=1e-6)


def test_the_folder_may_be_moved_and_still_runs_in_the_harness(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = make(tmp_path, [exams(number) for number in range(24)], "question.stem", "question.choices.text")
    before = in_harness(checkpoint, folder, monkeypatch)
    (tmp_path / "elsewhere").mkdir()
    moved = Path(shutil.move(folder, tmp_path / "elsewhere" / folder.name))

    assert in_harness(checkpoint, moved, monkeypatch) == before


def test_worked_answers_are_generated_and_compared(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = make(tmp_path, [worked(number) for number in range(1, 25)], "question", "answer")
    found = in_harness(checkpoint, folder, monkeypatch, gen_kwargs="max_gen_toks=8")

    assert found["exact_match,strict-match"] == 0
    assert 0 <= found["exact_match,flexible-extract"] < 1


def test_items_without_an_answer_make_no_task(tmp_path: Path):
    folder = make(tmp_path, [{"text": f"The {word} of old is here."} for word in WORDS], "text")

    assert not (folder / "harness").exists()


# The command line.


@pytest.fixture
def source(tmp_path: Path) -> Path:
    file = tmp_path / "source.jsonl"
    file.write_text("".join(json.dumps(exams(number)) + "\n" for number in range(24)), encoding="utf-8")
    return file


def options(source: Path, **changed: str) -> list[str]:
    given = {
        "from": "en", "to": "ca", "translator": "apertium", "fields": "question.stem,question.choices.text",
        "out": str(source.parent / "out"),
        **changed,
    }  # fmt: skip
    return ["benchmark", "translate", str(source), *(part for name, value in given.items() for part in (f"--{name}", value))]


def test_a_benchmark_is_translated_from_the_command_line(source: Path, rodna: Any, as_json: Any):
    if shutil.which("apertium") is None:
        pytest.skip("needs the program apertium, which is not installed")
    first = rodna(*options(source))
    if "no en-ca" in first.stderr:
        pytest.skip("needs the package apertium-eng-cat, which is not installed")
    assert first.exit_code == 0, first.stderr
    assert first.stdout.strip() == str(source.parent / "out")
    assert "of 24 items" in first.stderr

    counts = as_json(rodna("benchmark", "rebuild", source.parent / "out", "--json"))
    assert counts["items"] == 24
    assert counts == as_json(rodna(*options(source), "--json"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"to": "en"}, "from en into itself"),
        ({"to": "catalonian"}, "unknown language tag"),
        ({"translator": "babel"}, "unknown translator: 'babel'"),
        ({"options": "x"}, "options that are not translated: x"),
        ({"set": "fence=-1"}, "fence"),
        ({"set": "fense=1"}, "did you mean `fence`"),
        ({"translator": "local_hf:nowhere"}, "no model at nowhere"),
        ({"translator": "endpoint:http://127.0.0.1:9/v1"}, "names no model"),
    ],
)
def test_what_is_typed_wrongly_is_explained(changed: dict[str, str], message: str, source: Path, rodna: Any):
    result = rodna(*options(source, **changed))

    assert result.exit_code == 1
    assert message in result.stderr
    assert "fix:" in result.stderr


def test_a_server_that_is_not_there_fails_the_items_and_the_command(source: Path, rodna: Any):
    # Port 9 of this machine: nothing listens there.
    quick = options(source, translator="endpoint:http://127.0.0.1:9/v1#none", set="endpoint.max_attempts=1")
    result = rodna(*quick)

    assert result.exit_code == 1
    assert "0 rejected, 24 failed of 24 items" in result.stderr
    assert "type the same command again" in result.stderr
    assert json.loads((source.parent / "out" / "manifest.json").read_text(encoding="utf-8"))["counts"]["failed"] == 24


def test_rebuilding_a_folder_that_is_no_benchmark_is_explained(tmp_path: Path, rodna: Any):
    result = rodna("benchmark", "rebuild", tmp_path)

    assert result.exit_code == 1
    assert "no translated benchmark here" in result.stderr
