"""Repairs driven by the corpus' own statistics: apostrophes inside words, look-alike letters of another script.

Nothing is known beforehand of any language but its script. What stands between letters most often is the apostrophe, unless a letter before
it asks for another; a look-alike is replaced where the corpus itself writes the letter or the word so. What is not decided stays as it is.
"""

import unicodedata
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import regex

from rodna.corpus.config import NormalizeConfig
from rodna.corpus.confusables import SCRIPTS, WORD, is_roman_numeral, script_of, scripts_of, suspects, twins
from rodna.corpus.language import LanguageTag
from rodna.corpus.unspaced import UNSPACED_LETTER

APOSTROPHES = "'\u2019\u2018\u201b\u02bc\u02bb\u02b9\u02bd\u02be\u02bf\u02c8\u02ca\u2032`\u00b4\uff07"
"""What people type inside words: apostrophes and quotation marks, primes, accents, and the modifier letters of orthographies."""

WHOLE_CHARACTERS = 4_000_000
"""So much of a task's text has all its words counted; of what follows, every `STRIDE`-th document."""
STRIDE = 16
MAX_WORDS = 20_000
MAX_SUSPECTS = 20_000
_APOSTROPHE = regex.compile(f"[{APOSTROPHES}]")
# Between these, what looks like an apostrophe is a quotation mark: they are written without spaces.
_MIN_CONTEXT = 20
_EXCLUSIVE = 0.1
_AT_EDGES = 0.05


class Evidence:
    """What a corpus shows about its apostrophes and its letters; counted shard by shard, then merged.

    `apostrophes`: (source, tab, letter before, character) -> times between letters; `edges`: modifier letters at the start or end of a
    word; `words`: words of one script, from a sample; `mixed`: words of several scripts; `fitting`, `elsewhere`: words of another script
    than their text that could be read in it, times their place asks for that and times it does not.
    """

    def __init__(self) -> None:
        self.num_characters = 0
        self.num_sampled = 0
        self.num_documents = 0
        self.apostrophes: Counter[str] = Counter()
        self.edges: Counter[str] = Counter()
        self.words: Counter[str] = Counter()
        self.mixed: Counter[str] = Counter()
        self.fitting: Counter[str] = Counter()
        self.elsewhere: Counter[str] = Counter()

    def add(self, text: str, source: str) -> None:
        """Count one document, after `normalize`."""
        self.num_documents += 1
        self.num_characters += len(text)
        self._add_apostrophes(text, source)
        for suspect in suspects(text):
            counter = self.mixed if suspect.mixed else self.fitting if suspect.fits else self.elsewhere
            counter[suspect.word] += 1
        if self.num_sampled < WHOLE_CHARACTERS or self.num_documents % STRIDE == 0:
            self.num_sampled += len(text)
            self.words.update(WORD.findall(text))
        self._prune(2)

    def _add_apostrophes(self, text: str, source: str) -> None:
        if text.isascii() and "'" not in text and "`" not in text:
            return
        for match in _APOSTROPHE.finditer(text):
            index, character = match.start(), match.group()
            before, after = text[index - 1 : index], text[index + 1 : index + 2]
            if before.isalpha() and after.isalpha():
                if not UNSPACED_LETTER.match(before) and not UNSPACED_LETTER.match(after):
                    self.apostrophes[f"{source}\t{before.lower()[:1]}{character}"] += 1
            elif unicodedata.category(character) == "Lm" and (before.isalpha() or after.isalpha()):
                self.edges[character] += 1

    def merge(self, other: "Evidence") -> None:
        """Add another shard's counts to these; beyond a bound the rarest words are forgotten."""
        self.num_characters += other.num_characters
        self.num_sampled += other.num_sampled
        self.num_documents += other.num_documents
        for name in _COUNTERS:
            getattr(self, name).update(getattr(other, name))
        self._prune(2)

    def _prune(self, slack: int) -> None:
        for name, most in _COUNTERS.items():
            counter: Counter[str] = getattr(self, name)
            if len(counter) > most * slack:
                kept = sorted(counter.items(), key=lambda item: (-item[1], item[0]))[:most]
                counter.clear()
                counter.update(dict(kept))

    def as_json(self) -> dict[str, Any]:
        """Return the counts as JSON of at most a few megabytes, the most frequent of each kind first."""
        self._prune(1)
        numbers = {"num_characters": self.num_characters, "num_sampled": self.num_sampled, "num_documents": self.num_documents}
        return numbers | {name: dict(sorted(getattr(self, name).items(), key=lambda item: (-item[1], item[0]))) for name in _COUNTERS}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Evidence":
        """Return what `as_json` wrote."""
        evidence = cls()
        evidence.num_characters, evidence.num_sampled = data["num_characters"], data["num_sampled"]
        evidence.num_documents = data["num_documents"]
        for name in _COUNTERS:
            getattr(evidence, name).update(data[name])
        return evidence


