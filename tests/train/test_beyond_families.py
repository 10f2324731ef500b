"""A model that no published family holds is trained, saved and resumed as any other."""

import json

import pytest
import torch

from rodna.models import checkpoint
from rodna.train.objectives import next_token


@pytest.fixture
def model_config(model_config):
    steps = {"attention_gates": True, "value_residual": "first_layer", "unet_skips": True, "residual_scalars": True, "logit_softcap": 10.0,
             "ffn": "relu2", "layer_loops": 2, "stochastic_depth": 0.2}  # fmt: skip
    return model_config.model_copy(update=steps)


def test_resuming_after_a_crash_equals_never_stopping(tmp_path, make_run):
    whole = make_run(tmp_path / "whole")
    whole.go()
    broken = make_run(tmp_path / "broken")

    def crash_at_step_7(decoder, batch, **settings):
        if int(batch.slot_B[0]) >= 7 * broken.values.batch_size:
            raise MemoryError
        return next_token(decoder, batch, **settings)

    with pytest.raises(MemoryError):
        broken.go(objective=crash_at_step_7)
    again = make_run(tmp_path / "broken")

    # Saved with the evaluation after step 4.
    assert again.go().interruptions == 1
    for name, parameter in whole.decoder.state_dict().items():
        assert torch.equal(parameter, again.decoder.state_dict()[name]), name


def test_what_a_run_leaves_is_a_checkpoint_of_our_own_format(tmp_path, make_run, model_config):
    run = make_run(tmp_path)
    folder = run.folder.best(run.go())

    loaded, _ = checkpoint.load(folder)

    assert loaded.config == model_config
    assert json.loads((folder / "config.json").read_text())["model_type"] == "rodna"
