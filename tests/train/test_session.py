"""What a run's figures are compared with, and text that comes in other tokens each time."""

import random
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer as Engine
from tokenizers import decoders, models, pre_tokenizers, trainers

from rodna.core.artifact import Artifact, create
from rodna.data.tokens import write_split
from rodna.plan.hardware import describe_machine, named_machine, sheet_speeds
from rodna.tokenizer.tokenizer import Tokenizer
from rodna.train.session import Job, Lesson, Trained, fit, peak_flops, plain_lesson, speeds_here
from rodna.train.state import RunFolder


@pytest.fixture(scope="module")
def machine():
    return describe_machine("cpu")


def test_the_speeds_that_the_plan_measured_here_are_used_again(machine):
    planned = asdict(machine) | {"fp32_flops": 1.5e11, "bf16_flops": 0.0}

    assert speeds_here(planned, machine) is planned
    assert peak_flops(planned, torch.float32) == 1.5e11


def test_a_data_sheet_and_another_machines_speeds_are_not_compared_with(machine):
    sheet = asdict(named_machine("H100")) | asdict(sheet_speeds("H100", mfu=0.4))
    elsewhere = asdict(machine) | {"name": "Another Processor", "fp32_flops": 1.0}
    for planned in (sheet, elsewhere):
        found = speeds_here(planned, machine)
        assert found["name"] == machine.name
        assert 1e8 < found["fp32_flops"] < 1e14
        assert peak_flops(found, torch.float32) == found["fp32_flops"]


@pytest.fixture(scope="module")
def bpe(tmp_path_factory) -> tuple[Artifact, Path]:
    """The tokens of a text of few words, and the folder of its tokenizer, which joins letters."""
    root = tmp_path_factory.mktemp("bpe")
    texts = [" ".join(random.Random(number).choices(["brekka", "brekkan", "ekra", "akur", "akrar"], k=12)) for number in range(40)]
    engine = Engine(models.BPE())
    engine.pre_tokenizer, engine.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    engine.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=275, initial_alphabet=alphabet, special_tokens=["<|endoftext|>"], show_progress=False)
    )
    tokenizer = Tokenizer(engine)
    (root / "tokenizer").mkdir()
    tokenizer.save(root / "tokenizer")
    with create(root / "tokens-00000001", kind="tokens", format_version=1, inputs={}, config={}) as draft:
        draft.counts = {"dtype": "<u2", "vocabulary_size": tokenizer.vocabulary_size, "end_of_text_id": tokenizer.end_of_text_id}
        splits = {"train": texts, "validation": texts[:4], "test": texts[:4]}
        draft.counts["splits"] = {
            name: write_split(iter(of_split), tokenizer, draft.path, name, dtype="<u2") for name, of_split in splits.items()
        }
    return draft.result, root / "tokenizer"


def test_bpe_dropout_is_learned_with_and_goes_on_after_a_stop_to_the_same_bits(bpe, machine, values, model_config, tmp_path):
    tokens, tokenizer = bpe
    config = model_config.model_copy(update={"vocabulary_size": tokens.counts["vocabulary_size"]})
    seen: list[torch.Tensor] = []

    def train(name: str, *, bpe_dropout: float, stops_at: int = -1) -> Trained:
        def lesson(decoder, job, dtype, text) -> Lesson:
            plain = plain_lesson(decoder, job, dtype, text).objective

            def objective(decoder, batch, **more):
                seen.append(batch.inputs_BT)
                if len(seen) == stops_at:
                    raise KeyboardInterrupt
                return plain(decoder, batch, **more)

            return Lesson(objective)

        job = Job(config, values.model_copy(update={"bpe_dropout": bpe_dropout, "save_minutes": 1e-9, "steps": 40}), order_seed=3)
        folder = RunFolder(tmp_path / name, tokenizer_folder=tokenizer, setup=name)
        seen.clear()
        return fit(job, tokens, folder, machine=machine, speeds=asdict(machine) | {"fp32_flops": 1e11}, seconds=1.0, make_lesson=lesson)

    plain = train("plain", bpe_dropout=0.0)
    straight = train("straight", bpe_dropout=0.3)
    with pytest.raises(KeyboardInterrupt):
        train("stopped", bpe_dropout=0.3, stops_at=30)
    resumed = train("stopped", bpe_dropout=0.3)

    mine, theirs = (load_file(trained.checkpoint / "model.safetensors") for trained in (straight, resumed))
    other = load_file(plain.checkpoint / "model.safetensors")
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    assert any(not torch.equal(mine[name], other[name]) for name in mine)
    assert straight.summary["epochs"] < plain.summary["epochs"], "the same text has more tokens"
    assert straight.summary["tokens_seen"] == plain.summary["tokens_seen"]


def test_what_teachers_took_is_counted_as_the_first_attempt_found_it(bpe, machine, values, model_config, tmp_path):
    tokens, tokenizer = bpe
    config = model_config.model_copy(update={"vocabulary_size": tokens.counts["vocabulary_size"]})

    def flops(teachers: float) -> float:
        def lesson(decoder, job, dtype, text) -> Lesson:
            return Lesson(plain_lesson(decoder, job, dtype, text).objective, flops_per_token=teachers)

        folder = RunFolder(tmp_path / "run", tokenizer_folder=tokenizer, setup="run")
        job, speeds = Job(config, values, order_seed=3), asdict(machine) | {"fp32_flops": 1e11}
        trained = fit(job, tokens, folder, machine=machine, speeds=speeds, seconds=1.0, make_lesson=lesson)
        return trained.summary["flops"] / trained.summary["tokens_seen"]

    first = flops(1e9)
    # Once it has ended all that the teachers said is kept, and asking them would cost nothing.
    again = flops(0.0)

    assert again == first > 1e9
