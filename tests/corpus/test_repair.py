import json
from collections.abc import Mapping

import pytest
import regex

from rodna.corpus.config import NormalizeConfig
from rodna.corpus.confusables import suspects
from rodna.corpus.language import parse_language
from rodna.corpus.normalize import normalize
from rodna.corpus.repair import MAX_WORDS, Evidence, Repairs, fit_repairs, repair

BELARUSIAN = [
    "І сказаў ён: ідзі і глядзі. І яны пайшлі, і ён сказаў ім, што іх чакае. Яго сям’я была там.",
    "У мяне ёсць сын, а ў яго дачка і сябры. Усе яны жывуць у Мінску. Гэта наша мова, і мы яе любім.",
    "Рэспубліка мае законы і іншыя дакументы. Рэгістрацыя арганізацый ідзе далей. Камісія працуе, і СМІ пра гэта пішуць. СМІ ведаюць.",
    "Мікалай прыйшоў, і ўсе ўсталі. Хата стаіць на гары. Сам ён п’е ваду, а не піва. Аб’ява вісіць тут.",
]


def fitted(texts: list[str], language: str, **switches: bool) -> Repairs:
    evidence = Evidence()
    for text in texts:
        evidence.add(text, "source")
    return fit_repairs(evidence, parse_language(language), NormalizeConfig(**switches))


def repaired(text: str, language: str = "be", known: list[str] = BELARUSIAN) -> str:
    return repair(text, fitted([*known * 4, text], language))[0]


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("Рэгiстрацыя iншых арганiзацый", "Рэгістрацыя іншых арганізацый"),
        ("I сказаў ён, i пайшоў. I яны", "І сказаў ён, і пайшоў. І яны"),
        ("Пайшоў y Мінск", "Пайшоў у Мінск"),
        ("Cам ён тут", "Сам ён тут"),
        ("Яго сын Хрыстуc", "Яго сын Хрыстус"),
        ("КАМIСIЯ працуе", "КАМІСІЯ працуе"),
        ("Чытаем СМI пра гэта", "Чытаем СМІ пра гэта"),
        ("яго кнíга тут", "яго кні\u0301га тут"),
    ],
)
def test_latin_look_alikes_in_belarusian_become_cyrillic(wrong, right):
    assert repaired(wrong) == right


@pytest.mark.parametrize(
    "text",
    [
        "Мікалай I прыйшоў у XIX і XX стагоддзі",
        "Ён любіць Beatles і Windows XP, а яна i phone",
        "Гэта ITшнік і SMSка",
        "Глядзі https://example.by/Iдзi і mail@прыклад.by",
        "A. Сямёнаў і B. Янаў",
        "Вітамін C і X-прамяні, клас A",
        "T34 і H2О",
        "Jа nie viedaju i nie chaču",
        "try: x = c",
        "запраўдыv кажу вам",
        "1) лік x роўны 5",
    ],
)
def test_foreign_words_numerals_code_and_deliberate_mixtures_stay(text):
    assert repaired(text) == text


def test_a_cyrillic_letter_in_a_latin_text_becomes_latin():
    known = ["Kalba yra graži ir sena. Knyga guli ant stalo, o aš sėdžiu ir skaitau. Paukštis skrenda.", "Pasakyk, kur yra mano knyga."]
    assert repaired("Knygа guli ant stаlo, о aš sėdžiu", "lt", known) == "Knyga guli ant stalo, o aš sėdžiu"


def test_a_greek_letter_becomes_the_african_one_where_the_corpus_has_that():
    known = ["Ewegbe nye gbe si wodona le Ghana kple Togo. Ɖevi la ɖu nu hɛ heyi sukuu kple xɔlɔ̃wo, eye wòvɛ."] * 2
    assert repaired("wòvε eye", "ee", known) == "wòvɛ eye"
    habit = ["Ewegbe nye gbe si wodona, wòvε eye hε heyi kple nε sia."] * 2
    assert repaired("wòvε eye", "ee", habit) == "wòvε eye"


