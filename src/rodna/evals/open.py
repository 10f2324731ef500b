"""Opening any model for evaluation: a folder of ours, of Hugging Face's, or a server's address."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rodna.core.errors import ModelError, TokenizerError
from rodna.evals.config import EvalConfig

if TYPE_CHECKING:
    from rodna.evals.ensemble import EnsembleModel
    from rodna.evals.model import DecoderModel, LanguageModel

ADDRESSES = ("http://", "https://")
MEMBERS = "member-*"


def open_language_model(where: str, config: EvalConfig) -> "LanguageModel":
    """Open a model to be evaluated, on the fastest device.

    Args:
        where: a checkpoint or an ensemble of ours, any folder that Hugging Face transformers opens, or the address of an OpenAI-compatible
            server with the model's name: `http://127.0.0.1:8000/v1#name`.
        config: windows, batch size and compute dtype.

    Raises:
        ArtifactError: no such folder, or a file is missing or damaged.
        ModelError: the checkpoint cannot be used.
        TokenizerError: its tokenizer is missing or does not fit.
        EvaluationError: the address names no model.
    """
    if where.startswith(ADDRESSES):
        from rodna.evals.endpoint import open_endpoint

        return open_endpoint(where)
    folder = Path(where)
    if any(member.is_dir() for member in folder.glob(MEMBERS)):
        return _open_ensemble(folder, config)
    try:
        return _open_decoder(folder, config)
    except (ModelError, TokenizerError):
        from rodna.evals.hf_model import TransformersModel

        return TransformersModel.open(folder, config)


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _settings(config: EvalConfig) -> dict[str, Any]:
    import torch

    return {"stride": config.stride, "batch_size": config.batch_size, "compute_dtype": getattr(torch, config.compute_dtype)}


def _open_ensemble(folder: Path, config: EvalConfig) -> "EnsembleModel":
    from rodna.evals.ensemble import EnsembleModel
    from rodna.models.ensemble import load_ensemble

    ensemble, tokenizer = load_ensemble(sorted(folder.glob(MEMBERS)), device=_device())
    return EnsembleModel(ensemble, tokenizer, **_settings(config))


def _open_decoder(folder: Path, config: EvalConfig) -> "DecoderModel":
    from rodna.evals.model import DecoderModel
    from rodna.models.checkpoint import load

    decoder, tokenizer = load(folder, device=_device())
    return DecoderModel(decoder, tokenizer, **_settings(config))
