"""Peak memory of one training step: parameters, gradients, optimizer, activations, loss, and the libraries themselves.

Counts the tensors that the backward pass keeps, layer by layer, and what is alive at the worst moment of the step. Sizes in bytes.
"""

from dataclasses import dataclass
from typing import Literal

from rodna.models.config import ModelConfig
from rodna.plan.hardware import DeviceKind

FLOAT = 4
BASE_BYTES: dict[DeviceKind, int] = {"cpu": 480_000_000, "cuda": 600_000_000}
"""Python with torch and rodna loaded, before any model. On a GPU: the context and the libraries' kernels."""


@dataclass(frozen=True)
class MemoryEstimate:
    """Peak memory of a training step, in bytes, by what it holds.

    Attributes:
        parameters: float32 weights.
        gradients: one float32 number a weight.
        optimizer: AdamW keeps two numbers a weight, Muon one.
        activations: what the blocks keep for the backward of one micro-batch.
        loss: logits and their gradient, of one chunk.
        workspace: casts of weights, the optimizer's temporaries.
        base: Python and the libraries.
    """

    parameters: int
    gradients: int
    optimizer: int
    activations: int
    loss: int
    workspace: int
    base: int

    @property
    def total(self) -> int:
        """Peak in bytes."""
        return self.parameters + self.gradients + self.optimizer + self.activations + self.loss + self.workspace + self.base


def training_memory(
    config: ModelConfig,
    *,
    micro_batch_size: int,
    sequence_length: int = 0,
    optimizer: Literal["muon", "adamw"] = "muon",
    precision: Literal["fp32", "bf16"] = "bf16",
    checkpoint_activations: bool = False,
    device: DeviceKind = "cpu",
    loss_chunk_tokens: int = 1024,
) -> MemoryEstimate:
    """Estimate the peak memory of a training step.

    Args:
        config: the decoder.
        micro_batch_size: sequences in one forward and backward.
        sequence_length: tokens of each; 0 takes the configuration's context length.
        optimizer: which one; Muon takes the matrices of the blocks and leaves the rest to AdamW.
        precision: of activations and matrix products.
        checkpoint_activations: only each block's input is kept.
        device: where it runs.
        loss_chunk_tokens: positions whose logits exist at once.
    """
    length = sequence_length or config.context_length
    tokens = micro_batch_size * length
    number = 2 if precision == "bf16" else FLOAT
    parameters = config.num_parameters
    matrices = config.num_matmul_parameters - config.vocabulary_size * config.width
    states = 2 * parameters - (matrices if optimizer == "muon" else 0)
    block = block_activation_bytes(config, number=number, length=length) * tokens
    stream = config.width * number * tokens
    kept = (config.num_layers * stream + block) if checkpoint_activations else config.num_layers * block
    largest = max(config.vocabulary_size * config.width, config.width * config.ffn_width)
    chunk = min(tokens, loss_chunk_tokens)
    return MemoryEstimate(
        parameters=FLOAT * parameters,
        gradients=FLOAT * parameters,
        optimizer=FLOAT * states,
        activations=kept + 4 * stream,
        loss=chunk * config.vocabulary_size * (2 * FLOAT + number),
        workspace=(number * (matrices + config.vocabulary_size * config.width) if precision == "bf16" else 0) + FLOAT * largest,
        base=BASE_BYTES[device],
    )


def block_activation_bytes(config: ModelConfig, *, number: int, length: int) -> int:
    """Return what one block keeps for its backward, for each token.

    Args:
        config: the decoder.
        number: bytes of one activation.
        length: tokens of a sequence; only statistics of fused attention depend on it, and they are counted per token.
    """
    query, key_value = config.num_heads * config.head_width, config.num_kv_heads * config.head_width
    attention = config.width + 2 * query + 2 * key_value + (query + key_value if config.qk_norm else 0) + query
    ffn = config.width + (4 if config.ffn == "swiglu" else 2) * config.ffn_width
    statistics = FLOAT * (2 * config.num_heads + config.num_kv_heads + 2)
    return number * (attention + ffn + config.width) + statistics