def test_the_palochka_is_restored_where_the_corpus_writes_it_mostly():
    known = ["ХӀинца хӀара хӀума дика ю. ЦӀа а дика ду, цӀе а ю. КӀант ву хӀокху чохь."]
    assert repaired("хIинца цIа", "ce", known) == "хӀинца цӀа"


def test_a_greek_text_keeps_its_accents():
    known = ["Ο λόγος ήταν καλός και η γλώσσα ωραία. Τα παιδιά ακούνε την ιστορία, και ο δάσκαλος μιλά."]
    assert repaired("ο λόγoς και η ιστoρíα", "el", known) == "ο λόγος και η ιστορία"


def test_one_apostrophe_is_written_in_the_whole_corpus():
    texts = ["п’ю аб’ява сям’я надвор’е"] * 20 + ["п'ю аб'ява"] * 5 + ["зʼява"]
    repairs = fitted(texts, "be")
    assert repair("сям'я зʼява в`ю 'п'яны' — 'так'", repairs) == ("сям’я з’ява в’ю 'п’яны' — 'так'", {"apostrophes": 4})
    assert any("the apostrophe is ’" in note for note in repairs.notes)


def test_without_an_apostrophe_that_most_words_have_nothing_is_changed():
    texts = ["п’ю"] * 10 + ["п'ю"] * 10 + ["пʼю"] * 10
    repairs = fitted(texts, "be")
    assert repair("п'ю", repairs) == ("п'ю", {})
    assert any("all stay" in note for note in repairs.notes)


def test_a_few_apostrophes_decide_nothing():
    assert repair("don't", fitted(["it’s"] * 5, "en"))[0] == "don't"


def test_the_okina_is_a_letter_and_stays():
    texts = ["ʻO Hawaiʻi ka ʻāina o ka ʻohana, a me ka ʻōlelo."] * 20 + ["Hawai'i"] * 60
    repairs = fitted(texts, "haw")
    assert repair("ʻO Hawaiʻi Hawai'i", repairs)[0] == "ʻO Hawaiʻi Hawai'i"
    assert repairs.kept == "ʻ"
    assert any("letters of the language" in note for note in repairs.notes)


def test_two_signs_that_stand_after_different_letters_are_kept_apart():
    texts = ["oʻzbek gʻoya oʻgʻil boʻlim"] * 30 + ["sanʼat maʼno sanʼat maʼno"] * 15
    text = "O'zbek sanʼat maʼno oʻzbek, san'at"
    assert repair(text, fitted(texts, "uz"))[0] == "Oʻzbek sanʼat maʼno oʻzbek, sanʼat"


def test_ejectives_keep_their_letter_beside_an_ordinary_apostrophe():
    texts = ["tʼaa kʼad yáʼátʼééh hastʼą́ tʼáá hódíkʼáát kʼos"] * 20
    assert repair("kʼad yáʼátʼééh", fitted(texts, "nv"))[0] == "kʼad yáʼátʼééh"


def test_a_source_that_types_otherwise_does_not_make_its_names_an_exception():
    evidence = Evidence()
    for _ in range(60):
        evidence.add("n’umuntu y’igihugu w’inka", "books")
    for _ in range(30):
        evidence.add("n'umuntu O'Brien y'igihugu", "chat")
    repairs = fit_repairs(evidence, parse_language("rw"), NormalizeConfig())
    assert repair("O'Brien n'umuntu", repairs)[0] == "O’Brien n’umuntu"


def test_quotation_marks_between_chinese_characters_are_no_apostrophes():
    texts = ["it's don't"] * 30 + ["佢話’好’呀"] * 50
    assert repair("佢話’好’呀 it’s", fitted(texts, "yue"))[0] == "佢話’好’呀 it's"


def test_both_repairs_can_be_switched_off():
    texts = [*BELARUSIAN * 10, "рэгiстрацыя п'ю"]
    off = fitted(texts, "be", apostrophes=False, homoglyphs=False)
    assert repair("рэгiстрацыя п'ю", off) == ("рэгiстрацыя п'ю", {})
    assert repair("рэгiстрацыя п'ю", fitted(texts, "be", apostrophes=False))[0] == "рэгістрацыя п'ю"
    assert repair("рэгiстрацыя п'ю", fitted(texts, "be", homoglyphs=False))[0] == "рэгiстрацыя п’ю"


