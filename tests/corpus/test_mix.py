"""How much each source counts in the training text."""

import numpy as np
import pytest

from rodna.core.errors import CorpusError
from rodna.corpus.config import MixConfig
from rodna.corpus.mix import Effect, mix

SOURCES = ("bible", "news", "songs")


def corpus(*shares: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return sizes, sources, splits and keys of a training text with so many documents of some 500 bytes in each source."""
    source = np.repeat(np.arange(len(shares)), shares).astype(np.uint16)
    generator = np.random.default_rng(seed)
    sizes = generator.integers(100, 900, len(source))
    return sizes, source, np.zeros(len(source), dtype=np.uint8), generator.integers(0, 1 << 63, len(source)).astype(np.uint64)


def mixed(shares: tuple[int, ...], **settings: object) -> tuple[np.ndarray, dict[str, Effect]]:
    sizes, source, split, keys = corpus(*shares)
    repeats, effect = mix(sizes, source, split, keys, SOURCES[: len(shares)], MixConfig.model_validate(settings), 0)
    return repeats, {entry.source: entry for entry in effect}


def test_without_settings_every_document_is_written_once() -> None:
    repeats, effect = mixed((84, 10, 6))
    assert (repeats == 1).all()
    assert all(entry.bytes_after == entry.bytes_before and entry.documents_left_out == 0 for entry in effect.values())


def test_a_bible_of_84_percent_becomes_the_share_that_was_asked_for() -> None:
    _, effect = mixed((8400, 1000, 600), max_shares={"bible": 0.3})
    assert effect["bible"].share_before == pytest.approx(0.84, abs=0.01)
    assert effect["bible"].share_after == pytest.approx(0.3, abs=0.001)
    assert effect["news"].bytes_after == effect["news"].bytes_before
    assert effect["bible"].documents_left_out > 6000


def test_one_cap_for_all_sources_holds_for_each_of_them() -> None:
    _, effect = mixed((8400, 1000, 600), max_share=0.4)
    assert [round(effect[name].share_after, 2) for name in SOURCES] == [0.4, 0.37, 0.23]
    assert effect["songs"].bytes_after == effect["songs"].bytes_before


def test_caps_that_leave_no_room_keep_their_proportions_and_only_leave_out() -> None:
    _, effect = mixed((8400, 1000, 600), max_share=0.2)
    assert [round(effect[name].share_after, 2) for name in SOURCES] == [0.33, 0.33, 0.33]
    assert all(entry.bytes_after <= entry.bytes_before for entry in effect.values())


def test_weights_repeat_whole_documents_and_a_fraction_of_them_once_more() -> None:
    repeats, effect = mixed((1000, 1000, 1000), weights={"news": 2.5, "songs": 0.25})
    assert set(repeats[1000:2000].tolist()) == {2, 3}
    assert effect["news"].bytes_after == pytest.approx(2.5 * effect["news"].bytes_before, rel=0.002)
    assert effect["songs"].bytes_after == pytest.approx(0.25 * effect["songs"].bytes_before, rel=0.005)
    assert effect["songs"].documents_left_out == int((repeats[2000:] == 0).sum())


def test_a_weight_of_nothing_leaves_a_source_out() -> None:
    repeats, effect = mixed((10, 10), weights={"bible": 0})
    assert repeats.tolist() == [0] * 10 + [1] * 10
    assert effect["news"].share_after == 1


def test_alpha_raises_small_sources_up_to_the_most_repeats() -> None:
    _, effect = mixed((8100, 900, 100), alpha=0.5, max_repeats=4)
    # 9 times smaller: the square root of 9 times more; 81 times smaller: 9, but at most 4.
    assert effect["bible"].factor == 1
    assert effect["news"].factor == pytest.approx(3, rel=0.02)
    assert effect["songs"].factor == 4


def test_held_out_and_dropped_documents_are_not_mixed() -> None:
    sizes, source, split, keys = corpus(100, 100)
    split[:100:4], split[1:100:4], split[2:100:4] = 1, 2, 255
    repeats, (effect, _) = mix(sizes, source, split, keys, SOURCES[:2], MixConfig(weights={"bible": 0.0}), 0)
    assert (repeats[0:100:4] == 1).all()
    assert (repeats[1:100:4] == 1).all()
    assert (repeats[2:100:4] == 0).all()
    assert (repeats[3:100:4] == 0).all()
    assert effect.documents_before == 25


def test_the_choice_hardly_changes_when_the_corpus_grows_and_changes_with_the_seed() -> None:
    sizes, source, split, keys = corpus(1000)
    config = MixConfig(weights={"bible": 0.5})
    small, _ = mix(sizes[:900], source[:900], split[:900], keys[:900], SOURCES[:1], config, 0)
    large, _ = mix(sizes, source, split, keys, SOURCES[:1], config, 0)
    other, _ = mix(sizes, source, split, keys, SOURCES[:1], config, 1)
    assert (small != large[:900]).mean() < 0.05
    assert (other != large).mean() > 0.3


def test_the_choice_does_not_depend_on_the_order_of_documents() -> None:
    sizes, source, split, keys = corpus(500, 500)
    config = MixConfig(weights={"bible": 1.3}, max_shares={"news": 0.2})
    order = np.random.default_rng(1).permutation(1000)
    straight, effect = mix(sizes, source, split, keys, SOURCES[:2], config, 0)
    shuffled, again = mix(sizes[order], source[order], split[order], keys[order], SOURCES[:2], config, 0)
    assert (straight[order] == shuffled).all()
    assert effect == again


def test_a_source_without_training_text_stays_without() -> None:
    _, effect = mixed((10, 0, 10), alpha=0.3, max_share=0.6, weights={"news": 5.0})
    assert effect["news"].bytes_after == 0


@pytest.mark.parametrize("setting", ["weights", "max_shares"])
def test_a_setting_for_a_source_that_does_not_exist_is_refused(setting: str) -> None:
    with pytest.raises(CorpusError, match="no such source: bibel") as caught:
        mixed((10, 10), **{setting: {"bibel": 0.5}})
    assert (caught.value.where, caught.value.fix) == (f"corpus.mix.{setting}", "use names under `sources`: bible, news")


def test_weights_and_shares_out_of_range_are_refused_at_once() -> None:
    with pytest.raises(CorpusError, match=r"out of range: bible: -1.0, news: 1.5"):
        mixed((10, 10), weights={"bible": -1.0}, max_shares={"news": 1.5})


def test_weights_that_leave_no_training_text_are_refused() -> None:
    with pytest.raises(CorpusError, match="mixing leaves no training text") as caught:
        mixed((10, 10), weights={"bible": 0.0, "news": 0.0})
    assert caught.value.fix == "give one source a weight above 0"
