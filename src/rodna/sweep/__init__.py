"""Searching settings: short runs of many, longer runs of the best."""
