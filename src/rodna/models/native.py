"""Our own checkpoint format, for models that no published family holds: `config.json` with our fields, tensors under our names.

Only rodna opens such a folder. To release what it has learned, distill it into a family's model.
"""

from collections.abc import Mapping
from typing import Any

import torch
from pydantic import ValidationError

from rodna.core.errors import ModelError
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.models.hf import Name

MODEL_TYPE = "rodna"
_OTHERS = ("model_type", "format_version", "bos_token_id", "eos_token_id", "pad_token_id", "dtype")
FORMAT_VERSION = 1


def to_config_json(config: ModelConfig, *, end_of_text_id: int) -> dict[str, Any]:
    """Return the `config.json` of our own format: every field of the configuration under its name."""
    ends = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), end_of_text_id)
    return {"model_type": MODEL_TYPE, "format_version": FORMAT_VERSION, **config.model_dump(mode="json"), **ends}


def from_config_json(values: Mapping[str, Any]) -> ModelConfig:
    """Return the configuration that a `config.json` of our own format holds.

    Raises:
        ModelError: a newer format, unknown fields or values that make no sense; all at once.
    """
    version = values.get("format_version")
    if version != FORMAT_VERSION:
        raise ModelError(f"this model has format version {version!r}, this rodna reads {FORMAT_VERSION}", fix="update rodna")
    try:
        return ModelConfig.model_validate({key: value for key, value in values.items() if key not in _OTHERS})
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'shape'}: {item['msg']}" for item in error.errors())
        raise ModelError(f"config.json describes no possible model: {problems}", fix="copy config.json anew from where it came") from error


def names(config: ModelConfig) -> list[Name]:
    """Return every tensor of this configuration's checkpoint, under the decoder's own names; a tied head is not stored."""
    with torch.device("meta"):
        decoder = Decoder(config)
    return [Name(name, (name,)) for name, _ in decoder.named_parameters()]
