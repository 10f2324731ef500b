"""Minimal pairs for any language, from a treebank of it."""
