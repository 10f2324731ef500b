"""What `rodna plan` says where several models are trained: each member, their student, and what all of it costs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rodna.models.config import ModelConfig
    from rodna.plan.config import PlanConfig
    from rodna.plan.plan import Plan
    from rodna.train.session import Job


def models_of(stages: Any, proposed: "Plan", split: dict[str, float]) -> dict[str, Any]:
    """Return what is trained by the plan of one model, as plain values: `models`, the `student`, and the `seconds` of all of it.

    Args:
        stages: of the project.
        proposed: the plan of one member, or without members of the student.
        split: of the time, empty without members.

    Raises:
        ConfigError: a member's or the student's settings contradict each other.
        ArtifactError: a teacher given by path cannot be opened.
    """
    from rodna.models.checkpoint import load_config
    from rodna.train.identity import teacher_folders
    from rodna.train.variants import expected_of, member_jobs, student_job, time_of_student

    project, tokens = stages.project, int(proposed.estimates["train_tokens"])
    given, shaped = project.train.model_dump(mode="json"), {**project.model.model_dump(mode="json"), "preset": project.plan.preset}
    members = member_jobs(project.ensemble, proposed, given, shaped, num_tokens=tokens) if split else []
    elsewhere = [load_config(folder) for folder in teacher_folders(project.distill, stages.workspace.root)]
    teachers = [*(job.model for job in members), *elsewhere]
    shared = {"share": project.ensemble.share, "split_over": split["split_over"]} if split else {}
    student = student_job(project.distill.student, proposed, given, shaped, num_tokens=tokens,
                          time=time_of_student(shared, proposed), teachers=teachers)  # fmt: skip
    chained = [[before.model for before in members[:number]] if project.ensemble.chain else [] for number in range(len(members))]
    seconds = [_seconds(job, proposed, taught_by) for job, taught_by in zip([*members, student], [*chained, teachers], strict=True)]
    expected = None if elsewhere else expected_of(student, proposed, teachers=teachers)
    return {
        "models": [_values(job, tokens) for job in members],
        "student": {**_values(student, tokens), "dropout": student.model.dropout, "teachers": len(teachers), "expected": expected},
        "seconds": sum(seconds),
        "fixed": project.train.steps != "planned" or any(
            variant.epochs != "planned" or "steps" in variant.train
            for variant in (*project.ensemble.overrides, project.distill.student)
        ),
    }  # fmt: skip


def _values(job: "Job", tokens: int) -> dict[str, Any]:
    model, steps = job.model, job.values.steps
    return {"width": model.width, "num_layers": model.num_layers, "parameters": model.num_parameters, "steps": steps,
            "epochs": steps * job.values.batch_size * model.context_length / tokens}  # fmt: skip


def _seconds(job: "Job", plan: "Plan", teachers: Sequence["ModelConfig"]) -> float:
    """Return about how long a training takes: by its arithmetic, at the planned model's pace."""
    from rodna.plan.flops import flops_per_token

    length, model, estimates = job.model.context_length, plan.model, plan.estimates
    own = flops_per_token(job.model).model + sum(flops_per_token(teacher, sequence_length=length).forward for teacher in teachers)
    planned = flops_per_token(model).model * plan.train["batch_size"] * model.context_length * plan.train["steps"]
    startup = estimates["startup_seconds"]
    return startup + (estimates["seconds"] - startup) * own * job.values.batch_size * length * job.values.steps / planned


def sentences(found: dict[str, Any], split: dict[str, float], proposed: "Plan", config: "PlanConfig") -> list[str]:
    """Return what people are told of `models_of`: how the time is split, members unlike the plan, the student, and the cost."""
    said = [_split_sentence(split), *_member_sentences(found["models"], proposed)] if split else []
    return [*said, _student_sentence(found, proposed, config, has_members=bool(split))]


def _split_sentence(split: dict[str, float]) -> str:
    from rodna.core.text import human_seconds

    all_, each, student = (human_seconds(60 * split[name]) for name in ("minutes", "member_minutes", "student_minutes"))
    kept = "" if split["split_over"] == split["members"] else f" (the time was split over {split['split_over']}: those keep what they had)"
    return f"This is the plan of one of {split['members']} members: each has {each}{kept}, and of {all_} the student has {student}."


def _member_sentences(members: Sequence[dict[str, Any]], proposed: "Plan") -> list[str]:
    """Return what members are whose settings make them other than the plan."""
    from rodna.core.text import human_count

    planned = {"width": proposed.model.width, "num_layers": proposed.model.num_layers, "steps": proposed.train["steps"]}
    return [
        f"Member {number} has settings of its own: {member['width']} x {member['num_layers']}, {human_count(member['parameters'])} "
        f"parameters, {member['steps']:,} steps, {member['epochs']:.2g} times the text."
        for number, member in enumerate(members, 1)
        if any(member[name] != value for name, value in planned.items())
    ]


def _student_sentence(found: dict[str, Any], proposed: "Plan", config: "PlanConfig", *, has_members: bool) -> str:
    """Return what is released in the end, and what all of it costs."""
    from rodna.core.text import human_seconds

    student, minutes = found["student"], found["seconds"] / 60 if found["fixed"] else config.minutes
    costs = [human_seconds(60 * minutes), f"{minutes / 60 * proposed.machine['watts'] / 1000:.3g} kWh"]
    if config.price_per_hour:
        costs.append(f"{minutes / 60 * config.price_per_hour:.3g} {config.currency}".strip())
    count = student["teachers"]
    whose = "Their student" if has_members else f"What is trained is a student of {count} teacher{'s' if count > 1 else ''}"
    size, all_ = f"{student['width']} x {student['num_layers']}", "All of it together" if has_members else "It takes"
    shape = f"{whose}, {size}, reads the text {student['epochs']:.2g} times" if has_members else (
        f"{whose}: {size}, {student['steps']:,} steps, {student['epochs']:.2g} times the text; the rows above are of such a model alone"
    )  # fmt: skip
    if expected := student["expected"]:
        shape += f" and should take {expected['bits_per_byte']:.2f} bits per byte ({expected['low']:.2f} to {expected['high']:.2f})"
    else:
        shape += "; of what such a student takes our runs say nothing"
    return f"{shape}. {all_}: {'about' if found['fixed'] else 'up to'} {', '.join(costs)}."
