"""Menus and lists at a document's edges, where the language's own text has none."""
