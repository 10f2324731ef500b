"""What a student's memory and cache allow, with its teachers."""

import json
from dataclasses import replace

import pytest
from tests.train.stage_bench import Bench, make_plan

from rodna.core.errors import TrainError
from rodna.models.checkpoint import load_config
from rodna.models.config import ModelConfig
from rodna.train.distill_stage import student_job
from rodna.train.ensemble_config import DistillConfig
from rodna.train.members import Workbench, member_folders
from rodna.train.session import Job
from rodna.train.taught import fit_memory, memory_of

MEBIBYTE = 2**20


def workbench(bench: Bench, **settings) -> Workbench:
    opened = Workbench.open(bench.tokens, bench.tokenizer, bench.plan)
    return replace(opened, **settings)


def fitted(room: Workbench, job: Job, teachers: list[ModelConfig]) -> Job:
    return fit_memory(job, teachers, room.machine, share=room.memory_share, is_planned=True, cached=False)


def test_with_room_for_all_the_student_has_the_planned_micro_batch(bench: Bench):
    teachers, room = [load_config(folder) for folder in member_folders(bench.ensemble())], workbench(bench)
    job = student_job(room, DistillConfig(), {}, teachers)

    assert fitted(room, job, teachers) == job


def test_teachers_take_the_room_of_sequences(bench: Bench):
    teachers, room = [load_config(folder) for folder in member_folders(bench.ensemble())], workbench(bench)
    job = student_job(room, DistillConfig(), {}, teachers)
    one, two = (
        memory_of(replace(job, values=job.values.model_copy(update={"micro_batch_size": size})), teachers, room.machine, cached=False)
        for size in (1, 2)
    )
    room = workbench(bench, memory_share=(one + two) / 2 / room.machine.memory_bytes)

    assert job.values.micro_batch_size == 2
    assert fitted(room, job, teachers).values.micro_batch_size == 1


def test_a_cache_counts_with_the_piece_that_it_keeps_in_memory(bench: Bench):
    room = workbench(bench)
    job = student_job(room, DistillConfig(), {}, [])
    without, with_cache = (memory_of(job, [job.model], room.machine, cached=cached) for cached in (False, True))

    assert with_cache - without == 64 * MEBIBYTE


@pytest.mark.parametrize("settings", [{}, {"student": {"train": {"micro_batch_size": 2}}}])
def test_where_nothing_fits_the_error_says_how_much_is_needed(bench: Bench, settings):
    ensemble = bench.ensemble()
    bench.plan = make_plan(bench.root / "small", memory_share=1e-6)

    with pytest.raises(TrainError, match=r"what learns and its teachers \(2\) need \d+ MB of memory") as caught:
        bench.student(ensemble, **settings)
    assert caught.value.where == "plan.memory_share: 1e-06"
    assert "fewer or smaller teachers" in caught.value.fix


@pytest.mark.parametrize(("settings", "where"), [
    ({}, "train.curriculum: context_grows"),
    ({"student": {"train": {"curriculum": "context_grows"}}}, "distill.student.train.curriculum: context_grows"),
])  # fmt: skip
def test_a_cache_is_refused_where_sequences_grow(bench: Bench, settings, where):
    ensemble = bench.ensemble()
    if not settings:
        bench.plan = make_plan(bench.root / "growing", curriculum="context_grows")

    with pytest.raises(TrainError, match="the curriculum context_grows cuts them shorter at first") as caught:
        bench.student(ensemble, cache_top_k=8, **settings)
    assert caught.value.where == f"distill.cache_top_k: 8, {where}"
    assert "set distill.cache_top_k to 0" in caught.value.fix


def test_without_a_cache_a_student_may_grow_its_context(bench: Bench):
    student = bench.student(bench.ensemble(), student={"train": {"curriculum": "context_grows"}})
    summary = json.loads((student.path / "training.json").read_text(encoding="utf-8"))

    assert summary["distillation"]["teachers"] == 2
    assert summary["tokens_seen"] == summary["steps"] * 4 * 16
