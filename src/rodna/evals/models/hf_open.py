"""Opening a Hugging Face folder with transformers: safetensors only, no code of the folder's own, nothing fetched."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rodna.core.errors import ArtifactError, ModelError, TokenizerError

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
DEFAULT_CONTEXT = 2048
"""Of models that name no limit, such as those without attention; as in lm-evaluation-harness."""
CAUSAL_TOLERANCE = 1e-3
"""Largest difference that a later token may make to an earlier position's scores, in any unit: what rounding does stays far below."""

COPY_TOKENIZER = "copy the tokenizer's files (tokenizer.json, or tokenizer.model and tokenizer_config.json) from where the model came from"


@dataclass(frozen=True)
class Opened:
    """A model that transformers runs, and what of it cannot be read off its own attributes.

    Attributes:
        model: in evaluation mode.
        tokenizer: transformers' own.
        context_length: most tokens it reads at once.
        start_ids: what the tokenizer puts before every text; often nothing.
        start_id: what stands for the beginning of a document: its beginning-of-text token, else its end-of-text token.
        end_id: what closes a document; -1 where it has none.
    """

    model: Any
    tokenizer: Any
    context_length: int
    start_ids: tuple[int, ...]
    start_id: int
    end_id: int


def open_folder(folder: Path, *, device: str, dtype: torch.dtype) -> Opened:
    """Open any causal language model and its tokenizer, and see that they fit.

    Args:
        folder: with config.json, safetensors and a tokenizer.
        device: the model is put there.
        dtype: of its weights and of what it computes.

    Raises:
        ArtifactError: a file is missing or damaged, or there are only pickled weights.
        ModelError: it is no causal language model, it needs code of its own, or weights are missing or not finite.
        TokenizerError: the tokenizer is missing, has ids beyond the model's, or names no token that begins or ends a text.
    """
    _check_files(folder)
    with _quiet_and_offline():
        model = _open_model(folder, dtype)
        tokenizer = _open_tokenizer(folder)
    _check_vocabulary(folder, model, tokenizer)
    model = model.to(device).eval()
    start_ids = _start_ids(tokenizer)
    start_id, end_id = _ends(folder, model, tokenizer)
    context_length = _context_length(model.config, tokenizer)
    _check_causal(folder, model, start_id)
    return Opened(model, tokenizer, context_length, start_ids, start_id, end_id)


def _check_files(folder: Path) -> None:
    if not folder.is_dir():
        raise ArtifactError("no such model", where=str(folder), fix="give the folder of a model, which holds config.json, or an address")
    if not (folder / "config.json").is_file():
        if (folder / "adapter_config.json").is_file():
            raise ArtifactError("this is an adapter (LoRA), not a model", where=str(folder),
                                fix="merge it into its base model with peft's merge_and_unload, and save that")  # fmt: skip
        if any(folder.glob("*.gguf")):
            raise ArtifactError("a GGUF file cannot be opened", where=str(folder),
                                fix="serve it with llama.cpp's llama-server and give the address, http://host:port/v1#name")  # fmt: skip
        raise ArtifactError("not a model: it has no config.json", where=str(folder), fix="give the folder that holds config.json")
    if any((folder / name).is_file() for name in (WEIGHTS, INDEX)):
        return
    pickled = sorted(path.name for pattern in ("*.bin", "*.pt", "*.pth", "*.ckpt") for path in folder.glob(pattern))
    if pickled:
        raise ArtifactError(f"only pickled weights here: {pickled[0]}; opening them could run any code", where=str(folder),
                            fix=f"get the same model as {WEIGHTS}, or convert it where you trust it: save_pretrained does")  # fmt: skip
    raise ArtifactError(f"the model has no weights: {WEIGHTS} not found", where=str(folder), fix="copy the whole folder again")


@contextmanager
def _quiet_and_offline() -> Iterator[None]:
    """Keep transformers from the network, and its progress bars from the terminal, while a folder is opened."""
    before = os.environ.get("HF_HUB_OFFLINE")
    os.environ["HF_HUB_OFFLINE"] = "1"
    try:
        try:
            from huggingface_hub import constants
            from transformers.utils import logging
        except ImportError as error:
            raise ModelError("only Hugging Face transformers can open this model, and it is not installed",
                             fix="install it: pip install 'rodna[hf]'") from error  # fmt: skip
        was_offline, had_bars, verbosity = constants.HF_HUB_OFFLINE, logging.is_progress_bar_enabled(), logging.get_verbosity()
        constants.HF_HUB_OFFLINE = True
        logging.disable_progress_bar()
        logging.set_verbosity_error()
        try:
            yield
        finally:
            constants.HF_HUB_OFFLINE = was_offline
            logging.set_verbosity(verbosity)
            if had_bars:
                logging.enable_progress_bar()
    finally:
        if before is None:
            del os.environ["HF_HUB_OFFLINE"]
        else:
            os.environ["HF_HUB_OFFLINE"] = before


