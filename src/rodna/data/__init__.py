"""Memory-mapped tokens and batches that are a pure function of their number."""
