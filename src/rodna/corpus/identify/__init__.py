"""Which language a document is in, and its lines: identifiers, and the policy on what to drop.

`load_identifier` gives an `Identifier`; its `identify` judges texts, its rows go to `judge_language`.
"""

from rodna.corpus.identify.identifier import IDENTIFIED, Identifier, Scorer
from rodna.corpus.identify.judge import LANGUAGE_REASONS, explain_language, judge_language
from rodna.corpus.identify.load import identify_one, load_identifier

__all__ = [
    "IDENTIFIED",
    "LANGUAGE_REASONS",
    "Identifier",
    "Scorer",
    "explain_language",
    "identify_one",
    "judge_language",
    "load_identifier",
]
