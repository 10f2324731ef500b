"""The tokenizer: text to token ids and back, without losing a byte."""

import codecs
import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, cast

from rodna.core.errors import TokenizerError
from rodna.core.files import write_json, write_text
from rodna.tokenizer.config import END_OF_TEXT, NUM_BYTES
from rodna.tokenizer.patterns import byte_alphabet

TOKENIZER_FILE = "tokenizer.json"
CONFIG_FILE = "tokenizer_config.json"
_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class Tokenizer:
    """Encodes any text into token ids, and decodes them to the very same text.

    Special tokens never come out of `encode`: a text that spells `<|endoftext|>` is encoded as the letters it is made of, so no text can
    forge the end of a document or a turn of a conversation. Special tokens decode to nothing.
    """

    def __init__(self, backend: Any, *, end_of_text: str = END_OF_TEXT, where: str = "") -> None:
        """Wrap a `tokenizers.Tokenizer`.

        Args:
            backend: the library's tokenizer.
            end_of_text: the special token that ends a document.
            where: the folder it came from, for error messages.

        Raises:
            TokenizerError: it lacks bytes, so some texts could not be encoded.
        """
        backend.encode_special_tokens = True
        backend.no_truncation()
        backend.no_padding()
        self.backend = backend
        self._where, self._end_of_text = where, end_of_text
        self._bytes = _bytes_of_tokens(backend, where)

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Open the tokenizer of any folder that holds a `tokenizer.json`: a tokenizer artifact or a checkpoint.

        Raises:
            TokenizerError: there is none, it is damaged, or it cannot encode every text.
        """
        import tokenizers

        path = Path(folder) / TOKENIZER_FILE
        if not path.is_file():
            raise TokenizerError(
                f"no tokenizer here: {TOKENIZER_FILE} not found", where=str(folder), fix="give a folder of a tokenizer or a model"
            )
        try:
            backend = tokenizers.Tokenizer.from_str(path.read_text(encoding="utf-8"))
        except Exception as error:  # the library raises bare Exception for whatever is wrong with the file
            raise TokenizerError(
                f"damaged tokenizer: {error}", where=str(path), fix="delete the folder and run `rodna run` again, or copy the file anew"
            ) from error
        return cls(backend, end_of_text=_end_of_text_of(path.with_name(CONFIG_FILE)), where=str(path))

    def save(self, folder: Path) -> None:
        """Write `tokenizer.json`, and a `tokenizer_config.json` with which transformers' `AutoTokenizer` opens it."""
        write_text(folder / TOKENIZER_FILE, self.to_json())
        write_json(
            folder / CONFIG_FILE,
            {
                "tokenizer_class": "PreTrainedTokenizerFast",
                "bos_token": self._end_of_text,
                "eos_token": self._end_of_text,
                "pad_token": self._end_of_text,
                "clean_up_tokenization_spaces": False,
            },
        )

    def to_json(self) -> str:
        """Return the content of `tokenizer.json`."""
        return self.backend.to_str(pretty=True) + "\n"

    @property
    def vocabulary_size(self) -> int:
        return len(self._bytes)

    @cached_property
    def end_of_text_id(self) -> int:
        """The token that ends every document.

        Raises:
            TokenizerError: the vocabulary has none.
        """
        found = self.backend.token_to_id(self._end_of_text)
        if found is None:
            raise TokenizerError(
                f"the tokenizer has no token that ends a text: {self._end_of_text!r} is not in its vocabulary",
                where=self._where,
                fix=f"name one as `eos_token` in {CONFIG_FILE}",
            )
        return found

    @cached_property
    def special_ids(self) -> dict[str, int]:
        """Special tokens and their ids."""
        added = self.backend.get_added_tokens_decoder()
        return {token.content: number for number, token in sorted(added.items()) if token.special}

    @property
    def algorithm(self) -> str:
        """Return `bpe`, `unigram` or `character`; of a foreign tokenizer, the library's name for its model, in lower case."""
        model = self.backend.model
        name = type(model).__name__.lower()
        return "character" if name == "bpe" and model.byte_fallback and self._has_no_merges else name

    @cached_property
    def _has_no_merges(self) -> bool:
        return not self.merges

    @cached_property
    def merges(self) -> list[tuple[int, int, int]]:
        """How BPE makes its tokens, in the order in which it joins: (left, right, what they become); empty of other kinds."""
        model = json.loads(self.backend.to_str())["model"]
        pairs = [pair.split(" ") if isinstance(pair, str) else pair for pair in model.get("merges") or ()]
        numbers = model.get("vocab", {})
        # A vocabulary that was cut down may lack what a merge needs or makes: it never happens then.
        return [
            (numbers[left], numbers[right], numbers[left + right])
            for left, right in pairs
            if left in numbers and right in numbers and left + right in numbers
        ]

    def encode(self, text: str) -> list[int]:
        """Return the token ids of a text.

        Raises:
            TokenizerError: the text holds half of a surrogate pair, which no UTF-8 can hold.
        """
        return self.encode_batch([text])[0]

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each text, using all the cores."""
        try:
            return [encoding.ids for encoding in self.backend.encode_batch_fast(list(texts), add_special_tokens=False)]
        except (UnicodeEncodeError, TypeError) as error:
            raise _not_text(texts) from error

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of token ids; bytes that are not UTF-8, as of half a character, become U+FFFD."""
        return b"".join(self.token_bytes(number) for number in ids).decode("utf-8", errors="replace")

    def token_bytes(self, number: int) -> bytes:
        """Return the bytes of one token; none for special ones.

        Raises:
            TokenizerError: there is no such token.
        """
        if not 0 <= number < len(self._bytes):
            raise TokenizerError(
                f"no token {number}: the vocabulary has {len(self._bytes):,}",
                where=self._where,
                fix="use the tokenizer the model came with",
            )
        return self._bytes[number]

    def stream(self) -> "TextStream":
        """Return a decoder for tokens that arrive one by one."""
        return TextStream(self)


