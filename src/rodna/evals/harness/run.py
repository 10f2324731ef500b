"""lm-evaluation-harness, on any of our models, offline, with results like those of our own tasks.

Reference: Gao et al. 2024, The Language Model Evaluation Harness, zenodo.org/records/12608602.
"""

import hashlib
import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from rodna.core.artifact import Artifact, create
from rodna.core.config import Section
from rodna.core.errors import EvaluationError, RodnaError
from rodna.evals.config import FORMAT_VERSION, EvalConfig
from rodna.evals.harness.environment import offline, require_harness, without_bars
from rodna.evals.result import Evaluation
from rodna.evals.tasks.files import digest_of_files

if TYPE_CHECKING:
    from rodna.evals.contamination import Seen
    from rodna.evals.harness.results import Found
    from rodna.evals.harness.tasks import Prepared
    from rodna.evals.models.model import LanguageModel

FEWSHOT_SEED = 1234
"""Of the draw of solved items: the harness' own, so that the same ones are shown as when it is run by itself."""
RECORD = "harness.json"


class HarnessConfig(Section):
    """What lm-evaluation-harness is asked to do."""

    tasks: list[str] = Field(min_length=1, description="NAME or NAME=PATH, as in `rodna eval --harness`.")
    path: str = Field(default="", description="A folder of task files of one's own.")
    shots: Annotated[int, Field(ge=0)] | Literal["as_defined"] = Field(
        default="as_defined", description="Solved items shown before each question."
    )
    limit: int = Field(default=0, ge=0, description="Most items of each task, the first ones; 0: all.")
    backend: Literal["rodna", "hf"] = Field(default="rodna", description="Whose code runs the model; hf: the harness' own.")
    eval: EvalConfig = Field(default_factory=EvalConfig, description="Seed and resamples of intervals, batch size, compute dtype.")


def harness_inputs(where: str, config: HarnessConfig, corpus: Artifact | None = None) -> dict[str, Artifact | str]:
    """Return what identifies an evaluation: the model, the content of items and task files, the harness' version, and the corpus."""
    from importlib.metadata import version

    from rodna.evals.evaluate import identity_of
    from rodna.evals.harness.tasks import data_files, parse_sources

    paths = [config.path, *(source.path for source in parse_sources(config.tasks))]
    files = [file for path in paths if path for file in _files_of(Path(path).expanduser())]
    # What task files read may lie anywhere.
    files += [file for item in files if item.suffix == ".yaml" for file in data_files(item)]
    text = json.dumps([version("lm_eval"), digest_of_files(files)])
    inputs: dict[str, Artifact | str] = {"model": identity_of(where), "tasks": hashlib.sha256(text.encode()).hexdigest()}
    return inputs | ({} if corpus is None else {"corpus": corpus})


def _files_of(path: Path) -> list[Path]:
    return [path] if path.is_file() else sorted(item for item in path.rglob("*") if item.is_file() and "__pycache__" not in item.parts)


def evaluate_in_harness(where: str, config: HarnessConfig, out: Path, *, corpus: Artifact | None = None) -> Artifact:
    """Run lm-evaluation-harness on a model and write what it finds as an evaluation like any other.

    Args:
        where: see `open_language_model`.
        config: which tasks, and how.
        out: the artifact's folder.
        corpus: in whose training text items are looked up.

    Raises:
        EvaluationError: the harness is missing, a task cannot be found or read, or would have to be downloaded.
    """
    from rodna.evals.evaluate import training_text, write_evaluation

    require_harness()
    inputs = harness_inputs(where, config, corpus)
    with create(out, kind="evaluation", format_version=FORMAT_VERSION, inputs=inputs, config=config, seed=config.eval.seed) as draft:
        found = run_harness(where, config, training=None if corpus is None else training_text(corpus))
        write_evaluation(draft, [found], config.eval)
    return draft.result


def run_harness(model: "str | LanguageModel", config: HarnessConfig, *, training: Iterable[str] | None = None) -> Evaluation:
    """Return what the harness finds; see `evaluate_in_harness`.

    Args:
        model: where it is, or one that is open.
        config: which tasks, and how.
        training: the training text, document by document, where it is known.
    """
    require_harness()
    with offline(), tempfile.TemporaryDirectory(prefix="rodna-harness-") as scratch:
        from rodna.evals.harness.tasks import parse_sources, prepare

        prepared = prepare(parse_sources(config.tasks), config.path, Path(scratch))
        loaded = _load(prepared, config)
        asked, about = _open(model, config, loaded["tasks"])
        found = _run(asked, loaded, config)
        return _evaluation(prepared, loaded, found, config, about, training)


