"""A tokenizer that needs no training."""

from tokenizers import Tokenizer as Backend
from tokenizers import decoders, models, pre_tokenizers

from rodna.tokenizer.tokenizer import Tokenizer


def byte_tokenizer() -> Tokenizer:
    """Return one of bytes and the end of a text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Backend(models.BPE(vocab={character: index for index, character in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer, backend.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    backend.add_special_tokens(["<|endoftext|>"])
    return Tokenizer(backend)
