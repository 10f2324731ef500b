"""How many floating-point operations a decoder takes per token: the matrix products and attention, exactly.

A multiplication and an addition count as two. Attention is counted over all T positions of the context, the masked half included, as
`torch.utils.flop_counter` counts it; kernels that skip the masked half do less. Not counted: norms, rotations, activation
functions, softmax, the embedding look-up, the loss and the optimizer (together 1-3% of the arithmetic, though more of the time).
"""

from dataclasses import dataclass

from rodna.models.config import ModelConfig

BACKWARD_MATMULS = 2
"""A product's backward is two products of its size: one for the input's gradient, one for the weight's."""

FUSED_ATTENTION_BACKWARD = 2.5
"""A fused kernel's backward makes five products for the forward's two: it recomputes the scores. Reference: Dao et al. 2022,
arXiv:2205.14135, algorithm 4."""


@dataclass(frozen=True)
class FlopCount:
    """FLOPs for one token at a given sequence length.

    Attributes:
        forward: of the whole model, the head included.
        backward: gradients of every weight.
        recomputation: repeated forward work under activation checkpointing.
    """

    forward: float
    backward: float
    recomputation: float

    @property
    def training(self) -> float:
        """What the machine does for one training token."""
        return self.forward + self.backward + self.recomputation

    @property
    def model(self) -> float:
        """What the model needs for one training token: the numerator of MFU, which leaves recomputation out.

        Reference: Chowdhery et al. 2022 (PaLM), arXiv:2204.02311, appendix B.
        """
        return self.forward + self.backward


def flops_per_token(
    config: ModelConfig, *, sequence_length: int = 0, checkpoint_activations: bool = False, fused_attention: bool = True
) -> FlopCount:
    """Count the FLOPs of one token.

    Args:
        config: the decoder.
        sequence_length: tokens of each sequence; 0 takes the configuration's context length.
        checkpoint_activations: each block's forward is done again in the backward.
        fused_attention: the backward recomputes the scores (flash attention) instead of keeping them.
    """
    length = sequence_length or config.context_length
    runs, query = len(config.layer_order), config.num_heads * config.head_width
    head = 2.0 * config.vocabulary_size * config.width
    matmuls = 2.0 * runs * config.layer_matrices
    attention = 4.0 * runs * length * query
    backward = BACKWARD_MATMULS * (matmuls + head) + (FUSED_ATTENTION_BACKWARD if fused_attention else BACKWARD_MATMULS) * attention
    recomputed = 0.0
    if checkpoint_activations:
        # torch stops recomputing a block at the last tensor its backward needs. Without dropout after it, the feed-forward's down
        # projection lies beyond that point.
        skipped = 0.0 if config.dropout or config.stochastic_depth else 2.0 * runs * config.width * config.ffn_width
        recomputed = matmuls + attention - skipped
    return FlopCount(matmuls + attention + head, backward, recomputed)
