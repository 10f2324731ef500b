"""What a translator is.

A plugin registers, in the entry-point group `rodna.translators`, a function that returns a `Translator` (`TranslatorFactory`).
`rodna.testing.check_translator` says whether that keeps to this contract.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from rodna.benchmark.config import BenchmarkConfig

FIRST_MASK, LAST_MASK = 0xE000, 0xF8FF
"""Characters of the private use area stand for what must not be translated: one for each protected span."""


class Translator(Protocol):
    """Translates texts that do not depend on each other.

    Attributes:
        name: of the program or model, for people and for the record.
        batch_size: texts it likes to be given at once.
        concurrency: calls it may be in at once; more than 1 means that `translate` may be called from several threads.
    """

    name: str
    batch_size: int
    concurrency: int

    def version(self, source: str, target: str) -> str:
        """Return what, beside name and languages, decides the translation: a digest of weights, rules and settings.

        Raises:
            TranslationError: it does not translate between these languages.
        """
        ...

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        """Translate texts of one line each.

        Args:
            texts: without line breaks or white space around them; masks (`mask`) stand for protected spans, and should come back.
            source: BCP-47 tag.
            target: BCP-47 tag.

        Returns:
            One translation for each text, in their order. A text's translation does not depend on the others.

        Raises:
            TranslationError: it could not; nothing of this call is kept, and it may be asked again.
        """
        ...


TranslatorFactory = Callable[[str, BenchmarkConfig, Path], Translator]
"""Takes what the user wrote after the name (`--translator NAME:WHERE`: a folder, an address, nothing), the settings, and a folder where
answers may be kept."""


def mask(number: int) -> str:
    """Return the character that stands for the protected span of this number."""
    return chr(FIRST_MASK + number)


def is_mask(character: str) -> bool:
    """Return whether a character stands for a protected span."""
    return FIRST_MASK <= ord(character) <= LAST_MASK


def open_translator(name: str, config: BenchmarkConfig, folder: Path) -> Translator:
    """Return the translator that `NAME` or `NAME:WHERE` names.

    Args:
        name: of the plugin, and what it is told.
        config: settings.
        folder: where it may keep answers.

    Raises:
        PluginError: no such translator is installed.
        TranslationError: it cannot be had as asked.
    """
    from rodna.core import registry

    plugin, _, where = name.partition(":")
    return registry.load("rodna.translators", plugin)(where, config, folder)
