r"""Split patterns: the text is cut into pieces first, and no token ever crosses a cut.

Both patterns keep combining marks (`\p{M}`) with the letters before them: without that, a Hindi word breaks in four. In scripts written
without spaces a whole stretch of letters between punctuation is one piece, and the algorithm finds the words in it.

They differ in what llama.cpp makes of them, which decides whether a GGUF export can be exact. llama.cpp knows o200k's as "gpt-4o", but
rewrites it as `((?=[\p{L}])([^a-z]))*((?=[\p{L}])([^A-Z]))+`: a mark is no longer part of a word, and only ASCII letters have case.
So Devanagari, vocalised Arabic and Hebrew, NFD text and mixed-case Cyrillic are cut otherwise than here. Qwen 3.5's ("qwen35") it takes
as it is. Hence the default.
"""

import json
from collections.abc import Mapping
from typing import Any

from rodna.tokenizer.config import SplitPattern

_ENGLISH_ENDINGS = "'s|'t|'re|'ve|'m|'ll|'d"
_O200K_UPPER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]"
_O200K_LOWER = r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"

# The short endings are part of the published patterns: dropping them would make them patterns that no other program knows.
PATTERNS: Mapping[SplitPattern, str] = {
    "qwen35": rf"(?i:{_ENGLISH_ENDINGS})|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}"
    r"| ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    "o200k": rf"[^\r\n\p{{L}}\p{{N}}]?{_O200K_UPPER}*{_O200K_LOWER}+(?i:{_ENGLISH_ENDINGS})?"
    rf"|[^\r\n\p{{L}}\p{{N}}]?{_O200K_UPPER}+{_O200K_LOWER}*(?i:{_ENGLISH_ENDINGS})?"
    r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+",
}

LLAMA_CPP_NAMES: Mapping[SplitPattern, str] = {"qwen35": "qwen35"}
"""What llama.cpp calls the patterns that it follows exactly (`tokenizer.ggml.pre`)."""


def byte_alphabet() -> dict[str, int]:
    """Return the printable character that stands for each byte in byte-level vocabularies, with its byte.

    Reference: Radford et al. 2019 (GPT-2), `bytes_to_unicode` of its code; bytes that print stand for themselves.
    """
    printing = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    alphabet = {chr(byte): byte for byte in printing}
    others = [byte for byte in range(256) if byte not in set(printing)]
    alphabet.update({chr(256 + index): byte for index, byte in enumerate(others)})
    return alphabet


def split_pattern_of(tokenizer_json: str) -> SplitPattern | None:
    """Return which of our patterns a `tokenizer.json` splits with; None where it is another or none."""
    settings: Any = json.loads(tokenizer_json).get("pre_tokenizer") or {}
    for part in settings.get("pretokenizers", [settings]):
        text = (part.get("pattern") or {}).get("Regex")
        for name, pattern in PATTERNS.items():
            if text == pattern:
                return name
    return None
