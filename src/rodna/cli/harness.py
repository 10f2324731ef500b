"""`rodna eval --harness`: lm-evaluation-harness on any model, offline."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rodna.core.errors import ConfigError

if TYPE_CHECKING:
    pass

AS_DEFINED = -1
"""As the number of shots: what each task says."""


def check_options(tasks: Sequence[str], others: Mapping[str, bool], own: Mapping[str, bool]) -> None:
    """Check that no option is given that would be ignored.

    Args:
        tasks: of the harness.
        others: option -> whether it was given, of those that mean nothing to the harness.
        own: option -> whether it was given, of those that mean something to the harness only.

    Raises:
        ConfigError: one is.
    """
    strange = [name for name, is_given in (others if tasks else own).items() if is_given]
    if strange and tasks:
        raise ConfigError(f"--harness does not go with {', '.join(strange)}", where="rodna eval", fix="make two evaluations of them")
    if strange:
        raise ConfigError(f"{', '.join(strange)} without --harness", where="rodna eval", fix="name the tasks: --harness NAME=PATH")


def run_harness_verb(
    tasks: Sequence[str], *, model: str, path: str, shots: int, limit: int, backend: str, out: str, workspace: Path,
    overrides: Sequence[str], with_corpus: bool, show_all: bool, dry_run: bool, as_json: bool,
) -> None:  # fmt: skip
    """Ask a model tasks of lm-evaluation-harness.

    Args:
        tasks: NAME or NAME=PATH.
        model: where it is; empty for the workspace's.
        path: a folder of task files; empty for none.
        shots: solved items before each question; `AS_DEFINED`: as each task says.
        limit: most items of each task; 0 for all.
        backend: `rodna` or `hf`.
        out: folder to write; empty for one below `evaluations/`.
        workspace: any folder in it, or none.
        overrides: `--set` assignments.
        with_corpus: whether items are looked up in its training text.
        show_all: whether members of groups are shown, too.
        dry_run: say what would be done only.
        as_json: print JSON.

    Raises:
        EvaluationError: as `evaluate_in_harness`.
        ArtifactError: another evaluation is in the way.
    """
    from rodna.cli.elsewhere import FOLDER, check_model, corpus_of, eval_settings, name_of_model, own_model, stages_around
    from rodna.cli.eval_table import as_records, print_evaluation
    from rodna.cli.verbs import print_json
    from rodna.core.config import validate
    from rodna.core.log import say
    from rodna.evals.finished import digest_of_evaluation, existing_evaluation
    from rodna.evals.harness.run import HarnessConfig, evaluate_in_harness, harness_inputs, require_harness

    require_harness()
    stages = stages_around(workspace, overrides)
    settings = (stages.project.eval if stages else eval_settings(overrides)).model_copy(update={"tasks": []})
    values: dict[str, Any] = {"tasks": list(tasks), "path": path, "limit": limit, "backend": backend}
    values |= {} if shots == AS_DEFINED else {"shots": shots}
    config = validate(HarnessConfig, values).model_copy(update={"eval": settings})
    where = model or own_model(stages, of_ensemble=False)
    check_model(where)
    corpus = corpus_of(stages) if with_corpus else None
    digest = digest_of_evaluation(harness_inputs(where, config, corpus), config)
    folder = Path(out) if out else (stages.workspace.root if stages else Path()) / FOLDER / f"{name_of_model(where)}-harness-{digest[:8]}"
    existing = existing_evaluation(folder, digest)
    if dry_run:
        step = {"model": where, "path": str(folder), "state": "missing" if existing is None else "done"}
        print_json(step) if as_json else say(f"{where}: {'unchanged' if existing else 'would be measured'}, in {folder}")
        return
    say(f"{where}: {'unchanged' if existing else 'asking lm-evaluation-harness ...'}")
    made = existing or evaluate_in_harness(where, config, folder, corpus=corpus)
    if as_json:
        print_json({"model": where, "path": str(made.path), **as_records(made.path)})
        return
    print_evaluation(made.path, show_all=show_all)
    print(made.path)
