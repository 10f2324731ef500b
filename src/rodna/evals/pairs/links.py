"""Which words of a sentence may have to agree, and which sentences leave it open whether they must.

The relations are those of Universal Dependencies, so that they mean the same in every language; which features agree along them
is found in the treebank, never assumed.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from rodna.evals.pairs.conllu import Sentence, Word
from rodna.evals.pairs.forms import is_odd

NOMINAL = ("NOUN", "PROPN", "PRON")
VERBAL = ("VERB", "AUX")
MODIFIERS = ("amod", "det", "nummod", "acl")
GOVERNED = {"adposition_noun": ("Case",), "numeral_noun": ("Case", "Number")}
"""Phenomena in which a word decides features it does not have itself, and which features those may be."""


@dataclass(frozen=True)
class Link:
    """Two words of which one decides features of the other.

    Attributes:
        phenomenon: begins the pair's UID.
        relation: of Universal Dependencies, with its subtype.
        controller: the word that decides.
        target: the word that follows.
        is_government: the controller decides by which word it is, not by features of its own.
        reason: why the sentence leaves the agreement open; empty where it does not.
    """

    phenomenon: str
    relation: str
    controller: Word
    target: Word
    is_government: bool = False
    reason: str = ""

    @cached_property
    def key(self) -> tuple[str, ...]:
        """What kind of words these are: links of one key agree in the same features."""
        controller = self.controller
        kind = (self.phenomenon, self.relation, controller.upos, *kind_of(self.target))
        if self.is_government:
            return kind
        pronoun = controller.features.get("PronType") if controller.upos == "PRON" else ""
        return (*kind, pronoun, controller.features.get("Case") if self.is_subject else "")

    @property
    def is_subject(self) -> bool:
        """Whether the controller is a subject."""
        return self.relation.startswith("nsubj")

    def touches(self, word: Word) -> bool:
        """Return whether a word is one of the two."""
        return word.number in (self.target.number, self.controller.number)


def kind_of(word: Word) -> tuple[str, str]:
    """Return UPOS and VerbForm: words of one kind are inflected for the same features."""
    return word.upos, word.features.get("VerbForm")


def find_links(sentence: Sentence) -> Iterator[Link]:
    """Yield every link of a sentence, in the order of its words; those that are left open have a reason."""
    for word in sentence.words:
        base = word.relation.partition(":")[0]
        if not word.head:
            continue
        head = sentence.words[word.head - 1]
        if base == "nsubj" and word.relation != "nsubj:outer":
            yield from _subject(sentence, word, head)
        elif base in MODIFIERS and head.upos in ("NOUN", "PROPN"):
            yield from _modifier(sentence, word, head)
        elif base == "case" and word.upos == "ADP" and head.upos in NOMINAL:
            yield Link("adposition_noun", word.relation, word, head, is_government=True, reason=_governed(sentence, word, head))


def _subject(sentence: Sentence, subject: Word, head: Word) -> Iterator[Link]:
    helpers = [word for word in sentence.children(head.number) if word.relation.partition(":")[0] in ("aux", "cop")]
    targets = [head] if head.upos in (*VERBAL, "ADJ") else []
    for target in [*targets, *helpers]:
        phenomenon = "subject_verb" if target.upos in VERBAL else "subject_predicate"
        relation = subject.relation if target is head else f"{subject.relation}>{target.relation}"
        yield Link(phenomenon, relation, subject, target, reason=_open_subject(sentence, subject, head, target))


def _open_subject(sentence: Sentence, subject: Word, head: Word, target: Word) -> str:
    below = sentence.children(subject.number)
    subjects = [word for word in sentence.children(head.number) if word.relation.partition(":")[0] in ("nsubj", "csubj", "expl")]
    reasons = [
        ("subject_is_no_noun", subject.upos not in NOMINAL),
        ("subject_is_odd", is_odd(subject)),
        ("nominal_predicate", head.upos not in (*VERBAL, "ADJ")),
        ("several_subjects", len(subjects) > 1),
        ("coordination", _has(below, "conj") or _has(below, "cc") or subject.relation == "conj"),
        ("numeral", _counts(below)),
        ("apposition", _has(below, "appos") or _has(below, "parataxis")),
        ("polite_plural", target.upos == "ADJ" and subject.features.get("Person") == "2"),
    ]
    return next((name for name, holds in reasons if holds), "")


def _modifier(sentence: Sentence, modifier: Word, head: Word) -> Iterator[Link]:
    what = {"ADJ": "adjective", "DET": "determiner", "NUM": "numeral", "VERB": "participle", "PRON": "pronoun"}.get(modifier.upos)
    if what is None:
        return
    below, beside = sentence.children(modifier.number), sentence.children(head.number)
    is_number = modifier.upos == "NUM" or modifier.relation.partition(":")[0] == "nummod"
    numerals = [word for word in beside if word.number != modifier.number]
    reasons = [
        ("odd_noun", is_odd(head)),
        ("coordination", any(_has(words, name) for words in (below, beside) for name in ("conj", "cc"))),
        ("numeral", _counts(numerals)),
        ("compound", _has(below, "fixed") or _has(below, "flat") or _has(below, "compound") or _has(below, "nummod")),
        ("apposition", _has(beside, "appos")),
    ]
    reason = next((name for name, holds in reasons if holds), "")
    yield Link(f"noun_{what}", modifier.relation, head, modifier, reason=reason)
    if is_number:
        digits = any(character.isdigit() for character in modifier.form)
        yield Link("numeral_noun", modifier.relation, modifier, head, is_government=True, reason=reason or "digits" * digits)


def _governed(sentence: Sentence, adposition: Word, noun: Word) -> str:
    beside = sentence.children(noun.number)
    reasons = [
        ("odd_noun", is_odd(noun)),
        ("compound", _has(sentence.children(adposition.number), "fixed")),
        ("several_adpositions", sum(word.relation.partition(":")[0] == "case" for word in beside) > 1),
        ("numeral", _counts(beside)),
        ("coordination", _has(beside, "conj") or noun.relation == "conj"),
        ("far_apart", abs(noun.number - adposition.number) > MAX_DISTANCE),
    ]
    return next((name for name, holds in reasons if holds), "")


MAX_DISTANCE = 4
"""Words between an adposition and its noun: trees are wrong more often where there are more (ours)."""


def _has(words: list[Word], relation: str) -> bool:
    return any(word.relation.partition(":")[0] == relation for word in words)


def _counts(words: list[Word]) -> bool:
    """Return whether one of the words counts its head: it is a numeral, a figure, or a determiner or adverb of number."""
    return any(
        word.upos in ("NUM", "SYM")
        or word.relation.startswith(("nummod", "det:num"))
        or (bool(word.features.get("NumType")) and word.upos in ("DET", "ADV", "PRON"))
        or (any(character.isdigit() for character in word.form) and word.relation.startswith(("amod", "nummod", "det")))
        for word in words
    )
