"""A small project's artifacts: a real corpus and tokenizer, and what training and evaluation would have written."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from rodna.core.artifact import Artifact, create
from rodna.core.files import write_json
from rodna.corpus.build import build_corpus
from rodna.corpus.config import CorpusConfig, Source, SplitConfig
from rodna.evals.result import Result, write_results
from rodna.tokenizer.config import TokenizerConfig
from rodna.tokenizer.train import train_tokenizer

NASTY = '<script>alert("model")</script></style><img src=x onerror=alert(1)> & "quotes"'
"""What an untrusted corpus or model may say."""

BELARUSIAN = "Наша мова — гэта наша душа, і кожны чалавек гаворыць ёю з маленства. Нумар {}: сонца ўзышло над лесам, і птушкі заспявалі."
CANTONESE = "我哋今日一齊去飲茶，第{}個朋友話佢食過飯喇。天氣咁好，不如行去海邊睇日落啦！"
ARABIC = "هذه هي الجملة رقم {} من النص، وهي تتحدث عن القمر والبحر والمدينة القديمة. كان الأطفال يلعبون قرب النهر."


def make_texts(sentence: str, *, num_documents: int = 240) -> list[str]:
    """Return documents of different lengths."""
    return ["\n".join(sentence.format(f"{number}-{line}") for line in range(1 + number % 7)) for number in range(num_documents)]


def make_corpus(folder: Path, language: str, sources: Mapping[str, Sequence[str]]) -> Artifact:
    """Build a real corpus, a line of whose first source is repeated and so dropped."""
    described: dict[str, Source] = {}
    for number, (name, texts) in enumerate(sources.items()):
        path = folder / f"{name}.txt"
        path.write_text("\n\n".join(texts), encoding="utf-8")
        licence = "" if number else "CC BY 4.0"
        described[name] = Source(path=path.name, document="blank_line", licence=licence, origin=f"Collected from {name}, {NASTY}")
    config = CorpusConfig(split=SplitConfig(validation=0.1, test=0.1, min_bytes=100))
    return build_corpus(described, config, folder / "corpus" / f"{language}-00000000", language=language, root=folder)


def make_plan(folder: Path, corpus: Artifact, tokenizer: Artifact) -> Artifact:
    with create(
        folder / "plan-00000000", kind="plan", format_version=1, inputs={"corpus": corpus, "tokenizer": tokenizer}, config={}
    ) as draft:
        write_json(
            draft.path / "plan.json",
            {
                "model": {"width": 256, "num_layers": 6},
                "train": {"steps": 1180, "learning_rate": 0.01},
                "estimates": {
                    "parameters": 5_832_000, "train_tokens": 680_000, "train_bytes": 2_900_000, "tokens_seen": 9_666_560, "epochs": 14.2,
                    "seconds": 1130.0, "tokens_per_second": 9_100.0, "flops": 3.4e14, "memory_bytes": 1_350_000_000, "watt_hours": 12.6,
                },
                "reasons": [
                    {"setting": "model.width", "value": 256, "reason": "5.8M parameters suit 2.9 MB of text and 20 minutes here"},
                    {"setting": "model.tied_embeddings", "value": True, "reason": "a small text sees rare tokens too seldom"},
                    {"setting": "train.learning_rate", "value": 0.01, "reason": "Muon's, found by a sweep on texts of this size"},
                    {"setting": "train.weight_decay", "value": 0.4, "reason": "strong, against learning 14 passes by heart"},
                ],
                "machine": {
                    "device": "cpu", "name": "Example Processor 9000 @ 2.70GHz",
                    "cores": 2, "memory_bytes": 23_000_000_000, "bf16": "amx",
                    "compiler": "g++", "peak_bf16_tflops": 0.0, "watts": 40.0, "fp32_flops": 3.9e11, "bf16_flops": 2.4e12,
                },
            },
        )  # fmt: skip
        draft.counts = {"parameters": 5_832_000}
    return draft.result


def metrics(num_steps: int = 1180) -> list[dict[str, Any]]:
    """Return records as training writes them."""
    records: list[dict[str, Any]] = []
    for step in range(1, num_steps + 1, 5):
        wobble = math.sin(step * 1.7) * 0.06 + math.sin(step * 0.23) * 0.03
        loss = 3.1 + 5.2 * math.exp(-step / 60) + 1.2 * math.exp(-step / 420) + wobble
        speed = 9100 + 240 * math.sin(step / 7) - (5200 if step == 1 else 0)
        records.append({"step": step, "tokens": step * 8192, "loss": loss, "learning_rate": 0.01, "tokens_per_second": speed, "mfu": 0.36})
        if step % 105 == 1:
            held_out = 1.62 + 2.6 * math.exp(-step / 90) + 0.5 * math.exp(-step / 380)
            records.append({"step": step, "tokens": step * 8192, "validation_bits_per_byte": held_out, "validation_loss": held_out * 2.0})
    return records


def make_model(folder: Path, tokenizer: Artifact, plan: Artifact) -> Artifact:
    with create(
        folder / "model-00000000", kind="model", format_version=1, inputs={"tokenizer": tokenizer, "plan": plan}, config={}, seed=7
    ) as draft:
        lines = [json.dumps(record) for record in metrics()]
        (draft.path / "metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        write_json(
            draft.path / "training.json",
            {
                "steps": 1180, "tokens_seen": 9_666_560, "epochs": 14.2, "seconds": 1086.2, "tokens_per_second": 8_900.0, "flops": 3.4e14,
                "mfu": 0.364, "peak_memory_bytes": 1_290_000_000, "best_step": 1156, "best_validation_bits_per_byte": 1.642,
                "stopped_early": False, "dtype": "bfloat16", "compiled": True, "threads": 2, "interruptions": 1,
            },
        )  # fmt: skip
    return draft.result


def results() -> list[Result]:
    bits = "bits per UTF-8 byte"
    found = [
        Result("held_out_text", "bits_per_byte", 1.653, bits, 1.622, 1.69, 412, "lower"),
        Result("held_out_text", "bits_per_character", 2.871, "bits per character", 2.81, 2.94, 412, "lower"),
        Result("held_out_text", "token_perplexity", 31.42, "perplexity per token", 29.8, 33.3, 412, "lower"),
        Result("source:tatoeba", "bits_per_byte", 1.91, bits, 1.85, 1.98, 201, "lower"),
    ]
    for name, value, interval, words in (
        ("uniform", 8.13, 0.0, "every byte equally likely"),
        ("xz", 2.61, 0.0, "xz -9 of the held-out text alone"),
        ("xz_given_train", 2.23, 0.0, "xz -9, given 2.9 MB of training text first"),
        ("zstd_given_train", 2.31, 0.0, "zstd -19, given 2.9 MB of training text first"),
        ("ngram", 1.98, 0.04, "byte 6-gram, Kneser-Ney smoothing, given 2.9 MB of training text first; both chosen on validation"),
    ):
        more = {"detail": {"baseline": name, "description": words}}
        found.append(Result(f"baseline:{name}", "bits_per_byte", value, bits, value - interval, value + interval, 412, "lower", **more))
        found.append(
            Result(f"baseline:{name}", "model_minus_baseline", 1.653 - value, bits, 1.62 - value, 1.69 - value, 412, "lower", **more)
        )
    return [
        *found,
        Result("generation", "loops", 0.042, "share of texts caught in a loop", 0.0, 0.125, 24, "lower", 1, detail={"reference": 0.0}),
        Result(
            "generation",
            "distinct_3",
            0.914,
            "share of 3-word sequences that are different",
            0.914,
            0.914,
            24,
            "none",
            detail={"reference": 0.97},
        ),
    ]


def make_evaluation(folder: Path, model: Artifact, corpus: Artifact, samples: Sequence[Mapping[str, Any]]) -> Artifact:
    inputs = {"model": model, "corpus": corpus}
    config = {"temperature": 0.8, "top_p": 0.95, "sample_tokens": 128, "seed": 0}
    with create(folder / "evaluation-00000000", kind="evaluation", format_version=1, inputs=inputs, config=config) as draft:
        write_results(draft.path / "results.json", results())
        write_json(draft.path / "samples.json", list(samples))
    return draft.result


def make_artifacts(
    folder: Path, language: str, sources: Mapping[str, Sequence[str]], samples: Sequence[Mapping[str, Any]], *, vocabulary_size: int = 320
) -> dict[str, Any]:
    """Return role -> artifact of a finished project."""
    corpus = make_corpus(folder, language, sources)
    tokenizer = train_tokenizer(corpus, TokenizerConfig(vocabulary_size=vocabulary_size), folder / f"{language}-11111111")
    plan = make_plan(folder, corpus, tokenizer)
    model = make_model(folder, tokenizer, plan)
    evaluation = make_evaluation(folder, model, corpus, samples)
    return {"corpus": corpus, "tokenizer": tokenizer, "plan": plan, "tokens": None, "model": model, "evaluation": evaluation}


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, Any]]:
    """Language -> artifacts of a finished project in it, made once."""
    made: dict[str, dict[str, Any]] = {}
    sentences = {"be": BELARUSIAN, "yue": CANTONESE, "ar": ARABIC}

    def make(language: str) -> dict[str, Any]:
        if language not in made:
            folder = tmp_path_factory.mktemp(language)
            texts = make_texts(sentences[language])
            samples = [
                {"prompt": sentences[language][:12], "text": sentences[language][12:60]},
                {"prompt": "", "text": sentences[language] + NASTY},
            ]
            made[language] = make_artifacts(folder, language, {"letters": [*texts, texts[3], NASTY, NASTY], "talks": texts[:3]}, samples)
        return made[language]

    return make
