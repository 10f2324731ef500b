"""A text that is read again is cut into other tokens, as BPE-dropout cuts it, and still spells the same."""

import math
import random
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from tokenizers import Tokenizer as Engine
from tokenizers import decoders, models, pre_tokenizers, trainers

from rodna.core.errors import TrainError
from rodna.data.curriculum import AS_IT_IS, make_batches, varied
from rodna.data.segmentations import LONGEST_WORD, VARIANTS, Merges, Segmentations, segmentations_for
from rodna.data.tokens import Tokens
from rodna.tokenizer.tokenizer import Tokenizer
from rodna.train.config import TrainValues

LETTERS = "абвгдеёжз"
END = "<|endoftext|>"


def documents_of(number: int, *, seed: int) -> list[str]:
    source = random.Random(seed)
    words = ["".join(source.choices(LETTERS, k=source.randint(1, 7))) for _ in range(60)]
    return [" ".join(source.choices(words, k=source.randint(1, 40))) + "." for _ in range(number)]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    return documents_of(60, seed=1)


@pytest.fixture(scope="module")
def tokenizer(texts) -> Tokenizer:
    engine = Engine(models.BPE())
    engine.pre_tokenizer, engine.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    engine.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=420, initial_alphabet=alphabet, special_tokens=[END], show_progress=False)
    )
    return Tokenizer(engine)


def tokens_of(encoded: list[list[int]], tokenizer: Tokenizer) -> Tokens:
    ended = [[*document, tokenizer.end_of_text_id] for document in encoded]
    offsets = np.cumsum([0, *map(len, ended)]).astype(np.int64)
    sizes = np.array([sum(len(tokenizer.token_bytes(token)) for token in document) for document in encoded], np.int64)
    return Tokens(np.concatenate(ended).astype("<u2"), offsets, sizes, tokenizer.end_of_text_id, tokenizer.vocabulary_size)


@pytest.fixture(scope="module")
def tokens(texts, tokenizer) -> Tokens:
    return tokens_of(tokenizer.encode_batch(texts), tokenizer)


def spelled(tokens: Tokens, tokenizer: Tokenizer) -> list[str]:
    """Return the documents' texts; every one must end with its end, and hold no other."""
    found = []
    for start, end in zip(tokens.offsets[:-1], tokens.offsets[1:], strict=True):
        *document, last = tokens.tokens[start:end].tolist()
        assert last == tokens.end_of_text_id not in document
        found.append(tokenizer.decode(document))
    return found


def test_every_epoch_spells_the_same_documents_in_other_tokens(tokens, texts, tokenizer):
    segmentations = Segmentations(tokens, Merges.of(tokenizer, tokens.vocabulary_size), dropout=0.2, seed=1)
    epochs = [segmentations.epoch(number) for number in range(3)]
    for epoch in epochs:
        assert spelled(epoch, tokenizer) == texts
        assert np.array_equal(epoch.document_bytes, tokens.document_bytes)
        assert epoch.num_tokens > tokens.num_tokens
    assert len({epoch.tokens.tobytes() for epoch in epochs}) == 3


def test_what_is_drawn_depends_on_the_seed_and_the_epoch_alone(tokens, tokenizer):
    merges = Merges.of(tokenizer, tokens.vocabulary_size)

    def drawn(seed: int, epoch: int) -> bytes:
        return Segmentations(tokens, merges, dropout=0.2, seed=seed).epoch(epoch).tokens.tobytes()

    assert drawn(1, 4) == drawn(1, 4)
    assert drawn(1, 4) != drawn(2, 4)


@pytest.mark.parametrize("wider", [0, 50])
def test_without_dropout_the_merges_give_back_the_tokenizer_s_own_tokens(tokens, tokenizer, wider):
    merges = Merges.of(tokenizer, tokens.vocabulary_size + wider)
    epoch = Segmentations(tokens, merges, dropout=0.0, seed=1).epoch(0)
    assert epoch.tokens.tolist() == tokens.tokens.tolist()
    assert epoch.offsets.tolist() == tokens.offsets.tolist()


def dropped(atoms: list[int], ranks: dict[tuple[int, int], tuple[int, int]], dropout: float, source: random.Random) -> tuple[int, ...]:
    """Algorithm 1 of the paper: at every step each pair is left out with a probability, and the first of the others is joined."""
    symbols = list(atoms)
    while True:
        offered = [(ranks[pair][0], place) for place, pair in enumerate(pairwise(symbols)) if pair in ranks and source.random() >= dropout]
        if not offered:
            return tuple(symbols)
        _, place = min(offered)
        symbols[place : place + 2] = [ranks[symbols[place], symbols[place + 1]][1]]


def test_words_are_cut_as_often_in_each_way_as_the_paper_s_algorithm_cuts_them(tokens, tokenizer):
    merges, times, source = Merges.of(tokenizer, tokens.vocabulary_size), 20_000, random.Random(0)
    ranks = {(left, right): (rank, whole) for rank, (left, right, whole) in enumerate(tokenizer.merges)}
    longest = max((text for text in documents_of(60, seed=1)[0].split()), key=len)
    for word in (longest, f" {longest}", f" {longest[:3]}"):
        atoms = np.concatenate([merges.atoms[merges.first_V[token] : merges.first_V[token + 1]] for token in tokenizer.encode(word)])
        drawn, words = merges.join(np.tile(atoms, times), np.repeat(np.arange(times), len(atoms)), dropout=0.3, key=(7,))
        ours = Counter(tuple(part.tolist()) for part in np.split(drawn, np.flatnonzero(np.diff(words)) + 1))
        theirs = Counter(dropped(atoms.tolist(), ranks, 0.3, source) for _ in range(times))
        assert len(theirs) > 2
        # Half of the summed differences of the shares: about 0.018 for so many draws of one distribution, 0.1 where one drops 0.35.
        assert sum(abs(ours[way] - theirs[way]) for way in set(ours) | set(theirs)) / 2 / times < 0.035


