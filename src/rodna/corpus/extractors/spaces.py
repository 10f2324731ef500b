"""White space that a format's layout brings with it."""

_IDEOGRAPHIC = "\u3000"


def squeezed(text: str) -> str:
    """Return a text on one line, runs of white space as one space; the ideographic space, which is written on purpose, stays within."""
    if _IDEOGRAPHIC not in text:
        return " ".join(text.split())
    return _IDEOGRAPHIC.join([" ".join(part.split()) for part in text.split(_IDEOGRAPHIC)]).strip(_IDEOGRAPHIC)
