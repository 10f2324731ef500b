"""What an XHTML page declares for itself before it begins: HTML's parsers know nothing of it, and take it for text."""

import re

_DOCTYPE = re.compile(r"<!DOCTYPE[^>\[]{0,1000}\[", re.IGNORECASE)
_END = re.compile(r"\]\s{0,100}>")
_ENTITY = re.compile(r"<!ENTITY\s+([\w.-]+)\s+([\"'])([^<\"']*)\2\s*>")
_REFERENCE = re.compile(r"&([\w.-]+);")
_WHERE = 4096
_MAX_VALUE_CHARACTERS = 64
"""Longer values, and those made of others, are the stuff of bombs; what declares a letter or a name is short."""


def without_declarations(markup: str) -> str:
    """Return a page without the declarations inside its document type; the entities declared there stand resolved, or are left out."""
    start = _DOCTYPE.search(markup, 0, _WHERE)
    end = _END.search(markup, start.end()) if start else None
    if start is None or end is None:
        return markup
    values = {name: value for name, _, value in _ENTITY.findall(markup[start.end() : end.start()])}
    page = markup[: start.start()] + markup[end.end() :]
    return _REFERENCE.sub(lambda match: _resolved(values[match[1]]) if match[1] in values else match[0], page) if values else page


def _resolved(value: str) -> str:
    is_plain = len(value) <= _MAX_VALUE_CHARACTERS and all(name[0] == "#" for name in re.findall(r"&([^;]*);?", value) if name)
    return value if is_plain else ""
