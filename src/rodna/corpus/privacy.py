"""Personal data replaced by placeholders: email addresses, phone numbers, payment cards, bank accounts.

Only what is unmistakable is taken: cards and accounts by their check digits, phone numbers by a country's code, an area code in brackets
or a leading zero. No country is assumed. Every pattern reads a text once: quantifiers are bounded and give nothing back. A repeated group
is `(?>(?:...){1,8})`, not `(?:...){1,8}+`, which Python before 3.11.5 matches wrongly (python/cpython#106052).
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Literal, get_args

from rodna.core.errors import ConfigError

PersonalData = Literal["email", "iban", "card", "phone"]
PLACEHOLDER = "[{kind}]"

# Letters of scripts that are written without spaces, or, as Korean, with endings that stand right behind a foreign word: no part of an
# address, and what stands beside them stands alone.
_UNSPACED = (
    "\u0e00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3040-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
)
_UNSPACED += "\U00020000-\U0003ffff"
_W = rf"[^\W{_UNSPACED}]"
_WORD_CHARACTER = re.compile(_W)
_MAX_LOCAL = 64
_LOCAL = re.compile(rf"(?<!{_W})(?<![.+%-])(?>(?:{_W}|[.+%-]){{1,{_MAX_LOCAL}}})\Z")
_DOMAIN = re.compile(rf"@((?:{_W}|-){{1,63}}(?>(?:\.(?>(?:{_W}|-){{1,63}})){{1,8}}))")
# Patterns begin with a character and only then look at what was before it: the search for one character is the fastest there is.
_IBAN_START = re.compile(rf"[A-Z](?<!{_W}[A-Z])[A-Z][0-9]{{2}}(?= ?[A-Z0-9]{{4}})")
# Either no separators, or groups parted throughout by one space or hyphen.
_CARD = re.compile(
    rf"[2-6](?<!{_W}[2-6])(?<![.,+-][2-6])"
    r"(?:[0-9]{14,18}+|[0-9]{3}([ -])[0-9]{4,6}(?>(?:\1[0-9]{4,5}){1,2})(?>(?:\1[0-9]{1,3})?))"
    rf"(?!{_W}|-|[.,][0-9])"
)
_PHONES = (
    # A country's code: +375 29 123-45-67, +44 (0)20 7946 0958.
    re.compile(rf"\+(?<!{_W}\+)(?<!\+\+) ?[1-9](?>(?:[ ./-]?\(?[0-9]\)?){{6,14}})(?![0-9])"),
    # An area code in brackets: (029) 123-45-67, (212) 555-0123; not a year.
    re.compile(rf"\((?<!{_W}\()(?<![.,/(-]\()(?!19|20)[0-9]{{2,5}}\) ?[0-9]{{2,4}}(?>(?:[ -][0-9]{{2,4}}){{1,3}})(?!{_W}|[/-])"),
    # A leading zero and three groups or more: 029 123 45 67, 020-7946-0958.
    re.compile(rf"0(?<!{_W}0)(?<![.,/:+-]0)[1-9][0-9]{{1,3}}(?:([ -])[0-9]{{2,4}})(?>(?:\1[0-9]{{2,4}}){{1,3}})(?!{_W}|[/:-]|[.,][0-9])"),
)
_MIN_PHONE_DIGITS, _MAX_PHONE_DIGITS = 8, 15

_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        **{15: "NO", 16: "BE", 18: "DK FI FK FO GL NL SD", 19: "MK SI", 20: "AT BA EE KZ LT LU MN XK", 21: "CH HR LI LV"},
        **{22: "BG BH CR DE GB GE IE ME RS VA", 23: "AE GI IL IQ OM SO TL", 24: "AD CZ ES MD PK RO SA SE SK TN VG", 25: "LY PT ST"},
        **{26: "IS TR", 27: "BI DJ FR GR IT MC MR SM", 28: "AL AZ BY CY DO GT HN HU LB NI PL SV", 29: "BR EG PS QA UA"},
        **{30: "JO KW MU YE", 31: "MT SC", 32: "LC", 33: "RU"},
    }.items()
    for country in countries.split()
}
"""Length of account numbers by country. Reference: SWIFT, IBAN Registry, release 99 (2024)."""

_CARD_LENGTHS = (
    (re.compile("4"), (16, 19)),
    (re.compile("5[1-5]|222[1-9]|22[3-9]|2[3-6]|27[01]|2720"), (16,)),
    (re.compile("3[47]"), (15,)),
    (re.compile("6011|64[4-9]|65|35"), (16,)),
    (re.compile("62"), (16, 17, 18, 19)),
)
"""How numbers of Visa, Mastercard, American Express, Discover and JCB, and UnionPay begin, and their lengths (ISO/IEC 7812)."""


def redact(text: str, kinds: Iterable[str], *, placeholder: str = PLACEHOLDER) -> tuple[str, Mapping[str, int]]:
    """Replace personal data.

    Args:
        text: any text.
        kinds: some of `email`, `iban`, `card`, `phone`.
        placeholder: what to write instead; `{kind}` in it becomes the kind.

    Returns:
        The text, and kind -> how many were replaced.

    Raises:
        ConfigError: an unknown kind.
    """
    wanted = set(kinds)
    unknown = sorted(wanted - set(get_args(PersonalData)))
    if unknown:
        raise ConfigError(
            f"unknown kind of personal data: {unknown[0]!r}",
            where="corpus.privacy.remove",
            fix=f"use some of: {', '.join(get_args(PersonalData))}",
        )
    counts: dict[str, int] = {}
    # Accounts before cards before phones: the longer number is the surer one.
    for kind, replace in _REPLACE.items():
        if kind in wanted:
            text, number = replace(text, placeholder.replace("{kind}", kind))
            if number:
                counts[kind] = number
    return text, counts


def _replace_emails(text: str, placeholder: str) -> tuple[str, int]:
    parts: list[str] = []
    end = 0
    for match in _DOMAIN.finditer(text):
        local = _LOCAL.search(text, max(end, match.start() - _MAX_LOCAL - 1), match.start())
        if local and _is_domain(match[1]):
            parts += [text[end : local.start()], placeholder]
            end = match.end()
    return ("".join([*parts, text[end:]]), len(parts) // 2) if parts else (text, 0)


def _is_domain(name: str) -> bool:
    last = name.rpartition(".")[2]
    return len(last) >= 2 and not any(character.isdigit() for character in last) and "_" not in name


def _replace_ibans(text: str, placeholder: str) -> tuple[str, int]:
    parts: list[str] = []
    end = 0
    for match in _IBAN_START.finditer(text):
        if match.start() < end:
            continue
        found = _end_of_iban(text, match.start())
        if found:
            parts += [text[end : match.start()], placeholder]
            end = found
    return ("".join([*parts, text[end:]]), len(parts) // 2) if parts else (text, 0)


def _end_of_iban(text: str, start: int) -> int:
    """Return where the account number that begins at `start` ends, 0 where there is none."""
    length = _IBAN_LENGTHS.get(text[start : start + 2], 0)
    digits, position = "", start
    while len(digits) < length and position < len(text):
        if text[position] == " " and len(digits) % 4 == 0 and text[position - 1] != " ":
            position += 1
            continue
        character = text[position]
        if not (character.isascii() and (character.isdigit() or character.isupper())):
            return 0
        digits, position = digits + character, position + 1
    if not length or len(digits) < length or _WORD_CHARACTER.match(text, position):
        return 0
    return position if int("".join(str(int(character, 36)) for character in digits[4:] + digits[:4])) % 97 == 1 else 0


def _replace_cards(text: str, placeholder: str) -> tuple[str, int]:
    return _substitute(_CARD, text, placeholder, lambda match: _is_card(_digits(match[0])))


def _is_card(digits: str) -> bool:
    fits = any(pattern.match(digits) and len(digits) in lengths for pattern, lengths in _CARD_LENGTHS)
    return fits and len(set(digits)) > 1 and _luhn(digits)


def _luhn(digits: str) -> bool:
    doubled = (sum(divmod(int(digit) * 2, 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def _replace_phones(text: str, placeholder: str) -> tuple[str, int]:
    total = 0
    for pattern in _PHONES:
        text, number = _substitute(pattern, text, placeholder, lambda match: _is_phone(match[0]))
        total += number
    return text, total


def _is_phone(written: str) -> bool:
    digits = _digits(written)
    # A round number is a quantity: +100 000 000.
    return (
        _MIN_PHONE_DIGITS <= len(digits) <= _MAX_PHONE_DIGITS and written.count("(") == written.count(")") and not digits.endswith("00000")
    )


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def _substitute(pattern: re.Pattern[str], text: str, placeholder: str, holds: Callable[[re.Match[str]], bool]) -> tuple[str, int]:
    number = 0

    def replace(match: re.Match[str]) -> str:
        nonlocal number
        if not holds(match):
            return match[0]
        number += 1
        return placeholder

    return pattern.sub(replace, text), number


_REPLACE: dict[str, Callable[[str, str], tuple[str, int]]] = {
    "email": _replace_emails,
    "iban": _replace_ibans,
    "card": _replace_cards,
    "phone": _replace_phones,
}
