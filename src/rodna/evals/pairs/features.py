"""Which features agree along which links, as counted in the treebank."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rodna.evals.pairs.conllu import Features, Sentence, Word
from rodna.evals.pairs.links import GOVERNED, Link, find_links, kind_of

MIN_SHARE = 0.95
"""Of the links in which both words have a feature, this share has the same value where the feature agrees (ours)."""
MIN_KAPPA = 0.8
"""The same above chance, as a share of what is possible above chance. Reference: Cohen 1960; the bound is ours."""
MIN_LINKS = 20
"""Fewer links show nothing (ours)."""
MAX_EXCEPTIONS = 0.01
"""A value met in no larger share of the links is not licensed; slips of annotators account for as much (ours)."""
MIN_EXPECTED = 5.0
"""Only where this many were due by chance: none seen has then a probability below 0.7% (ours)."""

Key = tuple[str, ...]


@dataclass(frozen=True)
class Rule:
    """How a feature behaves along the links of one key.

    Attributes:
        num_links: in which both words have the feature (of a governing word: the target).
        share: of these that have the same value.
        chance: the share two independent words would have.
        agrees: the share is high, and far above chance.
    """

    key: Key
    feature: str
    num_links: int
    share: float
    chance: float
    agrees: bool


class Agreement:
    """Counts of values along links, and what they license."""

    def __init__(self, features: Sequence[str]) -> None:
        self.features = tuple(features)
        self._seen: dict[tuple[Key, str], dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        self._base: dict[tuple[tuple[str, str], str], Counter[str]] = defaultdict(Counter)
        self._rules: dict[tuple[Key, str], Rule] = {}
        self._answers: dict[tuple[Key, str, str, str], bool] = {}

    def add(self, sentence: Sentence) -> None:
        """Count a sentence's links; those that are left open do not count."""
        for word in sentence.words:
            for name in self.features:
                if value := _single(word.features, name):
                    self._base[kind_of(word), name][value] += 1
        for link in find_links(sentence):
            if link.reason:
                continue
            for name in self.names(link):
                if value := _single(link.target.features, name):
                    self._seen[link.key, name][self._by(link, name, link.controller.features)][value] += 1
        self._rules.clear()
        self._answers.clear()

    def names(self, link: Link) -> tuple[str, ...]:
        """Return the features that a link may decide."""
        return tuple(name for name in GOVERNED[link.phenomenon] if name in self.features) if link.is_government else self.features

    def values(self, word: Word, name: str) -> list[str]:
        """Return the values of a feature that words of a word's kind have."""
        return sorted(self._base.get((kind_of(word), name), ()))

    def _by(self, link: Link, name: str, features: Features) -> str:
        return link.controller.lemma.lower() if link.is_government else features.get(name)

    def rules(self) -> list[Rule]:
        """Return every rule that was looked at, sorted."""
        return sorted((self._rule(*item) for item in self._seen), key=lambda rule: (rule.key, rule.feature))

    def _rule(self, key: Key, name: str) -> Rule:
        found = self._rules.get((key, name))
        if found is None:
            found = self._rules[key, name] = _rule(key, name, self._seen.get((key, name), {}))
        return found

    def licenses(self, link: Link, target: Features, controller: Features) -> bool:
        """Return whether, as far as is known, a target with these features may go with a controller with those."""
        return all(self.licenses_value(link, name, target.get(name), controller) for name in self.names(link))

    def licenses_value(self, link: Link, name: str, value: str, controller: Features) -> bool:
        """Return whether one feature of the target may have a value; what is not known is licensed.

        Not licensed is a value that hardly ever goes with the controller's, though it is frequent enough that it should by chance.
        """
        by = self._by(link, name, controller)
        if not value or "," in value or "," in by:
            return True
        question = (link.key, name, by, value)
        answer = self._answers.get(question)
        if answer is None:
            answer = self._answers[question] = self._is_licensed(link, name, by, value)
        return answer

    def _is_licensed(self, link: Link, name: str, by: str, value: str) -> bool:
        if by and not link.is_government and not self._rule(link.key, name).agrees:
            return True
        row = self._seen.get((link.key, name), {}).get(by, Counter[str]())
        total = row.total()
        base = self._base.get((kind_of(link.target), name), Counter[str]())
        due = total * base[value] / base.total() if base.total() else 0.0
        # Where the feature agrees on the whole, a single exception is a slip even among few links.
        exceptions = max(MAX_EXCEPTIONS * total, 1 if by and not link.is_government else 0)
        return total < MIN_LINKS or row[value] > exceptions or due < MIN_EXPECTED


def _single(features: Features, name: str) -> str:
    value = features.get(name)
    return "" if "," in value else value


def _rule(key: Key, name: str, seen: dict[str, Counter[str]]) -> Rule:
    pairs = {(by, value): count for by, row in seen.items() if by and "," not in by for value, count in row.items()}
    total = sum(pairs.values())
    same = sum(count for (by, value), count in pairs.items() if by == value)
    left, right = Counter[str](), Counter[str]()
    for (by, value), count in pairs.items():
        left[by] += count
        right[value] += count
    chance = sum(left[value] * right[value] for value in left) / total**2 if total else 0.0
    share = same / total if total else 0.0
    kappa = (share - chance) / (1 - chance) if chance < 1 else 0.0
    return Rule(key, name, total, share, chance, total >= MIN_LINKS and share >= MIN_SHARE and kappa >= MIN_KAPPA)


def report(rules: Sequence[Rule]) -> list[dict[str, Any]]:
    """Return the rules of agreement as rows to be written: those that hold and those that do not."""
    names = ("phenomenon", "relation", "controller", "target", "target_form", "controller_type", "controller_case")
    return [
        {
            **{name: value for name, value in zip(names, rule.key, strict=False) if value},
            "feature": rule.feature,
            "links": rule.num_links,
            "share": round(rule.share, 4),
            "chance": round(rule.chance, 4),
            "agrees": rule.agrees,
        }
        for rule in rules
        if rule.num_links and rule.key[0] not in GOVERNED
    ]
