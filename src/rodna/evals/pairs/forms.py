"""Inflected forms that a treebank attests, and which features of one lemma share a form."""

from collections import Counter, defaultdict
from functools import lru_cache
from itertools import combinations

from rodna.evals.pairs.conllu import Features, Sentence, Word

ODD = ("Typo", "Foreign", "Abbr")
"""Features that mark a form which says nothing about inflection. Reference: Universal Dependencies, "Universal features"."""
SHARED = 0.05
"""Where this share of the lemmas that have two sets of features have one form for both, a third lemma may have it too (ours)."""
ENOUGH = 5
"""Lemmas that must have both, for that share to say something (ours)."""
SLIPS = 0.01
"""A reading that makes up no larger share of a form's is a slip of an annotator's (ours)."""
ENDING = 2
"""Characters at the end of a word which stand for its inflection where most lemmas have two forms, or too few are known (ours)."""

Cell = tuple[str, str, Features]
"""A lemma, its UPOS and its features: what a form is a form of."""


def is_odd(word: Word) -> bool:
    """Return whether a word is misspelt, foreign, abbreviated, not of letters alone or without a lemma."""
    return any(word.features.get(name) for name in ODD) or word.lemma in ("", "_") or not _is_word(word.form)


def _is_word(form: str) -> bool:
    return any(character.isalpha() for character in form) and not any(character.isdigit() for character in form)


def is_shouted(form: str) -> bool:
    """Return whether a word of several letters is written in capitals."""
    return sum(character.isalpha() for character in form) > 1 and form == form.upper() != form.lower()


class Forms:
    """Which forms a lemma has for which features, and which cells a form may fill."""

    def __init__(self) -> None:
        self._of_lemma: dict[tuple[str, str], dict[Features, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        self._of_form: dict[str, dict[Cell, int]] = defaultdict(lambda: defaultdict(int))
        self._spelling: dict[str, Counter[str]] = defaultdict(Counter)
        self._lemmas: dict[tuple[str, Features], set[str]] = defaultdict(set)
        self._endings: dict[tuple[str, Features], set[str]] = defaultdict(set)
        self._features: dict[str, set[Features]] = defaultdict(set)
        self._alike = lru_cache(maxsize=None)(self._may_share)
        self._readings = lru_cache(maxsize=100_000)(self._analyses)
        self._initials = lru_cache(maxsize=1)(self._changing_initials)
        self.has_gap = lru_cache(maxsize=None)(self._has_gap)

    def add(self, sentence: Sentence) -> None:
        """Note the words of a sentence."""
        for place, word in enumerate(sentence.words):
            if is_odd(word):
                continue
            folded, lemma = word.form.lower(), word.lemma.lower()
            self._of_lemma[lemma, word.upos][word.features][folded] += 1
            self._of_form[folded][lemma, word.upos, word.features] += 1
            self._lemmas[word.upos, word.features].add(lemma)
            self._endings[word.upos, word.features].add(folded[-ENDING:])
            self._features[word.upos].add(word.features)
            if place and not is_shouted(word.form):
                self._spelling[folded][word.form] += 1
        for known in (self._alike, self._readings, self.has_gap, self._initials):
            known.cache_clear()

    def cells(self, word: Word) -> dict[Features, Counter[str]]:
        """Return the features that a word's lemma is attested with, and the forms for each, in lower case."""
        return self._of_lemma.get((word.lemma.lower(), word.upos), {})

    def _has_gap(self, upos: str, features: Features, name: str) -> bool:
        """Return whether no word of a part of speech has these features and also the feature `name`."""
        wanted = features.values.items()
        return not any(other.get(name) and wanted <= other.values.items() for other in self._features[upos])

    def analyses(self, form: str, word: Word, features: Features) -> list[tuple[str, Features]]:
        """Return what a form may be: UPOS and features it is attested with, and those its lemma may share it with.

        Args:
            form: in lower case.
            word: gives lemma and UPOS.
            features: of the form, as is known.
        """
        return self._readings(form, word.lemma.lower(), word.upos, features)

    def _analyses(self, form: str, lemma: str, upos: str, features: Features) -> list[tuple[str, Features]]:
        found = {(upos, features): None}
        attested = self._of_form.get(form, {})
        total = sum(attested.values())
        for (_, part, read), count in attested.items():
            if count > SLIPS * total:
                found[part, read] = None
        own = self._of_lemma.get((lemma, upos), {})
        for other, is_rule in self._alike(upos, features):
            # Where one form for both is the rule, another that is attested is a mere variant of it.
            if is_rule or (other not in own and form[-ENDING:] in self._endings[upos, other]):
                found[upos, other] = None
        # One that only says less is the same reading, annotated with less care.
        return [item for item in found if not (item[0] == upos and item[1].values.items() < features.values.items())]

    def _may_share(self, upos: str, features: Features) -> list[tuple[Features, bool]]:
        """Return other features whose form may be the same, and whether it mostly is."""
        found: list[tuple[Features, bool]] = []
        mine = self._lemmas[upos, features]
        for other in sorted(self._features[upos], key=lambda item: item.text):
            both = mine & self._lemmas[upos, other] if other != features else set[str]()
            same = sum(1 for lemma in both if self._shares(lemma, upos, features, other))
            if other != features and (same > SHARED * len(both) or len(both) < ENOUGH):
                found.append((other, 2 * same > len(both) >= ENOUGH))
        return found

    def _shares(self, lemma: str, upos: str, one: Features, other: Features) -> bool:
        cells = self._of_lemma[lemma, upos]
        return not cells[one].keys().isdisjoint(cells[other].keys())

    def _changing_initials(self) -> set[frozenset[str]]:
        """Return pairs of first letters that lemmas have by turns in one and the same cell, as the words around have it."""
        lemmas: dict[frozenset[str], set[str]] = defaultdict(set)
        for (lemma, _), cells in self._of_lemma.items():
            for forms in cells.values():
                rests: dict[str, set[str]] = defaultdict(set)
                for form in forms if len(forms) > 1 else ():
                    rests[form[1:]].add(form[0])
                for letters in rests.values():
                    for pair in combinations(sorted(letters), 2):
                        lemmas[frozenset(pair)].add(lemma)
        return {pair for pair, found in lemmas.items() if len(found) >= ENOUGH}

    def written_like(self, form: str, model: str) -> str:
        """Return a form, given in lower case, in its usual spelling, with capitals where the word has them whose place it takes."""
        usual = min(self._spelling[form].items(), key=lambda item: (-item[1], item[0]))[0] if form in self._spelling else form
        if is_shouted(model):
            return usual.upper()
        if frozenset((model[0].lower(), usual[0].lower())) in self._initials():
            # The words around decide between the two, and they stay.
            return model[0] + usual[1:]
        if model[0].lower() == usual[0].lower():
            # The very letter, for which capital an i has depends on the language.
            return model[0] + usual[1:]
        return usual[0].upper() + usual[1:] if model[0].isupper() else usual[0].lower() + usual[1:]
