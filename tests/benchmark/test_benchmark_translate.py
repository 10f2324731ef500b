"""A benchmark is translated, checked, repaired; nothing is lost, asked twice or silently dropped."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from toy_translators import Cipher, Spoiling, Unreliable, copies, loses_masks, loses_numbers_unless_masked

from rodna.benchmark import store
from rodna.benchmark.candidates import Translators
from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.errors import TranslationError
from rodna.benchmark.memory import Failure, Memory
from rodna.benchmark.translate import translate_benchmark
from rodna.core.artifact import Artifact
from rodna.core.log import read_json_lines

WORDS = "sun moon river stone bread water winter summer forest garden window letter".split()  # noqa: SIM905
CONFIG = BenchmarkConfig(source_language="en", language="be", fields=("question", "choices"), identifier="off")


def questions(number: int = 24) -> list[dict[str, Any]]:
    return [
        {
            "id": f"q{place}",
            "question": f"Which of these {place + 2} words about the {WORDS[place % 12]} is printed on page {place * 3}?",
            "choices": [f"the {WORDS[(place + step) % 12]} of old" for step in range(4)],
            "answer": "ABCD"[place % 4],
        }
        for place in range(number)
    ]


def write(folder: Path, items: list[Any]) -> Path:
    file = folder / "source.jsonl"
    lines = [item if isinstance(item, str) else json.dumps(item) for item in items]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def run(folder: Path, items: list[Any], *translators: Any, config: BenchmarkConfig = CONFIG, back: Any = None) -> dict[str, Any]:
    """Return id -> line of items.jsonl; the counts are under "counts"."""
    out = folder / "out"
    counts = translate_benchmark(write(folder, items), out, config, Translators(*translators, back=back))
    records = read_json_lines(out / "items.jsonl")
    assert len(records) == len(items)
    assert counts["items"] == len(items) == sum(counts[name] for name in ("accepted", "repaired", "rejected", "failed"))
    assert len(read_json_lines(out / "benchmark.jsonl")) == counts["accepted"] + counts["repaired"]
    assert len(read_json_lines(out / "rejected.jsonl")) == counts["rejected"] + counts["failed"]
    return {"counts": counts, **{record["id"]: record for record in records}}


def test_a_faithful_translation_is_accepted_in_the_shape_of_its_source(tmp_path: Path):
    result = run(tmp_path, questions(), Cipher(), Cipher("other"), back=Cipher())

    assert result["counts"]["accepted"] == 24
    lines = read_json_lines(tmp_path / "out" / "benchmark.jsonl")
    for source, line in zip(questions(), lines, strict=True):
        provenance = line.pop("provenance")
        assert line.keys() == source.keys()
        assert (line["id"], line["answer"]) == (source["id"], source["answer"])
        assert line["question"] == Cipher().translate([source["question"]], "en", "be")[0]
        assert provenance["translators"] == "cipher"
        assert provenance["status"] == "accepted"
    checks = {check["name"]: check["passed"] for check in result["q3"]["checks"]}
    assert [checks[name] for name in ("round_trip", "agreement", "answer_key", "length_ratio")] == [True] * 4


def test_the_folder_is_an_artifact_whose_files_are_those_it_says(tmp_path: Path):
    run(tmp_path, questions(), Cipher(), back=Cipher())
    artifact = Artifact.open(tmp_path / "out", kind="benchmark")
    artifact.verify()

    assert artifact.manifest.inputs["first"] == "cipher 1"
    assert {"items.jsonl", "benchmark.jsonl", "rejected.jsonl"} <= artifact.manifest.files.keys()


def test_a_field_of_the_source_that_is_called_provenance_stays(tmp_path: Path):
    run(tmp_path, [{**item, "provenance": "a book"} for item in questions()], Cipher())
    line = read_json_lines(tmp_path / "out" / "benchmark.jsonl")[0]

    assert line["provenance"] == "a book"
    assert line["translation_provenance"]["id"] == "q0"


def test_numbers_that_are_lost_come_back_behind_masks(tmp_path: Path):
    result = run(tmp_path, questions(), Spoiling(loses_numbers_unless_masked))

    assert result["counts"]["repaired"] == 24
    assert result["q5"]["edits"] == ["numbers_masked"]
    assert result["q5"]["segments"][0]["because"] == "numbers: lost 7, 15"
    assert "7" in result["q5"]["translation"]["question"]


def test_placeholders_of_a_translator_that_loses_masks_are_tried_without(tmp_path: Path):
    items = [{**item, "question": "Hello {42}, " + item["question"]} for item in questions()]
    careful = Spoiling(loses_masks)
    result = run(tmp_path, items, careful)

    assert result["counts"]["repaired"] == 24
    assert result["q0"]["edits"] == ["unmasked"]
    assert "{42}" in result["q0"]["translation"]["question"]
    assert result["q0"]["segments"][0]["because"] == "placeholders: lost {42}; numbers: lost 42"


def test_the_second_translator_stands_in_where_the_first_fails_a_check(tmp_path: Path):
    wrong = Spoiling(lambda translation, text, _: translation + " 9999" if "sun" in text and "Which" in text else translation)
    result = run(tmp_path, questions(), wrong, Cipher("other"))

    repaired = [record for name, record in result.items() if name != "counts" and record["status"] == "repaired"]
    assert {record["id"] for record in repaired} == {"q0", "q12"}
    assert repaired[0]["edits"] == ["second_translator"]
    assert repaired[0]["segments"][0]["translator"] == "other"
    assert "9999" not in repaired[0]["translation"]["question"]


def test_options_that_became_the_same_are_taken_from_the_second_translator(tmp_path: Path):
    blind = Spoiling(lambda translation, text, _: "the old" if text.startswith("the ") else translation)
    alone = run(tmp_path, questions(), blind)
    helped = run(tmp_path, questions(), blind, Cipher("other"))

    assert alone["counts"]["rejected"] == 24
    assert "distinct_options" in alone["q1"]["reasons"]
    assert "as the right answer" in " ".join(alone["q1"]["detail"])
    assert helped["counts"]["repaired"] == 24


def test_an_item_that_does_not_come_back_is_taken_from_the_second_translator_or_rejected(tmp_path: Path):
    babble = Spoiling(lambda translation, text, target: "ы" * len(text.rstrip("?")) + "?" if "page 9?" in text else translation)
    items = [{**item, "question": item["question"].replace("these 5 words", "these words")} for item in questions()]
    config = CONFIG.model_copy(update={"ignore": ("numbers",), "min_round_trip": 60.0})
    alone = run(tmp_path, items, babble, back=Cipher(), config=config)
    helped = run(tmp_path, items, babble, Cipher("other"), back=Cipher(), config=config)

    assert alone["q3"]["reasons"] == ["round_trip"]
    assert alone["counts"]["rejected"] == 1
    assert (helped["q3"]["status"], helped["q3"]["edits"]) == ("repaired", ["second_translator"])


def test_what_stayed_in_the_source_language_is_rejected(tmp_path: Path):
    result = run(tmp_path, questions(), Spoiling(copies))

    assert result["counts"]["rejected"] == 24
    assert "untranslated" in result["q0"]["reasons"]


def test_a_wrong_length_is_told_from_the_batch(tmp_path: Path):
    long_winded = Spoiling(lambda translation, text, _: translation + translation[:20] * 9 if "about the summer" in text else translation)
    result = run(tmp_path, questions(), long_winded, config=CONFIG.model_copy(update={"ignore": ("numbers",)}))

    assert result["q7"]["reasons"] == ["length_ratio"]
    assert result["counts"]["reasons"] == {"length_ratio": 2}


def test_an_answer_that_repeats_the_right_option_follows_it(tmp_path: Path):
    items = [{**item, "answer": item["choices"][2]} for item in questions()]
    result = run(tmp_path, items, Cipher())

    assert result["counts"]["accepted"] == 24
    assert result["q4"]["translation"]["answer"] == result["q4"]["translation"]["choices"][2]


def test_a_right_answer_that_now_says_another_option_is_rejected(tmp_path: Path):
    swaps = str.maketrans({})
    names = {"the sun of old": "the moon of old", "the moon of old": "the sun of old"}
    swapping = Spoiling(lambda translation, text, target: Cipher().translate([names.get(text, text)], "en", "be")[0].translate(swaps))
    result = run(tmp_path, questions(), swapping, back=Cipher())

    assert result["q0"]["reasons"] == ["answer_key"]
    assert "nearer to 'the moon of old'" in result["q0"]["detail"][0]


def test_a_worked_answer_whose_number_changed_is_repaired(tmp_path: Path):
    items = [{"id": str(n), "question": f"How much is {n} and 1?", "answer": f"It is {n + 1}.\n#### {n + 1}"} for n in range(30)]
    wrong = Spoiling(lambda translation, text, _: translation.replace("4", "4444") if text == "It is 4." else translation)
    config = BenchmarkConfig(source_language="en", language="be", fields=("question", "answer"), identifier="off")
    result = run(tmp_path, items, wrong, config=config)

    assert result["3"]["status"] == "repaired"
    assert result["3"]["translation"]["answer"].endswith("#### 4")
    assert result["counts"]["accepted"] == 29


def test_unusable_items_are_rejected_with_reasons_beside_the_good_ones(tmp_path: Path):
    result = run(tmp_path, [*questions(), "{broken", {"id": "x", "question": "Q", "choices": ["a", "a"], "answer": "A"}], Cipher())

    assert result["counts"]["reasons"] == {"duplicated_options": 1, "malformed": 1}
    assert result["line-25"]["source"].startswith("not JSON")
    assert result["x"]["status"] == "rejected"


def test_a_text_that_cannot_be_translated_takes_no_other_with_it_and_is_tried_again(tmp_path: Path):
    unreliable = Unreliable("page 15?")
    first = run(tmp_path, questions(), unreliable)
    assert first["counts"]["failed"] == 1
    assert first["q5"]["reasons"] == ["translator_failed"]
    assert "500" in first["q5"]["detail"][0]

    unreliable.words, unreliable.asked = (), []
    again = run(tmp_path, questions(), unreliable)
    assert again["counts"]["accepted"] == 24
    assert unreliable.asked == [questions()[5]["question"]]


def test_a_translator_that_is_gone_is_not_asked_for_ever(tmp_path: Path):
    gone = Unreliable("e")
    result = run(tmp_path, questions(), gone)

    assert result["counts"]["failed"] == 24
    assert gone.calls < 20
    assert "not tried" in " ".join(detail for name in result if name != "counts" for detail in result[name]["detail"])


def test_nothing_is_asked_twice(tmp_path: Path):
    translator = Cipher()
    first = run(tmp_path, questions(), translator, back=translator)
    asked, benchmark = list(translator.asked), (tmp_path / "out" / "benchmark.jsonl").read_bytes()
    second = run(tmp_path, questions(), translator, back=translator)

    assert len(asked) == len(set(asked))
    assert translator.asked == asked
    assert first == second
    assert (tmp_path / "out" / "benchmark.jsonl").read_bytes() == benchmark
    run(tmp_path, questions(), Cipher(version="2"), back=translator)
    assert len(translator.asked) == len(asked)


@pytest.mark.parametrize(("batch_size", "concurrency"), [(1, 1), (3, 4), (1000, 1)])
def test_batches_and_threads_do_not_change_the_result(batch_size: int, concurrency: int, tmp_path: Path):
    result = run(tmp_path, questions(), Cipher(batch_size=batch_size, concurrency=concurrency), back=Cipher())
    wanted = tmp_path / "wanted"
    wanted.mkdir()

    assert result == run(wanted, questions(), Cipher(), back=Cipher())


def test_a_half_written_line_of_the_memory_is_asked_again(tmp_path: Path):
    run(tmp_path, questions(), Cipher())
    memory = tmp_path / "out" / "memory.jsonl"
    lines = memory.read_bytes().splitlines(keepends=True)
    memory.write_bytes(b"".join(lines[:-1]) + lines[-1][:25])
    translator = Cipher()
    result = run(tmp_path, questions(), translator)

    assert len(translator.asked) == 1
    assert result["counts"]["accepted"] == 24


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_benchmark_translate import CONFIG, Cipher, Translators, translate_benchmark
class Dying(Cipher):
    def translate(self, texts, source, target):
        if self.calls == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().translate(texts, source, target)
folder = Path(sys.argv[1])
translate_benchmark(folder / "source.jsonl", folder / "out", CONFIG, Translators(Dying()))
"""


