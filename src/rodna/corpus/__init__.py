"""Raw files to documents to a clean corpus with a held-out split. Never imports torch."""
