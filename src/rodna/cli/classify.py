"""`rodna eval classify`: sentiment, topic or any other classes of texts, with a model and without one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rodna.cli.options import HERE, NOTHING, JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from rodna.core.artifact import Artifact

HOW = "How texts are classified"
FOLDER = "evaluations"


def classify(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Labelled texts: .csv or .tsv with a header, or .jsonl.")],
    model: Annotated[
        str, typer.Option("--model", "-m", metavar="WHERE", help="Any checkpoint folder, ours or Hugging Face's, or http://host:port/v1#model.")
    ],
    text: Annotated[str, typer.Option("--text", metavar="COLUMN", help="Column of the text.")],
    label: Annotated[str, typer.Option("--label", metavar="COLUMN", help="Column of the label.")],
    language: Annotated[str, typer.Option("--language", "-l", metavar="LANG", help="BCP-47 tag of the texts.")],
    test: Annotated[
        str, typer.Option("--test", metavar="FILE", help="Texts to be asked about, of the same columns; without it a share of DATA is.")
    ] = "",
    test_share: Annotated[float, typer.Option("--test-share", help="Of each class, where there is no --test.")] = 0.2,
    method: Annotated[
        str, typer.Option("--method", metavar="NAMES", help="few-shot, linear-probe, fine-tune: one or several, with commas.")
    ] = "few-shot,linear-probe,fine-tune",
    out: Annotated[str, typer.Option("--out", "-o", metavar="FOLDER", help="Where to write; by default below evaluations/.")] = "",
    shots: Annotated[int, typer.Option("--shots", help="few-shot: solved examples of each class.", rich_help_panel=HOW)] = 4,
    template: Annotated[
        str,
        typer.Option("--template", help="few-shot: how an example is written, with {text}, ending with {label}; \\n is a line break.",
                     rich_help_panel=HOW),
    ] = "{text}\\n{label}",
    word: Annotated[
        list[str], typer.Option("--word", metavar="LABEL=WORD", help="few-shot: what stands for a label; repeatable.", rich_help_panel=HOW)
    ] = NOTHING,
    calibrate: Annotated[
        bool, typer.Option("--calibrate/--no-calibrate", help="few-shot: take away what labels cost after no text.", rich_help_panel=HOW)
    ] = True,
    runs: Annotated[int, typer.Option("--runs", help="few-shot, fine-tune: with other shots or weights each.", rich_help_panel=HOW)] = 3,
    epochs: Annotated[int, typer.Option("--epochs", help="fine-tune: the most.", rich_help_panel=HOW)] = 8,
    learning_rate: Annotated[float, typer.Option("--learning-rate", help="fine-tune: the highest.", rich_help_panel=HOW)] = 1e-4,
    seed: Annotated[int, typer.Option("--seed", help="Of the split and everything else drawn.", rich_help_panel=HOW)] = 0,
    workspace: WorkspaceOption = HERE,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Classify texts with a model, and with character n-grams that need none.

    Says macro-F1 and accuracy with intervals, and whether the model is better than the n-grams on the same texts.

    For example: rodna eval classify reviews.csv --model my-model --text review --label stars --language lt
    """
    from rodna.core.config import validate
    from rodna.corpus.language import parse_language
    from rodna.evals.classify.config import ClassifyConfig
    from rodna.evals.classify.run import classification_inputs, classify_texts
    from rodna.evals.finished import digest_of_evaluation, existing_evaluation

    values: dict[str, Any] = {
        "text": text, "label": label, "language": parse_language(language).tag, "test_share": test_share,
        "methods": tuple(name.strip() for name in method.split(",") if name.strip()), "shots": shots,
        "template": template.replace("\\n", "\n"), "words": _words(word), "runs": runs, "epochs": epochs, "seed": seed,
        "learning_rate": learning_rate,
        "calibration": "contextual" if calibrate else "none",
    }  # fmt: skip
    config = validate(ClassifyConfig, values)
    asked = Path(test) if test else None
    root, corpus = _workspace(workspace)
    digest = digest_of_evaluation(classification_inputs(model, data, asked, corpus), config)
    folder = Path(out) if out else root / FOLDER / f"{data.stem}-{digest[:8]}"
    made = existing_evaluation(folder, digest) or classify_texts(model, data, config, folder, test=asked, corpus=corpus)
    _print(made, as_json=as_json)


def _words(given: list[str]) -> dict[str, str]:
    """Return label -> word.

    Raises:
        ConfigError: one is not LABEL=WORD.
    """
    from rodna.core.errors import ConfigError

    wrong = [item for item in given if "=" not in item]
    if wrong:
        raise ConfigError(f"not LABEL=WORD: {wrong[0]!r}", where="--word", fix="write the label, an equals sign, and the word")
    return dict((label, word) for label, _, word in (item.partition("=") for item in given))


def _workspace(workspace: Path) -> tuple[Path, "Artifact | None"]:
    """Return the workspace's folder and the corpus whose training text the texts are looked up in; here and none without a workspace."""
    from rodna.cli.verbs import open_stages
    from rodna.core.errors import ArtifactError
    from rodna.core.log import say
    from rodna.core.workspace import PROJECT_FILE

    start = workspace.resolve()
    if not any((folder / PROJECT_FILE).is_file() for folder in (start, *start.parents)):
        return Path(), None
    stages = open_stages(workspace, [])
    try:
        return stages.workspace.root, stages.artifact("corpus")
    except ArtifactError as error:
        say(f"note: texts are not looked up in the training text: {error.what}")
        return stages.workspace.root, None


def _print(made: "Artifact", *, as_json: bool) -> None:
    from rodna.cli.eval_table import as_records, print_evaluation
    from rodna.cli.verbs import print_json
    from rodna.core.log import say
    from rodna.evals.result import read_results

    if as_json:
        print_json({"path": str(made.path), **as_records(made.path)})
        return
    print_evaluation(made.path, show_all=False)
    for result in read_results(made.path / "results.json"):
        if result.metric == "macro_f1_minus_ngram":
            points = f"{100 * result.value:+.1f} points of macro-F1, 95% interval {100 * result.low:+.1f} to {100 * result.high:+.1f}"
            say(f"{result.task.rpartition('/')[2]} against character n-grams: {result.detail['verdict']} ({points})")
    print(made.path)
