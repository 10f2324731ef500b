"""Say what will come of a plan: the result to expect, what limits it, and what it costs."""

from collections.abc import Mapping
from typing import Any

from rodna.core.text import human_bytes, human_count, human_seconds
from rodna.plan.config import THIS_MACHINE
from rodna.plan.expect import RECORDED
from rodna.plan.gpus import GPUS
from rodna.plan.job import Job
from rodna.plan.recipes import DATA_LIMITED_BELOW_BYTES

Rows = list[tuple[str, Any, str]]


def rows(job: Job, estimates: Mapping[str, Any], expected: Mapping[str, Any], binds: Mapping[str, Any]) -> Rows:
    """Return (name, value, reason) of each line of the outlook."""
    return [
        _expected_row(expected),
        _limit_row(job, binds),
        *_ensemble_rows(job, estimates),
        *_law_rows(job, binds),
        _recipe_row(job),
        *_cost_rows(job, estimates),
    ]


def _expected_row(expected: Mapping[str, Any]) -> tuple[str, Any, str]:
    value = f"{expected['bits_per_byte']:.2f} ({expected['low']:.2f} to {expected['high']:.2f})"
    beside = (
        "networks take less by much the same in every language"
        if expected["bits_per_byte"] < expected["ngram_bits_per_byte"]
        else "networks take less of the texts that were recorded, but of so little text, or so alike, counting learns more"
    )
    sources = {
        "pilots": "the law fitted to pilot runs on this text says so, with its 95% interval",
        "ngram": f"counting its tokens' n-grams takes {expected['ngram_bits_per_byte']:.2f} on this text, measured; {beside}: "
        f"the law of our whole runs, scaled by that, as {len(RECORDED)} recorded runs in five languages "
        "ended beside it. `rodna plan fit` asks the text itself",
        "recorded": "the law of our whole runs as they ended on average, since there was no validation text to compare yours by: hardly "
        "more than a guess",
    }
    unlike = ", ".join(f"{name} {given:g} ({usual:g} there)" for name, (given, usual) in expected["unlike"].items())
    unknown = f". Nothing was measured of what is given here, and neither figure nor interval knows of it: {unlike}" if unlike else ""
    return ("expected bits per byte", value, sources[expected["source"]] + unknown)


def _limit_row(job: Job, binds: Mapping[str, Any]) -> tuple[str, Any, str]:
    now, more_text, more_time = (binds[name] for name in ("now", "more_text", "more_compute"))
    affordable, useful, more = binds["affordable_epochs"], binds["useful_epochs"], binds["more"]
    time, make = ("steps", "the steps that were given make") if "steps" in job.settled else ("time", "the time allows")
    gains = (
        f"{more:g} times the text would give {more_text:.3g} bits per byte instead of {now:.3g} ({1 - more_text / now:.0%} less), "
        f"{more:g} times the {time} {more_time:.3g} ({1 - more_time / now:.0%} less)"
    )
    if affordable > useful:
        why = f"{make} {_count(affordable)} passes over the text; after about {_count(useful)}, more passes stop paying"
    else:
        why = f"{make} {_count(affordable)} passes over the text; up to {_count(useful)} would pay"
    what = "text" if binds["limit"] == "text" else time
    return ("limit", what, f"{why}. {gains}: the {what} {'bind' if what == 'steps' else 'binds'}")


def _ensemble_rows(job: Job, estimates: Mapping[str, Any]) -> Rows:
    """Return the row of an ensemble that should do better than the plan; `Plan.of_one` leaves it out."""
    members, share = estimates["ensemble_members"], estimates["ensemble_share"]
    if not members:
        return []
    each = human_seconds(60 * job.config.minutes * share / members)
    said = (
        f"{members} models of up to {each} each and a student of theirs should do better: "
        f"{estimates['ensemble_bits_per_byte']:.3g} bits per byte; "
        f"ensemble: {{members: {members}, share: {share:g}}}, which `rodna plan --write` writes where the project says nothing of members"
    )
    return [("ensemble", members, said)]


def _law_rows(job: Job, binds: Mapping[str, Any]) -> Rows:
    chinchilla, repeated, unique = binds["chinchilla"], binds["data_constrained"], job.text.num_tokens
    times = chinchilla["tokens"] / unique
    have = f"{_count(times)} times what there is" if times > 1 else f"{times:.0%} of what there is"
    fresh = (
        f"with fresh text without end, {binds['flops']:.2g} FLOPs would suit this size and {human_count(chinchilla['tokens'])} tokens, "
        f"{have} (Hoffmann et al. 2022)"
    )
    if times > 1:
        which = "Of the two laws this one binds, since the other wants more text than there is. "
    else:
        which, fresh = "", f"{fresh}; of the two laws this one binds, since there is text enough"
    limited = (
        f"with {human_count(unique)} tokens read again and again, the same FLOPs would suit this size and "
        f"{_count(repeated['epochs'])} passes (Muennighoff et al. 2023); the passes planned here are worth "
        f"{human_count(binds['effective_tokens'])} fresh tokens. "
        f"{which}Both laws were fitted to larger models than these; sizes are chosen by the law that the expectation comes from"
    )
    return [
        ("compute-optimal law", f"{human_count(chinchilla['parameters'])} parameters", fresh),
        ("data-constrained law", f"{human_count(repeated['parameters'])} parameters", limited),
    ]


def _recipe_row(job: Job) -> tuple[str, Any, str]:
    limit = human_bytes(DATA_LIMITED_BELOW_BYTES)
    size = human_bytes(job.text.num_bytes)
    if job.config.recipe != "planned":
        reason = "given in project.yaml"
    elif job.text.num_bytes < DATA_LIMITED_BELOW_BYTES:
        reason = f"{size} of text is less than {limit}: it is read often, and must not be learned by heart"
    else:
        reason = f"{size} of text is more than {limit}: it is hardly repeated, and what counts is the loss for the arithmetic"
    return ("plan.recipe", job.choices.name, reason)


def _cost_rows(job: Job, estimates: Mapping[str, Any]) -> Rows:
    config, machine = job.config, job.machine
    hours, energy = estimates["seconds"] / 3600, estimates["watt_hours"] / 1000
    if config.hardware == THIS_MACHINE:
        hardware, what = machine.name, "the machine at hand"
    else:
        sheet = GPUS[config.hardware]
        numbers = (
            f"{sheet.bf16_tflops:g} TFLOP/s in bfloat16" if sheet.bf16_tflops else f"{sheet.fp32_tflops:g} TFLOP/s: no bfloat16, so float32"
        )
        hardware = config.hardware
        what = f"{numbers}, {sheet.memory_gb:g} GB, {sheet.watts:g} W ({sheet.source}); plan.mfu {job.speeds.efficiency:g} is assumed"
    found: Rows = [
        ("hardware", hardware, what),
        ("hours", f"{hours:.3g}", f"{human_seconds(estimates['seconds'])} of {human_seconds(job.seconds)} to spend"),
        ("energy", f"{energy:.3g} kWh", f"{machine.watts:.0f} W assumed while training; a meter at the wall knows better"),
    ]
    if config.price_per_hour:
        price = f"{config.price_per_hour:g} {config.currency}".strip()
        budget = f" of {config.money_budget:g} to spend" if config.money_budget else ""
        found.append(("money", f"{estimates['money']:.3g} {config.currency}".strip(), f"at {price} an hour{budget}"))
    return found


def _count(number: float) -> str:
    """Return a number of passes as people write it: 0.84, 12, 1,300."""
    return f"{number:.2g}" if number < 10 else f"{number:,.0f}"
