"""Minimal pairs from a treebank of an invented language whose whole grammar is in this file."""

import itertools
import json
from collections import Counter

import pytest

from rodna.core.errors import EvaluationError
from rodna.evals.pairs.forms import Forms
from rodna.evals.pairs.make import make_pairs
from rodna.evals.pairs.output import account_of
from rodna.evals.tasks.config import TaskConfig
from rodna.evals.tasks.reading import read_task

NOUNS = {"tor": "Masc", "dub": "Masc", "gir": "Fem", "mel": "Fem", "sok": "Masc", "vin": "Fem"}
SAME_IN_BOTH_NUMBERS = "mel"
NOUN_ENDS = {("Sing", "Nom"): "a", ("Plur", "Nom"): "i", ("Sing", "Ins"): "om", ("Plur", "Ins"): "imi"}
ADJECTIVES = ("nov", "star", "bel")
ADJECTIVE_ENDS = {("Masc", "Sing"): "yj", ("Fem", "Sing"): "aja", ("Masc", "Plur"): "yje", ("Fem", "Plur"): "yja"}
VERBS = ("lez", "pad", "stan", "rot")
VERB_ENDS = {("Sing", "3"): "et", ("Plur", "3"): "ut", ("Sing", "1"): "u", ("Plur", "1"): "em"}


def noun(stem, number, case="Nom"):
    form = stem + NOUN_ENDS["Sing" if stem == SAME_IN_BOTH_NUMBERS else number, case]
    return form, stem + "a", "NOUN", f"Case={case}|Gender={NOUNS[stem]}|Number={number}"


def adjective(stem, gender, number):
    return stem + ADJECTIVE_ENDS[gender, number], stem + "yj", "ADJ", f"Gender={gender}|Number={number}"


def verb(stem, number, person="3"):
    return stem + VERB_ENDS[number, person], stem + "at", "VERB", f"Number={number}|Person={person}|VerbForm=Fin"


def pronoun(number):
    return "ja" if number == "Sing" else "my", "ja", "PRON", f"Case=Nom|Number={number}|Person=1|PronType=Prs"


def sentence(*words):
    """Return a block of CoNLL-U from (form, lemma, UPOS, features), head and relation; the first letter becomes a capital."""
    rows = []
    for number, ((form, lemma, upos, features), head, relation) in enumerate([*words, ((".", ".", "PUNCT", "_"), 1, "punct")], start=1):
        form = form[0].upper() + form[1:] if number == 1 else form
        misc = "SpaceAfter=No" if number == len(words) else "_"
        rows.append("\t".join((str(number), form, lemma, upos, "_", features, str(head), relation, "_", misc)))
    return "\n".join(rows) + "\n\n"


def described(a, n, number, v, other):
    """Return `new thing runs with other`: number, gender, person and case all in one."""
    return sentence(
        (adjective(a, NOUNS[n], number), 2, "amod"), (noun(n, number), 3, "nsubj"), (verb(v, number), 0, "root"),
        (("s", "s", "ADP", "_"), 5, "case"), (noun(other, "Sing", "Ins"), 3, "obl"),
    )  # fmt: skip


def treebank():
    blocks = []
    for index, (n, number, v) in enumerate(itertools.product(NOUNS, ("Sing", "Plur"), VERBS)):
        blocks.append(described(ADJECTIVES[index % 3], n, number, v, list(NOUNS)[(index * 5 + 1) % 6]))
        blocks.append(sentence((verb(v, number), 0, "root"), (noun(n, number), 1, "nsubj")))
    for number, v, n in itertools.product(("Sing", "Plur"), VERBS, NOUNS):
        blocks.append(sentence((pronoun(number), 2, "nsubj"), (verb(v, number, "1"), 0, "root"), (noun(n, "Plur", "Ins"), 2, "obl")))
    return blocks


def is_grammatical(text):
    """Return whether the invented grammar makes a sentence."""
    return text in GRAMMATICAL


