"""Contract tests for plugin authors: each raises `AssertionError`, saying what a plugin must do that this one does not."""

from rodna.testing.extractors import check_extractor
from rodna.testing.steps import check_step
from rodna.testing.translators import check_translator

__all__ = ["check_extractor", "check_step", "check_translator"]
