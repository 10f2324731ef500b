"""Finding text that is there more than once: whole documents, near copies, lines and passages."""
