"""Translators: what they must do, and those that come with rodna."""

from rodna.benchmark.translators.contract import Translator, TranslatorFactory, is_mask, mask, open_translator

__all__ = ["Translator", "TranslatorFactory", "is_mask", "mask", "open_translator"]
