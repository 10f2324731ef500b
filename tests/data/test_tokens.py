"""Tokens on disk are what the tokenizer says, document by document, and say when they are damaged."""

import numpy as np
import pytest

from rodna.core.artifact import Artifact, create
from rodna.core.errors import ArtifactError
from rodna.corpus.documents import Document, JsonLinesWriter
from rodna.data import tokens as module
from rodna.data.config import DataConfig
from rodna.data.tokens import Tokens, write_split, write_tokens
from rodna.tokenizer.config import TokenizerConfig
from rodna.tokenizer.tokenizer import Tokenizer
from rodna.tokenizer.train import train_tokenizer

TEXTS = {"train": ["прывітанне, свет", "人人生而自由", "a<|endoftext|>b", "ñ\u0301\n\n"] * 5, "validation": ["свет"], "test": []}


@pytest.fixture
def stages(tmp_path):
    with create(tmp_path / "corpus", kind="corpus", format_version=1, inputs={}, config={}) as draft:
        for split, texts in TEXTS.items():
            with JsonLinesWriter(draft.path / f"{split}.jsonl.zst") as writer:
                for index, text in enumerate(texts):
                    writer.write(Document(f"{split}-{index}", text, "source", "und"))
    tokenizer = train_tokenizer(draft.result, TokenizerConfig(), tmp_path / "tokenizer")
    return draft.result, tokenizer, write_tokens(draft.result, tokenizer, DataConfig(), tmp_path / "tokens")


def test_every_document_is_its_tokens_and_an_end(stages):
    _, tokenizer, made = stages
    vocabulary = Tokenizer.load(tokenizer.path)
    for split, texts in TEXTS.items():
        tokens = Tokens.open(made.path, split)
        assert tokens.num_documents == len(texts)
        assert tokens.document_bytes.tolist() == [len(text.encode()) for text in texts]
        assert tokens.num_bytes == sum(len(text.encode()) for text in texts)
        assert tokens.num_tokens == len(tokens.tokens)
        for text, first, last in zip(texts, tokens.offsets[:-1], tokens.offsets[1:], strict=True):
            assert tokens.tokens[first:last].tolist() == [*vocabulary.encode(text), vocabulary.end_of_text_id]
        assert tokens.end_of_text_id == vocabulary.end_of_text_id
        assert tokens.vocabulary_size == vocabulary.vocabulary_size


def test_tokens_are_mapped_not_read(stages):
    tokens = Tokens.open(stages[2].path, "train")
    assert isinstance(tokens.tokens, np.memmap)
    assert tokens.tokens.dtype == np.dtype("<u2")


def test_some_of_the_documents_keep_their_tokens_bytes_and_order(stages):
    tokens = Tokens.open(stages[2].path, "train")
    chosen = tokens.only(np.array([3, 1]))
    rows = [tokens.tokens[tokens.offsets[number] : tokens.offsets[number + 1]].tolist() for number in (3, 1)]
    assert [chosen.tokens[first:last].tolist() for first, last in zip(chosen.offsets[:-1], chosen.offsets[1:], strict=True)] == rows
    assert chosen.document_bytes.tolist() == [len(TEXTS["train"][number].encode()) for number in (3, 1)]
    assert chosen.tokens.dtype == tokens.tokens.dtype
    assert (chosen.end_of_text_id, chosen.vocabulary_size) == (tokens.end_of_text_id, tokens.vocabulary_size)


def test_the_counts_are_in_the_manifest(stages):
    counts = Artifact.open(stages[2].path, kind="tokens").counts
    tokens = Tokens.open(stages[2].path, "train")
    assert counts["splits"]["train"] == {"num_documents": 20, "num_tokens": tokens.num_tokens, "num_bytes": tokens.num_bytes}


@pytest.mark.parametrize("dtype", ["<u2", "<u4"])
def test_batches_of_texts_join_seamlessly(stages, tmp_path, monkeypatch, dtype):
    monkeypatch.setattr(module, "BATCH_CHARACTERS", 10)
    tokenizer = Tokenizer.load(stages[1].path)
    write_split(iter(TEXTS["train"]), tokenizer, tmp_path, "split", dtype=dtype)
    written = np.fromfile(tmp_path / "split.bin", dtype=dtype)
    assert written.tolist() == Tokens.open(stages[2].path, "train").tokens.tolist()
    assert np.load(tmp_path / "split.offsets.npy").tolist() == Tokens.open(stages[2].path, "train").offsets.tolist()


def test_an_unknown_split_is_refused(stages):
    with pytest.raises(ArtifactError, match=r"no split 'dev' here(.|\n)*use one of: train, validation, test"):
        Tokens.open(stages[2].path, "dev")


def test_another_kind_of_artifact_is_refused(stages):
    with pytest.raises(ArtifactError, match="expected a tokens, found a corpus"):
        Tokens.open(stages[0].path, "train")


def test_damaged_tokens_say_so(stages):
    path = stages[2].path
    offsets = (path / "train.offsets.npy").read_bytes()
    (path / "train.offsets.npy").write_bytes(b"x" * len(offsets))
    with pytest.raises(ArtifactError, match=r"damaged artifact: the tokens of train cannot be read(.|\n)*fix: "):
        Tokens.open(path, "train")
    (path / "train.offsets.npy").write_bytes(offsets[:-8] + bytes(8))
    with pytest.raises(ArtifactError, match="the offsets of train do not fit its tokens"):
        Tokens.open(path, "train")
    (path / "train.bin").write_bytes(b"12")
    with pytest.raises(ArtifactError, match=r"train\.bin has 2 bytes, its manifest says"):
        Tokens.open(path, "train")
