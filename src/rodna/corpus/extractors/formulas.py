"""TeX formulas as plain text, where they are simple enough to be read so."""

import re
import unicodedata

MAX_CHARACTERS = 60
"""Longer formulas are displays that no sentence needs."""
_COMMAND = re.compile(r"\\([A-Za-z]+|.)\s*")
_FRACTION = re.compile(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_GROUP = re.compile(r"\{([^{}]*)\}")
_NAMES = {
    "times": "×", "cdot": "·", "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "approx": "≈", "pm": "±",
    "infty": "∞", "to": "→", "rightarrow": "→", "in": "∈", "subset": "⊂", "cup": "∪", "cap": "∩", "sum": "∑", "int": "∫", "prod": "∏",
    "partial": "∂", "nabla": "∇", "forall": "∀", "exists": "∃", "ldots": "…", "dots": "…", "cdots": "…", "circ": "°", "degree": "°",
    "equiv": "≡", "sim": "~", "sqrt": "√", "hbar": "ħ", "ell": "ℓ", "div": "÷", "emptyset": "∅", "Leftrightarrow": "⇔", "Rightarrow": "⇒",
}  # fmt: skip
_SILENT = frozenset(
    """displaystyle textstyle left right mathrm mathbf mathit mathcal mathbb mathsf text textrm textbf operatorname big Big bigg Bigg
    limits quad qquad scriptstyle rm bf it vec hat bar tilde dot overline underline boldsymbol mbox""".split()  # noqa: SIM905
)


def plain_formula(tex: str) -> str:
    r"""Return a short formula as it would be typed (`E = mc^2`, `α ≤ 1/2`), "" for one that needs two dimensions."""
    text = tex.strip()
    if len(text) > 4 * MAX_CHARACTERS or "\\begin" in text or "&" in text:
        return ""
    text = _FRACTION.sub(r"\1/\2", text)
    text = _COMMAND.sub(lambda match: _command(match[1]), text)
    text = re.sub(r"([_^])\{([^{}]{1,2})\}", r"\1\2", text)
    for _ in range(3):
        text = _GROUP.sub(r"\1", text)
    text = " ".join(text.split())
    return "" if len(text) > MAX_CHARACTERS or any(mark in text for mark in "\\{}") else text


def _command(name: str) -> str:
    if name in _NAMES:
        return f" {_NAMES[name]} " if name != "sqrt" else "√"
    if name in _SILENT:
        return ""
    if not name.isalpha():
        return " " if name in ",;:! " else name if name in "%$#_" else "\\"
    kind = "CAPITAL" if name[0].isupper() else "SMALL"
    try:
        return unicodedata.lookup(f"GREEK {kind} LETTER {name.removeprefix('var').upper().replace('LAMBDA', 'LAMDA')}")
    except KeyError:
        return f" {name} " if len(name) <= 4 else "\\"