def test_a_run_that_was_killed_goes_on_where_it_was(tmp_path: Path):
    write(tmp_path, questions())
    command = [sys.executable, "-c", KILLED, str(tmp_path), str(Path(__file__).parent)]
    done = subprocess.run(command, check=False, timeout=300, capture_output=True, env={**os.environ, "PYTHONPATH": ""})
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert not (tmp_path / "out" / "manifest.json").exists()

    kept = len(read_json_lines(tmp_path / "out" / "memory.jsonl"))
    translator = Cipher()
    result = run(tmp_path, questions(), translator)
    assert kept == 21
    assert len(translator.asked) == len(read_json_lines(tmp_path / "out" / "memory.jsonl")) - kept
    assert result["counts"]["accepted"] == 24


def test_a_pair_the_translator_lacks_is_an_error_before_anything_is_asked(tmp_path: Path):
    translator = Cipher()
    with pytest.raises(TranslationError, match="no en-lt"):
        run(tmp_path, questions(), translator, config=CONFIG.model_copy(update={"language": "lt"}))
    assert translator.asked == []


def test_a_missing_way_back_is_said_and_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    class OneWay(Cipher):
        def version(self, source: str, target: str) -> str:
            if source == "be":
                raise TranslationError("no be-en", where="one way", fix="none")
            return "1"

    result = run(tmp_path, questions(), OneWay(), back=OneWay())
    assert "no round trip: no be-en" in capsys.readouterr().err
    assert {check["name"]: check["passed"] for check in result["q0"]["checks"]}["round_trip"] is None
    assert result["counts"]["accepted"] == 24