def _load(prepared: "Prepared", config: HarnessConfig) -> Any:
    """Return the harness' task objects, with the solved items that are asked for."""
    from datasets.utils.logging import disable_progress_bar
    from lm_eval.tasks import TaskManager

    disable_progress_bar()
    manager = TaskManager(include_path=[str(folder) for folder in dict.fromkeys(prepared.folders)], include_defaults=False)
    loaded: Any = {"tasks": {}, "groups": {}, "roots": {}}
    for name in prepared.names:
        try:
            one = manager.load([name])
        except Exception as error:
            # Whatever a task file or a data set may raise: the harness and `datasets` have no common error.
            raise _cannot_load(name, error) from error
        loaded["roots"][name] = list(one["tasks"])
        loaded["tasks"] |= one["tasks"]
        loaded["groups"] |= one.get("groups", {})
    for task in loaded["tasks"].values():
        task.set_fewshot_seed(seed=FEWSHOT_SEED)
        defined = task.config.num_fewshot
        # A task that is defined without solved items stays without, as in the harness.
        task.set_config(key="num_fewshot", value=defined or 0 if config.shots == "as_defined" or defined == 0 else config.shots)
    return loaded


def _cannot_load(name: str, error: Exception) -> EvaluationError:
    kinds = {base.__name__ for base in type(error).__mro__}
    if kinds & {"ConnectionError", "OfflineModeIsEnabled", "DatasetNotFoundError", "FileNotFoundError", "LocalEntryNotFoundError"}:
        return EvaluationError(
            f"the data of the task {name} is not on this machine, and nothing is downloaded: {_first_line(error)}",
            where=f"--harness {name}",
            fix=f"give its items: --harness {name}=FILE.jsonl, or a folder of them; or name local files in a task file of your own",
        )
    return EvaluationError(
        f"the task cannot be loaded: {type(error).__name__}: {_first_line(error)}",
        where=f"--harness {name}", fix="correct its task file or its items",
    )  # fmt: skip


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["no reason given"])[0][:300]


