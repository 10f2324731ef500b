"""Peak memory of training: weights, optimizer, activations, loss, the libraries themselves, and what came before in the process.

The tensors that the backward pass needs are counted layer by layer; what the allocator and the libraries add is measured
(docs/planning.md; `benchmarks/plan_check.py memory` repeats it). All sizes in bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rodna.models.config import ModelConfig
from rodna.plan.hardware import DeviceKind

FLOAT = 4
MEBIBYTE = 2**20
LOSS_CHUNK_TOKENS: dict[DeviceKind, int] = {"cpu": 1024, "cuda": 8192}
"""Positions whose logits exist at once in `rodna.train.objectives`. On a CPU few enough to stay near the processor; more are no faster."""


@dataclass(frozen=True)
class _Mode:
    """What depends on whether the blocks are compiled, measured on Linux with torch 2.13.

    Attributes:
        base: Python with everything imported, before any model.
        job: what reading, planning and compiling before the training leave in the process; at most, when nothing was compiled before.
        loss_bytes: for each logit of a chunk: its copies, its gradient, and what the allocator keeps between them.
        slack: activations really taken, as a multiple of those counted.
    """

    base: int
    job: int
    loss_bytes: float
    slack: float


EAGER = _Mode(base=346 * MEBIBYTE, job=100 * MEBIBYTE, loss_bytes=29.5, slack=1.17)
COMPILED = _Mode(base=426 * MEBIBYTE, job=330 * MEBIBYTE, loss_bytes=8.84, slack=1.11)
CUDA = _Mode(base=0, job=0, loss_bytes=14.0, slack=1.1)
"""On a GPU torch's own allocations are counted, and not the context (about 500 MB) or the libraries' code."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Peak memory of training, in bytes, by what it holds.

    Attributes:
        weights: float32 weights, and their copies in the dtype of the products.
        optimizer: AdamW keeps two numbers a weight, Muon one; an average of the weights one more; what tokens share in spelling two more
            for each number of an embedding.
        activations: what the blocks keep for the backward of one micro-batch; gradients take their place as it goes.
        loss: logits of one chunk with their gradient, and the head's gradient.
        base: Python and the libraries.
        job: what the stages before, planning and compiling leave.
    """

    weights: int
    optimizer: int
    activations: int
    loss: int
    base: int
    job: int

    @property
    def step(self) -> int:
        """Peak of a step in a process that does nothing else, in bytes."""
        return self.weights + self.optimizer + self.activations + self.loss + self.base

    @property
    def total(self) -> int:
        """Peak in bytes."""
        return self.step + self.job


def training_memory(
    config: ModelConfig,
    *,
    micro_batch_size: int,
    sequence_length: int = 0,
    optimizer: Literal["muon", "normuon", "adamw"] = "muon",
    averaging: Literal["none", "ema", "swa"] = "none",
    spelling: bool = False,
    precision: Literal["fp32", "bf16"] = "bf16",
    checkpoint_activations: bool = False,
    compiled: bool = False,
    device: DeviceKind = "cpu",
) -> MemoryEstimate:
    """Estimate the peak memory of training.

    Args:
        config: the decoder.
        micro_batch_size: sequences in one forward and backward.
        sequence_length: tokens of each; 0 takes the configuration's context length.
        optimizer: which one; Muon takes the matrices of the blocks and leaves the rest to AdamW.
        averaging: of the weights, which keeps one number more for each.
        spelling: tokens that are spelled alike share what they learn: about as many shared vectors as tokens.
        precision: of activations and matrix products.
        checkpoint_activations: only each block's input is kept; one block at a time is computed again.
        compiled: the blocks and the loss are compiled: the loss takes less, the libraries more.
        device: where it runs.
    """
    mode = CUDA if device == "cuda" else COMPILED if compiled else EAGER
    tokens = micro_batch_size * (sequence_length or config.context_length)
    number = 2 if precision == "bf16" else FLOAT
    parameters, head = config.num_parameters, config.vocabulary_size * config.width
    matrices = config.num_matmul_parameters - head
    copies = 0 if number == FLOAT else number * (head + (0 if checkpoint_activations else matrices))
    states = (2 if averaging == "none" else 3) * parameters - (0 if optimizer == "adamw" else matrices)
    states += 2 * head * (1 if config.tied_embeddings else 2) if spelling else 0
    runs, block = len(config.layer_order), _block_activations(config, number=number) * tokens
    masks = (2 * runs + 1) * _mask_bytes(config) * tokens
    # Checkpointed, one block is there twice at the peak: computed again, and in its gradients. Masks are part of a block's input.
    kept = masks + (2 * block + runs * config.width * number * tokens if checkpoint_activations else runs * block)
    return MemoryEstimate(
        weights=FLOAT * parameters + copies,
        optimizer=FLOAT * states,
        activations=round(mode.slack * max(kept, FLOAT * matrices)),
        loss=round(mode.loss_bytes * min(tokens, LOSS_CHUNK_TOKENS[device]) * config.vocabulary_size) + FLOAT * head,
        base=mode.base,
        job=mode.job,
    )


def teaching_memory(
    teachers: Sequence[ModelConfig],
    *,
    micro_batch_size: int,
    sequence_length: int,
    precision: Literal["fp32", "bf16"] = "bf16",
    device: DeviceKind = "cpu",
) -> int:
    """Estimate what teachers add to the peak of their student's training step: their weights, and what they say.

    Their matrices are kept in the dtype of the products, embeddings in float32, a tied head apart from its embedding. One teacher after
    another reads the micro-batch without gradients; of each the final features stay, and of a chunk of positions the averaged
    distribution, next to that of the teacher that is added to it.

    Args:
        teachers: their decoders.
        micro_batch_size: sequences that the student reads at once.
        sequence_length: tokens of each.
        precision: of activations and matrix products.
        device: where they run.
    """
    number, tokens = 2 if precision == "bf16" else FLOAT, micro_batch_size * sequence_length
    weights = sum(number * teacher.num_matmul_parameters + FLOAT * teacher.vocabulary_size * teacher.width for teacher in teachers)
    features = sum(number * teacher.width * tokens for teacher in teachers)
    passing = max(_block_activations(teacher, number=number) * tokens for teacher in teachers)
    said = 3 * FLOAT * min(tokens, LOSS_CHUNK_TOKENS[device]) * teachers[0].vocabulary_size
    return weights + features + max(passing, said)


def _mask_bytes(config: ModelConfig) -> int:
    """Return the bytes of one dropout's mask for each token: one a feature, where any is dropped."""
    return config.width if config.dropout else 0


def _block_activations(config: ModelConfig, *, number: int) -> int:
    """Return the bytes that one block keeps for its backward, for each token.

    Args:
        config: the decoder.
        number: bytes of one activation.
    """
    query, key_value = config.num_heads * config.head_width, config.num_kv_heads * config.head_width
    # A norm keeps its input and its scaled input in float32, and its result. Compiled blocks were measured to keep as much.
    norm = 2 * FLOAT + number
    norms = (1 if config.block == "parallel" else 2) * config.width
    qk_norms = query + key_value if config.qk_norm else 0
    attention = number * (2 * query + 2 * key_value) + FLOAT * config.num_heads
    ffn_results = 4 if config.ffn == "swiglu" else 2
    return norm * (norms + qk_norms) + attention + number * ffn_results * config.ffn_width