def test_a_translator_that_gives_too_few_translations_is_no_success(tmp_path: Path):
    class Short(Cipher):
        def translate(self, texts: Any, source: str, target: str) -> list[str]:
            return super().translate(texts, source, target)[:-1]

    memory = Memory(tmp_path / "memory.jsonl")
    answers = memory.translate(Short(), ["a", "b"], "en", "be")
    memory.close()
    assert all(isinstance(answer, Failure) and "gave 0 translations of 1" in answer.reason for answer in answers.values())


def test_ignored_checks_are_written_down_and_reject_nothing(tmp_path: Path):
    result = run(tmp_path, questions(), Spoiling(copies), config=CONFIG.model_copy(update={"ignore": ("untranslated", "copied_words")}))

    assert result["counts"]["rejected"] == 0
    assert {check["name"]: check["passed"] for check in result["q0"]["checks"]}["untranslated"] is False


# Verdicts of people.


def test_a_verdict_takes_effect_when_the_benchmark_is_rebuilt(tmp_path: Path):
    run(tmp_path, questions(), Cipher())
    out = tmp_path / "out"
    assert store.apply_verdict(out, "q0", "accept", {}, "Alesia") == []
    assert store.apply_verdict(out, "q1", "reject", {}, "Alesia") == []
    assert store.apply_verdict(out, "q2", "edit", {"choices.0": "новы тэкст"}, "Alesia") == []
    before = (out / "items.jsonl").read_bytes()
    counts = store.rebuild(out)

    assert (counts["accepted"], counts["repaired"], counts["rejected"]) == (22, 1, 1)
    assert counts["human"] == {"seen": 3, "accept": 1, "edit": 1, "reject": 1, "stale": 0}
    lines = {line["id"]: line for line in read_json_lines(out / "benchmark.jsonl")}
    assert lines["q2"]["choices"][0] == "новы тэкст"
    assert [lines[name]["provenance"]["human"] for name in ("q0", "q2", "q3")] == ["accept", "edit", ""]
    assert [line["reasons"] for line in read_json_lines(out / "rejected.jsonl")] == [["human"]]
    assert (out / "items.jsonl").read_bytes() == before
    Artifact.open(out, kind="benchmark").verify()


