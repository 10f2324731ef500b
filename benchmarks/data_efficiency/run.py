"""Run one piece and write its result."""

import copy
import json
import math
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from benchmarks.data_efficiency.counting import compress, count_ngrams, count_tokens
from benchmarks.data_efficiency.ours import ensemble_of, train_rodna
from benchmarks.data_efficiency.pieces import Piece, members_of
from benchmarks.data_efficiency.results import Speeds, held_out_figures, origin, read_results, read_speeds, write_result
from benchmarks.data_efficiency.scoring import Scored, score
from benchmarks.data_efficiency.speeds import plan_of, steps_of, train_peer
from benchmarks.data_efficiency.student import score_ensemble, train_in_time, train_student
from benchmarks.data_efficiency.texts import BenchmarkError, Place, Text, find_text, test_tokens, tokens_of

from rodna.core.config import validate
from rodna.core.files import write_json
from rodna.data.tokens import Tokens
from rodna.train.config import TrainValues

VOCABULARY = "tokenizer.vocabulary_size"


def run_piece(place: Place, piece: Piece, *, device: str, compiled: bool = False) -> dict[str, Any]:
    """Run a piece from its beginning, or go on where rodna's training was cut short; write and return its result.

    Args:
        place: where things are.
        piece: what to run.
        device: of the training; the number of steps is that of the measured machine all the same.
        compiled: compile the peers, which changes the time this takes and, but for rounding, nothing else.

    Raises:
        BenchmarkError: something that must be measured or written first is missing.
    """
    text = find_text(piece.text)
    scored: Scored | None
    if piece.kind == "count":
        how_to_count = {"ngram": count_ngrams, "ngram-bpe": count_tokens, "xz": compress}[piece.system]
        scored, figures = how_to_count(place, text, piece=piece.name)
    elif piece.kind == "ensemble":
        figures, scored = score_ensemble(place, text, piece=piece.name, device=device)
    elif piece.recipe is None:
        plan = plan_of(read_speeds(place)[piece.text], piece.plan_key)
        if made := _made_as_member(place, piece, plan):
            write_result(place, piece.name, made)
            return made
        if piece.kind == "student":
            figures, scored = train_student(place, text, plan, piece=piece.name, seed=piece.seed, device=device)
        elif ensemble := ensemble_of(plan):
            figures, scored = train_in_time(place, text, plan, ensemble, piece=piece.name, seed=piece.seed, device=device)
        else:
            how = {"seed": piece.seed, "device": device, "reads_test": piece.is_final}
            figures, scored = train_rodna(place, text, plan, piece=piece.name, **how)
    else:
        figures, scored = _run_peer(place, piece, device=device, compiled=compiled)
    result = {
        "text": piece.text, "system": piece.system, "kind": piece.kind, "minutes": piece.minutes, "fraction": piece.fraction,
        "seed": piece.seed, **figures, **(held_out_figures(scored) if scored else {}),
        **origin(f"python -m benchmarks.data_efficiency run {piece.name}", device),
    }  # fmt: skip
    write_result(place, piece.name, result)
    return result


def _made_as_member(place: Place, piece: Piece, plan: dict[str, Any]) -> dict[str, Any] | None:
    """Return the result of the same training, made as a member of the two hours; None where it is another, or not made.

    Where one model is planned for a member's time, it is trained once: a second time would give the same.
    """
    member = next((each for each in members_of(piece.text) if (each.seed, each.minutes) == (piece.seed, piece.minutes)), None)
    if piece.kind != "rodna" or member is None or plan != read_speeds(place)[piece.text]["plans"].get(member.plan_key):
        return None
    made = read_results(place).get(member.name)
    return {**made, "piece": piece.name, "kind": piece.kind, "trained_as": member.name} if made else None


