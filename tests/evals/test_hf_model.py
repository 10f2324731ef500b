"""Models that transformers runs: the same numbers as our own decoder's, and as one text at a time."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rodna.core.errors import ArtifactError, ModelError, TokenizerError
from rodna.evals.models.hf_model import TransformersModel
from rodna.evals.models.hf_open import open_folder
from rodna.evals.models.model import DecoderModel
from rodna.models import checkpoint
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.models.generate import Sampling
from rodna.tokenizer.tokenizer import Tokenizer

transformers = pytest.importorskip("transformers")

CONTEXT = 24
SHAPE = {"vocabulary_size": 260, "context_length": CONTEXT, "width": 16, "num_layers": 2, "num_heads": 2, "num_kv_heads": 2,
         "head_width": 8, "ffn_width": 24}  # fmt: skip
GPT = SHAPE | {"norm": "layer", "norm_epsilon": 1e-5, "qk_norm": False, "ffn": "gelu", "ffn_bias": True}
OURS = {
    "gpt2": GPT | {"position": "learned", "attention_bias": True, "tied_embeddings": True},
    "gptj": GPT | {"rotary_width": 4, "rotary_pairs": "neighbours", "block": "parallel", "head_bias": True},
    "llama": SHAPE | {"qk_norm": False},
    "qwen3": SHAPE,
}
LAYERS = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": CONTEXT}
OTHERS: dict[str, tuple[str, dict[str, Any]]] = {
    "GPT-NeoX": ("GPTNeoXConfig", LAYERS),
    "Mistral": ("MistralConfig", LAYERS | {"num_key_value_heads": 1, "sliding_window": None}),
    "OPT": ("OPTConfig", {**LAYERS, "ffn_dim": 32, "word_embed_proj_dim": 12, "dropout": 0.3}),
    "BLOOM": ("BloomConfig", {"hidden_size": 16, "n_layer": 2, "n_head": 2}),
    "Gemma 2, whose scores are capped": (
        "Gemma2Config", LAYERS | {"num_key_value_heads": 1, "head_dim": 8, "final_logit_softcapping": 1.5, "query_pre_attn_scalar": 8},
    ),
    "Cohere, whose scores are scaled": ("CohereConfig", LAYERS | {"num_key_value_heads": 2, "logit_scale": 0.3}),
}  # fmt: skip
CONTEXTS = ["", "Кот ", "ба ве", "", "एक दो तीन चार", "a", "x" * 60, "пачатак", "trailing  "]
CONTINUATIONS = ["ба", "спіць", " гі.", "", "ok", "b" * 70, "канец", "я", "z"]
TEXTS = ["", "ба ве гі", "का खि गु चे जो टं डा ति नु पे फो बं", "a", "long " * 40]


@pytest.fixture(autouse=True)
def one_thread() -> Any:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def byte_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer of the bytes, some pairs of them, and the end of a text."""
    from tokenizers import Tokenizer as Backend
    from tokenizers import decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {character: index for index, character in enumerate(alphabet)}
    vocabulary |= {"Ġb": 256, "lo": 257}
    backend = Backend(models.BPE(vocab=vocabulary, merges=[("Ġ", "b"), ("l", "o")]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(["<|endoftext|>"])
    folder = tmp_path_factory.mktemp("bytes")
    Tokenizer(backend).save(folder)
    return folder


def loud(model: torch.nn.Module, *, seed: int = 0) -> torch.nn.Module:
    """Draw weights so large that context matters: fresh ones make every token about equally likely."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.4 * torch.randn(parameter.shape, generator=generator)
    return model


@pytest.fixture
def ours(tmp_path: Path, byte_tokenizer: Path) -> Callable[..., Path]:
    """Write a checkpoint of our own decoder."""

    def write(family: str = "llama", **changes: Any) -> Path:
        decoder = Decoder(ModelConfig(**OURS[family] | changes)).initialize(seed=1)
        loud(decoder)
        checkpoint.save(tmp_path / family, decoder, byte_tokenizer)
        return tmp_path / family

    return write


@pytest.fixture
def theirs(tmp_path: Path, byte_tokenizer: Path) -> Callable[..., Path]:
    """Write a folder of a model that our decoder cannot be."""

    def write(name: str) -> Path:
        kind, values = OTHERS[name]
        torch.manual_seed(3)
        ends = {"bos_token_id": 258, "eos_token_id": 258, "pad_token_id": None}
        model = transformers.AutoModelForCausalLM.from_config(getattr(transformers, kind)(vocab_size=260, **values, **ends))
        loud(model).save_pretrained(tmp_path / kind)
        for file in byte_tokenizer.iterdir():
            shutil.copy(file, tmp_path / kind)
        return tmp_path / kind

    return write


def slow_nats(model: TransformersModel, context: list[int], continuation: list[int]) -> float:
    """Score one text by itself with plain transformers: the obvious way."""
    ids = (context + continuation)[-(model.opened.context_length + 1) :]
    with torch.no_grad():
        scores_TV = model.model(input_ids=torch.tensor([ids[:-1]])).logits[0].double().log_softmax(-1)
    places = range(len(ids) - len(continuation), len(ids))
    return -sum(float(scores_TV[place - 1, ids[place]]) for place in places)


@pytest.mark.parametrize("family", sorted(OURS))
def test_transformers_and_our_decoder_find_the_same_numbers(ours: Callable[..., Path], family: str) -> None:
    folder = ours(family)
    decoder = DecoderModel(*checkpoint.load(folder), batch_size=3)
    model = TransformersModel.open(folder, batch_size=2)
    for mine, other in ((model.score(CONTEXTS, CONTINUATIONS), decoder.score(CONTEXTS, CONTINUATIONS)),
                        (model.score_documents(TEXTS), decoder.score_documents(TEXTS))):  # fmt: skip
        assert [score.nats for score in mine] == pytest.approx([score.nats for score in other], abs=1e-5, rel=1e-6)
        assert [(score.num_tokens, score.is_cut) for score in mine] == [(score.num_tokens, score.is_cut) for score in other]
    assert model.score(CONTEXTS, CONTINUATIONS)[0].nats > 1


@pytest.mark.parametrize("name", sorted(OTHERS))
def test_padding_batches_and_one_text_at_a_time_agree(theirs: Callable[..., Path], name: str) -> None:
    folder = theirs(name)
    opened = open_folder(folder, device="cpu", dtype=torch.float32)
    found = [
        TransformersModel(opened, batch_size=batch_size, padding_side=side).score(CONTEXTS[:5], CONTINUATIONS[:5])
        for batch_size, side in ((1, "right"), (4, "right"), (4, "left"))
    ]
    one, right, left = ([score.nats for score in scores] for scores in found)
    assert right == pytest.approx(one, abs=1e-6, rel=1e-6)
    assert left == pytest.approx(one, abs=1e-6, rel=1e-6)
    encode = Tokenizer.load(folder).encode
    pairs = [([258], "ба"), (encode("Кот"), " спіць"), (encode("ба ве"), " гі."), (encode("एक दो तीन चार"), "ok")]
    slow = [slow_nats(TransformersModel(opened), context, encode(text)) for context, text in pairs]
    assert [one[0], one[1], one[2], one[4]] == pytest.approx(slow, abs=1e-5, rel=1e-5)
    assert one[3] == 0


def test_a_model_that_begins_every_text_with_a_token_of_its_own_is_scored_after_it(theirs: Callable[..., Path]) -> None:
    from tokenizers import Tokenizer as Backend
    from tokenizers.processors import TemplateProcessing

    folder = theirs("GPT-NeoX")
    plain = TransformersModel.open(folder).score(["Кот", "", ""], [" ба", "ба", ""])
    backend = Backend.from_file(str(folder / "tokenizer.json"))
    backend.add_special_tokens(["<s>"])
    backend.post_processor = TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 259)])
    backend.save(str(folder / "tokenizer.json"))
    names = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    (folder / "tokenizer_config.json").write_text(json.dumps(names | {"bos_token": "<s>"}), encoding="utf-8")
    model = TransformersModel.open(folder)
    encode = Tokenizer.load(folder).encode
    after, alone, nothing = model.score(["Кот", "", ""], [" ба", "ба", ""])
    assert after.nats == pytest.approx(slow_nats(model, [259, *encode("Кот")], encode(" ба")), abs=1e-5)
    assert alone.nats == pytest.approx(slow_nats(model, [259], encode("ба")), abs=1e-5)
    assert alone.nats != pytest.approx(plain[1].nats, abs=1e-3)
    assert (nothing.nats, nothing.num_tokens) == (0, 0)
    (document,) = model.score_documents(["ба"])
    assert document.nats == pytest.approx(slow_nats(model, [259], [*encode("ба"), 258]), abs=1e-5)
    assert model.description["start_of_text"] == "<s>"


def test_transformers_and_our_decoder_write_the_same_text(ours: Callable[..., Path]) -> None:
    folder = ours("llama")
    # Longer than the context, so that its beginning is forgotten on the way.
    for sampling in (
        Sampling(temperature=0, top_p=1.0, max_tokens=CONTEXT + 9),
        Sampling(temperature=0.7, seed=5, max_tokens=8, stop=("a",)),
    ):
        expected = DecoderModel(*checkpoint.load(folder)).generate(["", "ба ве", "b"], sampling)
        assert TransformersModel.open(folder).generate(["", "ба ве", "b"], sampling) == expected
        assert any(expected)


def test_a_tokenizer_in_python_without_a_tokenizer_json_is_opened(theirs: Callable[..., Path]) -> None:
    folder = theirs("GPT-NeoX")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    # ByT5 numbers the bytes from 3 on.
    transformers.ByT5Tokenizer(extra_ids=0).save_pretrained(folder)
    model = TransformersModel.open(folder)
    (found,) = model.score(["ба"], ["ве"])
    ids = [byte + 3 for byte in "баве".encode()]
    assert found.nats == pytest.approx(slow_nats(model, ids[:4], ids[4:]), abs=1e-5)
    assert found.num_tokens == 4


def test_a_sentencepiece_file_is_opened(theirs: Callable[..., Path], tmp_path: Path) -> None:
    sentencepiece = pytest.importorskip("sentencepiece")
    folder = theirs("GPT-NeoX")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    text = tmp_path / "text.txt"
    text.write_text("\n".join(["ба ве гі до жу зы", "ка ле мі но пу ры", "са тэ ба ве но"] * 20), encoding="utf-8")
    sentencepiece.SentencePieceTrainer.train(
        input=str(text), model_prefix=str(folder / "tokenizer"), vocab_size=60, model_type="unigram", minloglevel=2, hard_vocab_limit=False
    )
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "T5Tokenizer", "eos_token": "</s>", "unk_token": "<unk>", "extra_ids": 0}), encoding="utf-8"
    )
    (folder / "tokenizer.model").rename(folder / "spiece.model")
    model = TransformersModel.open(folder)
    (found,) = model.score(["ба ве"], [" гі"])
    processor = sentencepiece.SentencePieceProcessor(model_file=str(folder / "spiece.model"))
    whole, before = processor.encode("ба ве гі"), processor.encode("ба ве")
    assert found.num_tokens == len(whole) - len(before)
    assert found.nats == pytest.approx(slow_nats(model, before, whole[len(before) :]), abs=1e-5)


def test_scores_are_made_for_scored_positions_alone(theirs: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> None:
    model = TransformersModel.open(theirs("GPT-NeoX"))
    rows: list[int] = []
    head = model.model.get_output_embeddings()
    head.register_forward_hook(lambda module, inputs, output: rows.append(output.shape[:-1].numel()))
    model.score(["aaaaaaaaaa", "bbbbb"], ["cd", "e"])
    assert sum(rows) == 3


# --- what cannot be ----------------------------------------------------------------------------------------------------------------


def rewrite(file: Path, **changes: Any) -> None:
    values = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(values | changes), encoding="utf-8")


def pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def spoil_weights(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    tensors[next(iter(sorted(tensors)))].fill_(np.nan)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def lose_a_weight(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["gpt_neox.final_layer_norm.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def lose_the_tokenizer(folder: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()


def add_a_token(folder: Path) -> None:
    from tokenizers import Tokenizer as Backend

    backend = Backend.from_file(str(folder / "tokenizer.json"))
    backend.add_tokens(["one", "two", "three"])
    backend.save(str(folder / "tokenizer.json"))


def name_no_end(folder: Path) -> None:
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}', encoding="utf-8")
    rewrite(folder / "config.json", bos_token_id=None, eos_token_id=None)


def need_code(folder: Path) -> None:
    (folder / "own.py").write_text("raise SystemExit('this code was run')", encoding="utf-8")
    rewrite(folder / "config.json", model_type="own", auto_map={"AutoConfig": "own.Config", "AutoModelForCausalLM": "own.Model"})


@pytest.mark.parametrize(
    ("spoil", "kind", "said", "fix"),
    [
        (shutil.rmtree, ArtifactError, "no such model", "config.json"),
        (lambda folder: (folder / "config.json").unlink(), ArtifactError, "it has no config.json", "config.json"),
        (pickle_only, ArtifactError, "only pickled weights", "safetensors"),
        (lambda folder: (folder / "model.safetensors").unlink(), ArtifactError, "has no weights", "copy"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"short"), ArtifactError, "cannot be read", "copy"),
        (spoil_weights, ModelError, "NaN or infinite", "earlier checkpoint"),
        (lose_a_weight, ModelError, "1 weights are missing: gpt_neox.final_layer_norm.weight", "different models"),
        (lose_the_tokenizer, TokenizerError, "has no tokenizer", "tokenizer.json"),
        (add_a_token, TokenizerError, "is beyond the model's 260", "trained with"),
        (name_no_end, TokenizerError, "no token that begins or ends a text", "eos_token"),
        (need_code, ModelError, "cannot open this as a causal language model", "never run"),
    ],
    ids=["folder", "config", "pickle", "weights", "damaged", "nan", "missing", "tokenizer", "vocabulary", "end", "code"],
)  # fmt: skip
def test_a_folder_that_cannot_be_opened_is_said(
    theirs: Callable[..., Path], spoil: Callable[[Path], Any], kind: type[Exception], said: str, fix: str
) -> None:
    folder = theirs("GPT-NeoX")
    spoil(folder)
    with pytest.raises(kind, match=said) as error:
        TransformersModel.open(folder)
    assert str(folder) in error.value.where  # pyright: ignore[reportAttributeAccessIssue]
    assert fix in error.value.fix  # pyright: ignore[reportAttributeAccessIssue]


def test_a_model_that_reads_in_both_directions_is_refused(tmp_path: Path, byte_tokenizer: Path) -> None:
    config = transformers.BertConfig(vocab_size=260, **LAYERS)
    loud(transformers.BertForMaskedLM(config)).save_pretrained(tmp_path / "bert")
    for file in byte_tokenizer.iterdir():
        shutil.copy(file, tmp_path / "bert")
    with pytest.raises(ModelError, match="reads in both directions"):
        TransformersModel.open(tmp_path / "bert")