def test_the_last_verdict_counts_and_a_rejected_item_can_be_saved(tmp_path: Path):
    run(tmp_path, questions(), Spoiling(copies))
    out = tmp_path / "out"
    for verdict in ("reject", "accept"):
        store.apply_verdict(out, "q4", verdict, {}, "Alesia")  # type: ignore[arg-type]

    assert store.rebuild(out)["accepted"] == 1


def test_an_edit_is_warned_about_lost_numbers_and_stands_all_the_same(tmp_path: Path):
    run(tmp_path, questions(), Cipher())
    warnings = store.apply_verdict(tmp_path / "out", "q0", "edit", {"question": "Колькі?"}, "Alesia")

    assert warnings == ["question: numbers: lost 2, 0"]
    assert store.rebuild(tmp_path / "out")["repaired"] == 1


def test_an_edit_of_the_right_option_changes_an_answer_that_repeats_it(tmp_path: Path):
    run(tmp_path, [{**item, "answer": item["choices"][1]} for item in questions()], Cipher())
    store.apply_verdict(tmp_path / "out", "q0", "edit", {"choices.1": "месяц"}, "Alesia")
    store.rebuild(tmp_path / "out")

    assert read_json_lines(tmp_path / "out" / "benchmark.jsonl")[0]["answer"] == "месяц"


