"""The `data` section of a project."""

from rodna.core.config import Section


class DataConfig(Section):
    """Tokens follow from the corpus and the tokenizer, and batches from the training settings: there is nothing to choose yet."""
