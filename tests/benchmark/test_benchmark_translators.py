"""The translators that come with rodna keep to the contract, and say clearly when they cannot."""

import json
import shutil
import stat
from pathlib import Path
from typing import Any

import pytest
from chat_server import answer, serving
from toy_translators import BACK, THERE, Cipher, Spoiling

from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.errors import TranslationError
from rodna.benchmark.memory import Failure, Memory
from rodna.benchmark.translators import apertium, endpoint, local_hf, mask, open_translator
from rodna.core.errors import RodnaError
from rodna.core.openai_config import EndpointConfig
from rodna.core.registry import PluginError
from rodna.testing import check_translator

CONFIG = BenchmarkConfig(
    source_language="en",
    language="be",
    fields=("question",),
    endpoint=EndpointConfig(backoff_s=0.0, max_attempts=3, timeout_s=20),
)
TEXTS = ["the sun of old", "a river and a stone", "how many are 12 and 30?"]


def test_a_translator_that_keeps_to_the_contract_passes():
    check_translator(Cipher(), TEXTS, source="en", target="be", unknown="lt")


@pytest.mark.parametrize(
    ("translator", "message"),
    [
        (Cipher(""), "has no name"),
        (Spoiling(lambda translation, text, _: ""), "to nothing"),
        (Spoiling(lambda translation, text, _: translation.replace(" ", "\n")), "line break"),
        (Spoiling(lambda translation, text, _: translation.replace(mask(0), "\ufffd")), "damages a mask"),
    ],
)
def test_a_translator_that_breaks_the_contract_is_told_how(translator: Any, message: str):
    with pytest.raises(AssertionError, match=message):
        check_translator(translator, TEXTS, source="en", target="be")


def test_a_translator_that_minds_the_company_of_a_text_is_told_so():
    class Minding(Cipher):
        def translate(self, texts: Any, source: str, target: str) -> list[str]:
            return [f"{place} {text}" for place, text in enumerate(super().translate(texts, source, target))]

    with pytest.raises(AssertionError, match="in other company"):
        check_translator(Minding(), TEXTS, source="en", target="be")


def test_a_translator_that_takes_any_language_although_it_should_not_is_told_so():
    with pytest.raises(AssertionError, match="does not translate into"):
        check_translator(Cipher(), TEXTS, source="en", target="be", unknown="be")


def test_an_unknown_translator_names_those_there_are(tmp_path: Path):
    with pytest.raises(PluginError, match="unknown translator: 'babel'") as caught:
        open_translator("babel:x", CONFIG, tmp_path)
    assert "apertium, endpoint, local_hf" in caught.value.fix


# Apertium.


@pytest.fixture(scope="module")
def catalan() -> apertium.Apertium:
    if shutil.which("apertium") is None:
        pytest.skip("needs the program apertium, which is not installed")
    translator = apertium.make("", CONFIG, Path())
    try:
        translator.version("en", "ca")
    except TranslationError:
        pytest.skip("needs the package apertium-eng-cat, which is not installed")
    return translator


def test_apertium_keeps_to_the_contract(catalan: apertium.Apertium):
    texts = ["The house is big.", "Why does the ice melt", "I have 3,000 dogs and 2.5 cats.", "[1] a^b\\c {x} <b> @ # / $ *"]
    check_translator(catalan, texts, source="en", target="ca", unknown="yue")

    assert catalan.translate(texts[:1], "en", "ca") == ["La casa és gran."]
    assert catalan.translate(["La casa és gran."], "ca", "en") == ["The home is big."]


def test_apertium_leaves_masks_and_odd_characters_alone(catalan: apertium.Apertium):
    texts = [f"The value {mask(0)} is {mask(12)}{mask(1)}.", "a[]b \\[x\\] ^y$ {z} [end 3]", "日本 🏳️‍🌈 \ufffd", "x"]
    first, second, third, _ = catalan.translate(texts, "en", "ca")

    assert [character for character in first if character in (mask(0), mask(1), mask(12))] == [mask(0), mask(12), mask(1)]
    assert "\\[x\\] ^y$ {z} [" in second
    assert third == texts[2]


def test_apertium_without_the_pair_names_what_is_installed(catalan: apertium.Apertium):
    with pytest.raises(TranslationError, match=r"no en-yue; installed: .*eng-cat") as caught:
        catalan.version("en", "yue")
    assert "apt-get install" in caught.value.fix


def test_a_missing_program_is_an_error_that_says_how_to_install_it():
    with pytest.raises(TranslationError, match="'no-such-apertium' is not installed") as caught:
        apertium.make("no-such-apertium", CONFIG, Path())
    assert "apt-get install" in caught.value.fix


def program(folder: Path, script: str) -> apertium.Apertium:
    file = folder / "apertium"
    file.write_text(f'#!/bin/sh\nif [ "$1" = -l ]; then echo eng-cat; exit 0; fi\n{script}\n', encoding="utf-8")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)
    return apertium.make(str(file), CONFIG, folder)


