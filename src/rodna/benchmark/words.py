"""What the reasons and repairs in a translated benchmark mean, for people."""

WORDS = {
    "empty": "A text is empty.",
    "placeholders": "Formulas, markup, code or line breaks are not those of the source.",
    "numbers": "Numbers are not those of the source.",
    "length_ratio": "A text is unusually long or short for its source.",
    "untranslated": "A text stands as it does in the source.",
    "copied_words": "Many words of the source stand in the translation.",
    "language": "It does not look like the language wanted.",
    "options": "Options are missing.",
    "distinct_options": "Options can no longer be told apart.",
    "answer_key": "The right answer may no longer be the right one.",
    "round_trip": "Translated back, it is far from the source.",
    "agreement": "Two translators are far from agreeing.",
    "translator_failed": "The translator gave no answer.",
    "malformed": "The item cannot be read.",
    "missing_field": "A field is missing.",
    "empty_text": "A text of the source is empty.",
    "too_few_options": "The source has too few options.",
    "duplicated_options": "Options of the source are the same.",
    "answer_outside_options": "The right answer of the source is none of its options.",
    "human": "A person rejected it.",
    "second_translator": "The second translator's text was taken.",
    "numbers_masked": "It was translated again with its numbers hidden.",
    "unmasked": "It was translated again with nothing hidden.",
}
"""What a check's failing, another reason, or a repair means."""
