"""Dropout drops the share it is told, keeps the expectation, and follows the seed."""

import pytest
import torch

from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.models.dropout import Dropout


@pytest.mark.parametrize("chance", [0.1, 0.25, 0.5])
def test_a_share_of_elements_is_dropped_and_the_rest_scaled_to_the_same_mean(chance):
    torch.manual_seed(0)
    dropout = Dropout(chance)

    found = dropout(torch.ones(400, 500), dropout.draw(400, 500))

    assert float((found == 0).float().mean()) == pytest.approx(chance, abs=0.005)
    assert float(found.mean()) == pytest.approx(1, abs=0.005)
    assert found.unique().numel() == 2


def test_every_bit_of_a_draw_is_random():
    torch.manual_seed(0)
    kept = Dropout(0.5).draw(100_000, 8).float().mean(0)
    # Each of the eight bytes of a draw decides about one column.
    assert torch.allclose(kept, torch.full((8,), 0.5), atol=0.01)
    assert Dropout(0.5).draw(3, 5, 7).shape == (3, 5, 7)


def test_nothing_is_dropped_outside_training():
    dropout = Dropout(0.9).eval()
    assert not dropout.draws(torch.ones(3))
    assert torch.equal(dropout(torch.ones(100)), torch.ones(100))
    assert torch.equal(Dropout(0.0)(torch.ones(100)), torch.ones(100))


def test_a_decoder_drops_embeddings_attention_and_feed_forward_by_the_seed():
    config = ModelConfig(vocabulary_size=20, context_length=8, width=16, num_layers=2, num_heads=1, num_kv_heads=1, head_width=16,
                         ffn_width=32, dropout=0.3)  # fmt: skip
    decoder, tokens = Decoder(config).initialize(seed=0).train(), torch.arange(16).reshape(2, 8)

    def run(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return decoder(tokens)

    assert torch.equal(run(1), run(1))
    assert not torch.equal(run(1), run(2))
    assert not torch.equal(run(1), decoder.eval()(tokens))
    # Drawn in this order: embeddings, then for each layer attention and feed-forward together.
    decoder.train()
    torch.manual_seed(1)
    masks = [decoder.dropout.draw(2, 8, 16), *(decoder.dropout.draw(2, 2, 8, 16) for _ in range(2))]
    assert all(0.6 < float(mask.float().mean()) < 0.8 for mask in masks)
    kept = decoder.dropout(decoder.embedding(tokens), masks[0])
    assert torch.equal(kept == 0, ~masks[0])