def all_sentences():
    texts = set()
    for number, v in itertools.product(("Sing", "Plur"), VERBS):
        one = verb(v, number)[0]
        for n in NOUNS:
            subject = noun(n, number)[0]
            texts.add(f"{one.capitalize()} {subject}.")
            for a, o in itertools.product(ADJECTIVES, NOUNS):
                texts |= {
                    f"{adjective(a, NOUNS[n], number)[0].capitalize()} {subject} {one} s {noun(o, k, 'Ins')[0]}." for k in ("Sing", "Plur")
                }
        for o, k in itertools.product(NOUNS, ("Sing", "Plur")):
            texts.add(f"{pronoun(number)[0].capitalize()} {verb(v, number, '1')[0]} {noun(o, k, 'Ins')[0]}.")
    return texts


GRAMMATICAL = all_sentences()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "toy.conllu"
    path.write_text("".join(treebank()), encoding="utf-8")
    return path


@pytest.fixture
def made(file):
    return make_pairs([file], max_per_lemma=1000)


def test_every_good_sentence_is_in_the_language_and_no_bad_one_is(made):
    assert len(made.pairs) > 100
    assert all(is_grammatical(pair.sentence_good) for pair in made.pairs)
    assert not [pair.sentence_bad for pair in made.pairs if is_grammatical(pair.sentence_bad)]


def test_exactly_one_word_differs_by_exactly_one_feature(made):
    for pair in made.pairs:
        good, bad = pair.sentence_good.split(" "), pair.sentence_bad.split(" ")
        different = [(one, other) for one, other in zip(good, bad, strict=True) if one != other]
        assert [(one.strip("."), other.strip(".")) for one, other in different] == [(pair.word_good, pair.word_bad)]
        assert pair.from_value != pair.to_value
        assert pair.word_good[0].isupper() == pair.word_bad[0].isupper()


def test_phenomena_are_those_of_the_grammar(made):
    assert {pair.UID for pair in made.pairs} == {
        "subject_verb_number", "subject_verb_person", "noun_adjective_number", "noun_adjective_gender", "adposition_noun_case",
    }  # fmt: skip


def test_what_agrees_is_counted_and_reported_with_its_chance_level(made):
    rules = {(rule.key[0], rule.key[2], rule.feature): rule for rule in made.rules}
    number = rules["subject_verb", "NOUN", "Number"]
    assert (number.agrees, number.share, number.num_links) == (True, 1.0, 96)
    assert number.chance == pytest.approx(0.5)


def test_a_subject_with_one_form_for_both_numbers_proves_something_only_beside_an_adjective(made):
    shown = [pair.sentence_good for pair in made.pairs if pair.UID == "subject_verb_number" and pair.controller == "mela"]
    assert len(shown) == 8
    assert all(text.startswith(("Nov", "Star", "Bel")) for text in shown)
    assert made.account.dropped["subject_verb_number"]["controller_syncretic"] == 8


def test_every_candidate_is_a_pair_or_dropped_for_one_reason(file):
    account = account_of(make_pairs([file], max_per_lemma=2).account)
    for row in [account, *account["by_uid"].values()]:
        assert row["candidates"] == row["pairs"] + sum(row["dropped"].values())
    assert account["dropped"]["lemma_is_frequent"] > 0
    assert account["sentences"] == {"read": 144}


def test_no_lemma_has_more_pairs_of_a_phenomenon_than_allowed(file):
    counts = Counter((pair.UID, pair.lemma) for pair in make_pairs([file], max_per_lemma=2).pairs)
    assert max(counts.values()) == 2


