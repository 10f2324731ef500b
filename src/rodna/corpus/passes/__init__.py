"""The three passes that make a corpus: extract, clean, write; each a function of one task, so that any runner can spread them."""
