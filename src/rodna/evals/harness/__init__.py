"""Running lm-evaluation-harness on any model, offline."""