def _open(model: "str | LanguageModel", config: HarnessConfig, tasks: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the model as the harness asks it, and what it is."""
    if isinstance(model, str) and config.backend == "hf":
        return _open_theirs(model, config)
    from rodna.evals.harness.model import Asked, HarnessModel
    from rodna.evals.models.open import open_language_model

    if isinstance(model, str):
        # The harness' windows over long documents do not overlap, apart from the last.
        model = open_language_model(model, config.eval.model_copy(update={"stride": 1.0}))
    asked = {
        name: Asked(str(task.OUTPUT_TYPE), frozenset(task.aggregation()), callable(task.config.process_results))
        for name, task in tasks.items()
    }
    greedy = {name for name, how in asked.items() if how.needs_greedy}
    return HarnessModel(model, greedy=greedy, seed=config.eval.seed), model.description


def _open_theirs(where: str, config: HarnessConfig) -> tuple[Any, dict[str, Any]]:
    import torch
    from lm_eval.models.huggingface import HFLM

    if not Path(where).is_dir():
        raise EvaluationError("the harness' own model opens folders only", where=f"--model {where}", fix="leave out --harness-backend hf")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        opens: Any = HFLM
        model = opens(pretrained=where, device=device, dtype=config.eval.compute_dtype, batch_size=config.eval.batch_size)
    except (OSError, ValueError, ImportError, KeyError) as error:
        raise EvaluationError(
            f"transformers cannot open the model: {_first_line(error)}", where=where, fix="leave out --harness-backend hf"
        ) from error
    return model, {"where": where, "kind": "lm_eval hf"}


def _run(model: Any, loaded: Any, config: HarnessConfig) -> dict[str, Any]:
    from lm_eval.evaluator import evaluate

    wanted = {"tasks": loaded["tasks"], "groups": loaded["groups"]}
    try:
        with without_bars():
            found = evaluate(model, wanted, limit=config.limit or None, bootstrap_iters=0, log_samples=True, fewshot_as_multiturn=False)
    except RodnaError:
        raise
    except Exception as error:
        # A template, a filter or a metric of a task file may raise anything.
        raise EvaluationError(
            f"the harness failed: {type(error).__name__}: {_first_line(error)}",
            where=f"--harness {', '.join(loaded['roots'])}", fix="correct the task file, or the items it reads",
        ) from error  # fmt: skip
    return dict(found or {})


def _evaluation(
    prepared: "Prepared", loaded: Any, found: Mapping[str, Any], config: HarnessConfig, about: Mapping[str, Any],
    training: Iterable[str] | None,
) -> Evaluation:  # fmt: skip
    from importlib.metadata import version

    from rodna.evals.harness.results import group_numbers, look_up, numbers_of
    from rodna.evals.tasks.run import TASKS

    settings = config.eval
    evaluation = Evaluation([], {})
    parts = {root: [_found(root, name, loaded, found) for name in names] for root, names in loaded["roots"].items()}
    seen = look_up([one for members in parts.values() for one in members], training)
    records: dict[str, Any] = {}
    for root, members in parts.items():
        made = {one.name: numbers_of(one, samples=settings.bootstrap_samples, seed=settings.seed) for one in members}
        for group in loaded["groups"].values():
            if set(_leaves(group)) <= set(made):
                shown = root if group.name == root else f"{root}/{_short(group.name, root)}"
                wanted = [{"metric": item.metric, "weight_by_size": item.weight_by_size} for item in group.aggregate_metric_list or ()]
                own = [made[name] for name in _leaves(group)]
                evaluation.measurements.extend(group_numbers(shown, own, wanted, group.version, found["results"].get(group.name, {})))
        for one in made.values():
            evaluation.measurements.extend(one.measurements)
            evaluation.results.extend(one.results)
        evaluation.seen.update(_seen_ids(members, seen, [item.task for item in evaluation.measurements]))
        records[root] = _record(root, members, prepared, config, seen if training is not None else None)
    evaluation.files[TASKS] = {"model": dict(about), "tasks": records}
    evaluation.files[RECORD] = {
        "version": version("lm_eval"), "backend": config.backend,
        "results": {name: _plain(values) for name, values in found["results"].items()},
        "configs": {name: _plain(values) for name, values in found["configs"].items()},
    }  # fmt: skip
    return evaluation


def _found(root: str, name: str, loaded: Any, found: Mapping[str, Any]) -> "Found":
    from rodna.evals.harness.results import Found

    is_root = name == root
    return Found(
        name, root if is_root else f"{root}/{_short(name, root)}", "task" if is_root else "part", loaded["tasks"][name],
        found["samples"][name], found["results"][name], found["higher_is_better"][name], FEWSHOT_SEED,
    )  # fmt: skip


def _short(name: str, root: str) -> str:
    return name.removeprefix(f"{root}_") or name


def _leaves(group: Any) -> list[str]:
    return [task.task_name for task in group.get_all_tasks()]


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(dict(values), default=str))


def _seen_ids(members: Sequence["Found"], seen: Mapping[str, Mapping[str, "Seen"]], shown: Sequence[str]) -> dict[str, frozenset[str]]:
    """Return for each task and group that is shown the items that were found in the training text."""
    own = {one.shown: frozenset(i for i, what in seen.get(one.name, {}).items() if what.verdict == "seen") for one in members}
    # In a group an item's id begins with its task's name.
    joined = frozenset(f"{name.rpartition('/')[2]}/{identity}" for name, ids in own.items() for identity in ids)
    found = {name: own.get(name, joined) for name in shown if name in own or name.split("/")[0] == members[0].shown.split("/")[0]}
    return {name: ids for name, ids in found.items() if ids}


def _record(
    root: str, parts: Sequence["Found"], prepared: "Prepared", config: HarnessConfig, seen: Mapping[str, Mapping[str, "Seen"]] | None
) -> dict[str, Any]:
    skipped = prepared.skipped.get(root, [])
    first = parts[0].rows[0]["arguments"][0] if parts and parts[0].rows else ()
    looked_up = {
        identity if one.name == root else f"{_short(one.name, root)}/{identity}": what
        for one in parts
        for identity, what in (seen or {}).get(one.name, {}).items()
    }
    verdicts = Counter(what.verdict for what in looked_up.values())
    return {
        "kind": "harness",
        "config": {**config.model_dump(mode="json", exclude={"eval", "tasks"}), "task": root},
        "digest": digest_of_files(prepared.files.get(root, [])),
        "refused": "",
        "example": {"context": str(first[0]) if first else "", "continuation": str(first[1]) if len(first) > 1 else ""},
        "num_items": sum(len({row["doc_id"] for row in part.rows}) for part in parts),
        "num_skipped": len(skipped),
        "skipped": [asdict(item) for item in skipped],
        "contamination": {"is_checked": seen is not None, **{verdict: verdicts[verdict] for verdict in ("seen", "unseen", "unknown")}},
        "seen": {identity: asdict(what) for identity, what in looked_up.items() if what.verdict == "seen"},
    }