def test_a_character_that_is_a_token_stays_whole(tokens, tokenizer):
    merges = Merges.of(tokenizer, tokens.vocabulary_size)
    letters = [tokenizer.encode(before + letter) for letter in LETTERS for before in ("", " ")]
    whole = {token for (token, *rest) in letters if not rest}
    assert len(whole) > 3
    for token in whole:
        assert merges.atoms[merges.first_V[token] : merges.first_V[token + 1]].tolist() == [token]
    epoch = Segmentations(tokens, merges, dropout=0.9, seed=1).epoch(0)
    assert epoch.num_tokens > 1.5 * tokens.num_tokens


def test_a_word_takes_several_ways_of_being_cut(tokenizer):
    word = tokenizer.encode(" " + documents_of(60, seed=1)[0].split()[0] * 2)
    tokens = tokens_of([word] * 200, tokenizer)
    epoch = Segmentations(tokens, Merges.of(tokenizer, tokens.vocabulary_size), dropout=0.5, seed=3).epoch(0)
    ways = {epoch.tokens[start:end].tobytes() for start, end in zip(epoch.offsets[:-1], epoch.offsets[1:], strict=True)}
    assert 2 < len(ways) <= VARIANTS


def test_a_word_that_the_tokenizer_would_not_cut_so_is_left_as_it_is(tokenizer):
    letters = [token for letter in "абвабв" for token in tokenizer.encode(letter)]
    assert letters != tokenizer.encode("абвабв")
    tokens = tokens_of([letters, tokenizer.encode("где где")], tokenizer)
    epoch = Segmentations(tokens, Merges.of(tokenizer, tokens.vocabulary_size), dropout=0.5, seed=1).epoch(0)
    assert epoch.tokens[: epoch.offsets[1]].tolist() == tokens.tokens[: tokens.offsets[1]].tolist()


def test_text_without_spaces_is_cut_too(tokenizer):
    text = "".join(documents_of(60, seed=1)).replace(" ", "").replace(".", "")
    tokens = tokens_of([tokenizer.encode(text)], tokenizer)
    assert tokens.num_tokens > 4 * LONGEST_WORD
    epoch = Segmentations(tokens, Merges.of(tokenizer, tokens.vocabulary_size), dropout=0.5, seed=1).epoch(0)
    assert spelled(epoch, tokenizer) == [text]
    assert epoch.num_tokens > 1.05 * tokens.num_tokens


def test_a_tokenizer_without_merges_is_refused(tmp_path, tokens):
    engine = Engine(models.BPE({symbol: number for number, symbol in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, []))
    engine.pre_tokenizer, engine.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    Tokenizer(engine).save(tmp_path)
    assert segmentations_for(tokens, tmp_path, dropout=0.0, seed=0) is None
    with pytest.raises(TrainError, match=r"no merges to leave out(.|\n)*train.bpe_dropout to 0"):
        segmentations_for(tokens, tmp_path, dropout=0.1, seed=0)


def test_the_last_epochs_of_a_training_read_the_tokenizer_s_own_tokens(tokens, tokenizer):
    segmentations = Segmentations(tokens, Merges.of(tokenizer, tokens.vocabulary_size), dropout=0.3, seed=1)
    values = TrainValues(
        steps=-(-12 * tokens.num_tokens // 64), batch_size=4, micro_batch_size=4, learning_rate=0.01, adam_learning_rate=0.01,
        weight_decay=0.1, warmup_steps=1, decay_fraction=0.4, checkpoint_activations=False, evaluations=1,
    )  # fmt: skip
    batches = make_batches(tokens, values, 16, segmentations=segmentations)
    seen = np.concatenate([batches.batch(n).targets_BT.numpy().ravel() for n in range(values.steps)])
    ends = np.flatnonzero(seen == tokens.end_of_text_id)
    late = ends[ends > (1 - AS_IT_IS) * len(seen) + segmentations.epoch(0).num_tokens]
    early = ends[ends < (1 - AS_IT_IS) * len(seen)]
    assert np.diff(late).mean() == pytest.approx(tokens.num_tokens / tokens.num_documents, rel=0.1)
    assert np.diff(early).mean() > np.diff(late).mean() * 1.05


@pytest.mark.parametrize(("passes", "own_from"), [(1.0, 0), (1.5, 1), (2.0, 1), (3.0, 2), (4.05, 3), (12.0, 9)])
def test_however_few_the_passes_some_of_them_read_the_tokenizer_s_own_tokens(tokens, tokenizer, passes, own_from):
    segmentations = Segmentations(tokens, Merges.of(tokenizer, tokens.vocabulary_size), dropout=0.1, seed=1)
    total, unique = round(passes * tokens.num_tokens), tokens.num_tokens
    read = [varied(segmentations, epoch, epoch * unique, total=total) for epoch in range(math.ceil(passes))]

    assert [epoch for epoch, found in enumerate(read) if found is tokens] == list(range(own_from, len(read)))
