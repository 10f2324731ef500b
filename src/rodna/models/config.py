"""What a decoder is: typed fields choose every behaviour, a family's name chooses none.

Four published families are points in this space: GPT-2, GPT-J, LLaMA and Qwen3. `family` says which one a configuration is, so
that its checkpoint can be opened by every tool that knows the family. The architecture steps, all off by default, lead out of the
families: such a model can be trained, scored, generated from and be a teacher, and is kept in a format of our own.
"""

from typing import Literal, Self

from pydantic import Field, model_validator

from rodna.core.config import Section

Family = Literal["gpt2", "gptj", "llama", "qwen3"]


class ModelConfig(Section):
    """Shape and behaviour of a decoder-only transformer. The defaults are Qwen3's."""

    vocabulary_size: int = Field(ge=2)
    context_length: int = Field(default=256, ge=1, description="Longest sequence in tokens.")
    width: int = Field(ge=1, description="Features of the residual stream.")
    num_layers: int = Field(ge=1)
    num_heads: int = Field(ge=1)
    num_kv_heads: int = Field(ge=1, description="Key and value heads; fewer than num_heads means grouped queries.")
    head_width: int = Field(ge=1, description="Features of one head; num_heads * head_width need not equal width.")
    ffn_width: int = Field(ge=1, description="Features inside the feed-forward layer.")

    norm: Literal["rms", "layer"] = "rms"
    norm_epsilon: float = Field(default=1e-6, gt=0)
    qk_norm: bool = Field(default=True, description="Normalise each query and key head before rotating it.")
    position: Literal["rotary", "learned"] = "rotary"
    rotary_width: int = Field(default=0, ge=0, description="Leading features of a head that are rotated; 0 with learned positions.")
    rotary_pairs: Literal["halves", "neighbours"] = "halves"
    rotary_base: float = Field(default=10_000.0, gt=0)
    ffn: Literal["swiglu", "gelu", "relu2"] = Field(
        default="swiglu", description="relu2: the square of a ReLU, without a gate. Reference: So et al. 2021 (Primer), arXiv:2109.08668."
    )
    block: Literal["sequential", "parallel"] = "sequential"
    attention_bias: bool = Field(default=False, description="Biases on queries, keys, values and the attention output.")
    ffn_bias: bool = False
    head_bias: bool = False
    tied_embeddings: bool = False
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Of embeddings and of what each layer adds; never of attention weights.")
    stochastic_depth: float = Field(
        default=0.0, ge=0, lt=1,
        description="Chance that the last layer's attention, and likewise its feed-forward, is left out for a row while training; earlier "
        "layers' grow linearly up to it. Of every family. Reference: Huang et al. 2016, arXiv:1603.09382, section 3.",
    )  # fmt: skip

    attention_gates: bool = Field(
        default=False, description="A learnt gate on each head's output. Reference: Qiu et al. 2025, arXiv:2505.06708 (headwise)."
    )
    value_residual: Literal["none", "first_layer", "embedding"] = Field(
        default="none",
        description="Mix into each layer's values the first layer's (Zhou et al. 2024, arXiv:2410.17897), or a gated projection of the "
        "embedding (the NanoGPT Slowrun's x0 projections, after nanochat's gated value embeddings).",
    )
    unet_skips: bool = Field(
        default=False,
        description="Add the outputs of the first half's layers to the inputs of the second half's, in reverse. Reference: Bao et al. 2022 "
        "(U-ViT), arXiv:2209.12152, with modded-nanogpt's learnt scalars.",
    )
    residual_scalars: bool = Field(
        default=False, description="Learnt scalars of the stream and of the embedding before each layer. Reference: modded-nanogpt."
    )
    logit_softcap: float = Field(
        default=0.0, ge=0, description="Logits stay within plus and minus this; 0 is off. Reference: Gemma 2, arXiv:2408.00118, section 2."
    )
    layer_loops: int = Field(
        default=1, ge=1,
        description="How often the middle third of the layers is run. Reference: Dehghani et al. 2018 (Universal Transformers), "
        "arXiv:1807.03819; the NanoGPT Slowrun's layer looping.",
    )  # fmt: skip

    @model_validator(mode="before")
    @classmethod
    def _rotate_whole_heads(cls, values: object) -> object:
        """Rotary positions rotate the whole head unless told otherwise."""
        if isinstance(values, dict) and values.get("position", "rotary") == "rotary" and not values.get("rotary_width"):
            return {**values, "rotary_width": values.get("head_width", 0)}
        return values

    @model_validator(mode="after")
    def _check(self) -> Self:
        problems = []
        if self.num_heads % self.num_kv_heads:
            problems.append(f"num_heads {self.num_heads} is not a multiple of num_kv_heads {self.num_kv_heads}")
        if self.rotary_width > self.head_width or self.rotary_width % 2:
            problems.append(f"rotary_width {self.rotary_width} must be even and at most head_width {self.head_width}")
        if self.position == "learned" and self.rotary_width:
            problems.append("rotary_width must be 0 with learned positions")
        if problems:
            raise ValueError("; ".join(problems))
        return self

    @property
    def num_parameters(self) -> int:
        """Every trainable number, the embedding counted once where it is tied."""
        embeddings = self.vocabulary_size * self.width * (1 if self.tied_embeddings else 2)
        positions = self.context_length * self.width if self.position == "learned" else 0
        head_bias = self.vocabulary_size if self.head_bias else 0
        layers = self.num_layers * self._layer_parameters + self._step_vectors
        return embeddings + positions + head_bias + layers + self._norm_parameters(self.width)

    @property
    def num_matmul_parameters(self) -> int:
        """Weights that take part in a matrix product for every token: layers and head, not the embedding look-up."""
        return self.num_layers * self.layer_matrices + self.vocabulary_size * self.width

    @property
    def layer_matrices(self) -> int:
        """Weights of one layer's matrix products; each takes part once for every run of the layer."""
        query, key_value = self.num_heads * self.head_width, self.num_kv_heads * self.head_width
        attention = self.width * (2 * query + 2 * key_value) + (self.width * self.num_heads if self.attention_gates else 0)
        projection = self.width * (key_value + self.num_kv_heads) if self.value_residual == "embedding" else 0
        return attention + projection + self.width * self.ffn_width * (3 if self.ffn == "swiglu" else 2)

    @property
    def layer_order(self) -> list[int]:
        """Indices of the layers in the order they run: 0 to num_layers - 1, the middle third `layer_loops` times."""
        layers, outer = list(range(self.num_layers)), self.num_layers // 3
        middle = layers[outer : self.num_layers - outer]
        return layers[:outer] + middle * self.layer_loops + layers[self.num_layers - outer :]

    @property
    def has_steps(self) -> bool:
        """Whether any layer sees more than its predecessor's output, or the layers run in another order than they lie."""
        return bool(
            self.attention_gates or self.value_residual != "none" or self.unet_skips or self.residual_scalars or self.layer_loops > 1
        )

    @property
    def _step_vectors(self) -> int:
        mixes = 2 * (self.num_layers - 1) if self.value_residual == "first_layer" else 0
        return mixes + (self.num_layers // 2 if self.unet_skips else 0) + (2 * self.num_layers if self.residual_scalars else 0)

    @property
    def _layer_parameters(self) -> int:
        query, key_value = self.num_heads * self.head_width, self.num_kv_heads * self.head_width
        biases = (query + 2 * key_value + self.width) if self.attention_bias else 0
        biases += (self.ffn_width * (2 if self.ffn == "swiglu" else 1) + self.width) if self.ffn_bias else 0
        norms = self._norm_parameters(self.width) * (1 if self.block == "parallel" else 2)
        norms += 2 * self.head_width if self.qk_norm else 0
        return self.layer_matrices + biases + norms

    def _norm_parameters(self, width: int) -> int:
        return width * (2 if self.norm == "layer" else 1)

    @property
    def family(self) -> Family | None:
        """The published family this configuration belongs to, or None where no standard checkpoint format holds it."""
        return next(
            (
                name
                for name, traits in FAMILIES.items()
                if all(getattr(self, key) == value for key, value in traits.items()) and self._fits(name)
            ),
            None,
        )

    def _fits(self, family: Family) -> bool:
        if self.has_steps or self.logit_softcap:
            return False
        same_heads = self.num_kv_heads == self.num_heads and self.num_heads * self.head_width == self.width
        return same_heads if family in ("gpt2", "gptj") else self.rotary_width == self.head_width


FAMILIES: dict[Family, dict[str, object]] = {
    "qwen3": {"norm": "rms", "qk_norm": True, "position": "rotary", "rotary_pairs": "halves", "ffn": "swiglu", "block": "sequential",
              "attention_bias": False, "ffn_bias": False, "head_bias": False},
    "llama": {"norm": "rms", "qk_norm": False, "position": "rotary", "rotary_pairs": "halves", "ffn": "swiglu", "block": "sequential",
              "attention_bias": False, "ffn_bias": False, "head_bias": False},
    "gpt2": {"norm": "layer", "qk_norm": False, "position": "learned", "ffn": "gelu", "block": "sequential", "attention_bias": True,
             "ffn_bias": True, "head_bias": False},
    "gptj": {"norm": "layer", "qk_norm": False, "position": "rotary", "rotary_pairs": "neighbours", "ffn": "gelu", "block": "parallel",
             "attention_bias": False, "ffn_bias": True, "head_bias": True},
}  # fmt: skip
"""The traits that make a family. Reference: the configuration classes of transformers."""
