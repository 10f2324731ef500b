"""Items found in the training text, in any script."""

import random

import pytest

from rodna.evals import contamination
from rodna.evals.contamination import MIN_LETTERS, WINDOW_LETTERS, find_seen

SENTENCE = "Трэцяга дня мы выйшлі з лесу, а потым доўга ішлі берагам ракі."
OTHER = "Un vespre d'hivern la neu cobria tots els camins de la vall petita."


def test_an_item_that_stands_in_the_training_text_is_seen_with_its_passage_and_document():
    found = find_seen({"a": SENTENCE, "b": OTHER}, ["нічога тут няма", f"Пачатак. {SENTENCE} Канец.", SENTENCE])
    assert (found["a"].verdict, found["a"].share, found["a"].document) == ("seen", 1.0, 1)
    assert found["a"].passage == SENTENCE.rstrip(".")
    assert found["b"] == contamination.Seen("unseen", 0.0, "", -1)


@pytest.mark.parametrize(
    "change", [str.upper, lambda text: text.replace(" ", "\n"), lambda text: text.replace(",", " — "), lambda text: text.replace(" ", "")]
)
def test_case_punctuation_and_spaces_do_not_hide_a_copy(change):
    assert find_seen({"a": SENTENCE}, [change(SENTENCE)])["a"].share == 1.0


def test_of_a_half_planted_item_half_is_found_and_it_is_not_seen():
    letters = "".join(random.Random(0).choices("абвгджзклмн", k=200))
    found = find_seen({"a": letters}, ["x" * 50, letters[:100] + "я" * 100])["a"]
    assert (found.verdict, found.share, found.passage, found.document) == ("unseen", 0.5, letters[:100], 1)


def test_an_item_with_one_letter_changed_counts_as_seen():
    letters = "".join(random.Random(1).choices("абвгджзклмн", k=200))
    found = find_seen({"a": letters}, [letters[:80] + "я" + letters[81:]])["a"]
    assert (found.verdict, found.share) == ("seen", 199 / 200)
    assert found.passage == letters[81:]


def test_text_without_spaces_is_found_by_half_as_many_characters():
    item = "我哋聽日去邊度食飯好呀"
    found = find_seen({"long": item, "short": "聽日去邊度食"}, [f"佢話：{item}？", "冇嘢"])
    assert (found["long"].verdict, found["long"].passage, found["long"].document) == ("seen", item, 0)
    assert found["short"].verdict == "unknown"


@pytest.mark.parametrize("text", ["", "Yes", "?!", "a" * (MIN_LETTERS - 1)])
def test_a_text_of_few_letters_cannot_be_judged(text):
    assert find_seen({"a": text}, ["Yes, aaaaaaaaaaaaaaaaaaaaaaaaaaa"])["a"] == contamination.Seen("unknown", 0.0, "", -1)


def test_an_item_shorter_than_a_window_must_be_found_whole():
    item = "abcdefghijklmnopqrs"
    assert MIN_LETTERS < len(item) < WINDOW_LETTERS
    assert find_seen({"a": item}, [f"12{item}34"])["a"].verdict == "seen"
    assert find_seen({"a": item}, [item[:-1], item[1:]])["a"] == contamination.Seen("unseen", 0.0, "", -1)


def test_nothing_is_found_across_the_border_of_two_documents():
    assert find_seen({"a": SENTENCE}, [SENTENCE[:22], SENTENCE[22:44], SENTENCE[44:]])["a"].share == 0.0


def test_an_item_whose_halves_stand_in_two_documents_is_seen_with_the_longer_passage():
    found = find_seen({"a": SENTENCE}, [SENTENCE[:31], SENTENCE[31:]])["a"]
    assert (found.verdict, found.share, found.passage, found.document) == ("seen", 1.0, "потым доўга ішлі берагам ракі", 1)


def test_training_text_may_be_a_stream_and_empty():
    assert find_seen({"a": SENTENCE}, iter(()))["a"].verdict == "unseen"
    assert find_seen({}, iter([SENTENCE])) == {}


def test_a_document_longer_than_a_piece_is_searched_across_the_cuts(monkeypatch):
    monkeypatch.setattr(contamination, "_PIECE", 300)
    monkeypatch.setattr(contamination, "_OVERLAP", 100)
    letters = "".join(random.Random(2).choices("abcdefgh", k=2000))
    items = {str(start): letters[start : start + 60] for start in range(0, 1940, 7)}
    found = find_seen(items, ["nothing", letters])
    assert {item.share for item in found.values()} == {1.0}
    assert all(found[key].passage == text and found[key].document == 1 for key, text in items.items())


def test_a_set_phrase_of_many_items_counts_without_being_followed(monkeypatch):
    monkeypatch.setattr(contamination, "_PAIRS_AT_ONCE", 100)
    source = random.Random(4)
    phrase = "which of the following answers is the right one "
    items = {str(number): phrase + "".join(source.choices("абвгдежз", k=40)) for number in range(50)}
    found = find_seen(items, [phrase, f"{phrase} {items['7']}"])
    assert {key for key, what in found.items() if what.verdict == "seen"} == {"7"}
    assert found["7"].share == 1.0
    # Windows that begin in the phrase and end in the item's own letters are no other item's.
    assert (found["7"].passage, found["7"].document) == (f"ing answers is the right one {items['7'][-40:]}", 1)
    assert 0.4 < found["8"].share < 0.6


def test_shares_and_passages_equal_those_of_a_plain_search():
    source = random.Random(3)
    training = ["".join(source.choices("abc", k=source.randint(0, 400))) for _ in range(40)]
    items = {}
    for number in range(60):
        text = source.choice(training)
        start = source.randint(0, max(0, len(text) - 1))
        items[str(number)] = "".join(source.choices("abc", k=source.randint(0, 30))) + text[start : start + source.randint(0, 70)]
    found = find_seen(items, training)
    for key, text in items.items():
        assert (found[key].share, len(found[key].passage)) == pytest.approx(_slowly(text, training)), key


def _slowly(text: str, training: list[str]) -> tuple[float, int]:
    if len(text) < MIN_LETTERS:
        return 0.0, 0
    size = min(len(text), WINDOW_LETTERS)
    covered = {
        start + step
        for start in range(len(text) - size + 1)
        if any(text[start : start + size] in document for document in training)
        for step in range(size)
    }
    stretches = (text[start:end] for start in range(len(text)) for end in range(start + size, len(text) + 1))
    return len(covered) / len(text), max((len(part) for part in stretches if any(part in document for document in training)), default=0)


@pytest.mark.parametrize(("language", "news"), [("lt", "newstest2019-ref.lit.txt"), ("yue", "newstest2019-ref.yue.txt")])
def test_of_real_text_what_was_planted_is_found_and_unrelated_news_is_not(shared_data, language, news):
    training = [path.read_text(encoding="utf-8") for path in sorted((shared_data / "corpora" / language).glob("*.txt"))]
    lines = (shared_data / "eval" / "ntrex" / news).read_text(encoding="utf-8").splitlines()
    planted = [line for text in training for line in text.splitlines()[:500:5] if len(line) > 40]
    items = {f"news {number}": line for number, line in enumerate(lines)}
    items |= {f"planted {number}": line.upper().replace(" ", "") for number, line in enumerate(planted)}
    found = find_seen(items, training)
    assert planted
    assert {key for key, what in found.items() if what.verdict == "seen"} == {key for key in items if key.startswith("planted")}
