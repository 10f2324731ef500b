"""Small texts in several scripts, tokenizers learned from them, and a corpus artifact."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from rodna.core.artifact import Artifact, create
from rodna.corpus.documents import Document, JsonLinesWriter
from rodna.tokenizer.config import TokenizerConfig
from rodna.tokenizer.tokenizer import Tokenizer
from rodna.tokenizer.train import learn

TEXTS = [
    "Усе людзі нараджаюцца свабоднымі і роўнымі ў сваёй годнасці і правах.",
    "人人生而自由，在尊嚴和權利上一律平等。",
    "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है।",
    "يولد جميع الناس أحرارًا متساوين في الكرامة والحقوق.",
    "Ẹnì kọ̀ọ̀kan ni a bí ní òmìnira pẹ̀lú iyì àti ẹ̀tọ́ kan náà.",
    "የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብርና በመብትም እኩልነት ያለው ነው።",
    "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
    "ߡߐ߱ ߓߍ߯ ߞߊߙߊߡߊ߫ ߓߟߏ߬ߟߊ߬ ߘߏ߲߬ߦߊ ߞߘߐ߫",
] * 4


@pytest.fixture(scope="session", params=["bpe", "unigram", "character"])
def tokenizer(request: pytest.FixtureRequest) -> Tokenizer:
    return learn(TEXTS, TokenizerConfig(algorithm=request.param))[0]


@pytest.fixture(scope="session")
def bpe() -> Tokenizer:
    return learn(TEXTS, TokenizerConfig())[0]


@pytest.fixture
def make_corpus(tmp_path: Path) -> Callable[..., Artifact]:
    def make(train: Sequence[str], validation: Sequence[str] = TEXTS[:2], test: Sequence[str] = TEXTS[2:4]) -> Artifact:
        with create(tmp_path / "corpus", kind="corpus", format_version=1, inputs={}, config={}) as draft:
            for split, texts in {"train": train, "validation": validation, "test": test}.items():
                with JsonLinesWriter(draft.path / f"{split}.jsonl.zst") as writer:
                    for index, text in enumerate(texts):
                        writer.write(Document(f"{split}-{index}", text, "source", "und"))
        return draft.result

    return make
