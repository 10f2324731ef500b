"""How text of a language is marked up: its tag, its direction, its script."""

from dataclasses import dataclass

import langcodes

RIGHT_TO_LEFT = frozenset({
    "Adlm", "Arab", "Aran", "Armi", "Avst", "Chrs", "Cprt", "Elym", "Hatr", "Hebr", "Hung", "Khar", "Lydi", "Mand", "Mani", "Mend", "Merc",
    "Mero", "Narb", "Nbat", "Nkoo", "Orkh", "Ougr", "Palm", "Perm", "Phli", "Phlp", "Phnx", "Prti", "Rohg", "Samr", "Sarb", "Sogd", "Sogo",
    "Syrc", "Thaa", "Yezi",
})  # fmt: skip
"""ISO 15924 codes of the scripts that run from right to left. Reference: Unicode 16, Bidi_Class of their letters."""


@dataclass(frozen=True)
class TextMarkup:
    """HTML attributes of text in one language.

    Attributes:
        lang: the BCP-47 tag.
        dir: "ltr" or "rtl"; "auto" where the script is unknown, so that the browser looks at the text itself.
        script: ISO 15924 code, "Zyyy" where unknown; the style sheet sets line height and fonts by it.
    """

    lang: str
    dir: str
    script: str


def markup_of(language: str) -> TextMarkup:
    """Return the attributes for text in `language`, a BCP-47 tag; the likely script is the one Unicode gives for that language."""
    try:
        tag = langcodes.get(language)
        likely = tag.maximize()
    except (ValueError, LookupError):
        return TextMarkup(language, "auto", "Zyyy")
    # A language that Unicode does not know gets the likely subtags of English: then only a script in the tag itself counts.
    unknown = likely.territory == "US" and tag.language != "en"
    script = tag.script or (None if unknown else likely.script) or "Zyyy"
    if script == "Zyyy":
        return TextMarkup(language, "auto", script)
    return TextMarkup(language, "rtl" if script in RIGHT_TO_LEFT else "ltr", script)
