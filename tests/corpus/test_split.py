import numpy as np
import pytest

from rodna.core.errors import CorpusError
from rodna.corpus.config import SplitConfig
from rodna.corpus.deduplicate.exact import keys_of
from rodna.corpus.split import assign_splits, positions_of

CONFIG = SplitConfig(min_bytes=1000)


def splits_of(texts, sizes, seed=0, *, config=CONFIG, where=""):
    return assign_splits(positions_of(keys_of(texts), seed), np.asarray(sizes), config, where=where)


def bytes_of(splits, sizes):
    return [int(np.sum(np.asarray(sizes)[splits == index])) for index in range(3)]


def test_shares_are_kept_where_documents_are_many():
    sizes = [100] * 20_000
    train, validation, test = bytes_of(splits_of([f"t{i}" for i in range(20_000)], sizes), sizes)
    assert 0.045 < validation / 2e6 < 0.055
    assert 0.045 < test / 2e6 < 0.055
    assert train + validation + test == 2_000_000


def test_a_growing_corpus_keeps_its_held_out_documents_held_out():
    texts = [f"t{i}" for i in range(20_000)]
    before = splits_of(texts[:10_000], [100] * 10_000)
    after = splits_of(texts, [100] * 20_000)
    assert np.array_equal(before, after[:10_000])


def test_the_order_of_documents_does_not_matter_and_the_seed_does():
    texts, sizes = [f"t{i}" for i in range(3000)], [100] * 3000
    first = splits_of(texts, sizes)
    assert np.array_equal(first, splits_of(texts[::-1], sizes)[::-1])
    assert not np.array_equal(first, splits_of(texts, sizes, seed=1))


@pytest.mark.parametrize("seed", range(20))
def test_few_large_documents_still_fill_every_split_and_leave_most_to_train(seed):
    sizes = [100_000] * 20 + [3_000_000]
    splits = splits_of([f"t{i}" for i in range(21)], sizes, seed)
    train, validation, test = bytes_of(splits, sizes)
    assert splits[20] == 0
    assert min(validation, test) >= 100_000
    assert train >= 0.8 * sum(sizes)


def test_shares_of_nothing_hold_nothing_out():
    splits = splits_of(["a", "b"], [2000, 2000], config=SplitConfig(validation=0, test=0, min_bytes=1000))
    assert splits.tolist() == [0, 0]


def test_a_text_smaller_than_the_split_needs_is_refused_with_figures_and_a_fix():
    with pytest.raises(CorpusError) as error:
        splits_of(["a", "b", "c", "d"], [600] * 4, where="project.yaml, corpus.split")
    assert str(error.value) == (
        "too little text to hold any out: 4 documents, 2.4 kB; the split needs 3 kB at least\n"
        "  where: project.yaml, corpus.split\n"
        "  fix:   add text, or lower corpus.split.min_bytes (now 1,000) knowingly"
    )


def test_a_text_of_one_document_is_told_to_cut_it():
    with pytest.raises(CorpusError) as error:
        splits_of(["a"], [600_000])
    assert error.value.what == "too few documents to hold any out: 1 document, 600 kB; train, validation and test need 3 at least"
    assert error.value.fix.startswith("set `document: section` (or blank_line, line) for the source")


def test_documents_too_uneven_to_leave_anything_to_train_on_are_refused():
    with pytest.raises(CorpusError, match="no way to fill") as error:
        splits_of(["a", "b", "c"], [50_000, 200, 300])
    assert "set `document: section` with a smaller `section_bytes`" in error.value.fix
