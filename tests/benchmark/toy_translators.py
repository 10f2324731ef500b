"""Translators for tests: a letter of one script for a letter of another, and ways to get that wrong."""

from collections.abc import Callable, Sequence
from pathlib import Path

from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.errors import TranslationError
from rodna.benchmark.translators import is_mask

LATIN = "abcdefghijklmnopqrstuvwxyz"
CYRILLIC = "абвгдеёжзийклмнопрстуўфхцч"
THERE, BACK = str.maketrans(LATIN, CYRILLIC), str.maketrans(CYRILLIC, LATIN)


class Cipher:
    """Writes `en` in the letters of `be`, and back; counts what it is asked."""

    def __init__(self, name: str = "cipher", *, batch_size: int = 7, concurrency: int = 1, version: str = "1") -> None:
        self.name, self.batch_size, self.concurrency, self._version = name, batch_size, concurrency, version
        self.asked: list[str] = []
        self.calls = 0

    def version(self, source: str, target: str) -> str:
        if {source, target} != {"en", "be"}:
            raise TranslationError(f"no {source}-{target}", where=self.name, fix="ask for en and be")
        return self._version

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        self.calls += 1
        self.asked += texts
        return [self.spoil(text.lower().translate(THERE if target == "be" else BACK), text, target) for text in texts]

    def spoil(self, translation: str, text: str, target: str) -> str:
        """Change a translation for the worse; the plain cipher does not."""
        return translation


class Spoiling(Cipher):
    """A cipher with a mistake."""

    def __init__(self, mistake: Callable[[str, str, str], str], name: str = "spoiling") -> None:
        super().__init__(name)
        self._mistake = mistake

    def spoil(self, translation: str, text: str, target: str) -> str:
        return self._mistake(translation, text, target)


class Unreliable(Cipher):
    """Fails on calls with certain words, as a server may."""

    def __init__(self, *words: str, name: str = "unreliable") -> None:
        super().__init__(name)
        self.words = words

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        if any(word in text for text in texts for word in self.words):
            self.calls += 1
            raise TranslationError("the server answered 500", where=self.name, fix="try again")
        return super().translate(texts, source, target)


def loses_numbers_unless_masked(translation: str, text: str, target: str) -> str:
    return "".join("" if character.isdigit() else character for character in translation) if target == "be" else translation


def loses_masks(translation: str, text: str, target: str) -> str:
    return "".join(character for character in translation if not is_mask(character)) if target == "be" else translation


def copies(translation: str, text: str, target: str) -> str:
    return text if target == "be" else translation


def make_cipher(where: str, config: BenchmarkConfig, folder: Path) -> Cipher:
    return Cipher(where or "cipher")
