"""Finding the identifier a project asks for."""

from pathlib import Path

from rodna.core.errors import ConfigError
from rodna.corpus.config import LanguageConfig
from rodna.corpus.identify.builtin import builtin
from rodna.corpus.identify.identifier import Identifier, Scorer
from rodna.corpus.identify.names import means
from rodna.corpus.language import parse_language


def load_identifier(config: LanguageConfig, *, language: str, root: Path) -> Identifier:
    """Return the identifier that a project's configuration names.

    Args:
        config: `identifier` is `builtin`, or the path of a model.
        language: the corpus' BCP-47 tag.
        root: the workspace, which paths are relative to.

    Raises:
        ConfigError: there is no such model, or it is `off`.
        ArtifactError: the model is damaged.
    """
    tag = parse_language(language)
    scorer = _scorer(config.identifier, root)
    scripts = tag.unicode_scripts if tag.script != "Zzzz" else ()
    targets = frozenset(label for label in scorer.labels if means(label, tag))
    return Identifier(scorer, targets=targets, scripts=scripts, mixed_share=config.mixed_share)


def _scorer(name: str, root: Path) -> Scorer:
    if name == "off":
        raise ConfigError("language identification is off", where="corpus.language.identifier", fix="use `builtin` or a model's path")
    if name == "builtin":
        return builtin()
    path = root / Path(name).expanduser()
    if path.is_file():
        from rodna.corpus.identify.fasttext import FastText

        return FastText(path)
    if path.is_dir():
        from rodna.corpus.identify.trained import Trained

        return Trained.open(path)
    raise ConfigError(
        f"no language identifier at {path}",
        where="corpus.language.identifier",
        fix="use `builtin`, or make a model with `rodna corpus langid train LANG=FILE ... --out FOLDER`",
    )


def identify_one(text: str) -> tuple[str, float]:
    """Return the most likely language (ISO 639 code) of a text among those the built-in identifier knows, and its probability.

    A language outside these is taken for a neighbour: read the answer as a hint. ("", 0.0) for a text without letters.
    """
    scorer = builtin()
    row = Identifier(scorer, targets=frozenset(), scripts=(), mixed_share=1.0).identify([text])[0]
    return (scorer.labels[row["label"]], float(row["confidence"])) if row["label"] >= 0 else ("", 0.0)
