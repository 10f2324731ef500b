"""Line re-flow of books."""


def reflow(text: str, *, wrapped: bool = False) -> str:
    """Return the text with lines that were broken to fit a page rejoined."""
    return text
