"""What can be evaluated: ours, Hugging Face's, a server's."""