def test_a_pipeline_that_hangs_is_killed_with_all_its_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(apertium, "SECONDS_TO_START", 1.0)
    monkeypatch.setattr(apertium, "SECONDS_A_TEXT", 0.0)
    hanging = program(tmp_path, "sleep 300 | cat")
    with pytest.raises(TranslationError, match="took more than 1 s"):
        hanging.translate(["a"], "en", "ca")


@pytest.mark.parametrize(
    ("script", "message"),
    [("echo broken >&2; exit 3", "ended with 3: broken"), ("head -c 20", "answered 1 of 2 texts"), ("cat >/dev/null", "answered 0 of 2")],
)
def test_a_pipeline_that_breaks_is_no_translation(script: str, message: str, tmp_path: Path):
    with pytest.raises(TranslationError, match=message):
        program(tmp_path, script).translate(["the first text", "b"], "en", "ca")


# An OpenAI-compatible server.


def cipher(text: str, number: int = 0) -> Any:
    return answer(text.lower().translate(THERE if any("a" <= character <= "z" for character in text) else BACK))


def test_an_endpoint_keeps_to_the_contract(tmp_path: Path):
    with serving(cipher) as (where, asked):
        check_translator(open_translator(f"endpoint:{where}", CONFIG, tmp_path), TEXTS, source="en", target="be")

    assert asked[0]["temperature"] == 0
    assert "from English (en) into Belarusian (be)" in asked[0]["messages"][0]["content"]
    assert any("[0]" in question["messages"][1]["content"] for question in asked)
    # The answers are kept: equal questions are asked once.
    assert len(asked) == len(TEXTS) + 1


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("<think>hm\nwell</think>\n\nсонца", "сонца"),
        ("«сонца»", "сонца"),
        ("сонца\nі месяц", "сонца і месяц"),
        (" сонца ", "сонца"),
    ],
)
def test_what_models_put_around_a_translation_is_taken_off(written: str, read: str, tmp_path: Path):
    with serving(lambda text, number: answer(written)) as (where, _):
        assert open_translator(f"endpoint:{where}", CONFIG, tmp_path).translate(["sun"], "en", "be") == [read]


@pytest.mark.parametrize("bad", [(429, b"slow down"), (500, b"oops"), (200, b'{"choices": [{"mess'), (299, b"{")])
def test_an_endpoint_that_recovers_is_asked_again(bad: tuple[int, bytes], tmp_path: Path):
    with serving(lambda text, number: bad if number < 2 else cipher(text)) as (where, asked):
        translator = open_translator(f"endpoint:{where}", CONFIG, tmp_path)
        assert translator.translate(["sun"], "en", "be") == Cipher().translate(["sun"], "en", "be")
    assert len(asked) == 3


@pytest.mark.parametrize(
    ("bad", "message"),
    [((429, b"slow down"), "429"), ((500, b"oops"), "500"), (answer("со", "length"), "cut after"), (answer("  "), "answer is empty")],
)
def test_an_endpoint_that_does_not_recover_fails_only_the_texts_it_was_asked(bad: tuple[int, bytes], message: str, tmp_path: Path):
    with serving(lambda text, number: bad if "river" in text else cipher(text)) as (where, _):
        memory = Memory(tmp_path / "memory.jsonl")
        answers = memory.translate(open_translator(f"endpoint:{where}", CONFIG, tmp_path), TEXTS, "en", "be")
        memory.close()

    failed = answers[TEXTS[1]]
    assert isinstance(failed, Failure)
    assert message in failed.reason
    assert all(isinstance(answers[text], str) for text in (TEXTS[0], TEXTS[2]))


def test_a_key_that_is_refused_stops_the_run(tmp_path: Path):
    with serving(lambda text, number: (401, b"no key")) as (where, asked):
        memory = Memory(tmp_path / "memory.jsonl")
        with pytest.raises(RodnaError, match="401") as caught:
            memory.translate(open_translator(f"endpoint:{where}", CONFIG, tmp_path), TEXTS, "en", "be")
        memory.close()
    assert "RODNA_API_KEY" in caught.value.fix
    assert len(asked) <= 3


def test_an_address_without_a_model_is_an_error(tmp_path: Path):
    with pytest.raises(RodnaError, match="names no model"):
        endpoint.make("http://127.0.0.1:1/v1", CONFIG, tmp_path)


# A model in a folder.