def _open_model(folder: Path, dtype: torch.dtype) -> Any:
    from safetensors import SafetensorError
    from transformers import AutoModelForCausalLM

    try:
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, trust_remote_code=False, local_files_only=True, output_loading_info=True
        )
        model, info = loaded
    except (OSError, SafetensorError) as error:
        raise ArtifactError(
            f"the model cannot be read: {_first_line(error)}", where=str(folder), fix="copy the whole folder again"
        ) from error
    except ImportError as error:
        raise ModelError(f"a package is missing: {_first_line(error)}", where=str(folder), fix="install it with pip") from error
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise ModelError(
            f"transformers cannot open this as a causal language model: {_first_line(error)}", where=str(folder / "config.json"),
            fix="give a decoder-only language model of a family that transformers knows; code that comes with a model is never run",
        ) from error  # fmt: skip
    missing = sorted(info["missing_keys"]) + sorted(str(key) for key in info["mismatched_keys"])
    if missing:
        raise ModelError(f"{len(missing)} weights are missing: {', '.join(missing[:4])}", where=str(folder),
                         fix="config.json and the weights are of different models: copy both from the same one")  # fmt: skip
    broken = [name for name, tensor in model.named_parameters() if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())]
    if broken:
        raise ModelError(f"{len(broken)} tensors hold NaN or infinite weights: {', '.join(broken[:4])}", where=str(folder),
                         fix="use an earlier checkpoint")  # fmt: skip
    return model


def _open_tokenizer(folder: Path) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
    except Exception as error:  # the tokenizers library raises bare Exception for whatever is wrong with a file
        raise TokenizerError(
            f"the model has no tokenizer that can be opened: {_first_line(error)}", where=str(folder),
            fix=f"{COPY_TOKENIZER}; a SentencePiece file needs `pip install sentencepiece`",
        ) from error  # fmt: skip


def _first_line(error: BaseException) -> str:
    """Return the beginning of a message: transformers' own go on for paragraphs."""
    text = (str(error).strip() or type(error).__name__).split("\n")[0]
    return text if len(text) <= 300 else text[:300] + "..."


def _check_vocabulary(folder: Path, model: Any, tokenizer: Any) -> None:
    rows = int(model.get_input_embeddings().weight.shape[0])
    vocabulary: dict[str, int] = tokenizer.get_vocab()
    if not vocabulary.keys() - set(tokenizer.all_special_tokens) - tokenizer.get_added_vocab().keys():
        # Where files are missing, transformers makes a tokenizer of special tokens alone, for which every text is empty.
        raise TokenizerError(f"the model has no tokenizer: that of its family, {type(tokenizer).__name__}, finds no vocabulary here",
                             where=str(folder), fix=COPY_TOKENIZER)  # fmt: skip
    token, largest = max(vocabulary.items(), key=lambda item: item[1])
    if largest >= rows:
        raise TokenizerError(
            f"the tokenizer does not fit the model: token {largest:,} ({token!r}) is beyond the model's {rows:,}", where=str(folder),
            fix="use the tokenizer that the model was trained with, or resize the model's embeddings",
        )  # fmt: skip


def _start_ids(tokenizer: Any) -> tuple[int, ...]:
    """Return the special tokens that the tokenizer by itself puts before a text."""
    plain = tokenizer("a", add_special_tokens=False)["input_ids"]
    whole = tokenizer("a")["input_ids"]
    size = len(plain)
    place = next((index for index in range(len(whole) - size + 1) if whole[index : index + size] == plain), 0) if size else 0
    return tuple(whole[:place])


def _ends(folder: Path, model: Any, tokenizer: Any) -> tuple[int, int]:
    """Return what begins and what ends a document; -1 where nothing ends it.

    As lm-evaluation-harness does, a document begins after the beginning-of-text token, or else the end-of-text token.
    """
    start, end = tokenizer.bos_token_id, tokenizer.eos_token_id
    if start is None and end is None:
        # Some folders name the token for the model only.
        start, end = (_one(getattr(model.config, name, None)) for name in ("bos_token_id", "eos_token_id"))
    rows = int(model.get_input_embeddings().weight.shape[0])
    start, end = (value if isinstance(value, int) and 0 <= value < rows else None for value in (start, end))
    if start is None and end is None:
        raise TokenizerError("the tokenizer has no token that begins or ends a text", where=str(folder),
                             fix="name one as `eos_token` in tokenizer_config.json")  # fmt: skip
    return (start if start is not None else end), (end if end is not None else -1)  # pyright: ignore[reportReturnType]


def _one(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def _context_length(config: Any, tokenizer: Any) -> int:
    config = getattr(config, "text_config", None) or config
    for name in ("n_positions", "max_position_embeddings", "n_ctx"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    # Tokenizers without a limit say 10^30.
    longest = getattr(tokenizer, "model_max_length", None)
    return int(longest) if isinstance(longest, int) and 0 < longest < 10**9 else DEFAULT_CONTEXT


def _check_causal(folder: Path, model: Any, start_id: int) -> None:
    """Refuse a model whose earlier positions see later ones, as a masked language model's do: its numbers would mean nothing."""
    rows = int(model.get_input_embeddings().weight.shape[0])
    first, second = ((start_id + offset) % rows for offset in (1, 2))
    with torch.inference_mode():
        scores = [
            model(input_ids=torch.tensor([[start_id, first, last]], device=model.device)).logits[0, :2].float() for last in (first, second)
        ]
    if not bool(torch.isfinite(scores[0]).all()):
        raise ModelError("the model's scores are not finite", where=str(folder), fix="try compute_dtype float32, or an earlier checkpoint")
    if rows > 2 and float((scores[0] - scores[1]).abs().max()) > CAUSAL_TOLERANCE * max(1.0, float(scores[0].abs().max())):
        raise ModelError("this model reads in both directions: it does not predict the next token", where=str(folder),
                         fix="give a causal (decoder-only) language model")  # fmt: skip
