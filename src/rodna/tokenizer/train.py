"""Learn a tokenizer from a corpus."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rodna.core.artifact import Artifact, create
from rodna.core.errors import TokenizerError
from rodna.core.files import write_json
from rodna.core.text import human_bytes
from rodna.corpus.documents import read_documents
from rodna.tokenizer.config import MEASURES, NUM_BYTES, SMALLEST_VOCABULARY, SPECIAL_TOKENS, TokenizerConfig
from rodna.tokenizer.measure import measure
from rodna.tokenizer.patterns import PATTERNS, byte_alphabet
from rodna.tokenizer.plan import MULTIPLE, count_characters, frequent_characters, planned_vocabulary_size
from rodna.tokenizer.tokenizer import Tokenizer
from rodna.tokenizer.unigram import CANDIDATES, count_words, learn_unigram

__all__ = ["learn", "planned_vocabulary_size", "train_tokenizer"]

FORMAT_VERSION = 1
MEASURED_BYTES = 16_000_000
"""How much of each split the measures are taken on, at most."""


def train_tokenizer(corpus: Artifact, config: TokenizerConfig, out: Path) -> Artifact:
    """Learn a tokenizer from the training split, and measure it on the training and the validation split.

    The result is the same to the byte for the same text, whatever the number of threads.

    Raises:
        TokenizerError: there is no text, or the vocabulary is larger than the text supports.
    """
    with create(out, kind="tokenizer", format_version=FORMAT_VERSION, inputs={"corpus": corpus}, config=config) as draft:
        texts, num_bytes = sample(corpus.path, "train", config.sample_bytes)
        tokenizer, reason = learn(texts, config, num_bytes=num_bytes, where=str(corpus.path))
        tokenizer.save(draft.path)
        held_out, _ = sample(corpus.path, "validation", MEASURED_BYTES)
        results = {"train": measure(tokenizer, _about(texts, MEASURED_BYTES)), "validation": measure(tokenizer, held_out)}
        vocabulary = {"size": tokenizer.vocabulary_size, "algorithm": config.algorithm, "reason": reason}
        splits = {split: result.as_dict() for split, result in results.items()}
        write_json(draft.path / MEASURES, {"vocabulary": vocabulary, **splits})
        draft.counts.update(vocabulary_size=tokenizer.vocabulary_size, bytes_per_token=splits["validation"]["bytes_per_token"])
    return draft.result


def sample(corpus: Path, split: Any, limit_bytes: int) -> tuple[list[str], int]:
    """Return texts of a split: all of them, or about `limit_bytes` of whole documents chosen by a hash of their ids.

    Returns:
        The texts in the corpus' order, and the UTF-8 bytes of the whole split.
    """
    texts: list[str] = []
    sizes: list[tuple[str, int]] = []
    total = 0
    for document in read_documents(corpus, split):
        size = len(document.text.encode("utf-8"))
        total += size
        sizes.append((hashlib.sha256(document.id.encode("utf-8", "replace")).hexdigest(), size))
        if total <= limit_bytes:
            texts.append(document.text)
    if total <= limit_bytes:
        return texts, total
    texts.clear()
    chosen: set[str] = set()
    taken = 0
    for key, size in sorted(sizes):
        if taken >= limit_bytes:
            break
        chosen.add(key)
        taken += size
    keys = (key for key, _ in sizes)
    return [document.text for document, key in zip(read_documents(corpus, split), keys, strict=True) if key in chosen], total


def _about(texts: Sequence[str], limit_bytes: int) -> Sequence[str]:
    """Return every n-th text, so that about `limit_bytes` characters at most are left."""
    step = -(-sum(map(len, texts)) // limit_bytes) or 1
    return texts[::step]


def learn(texts: Sequence[str], config: TokenizerConfig, *, num_bytes: int = 0, where: str = "") -> tuple[Tokenizer, str]:
    """Learn a tokenizer from texts in memory.

    Args:
        texts: what to learn from.
        config: the `tokenizer` section.
        num_bytes: UTF-8 bytes of the whole training text, where `texts` are a sample of it.
        where: where the texts come from, for error messages.

    Returns:
        The tokenizer, and why its vocabulary has the size it has.

    Raises:
        TokenizerError: there is no text, or the vocabulary is larger than the text supports.
    """
    if not any(texts):
        raise TokenizerError("no text to learn a tokenizer from", where=where, fix="put text into the corpus' training split")
    if config.algorithm == "character":
        return _learn_characters(texts, config, where)
    if config.vocabulary_size != "planned":
        backend = _train(texts, config, config.vocabulary_size)
        supported = backend.get_vocab_size()
        if supported < config.vocabulary_size:
            raise _too_large(config.vocabulary_size, supported, texts, where)
        return Tokenizer(backend), "set by hand"
    num_characters = frequent_characters(count_characters(texts))
    size, reason = planned_vocabulary_size(num_bytes or _num_bytes(texts), num_characters=num_characters)
    backend = _train(texts, config, size)
    supported = backend.get_vocab_size()
    if supported < size:
        reason = "the text supports no more"
        # Rounding down to whole tiles would cost a tiny vocabulary too much.
        if supported >= 16 * MULTIPLE and supported % MULTIPLE:
            backend = _train(texts, config, supported // MULTIPLE * MULTIPLE)
    return Tokenizer(backend), reason


def _train(texts: Sequence[str], config: TokenizerConfig, size: int) -> Any:
    """Learn a byte-level vocabulary; what is returned may have fewer tokens than `size`."""
    model_size = size - len(SPECIAL_TOKENS)
    pattern = PATTERNS[config.split_pattern]
    if config.algorithm == "bpe":
        backend = _train_bpe(texts, pattern, model_size, config.min_frequency)
    else:
        candidates = _train_bpe(texts, pattern, model_size * CANDIDATES, config.min_frequency).get_vocab()
        backend = learn_unigram(count_words(texts, pattern), sorted(candidates), model_size, lambda model: _byte_level(model, pattern))
    _add_special_tokens(backend)
    return backend


def _train_bpe(texts: Sequence[str], pattern: str, size: int, min_frequency: int) -> Any:
    from tokenizers import models, trainers

    backend = _byte_level(models.BPE(), pattern)
    trainer = trainers.BpeTrainer(
        vocab_size=size, min_frequency=min_frequency, initial_alphabet=list(byte_alphabet()), show_progress=False, special_tokens=[]
    )
    backend.train_from_iterator(texts, trainer)
    return backend


def _byte_level(model: Any, pattern: str) -> Any:
    """Return the library's tokenizer around a model: cut at the pattern, write bytes as characters."""
    import tokenizers
    from tokenizers import decoders, pre_tokenizers

    backend: Any = tokenizers.Tokenizer(model)
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(tokenizers.Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=False, use_regex=False),
        ]
    )
    backend.decoder = decoders.ByteLevel()
    return backend


