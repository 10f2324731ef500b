"""Checkpoints: folders that hold a decoder and its tokenizer. Weights are safetensors only, never pickle.

A model of a published family is a Hugging Face folder that transformers opens; any other is kept in the format of `native.py`.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rodna.core.errors import ArtifactError, ModelError, explain_disk_errors
from rodna.core.files import sync_file, temporary_name, write_json
from rodna.models import hf, native
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.models.hf import PREFIXES, Name, family_of, is_buffer
from rodna.tokenizer.tokenizer import Tokenizer

CONFIG, WEIGHTS, INDEX, GENERATION = "config.json", "model.safetensors", "model.safetensors.index.json", "generation_config.json"
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
MAX_JSON_BYTES = 64 * 1024 * 1024


def save(folder: Path, decoder: Decoder, tokenizer_folder: Path) -> None:
    """Write a checkpoint into `folder`, beside whatever is there already; each file appears whole or not at all.

    Args:
        folder: made if missing.
        decoder: on any device; its weights are written in the dtype they have.
        tokenizer_folder: holds `tokenizer.json`, which is copied with its `tokenizer_config.json`.

    Raises:
        ModelError: transformers cannot hold this shape of its family, the tokenizer has more tokens than the model, or a weight is not
            finite.
        DiskError: the disk is full or cannot be written.
    """
    config = decoder.config
    check(config)
    tokenizer = Tokenizer.load(tokenizer_folder)
    _check_vocabulary(tokenizer, config, where=str(folder))
    parameters = {name: tensor.detach() for name, tensor in decoder.state_dict().items()}
    broken = sorted(name for name, tensor in parameters.items() if not bool(torch.isfinite(tensor).all()))
    if broken:
        raise _not_finite(broken, where=str(folder), fix="the model was not saved: training has diverged; lower train.learning_rate")
    tensors = {item.theirs: item.join(parameters).cpu() for item in _names(config)}
    end = tokenizer.end_of_text_id
    dtype = str(decoder.embedding.weight.dtype).removeprefix("torch.")
    with explain_disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        write_tensors(folder / WEIGHTS, tensors)
        if all((tokenizer_folder / name).is_file() for name in TOKENIZER_FILES):
            for name in TOKENIZER_FILES:
                _copy(tokenizer_folder / name, folder / name)
        else:
            tokenizer.save(folder)
    write_json(folder / GENERATION, {"bos_token_id": end, "eos_token_id": end, "pad_token_id": end, "do_sample": True})
    to_config_json = hf.to_config_json if is_standard(config) else native.to_config_json
    write_json(folder / CONFIG, to_config_json(config, end_of_text_id=end) | {"dtype": dtype})


def is_standard(config: ModelConfig) -> bool:
    """Return whether transformers opens this model's checkpoint: whether it belongs to a published family."""
    return config.family is not None


def check(config: ModelConfig) -> None:
    """Refuse, before it is trained, a model that cannot be saved.

    Raises:
        ModelError: it is of a family whose transformers implementation cannot hold this shape.
    """
    if is_standard(config):
        family_of(config)


def _names(config: ModelConfig) -> list[Name]:
    return hf.names(config) if is_standard(config) else native.names(config)


