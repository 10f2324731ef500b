"""Drafts: translations of whole texts, line by line, with what must not change behind masks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from rodna.benchmark.memory import Answer, Failure, Memory
from rodna.benchmark.protect import Lines, Masked, protect, split_lines
from rodna.benchmark.translators import Translator

Masking = Literal["placeholders", "numbers", "nothing"]
"""What is behind masks: placeholders; numbers too; nothing, for translators that lose masks but keep what they stand for."""


@dataclass(frozen=True)
class Prepared:
    """A text ready to be translated."""

    masked: Masked
    lines: Lines

    @property
    def wanted(self) -> list[str]:
        """The lines that hold words."""
        return [body for body in self.lines.bodies if Masked(body, ()).has_words]

    def finish(self, answers: Mapping[str, Answer]) -> Answer:
        """Return the translated text, or the first failure of a line."""
        found: list[str] = []
        for body in self.lines.bodies:
            answer = answers.get(body, body)
            if isinstance(answer, Failure):
                return answer
            found.append(answer.strip())
        return self.masked.restore(self.lines.join(found))


def draft(memory: Memory, translator: Translator, texts: Sequence[str], source: str, target: str, masking: Masking) -> dict[str, Answer]:
    """Translate texts; what holds no words (a number, a formula) is returned as it is, and asked of nobody.

    Args:
        memory: where translations are kept.
        translator: who is asked.
        texts: of any number of lines; equal ones are translated once.
        source: BCP-47 tag.
        target: BCP-47 tag.
        masking: what is hidden from the translator.
    """
    prepared: dict[str, Prepared] = {}
    for text in dict.fromkeys(texts):
        masked = protect(text, numbers=masking == "numbers", spans=masking != "nothing")
        prepared[text] = Prepared(masked, split_lines(masked.text))
    wanted = list(dict.fromkeys(line for one in prepared.values() for line in one.wanted))
    answers = memory.translate(translator, wanted, source, target)
    return {text: one.finish(answers) for text, one in prepared.items()}
