"""The evaluation stage: every evaluator that is installed, and the user's tasks, on one model."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rodna.core import registry
from rodna.core.artifact import Artifact, Draft, create
from rodna.core.errors import CannotScoreError, EvaluationError
from rodna.core.files import write_json
from rodna.core.log import warn
from rodna.corpus.documents import read_documents
from rodna.evals.config import FORMAT_VERSION, EvalConfig
from rodna.evals.data import EvaluationData, load_data
from rodna.evals.measure import all_results, write_items
from rodna.evals.models.model import DecoderModel
from rodna.evals.result import Evaluation, write_results
from rodna.evals.tasks.files import digest_of_files, fingerprint_tasks
from rodna.evals.tasks.run import TASKS, run_tasks

if TYPE_CHECKING:
    from rodna.evals.models.ensemble import EnsembleModel
    from rodna.evals.models.model import LanguageModel

GROUP = "rodna.evaluators"
Evaluator = Callable[["LanguageModel", EvaluationData, EvalConfig], Evaluation]
RESULTS, SAMPLES, ITEMS = "results.json", "samples.json", "items.parquet"


def evaluation_inputs(
    config: EvalConfig, root: Path, *, model: Artifact | str, tokens: Artifact | None = None, corpus: Artifact | None = None,
    anywhere: bool = False,
) -> dict[str, Artifact | str]:  # fmt: skip
    """Return what identifies an evaluation: the artifacts there are, and the content of the tasks' files.

    Raises:
        EvaluationError: a task's files are missing or lie outside the workspace.
    """
    inputs: dict[str, Artifact | str] = {"model": model}
    inputs |= {role: item for role, item in (("tokens", tokens), ("corpus", corpus)) if item is not None}
    if config.tasks:
        inputs["tasks"] = fingerprint_tasks(config.tasks, root, anywhere=anywhere)
    return inputs


def evaluate_model(model: Artifact, tokens: Artifact, corpus: Artifact, config: EvalConfig, out: Path, *, root: Path = Path()) -> Artifact:
    """Measure a model on held-out text and on the tasks.

    Written are `results.json`, `items.parquet` with the items behind them, `samples.json` and `tasks.json`.

    Args:
        model: a checkpoint, or an ensemble of them, which is measured as one model.
        tokens: of the corpus, encoded with the model's tokenizer.
        corpus: whose `test` split no training has seen.
        config: how.
        out: the artifact's folder.
        root: folder that the tasks' paths begin at.

    Raises:
        EvaluationError: there is no held-out text, the artifacts do not belong together, a task cannot be asked, or a number is not
            finite.
        PluginError: two installed packages register evaluators of one name.
    """
    inputs = evaluation_inputs(config, root, model=model, tokens=tokens, corpus=corpus)
    with create(out, kind="evaluation", format_version=FORMAT_VERSION, inputs=inputs, config=config, seed=config.seed) as draft:
        data = load_data(corpus, tokens, train_bytes=config.baseline_bytes, seed=config.seed)
        language_model = open_model(model, config)
        parts = [evaluator(language_model, data, config) for evaluator in _evaluators()]
        parts.append(run_tasks(language_model, config.tasks, config, root=root, training=training_text(corpus)))
        write_evaluation(draft, parts, config)
    return draft.result


def evaluate_any(
    where: str, config: EvalConfig, out: Path, *, root: Path, corpus: Artifact | None = None, is_quick: bool = False, anywhere: bool = True
) -> Artifact:
    """Measure any model on tasks and, where there is a corpus, on its held-out text.

    Args:
        where: see `open_language_model`.
        config: how, and the tasks.
        out: the artifact's folder.
        root: folder that the tasks' paths begin at.
        corpus: whose held-out text is scored with the model's own tokenizer, and in whose training text items are looked up.
        is_quick: of the held-out text, measure the model alone: no baselines, no generated text.
        anywhere: whether paths of tasks may lead out of `root`.

    Raises:
        EvaluationError: as for `evaluate_model`; or the model cannot do what is asked.
    """
    from rodna.evals.bits_per_byte import held_out
    from rodna.evals.models.open import open_language_model

    inputs = evaluation_inputs(config, root, model=identity_of(where), corpus=corpus, anywhere=anywhere)
    with create(out, kind="evaluation", format_version=FORMAT_VERSION, inputs=inputs, config=config, seed=config.seed) as draft:
        model = open_language_model(where, config)
        parts: list[Evaluation] = []
        if corpus is not None:
            data = load_data(corpus, None, train_bytes=config.baseline_bytes, seed=config.seed)
            evaluators = [held_out] if is_quick else _evaluators()
            parts += [part for evaluator in evaluators for part in _unless_refused(evaluator, model, data, config)]
        training = None if corpus is None else training_text(corpus)
        parts.append(run_tasks(model, config.tasks, config, root=root, training=training, anywhere=anywhere))
        if not any(part.results for part in parts):
            raise EvaluationError(
                "nothing could be measured: the model does not say what a text costs", where=where,
                fix="serve it with vLLM, give its folder, or ask tasks that have it write: exact_match, consistency",
            )  # fmt: skip
        write_evaluation(draft, parts, config)
    return draft.result


def _unless_refused(evaluator: Evaluator, model: "LanguageModel", data: EvaluationData, config: EvalConfig) -> list[Evaluation]:
    """Return what an evaluator finds; nothing, and a warning, where the model does not say what a text costs."""
    try:
        return [evaluator(model, data, config)]
    except CannotScoreError as error:
        warn(f"held-out text was not measured by {evaluator.__module__.rpartition('.')[2]}: {error.what}")
        return []


def identity_of(where: str) -> str:
    """Return a digest of a model: of its folder's files, or of its address."""
    folder = Path(where)
    if "://" in where or not folder.is_dir():
        return hashlib.sha256(where.encode("utf-8", "surrogateescape")).hexdigest()
    return digest_of_files(sorted(item for item in folder.rglob("*") if item.is_file()))


