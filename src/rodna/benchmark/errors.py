"""What can go wrong while a benchmark is translated."""

from rodna.core.errors import RodnaError


class BenchmarkError(RodnaError):
    """The benchmark cannot be read, translated or rebuilt."""


class TranslationError(BenchmarkError):
    """A translator cannot serve a pair of languages, or gave no usable answer."""
