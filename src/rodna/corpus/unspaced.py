"""Scripts written without spaces between words: one list for all that would otherwise look for words there."""

import regex

UNSPACED = r"\p{Han}\p{Hiragana}\p{Katakana}ー\p{Bopomofo}\p{Yi}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}"
"""Inside a character class of the package `regex`."""
UNSPACED_LETTER = regex.compile(f"[{UNSPACED}]")
