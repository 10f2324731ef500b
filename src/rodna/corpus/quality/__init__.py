"""Which documents are clean running text, judged by thresholds fitted to the language's own text."""
