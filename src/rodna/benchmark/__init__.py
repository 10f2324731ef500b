"""Translated benchmarks: every item translated, checked, and accepted, repaired or rejected with reasons."""
