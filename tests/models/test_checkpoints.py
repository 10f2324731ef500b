"""Checkpoints come back as they were saved, and damaged ones say what is wrong."""

import json
import os
import pickle
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_models import CONFIGS

from rodna.core.errors import ArtifactError, DiskError, ModelError, TokenizerError
from rodna.models import checkpoint
from rodna.models.decoder import Decoder


@pytest.fixture
def folder(make_decoder: Callable[..., Decoder], tokenizer_folder: Path, tmp_path: Path) -> Path:
    """A checkpoint of a tiny LLaMA."""
    path = tmp_path / "model"
    checkpoint.save(path, make_decoder(CONFIGS["llama"]), tokenizer_folder)
    return path


def change(folder: Path, edit: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / checkpoint.WEIGHTS)
    edit(tensors)
    save_file(tensors, folder / checkpoint.WEIGHTS, metadata={"format": "pt"})


@pytest.mark.parametrize("name", CONFIGS)
def test_a_loaded_decoder_has_the_very_weights_that_were_saved(
    name: str, make_decoder: Callable[..., Decoder], tokenizer_folder: Path, tmp_path: Path
) -> None:
    saved = make_decoder(CONFIGS[name])
    checkpoint.save(tmp_path, saved, tokenizer_folder)

    loaded, tokenizer = checkpoint.load(tmp_path)

    assert loaded.config == saved.config
    assert not loaded.training
    assert all(torch.equal(mine, dict(loaded.named_parameters())[key]) for key, mine in saved.named_parameters())
    assert [key for key, _ in loaded.named_parameters()] == [key for key, _ in saved.named_parameters()]
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert tokenizer.decode(tokenizer.encode("Žinutė")) == "Žinutė"


def test_equal_models_are_equal_files(make_decoder: Callable[..., Decoder], tokenizer_folder: Path, tmp_path: Path) -> None:
    decoder = make_decoder(CONFIGS["qwen3"])
    for number in range(8):
        checkpoint.save(tmp_path / str(number), decoder, tokenizer_folder)

    for name in (path.name for path in (tmp_path / "0").iterdir()):
        assert len({(tmp_path / str(number) / name).read_bytes() for number in range(8)}) == 1


def test_a_checkpoint_holds_the_files_of_a_hugging_face_folder_and_nothing_half_written(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
    ]  # fmt: skip
    assert json.loads((folder / "generation_config.json").read_text())["eos_token_id"] == 256


def test_saving_again_replaces_the_model_and_keeps_what_lies_beside_it(
    folder: Path, make_decoder: Callable[..., Decoder], tokenizer_folder: Path
) -> None:
    (folder / "training.json").write_text("{}")
    other = make_decoder(CONFIGS["qwen3"], seed=9)

    checkpoint.save(folder, other, folder)

    assert torch.equal(checkpoint.load_decoder(folder).embedding.weight, other.embedding.weight)
    assert (folder / "training.json").is_file()


def test_weights_can_be_loaded_in_another_dtype_than_they_are_saved_in(folder: Path, tokenizer_folder: Path, tmp_path: Path) -> None:
    small = checkpoint.load_decoder(folder, dtype=torch.bfloat16)
    checkpoint.save(tmp_path / "small", small, tokenizer_folder)

    assert json.loads((tmp_path / "small" / "config.json").read_text())["dtype"] == "bfloat16"
    assert load_file(tmp_path / "small" / checkpoint.WEIGHTS)["lm_head.weight"].dtype == torch.bfloat16
    assert checkpoint.load_decoder(tmp_path / "small").embedding.weight.dtype == torch.float32


def test_a_tokenizer_folder_without_its_config_gets_one(
    make_decoder: Callable[..., Decoder], tokenizer_folder: Path, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    (bare / "tokenizer.json").write_bytes((tokenizer_folder / "tokenizer.json").read_bytes())

    checkpoint.save(tmp_path / "model", make_decoder(CONFIGS["llama"]), bare)

    assert (tmp_path / "model" / "tokenizer_config.json").is_file()


@pytest.mark.parametrize("prefix", ["", "transformer."])
def test_a_body_saved_without_its_prefix_and_with_old_buffers_is_read(
    prefix: str, make_decoder: Callable[..., Decoder], tokenizer_folder: Path, tmp_path: Path
) -> None:
    decoder = make_decoder(CONFIGS["gpt2-tied"])
    checkpoint.save(tmp_path, decoder, tokenizer_folder)
    tensors = {key.replace("transformer.", prefix): value for key, value in load_file(tmp_path / checkpoint.WEIGHTS).items()}
    tensors[f"{prefix}h.0.attn.bias"] = torch.ones(1, 1, 4, 4)
    save_file(tensors, tmp_path / checkpoint.WEIGHTS)

    assert torch.equal(checkpoint.load_decoder(tmp_path).embedding.weight, decoder.embedding.weight)


def test_a_folder_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match="no such checkpoint"):
        checkpoint.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("config.json", ArtifactError, "not a checkpoint: it has no config.json"),
        ("model.safetensors", ArtifactError, "the checkpoint has no model.safetensors"),
        ("tokenizer.json", TokenizerError, "no tokenizer here"),
    ],
)
def test_a_missing_file_is_named(folder: Path, name: str, error: type[Exception], message: str) -> None:
    (folder / name).unlink()

    with pytest.raises(error, match=message):
        checkpoint.load(folder)


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[1]", b"[" * 100_000])
def test_a_damaged_config_is_said_to_be_damaged(folder: Path, content: bytes) -> None:
    (folder / "config.json").write_bytes(content)

    with pytest.raises(ArtifactError, match=r"damaged checkpoint: config\.json cannot be read"):
        checkpoint.load(folder)


@pytest.mark.parametrize("size", [0, 5, 100, -1])
def test_weights_cut_short_are_said_to_be_damaged(folder: Path, size: int) -> None:
    file = folder / checkpoint.WEIGHTS
    file.write_bytes(file.read_bytes()[:size])

    with pytest.raises(ArtifactError, match=r"damaged checkpoint: model\.safetensors cannot be read.*\n.*where.*\n.*copy it again"):
        checkpoint.load(folder)


def test_pickled_weights_are_never_opened(folder: Path) -> None:
    (folder / checkpoint.WEIGHTS).unlink()

    class Trap:
        def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
            return os.mkdir, (str(folder / "opened"),)

    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))

    with pytest.raises(ArtifactError, match=r"only pickled weights here: pytorch_model\.bin"):
        checkpoint.load(folder)
    assert not (folder / "opened").exists()