def test_the_pairs_are_the_same_in_whatever_order_the_sentences_and_files_come(tmp_path, file, made):
    blocks = treebank()
    (tmp_path / "a.conllu").write_text("".join(reversed(blocks[40:])), encoding="utf-8")
    (tmp_path / "b.conllu").write_text("".join(blocks[:40] + blocks[:5]), encoding="utf-8")
    again = make_pairs([tmp_path / "b.conllu", tmp_path / "a.conllu"], max_per_lemma=1000)
    key = [(pair.id, pair.sentence_bad) for pair in made.pairs]
    assert [(pair.id, pair.sentence_bad) for pair in again.pairs] == key
    assert again.account.sentences["repeated"] == 5


def one_more(tmp_path, *words, **settings):
    """Return what became of the candidates of one sentence that is added to the treebank."""
    path = tmp_path / "toy.conllu"
    path.write_text("".join(treebank()), encoding="utf-8")
    before = make_pairs([path], max_per_lemma=1000, **settings)
    path.write_text("".join([*treebank(), sentence(*words)]), encoding="utf-8")
    after = make_pairs([path], max_per_lemma=1000, **settings)
    new = {pair.id: pair for pair in after.pairs}.keys() - {pair.id for pair in before.pairs}
    dropped = {
        (uid, reason)
        for uid, reasons in after.account.dropped.items()
        for reason, count in reasons.items()
        if count > before.account.dropped.get(uid, Counter())[reason]
    }
    return new, dropped


SUBJECT, ROOT = "nsubj", (verb("lez", "Sing"), 0, "root")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (((noun("tor", "Sing"), 2, SUBJECT), ROOT, (noun("gir", "Sing"), 1, "conj")), "coordination"),
        (((noun("tor", "Sing"), 2, SUBJECT), ROOT, (noun("gir", "Sing"), 1, "appos")), "apposition"),
        (((noun("tor", "Sing"), 2, SUBJECT), ROOT, (("pjat", "pjat", "NUM", "_"), 1, "nummod")), "numeral"),
        (((noun("tor", "Sing"), 2, SUBJECT), ROOT, (noun("gir", "Sing"), 2, SUBJECT)), "several_subjects"),
        (((noun("tor", "Plur"), 2, SUBJECT), ROOT), "does_not_agree"),
        (((noun("tor", "Sing"), 2, SUBJECT), ROOT, (noun("gir", "Plur", "Ins"), 1, "nmod")), "quantity"),
        (((("Tor1a", "tora", "NOUN", noun("tor", "Sing")[3]), 2, SUBJECT), ROOT), "subject_is_odd"),
        (
            ((noun("tor", "Sing"), 2, SUBJECT), (("lezet", "lezat", "VERB", verb("lez", "Sing")[3] + "|Typo=Yes"), 0, "root")),
            "odd_word",
        ),
        (
            ((noun("tor", "Sing"), 2, SUBJECT), (("unikat", "unikat", "VERB", verb("lez", "Sing")[3]), 0, "root")),
            "no_other_form",
        ),
        (
            ((noun("tor", "Sing"), 2, SUBJECT), ROOT, (("giri", "gira", "NOUN", "Case=Acc|Gender=Fem|Number=Plur"), 2, "obj")),
            "object_may_be_subject",
        ),
    ],
)  # fmt: skip
def test_a_sentence_that_leaves_the_agreement_open_is_dropped_with_its_reason(tmp_path, words, reason):
    new, dropped = one_more(tmp_path, *words)
    assert ("subject_verb_number", reason) in dropped
    assert not [name for name in new if "number" in name]


def test_a_swapped_form_that_may_also_be_the_right_one_is_dropped(tmp_path):
    both = ("unut", "unat", "VERB", verb("lez", "Sing")[3]), ("unut", "unat", "VERB", verb("lez", "Plur")[3])
    _, dropped = one_more(tmp_path, (noun("tor", "Sing"), 2, SUBJECT), (both[0], 0, "root"), (both[1], 2, "conj"))
    assert ("subject_verb_number", "same_form") in dropped


