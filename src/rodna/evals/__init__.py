"""Evidence: bits per byte, baselines, generation checks."""