def _learn_characters(texts: Sequence[str], config: TokenizerConfig, where: str) -> tuple[Tokenizer, str]:
    """Make every frequent character a token, and every byte, for the others."""
    import tokenizers
    from tokenizers import decoders, models

    counts = count_characters(texts)
    # By frequency, ties by code point: the same for the same text.
    found = sorted((character for character, count in counts.items() if count >= config.min_frequency), key=lambda c: (-counts[c], c))
    supported = SMALLEST_VOCABULARY + len(found)
    size = supported if config.vocabulary_size == "planned" else config.vocabulary_size
    if size > supported:
        raise _too_large(size, supported, texts, where)
    kept = found[: size - SMALLEST_VOCABULARY]
    vocabulary = {f"<0x{byte:02X}>": byte for byte in range(NUM_BYTES)}
    vocabulary.update({character: NUM_BYTES + index for index, character in enumerate(kept)})
    backend: Any = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[], byte_fallback=True))
    backend.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    _add_special_tokens(backend)
    share = sum(counts[character] for character in kept) / counts.total()
    return Tokenizer(backend), f"{len(kept):,} characters cover {share:.2%} of the text; bytes stand for the others"


def _add_special_tokens(backend: Any) -> None:
    """Append the special tokens; outside the model's own vocabulary, no text can be encoded into them."""
    import tokenizers

    backend.add_special_tokens([tokenizers.AddedToken(text, special=True, normalized=False) for text in SPECIAL_TOKENS])


def _num_bytes(texts: Sequence[str]) -> int:
    return sum(len(text.encode("utf-8")) for text in texts)


def _too_large(size: int, supported: int, texts: Sequence[str], where: str) -> TokenizerError:
    return TokenizerError(
        f"the vocabulary is larger than the text supports: {size:,} tokens from {human_bytes(_num_bytes(texts))} of text",
        where=f"tokenizer.vocabulary_size{f', {where}' if where else ''}",
        fix=f"set tokenizer.vocabulary_size to {supported:,} or less, or to `planned`; or add text",
    )
