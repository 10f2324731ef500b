"""What a model writes, beside what people wrote."""
