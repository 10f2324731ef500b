"""The translation memory: what a translator has been asked is written down at once and never asked again."""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rodna.benchmark.errors import TranslationError
from rodna.benchmark.translators import Translator
from rodna.core.log import JsonLines, read_json_lines, say

GIVE_UP_AFTER = 5
"""Single texts that fail one after another before the rest is left for another run: the translator is gone."""


@dataclass(frozen=True)
class Failure:
    """Why there is no translation."""

    reason: str


Answer = str | Failure


class Memory:
    """Translations in an append-only file; a line cut short by a crash is ignored, and its text asked again.

    Args:
        path: of the file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._known = {
            record["key"]: record["translation"]
            for record in read_json_lines(path)
            if isinstance(record.get("key"), str) and isinstance(record.get("translation"), str)
        }
        self._file = JsonLines(path)

    def close(self) -> None:
        self._file.close()

    def translate(self, translator: Translator, texts: Sequence[str], source: str, target: str) -> dict[str, Answer]:
        """Return the translation of every text, or why there is none.

        A call that fails is made again in halves, so that one text that cannot be translated does not take others with it.

        Raises:
            TranslationError: the translator does not translate between these languages.
        """
        version = translator.version(source, target)
        keys = {text: key_of(translator.name, version, source, target, text) for text in dict.fromkeys(texts)}
        answers: dict[str, Answer] = {text: self._known[key] for text, key in keys.items() if key in self._known}
        open_texts = [text for text in keys if text not in answers]
        if not open_texts:
            return answers
        size = max(1, translator.batch_size)
        chunks = [open_texts[start : start + size] for start in range(0, len(open_texts), size)]
        asking = _Asking(self, translator, source, target, keys, len(open_texts))
        if translator.concurrency > 1:
            with ThreadPoolExecutor(translator.concurrency) as pool:
                futures: list[Future[dict[str, Answer]]] = [pool.submit(asking.chunk, chunk) for chunk in chunks]
                try:
                    for future in futures:
                        answers |= future.result()
                except BaseException:
                    pool.shutdown(wait=False, cancel_futures=True)
                    raise
        else:
            for chunk in chunks:
                answers |= asking.chunk(chunk)
        return answers

    def keep(self, key: str, text: str, translation: str) -> None:
        """Write a translation down."""
        self._known[key] = translation
        self._file.write({"key": key, "text": text, "translation": translation})


class _Asking:
    """One call of `Memory.translate`: what is asked, and how often it failed."""

    def __init__(self, memory: Memory, translator: Translator, source: str, target: str, keys: dict[str, str], total: int) -> None:
        import threading

        self._memory, self._translator, self._source, self._target = memory, translator, source, target
        self._keys, self._total = keys, total
        self._lock = threading.Lock()
        self._done, self._failed_in_a_row, self._last_said = 0, 0, 0

    def chunk(self, texts: Sequence[str]) -> dict[str, Answer]:
        """Ask for some texts, in halves where the call fails."""
        if self._failed_in_a_row >= GIVE_UP_AFTER:
            return dict.fromkeys(texts, Failure(f"not tried: {self._translator.name} had failed {GIVE_UP_AFTER} times in a row"))
        try:
            translations = self._ask(texts)
        except TranslationError as error:
            if len(texts) > 1:
                middle = len(texts) // 2
                return {**self.chunk(texts[:middle]), **self.chunk(texts[middle:])}
            with self._lock:
                self._failed_in_a_row += 1
            return {texts[0]: Failure(error.what)}
        with self._lock:
            self._failed_in_a_row = 0
            for text, translation in zip(texts, translations, strict=True):
                self._memory.keep(self._keys[text], text, translation)
            self._say(len(texts))
        return dict(zip(texts, translations, strict=True))

    def _ask(self, texts: Sequence[str]) -> list[str]:
        translations = self._translator.translate(texts, self._source, self._target)
        if len(translations) != len(texts):
            raise TranslationError(f"{self._translator.name} gave {len(translations)} translations of {len(texts)} texts")
        return translations

    def _say(self, num_texts: int) -> None:
        """Tell a person how far it is, about ten times."""
        self._done += num_texts
        if self._done - self._last_said >= self._total / 10 and self._total > self._translator.batch_size:
            self._last_said = self._done
            say(f"{self._translator.name} {self._source}-{self._target}: {self._done:,} of {self._total:,} texts")


def key_of(name: str, version: str, source: str, target: str, text: str) -> str:
    """Return the digest of all that decides a translation."""
    return hashlib.sha256(json.dumps([name, version, source, target, text], ensure_ascii=True).encode()).hexdigest()
