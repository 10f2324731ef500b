"""Language tags: which language, script and direction a BCP-47 tag names."""

from dataclasses import dataclass
from functools import cache

from rodna.core.errors import ConfigError

RIGHT_TO_LEFT = frozenset(
    """
    Adlm Arab Aran Armi Avst Chrs Cprt Elym Hatr Hebr Hung Lydi Mand Mani Mend Merc Mero Narb Nbat Nkoo Orkh Ougr Palm Phli Phlp
    Phnx Prti Rohg Samr Sarb Sogd Sogo Syrc Thaa Todr Yezi
    """.split()  # noqa: SIM905 - as in the standard
)
"""ISO 15924 codes of scripts written from right to left (Unicode 16, property Bidi_Class R or AL)."""

FORMS_OF_SCRIPTS = {
    "Hans": ("Hani",),
    "Hant": ("Hani",),
    "Jpan": ("Hani", "Hira", "Kana"),
    "Kore": ("Hang", "Hani"),
    "Hrkt": ("Hira", "Kana"),
    "Aran": ("Arab",),
    "Hanb": ("Hani", "Bopo"),
    "Cyrs": ("Cyrl",),
    "Latf": ("Latn",),
    "Latg": ("Latn",),
}
"""Scripts of language tags that Unicode writes with the characters of other scripts."""


@dataclass(frozen=True)
class LanguageTag:
    """What a BCP-47 tag says.

    `tag` is the standard form; `script` the ISO 15924 code, "Zzzz" where it is unknown; `direction` "ltr" or "rtl".
    """

    tag: str
    script: str
    direction: str

    @property
    def name(self) -> str:
        """The language's English name from the IANA registry, the tag where it has none."""
        return _english_names().get(self.tag.split("-")[0], self.tag)

    @property
    def unicode_scripts(self) -> tuple[str, ...]:
        """The scripts of the characters this language is written with."""
        return FORMS_OF_SCRIPTS.get(self.script, (self.script,))


def parse_language(tag: str) -> LanguageTag:
    """Check a BCP-47 tag.

    Raises:
        ConfigError: it is not a valid tag; the message names close ones.
    """
    import langcodes

    cleaned = tag.strip().replace("_", "-")
    try:
        valid = bool(cleaned) and langcodes.tag_is_valid(cleaned)
        parsed = langcodes.Language.get(cleaned) if valid else None
    except ValueError:
        parsed = None
    if parsed is None or not parsed.language or parsed.language in ("und", "mul", "zxx"):
        raise _unknown(tag)
    script = parsed.script or parsed.maximize().script or "Zzzz"
    return LanguageTag(tag=parsed.to_tag(), script=script, direction="rtl" if script in RIGHT_TO_LEFT else "ltr")


def _unknown(tag: str) -> ConfigError:
    close = suggestions(tag)
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    return ConfigError(
        f"unknown language tag: {tag!r}",
        where="language",
        fix=f"{hint}use a BCP-47 tag: the ISO 639 code (be, yue, quz), with a script where there are several (ckb-Arab)",
    )


def suggestions(tag: str) -> list[str]:
    """Return up to three valid tags close to what was typed, best first; a language's English name is understood too."""
    import difflib

    wanted = tag.strip().casefold()
    names = _english_names()
    by_name = {name.casefold(): code for code, name in names.items()}
    found = [by_name[close] for close in difflib.get_close_matches(wanted, by_name, n=3, cutoff=0.75)]
    primary = wanted.replace("_", "-").split("-")[0]
    if len(primary) in (2, 3) or not found:
        found += [close for close in difflib.get_close_matches(primary, names, n=3, cutoff=0.6) if close not in found]
    return [f"{code} ({names[code]})" for code in found[:3]]


@cache
def _english_names() -> dict[str, str]:
    """Return ISO 639 code -> English name, from the IANA registry that langcodes carries."""
    from importlib.resources import files

    registry = files("langcodes").joinpath("data/language-subtag-registry.txt").read_text(encoding="utf-8")
    names: dict[str, str] = {}
    for entry in registry.split("%%"):
        fields: dict[str, str] = {}
        for line in entry.splitlines():
            key, colon, value = line.partition(": ")
            if colon and key not in fields:
                fields[key] = value.strip()
        if fields.get("Type") == "language" and ".." not in fields.get("Subtag", "..") and "Deprecated" not in fields:
            names[fields["Subtag"]] = fields["Description"]
    return names
