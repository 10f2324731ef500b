"""Personal data goes, and nothing that only looks like it."""

import time
from pathlib import Path

import pytest

from rodna.core.errors import ConfigError
from rodna.corpus.privacy import redact

ALL = ("email", "phone", "card", "iban")


@pytest.mark.parametrize(
    ("text", "kind", "expected"),
    [
        ("пішы на anna.b-c+x@mail.example.by.", "email", "пішы на [email]."),
        ("<hart@pobox.com>", "email", "<[email]>"),
        ("地址jo@samaritans.org，或者", "email", "地址[email]，或者"),
        ("请写信到abc@example.com谢谢您的来信。", "email", "请写信到[email]谢谢您的来信。"),
        ("아래 abc@example.com으로 보내요", "email", "아래 [email]으로 보내요"),
        ("เขียนถึงabc@example.co.thนะ", "email", "เขียนถึง[email]นะ"),
        ("пошта@пример.рф", "email", "[email]"),
        ("电话+8613800138000请打", "phone", "电话[phone]请打"),
        ("电话020-7946-0958请打", "phone", "电话[phone]请打"),
        ("电话(029) 123-45-67请打", "phone", "电话[phone]请打"),
        ("卡号4111111111111111请付", "card", "卡号[card]请付"),
        ("账号GB82WEST12345698765432请汇", "iban", "账号[iban]请汇"),
        ("па нумары +375 29 123-45-67.", "phone", "па нумары [phone]."),
        ("+44 (0)20 7946 0958", "phone", "[phone]"),
        ("(212) 555-0123", "phone", "[phone]"),
        ("(029) 123-45-67,", "phone", "[phone],"),
        ("tel. 0800 555 111 dabar", "phone", "tel. [phone] dabar"),
        ("card 4111 1111 1111 1111.", "card", "card [card]."),
        ("378282246310005", "card", "[card]"),
        ("5555-5555-5555-4444", "card", "[card]"),
        ("IBAN GB82 WEST 1234 5698 7654 32", "iban", "IBAN [iban]"),
        ("LT121000011101001000 sąskaita", "iban", "[iban] sąskaita"),
        ("BY13NBRB3600900000002Z00AB00.", "iban", "[iban]."),
        ("UA213223130000026007233566001", "iban", "[iban]"),
        ("SE45 5000 0000 0583 9825 7466", "iban", "[iban]"),
    ],
)
def test_personal_data_is_replaced_and_counted(text: str, kind: str, expected: str):
    assert redact(text, ALL) == (expected, {kind: 1})


@pytest.mark.parametrize(
    "text",
    [
        "Ян 3:16, Мц 5:1-12; 1 Кар. 13:4-8",
        "ISBN 978-3-16-148410-0 і ISBN 0-306-40615-2, ISSN 0317-8471",
        "з 01.02.2003 да 2004-05-06, 12-05-1999 12:30:45",
        "у 1918-1920 гадах (1990) 123-456",
        "коштуе 1 234 567,89 рублёў, 100 000 000 чалавек, +100 000 000",
        "версія 1.2.3.4, 10.0.19045, 2.6.32-431",
        "4111 1111 1111 1112",
        "1234567890123456 і 0000 0000 0000 0000",
        "GB82 WEST 1234 5698 7654 33",
        "a@b, @home, user@1.2.3 i 5 @ 3",
        "рахунак 3:2, 21-17, 25-23 (15-10)",
        "ст. 12 (3) 4-5, (12) 34-56",
        "52.2297, 21.0122; -0.1276",
        "+ 3 = 5 і C++",
        "2019-12-31 23:59:59",
    ],
)
def test_what_only_looks_like_personal_data_stays(text: str):
    assert redact(text, ALL) == (text, {})


def test_only_the_kinds_asked_for_are_replaced():
    text = "anna@example.by, +375 29 123-45-67"

    assert redact(text, ["phone"]) == ("anna@example.by, [phone]", {"phone": 1})
    assert redact(text, []) == (text, {})


def test_the_placeholder_is_the_users():
    assert redact("anna@example.by", ["email"], placeholder="<{kind}>")[0] == "<email>"
    assert redact("anna@example.by", ["email"], placeholder=r"\1{}")[0] == r"\1{}"


def test_replacing_twice_changes_nothing_more():
    once, _ = redact("anna@example.by +375291234567 4111111111111111 LT121000011101001000", ALL)

    assert once == "[email] [phone] [card] [iban]"
    assert redact(once, ALL) == (once, {})


def test_an_unknown_kind_is_an_error_that_names_the_known():
    with pytest.raises(ConfigError, match=r"unknown kind of personal data: 'name'[\s\S]*email"):
        redact("a", ["name"])


@pytest.mark.parametrize("piece", ["a.", "a@", "a@b.", "+1", "1 ", "(", "(12) 12-", "0123 ", "AB12", "AB12 ", "4", "4000 ", "4-", "a-"])
def test_time_grows_with_length_whatever_the_text(piece: str):
    started = time.perf_counter()
    redact(piece * (600_000 // len(piece)), ALL)

    # A tenth of this on an idle core; a pattern that tries again from every place would take minutes.
    assert time.perf_counter() - started < 5


def test_real_text_loses_nothing_that_is_not_personal(shared_data: Path):
    found: dict[str, int] = {}
    for path in sorted((shared_data / "corpora").glob("*/*.txt")):
        for kind, number in redact(path.read_bytes().decode("utf-8", "replace"), ALL)[1].items():
            found[kind] = found.get(kind, 0) + number

    # Three addresses of Project Gutenberg, in 33 MB.
    assert found == {"email": 3}
