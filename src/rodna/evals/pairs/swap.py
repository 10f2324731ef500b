"""Swapping one word of a sentence for another form of it, so that exactly one agreement breaks.

Reference: Jumelet, Weissweiler, Nivre & Bisazza 2025, "MultiBLiMP 1.0", arXiv:2504.02768. Wider than theirs: agreement in the
noun phrase and governed case; and what agrees is counted in the treebank.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rodna.evals.pairs.conllu import Features, Sentence, Word
from rodna.evals.pairs.features import Agreement
from rodna.evals.pairs.forms import Forms, is_odd
from rodna.evals.pairs.links import Link, find_links

LEXICAL = ("NOUN", "PROPN", "PRON")
"""Parts of speech whose gender is no matter of inflection."""


@dataclass(frozen=True)
class Pair:
    """A minimal pair; fields as BLiMP names them, and what it was made from.

    Attributes:
        UID: the phenomenon.
        linguistics_term: the words that agree, whatever the feature.
        field: of grammar.
        from_value, to_value: of the feature, in the good and in the bad sentence.
    """

    id: str
    sentence_good: str
    sentence_bad: str
    UID: str
    linguistics_term: str
    field: str
    relation: str
    feature: str
    from_value: str
    to_value: str
    lemma: str
    upos: str
    word_good: str
    word_bad: str
    controller: str
    sent_id: str
    source: str

    def row(self) -> dict[str, Any]:
        """Return the pair as it is written, with `from` and `to`."""
        renamed = {"from_value": "from", "to_value": "to"}
        return {renamed.get(name, name): value for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Dropped:
    """A candidate that became no pair: phenomenon and reason."""

    UID: str
    reason: str


class Swapper:
    """Makes pairs, with what was counted in the treebank."""

    def __init__(self, forms: Forms, agreement: Agreement) -> None:
        self.forms, self.agreement = forms, agreement

    def pairs(self, sentence: Sentence) -> Iterator[Pair | Dropped]:
        """Yield a pair, or the reason why there is none, for every word and feature that agrees in a sentence."""
        links = list(find_links(sentence))
        for link in links:
            for name in self.agreement.names(link):
                if self._is_candidate(link, name):
                    yield self._pair(sentence, links, link, name)

    def _is_candidate(self, link: Link, name: str) -> bool:
        """Return whether a feature of the target is known to depend on the controller."""
        target, agreement = link.target, self.agreement
        value = target.features.get(name)
        if not value or (name == "Gender" and target.upos in LEXICAL):
            return False
        others = agreement.values(target, name)
        return any(not agreement.licenses_value(link, name, other, link.controller.features) for other in others)

    def _pair(self, sentence: Sentence, links: Sequence[Link], link: Link, name: str) -> Pair | Dropped:
        uid = f"{link.phenomenon}_{name.lower()}"
        target = link.target
        reason = link.reason or _unusable(target, name)
        if not reason and not self.agreement.licenses(link, target.features, link.controller.features):
            reason = "does_not_agree"
        if reason:
            return Dropped(uid, reason)
        around = [other for other in links if other.touches(target)]
        reasons: list[str] = []
        for features, form in self._swaps(sentence, link, name):
            reason = self._why_not(sentence, around, links, link, name, features, form)
            if not reason:
                return _made(sentence, link, name, features.get(name), self.forms.written_like(form, target.form), uid)
            reasons.append(reason)
        return Dropped(uid, min(reasons, key=_ORDER.index) if reasons else "no_other_form")

    def _swaps(self, sentence: Sentence, link: Link, name: str) -> list[tuple[Features, str]]:
        """Return the attested forms of the target that differ in one feature, in an order drawn from the sentence."""
        word, found = link.target, list[tuple[Features, str]]()
        for features, forms in self.forms.cells(word).items():
            value = features.get(name)
            if value and "," not in value and value != word.features.get(name) and self._differs_in_one(word, features, name, link):
                found.append((features, min(forms.items(), key=lambda item: (-item[1], item[0]))[0]))
        return sorted(found, key=lambda item: _hash(f"{sentence.text}\n{item[0].text}\n{item[1]}"))

    def _differs_in_one(self, word: Word, features: Features, name: str, link: Link) -> bool:
        """Return whether two cells differ in one feature alone.

        A feature that only one of them has counts as equal where the other cell's value has no such distinction at all (no gender in
        the plural); the new word then takes the controller's value of it, if the controller has one.
        """
        old, new = word.features.values, features.values
        if any(old[key] != new[key] for key in old.keys() & new.keys() if key != name):
            return False
        gone, come = old.keys() - new.keys(), new.keys() - old.keys()
        if any(not self.forms.has_gap(word.upos, features, key) for key in gone):
            return False
        if any(not self.forms.has_gap(word.upos, word.features, key) for key in come):
            return False
        return all(link.controller.features.get(key) in ("", new[key]) for key in come if not link.is_government)

    def _why_not(
        self, sentence: Sentence, around: list[Link], links: Sequence[Link], link: Link, name: str, features: Features, form: str
    ) -> str:
        """Return why a form makes no wrong sentence, as far as is known; empty where it does.

        Where a noun is plural, some languages license the first or second person (we, the teachers, ...), and a treebank has few.
        Reference: Höhn 2016, "Unagreement is an illusion", Natural Language and Linguistic Theory 34.
        """
        word = link.target
        if form == word.form.lower():
            return "same_form"
        if self.agreement.licenses_value(link, name, features.get(name), link.controller.features):
            return "may_be_licensed"
        if name == "Person" and not link.controller.features.get(name) and features.get("Number") not in ("", "Sing"):
            return "unagreement"
        if name == "Case" and word.upos in ("DET", "PRON") and _may_stand_alone(sentence, link.controller):
            return "may_stand_alone"
        if link.is_subject and name == "Number" and _is_quantity(sentence, link.controller, features.get(name)):
            return "quantity"
        if link.is_subject and self._has_other_subject(sentence, link, features):
            return "object_may_be_subject"
        if word.follows_closely and _glued(sentence, word) and form[0] != word.form[0].lower():
            return "attached"
        for upos, analysis in self.forms.analyses(form, word, features):
            if upos == word.upos and analysis.get("VerbForm") != word.features.get("VerbForm"):
                continue
            if all(self._is_open(other, word, analysis, links) for other in around):
                return "controller_syncretic" if analysis == features else "syncretic"
        return ""

    def _has_other_subject(self, sentence: Sentence, link: Link, features: Features) -> bool:
        """Return whether the object could be the subject: where word order is free, the woman see the girls may be what girls do."""
        target, subject = link.target, link.controller
        for other in sentence.words:
            if other.head not in (target.number, subject.head) or other.relation.partition(":")[0] not in ("obj", "iobj"):
                continue
            for upos, read in self.forms.analyses(other.form.lower(), other, other.features):
                may_be_subject = upos == other.upos and read.get("Case") in ("", subject.features.get("Case"))
                if may_be_subject and self.agreement.licenses(link, features, read):
                    return True
        return False

    def _is_open(self, link: Link, word: Word, analysis: Features, links: Sequence[Link]) -> bool:
        """Return whether a link may hold if `word` is read with other features; the other word may then be read anew, too."""
        if link.target.number == word.number:
            other = link.controller
            return any(self.agreement.licenses(link, analysis, read) for read in self._readings(other, word, link, links))
        other = link.target
        return any(self.agreement.licenses(link, read, analysis) for read in self._readings(other, word, link, links))

    def _readings(self, word: Word, but: Word, through: Link, links: Sequence[Link]) -> Iterator[Features]:
        """Yield the features a word may have in its place, all its links but those to `but` considered."""
        yield word.features
        rest = [link for link in links if link.touches(word) and not link.touches(but) and not link.reason]
        for upos, read in self.forms.analyses(word.form.lower(), word, word.features):
            if upos != word.upos or read == word.features or read.get("VerbForm") != word.features.get("VerbForm"):
                continue
            if through.is_subject and read.get("Case") != word.features.get("Case"):
                continue
            if all(
                self.agreement.licenses(link, read, link.controller.features)
                if link.target.number == word.number
                else self.agreement.licenses(link, link.target.features, read)
                for link in rest
            ):
                yield read


_ORDER = (
    "controller_syncretic", "syncretic", "may_stand_alone", "quantity", "object_may_be_subject", "attached", "unagreement", "same_form",
    "may_be_licensed",
)  # fmt: skip
"""Of several reasons, the one that says how near a candidate came."""


def _unusable(word: Word, name: str) -> str:
    if word.start < 0:
        return "multiword_token"
    if is_odd(word):
        return "odd_word"
    return "several_values" if "," in word.features.get(name) else ""


def _may_stand_alone(sentence: Sentence, noun: Word) -> bool:
    """Return whether a determiner in another case may be a part of the clause of its own: each every-weekend goes, to each."""
    in_clause = noun.relation.partition(":")[0] in ("nsubj", "obj", "iobj", "obl")
    return in_clause and not any(word.relation.partition(":")[0] == "case" for word in sentence.children(noun.number))


def _is_quantity(sentence: Sentence, subject: Word, number: str) -> bool:
    """Return whether the verb may agree with what the subject is a quantity of: a number of people are."""
    below = sentence.children(subject.number)
    return any(word.relation.startswith("nmod") and word.features.get("Number") == number for word in below)


def _glued(sentence: Sentence, word: Word) -> bool:
    before = sentence.text[word.start - 1]
    return before.isalnum() or before in "'’ʼ"


def _made(sentence: Sentence, link: Link, name: str, value: str, bad: str, uid: str) -> Pair:
    word = link.target
    good_text = sentence.text
    bad_text = good_text[: word.start] + bad + good_text[word.start + len(word.form) :]
    return Pair(
        id=_hash(f"{uid}\n{good_text}\n{bad_text}")[:16],
        sentence_good=good_text,
        sentence_bad=bad_text,
        UID=uid,
        linguistics_term=f"{link.phenomenon}_{'government' if link.is_government else 'agreement'}",
        field="morphology",
        relation=link.relation,
        feature=name,
        from_value=word.features.get(name),
        to_value=value,
        lemma=word.lemma,
        upos=word.upos,
        word_good=word.form,
        word_bad=bad,
        controller=link.controller.form,
        sent_id=sentence.id,
        source=sentence.source,
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
