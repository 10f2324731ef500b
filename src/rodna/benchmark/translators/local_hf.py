"""A translation model in a folder on this machine: Marian, NLLB, M2M100 and other encoder-decoder models of transformers."""

import hashlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.errors import TranslationError
from rodna.benchmark.translators.masks import read_masks, write_masks
from rodna.core.files import sha256_of

MAX_NEW_TOKENS = 512
LONGER = 3
"""A translation may have so many times the tokens of its source; a model that goes on has lost its way."""
SPARE_TOKENS = 16
_LANGUAGE_TOKEN = re.compile(r"(?:>>|__)(\w+?)(?:<<|__)|([a-z]{3}_[A-Z][a-z]{3}|[a-z]{2,3}_[A-Z]{2})")
"""How Marian, M2M100, NLLB and mBART-50 write the languages they know: `>>cat<<`, `__ca__`, `cat_Latn`, `ca_XX`."""


class LocalModel:
    """A model and its tokenizer, loaded when first needed."""

    batch_size = 16
    concurrency = 1

    def __init__(self, folder: Path) -> None:
        self.name = f"local_hf {folder.name}"
        self._folder = folder
        self._digest = ""
        self._loaded: tuple[Any, Any] | None = None
        self._pair = ("", "")

    def version(self, source: str, target: str) -> str:
        """Return a digest of every file of the model."""
        self._check_pair(source, target)
        if not self._digest:
            files = sorted(path for path in self._folder.iterdir() if path.is_file() and not path.name.startswith("."))
            self._digest = hashlib.sha256("".join(f"{path.name} {sha256_of(path)}\n" for path in files).encode()).hexdigest()[:12]
        return self._digest

    def translate(self, texts: Sequence[str], source: str, target: str) -> list[str]:
        import torch

        if not texts:
            return []
        model, tokenizer = self._load()
        masked = [write_masks(text) for text in texts]
        codes = _code(tokenizer, source), _code(tokenizer, target)
        written = [text for text, _ in masked]
        options: dict[str, Any] = {}
        if codes[1].startswith(">>"):
            # Marian's models of several languages are told the target in the text.
            written = [f"{codes[1]} {text}" for text in written]
        elif all(codes):
            tokenizer.src_lang = codes[0].strip("_")
            options["forced_bos_token_id"] = tokenizer.convert_tokens_to_ids(codes[1])
        inputs = tokenizer(written, return_tensors="pt", padding=True)
        limit = getattr(model.config, "max_position_embeddings", 0) or inputs["input_ids"].shape[1]
        if inputs["input_ids"].shape[1] > limit:
            raise TranslationError(f"a text is longer than the {limit} tokens of the model", where=str(self._folder), fix="shorten it")
        max_new_tokens = min(MAX_NEW_TOKENS, limit - 1, LONGER * inputs["input_ids"].shape[1] + SPARE_TOKENS)
        with torch.inference_mode():
            found = model.generate(**inputs, do_sample=False, max_length=None, max_new_tokens=max_new_tokens, **options)
        answers = tokenizer.batch_decode(found, skip_special_tokens=True)
        return [read_masks(answer.strip(), style) for answer, (_, style) in zip(answers, masked, strict=True)]

    def _check_pair(self, source: str, target: str) -> None:
        """Raise `TranslationError` where the model does not translate this way."""
        from rodna.corpus.identify.names import means
        from rodna.corpus.language import parse_language

        _, tokenizer = self._load()
        codes = _code(tokenizer, source), _code(tokenizer, target)
        if all(codes) and not codes[1].startswith(">>"):
            return
        # Marian's models go one way, and mostly say which; of one that does not, the first that is asked of it is believed.
        said = [getattr(tokenizer, name, None) for name in ("source_lang", "target_lang")]
        if not isinstance(said[0], str) or not isinstance(said[1], str):
            self._pair = self._pair if any(self._pair) else (source, target)
            fits = self._pair == (source, target)
            said = list(self._pair)
        else:
            fits = means(said[0], parse_language(source)) and (bool(codes[1]) or means(said[1], parse_language(target)))
        if not fits:
            raise TranslationError(
                f"the model translates {said[0]}-{said[1]}, not {source}-{target}", where=str(self._folder), fix="take another model"
            )

    def _load(self) -> tuple[Any, Any]:
        """Load the model, without running any code that comes with it.

        Raises:
            TranslationError: the folder holds no such model.
        """
        if self._loaded is None:
            try:
                from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

                tokenizer = AutoTokenizer.from_pretrained(self._folder, local_files_only=True, trust_remote_code=False)
                model = AutoModelForSeq2SeqLM.from_pretrained(
                    self._folder, local_files_only=True, trust_remote_code=False, use_safetensors=True
                )
            except ImportError as error:
                raise TranslationError(f"cannot load the model: {error}", where=str(self._folder), fix="pip install 'rodna[hf]'") from error
            except (OSError, ValueError, KeyError) as error:
                raise TranslationError(
                    f"no translation model that can be loaded: {str(error).splitlines()[0][:200]}",
                    where=str(self._folder),
                    fix="give a folder with config.json, the tokenizer's files and model.safetensors of an encoder-decoder model",
                ) from error
            model.eval()
            self._loaded = model, tokenizer
        return self._loaded


def make(where: str, config: BenchmarkConfig, folder: Path) -> LocalModel:
    """Return the model in a folder.

    Raises:
        TranslationError: there is no such folder.
    """
    place = Path(where).expanduser()
    if not where or not (place / "config.json").is_file():
        raise TranslationError(f"no model at {where or '(no folder named)'}", where="--translator", fix="write local_hf:FOLDER")
    return LocalModel(place)


def _code(tokenizer: Any, tag: str) -> str:
    """Return the token by which a tokenizer names a language; "" where it names none, so that the model has but one pair.

    Raises:
        TranslationError: it names languages, but not this one.
    """
    from rodna.corpus.identify.names import means
    from rodna.corpus.language import parse_language

    marian = {token for token in tokenizer.get_vocab() if token.startswith(">>")}
    named = {found[1] or found[2]: token for token in {*tokenizer.get_added_vocab(), *tokenizer.all_special_tokens, *marian}
             if (found := _LANGUAGE_TOKEN.fullmatch(token))}  # fmt: skip
    language = parse_language(tag)
    known = sorted(name for name in named if means(name, language))
    if known:
        return named[known[0]]
    if named and not marian:
        raise TranslationError(f"the model does not know {tag}", where=str(tokenizer.name_or_path), fix="take another model")
    return ""
