"""What a decoder is: typed fields choose every behaviour, a family's name chooses none.

Four published families are points in this space: GPT-2, GPT-J, LLaMA and Qwen3. `family` says which one a configuration is, so
that its checkpoint can be opened by every tool that knows the family.
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
    ffn: Literal["swiglu", "gelu"] = "swiglu"
    block: Literal["sequential", "parallel"] = "sequential"
    attention_bias: bool = Field(default=False, description="Biases on queries, keys, values and the attention output.")
    ffn_bias: bool = False
    head_bias: bool = False
    tied_embeddings: bool = False
    dropout: float = Field(default=0.0, ge=0, lt=1, description="Of embeddings and of what each layer adds; never of attention weights.")

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
        return embeddings + positions + head_bias + self.num_layers * self._layer_parameters + self._norm_parameters(self.width)

    @property
    def num_matmul_parameters(self) -> int:
        """Weights that take part in a matrix product for every token: layers and head, not the embedding look-up."""
        query, key_value = self.num_heads * self.head_width, self.num_kv_heads * self.head_width
        attention = self.width * (2 * query + 2 * key_value)
        ffn = self.width * self.ffn_width * (3 if self.ffn == "swiglu" else 2)
        return self.num_layers * (attention + ffn) + self.vocabulary_size * self.width

    @property
    def _layer_parameters(self) -> int:
        query, key_value = self.num_heads * self.head_width, self.num_kv_heads * self.head_width
        weights = self.width * (2 * query + 2 * key_value) + self.width * self.ffn_width * (3 if self.ffn == "swiglu" else 2)
        biases = (query + 2 * key_value + self.width) if self.attention_bias else 0
        biases += (self.ffn_width * (2 if self.ffn == "swiglu" else 1) + self.width) if self.ffn_bias else 0
        norms = self._norm_parameters(self.width) * (1 if self.block == "parallel" else 2)
        norms += 2 * self.head_width if self.qk_norm else 0
        return weights + biases + norms

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