@pytest.mark.parametrize(
    ("id", "verdict", "text", "message"),
    [
        ("none", "accept", {}, "no item has the id 'none'"),
        ("q0", "maybe", {}, "unknown verdict: 'maybe'"),
        ("q0", "edit", {}, "an edit needs a text"),
        ("q0", "accept", {"question": "x"}, "no other verdict has one"),
        ("q0", "edit", {"answer": "x"}, "no text at 'answer'"),
        ("q0", "edit", {"question": " "}, "question has no translation"),
        ("line-25", "accept", {}, "could not be read"),
    ],
)
def test_a_verdict_that_makes_no_sense_is_refused(id: str, verdict: Any, text: dict[str, str], message: str, tmp_path: Path):
    run(tmp_path, [*questions(), "{"], Cipher())

    with pytest.raises(store.BenchmarkError, match=message) as caught:
        store.apply_verdict(tmp_path / "out", id, verdict, text, "Alesia")
    assert caught.value.fix
    assert store.read_verdicts(tmp_path / "out") == {}


def test_translating_again_keeps_what_people_decided(tmp_path: Path):
    run(tmp_path, questions(), Cipher())
    store.apply_verdict(tmp_path / "out", "q0", "reject", {}, "Alesia")

    out = tmp_path / "out"
    counts = translate_benchmark(tmp_path / "source.jsonl", out, CONFIG, Translators(Cipher()))
    assert (counts["rejected"], counts["human"]["seen"]) == (1, 1)


def test_a_verdict_on_a_translation_that_was_replaced_has_no_effect(tmp_path: Path):
    run(tmp_path, questions(), Spoiling(lambda translation, text, _: translation + "!" if "about the sun" in text else translation))
    out = tmp_path / "out"
    store.apply_verdict(out, "q0", "reject", {}, "Alesia")
    store.apply_verdict(out, "q1", "reject", {}, "Alesia")
    counts = translate_benchmark(tmp_path / "source.jsonl", out, CONFIG, Translators(Cipher()))

    assert counts["rejected"] == 1
    assert counts["human"] == {"seen": 1, "accept": 0, "edit": 0, "reject": 1, "stale": 1}


def test_the_licence_of_the_source_is_inherited(tmp_path: Path):
    run(tmp_path, questions(), Cipher(), config=CONFIG.model_copy(update={"licence": "MIT"}))

    assert Artifact.open(tmp_path / "out").manifest.licences == {"source.jsonl": "MIT"}


def test_a_folder_without_items_cannot_be_rebuilt(tmp_path: Path):
    with pytest.raises(store.BenchmarkError, match=r"no translated benchmark here"):
        store.rebuild(tmp_path)
