"""Small ways to write numbers for people."""

_PREFIXES = ("", "k", "M", "G", "T", "P", "E")


def human_bytes(size_bytes: float) -> str:
    """Return a size in decimal units: 3200000 -> '3.2 MB'."""
    value, prefix = _scale(size_bytes)
    return f"{value:.0f} B" if not prefix else f"{value:.3g} {prefix}B"


def human_count(number: float) -> str:
    """Return a count in decimal units: 10900000 -> '10.9M'."""
    value, prefix = _scale(number)
    return f"{value:.0f}" if not prefix else f"{value:.3g}{prefix}"


def human_seconds(seconds: float) -> str:
    """Return a duration in its two largest units: 4000 -> '1 h 7 min'."""
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.5:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _scale(value: float) -> tuple[float, str]:
    index = 0
    while abs(value) >= 999.5 and index < len(_PREFIXES) - 1:
        value, index = value / 1000, index + 1
    return value, _PREFIXES[index]
