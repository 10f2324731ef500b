"""A folder's text as a corpus, its tokenizer and its tokens, made once by rodna's own stages and kept."""

from pathlib import Path

from rodna.core.artifact import MANIFEST, Artifact
from rodna.corpus.build import build_corpus
from rodna.corpus.config import CorpusConfig, Source
from rodna.data.config import DataConfig
from rodna.data.tokens import write_tokens
from rodna.tokenizer.config import TokenizerConfig
from rodna.tokenizer.train import train_tokenizer


def prepare_text(language: str, folder: Path, work: Path, vocabulary_size: int) -> tuple[Artifact, Artifact, Artifact]:
    """Make corpus, tokenizer and tokens, or open those made before.

    Args:
        language: of the text.
        folder: with the text, in sections of about 2 KB.
        work: everything is kept in a folder of its own in here.
        vocabulary_size: of the tokenizer.
    """
    base = work / f"{language}-{folder.name}-{vocabulary_size}"
    if not (base / "tokens" / MANIFEST).is_file():
        source = Source(path=str(folder.resolve()), document="section", section_bytes=2048)
        corpus = build_corpus({"text": source}, CorpusConfig(), base / "corpus", language=language, root=base)
        tokenizer = train_tokenizer(corpus, TokenizerConfig(vocabulary_size=vocabulary_size), base / "tokenizer")
        write_tokens(corpus, tokenizer, DataConfig(), base / "tokens")
    corpus, tokenizer, tokens = (Artifact.open(base / kind, kind=kind) for kind in ("corpus", "tokenizer", "tokens"))
    return corpus, tokenizer, tokens