_COUNTERS = {
    "apostrophes": 20_000,
    "edges": 64,
    "words": MAX_WORDS,
    "mixed": MAX_SUSPECTS,
    "fitting": MAX_SUSPECTS,
    "elsewhere": MAX_SUSPECTS,
}


@dataclass(frozen=True)
class Repairs:
    """What is to be changed in a corpus, and why not more.

    `apostrophes`: letter before ("" for any not named) -> the character that stands there; `kept`: apostrophe-like characters that are
    letters of the language; `letters`: "Latn>Cyrl" -> letter -> its twin; `script`: the language's; `words`: mixed words that the corpus
    decides otherwise than the letters would; `readable`: words of another script to be read in the text's, where their place asks for it;
    `notes`: decisions in words.
    """

    script: str = ""
    apostrophes: Mapping[str, str] = field(default_factory=dict)
    kept: str = ""
    letters: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    readable: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Return the repairs as JSON; a person can read it."""
        return asdict(self) | {"notes": list(self.notes)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Repairs":
        """Return what `as_json` wrote."""
        return cls(**{**data, "notes": tuple(data["notes"])})


def fit_repairs(evidence: Evidence, language: LanguageTag, config: NormalizeConfig) -> Repairs:
    """Decide from a corpus' evidence what is to be repaired.

    Args:
        evidence: of the whole corpus.
        language: its script is what mixed words are brought to where nothing else decides.
        config: `apostrophes` and `homoglyphs` switch the two kinds.
    """
    notes: list[str] = []
    apostrophes, kept = _fit_apostrophes(evidence, notes) if config.apostrophes else ({}, "")
    script = next((script for script in language.unicode_scripts if script in SCRIPTS), "Latn")
    if not config.homoglyphs:
        return Repairs(script=script, apostrophes=apostrophes, kept=kept, notes=tuple(notes))
    letters = _fit_letters(evidence)
    words: dict[str, str] = {}
    for word in sorted(evidence.mixed):
        usual = _by_letters(word, script, letters)
        better = _by_words(word, usual, letters, evidence)
        if better != usual:
            words[word] = better
    return Repairs(
        script=script,
        apostrophes=apostrophes,
        kept=kept,
        letters=letters,
        words=words,
        readable=_fit_readable(evidence, letters),
        notes=tuple(notes),
    )


def _fit_apostrophes(evidence: Evidence, notes: list[str]) -> tuple[dict[str, str], str]:
    """Return the apostrophe by the letter before it, and the characters that must not be changed.

    One character is the apostrophe of the whole corpus: the most frequent. A letter before it has another where the common one is
    hardly ever found (less than `_EXCLUSIVE` of what its share in the same sources makes one expect), as Uzbek has one sign after o and g
    and another elsewhere; then letters with too little evidence are left alone. A modifier letter that also begins or ends words is a
    letter of the language (ʻokina, ejectives).
    """
    total: Counter[str] = Counter()
    sources: dict[str, Counter[str]] = {}
    contexts: dict[str, Counter[str]] = {}
    by_source: dict[str, Counter[str]] = {}
    for key, count in sorted(evidence.apostrophes.items()):
        source, pair = key.rsplit("\t", 1)
        letter, character = pair[:-1], pair[-1]
        total[character] += count
        sources.setdefault(source, Counter())[character] += count
        contexts.setdefault(letter, Counter())[character] += count
        by_source.setdefault(letter, Counter())[source] += count
    if total.total() < _MIN_CONTEXT:
        return {}, ""
    kept = "".join(c for c in sorted(total) if evidence.edges[c] >= max(5, _AT_EDGES * (total[c] + evidence.edges[c])))
    common, count = min(total.items(), key=lambda item: (-item[1], item[0]))
    seen = ", ".join(f"{c} {n:,}" for c, n in total.most_common())
    if kept:
        notes.append(f"letters of the language, never changed: {' '.join(kept)}")
    if 2 * count < total.total():
        notes.append(f"no apostrophe is written in most words ({seen}): all stay as they are")
        return {}, kept
    chosen: dict[str, str] = {}
    for letter, counts in sorted(contexts.items()):
        expected = sum(n * sources[source][common] / sources[source].total() for source, n in by_source[letter].items())
        if expected >= _MIN_CONTEXT and counts[common] < _EXCLUSIVE * expected:
            chosen[letter] = min(counts.items(), key=lambda item: (-item[1], item[0]))[0]
    if not chosen:
        notes.append(f"the apostrophe is {common} ({seen})")
        return {"": common}, kept
    chosen |= {a: common for a in sorted(contexts) if a not in chosen and contexts[a][common] >= _MIN_CONTEXT}
    notes.append(f"the apostrophe depends on the letter before it: {' '.join(a + b for a, b in sorted(chosen.items()))} ({seen})")
    return chosen, kept


def _fit_letters(evidence: Evidence) -> dict[str, dict[str, str]]:
    """Return for every two scripts the twins that the corpus writes more often itself than their look-alikes inside mixed words."""
    own: Counter[str] = Counter()
    for word, count in evidence.words.items():
        if len(scripts_of(word)) == 1:
            for letter in word:
                own[letter] += count
    scale = evidence.num_characters / max(1, evidence.num_sampled)
    strange: Counter[tuple[str, str]] = Counter()
    for word, count in evidence.mixed.items():
        scripts = scripts_of(word)
        for letter in set(word):
            strange.update({(letter, script): count for script in scripts})
    letters: dict[str, dict[str, str]] = {}
    for source in SCRIPTS:
        for target in SCRIPTS:
            chosen = {}
            for letter, candidates in sorted(twins(source, target).items()):
                best = max(candidates, key=lambda candidate: own[candidate])
                if own[best] and own[best] * scale > strange[letter, target]:
                    chosen[letter] = best
            if chosen:
                letters[f"{source}>{target}"] = chosen
    return letters


def _spelled(word: str, target: str, letters: Mapping[str, Mapping[str, str]]) -> str:
    """Return a word in one script, "" where a letter has no twin in it."""
    spelled = []
    for letter in word:
        script = script_of(letter)
        if not script or script == target:
            spelled.append(letter)
            continue
        table = letters.get(f"{script}>{target}", {})
        base, *marks = unicodedata.normalize("NFD", letter)
        if letter not in table and base not in table:
            return ""
        spelled.append(table.get(letter) or table[base] + "".join(marks))
    return unicodedata.normalize("NFC", "".join(spelled))


def _by_letters(word: str, script: str, letters: Mapping[str, Mapping[str, str]]) -> str:
    """Return a mixed word in the language's script where it may be a slip of the keyboard, else as it is.

    A capital acronym or a stem with an ending of the other script (`ITшнік`, `Cocaй`) is meant so: it has one seam, and two or more
    letters before it that are capitals, or as many strange letters as own ones.
    """
    counts = scripts_of(word)
    if script not in counts:
        return word
    strange = sum(counts.values()) - counts[script]
    parts = ["" if not (found := script_of(letter)) else found for letter in word]
    parts = [part for part in parts if part]
    seams = sum(a != b for a, b in pairwise(parts))
    if seams == 1 and strange > 1:
        stem = word[:strange] if parts[0] != script else word[-strange:]
        if strange >= counts[script] or (stem.isupper() and not word.isupper()):
            return word
    elif strange > counts[script]:
        return word
    return _spelled(word, script, letters) or word


def _by_words(word: str, usual: str, letters: Mapping[str, Mapping[str, str]], evidence: Evidence) -> str:
    """Return the spelling in one script that the corpus itself has most often, the usual one where it has none."""
    spellings = [spelled for script in scripts_of(word) if (spelled := _spelled(word, script, letters))]
    known = {spelled: evidence.words[spelled] + evidence.words[spelled.lower()] for spelled in spellings}
    best = max(sorted(known), key=lambda spelled: known[spelled], default=usual)
    return best if known.get(best) else usual


def _fit_readable(evidence: Evidence, letters: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return the words of one script that are to be read in another where their place asks for it.

    The corpus must have the word in the text's script at least as often; a number or an acronym in capitals, twice as often.
    """
    scale = evidence.num_characters / max(1, evidence.num_sampled)
    chosen = {}
    for word, count in sorted(evidence.fitting.items()):
        for script in SCRIPTS:
            spelled = _spelled(word, script, letters) if script not in scripts_of(word) else ""
            if not spelled:
                continue
            if len(word) > 1 and (word.isupper() or is_roman_numeral(word)):
                enough = evidence.words[spelled] * scale >= 2 * (count + evidence.elsewhere[word])
            else:
                known = evidence.words[spelled] + evidence.words[spelled.lower()]
                enough = known > 0 and known * scale >= count
            if enough:
                chosen[f"{script} {word}"] = spelled
    return chosen