class TextStream:
    """Decodes tokens one by one, and holds back the bytes of a character until it is complete."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def push(self, number: int) -> str:
        """Return the text that has become certain with this token; often none."""
        return self._decoder.decode(self._tokenizer.token_bytes(number))

    def flush(self) -> str:
        """End the text: return what is left, incomplete characters as U+FFFD."""
        text = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return text


def _end_of_text_of(path: Path) -> str:
    """Return the `eos_token` that a `tokenizer_config.json` names; ours where there is no such file or entry."""
    if not path.is_file():
        return END_OF_TEXT
    try:
        token: Any = json.loads(path.read_text(encoding="utf-8")).get("eos_token")
    except (ValueError, AttributeError) as error:
        raise TokenizerError(f"damaged tokenizer: {error}", where=str(path), fix="copy the file anew, or delete it") from error
    if isinstance(token, dict):
        token = cast("dict[str, Any]", token).get("content")
    return token if isinstance(token, str) else END_OF_TEXT


def _bytes_of_tokens(backend: Any, where: str) -> list[bytes]:
    """Return the bytes of every token, by id.

    Raises:
        TokenizerError: the tokenizer is of a kind that cannot encode every text.
    """
    decoder = json.loads(backend.to_str()).get("decoder") or {}
    kinds = {part.get("type") for part in [decoder, *decoder.get("decoders", [])]}
    vocabulary: dict[str, int] = backend.get_vocab(with_added_tokens=True)
    result = [b""] * (max(vocabulary.values(), default=-1) + 1)
    alphabet = byte_alphabet()
    byte_tokens = 0
    for text, number in vocabulary.items():
        if "ByteLevel" in kinds and all(character in alphabet for character in text):
            result[number] = bytes(alphabet[character] for character in text)
            byte_tokens += len(text) == 1
        elif "ByteFallback" in kinds and (match := _BYTE_TOKEN.fullmatch(text)):
            result[number] = bytes.fromhex(match[1])
            byte_tokens += 1
        else:
            # SentencePiece writes the space as U+2581.
            result[number] = (text.replace("\u2581", " ") if "Replace" in kinds else text).encode("utf-8")
    for number, token in backend.get_added_tokens_decoder().items():
        result[number] = b"" if token.special else token.content.encode("utf-8")
    if byte_tokens != NUM_BYTES:
        raise TokenizerError(
            f"the tokenizer cannot encode every text: it has {byte_tokens} of the {NUM_BYTES} bytes",
            where=where,
            fix="use a byte-level tokenizer, or one with byte fallback",
        )
    return result


def _not_text(texts: Sequence[str]) -> TokenizerError:
    for text in texts:
        if not isinstance(text, str):
            return TokenizerError(f"expected text, found a {type(text).__name__}", fix="give a str")
        for position, character in enumerate(text):
            if "\ud800" <= character <= "\udfff":
                return TokenizerError(
                    f"character {position:,} is U+{ord(character):04X}, half of a surrogate pair: it is not text",
                    where=repr(text[max(position - 20, 0) : position + 20]),
                    fix="read the text as UTF-8 with errors='replace', or remove the character",
                )
    return TokenizerError("the text cannot be encoded")