def test_missing_and_unknown_tensors_are_listed_together(folder: Path) -> None:
    change(folder, lambda tensors: (tensors.pop("model.norm.weight"), tensors.update(extra=torch.ones(1))))

    with pytest.raises(ModelError, match=r"1 missing: model\.norm\.weight, 1 not known: model\.extra"):
        checkpoint.load(folder)


def test_a_tensor_of_the_wrong_shape_is_named_with_both_shapes(folder: Path) -> None:
    change(folder, lambda tensors: tensors.update({"model.norm.weight": torch.ones(31)}))

    with pytest.raises(ModelError, match=r"model\.norm\.weight has the shape \(31,\), config\.json asks for \(32,\)"):
        checkpoint.load(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(folder: Path, value: float) -> None:
    change(folder, lambda tensors: tensors["model.norm.weight"].fill_(value))

    with pytest.raises(ModelError, match=r"1 tensors hold NaN or infinite weights: model\.norm\.weight"):
        checkpoint.load(folder)


def test_a_diverged_model_is_not_saved(make_decoder: Callable[..., Decoder], tokenizer_folder: Path, tmp_path: Path) -> None:
    decoder = make_decoder(CONFIGS["llama"])
    with torch.no_grad():
        decoder.norm.weight[3] = float("nan")

    with pytest.raises(ModelError, match=r"NaN or infinite weights: norm\.weight[\s\S]*not saved"):
        checkpoint.save(tmp_path / "model", decoder, tokenizer_folder)
    assert not (tmp_path / "model").exists()


def test_quantized_weights_are_refused(folder: Path) -> None:
    change(folder, lambda tensors: tensors.update({"model.norm.weight": torch.ones(32, dtype=torch.int8)}))

    with pytest.raises(ModelError, match=r"model\.norm\.weight has the type torch\.int8"):
        checkpoint.load(folder)


def test_a_tokenizer_larger_than_the_model_is_refused(make_decoder: Callable[..., Decoder], tokenizer_folder: Path, tmp_path: Path) -> None:
    decoder = make_decoder(CONFIGS["llama"].model_copy(update={"vocabulary_size": 200}))

    with pytest.raises(ModelError, match="the tokenizer has 257 tokens, the model only 200"):
        checkpoint.save(tmp_path / "model", decoder, tokenizer_folder)


def shard(folder: Path, weight_map: object) -> None:
    (folder / checkpoint.WEIGHTS).rename(folder / "a.safetensors")
    (folder / checkpoint.INDEX).write_text(json.dumps({"weight_map": weight_map}))


@pytest.mark.parametrize("name", ["b.safetensors", "../model/a.safetensors", "/etc/passwd"])
def test_a_missing_shard_or_one_outside_the_folder_is_refused(folder: Path, name: str) -> None:
    shard(folder, {"lm_head.weight": name, "model.norm.weight": "a.safetensors"})

    with pytest.raises(ArtifactError, match=f"a shard of the weights is missing: {name}"):
        checkpoint.load(folder)


@pytest.mark.parametrize("weight_map", [{}, None, ["a.safetensors"]])
def test_an_index_without_a_table_is_said_to_be_damaged(folder: Path, weight_map: object) -> None:
    shard(folder, weight_map)

    with pytest.raises(ArtifactError, match=r"model\.safetensors\.index\.json cannot be read: it has no weight_map"):
        checkpoint.load(folder)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """Files may not grow past 4 KB, which the system reports much as it reports a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_is_explained_and_leaves_the_old_checkpoint_whole(
    folder: Path, make_decoder: Callable[..., Decoder], tokenizer_folder: Path, request: pytest.FixtureRequest
) -> None:
    before = (folder / checkpoint.WEIGHTS).read_bytes()
    request.getfixturevalue("small_disk")

    with pytest.raises(DiskError, match="cannot write"):
        checkpoint.save(folder, make_decoder(CONFIGS["llama"], seed=4), tokenizer_folder)
    assert (folder / checkpoint.WEIGHTS).read_bytes() == before
    assert not list(folder.glob(".*.tmp"))
