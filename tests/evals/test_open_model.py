"""Whatever a model is and wherever it lies, one function opens it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rodna.core.errors import ArtifactError, ModelError, RodnaError, TokenizerError
from rodna.core.openai_client import EndpointError
from rodna.evals.config import EvalConfig
from rodna.evals.models.endpoint import EndpointModel
from rodna.evals.models.ensemble import EnsembleModel
from rodna.evals.models.hf_model import TransformersModel
from rodna.evals.models.model import DecoderModel, LanguageModel
from rodna.evals.models.open import open_language_model
from rodna.models import checkpoint
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.tokenizer.tokenizer import Tokenizer

LLAMA = {"vocabulary_size": 258, "context_length": 24, "width": 16, "num_layers": 1, "num_heads": 2, "num_kv_heads": 2, "head_width": 8,
         "ffn_width": 24, "qk_norm": False}  # fmt: skip


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Write a checkpoint of bytes, the end of a text, and a second special token."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = Backend(models.BPE(vocab={character: index for index, character in enumerate(alphabet)}, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<|endoftext|>", "<s>"])
    (tmp_path / "tokenizer").mkdir()
    Tokenizer(backend).save(tmp_path / "tokenizer")

    def write_checkpoint(name: str = "model", **changes: Any) -> Path:
        decoder = Decoder(ModelConfig(**LLAMA | changes)).initialize(seed=len(name))
        checkpoint.save(tmp_path / name, decoder, tmp_path / "tokenizer")
        return tmp_path / name

    return write_checkpoint


def rewrite(file: Path, **changes: Any) -> None:
    values = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(values | changes), encoding="utf-8")


def nats(model: LanguageModel) -> float:
    (score,) = model.score(["ба"], ["ве"])
    return score.nats


def test_a_checkpoint_of_ours_is_run_by_our_decoder(write: Callable[..., Path]) -> None:
    folder = write()
    model = open_language_model(str(folder), EvalConfig())
    assert isinstance(model, DecoderModel)
    assert model.description["where"] == str(folder)
    assert nats(model) == pytest.approx(nats(TransformersModel.open(folder)), abs=1e-5)


def test_a_checkpoint_of_no_published_family_is_run_by_our_decoder(write: Callable[..., Path]) -> None:
    assert isinstance(open_language_model(str(write(logit_softcap=3.0)), EvalConfig()), DecoderModel)


def test_the_settings_reach_the_model(write: Callable[..., Path]) -> None:
    model = open_language_model(str(write()), EvalConfig(stride=0.25, batch_size=3, compute_dtype="bfloat16"))
    assert isinstance(model, DecoderModel)
    assert (model.stride, model.batch_size, model.compute_dtype) == (0.25, 3, torch.bfloat16)


def test_a_folder_of_members_is_one_model(write: Callable[..., Path]) -> None:
    members = [write(name) for name in ("ensemble/member-1", "ensemble/member-two")]
    model = open_language_model(str(members[0].parent), EvalConfig())
    assert isinstance(model, EnsembleModel)
    assert model.description["members"] == 2
    alone = [nats(open_language_model(str(member), EvalConfig())) for member in members]
    assert min(alone) < nats(model) < max(alone)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: rewrite(folder / "tokenizer_config.json", bos_token="<s>"),
        lambda folder: rewrite(folder / "tokenizer_config.json", bos_token="<s>", add_bos_token=True),
        lambda folder: rewrite(folder / "config.json", hidden_act="gelu"),
    ],
    ids=["another beginning", "a beginning of its own", "another activation"],
)
def test_what_our_decoder_would_read_otherwise_is_left_to_transformers(write: Callable[..., Path], change: Callable[[Path], None]) -> None:
    pytest.importorskip("transformers")
    folder = write()
    change(folder)
    model = open_language_model(str(folder), EvalConfig())
    assert isinstance(model, TransformersModel)
    assert nats(model) > 0


def test_an_address_is_a_server(tmp_path: Path) -> None:
    config = EvalConfig.model_validate({"endpoint": {"cache": str(tmp_path), "max_concurrency": 2}})
    model = open_language_model("http://127.0.0.1:9/v1#name", config)
    assert isinstance(model, EndpointModel)
    assert model.client.config.max_concurrency == 2
    assert model.description["where"] == "http://127.0.0.1:9/v1#name"
    with pytest.raises(EndpointError, match="names no model"):
        open_language_model("http://127.0.0.1:9/v1", config)


def other_vocabulary(folder: Path) -> None:
    from tokenizers import Tokenizer as Backend

    backend = Backend.from_file(str(folder / "tokenizer.json"))
    backend.add_tokens(["one", "two"])
    backend.save(str(folder / "tokenizer.json"))


def lose_the_tokenizer(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer_config.json").unlink()


@pytest.mark.parametrize("is_native", [False, True], ids=["family", "native"])
@pytest.mark.parametrize(
    ("spoil", "kind", "said"),
    [
        (shutil.rmtree, ArtifactError, "no such model"),
        (lambda folder: (folder / "config.json").unlink(), ArtifactError, "it has no config.json"),
        (lambda folder: (folder / "config.json").write_text("{"), ArtifactError, "damaged checkpoint: config.json"),
        (lambda folder: (folder / "model.safetensors").rename(folder / "model.bin"), ArtifactError, "only pickled weights here: model.bin"),
        (other_vocabulary, ModelError, "the tokenizer has 260 tokens, the model only 258"),
        (lose_the_tokenizer, TokenizerError, "no tokenizer"),
        (lambda folder: rewrite(folder / "tokenizer_config.json", bos_token="<end>", eos_token="<end>"), TokenizerError, "'<end>'"),
    ],
    ids=["folder", "config", "damaged", "pickle", "vocabulary", "tokenizer", "end"],
)
def test_what_cannot_be_opened_says_what_where_and_how_to_mend_it(
    write: Callable[..., Path], spoil: Callable[[Path], Any], kind: type[RodnaError], said: str, is_native: bool
) -> None:
    folder = write(logit_softcap=3.0) if is_native else write()
    spoil(folder)
    with pytest.raises(kind, match=said) as error:
        open_language_model(str(folder), EvalConfig())
    assert str(folder) in error.value.where
    assert error.value.fix
