"""What identifiers' labels mean: which language a label names, and which languages share a macrolanguage with it."""

from functools import cache

from rodna.core.errors import ConfigError
from rodna.corpus.language import LanguageTag, parse_language


def means(label: str, tag: LanguageTag) -> bool:
    """Return whether an identifier's label names a language: the same ISO 639 code, in two or three letters, with or without a script.

    Identifiers write codes by several standards: `lt`, `lit`, `lit_Latn`.
    """
    code, _, script = label.replace("_", "-").partition("-")
    return _alpha3(code) == _alpha3(tag.tag.split("-")[0]) and (len(script) != 4 or script == tag.script)


def means_relative(label: str, tag: LanguageTag) -> bool:
    """Return whether a label names a language, its macrolanguage, or another member of that (ISO 639-3, from the IANA registry).

    Identifiers know many a language only as its macrolanguage (`qu` for `quz`), and tell members of one badly (`zh` for formal `yue`).
    """
    code, own = label.replace("_", "-").split("-")[0], tag.tag.split("-")[0]
    return means(label, tag) or _family(_standard(code)) == _family(_standard(own))


def name_of(label: str) -> str:
    """Return a label's English name; the label itself where it is no language code."""
    try:
        return parse_language(label).name
    except ConfigError:
        return label


def _family(code: str) -> str:
    return _macrolanguages().get(code, code)


@cache
def _standard(code: str) -> str:
    import langcodes

    try:
        return langcodes.Language.get(code).language or code
    except (LookupError, ValueError):
        return code


@cache
def _alpha3(code: str) -> str:
    import langcodes

    try:
        return langcodes.Language.get(code).to_alpha3()
    except (LookupError, ValueError):
        return code


@cache
def _macrolanguages() -> dict[str, str]:
    """Return ISO 639 code -> its macrolanguage's, from the IANA registry that langcodes carries."""
    from importlib.resources import files

    registry = files("langcodes").joinpath("data/language-subtag-registry.txt").read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for entry in registry.split("%%"):
        fields = {line.partition(": ")[0]: line.partition(": ")[2] for line in entry.splitlines() if ": " in line}
        if fields.get("Type") == "language" and "Macrolanguage" in fields:
            found[fields["Subtag"]] = fields["Macrolanguage"]
    return found