def load(folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> tuple[Decoder, Tokenizer]:
    """Open a checkpoint that we or transformers wrote; the decoder is in evaluation mode.

    Raises:
        ArtifactError: a file is missing or damaged.
        ModelError: an unknown architecture, tensors that are missing, left over or of the wrong shape, or weights that are not finite.
    """
    config = load_config(folder)
    tokenizer = Tokenizer.load(folder)
    _check_vocabulary(tokenizer, config, where=str(folder))
    return load_decoder(folder, device=device, dtype=dtype), tokenizer


def load_config(folder: Path) -> ModelConfig:
    """Read only the configuration of a checkpoint.

    Raises:
        ArtifactError: config.json is missing or damaged.
        ModelError: it describes no model that the decoder can be.
    """
    if not folder.is_dir():
        raise ArtifactError("no such checkpoint", where=str(folder), fix="give the folder of a model: it holds config.json")
    values = _read_json(folder / CONFIG)
    try:
        return (native if values.get("model_type") == native.MODEL_TYPE else hf).from_config_json(values)
    except ModelError as error:
        raise ModelError(error.what, where=str(folder / CONFIG), fix=error.fix) from error


def load_decoder(folder: Path, *, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Decoder:
    """Open a checkpoint's decoder without its tokenizer; see `load`."""
    config = load_config(folder)
    with torch.device("meta"):
        decoder = Decoder(config)
    shapes, state, broken = decoder.state_dict(), {}, []
    with ExitStack() as stack:
        stored = _Stored(folder, PREFIXES[family_of(config)] if is_standard(config) else "", stack)
        wanted = _names(config)
        stored.check({item.theirs for item in wanted}, tied=config.tied_embeddings)
        for item in wanted:
            tensor = stored.read(item.theirs)
            if not tensor.is_floating_point():
                raise ModelError(f"{item.theirs} has the type {tensor.dtype}, not a floating-point one", where=str(folder),
                                 fix="quantized checkpoints cannot be opened: use the original weights")  # fmt: skip
            if not bool(torch.isfinite(tensor).all()):
                broken.append(item.theirs)
            try:
                parts = item.split(tensor, shapes)
            except ModelError as error:
                raise ModelError(error.what, where=str(folder), fix=error.fix) from error
            state |= {name: part.to(device=device, dtype=dtype, copy=True).contiguous() for name, part in parts.items()}
    if broken:
        raise _not_finite(broken, where=str(folder), fix="use an earlier checkpoint: training had diverged when this one was written")
    if config.tied_embeddings:
        state["head.weight"] = state["embedding.weight"]
    decoder.load_state_dict(state, assign=True)
    if config.tied_embeddings:
        decoder.head.weight = decoder.embedding.weight
    return decoder.eval()


class _Stored:
    """The tensors of a checkpoint folder, in one file or in shards, read one at a time."""

    def __init__(self, folder: Path, prefix: str, stack: ExitStack) -> None:
        self.folder, self.prefix = folder, prefix
        self._files: dict[str, Any] = {}
        for file in _weight_files(folder):
            try:
                handle = stack.enter_context(safe_open(file, framework="pt"))
            except (SafetensorError, OSError) as error:
                raise _damaged(file, str(error)) from error
            self._files |= {self._full_name(name): (handle, name) for name in handle.keys()}  # noqa: SIM118

    def _full_name(self, name: str) -> str:
        """Return a tensor's name in a full model: a bare body's names lack the prefix."""
        return name if name.startswith((self.prefix, "lm_head.")) else self.prefix + name

    def check(self, wanted: set[str], *, tied: bool) -> None:
        found = {name for name in self._files if not is_buffer(name)} - ({"lm_head.weight"} if tied else set())
        problems = [f"{len(names)} {what}: {_shortened(names)}" for what, names in
                    (("missing", wanted - found), ("not known", found - wanted)) if names]  # fmt: skip
        if problems:
            raise ModelError(f"the weights do not fit config.json: tensors {', '.join(problems)}", where=str(self.folder),
                             fix="config.json and the weights are of different models: copy both from the same checkpoint")  # fmt: skip

    def read(self, name: str) -> Tensor:
        handle, stored_name = self._files[name]
        try:
            return handle.get_tensor(stored_name)
        except (SafetensorError, OSError) as error:
            raise _damaged(self.folder, str(error)) from error


def _weight_files(folder: Path) -> Iterator[Path]:
    """Yield the safetensors files of a checkpoint, through its index where it has one."""
    if (folder / WEIGHTS).is_file():
        yield folder / WEIGHTS
        return
    if (folder / INDEX).is_file():
        table = _read_json(folder / INDEX).get("weight_map")
        if not isinstance(table, dict) or not table:
            raise _damaged(folder / INDEX, "it has no weight_map")
        for name in sorted({str(file) for file in table.values()}):
            # A shard's name is a plain file name: an index from elsewhere must not reach outside its folder.
            if Path(name).name != name or not (folder / name).is_file():
                raise ArtifactError(
                    f"a shard of the weights is missing: {name}", where=str(folder / INDEX), fix="copy the whole checkpoint again"
                )
            yield folder / name
        return
    pickled = sorted(folder.glob("*.bin")) + sorted(folder.glob("*.pt")) + sorted(folder.glob("*.pth"))
    if pickled:
        raise ArtifactError(f"only pickled weights here: {pickled[0].name}; opening them could run any code", where=str(folder),
                            fix=f"get the same model as {WEIGHTS}, or convert it with transformers' save_pretrained")  # fmt: skip
    raise ArtifactError(f"the checkpoint has no {WEIGHTS}", where=str(folder), fix="copy the whole checkpoint again")


def _check_vocabulary(tokenizer: Tokenizer, config: ModelConfig, *, where: str) -> None:
    # The model may have more rows than the tokenizer has tokens: some checkpoints are padded to a round number.
    if tokenizer.vocabulary_size > config.vocabulary_size:
        raise ModelError(
            f"the tokenizer has {tokenizer.vocabulary_size:,} tokens, the model only {config.vocabulary_size:,}",
            where=where, fix="use the tokenizer that the model was trained with",
        )  # fmt: skip


def write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write a safetensors file that appears whole or not at all.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    temporary = temporary_name(path)
    try:
        # One key only: several come out in any order, and equal weights would not be equal files.
        save_file(tensors, temporary, metadata={"format": "pt"})
        sync_file(temporary)
        temporary.replace(path)
    except SafetensorError as error:
        # safetensors hides the system's error number; the usual reason is a full disk, which fsync of a small file shows.
        raise OSError(_error_number(error), str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def _error_number(error: SafetensorError) -> int:
    """Return the number in a message such as `I/O error: No space left on device (os error 28)`; 0 where there is none."""
    _, _, rest = str(error).partition("(os error ")
    digits = rest.partition(")")[0]
    return int(digits) if digits.isdigit() else 0


def _copy(source: Path, target: Path) -> None:
    if source.resolve() == target.resolve():
        return
    temporary = temporary_name(target)
    try:
        shutil.copyfile(source, temporary)
        sync_file(temporary)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)


def _read_json(file: Path) -> dict[str, Any]:
    if not file.is_file():
        raise ArtifactError(
            f"not a checkpoint: it has no {file.name}", where=str(file.parent), fix="give the folder of a model: it holds config.json"
        )
    if file.stat().st_size > MAX_JSON_BYTES:
        raise _damaged(file, "it is far too large")
    try:
        values = json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _damaged(file, "it is not valid JSON") from error
    if not isinstance(values, dict):
        raise _damaged(file, f"it holds a {type(values).__name__}, not a mapping")
    return values


def _damaged(file: Path, why: str) -> ArtifactError:
    return ArtifactError(
        f"damaged checkpoint: {file.name} cannot be read: {why}", where=str(file), fix="copy it again, or use an earlier checkpoint"
    )


def _not_finite(broken: list[str], *, where: str, fix: str) -> ModelError:
    return ModelError(f"{len(broken)} tensors hold NaN or infinite weights: {_shortened(broken)}", where=where, fix=fix)


def _shortened(found: set[str] | list[str], limit: int = 4) -> str:
    ordered = sorted(found)
    return ", ".join(ordered[:limit]) + (", ..." if len(ordered) > limit else "")
