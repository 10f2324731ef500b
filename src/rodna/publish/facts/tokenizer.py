"""How text is cut into tokens."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rodna.core.artifact import Artifact
from rodna.core.errors import RodnaError
from rodna.corpus.documents import read_documents
from rodna.publish.facts.view import Number, amount, get, number, read_json, share
from rodna.tokenizer.config import MEASURES

EXAMPLE_CHARACTERS = 320
MIN_EXAMPLE_CHARACTERS = 40
MAX_EXAMPLES = 8
ALGORITHMS = {"bpe": "byte-pair encoding", "unigram": "unigram", "character": "characters"}


@dataclass(frozen=True)
class TokenizerFacts:
    """The section about the tokenizer."""

    lead: str
    numbers: list[Number]
    pieces: list[list[str]]
    piece_note: str


def tokenizer_facts(tokenizer: Artifact | None, corpus: Artifact | None) -> TokenizerFacts | None:
    """Return the section, None where there is no tokenizer."""
    if tokenizer is None:
        return None
    measures = read_json(tokenizer, MEASURES)
    measures = measures if isinstance(measures, dict) else {}
    vocabulary = get(measures, "vocabulary", default={})
    pieces, tokens, size = example(tokenizer, corpus)
    note = ""
    if pieces:
        note = f"{tokens:,} tokens for {size:,} bytes. A change of colour is a change of token; the colours mean nothing more."
        if sum(map(len, pieces)) < tokens:
            note += " Characters made of several tokens are shown in one colour."
    held_out = next((measures[split] for split in ("validation", "train") if isinstance(measures.get(split), dict)), {})
    return TokenizerFacts(_lead(vocabulary), _numbers(vocabulary, held_out), pieces, note)


def _lead(vocabulary: Mapping[str, Any]) -> str:
    lead = "The model reads and writes pieces of text, learned from the train split. All 256 bytes are among them: any text can be written."
    reason = str(vocabulary.get("reason") or "")
    return f"{lead} The size of the vocabulary: {reason}." if reason else lead


def _numbers(vocabulary: Mapping[str, Any], measures: Mapping[str, Any]) -> list[Number]:
    """Return the measures that there are; fertility means nothing where words cannot be counted."""
    shown: list[Number] = []
    if vocabulary.get("size"):
        name = ALGORITHMS.get(str(vocabulary.get("algorithm")), str(vocabulary.get("algorithm", "")))
        shown.append(Number(f"tokens in the vocabulary, {name}", f"{amount(vocabulary['size']):,.0f}"))
    wanted = (("bytes_per_token", "bytes per token"), ("characters_per_token", "characters per token"), ("fertility", "tokens per word"))
    shown += [Number(label, number(measures[key])) for key, label in wanted if amount(measures.get(key))]
    if "whole_character_share" in measures:
        shown.append(Number("of the text in tokens of whole characters", share(amount(measures["whole_character_share"]), 1)))
    return shown


def example(tokenizer: Artifact, corpus: Artifact | None) -> tuple[list[list[str]], int, int]:
    """Return the start of the held-out text, document by document, each cut into what its tokens say; and how many tokens and bytes.

    Tokens that hold part of a character are joined until they make whole ones. Empty where the text or the tokenizer cannot be read.
    """
    from rodna.tokenizer.tokenizer import Tokenizer

    if corpus is None:
        return [], 0, 0
    try:
        texts = _example_texts(corpus)
        encoder = Tokenizer.load(tokenizer.path)
        encoded = encoder.encode_batch(texts)
        pieces = [join_bytes([encoder.token_bytes(token) for token in ids]) for ids in encoded]
    except (RodnaError, OSError, ValueError):
        return [], 0, 0
    return pieces, sum(map(len, encoded)), sum(len(text.encode("utf-8")) for text in texts)


def _example_texts(corpus: Artifact) -> list[str]:
    """Return the beginnings of the first test documents, until there is enough to show something."""
    texts: list[str] = []
    left = EXAMPLE_CHARACTERS
    for document in read_documents(corpus.path, "test"):
        whole = " ".join(document.text[: EXAMPLE_CHARACTERS * 4].split())
        text = whole if len(whole) <= left else whole[:left].rpartition(" ")[0] or whole[:left]
        texts.append(text)
        left -= len(text)
        if left < MIN_EXAMPLE_CHARACTERS or len(texts) >= MAX_EXAMPLES:
            break
    return texts


def join_bytes(tokens: Sequence[bytes]) -> list[str]:
    """Return the text of tokens, those that hold part of a character joined with what follows."""
    pieces: list[str] = []
    pending = b""
    for token in tokens:
        pending += token
        try:
            piece = pending.decode("utf-8")
        except UnicodeDecodeError:
            continue
        if piece:
            pieces.append(piece)
        pending = b""
    return [*pieces, pending.decode("utf-8", "replace")] if pending else pieces