def write_evaluation(draft: Draft, parts: Sequence[Evaluation], config: EvalConfig) -> None:
    """Write what evaluators returned into an artifact."""
    results = [result for part in parts for result in all_results(part, samples=config.bootstrap_samples, seed=config.seed)]
    measurements = [item for part in parts for item in part.measurements]
    seen: dict[str, frozenset[str]] = {}
    files: dict[str, Any] = {SAMPLES: []}
    for part in parts:
        seen |= part.seen
        files |= part.files
    write_results(draft.path / RESULTS, results)
    write_items(draft.path / ITEMS, measurements, seen)
    for name, value in files.items():
        write_json(draft.path / name, value)
    draft.counts["results"] = len(results)
    draft.counts |= _counts(files.get(TASKS, {}).get("tasks", {}))
    held_out = next((result for result in results if (result.task, result.metric) == ("held_out_text", "bits_per_byte")), None)
    if held_out is not None:
        draft.counts["bits_per_byte"] = held_out.value


def _counts(tasks: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    if not tasks:
        return {}
    return {"tasks": len(tasks), "items": sum(task["num_items"] for task in tasks.values()),
            "skipped": sum(task["num_skipped"] for task in tasks.values())}  # fmt: skip


def _evaluators() -> list[Evaluator]:
    return [registry.load(GROUP, name) for name in registry.names(GROUP)]


def training_text(corpus: Artifact) -> Iterator[str]:
    """Yield what training has seen, document by document."""
    return (document.text for document in read_documents(corpus.path, "train"))


def open_model(model: Artifact, config: EvalConfig) -> "DecoderModel | EnsembleModel":
    """Load a model, or all members of an ensemble, on the fastest device.

    Raises:
        ArtifactError: a file is missing or damaged.
        ModelError: a checkpoint cannot be used, or the members' tokenizers differ.
    """
    from rodna.evals.models.open import open_decoder, open_ensemble

    return (open_ensemble if model.kind == "ensemble" else open_decoder)(model.path, config)