def try_settings(place: Place, name: str, minutes: int, assignments: list[str], *, device: str) -> Path:
    """Train rodna's plan with some settings changed, seed 0, and score it on validation: what its rules are made from.

    It makes as many steps, with another vocabulary as many passes.

    Args:
        place: where things are; the result lies in `tries`, beside those of the pieces.
        name: of the text.
        minutes: of the plan.
        assignments: `model.dropout=0.1` and the like, or `tokenizer.vocabulary_size=1024`.
        device: of the training.
    """
    text = find_text(name)
    plan = copy.deepcopy(plan_of(read_speeds(place)[name], f"{name}/{minutes}"))
    # A plan that was kept before a setting was there has what it is by default.
    plan["train"] = validate(TrainValues, plan["train"]).model_dump(mode="json")
    # The vocabulary first: it decides about the steps, unless these are given.
    for assignment in sorted(assignments, key=lambda each: not each.startswith(VOCABULARY)):
        key, _, value = assignment.partition("=")
        section, _, field = key.partition(".")
        if key == VOCABULARY:
            text = replace(text, vocabulary=json.loads(value))
            _change_vocabulary(place, text, plan)
            continue
        if section not in ("model", "train") or field not in plan[section]:
            raise BenchmarkError(
                f"a plan has no {key!r}", fix=f"name a setting of model or train, as in model.dropout=0.1, or {VOCABULARY}"
            )
        plan[section][field] = value if isinstance(plan[section][field], str) else json.loads(value)
    piece = f"try-{minutes}min-{'-'.join(assignments) or 'as-planned'}"
    figures, _ = train_rodna(place, text, plan, piece=piece, seed=0, device=device, reads_test=False)
    command = f"python -m benchmarks.data_efficiency try {name} {minutes} {' '.join(assignments)}".rstrip()
    file = place.results / "tries" / f"{name}--{piece}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    write_json(file, {"text": name, "minutes": minutes, "changed": assignments, **figures, **origin(command, device)})
    return file


def _change_vocabulary(place: Place, text: Text, plan: dict[str, Any]) -> None:
    """Make a plan one of a text's other vocabulary, and of as many passes."""
    tokens, _ = tokens_of(place, text, "bpe", 0)
    train = Tokens.open(tokens.path, "train")
    plan["model"]["vocabulary_size"] = train.vocabulary_size
    seen = plan["estimates"]["epochs"] * train.num_tokens
    plan["train"]["steps"] = round(seen / plan["train"]["batch_size"] / plan["model"]["context_length"])


def _run_peer(place: Place, piece: Piece, *, device: str, compiled: bool) -> tuple[dict[str, Any], Scored | None]:
    recipe, text, speeds = piece.recipe, find_text(piece.text), read_speeds(place)[piece.text]
    assert recipe is not None, "peers have recipes"
    steps, would_compile = steps_of(speeds, piece)
    tokens, _ = tokens_of(place, text, recipe.algorithm, recipe.vocabulary)
    train, validation = Tokens.open(tokens.path, "train"), Tokens.open(tokens.path, "validation")
    where = torch.device(device)
    trained = train_peer(recipe, train, validation, steps=steps, seed=piece.seed, device=where, compiled=compiled)
    on_validation = score(trained.logits, validation, context=recipe.context, device=where)
    scored = None
    if piece.is_final:
        scored = score(trained.logits, test_tokens(place, text, tokens, piece=piece.name), context=recipe.context, device=where)
    seen = steps * recipe.tokens_per_step
    figures = {
        "validation_bits_per_byte": on_validation.bits_per_byte if math.isfinite(on_validation.bits_per_byte) else 99.0,
        "curve": trained.curve, "validation_looks": len(trained.curve) + 1, "best_step": trained.best_step, "steps": steps,
        "epochs": seen / train.num_tokens, "parameters": trained.parameters, "vocabulary": train.vocabulary_size,
        "seconds": trained.seconds, "tokens_per_second": seen / trained.seconds, "recipe": asdict(recipe), "owner_compiles": would_compile,
        "budget_mfu": _mfu(speeds, piece, trained.parameters, train.vocabulary_size),
    }  # fmt: skip
    return figures, scored


def _mfu(speeds: Speeds, piece: Piece, parameters: int, vocabulary: int) -> float:
    """Return the share of the measured machine's peak: 6 FLOPs a weight and token, and attention over all positions."""
    from benchmarks.data_efficiency.speeds import key_of, variants_of, vocabulary_name

    recipe, variants = piece.recipe, variants_of(speeds, piece)
    if recipe is None or not variants:
        return 0.0
    rate = max(speed["tokens_per_second"] for speed in variants.values() if speed)
    embeddings = recipe.context * recipe.width + (vocabulary * recipe.width if recipe.architecture == "llama" else 0)
    flops = 6.0 * (parameters - embeddings) + 12.0 * recipe.layers * recipe.context * recipe.width
    peak = speeds["measured_on"][key_of(recipe, speeds["vocabularies"][vocabulary_name(piece.text, recipe)]["size"])]
    return rate * flops / peak[f"{recipe.precision}_flops"]
