"""Fine-tuning a copy of the model with a head for the classes.

A loop of its own, since it minimises no cost of text: mean of the last layer over the text's tokens, one linear layer, cross-entropy.

Shapes: N texts, B texts of a step, T positions, D width, C classes, R runs.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from rodna.evals.classify.backbone import LAST, Backbone, padded
from rodna.evals.classify.config import ClassifyConfig
from rodna.evals.classify.linear import Predictions
from rodna.evals.classify.split import VALIDATION_SHARE, hold_out
from rodna.evals.classify.table import Example, as_numbers

PATIENCE = 2
"""Epochs without a lower validation loss after which training stops."""
HEAD_RATE = 10.0
"""The head begins from zero, so it learns that much faster than the model."""
WARMUP_SHARE, WEIGHT_DECAY, MAX_GRADIENT_NORM = 0.1, 0.01, 1.0
"""As is common for fine-tuning. Reference: Mosbach et al. 2021, arXiv:2006.04884."""


@dataclass(frozen=True)
class _Rows:
    """Texts as tokens, cut to the context, and their classes."""

    tokens: list[list[int]]
    classes_N: NDArray[np.int64]


def fine_tune(backbone: Backbone, train: Sequence[Example], test: Sequence[Example], labels: Sequence[str], config: ClassifyConfig
              ) -> Predictions:  # fmt: skip
    """Fine-tune and answer, several times over.

    Training stops where the loss on a part of the training texts, kept apart, no longer falls; the weights of its lowest are used.

    Args:
        backbone: left as it is.
        train: what is learned from, a part of it to stop by.
        test: what is asked.
        labels: all classes.
        config: epochs, learning rate, batch size, runs.
    """
    asked, cut = _rows(backbone, test, labels)
    classes: list[NDArray[np.int64]] = []
    epochs: list[int] = []
    for run in range(config.runs):
        learn, stop = (_rows(backbone, part, labels)[0] for part in hold_out(train, share=VALIDATION_SHARE, seed=config.seed + run))
        tuned = _Classifier(backbone.copied(), len(labels))
        epochs.append(_train(tuned, learn, stop, config, seed=config.seed + run))
        classes.append(tuned.logits(asked.tokens, config.batch_size).argmax(dim=1).numpy())
    detail = {"epochs": epochs, "learning_rate": config.learning_rate, "batch_size": config.batch_size}
    failed = epochs.count(0)
    warning = f"{failed} of {config.runs} runs learned nothing: lower the learning rate" if failed else ""
    return Predictions(np.array(classes, dtype=np.int64), detail, cut, warning=warning)


def _rows(backbone: Backbone, examples: Sequence[Example], labels: Sequence[str]) -> tuple[_Rows, int]:
    """Return texts as the first tokens that fit the context, and how many texts are longer."""
    pieces = [backbone.pieces(example.text) for example in examples]
    return _Rows([piece[0] for piece in pieces], as_numbers(examples, labels)), sum(len(piece) > 1 for piece in pieces)


class _Classifier:
    """A model with a head."""

    def __init__(self, backbone: Backbone, num_classes: int) -> None:
        self.backbone = backbone
        width = _width(backbone)
        self.head = nn.Linear(width, num_classes, device=backbone.device)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def __call__(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Return scores of classes, (B, C)."""
        tokens_BT, counted_BT = padded(rows, len(self.backbone.start), self.backbone.device)
        hidden_BTD = self.backbone.hidden(self.backbone.module, tokens_BT)[LAST]
        return self.head((hidden_BTD * counted_BT[..., None]).sum(dim=1) / counted_BT.sum(dim=1, keepdim=True))

    @torch.inference_mode()
    def logits(self, rows: Sequence[Sequence[int]], batch_size: int) -> Tensor:
        """Return scores of any number of texts, (N, C), on the CPU."""
        self.backbone.module.eval()
        order = sorted(range(len(rows)), key=lambda index: len(rows[index]))
        parts = [self([rows[index] for index in order[begin : begin + batch_size]]) for begin in range(0, len(order), batch_size)]
        return torch.cat(parts).cpu()[torch.tensor(np.argsort(order))]

    def state(self) -> list[Tensor]:
        """Return a copy of all weights."""
        return [weight.detach().clone() for weight in self.weights()]

    def restore(self, state: Sequence[Tensor]) -> None:
        with torch.no_grad():
            for weight, saved in zip(self.weights(), state, strict=True):
                weight.copy_(saved)

    def weights(self) -> list[nn.Parameter]:
        return [*self.backbone.module.parameters(), *self.head.parameters()]


@torch.inference_mode()
def _width(backbone: Backbone) -> int:
    tokens_BT = torch.tensor([list(backbone.start)], device=backbone.device)
    return backbone.hidden(backbone.module, tokens_BT)[LAST].shape[-1]


def _train(tuned: _Classifier, learn: _Rows, stop: _Rows, config: ClassifyConfig, *, seed: int) -> int:
    """Train, and return after how many epochs the weights that are left were reached; 0 where no epoch did better than none."""
    rate = config.learning_rate
    groups = [
        {"params": list(tuned.backbone.module.parameters()), "lr": rate},
        {"params": list(tuned.head.parameters()), "lr": rate * HEAD_RATE},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=WEIGHT_DECAY)
    per_epoch = math.ceil(len(learn.tokens) / config.batch_size)
    total = per_epoch * config.epochs
    warmup = max(1, round(WARMUP_SHARE * total))
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / warmup, (total - step) / max(1, total - warmup)))
    best, best_loss, best_epoch = tuned.state(), _loss(tuned, stop, config.batch_size), 0
    random = np.random.default_rng(seed)
    # Dropout draws from torch's own generators: they are put back afterwards.
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for epoch in range(1, config.epochs + 1):
            order = random.permutation(len(learn.tokens))
            tuned.backbone.module.train()
            for begin in range(0, len(order), config.batch_size):
                _step(tuned, learn, order[begin : begin + config.batch_size], optimizer)
                schedule.step()
            loss = _loss(tuned, stop, config.batch_size)
            if loss < best_loss or not stop.tokens:
                best, best_loss, best_epoch = tuned.state(), loss, epoch
            elif epoch - best_epoch >= PATIENCE:
                break
    tuned.restore(best)
    return best_epoch


def _step(tuned: _Classifier, learn: _Rows, chosen: NDArray[np.int64], optimizer: torch.optim.Optimizer) -> None:
    scores_BC = tuned([learn.tokens[index] for index in chosen])
    loss = F.cross_entropy(scores_BC, torch.from_numpy(learn.classes_N[chosen]).to(scores_BC.device))
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(tuned.weights(), MAX_GRADIENT_NORM)
    optimizer.step()


def _loss(tuned: _Classifier, rows: _Rows, batch_size: int) -> float:
    """Return the mean cross-entropy; infinity where there is no text or it is not a number."""
    if not rows.tokens:
        return math.inf
    loss = float(F.cross_entropy(tuned.logits(rows.tokens, batch_size), torch.from_numpy(rows.classes_N)))
    return loss if math.isfinite(loss) else math.inf
