"""Masks as a language model can write them: our private characters mean nothing to it, `[0]` it copies."""

import re

from rodna.benchmark.translators.contract import FIRST_MASK, is_mask

STYLES = ("[{}]", "⟦{}⟧", "<{}>", "#{}#", "({}#)")


def write_masks(text: str) -> tuple[str, str]:
    """Return a text whose masks are written in a style that it does not use for anything else, and that style; "" without masks."""
    if not any(map(is_mask, text)):
        return text, ""
    style = next((style for style in STYLES if read_masks(text, style) == text), STYLES[0])
    return "".join(style.format(ord(character) - FIRST_MASK) if is_mask(character) else character for character in text), style


def read_masks(text: str, style: str) -> str:
    """Return a translation with its masks as private characters again."""
    if not style:
        return text
    before, after = (re.escape(part) for part in style.split("{}"))
    return re.sub(rf"{before}\s*(\d{{1,4}})\s*{after}", lambda found: chr(FIRST_MASK + int(found[1])) if int(found[1]) < 6400 else "", text)
