"""Documents by the label that the language identifier gave them."""

import random
from collections import Counter
from collections.abc import Sequence

import numpy as np

from rodna.core.artifact import Artifact
from rodna.core.errors import CorpusError
from rodna.corpus.passes.select import ids_of
from rodna.corpus.signals import Signals

MIXED, UNKNOWN = "mixed", "unknown"
MAX_IDS = 100_000


def ids_labelled(cleaned: Artifact, labels: Sequence[str], label: str) -> set[str]:
    """Return the ids of documents with a label; of more than `MAX_IDS`, so many chosen at random.

    Args:
        cleaned: the artifact.
        labels: of the identifier, in its order.
        label: one of them, `mixed` for documents that switch languages, or `unknown` for those whose language could not be told.

    Raises:
        CorpusError: no document has it; the message names the labels there are.
    """
    signals = Signals.open(cleaned.path)
    wanted = labels.index(label) if label in labels else -1
    generator = random.Random(0)
    found: list[str] = []
    seen = 0
    present: Counter[str] = Counter()
    for shard in signals.shards:
        rows = signals.rows(shard)
        numbers = rows["label"].astype(np.int64)
        for number, count in enumerate(np.bincount(numbers + 1, minlength=1).tolist()):
            present[labels[number - 1] if number else UNKNOWN] += count
        present[MIXED] += int(rows["mixed"].sum())
        here = np.asarray(rows["mixed"]) if label == MIXED else numbers == wanted if label == UNKNOWN or wanted >= 0 else np.zeros(0, bool)
        ids = ids_of(signals, shard) if here.any() else []
        for place in np.flatnonzero(here).tolist():
            # Algorithm R, as in `inspect.Reservoir`, without the order, which does not matter here.
            seen += 1
            if len(found) < MAX_IDS:
                found.append(ids[place])
            elif (other := generator.randrange(seen)) < MAX_IDS:
                found[other] = ids[place]
    if not found:
        listed = ", ".join(f"{name} ({count:,})" for name, count in present.most_common() if count)
        raise CorpusError(f"no document is labelled {label!r}", where="--language", fix=f"there are: {listed}")
    return set(found)
