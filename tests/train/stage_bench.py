"""A folder in which ensembles and students are trained on invented tokens."""

import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from rodna.core.artifact import Artifact, create
from rodna.core.files import write_json
from rodna.models.checkpoint import load
from rodna.models.config import ModelConfig
from rodna.plan.hardware import describe_machine
from rodna.train.config import TrainConfig, TrainValues
from rodna.train.distill_stage import distill
from rodna.train.ensemble_config import DistillConfig, EnsembleConfig
from rodna.train.identity import distill_settings, teacher_fingerprint
from rodna.train.members import train_ensemble

VOCABULARY, LENGTH = 259, 16


def counting(num_documents: int, *, seed: int) -> list[np.ndarray]:
    """Return documents in which every token follows from the one before."""
    source = np.random.default_rng(seed)
    return [np.append((source.integers(256) + np.arange(30)) % 256, 256).astype("<u2") for _ in range(num_documents)]


def make_tokens(folder: Path, *, num_validation: int = 4) -> Artifact:
    with create(folder / "tokens-00000001", kind="tokens", format_version=1, inputs={}, config={}) as draft:
        draft.counts = {"dtype": "<u2", "vocabulary_size": VOCABULARY, "end_of_text_id": 256, "splits": {}}
        for split, count, seed in (("train", 40, 1), ("validation", num_validation, 2), ("test", 4, 3)):
            documents = counting(count, seed=seed)
            (draft.path / f"{split}.bin").write_bytes(b"".join(document.tobytes() for document in documents))
            np.save(draft.path / f"{split}.offsets.npy", np.cumsum([0, *map(len, documents)]).astype("<i8"))
            np.save(draft.path / f"{split}.bytes.npy", np.full(count, 30, "<i8"))
            draft.counts["splits"][split] = {"num_documents": count}
    return draft.result


def make_plan(folder: Path, *, memory_share: float = 0.8, **train: object) -> Artifact:
    model = ModelConfig(vocabulary_size=VOCABULARY, width=16, num_layers=1, num_heads=1, num_kv_heads=1, head_width=16, ffn_width=32,
                        context_length=LENGTH, tied_embeddings=True)  # fmt: skip
    values = TrainValues(steps=8, batch_size=4, micro_batch_size=2, learning_rate=0.02, adam_learning_rate=0.01, weight_decay=0.1,
                         warmup_steps=1, decay_fraction=0.5, checkpoint_activations=False, evaluations=2, precision="fp32", compile="off",
                         log_every=2, trackers=()).model_copy(update=train)  # fmt: skip
    given = {"steps": values.steps, "batch_size": values.batch_size}
    config = {"train": given, "more": train, "plan": {"memory_share": memory_share}}
    with create(folder / "plan-00000002", kind="plan", format_version=1, inputs={}, config=config) as draft:
        write_json(draft.path / "plan.json", {
            "model": model.model_dump(mode="json"), "train": values.model_dump(mode="json"), "estimates": {"step_seconds": 0.01},
            "reasons": [], "machine": asdict(describe_machine("cpu")),
        })  # fmt: skip
    return draft.result


class Bench:
    """A folder in which ensembles and students are trained."""

    def __init__(self, root: Path, tokenizer: Artifact) -> None:
        self.root, self.tokenizer = root, tokenizer
        self.tokens, self.plan = make_tokens(root), make_plan(root)
        self.made = 0

    def ensemble(self, *, split_over: int = 2, distill: DistillConfig | None = None, **settings) -> Artifact:
        config = EnsembleConfig.model_validate({"members": 2, **settings})
        self.made += 1
        return train_ensemble(
            self.tokens, self.tokenizer, self.plan, config, distill or DistillConfig(), self.root / f"ensemble-{self.made:08x}",
            run=self.root / "runs" / "ensemble", split_over=split_over,
        )  # fmt: skip

    def student(self, ensemble: Artifact | None = None, **settings) -> Artifact:
        config = DistillConfig.model_validate(settings)
        inputs: dict[str, Artifact | str] = {"tokens": self.tokens, "tokenizer": self.tokenizer, "plan": self.plan}
        if ensemble is not None:
            inputs["ensemble"] = ensemble
        inputs |= {f"teacher-{number}": teacher_fingerprint(Path(path)) for number, path in enumerate(config.teachers)}
        shared = EnsembleConfig(members=2 if ensemble else 0)
        self.made += 1
        return distill(
            self.tokens, self.tokenizer, self.plan, ensemble, config, self.root / f"model-{self.made:08x}",
            run=self.root / "runs" / f"student-{self.made}", root=self.root, inputs=inputs,
            settings=distill_settings(config, shared, TrainConfig(), split_over=2 if ensemble else 0),
        )  # fmt: skip

    def validation_bits(self, folder: Path) -> float:
        """Return bits per byte of the validation split, by plain formulas: every document is shorter than two windows."""
        return self.averaged_bits([folder])

    def averaged_bits(self, folders: list[Path]) -> float:
        """Return the bits per byte under the mean of the probabilities of some checkpoints, windows moving on by half their length."""
        decoders = [load(folder)[0] for folder in folders]
        nats = 0.0
        for document in counting(4, seed=2):
            ids = torch.tensor([256, *document.astype(int).tolist()])
            done = 0
            while done < len(ids) - 1:
                end = min(LENGTH, len(ids) - 1) if done == 0 else min(done + LENGTH // 2, len(ids) - 1)
                start = max(0, end - LENGTH)
                with torch.inference_mode():
                    chances = [
                        decoder.logits(decoder(ids[None, start:end], compute_dtype=torch.float32)).float().softmax(-1)[0]
                        for decoder in decoders
                    ]
                mean = torch.stack(chances).mean(0)
                rows = torch.arange(done - start, end - start)
                nats -= float(mean[rows, ids[done + 1 : end + 1]].double().log().sum())
                done = end
        return nats / math.log(2) / (4 * 30)
