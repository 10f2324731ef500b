"""What a corpus is made of and how: the `sources` and `corpus` sections of a project."""

from typing import Literal

from pydantic import Field, model_validator

from rodna.core.config import Section

DocumentUnit = Literal["file", "blank_line", "line", "section"]


class Source(Section):
    """One origin of text: files that share a format, a licence and an idea of what a document is."""

    path: str = Field(min_length=1, description="A file, a folder or a pattern such as `texts/*.txt`, from the workspace's folder.")
    format: str = Field(default="auto", min_length=1, description="An extractor's name; `auto` decides file by file.")
    document: DocumentUnit = Field(
        default="file", description="What one document is: a whole file, text between blank lines, a line, or a stretch of section_bytes."
    )
    section_bytes: int = Field(default=65536, ge=256, description="Where `document` is `section`: about how long each is.")
    text_field: str = Field(default="text", min_length=1, description="The field of JSON Lines, or column of Parquet, that holds the text.")
    licence: str = Field(default="", description="An SPDX identifier or the licence's name; publishing needs one.")
    origin: str = Field(default="", description="Where the text comes from: an address or a sentence.")


class SplitConfig(Section):
    """How much text is held out, in shares of the corpus' bytes."""

    validation: float = Field(default=0.05, ge=0, lt=1, description="Share looked at during training.")
    test: float = Field(default=0.05, ge=0, lt=1, description="Share looked at once, at the end.")
    min_bytes: int = Field(default=16384, ge=1, description="A held-out part smaller than this measures nothing.")

    @model_validator(mode="after")
    def _leaves_something_to_learn_from(self) -> "SplitConfig":
        if self.validation + self.test > 0.9:
            raise ValueError(
                f"validation and test together take {self.validation + self.test:.0%} of the text: leave at least 10% to train on"
            )
        return self


class CorpusConfig(Section):
    """How documents are cleaned and held out."""

    seed: int = Field(default=0, ge=0, description="Another seed holds out other documents.")
    split: SplitConfig = SplitConfig()
    normalize: bool = Field(default=True, description="NFC, newlines, control characters, stray spaces at line ends.")
    mend_mojibake: bool = Field(default=True, description="Undo text decoded with the wrong encoding, where ftfy finds signs of it.")
    deduplicate: bool = Field(default=True, description="Drop exact copies of earlier documents, spaces aside.")
    min_document_bytes: int = Field(default=1, ge=1, description="Shorter documents are dropped.")
    max_document_bytes: int = Field(
        default=1 << 20, ge=1024, description="Longer documents are cut at a paragraph, line, sentence or space; nothing is lost."
    )
    max_file_bytes: int = Field(default=1 << 40, ge=1, description="Larger files are dropped.")
