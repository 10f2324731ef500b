"""From a treebank to balanced minimal pairs, with an account of every candidate."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from rodna.core.errors import EvaluationError
from rodna.evals.pairs.conllu import Malformed, Sentence, read_file
from rodna.evals.pairs.features import Agreement, Rule
from rodna.evals.pairs.forms import Forms
from rodna.evals.pairs.swap import Dropped, Pair, Swapper

FEATURES = ("Number", "Gender", "Case", "Person")
MAX_PER_LEMMA = 10
MAX_CHARACTERS = 1000
"""A longer sentence says more about memory than about agreement, and is slow to judge (ours)."""
MAX_SHOWN = 100
"""Malformed sentences that are listed; all are counted."""


@dataclass
class Account:
    """What became of what was read.

    Every sentence is read, malformed, a repetition or too long; every candidate is a pair or dropped for one reason.

    Attributes:
        dropped: UID -> reason -> candidates.
        pairs: UID -> pairs kept.
    """

    sentences: Counter[str] = field(default_factory=Counter)
    malformed: list[Malformed] = field(default_factory=list)
    candidates: Counter[str] = field(default_factory=Counter)
    dropped: dict[str, Counter[str]] = field(default_factory=dict)
    pairs: Counter[str] = field(default_factory=Counter)

    def drop(self, uid: str, reason: str) -> None:
        """Count one candidate that became no pair."""
        self.dropped.setdefault(uid, Counter())[reason] += 1


@dataclass(frozen=True)
class Made:
    """Pairs in order of UID and id, what agrees in the treebank, and the account."""

    pairs: list[Pair]
    rules: list[Rule]
    account: Account


def make_pairs(files: Sequence[Path], *, features: Sequence[str] = FEATURES, max_per_lemma: int = MAX_PER_LEMMA,
               more_forms: Sequence[Path] = ()) -> Made:  # fmt: skip
    """Make minimal pairs of a treebank's sentences; the same ones for the same files, in whatever order.

    The files are read twice: for forms and agreement, then for pairs.

    Args:
        files: CoNLL-U.
        features: those whose agreement is asked for.
        max_per_lemma: most pairs of one UID and one lemma.
        more_forms: CoNLL-U files of which only the inflected forms are used.

    Raises:
        EvaluationError: a file cannot be read, or no pair can be made.
    """
    account = Account()
    forms, agreement = Forms(), Agreement(features)
    for sentence in _sentences(files, account):
        forms.add(sentence)
        agreement.add(sentence)
    for sentence in _sentences(more_forms, Account()):
        forms.add(sentence)
    swapper = Swapper(forms, agreement)
    found: list[Pair] = []
    for sentence in _sentences(files, Account()):
        if len(sentence.text) > MAX_CHARACTERS:
            account.sentences["too_long"] += 1
            continue
        for item in swapper.pairs(sentence):
            account.candidates[item.UID] += 1
            if isinstance(item, Dropped):
                account.drop(item.UID, item.reason)
            else:
                found.append(item)
    pairs = _balance(found, account, max_per_lemma)
    if not pairs:
        raise nothing_made(account)
    return Made(pairs, agreement.rules(), account)


def nothing_made(account: Account) -> EvaluationError:
    """Return the error for a treebank that gives no pair."""
    reasons = sum(account.dropped.values(), Counter[str]()).most_common(3)
    named = ", ".join(f"{reason} {count:,}" for reason, count in reasons) or "no feature was seen to agree"
    return EvaluationError(
        f"no minimal pair can be made of {account.sentences['read']:,} sentences: {named}",
        where="TREEBANK",
        fix="give more of the treebank (its training part too): forms and agreement must be attested in it, with LEMMA, UPOS, FEATS, HEAD",
    )


def _sentences(files: Sequence[Path], account: Account) -> Iterator[Sentence]:
    """Yield every sentence once, and count the rest."""
    seen: set[bytes] = set()
    for file in sorted(files, key=lambda path: (path.name, str(path))):
        for item in read_file(file):
            if isinstance(item, Malformed):
                account.sentences["malformed"] += 1
                if len(account.malformed) < MAX_SHOWN:
                    account.malformed.append(item)
                continue
            digest = hashlib.sha256(item.text.encode()).digest()[:16]
            account.sentences["repeated" if digest in seen else "read"] += 1
            if digest not in seen:
                seen.add(digest)
                yield item


def _balance(found: list[Pair], account: Account, max_per_lemma: int) -> list[Pair]:
    """Return the pairs without repetitions and with at most so many of a lemma, chosen by their ids, which are as good as drawn."""
    kept: list[Pair] = []
    texts: set[tuple[str, str]] = set()
    of_lemma: Counter[tuple[str, str]] = Counter()
    for pair in sorted(found, key=lambda item: (item.id, item.UID)):
        text = (pair.sentence_good, pair.sentence_bad)
        if text in texts:
            account.drop(pair.UID, "same_pair")
        elif of_lemma[pair.UID, pair.lemma] == max_per_lemma:
            account.drop(pair.UID, "lemma_is_frequent")
        else:
            texts.add(text)
            of_lemma[pair.UID, pair.lemma] += 1
            account.pairs[pair.UID] += 1
            kept.append(pair)
    return sorted(kept, key=lambda item: (item.UID, item.id))
