"""For every text a first translation, and better ones in turn where it fails a check: how an item is repaired."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.draft import Masking, draft
from rodna.benchmark.memory import Answer, Failure, Memory
from rodna.benchmark.translators import Translator
from rodna.benchmark.validate import Check, LengthFit, check_empty, check_length, check_numbers, check_placeholders, fit_lengths


@dataclass(frozen=True)
class Translators:
    """Who translates.

    Attributes:
        first: whose translations are taken.
        second: whose translations are compared with them, and stand in where they fail; None: nobody.
        back: who translates back; None: nobody.
    """

    first: Translator
    second: Translator | None = None
    back: Translator | None = None


@dataclass(frozen=True)
class Candidate:
    """A translation of a text, and how it came about.

    Attributes:
        text: the translation, or why there is none.
        translator: its name.
        edits: what was done beyond the first attempt: `numbers_masked`, `unmasked`, `second_translator`.
        checks: of the text by itself.
        because: what was wrong with the first attempt, where this is another.
    """

    text: Answer
    translator: str
    edits: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    because: str = ""

    @property
    def is_good(self) -> bool:
        return isinstance(self.text, str) and not self.problems

    @property
    def problems(self) -> str:
        """What its checks, or its translator, complain about."""
        failed = [f"{check.name}: {check.detail}" for check in self.checks if check.passed is False]
        return self.text.reason if isinstance(self.text, Failure) else "; ".join(failed)


ATTEMPTS: tuple[tuple[Masking, tuple[str, ...]], ...] = (
    ("placeholders", ()),
    ("numbers", ("numbers_masked",)),
    ("nothing", ("unmasked",)),
)


@dataclass(frozen=True)
class Attempt:
    """A way to translate a text again, and what it is called."""

    translator: Translator
    masking: Masking
    edits: tuple[str, ...]


@dataclass
class Candidates:
    """Every text's candidates, made when they are needed."""

    memory: Memory
    translators: Translators
    config: BenchmarkConfig
    fit: LengthFit = field(default_factory=lambda: LengthFit(0.0, 0.0, 0.0, 0))
    first: dict[str, Answer] = field(default_factory=dict)
    second: dict[str, Answer] = field(default_factory=dict)

    def begin(self, texts: Sequence[str]) -> dict[str, Candidate]:
        """Return the first translator's candidates, and fit what lengths are usual to them."""
        self.first = self._draft(self.translators.first, texts, "placeholders")
        if self.translators.second is not None:
            self.second = self._draft(self.translators.second, texts, "placeholders")
        self.fit = fit_lengths([(text, answer) for text, answer in self.first.items() if isinstance(answer, str)], self.config.fence)
        return {text: self._judged(text, answer, self.translators.first, ()) for text, answer in self.first.items()}

    def repair(self, chosen: dict[str, Candidate]) -> dict[str, Candidate]:
        """Return the candidates with those that fail replaced by the next attempt that does not; where all fail, the first stays.

        A text that the first translator could not translate at all is not asked of it again: only of the second.
        """
        result = dict(chosen)
        for attempt in self._attempts():
            failing = [text for text, candidate in result.items() if not candidate.is_good]
            if attempt.translator is self.translators.first:
                failing = [text for text in failing if isinstance(result[text].text, str)]
            if not failing:
                continue
            answers = self._draft(attempt.translator, failing, attempt.masking)
            for text in failing:
                candidate = self._judged(text, answers[text], attempt.translator, attempt.edits)
                if candidate.is_good:
                    result[text] = replace(candidate, because=chosen[text].problems)
        return result

    def by_second(self, texts: Sequence[str]) -> dict[str, Candidate]:
        """Return the second translator's candidates that pass the checks of a text."""
        second = self.translators.second
        if second is None:
            return {}
        found = {text: self._judged(text, self.second[text], second, ("second_translator",)) for text in texts}
        return {text: candidate for text, candidate in found.items() if candidate.is_good}

    def back(self, translations: Sequence[str]) -> dict[str, Answer]:
        """Return translations into the source language; empty where nobody translates back."""
        if self.translators.back is None:
            return {}
        return draft(self.memory, self.translators.back, translations, self.config.language, self.config.source_language, "placeholders")

    def _attempts(self) -> list[Attempt]:
        found = [Attempt(self.translators.first, masking, edits) for masking, edits in ATTEMPTS[1:]]
        if self.translators.second is not None:
            found += [Attempt(self.translators.second, masking, ("second_translator", *edits)) for masking, edits in ATTEMPTS]
        return found

    def _draft(self, translator: Translator, texts: Sequence[str], masking: Masking) -> dict[str, Answer]:
        return draft(self.memory, translator, texts, self.config.source_language, self.config.language, masking)

    def _judged(self, source: str, answer: Answer, translator: Translator, edits: tuple[str, ...]) -> Candidate:
        if isinstance(answer, Failure):
            return Candidate(answer, translator.name, edits)
        checks = [check(source, answer) for check in SEGMENT_CHECKS]
        checks.append(check_length(source, answer, self.fit))
        wanted = tuple(check for check in checks if check.name not in self.config.ignore or check.passed is not False)
        ignored = tuple(check for check in checks if check not in wanted)
        return Candidate(answer, translator.name, edits, (*wanted, *(_ignored(check) for check in ignored)))


SEGMENT_CHECKS: tuple[Callable[[str, str], Check], ...] = (check_empty, check_placeholders, check_numbers)


def _ignored(check: Check) -> Check:
    return Check(check.name, None, check.value, f"ignored: {check.detail}")
