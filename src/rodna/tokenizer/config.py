"""How a tokenizer is made: the `tokenizer` section of a project."""

from typing import Annotated, Literal

from pydantic import Field

from rodna.core.config import Planned, Section

Algorithm = Literal["bpe", "unigram", "character"]
SplitPattern = Literal["qwen35", "o200k"]

NUM_BYTES = 256
END_OF_TEXT = "<|endoftext|>"
TURN_START = "<|im_start|>"
TURN_END = "<|im_end|>"
SPECIAL_TOKENS = (END_OF_TEXT, TURN_START, TURN_END, *(f"<|reserved_{number}|>" for number in range(5)))
"""End of a document, start and end of a turn of conversation, and five for later use; they follow all other tokens."""
MEASURES = "measures.json"
"""Of the artifact: bytes a token and the like, and why the vocabulary is as large as it is."""
SMALLEST_VOCABULARY = NUM_BYTES + len(SPECIAL_TOKENS)


class TokenizerConfig(Section):
    """What the tokenizer is learned from and how."""

    algorithm: Algorithm = Field(
        default="bpe", description="Byte-level BPE, byte-level Unigram, or single characters with bytes to fall back on."
    )
    vocabulary_size: Annotated[int, Field(ge=SMALLEST_VOCABULARY)] | Planned = Field(
        default="planned",
        description="Tokens in all, bytes and special ones included; `planned` chooses from the amount of text and its characters.",
    )
    split_pattern: SplitPattern = Field(
        default="qwen35",
        description="Where tokens may never cross: both keep combining marks with their letters; llama.cpp follows only qwen35 exactly."
        " Not used by `character`.",
    )
    min_frequency: int = Field(default=2, ge=1, description="How often a token's text must occur in the training text.")
    sample_bytes: int = Field(
        default=64_000_000,
        ge=1_000_000,
        description="Learn from a sample of documents of about this size where the corpus is larger: bounds memory.",
    )
