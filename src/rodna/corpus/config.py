"""What a corpus is made of and how: the `sources` and `corpus` sections of a project."""

from typing import Literal

from pydantic import Field, model_validator

from rodna.core.config import Section

DocumentUnit = Literal["file", "blank_line", "line", "section"]
QualityReason = Literal["wrong_script", "too_few_letters", "too_repetitive", "not_running_text", "unlikely_text"]


class Source(Section):
    """One origin of text: files that share a format, a licence and an idea of what a document is."""

    path: str = Field(min_length=1, description="A file, a folder or a pattern such as `texts/*.txt`, from the workspace's folder.")
    format: str = Field(default="auto", min_length=1, description="An extractor's name; `auto` decides file by file.")
    document: DocumentUnit = Field(
        default="file", description="What one document is: a whole file, text between blank lines, a line, or a stretch of section_bytes."
    )
    section_bytes: int = Field(default=65536, ge=256, description="Where `document` is `section`: about how long each is.")
    text_field: str = Field(default="text", min_length=1, description="The field of JSON Lines, or column of a table, that holds the text.")
    licence: str = Field(default="", description="An SPDX identifier or the licence's name; publishing needs one.")
    origin: str = Field(default="", description="Where the text comes from: an address or a sentence.")
    date: str = Field(default="", description="When it was written or collected.")
    consent: str = Field(default="", description="Who agreed to this use, and how.")


class ExtractConfig(Section):
    """What a parser may cost before its document is given up."""

    max_file_bytes: int = Field(default=1 << 40, ge=1, description="Larger files are dropped.")
    max_unpacked_bytes: int = Field(default=1 << 40, ge=1, description="What one archive or compressed file may unpack to.")
    max_page_bytes: int = Field(default=64 << 20, ge=1024, description="Largest page, record or book a parser takes as a whole.")
    max_depth: int = Field(default=3, ge=1, description="Archives inside archives.")
    seconds: float = Field(default=60, gt=0, description="Time a parser has for one document.")
    memory_mb: int = Field(default=2048, ge=256, description="Memory a parser may take.")
    ocr: str = Field(default="", description="Tesseract's names of the languages to read scanned pages in, such as `bel` or `lit+eng`.")


class NormalizeConfig(Section):
    """The one form all text takes."""

    unicode: bool = Field(default=True, description="NFC, newlines, control and zero-width characters, stray spaces at line ends.")
    mend_mojibake: bool = Field(default=True, description="Undo text decoded with the wrong encoding, where there are signs of it.")
    reflow: bool = Field(default=True, description="Rejoin lines and words that were broken to fit a page's width, where a text shows it.")
    apostrophes: bool = Field(default=True, description="Write the apostrophe inside words as the corpus mostly does.")
    homoglyphs: bool = Field(default=True, description="Write look-alike letters of another script in the script of their word.")


class LanguageConfig(Section):
    """Which texts count as being in the language."""

    identifier: str = Field(
        default="builtin", description="`builtin`, `off`, or the path of a model: from `rodna corpus langid train`, or a fastText `.bin`."
    )
    action: Literal["drop", "keep"] = Field(
        default="drop", description="`drop` what is surely in another language; `keep` only records it."
    )
    min_confidence: float = Field(default=0.9, gt=0, le=1, description="Only documents whose language is so probable are dropped.")
    min_characters: int = Field(default=200, ge=1, description="Shorter documents are never dropped for their language.")
    mixed_share: float = Field(
        default=0.1, gt=0, lt=0.5, description="A document is mixed, and kept, where both the language and others have this share of it."
    )
    relatives: bool = Field(
        default=True, description="Accept labels of the same macrolanguage too (`zh` for `yue`): identifiers tell these badly."
    )
    known_share: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Where the identifier finds the language in less of the text than this, it does not know it well.",
    )
    substantial_share: float = Field(
        default=0.05, gt=0, le=1, description="In that case every label of so much of the text is taken for the language."
    )


class QualityConfig(Section):
    """Filters whose thresholds come from the language's own text."""

    filter: bool = Field(default=True, description="Drop what lies far outside the language's own text.")
    seed: tuple[str, ...] = Field(default=(), description="Sources of clean text to fit to; none: all of them, outliers set apart.")
    tail: float = Field(default=0.001, ge=0, lt=0.5, description="With a seed: the share of it each threshold may leave outside.")
    distance: float = Field(default=6, gt=0, description="How many standard deviations of the middle of the text is too far out.")
    min_characters: int = Field(default=16, ge=1, description="Shorter documents are too short to judge, and kept.")
    boilerplate: bool = Field(default=True, description="Cut menus from documents' edges, where the language's text has no such lines.")
    ignore: tuple[QualityReason, ...] = Field(default=(), description="Reasons that drop nothing.")


