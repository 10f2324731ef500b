import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from rodna.models.config import FAMILIES, ModelConfig
from rodna.models.decoder import Decoder
from rodna.plan.flops import flops_per_token

BATCH, LENGTH = 2, 24

# torch registers the formulas of its GPU kernels only; the CPU kernel computes the same products.
CPU_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: lambda q, k, v, *_, out_shape=None, **__: sdpa_flop_count(q, k, v),
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: (
        lambda grad, q, k, v, *_, out_shape=None, **__: sdpa_backward_flop_count(grad, q, k, v)
    ),
}


def config_of(family, **changes):
    heads = {"num_kv_heads": 2 if family in ("llama", "qwen3") else 4}
    shape = {"vocabulary_size": 96, "context_length": 32, "width": 32, "num_layers": 3, "num_heads": 4, "head_width": 8, "ffn_width": 72}
    traits = {"rotary_width": 4} if family == "gptj" else {}
    return ModelConfig.model_validate({**shape, **heads, **FAMILIES[family], **traits, **changes})


def counted(config, *, train, checkpoint=False, backend=SDPBackend.FLASH_ATTENTION):
    model = Decoder(config)
    model.checkpoint_activations = checkpoint
    tokens_BT = torch.zeros(BATCH, LENGTH, dtype=torch.int64)
    counter = FlopCounterMode(display=False, custom_mapping=CPU_ATTENTION)
    with sdpa_kernel(backend), counter, torch.set_grad_enabled(train):
        logits_BTV = model.logits(model(tokens_BT))
        if train:
            logits_BTV.float().square().sum().backward()
    return counter.get_total_flops() / (BATCH * LENGTH)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_forward_flops_are_exact(family):
    config = config_of(family)
    assert flops_per_token(config, sequence_length=LENGTH).forward == counted(config, train=False)


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize("tied", [False, True])
def test_training_flops_are_exact(family, tied):
    if family == "gptj" and tied:
        pytest.skip("GPT-J's head has a bias of its own and is never tied")
    config = config_of(family, tied_embeddings=tied)
    assert flops_per_token(config, sequence_length=LENGTH).training == counted(config, train=True)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_unfused_attention_costs_what_its_products_cost(family):
    config = config_of(family, num_kv_heads=4)
    expected = flops_per_token(config, sequence_length=LENGTH, fused_attention=False).training
    assert expected == counted(config, train=True, backend=SDPBackend.MATH)


@pytest.mark.parametrize("family", list(FAMILIES))
@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_activation_checkpointing_adds_exactly_the_blocks_forward(family, dropout):
    config = config_of(family, dropout=dropout, num_kv_heads=4)
    expected = flops_per_token(config, sequence_length=LENGTH, checkpoint_activations=True, fused_attention=not dropout)
    found = counted(config, train=True, checkpoint=True, backend=SDPBackend.MATH if dropout else SDPBackend.FLASH_ATTENTION)
    assert expected.training == found
    assert expected.model < found


STEPS = [
    {"attention_gates": True}, {"value_residual": "first_layer"}, {"value_residual": "embedding"}, {"unet_skips": True},
    {"residual_scalars": True}, {"logit_softcap": 5.0}, {"ffn": "relu2"}, {"layer_loops": 3},
    {"attention_gates": True, "value_residual": "embedding", "unet_skips": True, "residual_scalars": True, "layer_loops": 2},
]  # fmt: skip


@pytest.mark.parametrize("step", STEPS, ids=lambda step: "-".join(step))
def test_flops_with_an_architecture_step_are_exact(step):
    config = config_of("qwen3", num_layers=4, **step)
    found = flops_per_token(config, sequence_length=LENGTH)

    assert found.forward == counted(config, train=False)
    assert found.training == counted(config, train=True)


@pytest.mark.parametrize("step", [*STEPS, {"stochastic_depth": 0.2}], ids=lambda step: "-".join(step))
def test_activation_checkpointing_with_an_architecture_step_adds_exactly_what_is_done_again(step):
    config = config_of("qwen3", num_layers=4, **step)
    found = flops_per_token(config, sequence_length=LENGTH, checkpoint_activations=True)

    assert found.training == counted(config, train=True, checkpoint=True)


def test_the_context_length_is_the_default_sequence_length():
    config = config_of("qwen3")
    assert flops_per_token(config) == flops_per_token(config, sequence_length=32)
    assert flops_per_token(config) != flops_per_token(config, sequence_length=16)