def repair(text: str, repairs: Repairs) -> tuple[str, Mapping[str, int]]:
    """Return the repaired text, and how many characters were changed: `apostrophes`, `homoglyphs`, those that occur."""
    changed: dict[str, int] = {}
    if repairs.apostrophes:
        text, count = _repair_apostrophes(text, repairs)
        if count:
            changed["apostrophes"] = count
    if repairs.letters:
        text, count = _repair_letters(text, repairs)
        if count:
            changed["homoglyphs"] = count
    return text, changed


def _repair_apostrophes(text: str, repairs: Repairs) -> tuple[str, int]:
    common = repairs.apostrophes.get("", "")
    changeable = [c for c in APOSTROPHES if c != common and c not in repairs.kept and c in text]
    if not changeable:
        return text, 0
    count = 0
    parts: list[str] = []
    done = 0
    for match in regex.finditer(f"[{''.join(changeable)}]", text):
        index = match.start()
        before, after = text[index - 1 : index], text[index + 1 : index + 2]
        if before.isalpha() and after.isalpha() and not UNSPACED_LETTER.match(before) and not UNSPACED_LETTER.match(after):
            wanted = common or repairs.apostrophes.get(before.lower()[:1], match.group())
            if wanted != match.group():
                parts += [text[done:index], wanted]
                done = index + 1
                count += 1
    return "".join([*parts, text[done:]]), count


def _repair_letters(text: str, repairs: Repairs) -> tuple[str, int]:
    count = done = 0
    parts: list[str] = []
    for suspect in suspects(text):
        word = suspect.word
        if suspect.mixed:
            spelled = repairs.words.get(word) or _by_letters(word, repairs.script, repairs.letters)
        else:
            spelled = repairs.readable.get(f"{suspect.script} {word}", word) if suspect.fits else word
        if spelled != word:
            parts += [text[done : suspect.start], spelled]
            done = suspect.start + len(word)
            count += sum(a != b for a, b in zip(word, spelled, strict=False))
    return "".join([*parts, text[done:]]), count