def test_evidence_merged_from_shards_decides_as_evidence_of_the_whole():
    texts = [*BELARUSIAN * 5, "рэгiстрацыя i iншыя п'ю"]
    whole, first, second = Evidence(), Evidence(), Evidence()
    for number, text in enumerate(texts):
        whole.add(text, "s")
        (first, second)[number % 2].add(text, "s")
    merged = Evidence.from_json(json.loads(json.dumps(first.as_json())))
    merged.merge(Evidence.from_json(json.loads(json.dumps(second.as_json()))))
    assert merged.as_json() == whole.as_json()
    tag = parse_language("be")
    repairs = fit_repairs(merged, tag, NormalizeConfig())
    assert repairs == fit_repairs(whole, tag, NormalizeConfig())
    assert Repairs.from_json(json.loads(json.dumps(repairs.as_json()))) == repairs


def test_evidence_stays_small_however_many_words_there_are():
    evidence = Evidence()
    for start in range(0, 3 * MAX_WORDS, 1000):
        evidence.add(
            " ".join(f"{'абвгдежзік'[n % 10]}{''.join('абвгдежзік'[int(d)] for d in str(n))}" for n in range(start, start + 1000)), "s"
        )
    assert len(evidence.as_json()["words"]) == MAX_WORDS
    assert len(json.dumps(evidence.as_json(), ensure_ascii=False)) < 1_000_000


def test_a_text_in_one_script_has_no_suspects():
    assert not list(suspects("Just English, I am sure, and a café"))
    assert not list(suspects("Толькі па-беларуску, і ўсё"))
    assert not list(suspects("你老公有冇平機票啊 Tony 幾多歲"))


def counts_of(text: str) -> Mapping[str, int]:
    words = regex.findall(r"[\p{L}\p{M}]+", text)
    return {
        "single": sum(word in ("I", "i") for word in words),
        "mixed": sum(bool(regex.search(r"\p{Latin}", word) and regex.search(r"\p{Cyrillic}", word)) for word in words),
    }


@pytest.fixture(scope="module")
def belarusian(shared_data):
    files = sorted((shared_data / "corpora" / "be").glob("*.txt"))
    texts = {file.stem: normalize(file.read_text(), NormalizeConfig()).text for file in files}
    repairs = fitted(list(texts.values()), "be")
    return texts, {name: repair(text, repairs)[0] for name, text in texts.items()}


def test_the_belarusian_corpus_known_slips_are_repaired(belarusian):
    before, after = belarusian
    assert counts_of(before["bible_maley_pd"])["single"] == 1656
    assert counts_of(before["ud_train_old"])["mixed"] == 157
    # A numbered line ("I. гэтакіх"), and the conjunction of a sentence that is in Latin letters.
    left = {name: counts_of(text)["single"] for name, text in after.items()}
    assert left == {"bible_charniauski_pd": 0, "bible_maley_pd": 1, "common_voice": 0, "tatoeba": 1, "ud_train_old": 0}
    assert {name: counts_of(text)["mixed"] for name, text in after.items() if name != "bible_maley_pd"} == {
        "bible_charniauski_pd": 0,
        "common_voice": 0,
        "tatoeba": 0,
        "ud_train_old": 0,
    }
    # A printer's sign that became a `v` and is no look-alike of any Cyrillic letter.
    strange = [word for word in regex.findall(r"\p{L}+", after["bible_maley_pd"]) if regex.search(r"\p{Latin}", word)]
    assert all("v" in word or word == "I" for word in strange)


@pytest.mark.parametrize("language", ["lt", "eu", "is", "yue"])
def test_corpora_without_slips_are_left_alone(shared_data, language):
    texts = [file.read_text(errors="replace")[:500_000] for file in sorted((shared_data / "corpora" / language).glob("*.txt"))]
    repairs = fitted(texts, language)
    assert [repair(text, repairs)[1] for text in texts] == [{}] * len(texts)
