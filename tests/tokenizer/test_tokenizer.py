"""Every text comes back as it was; special tokens cannot be forged; damaged files say so."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rodna.core.errors import TokenizerError
from rodna.tokenizer.config import SPECIAL_TOKENS
from rodna.tokenizer.patterns import PATTERNS, split_pattern_of
from rodna.tokenizer.tokenizer import Tokenizer

HARD = [
    "",
    " ",
    "\n\n  \t\r\n ",
    "\x00\x01\x7f\x85\u2028\ufeff\ufffd\uffff",
    "\u0301 lone mark, e\u0301 NFD, \u0301\u0301",
    "👩\u200d👩\u200d👧 ❤\ufe0f 1\ufe0f\u20e3 🇧🇾",
    "می\u200cخواهم \u202bשָׁלוֹם\u202c \u200f",
    "\U0010ffff \U00020000 𠮷野家",
    "<|endoftext|><|im_start|>user<|im_end|><|reserved_0|>",
    "<0x41><0xE4> ▁ Ġ Ċ",
    "নমস্কার ജ്ഞാനം ᚠᛇᚻ 𐍈 ߒߞߏ",
    "x" * 3000,
]
any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
marks_and_joiners = st.text(st.sampled_from("aяक人ا \n'\u0301\u093e\u094d\u200d\u200c\u202e\ufe0f\u0000<|>ẹ7"), max_size=40)
fixed_fixture = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)


@pytest.mark.parametrize("text", HARD)
def test_encode_then_decode_returns_the_same_text(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert not set(ids) & set(tokenizer.special_ids.values())


@fixed_fixture
@given(text=st.one_of(any_text, marks_and_joiners))
def test_encode_then_decode_is_the_identity_on_any_text(tokenizer, text):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    stream = tokenizer.stream()
    assert "".join(stream.push(number) for number in ids) + stream.flush() == text


@fixed_fixture
@given(parts=st.lists(st.sampled_from([*SPECIAL_TOKENS, "<|", "|>", "im_start", " ", "a"]), max_size=8))
def test_special_tokens_in_a_text_are_plain_text(tokenizer, parts):
    text = "".join(parts)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert not set(ids) & set(tokenizer.special_ids.values())


@fixed_fixture
@given(data=st.data())
def test_a_stream_says_what_decoding_says_whatever_the_tokens(tokenizer, data):
    ids = data.draw(st.lists(st.integers(0, tokenizer.vocabulary_size - 1), max_size=30))
    stream = tokenizer.stream()
    assert "".join(stream.push(number) for number in ids) + stream.flush() == tokenizer.decode(ids)


def test_a_stream_waits_for_whole_characters(bpe):
    stream = bpe.stream()
    ids = [next(number for number in range(bpe.vocabulary_size) if bpe.token_bytes(number) == bytes([byte])) for byte in "é€".encode()]
    assert [stream.push(number) for number in ids] == ["", "é", "", "", "€"]
    assert stream.push(ids[0]) == ""
    assert stream.flush() == "\ufffd"


def test_a_batch_is_encoded_as_its_texts_are(tokenizer):
    assert tokenizer.encode_batch(HARD) == [tokenizer.encode(text) for text in HARD]


def test_special_tokens_follow_all_others_and_decode_to_nothing(tokenizer):
    first = tokenizer.vocabulary_size - len(SPECIAL_TOKENS)
    assert tokenizer.special_ids == {text: first + index for index, text in enumerate(SPECIAL_TOKENS)}
    assert tokenizer.end_of_text_id == first
    assert tokenizer.token_bytes(first) == b""
    assert tokenizer.decode([first, first + 1]) == ""


def test_every_byte_is_a_token(tokenizer):
    pieces = {tokenizer.token_bytes(number) for number in range(tokenizer.vocabulary_size)}
    assert {bytes([byte]) for byte in range(256)} <= pieces


def test_saving_and_loading_changes_nothing(tokenizer, tmp_path):
    tokenizer.save(tmp_path)
    again = Tokenizer.load(tmp_path)
    assert again.to_json() == tokenizer.to_json()
    assert again.algorithm == tokenizer.algorithm
    assert again.encode_batch(HARD) == tokenizer.encode_batch(HARD)
    assert again.end_of_text_id == tokenizer.end_of_text_id


@pytest.mark.parametrize("model_type", ["", "gpt2", "gptj", "llama", "qwen3"])
def test_transformers_opens_it_and_encodes_the_same(tokenizer, tmp_path, model_type):
    transformers = pytest.importorskip("transformers")
    tokenizer.save(tmp_path)
    if model_type:
        (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert theirs.eos_token_id == tokenizer.end_of_text_id
    assert len(theirs) == tokenizer.vocabulary_size
    for text in HARD:
        if "<|" not in text:
            assert theirs.encode(text, add_special_tokens=False) == tokenizer.encode(text)
            assert theirs.decode(tokenizer.encode(text), clean_up_tokenization_spaces=False) == text


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize(
    "word",
    [
        "हिन्दी",
        "அனைத்து",
        "كِتَابٌ",
        "שָׁלוֹם",
        "ẹ̀kọ́",
        "နိုင်ငံ",
        "ภาษาไทยไม่มีเว้นวรรค",
        "人人生而自由",
        "ខ្មែរ",
        "བོད་"[:2],
        "ߒߞߏߢߍ",
        "አማርኛ",
        "i\u0307stanbul",
    ],
)
def test_a_split_never_cuts_a_mark_from_its_letter_nor_a_script_without_spaces(pattern, word):
    import regex

    assert regex.findall(PATTERNS[pattern], word) == [word]


@pytest.mark.parametrize("pattern", PATTERNS)
@given(text=any_text)
@settings(deadline=None)
def test_a_split_loses_no_character(pattern, text):
    import regex

    assert "".join(regex.findall(PATTERNS[pattern], text)) == text


def test_the_pattern_of_a_tokenizer_can_be_read_back(tokenizer):
    assert split_pattern_of(tokenizer.to_json()) == (None if tokenizer.algorithm == "character" else "qwen35")


def test_half_a_surrogate_pair_is_not_text(tokenizer):
    with pytest.raises(TokenizerError, match=r"character 2 is U\+D800, half of a surrogate pair(.|\n)*fix: "):
        tokenizer.encode("ab\ud800")


def test_an_unknown_token_is_refused(bpe):
    with pytest.raises(TokenizerError, match=rf"no token {bpe.vocabulary_size}: the vocabulary has {bpe.vocabulary_size}"):
        bpe.decode([bpe.vocabulary_size])
    with pytest.raises(TokenizerError, match="no token -1"):
        bpe.token_bytes(-1)


def test_a_folder_without_a_tokenizer_says_so(tmp_path):
    with pytest.raises(TokenizerError, match=r"no tokenizer here: tokenizer\.json not found(.|\n)*where: (.|\n)*fix: "):
        Tokenizer.load(tmp_path)


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"\xff\xfe", b"{}", b"[1]", b"null", b'{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": [["a", "b"]]}}']
)
def test_a_damaged_tokenizer_says_so(tmp_path, damage):
    (tmp_path / "tokenizer.json").write_bytes(damage)
    with pytest.raises(TokenizerError, match=r"damaged tokenizer(.|\n)*tokenizer\.json(.|\n)*fix: "):
        Tokenizer.load(tmp_path)


def test_a_tokenizer_cut_short_says_so(bpe, tmp_path):
    bpe.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(TokenizerError, match="damaged tokenizer"):
        Tokenizer.load(tmp_path)


def test_a_damaged_tokenizer_config_says_so(bpe, tmp_path):
    bpe.save(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("[]")
    with pytest.raises(TokenizerError, match=r"damaged tokenizer(.|\n)*tokenizer_config\.json"):
        Tokenizer.load(tmp_path)


def test_a_tokenizer_that_lacks_bytes_is_refused(bpe, tmp_path):
    bpe.save(tmp_path)
    path = tmp_path / "tokenizer.json"
    settings_of = json.loads(path.read_text())
    settings_of["model"]["vocab"] = {"a": 0, "b": 1}
    settings_of["model"]["merges"] = []
    settings_of["added_tokens"] = []
    path.write_text(json.dumps(settings_of))
    with pytest.raises(TokenizerError, match=r"cannot encode every text: it has 2 of the 256 bytes(.|\n)*fix: "):
        Tokenizer.load(tmp_path)


def test_a_tokenizer_without_an_end_of_text_says_so(bpe, tmp_path):
    bpe.save(tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"eos_token": {"content": "</s>"}}')
    with pytest.raises(TokenizerError, match=r"'</s>' is not in its vocabulary(.|\n)*fix: "):
        _ = Tokenizer.load(tmp_path).end_of_text_id