class PrivacyConfig(Section):
    """Personal data that is taken out of the text."""

    remove: tuple[Literal["email", "phone", "card", "iban"], ...] = Field(default=(), description="What to replace with a placeholder.")
    placeholder: str = Field(default="[{kind}]", description="What is written instead; `{kind}` becomes the kind of data.")


class DeduplicateConfig(Section):
    """Which copies go."""

    exact: bool = Field(default=True, description="Drop exact copies of earlier documents, spaces aside.")
    near: bool = Field(default=True, description="Drop near copies: documents most of whose text another, that is kept, has too.")
    similarity: float = Field(
        default=0.65, ge=0.4, le=0.99, description="Share of its shingles (runs of 8 letters) another must have for a document to go."
    )
    keep: Literal["longest", "first"] = Field(default="longest", description="Which of several near copies stays.")
    lines: int = Field(default=0, ge=0, description="Cut lines that stand in this many documents from all but the first; 0: none.")
    passages: int = Field(
        default=0, ge=0, description="Cut passages of this many characters that stand in an earlier document too; 0: none. Try 400."
    )


class DecontaminateConfig(Section):
    """What must not be in the training text."""

    held_out: bool = Field(default=True, description="Cut from train what validation or test hold too.")
    benchmarks: tuple[str, ...] = Field(default=(), description="Files or folders of benchmark texts that train must not hold.")
    max_share: float = Field(default=0.5, gt=0, le=1, description="Training documents of which more is held out, or in a benchmark, go.")
    min_characters: int = Field(default=100, ge=1, description="Shorter passages shared with a held-out document stay.")


class MixConfig(Section):
    """How much each source weighs in the training text."""

    weights: dict[str, float] = Field(default={}, description="Source -> how many times its text counts; below 1 leaves some out.")
    max_share: float = Field(default=1, gt=0, le=1, description="Most of the training text that one source may be; the rest is left out.")
    max_shares: dict[str, float] = Field(default={}, description="The same for single sources.")
    alpha: float = Field(
        default=1, gt=0, le=1, description="Below 1: shares follow size to this power, smaller sources are repeated; 0.3 to 0.7 is usual."
    )
    max_repeats: float = Field(default=4, ge=1, le=255, description="Most times `alpha` may repeat a text.")


class KeepRule(Section):
    """Documents a speaker wants kept although a step would drop them; every field given must match."""

    reason: str = Field(default="", description="Dropped for this reason.")
    source: str = Field(default="", description="From this source.")
    document: str = Field(default="", description="With this id, or an id that matches this pattern (`bible/*`).")


class RunnerConfig(Section):
    """Where the work is done; the result is the same everywhere."""

    name: Literal["local", "ray", "slurm"] = Field(default="local", description="Processes on this machine, or an engine that is there.")
    workers: int = Field(default=0, ge=0, description="Tasks at a time; 0: one a core of this machine, or all that the cluster takes.")
    attempts: int = Field(default=3, ge=1, description="How often a task is begun whose worker dies.")
    address: str = Field(default="auto", min_length=1, description="Ray: the cluster's address, such as `10.0.0.1:6379`.")
    options: tuple[str, ...] = Field(
        default=(), description="Slurm: more options of sbatch, such as `--partition=cpu` or `--time=12:00:00`."
    )
    setup: str = Field(default="", description="Slurm: shell lines to run first on each node, such as `module load python`.")
    task_memory_mb: int = Field(default=2048, ge=256, description="Slurm: the memory a task may take.")


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
    """How documents are read, cleaned and held out, in the order it is done."""

    seed: int = Field(default=0, ge=0, description="Another seed holds out other documents.")
    extract: ExtractConfig = ExtractConfig()
    max_document_bytes: int = Field(
        default=1 << 20,
        ge=1024,
        le=1 << 30,
        description="Longer documents are cut at a paragraph, line, sentence or space; nothing is lost.",
    )
    normalize: NormalizeConfig = NormalizeConfig()
    steps: tuple[str, ...] = Field(default=(), description="Plugins that judge or change each document, in order.")
    privacy: PrivacyConfig = PrivacyConfig()
    language: LanguageConfig = LanguageConfig()
    min_document_bytes: int = Field(default=1, ge=1, description="Shorter documents are dropped.")
    quality: QualityConfig = QualityConfig()
    deduplicate: DeduplicateConfig = DeduplicateConfig()
    split: SplitConfig = SplitConfig()
    decontaminate: DecontaminateConfig = DecontaminateConfig()
    mix: MixConfig = MixConfig()
    keep: tuple[KeepRule, ...] = Field(default=(), description="What a speaker overruled.")
    runner: RunnerConfig = RunnerConfig()
