"""Opening any model for evaluation: a folder of ours, of Hugging Face's, or a server's address."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rodna.core.errors import ModelError, RodnaError, TokenizerError
from rodna.evals.config import EvalConfig

if TYPE_CHECKING:
    from rodna.evals.models.ensemble import EnsembleModel
    from rodna.evals.models.model import DecoderModel, LanguageModel
    from rodna.tokenizer.tokenizer import Tokenizer

ADDRESSES = ("http://", "https://")
MEMBERS = "member-*"
"""Names of the checkpoints in an ensemble's folder."""


def open_language_model(where: str, config: EvalConfig) -> "LanguageModel":
    """Open a model to be evaluated, on the fastest device.

    Our own code runs the families it knows; transformers runs the others, and those whose tokenizer is of a kind that we do not read or
    begins texts with a token of its own.

    Args:
        where: a checkpoint or an ensemble of ours, any folder that Hugging Face transformers opens, or the address of an OpenAI-compatible
            server with the model's name: `http://127.0.0.1:8000/v1#name`.
        config: windows, batch size and compute dtype; how a server is asked.

    Raises:
        ArtifactError: no such folder, or a file is missing or damaged.
        ModelError: the checkpoint cannot be used.
        TokenizerError: its tokenizer is missing or does not fit.
        EndpointError: the address names no model, or holds a password.
    """
    if where.startswith(ADDRESSES):
        from rodna.evals.models.endpoint import EndpointModel

        return EndpointModel.open(where, config.endpoint)
    folder = Path(where)
    if any((member / "config.json").is_file() for member in folder.glob(MEMBERS)):
        return open_ensemble(folder, config)
    if _is_ours(folder):
        return open_decoder(folder, config)
    from rodna.evals.models.hf_model import TransformersModel

    return TransformersModel.open(folder, device=_device(), **_settings(config))


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _settings(config: EvalConfig) -> dict[str, Any]:
    import torch

    return {"stride": config.stride, "batch_size": config.batch_size, "compute_dtype": getattr(torch, config.compute_dtype)}


def open_ensemble(folder: Path, config: EvalConfig) -> "EnsembleModel":
    """Open the members of an ensemble's folder as one model."""
    from rodna.evals.models.ensemble import EnsembleModel
    from rodna.models.counted import FILE
    from rodna.models.ensemble import load_ensemble

    ensemble, tokenizer = load_ensemble(sorted(folder.glob(MEMBERS)), device=_device(), counted=folder / FILE)
    return EnsembleModel(ensemble, tokenizer, where=str(folder), processes=config.processes, **_settings(config))


def open_decoder(folder: Path, config: EvalConfig) -> "DecoderModel":
    """Open a checkpoint that our own decoder runs, and the counts that lie beside it, where there are any."""
    from rodna.evals.models.model import DecoderModel
    from rodna.models.checkpoint import load
    from rodna.models.counted import load_beside

    decoder, tokenizer = load(folder, device=_device())
    # Said now, not after an hour of scoring.
    _ = tokenizer.end_of_text_id
    counted = load_beside(folder, device=_device())
    return DecoderModel(decoder, tokenizer, where=str(folder), processes=config.processes, counted=counted, **_settings(config))


def _is_ours(folder: Path) -> bool:
    """Return whether our own decoder runs this checkpoint as its makers meant it.

    Raises:
        RodnaError: it does not, and no other code can either.
    """
    from rodna.models.checkpoint import load_config
    from rodna.models.native import MODEL_TYPE
    from rodna.tokenizer.tokenizer import Tokenizer

    if not (folder / "config.json").is_file():
        return False
    try:
        load_config(folder)
        return _begins_as_ours(folder, Tokenizer.load(folder))
    except RodnaError as error:
        if _read(folder / "config.json").get("model_type") == MODEL_TYPE or not isinstance(error, ModelError | TokenizerError):
            raise
        return False


def _begins_as_ours(folder: Path, tokenizer: "Tokenizer") -> bool:
    """Return whether a text begins after the token that ends the one before, with nothing more, as our decoder reads it."""
    names = _read(folder / "tokenizer_config.json")
    begin, end = (_content(names.get(name)) for name in ("bos_token", "eos_token"))
    adds = len(tokenizer.backend.encode("a").ids) > len(tokenizer.encode("a"))
    return begin in (None, end) and not adds and names.get("add_bos_token") is not True


def _content(token: Any) -> Any:
    return cast("dict[str, Any]", token).get("content") if isinstance(token, dict) else token


def _read(path: Path) -> dict[str, Any]:
    try:
        value: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}