@pytest.fixture(scope="module")
def tiny_nllb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of NLLB's shape with a tokenizer of letters."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, models, pre_tokenizers

    folder = tmp_path_factory.mktemp("nllb")
    characters = ["<s>", "<pad>", "</s>", "<unk>", *"abcdefghijklmnopqrstuvwxyz0123456789 ?[].", "eng_Latn", "bel_Cyrl", "<mask>"]
    tokenizer = Tokenizer(models.WordLevel({character: number for number, character in enumerate(characters)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>",
        extra_special_tokens=["eng_Latn", "bel_Cyrl"],
    )  # fmt: skip
    fast.save_pretrained(folder)
    torch.manual_seed(3)
    config = transformers.M2M100Config(
        vocab_size=len(characters), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64, bos_token_id=0, pad_token_id=1, eos_token_id=2,
        decoder_start_token_id=2, init_std=1.0,
    )  # fmt: skip
    transformers.M2M100ForConditionalGeneration(config).save_pretrained(folder)
    return folder


def test_a_local_model_keeps_to_the_contract(tiny_nllb: Path, tmp_path: Path):
    translator = open_translator(f"local_hf:{tiny_nllb}", CONFIG, tmp_path)

    check_translator(translator, ["the sun", "a river and a stone", "how many?"], source="en", target="be", unknown="yue")
    assert translator.name == f"local_hf {tiny_nllb.name}"


def test_a_model_of_many_languages_is_told_both(tiny_nllb: Path, tmp_path: Path):
    translator = local_hf.make(str(tiny_nllb), CONFIG, tmp_path)

    assert translator.translate(["the sun"], "en", "be") != translator.translate(["the sun"], "be", "en")
    assert translator.version("be", "en") == translator.version("en", "be")


@pytest.fixture(scope="module")
def tiny_marian(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model of Marian's shape, with its two sentencepiece models."""
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    sentencepiece = pytest.importorskip("sentencepiece")
    folder = tmp_path_factory.mktemp("marian")
    text = folder / "text.txt"
    text.write_text("\n".join(TEXTS * 20), encoding="utf-8")
    for side in ("source", "target"):
        sentencepiece.SentencePieceTrainer.train(
            input=str(text), model_prefix=str(folder / side), vocab_size=40, model_type="unigram", minloglevel=2, hard_vocab_limit=False
        )
        (folder / f"{side}.model").rename(folder / f"{side}.spm")
    pieces = [line.split("\t")[0] for line in (folder / "source.vocab").read_text(encoding="utf-8").splitlines()]
    vocabulary = ["</s>", "<unk>", *[piece for piece in pieces if piece not in ("<s>", "</s>", "<unk>")], "<pad>"]
    (folder / "vocab.json").write_text(json.dumps({piece: number for number, piece in enumerate(vocabulary)}), encoding="utf-8")
    tokenizer = transformers.MarianTokenizer(
        vocab=str(folder / "vocab.json"), source_spm=str(folder / "source.spm"), target_spm=str(folder / "target.spm"),
        source_lang="en", target_lang="be",
    )  # fmt: skip
    out = folder / "model"
    tokenizer.save_pretrained(out)
    torch.manual_seed(2)
    pad = len(vocabulary) - 1
    config = transformers.MarianConfig(
        vocab_size=len(vocabulary), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2, decoder_attention_heads=2,
        encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64, pad_token_id=pad, eos_token_id=0, forced_eos_token_id=0,
        decoder_start_token_id=pad, init_std=1.0,
    )  # fmt: skip
    transformers.MarianMTModel(config).save_pretrained(out)
    return out


@pytest.mark.filterwarnings("ignore")
def test_a_marian_model_goes_one_way(tiny_marian: Path, tmp_path: Path):
    translator = open_translator(f"local_hf:{tiny_marian}", CONFIG, tmp_path)

    check_translator(translator, ["the sun of old", "a river"], source="en", target="be", unknown="lt")
    with pytest.raises(TranslationError, match="translates en-be, not be-en"):
        translator.version("be", "en")


def test_another_weight_is_another_version(tiny_nllb: Path, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_nllb, copy)
    before = local_hf.make(str(copy), CONFIG, tmp_path).version("en", "be")
    data = bytearray((copy / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (copy / "model.safetensors").write_bytes(data)

    assert before == local_hf.make(str(tiny_nllb), CONFIG, tmp_path).version("en", "be")
    assert local_hf.make(str(copy), CONFIG, tmp_path).version("en", "be") != before


def test_a_text_longer_than_the_model_is_refused(tiny_nllb: Path, tmp_path: Path):
    with pytest.raises(TranslationError, match="longer than the 64 tokens"):
        local_hf.make(str(tiny_nllb), CONFIG, tmp_path).translate(["a" * 100], "en", "be")


def test_a_folder_without_a_model_is_an_error(tmp_path: Path):
    with pytest.raises(TranslationError, match="no model at") as caught:
        local_hf.make(str(tmp_path), CONFIG, tmp_path)
    assert "local_hf:FOLDER" in caught.value.fix


def test_weights_that_are_not_safetensors_are_not_loaded(tiny_nllb: Path, tmp_path: Path):
    copy = tmp_path / "copy"
    shutil.copytree(tiny_nllb, copy)
    (copy / "model.safetensors").rename(copy / "pytorch_model.bin")

    with pytest.raises(TranslationError, match="no translation model that can be loaded") as caught:
        local_hf.make(str(copy), CONFIG, tmp_path).version("en", "be")
    assert "model.safetensors" in caught.value.fix
