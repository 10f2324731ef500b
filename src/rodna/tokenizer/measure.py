"""How well a tokenizer fits a text."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from rodna.tokenizer.tokenizer import Tokenizer

_BATCH = 1024
_WITHOUT_SPACES = (
    r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Bopomofo}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}\p{Javanese}\p{Balinese}\p{Tai_Tham}"
    r"\p{New_Tai_Lue}\p{Tai_Le}\p{Tai_Viet}\p{Yi}]"
)
_WORD = r"[\p{L}\p{M}\p{N}](?:['’ʼ\u200c\u200d-]?[\p{L}\p{M}\p{N}])*"


@dataclass(frozen=True)
class Measures:
    """What a tokenizer makes of a text.

    Attributes:
        num_documents: texts measured.
        num_bytes: of UTF-8.
        num_characters: Unicode code points.
        num_words: runs of letters, marks and digits, with apostrophes and hyphens inside.
        num_tokens: special ones not counted.
        bytes_per_token: more is a shorter text for the model; comparable within one language only.
        characters_per_token: the same in code points.
        fertility: tokens per word, those of punctuation and spaces included; None where most letters belong to scripts written without
            spaces, where words cannot be counted. Reference: Rust et al. 2021, arXiv:2012.15613, section 4.
        whole_character_share: share of the bytes that lie in tokens made of whole characters.
        partial_token_share: share of the tokens that hold a part of a character only: what falls back on bytes.
        num_unused: tokens of the vocabulary that never occur here, special ones not counted.
        unused_share: their share.
    """

    num_documents: int
    num_bytes: int
    num_characters: int
    num_words: int
    num_tokens: int
    bytes_per_token: float
    characters_per_token: float
    fertility: float | None
    whole_character_share: float
    partial_token_share: float
    num_unused: int
    unused_share: float

    def as_dict(self) -> dict[str, Any]:
        """Return the measures as plain values, for JSON."""
        return asdict(self)


def measure(tokenizer: Tokenizer, texts: Iterable[str]) -> Measures:
    """Encode texts and count; memory does not grow with their number."""
    import numpy as np
    import regex

    word, without_spaces, letter = regex.compile(_WORD), regex.compile(_WITHOUT_SPACES), regex.compile(r"\p{L}")
    uses = np.zeros(tokenizer.vocabulary_size, dtype=np.int64)
    num_documents = num_bytes = num_characters = num_words = num_letters = num_without_spaces = 0
    rest = iter(texts)
    while batch := list(islice(rest, _BATCH)):
        num_documents += len(batch)
        for text, ids in zip(batch, tokenizer.encode_batch(batch), strict=True):
            uses += np.bincount(np.asarray(ids, dtype=np.int64), minlength=len(uses))
            num_bytes += len(text.encode("utf-8"))
            num_characters += len(text)
            num_words += sum(1 for _ in word.finditer(text))
            num_letters += len(letter.findall(text))
            num_without_spaces += len(without_spaces.findall(text))
    pieces = [tokenizer.token_bytes(number) for number in range(len(uses))]
    sizes = np.array([len(piece) for piece in pieces])
    whole = np.array([is_whole(piece) for piece in pieces])
    unused = int(np.sum((uses == 0) & (sizes > 0)))
    num_tokens = int(uses.sum())
    counts_words = num_words > 0 and num_without_spaces <= num_letters / 2
    return Measures(
        num_documents=num_documents,
        num_bytes=num_bytes,
        num_characters=num_characters,
        num_words=num_words,
        num_tokens=num_tokens,
        bytes_per_token=_ratio(num_bytes, num_tokens),
        characters_per_token=_ratio(num_characters, num_tokens),
        fertility=_ratio(num_tokens, num_words) if counts_words else None,
        whole_character_share=_ratio(int(uses @ (sizes * whole)), num_bytes),
        partial_token_share=_ratio(int(uses @ ~whole), num_tokens),
        num_unused=unused,
        unused_share=_ratio(unused, int(np.sum(sizes > 0))),
    )


def compare(tokenizers: Mapping[str, Tokenizer], texts: Sequence[str]) -> dict[str, Measures]:
    """Measure several tokenizers on the same texts."""
    return {name: measure(tokenizer, texts) for name, tokenizer in tokenizers.items()}


def is_whole(piece: bytes) -> bool:
    """Return whether bytes are whole characters."""
    try:
        piece.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _ratio(part: float, whole: float) -> float:
    return round(part / whole, 6) if whole else 0.0
