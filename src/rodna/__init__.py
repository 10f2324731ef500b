"""rodna: from a folder of a language's own text to a language model its community owns."""

__version__ = "0.1.0"
