"""Tasks: what a model is asked beside the held-out text, one kind a file."""