def test_a_treebank_without_agreement_is_an_error_that_says_why(tmp_path):
    path = tmp_path / "bare.conllu"
    path.write_text(sentence((("tora", "_", "X", "_"), 0, "root")), encoding="utf-8")
    with pytest.raises(EvaluationError, match="no minimal pair can be made of 1 sentences") as raised:
        make_pairs([path])
    assert "training part" in raised.value.fix


@pytest.mark.parametrize(("wrong", "agrees"), [(0, True), (3, True), (40, False)])
def test_a_feature_agrees_where_its_share_is_high_and_far_above_chance(tmp_path, wrong, agrees):
    path = tmp_path / "toy.conllu"
    slips = [sentence((noun("tor", "Plur"), 2, SUBJECT), (verb(v, "Sing"), 0, "root"), (pronoun("Sing"), 2, f"dep:{i}"))
             for i in range(wrong) for v in VERBS[:1]]  # fmt: skip
    unique = [text.replace("Tori", f"Tori{'i' * i}") for i, text in enumerate(slips)]
    path.write_text("".join([*treebank(), *unique]), encoding="utf-8")
    rules = {(rule.key[0], rule.key[2], rule.feature): rule for rule in make_pairs([path]).rules}
    rule = rules["subject_verb", "NOUN", "Number"]
    assert rule.num_links == 96 + wrong
    assert rule.share == pytest.approx(96 / (96 + wrong))
    assert rule.agrees == agrees


def test_forms_take_the_capitals_of_the_word_they_replace():
    forms = Forms()
    assert forms.written_like("домам", "ДОМ") == "ДОМАМ"
    assert forms.written_like("домам", "Дом") == "Домам"
    assert forms.written_like("домам", "дом") == "домам"
    assert forms.written_like("evleri", "Ev") == "Evleri"
    # The capital of i is the sentence's own: İ in Turkish.
    assert forms.written_like("isimler", "İsim".replace("İ", "I")) == "Isimler"


def test_the_pairs_are_a_task_of_the_kind_minimal_pairs(tmp_path, made):
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(pair.row()) + "\n" for pair in made.pairs), encoding="utf-8")
    task = read_task(TaskConfig(name="toy", path="pairs.jsonl"), tmp_path)
    assert task.kind == "minimal_pairs"
    assert len(task.rows) == len(made.pairs)
    assert not task.skipped


def determined(number, determiner_case, *, adposition):
    """Return `(with) that thing falls`, the thing no subject, the determiner in a case that agrees or does not."""
    case = ("s", "s", "ADP", "_") if adposition else ("vot", "vot", "ADV", "_")
    form = {"Nom": "toj", "Ins": "tym"}[determiner_case] + ("" if number == "Sing" else "i")
    that = (form, "toj", "DET", f"Case={determiner_case}|Number={number}")
    return lambda n, v, noun_case: sentence(
        (case, 3 if adposition else 4, "case" if adposition else "advmod"), (that, 3, "det"), (noun(n, number, noun_case), 4, "obl"),
        (verb(v, "Sing"), 0, "root"),
    )  # fmt: skip


def test_a_determiner_that_could_be_a_part_of_the_clause_of_its_own_keeps_its_case(tmp_path):
    path = tmp_path / "toy.conllu"
    blocks = [
        determined(number, case, adposition=adposition)(n, v, case)
        for adposition in (True, False)
        for number in ("Sing", "Plur")
        for case in ("Nom", "Ins")
        for n in NOUNS
        for v in VERBS
        if not (adposition and case == "Nom")
    ]
    path.write_text("".join([*treebank(), *blocks]), encoding="utf-8")
    made = make_pairs([path], max_per_lemma=1000)
    shown = [pair for pair in made.pairs if pair.UID == "noun_determiner_case"]
    assert shown
    assert all(pair.sentence_good.startswith("S ") for pair in shown)
    assert made.account.dropped["noun_determiner_case"]["may_stand_alone"] > 0
