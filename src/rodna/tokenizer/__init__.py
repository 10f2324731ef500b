"""Train, load, measure tokenizers."""
