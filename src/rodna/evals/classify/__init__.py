"""Classification of texts, such as sentiment or topic: what a model's knowledge is worth beside plain character n-grams."""
