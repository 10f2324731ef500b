"""The stages of ensembles and students, on invented tokens: what is trained, what never twice, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tests.train.stage_bench import LENGTH, VOCABULARY, Bench, make_plan, make_tokens

from rodna.core.artifact import Artifact
from rodna.core.errors import ArtifactError, ConfigError, ModelError, TrainError
from rodna.core.files import write_json
from rodna.models.checkpoint import load_config, save
from rodna.models.config import ModelConfig
from rodna.models.counted import FILE
from rodna.models.decoder import Decoder
from rodna.plan.flops import flops_per_token
from rodna.train import session
from rodna.train.distill_stage import DISTILLATION, check_teachers
from rodna.train.ensemble_config import EnsembleConfig
from rodna.train.identity import teacher_fingerprint
from rodna.train.members import ENSEMBLE, Workbench, member_folders
from rodna.train.taught import memory_of
from rodna.train.variants import member_jobs


def read(artifact: Artifact, file: str) -> dict:
    return json.loads((artifact.path / file).read_text(encoding="utf-8"))


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def same_weights(one: Path, other: Path) -> bool:
    first, second = weights(one), weights(other)
    return all(torch.equal(first[name], second[name]) for name in first)


def test_an_ensemble_holds_members_that_differ_and_what_their_average_gains(bench: Bench):
    made = bench.ensemble()
    found = read(made, ENSEMBLE)
    folders = member_folders(made)

    assert [folder.name for folder in folders] == ["member-01", "member-02"]
    assert not same_weights(*folders)
    assert [row["bits_per_byte"] for row in found["members"]] == pytest.approx([bench.validation_bits(folder) for folder in folders], 1e-4)
    assert found["bits_per_byte"] == pytest.approx(bench.averaged_bits(folders), 1e-4)
    assert found["gain"] == pytest.approx(found["mean_bits_per_byte"] - found["bits_per_byte"])
    assert found["gain"] > 0
    assert made.counts["members"] == 2


def test_a_member_that_is_not_compiled_has_nothing_of_one_that_was(bench: Bench, monkeypatch):
    log = []
    monkeypatch.setattr(session, "will_compile", lambda *_, **__: len(log) == 0)
    monkeypatch.setattr(session, "compile_decoder", lambda *_, **__: log.append("compiled") or True)
    monkeypatch.setattr(session, "undo_compilation", lambda _: log.append("undone"))
    bench.ensemble(overrides=[{"train": {"learning_rate": rate}} for rate in (0.013, 0.014)])
    assert log == ["compiled", "undone"]


def test_raising_the_members_trains_only_the_new_ones(bench: Bench, capsys):
    two = bench.ensemble()
    capsys.readouterr()
    three = bench.ensemble(members=3)
    said = capsys.readouterr().err

    assert "member 1 of 3: unchanged" in said
    assert "member 2 of 3: unchanged" in said
    assert "member 3 of 3: unchanged" not in said
    for old, new in zip(member_folders(two), member_folders(three), strict=False):
        assert same_weights(old, new)


def test_a_changed_override_trains_only_its_member_again(bench: Bench, capsys):
    bench.ensemble()
    capsys.readouterr()
    changed = bench.ensemble(overrides=[{}, {"train": {"learning_rate": 0.01}}])
    said = capsys.readouterr().err

    assert "member 1 of 2: unchanged" in said
    assert "member 2 of 2: unchanged" not in said
    assert read(changed, "member-02/config.json")["hidden_size"] == 16


def test_finished_members_leave_no_optimizer_states_behind(bench: Bench):
    bench.ensemble()

    assert not list((bench.root / "runs").rglob("optimizer.safetensors"))
    # Killed after it had finished and before it had cleaned up:
    (member,) = (bench.root / "runs" / "ensemble").glob("member-01-*")
    left = member / "step-000008" / "optimizer.safetensors"
    left.parent.mkdir()
    left.write_bytes(b"left")
    bench.ensemble()

    assert not left.exists()
    assert len(list((bench.root / "runs").glob("ensemble/member-*/finished/metrics.jsonl"))) == 2


def test_members_of_other_families_average_as_well(bench: Bench):
    gpt2 = {
        "norm": "layer",
        "qk_norm": False,
        "position": "learned",
        "rotary_width": 0,
        "ffn": "gelu",
        "attention_bias": True,
        "ffn_bias": True,
    }
    made = bench.ensemble(overrides=[{}, {"model": gpt2 | {"context_length": 32}, "train": {"batch_size": 2}}])
    found = read(made, ENSEMBLE)

    assert [row["family"] for row in found["members"]] == ["qwen3", "gpt2"]
    assert found["bits_per_byte"] < sum(row["bits_per_byte"] for row in found["members"]) / 2


def test_in_a_chain_later_members_learn_from_those_before(bench: Bench):
    made = bench.ensemble(members=3, chain=True)
    plain = bench.ensemble(members=3)
    logs = [
        [json.loads(line) for line in (place / "finished" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        for place in sorted((bench.root / "runs" / "ensemble").glob("member-03-*"))
    ]

    assert same_weights(member_folders(made)[0], member_folders(plain)[0])
    assert not same_weights(member_folders(made)[1], member_folders(plain)[1])
    assert sorted(any("divergence" in record for record in log) for log in logs) == [False, True]


def test_a_student_learns_from_the_members_and_logs_both_terms_apart(bench: Bench, capsys):
    ensemble = bench.ensemble()
    capsys.readouterr()
    student = bench.student(ensemble)
    records = [json.loads(line) for line in (student.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    learned = [record for record in records if "loss" in record]

    for record in learned:
        # scaled: alpha * cross-entropy + (1 - alpha) * temperature^2 * divergence
        assert record["loss"] == pytest.approx(0.5 * record["cross_entropy"] + 0.5 * 4 * record["divergence"], rel=1e-5)
    assert any("validation_bits_per_byte" in record for record in records)
    last = learned[-1]
    shown = f"loss {last['loss']:.3f} (text {last['cross_entropy']:.3f}, teachers {last['divergence']:.3f})"
    assert shown in capsys.readouterr().err
    assert [row["path"] for row in read(student, DISTILLATION)["teachers"]] == ["member-01", "member-02"]
    assert read(student, DISTILLATION)["student_bits_per_byte"] == pytest.approx(bench.validation_bits(student.path), 1e-4)


def test_compared_with_the_same_student_alone_its_share_of_the_gain_is_stated(bench: Bench):
    longer = {"train": {"steps": 60}}
    ensemble = bench.ensemble(overrides=[longer, longer])
    student = bench.student(ensemble, compare=True, alpha=0.2)
    found = read(student, DISTILLATION)
    alone, together = bench.validation_bits(student.path / "alone"), bench.averaged_bits(member_folders(ensemble))
    distilled = bench.validation_bits(student.path)

    settings = found["student"]
    assert settings["train"]["steps"] == found["steps"]
    assert settings["model"]["width"] == load_config(student.path).width
    assert found["alone_bits_per_byte"] == pytest.approx(alone, 1e-4)
    assert found["teachers_bits_per_byte"] == pytest.approx(together, 1e-4)
    assert found["difference"] == pytest.approx(alone - distilled, abs=1e-3)
    assert found["share_of_gain"] == pytest.approx((alone - distilled) / (alone - together), rel=0.05)
    assert found["share_of_gain"] > 0
    # Alone, with the plan's own seed and order, it is what the first member of the plainest ensemble is.
    assert same_weights(student.path / "alone", member_folders(bench.ensemble())[0])


@pytest.mark.parametrize(("name", "value"), [("counted_share", 0.2), ("masked_share", 0.25), ("future_tokens", 2)])
def test_other_targets_than_the_next_token_are_refused_beside_teachers(bench: Bench, name, value):
    given = {"train": {name: value}}
    with pytest.raises(ConfigError, match=f"learns the next token alone, and has train.{name}"):
        bench.student(bench.ensemble(), student=given)
    with pytest.raises(ConfigError, match="learns the next token alone") as caught:
        bench.ensemble(chain=True, overrides=[{}, given])
    assert caught.value.where == "ensemble.overrides.1"


def test_any_checkpoints_may_teach_also_without_an_ensemble(bench: Bench):
    folders = member_folders(bench.ensemble())
    by_path = bench.student(teachers=[str(folder) for folder in folders])

    rows = read(by_path, DISTILLATION)["teachers"]
    assert [row["bits_per_byte"] for row in rows] == pytest.approx([bench.validation_bits(folder) for folder in folders], 1e-4)
    assert set(by_path.manifest.inputs) == {"tokens", "tokenizer", "plan", "teacher-0", "teacher-1"}


def test_a_cache_of_the_whole_vocabulary_gives_the_student_that_living_teachers_give(bench: Bench):
    ensemble = bench.ensemble()
    living, cached = bench.student(ensemble), bench.student(ensemble, cache_top_k=VOCABULARY)

    for name, tensor in weights(living.path).items():
        off = ~torch.isclose(weights(cached.path)[name], tensor, rtol=0.02, atol=2e-3)
        # Adam makes a whole step of a gradient that is nothing but rounding: of a row that no text taught, an element may go the other way.
        assert off.float().mean() < 0.005, name
    bits = [read(student, "training.json")["best_validation_bits_per_byte"] for student in (living, cached)]
    assert bits[0] == pytest.approx(bits[1], rel=1e-4)
    summary = read(cached, "training.json")["distillation"]["cache"]
    assert summary["mass_mean"] == pytest.approx(1.0)


def test_counted_ngrams_are_weighed_beside_the_members_and_measured_with_them(bench: Bench):
    made, plain = bench.ensemble(ngram_order=3), bench.ensemble()
    found = read(made, ENSEMBLE)

    assert found["counted"]["order"] == 3
    assert 0 < found["counted"]["weight"] < 1
    # In these documents every token follows from the one before: counts know it better than members after eight steps.
    assert found["counted"]["bits_per_byte"] < read(plain, ENSEMBLE)["bits_per_byte"]
    assert found["bits_per_byte"] < read(plain, ENSEMBLE)["bits_per_byte"]
    assert (made.path / FILE).is_file()
    assert not (plain.path / FILE).exists()


def test_one_model_and_counts_are_an_ensemble(bench: Bench):
    found = read(bench.ensemble(members=1, ngram_order=2, split_over=1), ENSEMBLE)

    assert found["bits_per_byte"] < found["members"][0]["bits_per_byte"]
    with pytest.raises(ValueError, match="set ngram_order to mix it with counts"):
        bench.ensemble(members=1, split_over=1)


def test_a_student_learns_from_counts_too_living_or_cached(bench: Bench):
    counted = bench.ensemble(ngram_order=3)
    live, cached = bench.student(counted), bench.student(counted, cache_top_k=VOCABULARY)

    assert read(live, DISTILLATION)["teachers_bits_per_byte"] == pytest.approx(read(counted, ENSEMBLE)["bits_per_byte"], 1e-4)
    assert not same_weights(live.path, bench.student(bench.ensemble()).path)
    logs = [
        [json.loads(line) for line in (made.path / "metrics.jsonl").read_text(encoding="utf-8").splitlines()] for made in (live, cached)
    ]
    divergences = [[record["divergence"] for record in log if "divergence" in record] for log in logs]
    assert divergences[0]
    assert divergences[1] == pytest.approx(divergences[0], rel=1e-3)


def test_a_second_student_finds_what_the_teachers_said_of_the_same_text(bench: Bench):
    ensemble = bench.ensemble()
    first = bench.student(ensemble, cache_top_k=8)
    pieces = {path: path.stat().st_mtime_ns for path in (bench.root / "runs").glob("teachers-*/piece-*.npy")}
    second = bench.student(ensemble, cache_top_k=8, alpha=0.3)

    assert len(pieces) == 1
    assert pieces == {path: path.stat().st_mtime_ns for path in (bench.root / "runs").glob("teachers-*/piece-*.npy")}
    # It has not asked them, and no forward pass of theirs is counted.
    asked, found = (json.loads((made.path / "training.json").read_text(encoding="utf-8")) for made in (first, second))
    own = flops_per_token(load_config(second.path)).model
    assert found["flops"] == pytest.approx(own * found["tokens_seen"])
    assert asked["flops"] > found["flops"]


def test_a_cache_of_other_segmentations_is_found_by_a_training_of_as_many_rows_alone(bench: Bench, monkeypatch):
    # The bench's tokenizer joins nothing; what is looked at is the name alone.
    monkeypatch.setattr(session, "segmentations_for", lambda *_, **__: None)
    ensemble = bench.ensemble()

    def caches(**train) -> set[Path]:
        bench.student(ensemble, cache_top_k=8, student={"train": {"bpe_dropout": 0.1, **train}})
        return set((bench.root / "runs").glob("teachers-*"))

    one = caches(steps=4, batch_size=4)
    assert len(one) == 1
    assert caches(steps=8, batch_size=2) == one
    assert len(caches(steps=4, batch_size=2)) == 2


def test_a_teacher_with_another_tokenizer_is_refused(bench: Bench):
    teacher = member_folders(bench.ensemble())[0]
    values = json.loads((teacher / "tokenizer.json").read_text(encoding="utf-8"))
    vocabulary = values["model"]["vocab"]
    vocabulary["a"], vocabulary["b"] = vocabulary["b"], vocabulary["a"]
    other = bench.root / "other"
    other.mkdir()
    for file in teacher.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    write_json(other / "tokenizer.json", values)

    with pytest.raises(TrainError) as caught:
        bench.student(teachers=["other"])
    assert "the teacher has another tokenizer than this project" in str(caught.value)
    assert str(other) in str(caught.value)


def test_a_teacher_that_is_not_there_is_named(bench: Bench):
    with pytest.raises(TrainError) as caught:
        check_teachers([bench.root / "nowhere"], None)

    assert "the teacher cannot be opened: no such checkpoint" in str(caught.value)
    assert "correct distill.teachers" in str(caught.value)


def test_a_student_of_no_standard_family_is_refused_before_training(bench: Bench):
    ensemble = bench.ensemble()

    with pytest.raises(ModelError, match="no standard checkpoint holds it"):
        bench.student(ensemble, student={"model": {"ffn_bias": True}})
    assert not list((bench.root / "runs").glob("student-*"))


def test_a_teacher_that_reads_less_at_once_than_the_student_is_refused(bench: Bench):
    ensemble = bench.ensemble()

    with pytest.raises(TrainError) as caught:
        bench.student(ensemble, student={"model": {"context_length": 32}})
    assert "the teacher reads 16 tokens at once, what learns from it 32" in str(caught.value)
    assert "set distill.student.model.context_length to 16" in str(caught.value)


def test_a_member_of_a_chain_that_reads_less_than_a_later_one_is_refused_before_it_is_trained(bench: Bench, capsys):
    capsys.readouterr()
    with pytest.raises(TrainError, match="the teacher reads 8 tokens at once, what learns from it 16") as caught:
        bench.ensemble(chain=True, members=3, overrides=[{}, {"model": {"context_length": 8}}])

    assert caught.value.where == "member 2, before ensemble.overrides.2"
    assert caught.value.fix.startswith("set ensemble.overrides.2.model.context_length to 8")
    assert "member 1 of 3" not in capsys.readouterr().err


def test_a_member_of_a_chain_has_fewer_sequences_at_a_time_where_those_before_leave_no_room(bench: Bench):
    room = Workbench.open(bench.tokens, bench.tokenizer, bench.plan)
    member, _ = member_jobs(EnsembleConfig(members=2), room.plan, room.given, room.shaped, num_tokens=room.num_tokens)
    smaller = replace(member, values=member.values.model_copy(update={"micro_batch_size": 1}))
    one, two = (memory_of(job, [member.model], room.machine, cached=False) for job in (smaller, member))
    bench.plan = make_plan(bench.root / "small", memory_share=(one + two) / 2 / room.machine.memory_bytes)
    bench.ensemble(chain=True)

    manifests = [json.loads(file.read_text(encoding="utf-8")) for file in bench.root.glob("runs/ensemble/*/finished/manifest.json")]
    taught = [manifest["config"]["train"]["micro_batch_size"] for manifest in manifests if "teacher-01" in manifest["inputs"]]
    assert member.values.micro_batch_size == 2
    assert taught == [1]


def test_a_teacher_with_a_padded_vocabulary_is_refused(bench: Bench):
    padded = Decoder(ModelConfig(vocabulary_size=264, width=16, num_layers=1, num_heads=1, num_kv_heads=1, head_width=16, ffn_width=32,
                                 context_length=LENGTH)).initialize(seed=0)  # fmt: skip
    save(bench.root / "padded", padded, bench.tokenizer.path)

    with pytest.raises(TrainError, match="the teacher has 264 tokens, what learns from it 259"):
        bench.student(teachers=["padded"])


def test_the_fingerprint_of_a_teacher_changes_with_its_weights_and_not_with_its_place(bench: Bench):
    first, second = member_folders(bench.ensemble())
    copy = bench.root / "copy"
    copy.mkdir()
    for file in first.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())

    assert teacher_fingerprint(copy) == teacher_fingerprint(first)
    assert teacher_fingerprint(second) != teacher_fingerprint(first)


def test_a_damaged_finished_member_is_named(bench: Bench):
    bench.ensemble()
    finished = next((bench.root / "runs" / "ensemble").glob("member-01-*")) / "finished"
    (finished / "training.json").unlink()

    with pytest.raises(ArtifactError, match=r"training\.json is missing"):
        bench.ensemble(members=3)


def test_without_validation_text_the_figures_are_left_out(bench: Bench):
    bench.tokens = make_tokens(bench.root / "silent", num_validation=0)
    found = read(bench.ensemble(), ENSEMBLE)

    assert [row["bits_per_byte"] for row in found["members"]] == [None, None]
    assert (found["bits_per_byte"], found["gain"]) == (None, None)
