"""A folder of signals made of a few texts, for the tests of what works on a whole corpus."""

import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rodna.corpus.deduplicate.exact import keys_of
from rodna.corpus.deduplicate.near import sketch
from rodna.corpus.deduplicate.passages import by_hash, lines_of, windows_of
from rodna.corpus.signals import IDENTITY, Signals, write_column, write_index


def signals_of(texts: Sequence[str], folder: Path, *, shard_documents: int = 7) -> Signals:
    """Write the rows and columns of texts, so many documents a shard."""
    shards = []
    for first in range(0, len(texts), shard_documents):
        part, name = list(texts[first : first + shard_documents]), f"{first:05}"
        rows = np.zeros(len(part), np.dtype(list(IDENTITY)))
        rows["key"] = keys_of(part)
        rows["size_bytes"] = [len(text.encode()) for text in part]
        rows["num_characters"] = [len(text) for text in part]
        columns = {"rows": rows, "sketches": sketch(part), "windows": by_hash(windows_of(part)), "lines": by_hash(lines_of(part))}
        for kind, values in columns.items():
            write_column(folder, name, kind, values)
        shards.append({"name": name, "documents": len(part)})
    write_index(folder, shards)
    return Signals.open(folder)


SCRIPTS = {
    "Belarusian": "ба ве гі до жу зы ка ле мі но пу ры са тэ ўх ца шы ча ск ль",
    "Khmer": "ក ខ គ ឃ ង ច ឆ ជ ឈ ញ ដ ឋ ឌ ឍ ណ ត ថ ទ ធ ន",
    "Yoruba": "ba dé fẹ̀ gbó hà jọ kú lẹ́ mi ńlá ọ́ pe rù ṣé tí wọn yà ẹni ohun ìwé",
}
CHINESE = (
    "我你佢係喺唔咁嘅啲咗嚟去食飲瞓行企坐講聽睇買賣開閂上落入出大細多少好壞新舊長短高低前後左右東南西北春夏秋冬山水火土木金日月星風雨雪"
)


def words_of(script: str, number: int, seed: int) -> list[str]:
    """Return invented words of one script; every character is one where there are no spaces."""
    source = random.Random(seed)
    if script == "Cantonese":
        return source.choices(CHINESE, k=number)
    syllables = SCRIPTS[script].split()
    return ["".join(source.choices(syllables, k=source.randint(1, 4))) for _ in range(number)]


def text_of(script: str, number: int, seed: int) -> str:
    """Return an invented text of so many words."""
    return ("" if script == "Cantonese" else " ").join(words_of(script, number, seed))
