"""The report: one page that holds everything, needs nothing from outside and no script to be read.

Everything shown comes from the artifacts. What the model and the corpus say is untrusted: every value is escaped by the template.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from rodna.core.artifact import Artifact, create
from rodna.core.files import write_text
from rodna.core.text import human_bytes, human_count
from rodna.corpus.language import parse_language
from rodna.publish.config import ReportConfig
from rodna.publish.facts.cost import cost_facts
from rodna.publish.facts.dropped import dropped_facts
from rodna.publish.facts.ensemble import ensemble_facts
from rodna.publish.facts.plan import plan_facts
from rodna.publish.facts.prediction import prediction_facts
from rodna.publish.facts.reproduce import reproduce_facts
from rodna.publish.facts.results import headline_facts, results_facts, results_of
from rodna.publish.facts.samples import samples_facts
from rodna.publish.facts.tasks import is_of, task_names, tasks_facts
from rodna.publish.facts.text import statistics_of, text_facts
from rodna.publish.facts.tokenizer import tokenizer_facts
from rodna.publish.facts.training import training_facts
from rodna.publish.facts.view import amount, get, read_json
from rodna.publish.page import Section, render_page

REPORT_FORMAT_VERSION = 2
PAGE = "index.html"


def report_inputs(
    *,
    language: str,
    name: str,
    corpus: Artifact | None = None,
    tokenizer: Artifact | None = None,
    plan: Artifact | None = None,
    tokens: Artifact | None = None,
    model: Artifact | None = None,
    evaluation: Artifact | None = None,
    ensemble: Artifact | None = None,
) -> dict[str, Artifact | str]:
    """Return what identifies a report, for a `Stage` that announces it: the artifacts there are, and the project's language and name."""
    project = hashlib.sha256(f"{language}\n{name}".encode()).hexdigest()
    artifacts = {"corpus": corpus, "tokenizer": tokenizer, "plan": plan, "tokens": tokens, "model": model, "evaluation": evaluation}
    artifacts["ensemble"] = ensemble
    return {"project": project, **{role: artifact for role, artifact in artifacts.items() if artifact is not None}}


def write_report(
    *,
    language: str,
    name: str,
    corpus: Artifact | None,
    tokenizer: Artifact | None,
    plan: Artifact | None,
    tokens: Artifact | None,
    model: Artifact | None,
    evaluation: Artifact | None,
    config: ReportConfig,
    out: Path,
    ensemble: Artifact | None = None,
) -> Artifact:
    """Write `index.html`.

    A missing artifact, or a file missing from one, leaves out a section; a line in its place says so.

    Args:
        language: BCP-47 tag of the text that the samples are in.
        name: what the project calls itself.
        corpus: what went in, and what was dropped.
        tokenizer: with its measures.
        plan: with its reasons.
        tokens: the encoded corpus.
        model: with the metrics of its training.
        evaluation: results and samples.
        config: how much is shown.
        out: the artifact's folder.
        ensemble: whose members taught the model.
    """
    inputs = report_inputs(
        language=language, name=name, corpus=corpus, tokenizer=tokenizer, plan=plan, tokens=tokens, model=model, evaluation=evaluation,
        ensemble=ensemble,
    )  # fmt: skip
    artifacts = {role: item for role, item in inputs.items() if isinstance(item, Artifact)}
    with create(out, kind="report", format_version=REPORT_FORMAT_VERSION, inputs=inputs, config=config) as draft:
        write_text(draft.path / PAGE, render(language=language, name=name, artifacts=artifacts, config=config))
    return draft.result


def sections_of(artifacts: Mapping[str, Artifact], config: ReportConfig) -> list[Section]:
    """Gather what every section says.

    Args:
        artifacts: role -> artifact, of those there are.
        config: how much is shown.
    """
    corpus, tokenizer, plan, model, evaluation = (artifacts.get(role) for role in ("corpus", "tokenizer", "plan", "model", "evaluation"))
    statistics, results = statistics_of(corpus), results_of(evaluation)
    asked, names = tasks_facts(evaluation, results), task_names(evaluation)
    others = [result for result in results if not is_of(result, names)]
    taught = ensemble_facts(artifacts.get("ensemble"), model)
    predicted = prediction_facts(plan, model, results)
    dropped = dropped_facts(corpus, statistics, num_excerpts=config.num_excerpts, characters=config.excerpt_characters)
    return [
        Section("result", "Result", "How good it is", headline_facts(results), "No evaluation of held-out text yet: run `rodna eval`."),
        Section("samples", "Samples", "What it writes", samples_facts(evaluation, config), "No samples were kept."),
        Section(
            "text", "Text", "What went in", text_facts(statistics, num_sources=config.num_sources), "No figures about the text were found."
        ),
        Section("dropped", "Left out", "What was left out, and why", dropped, "No record of dropped documents was found."),
        Section("tokenizer", "Tokenizer", "How text is cut into tokens", tokenizer_facts(tokenizer, corpus), "No tokenizer was found."),
        Section("plan", "Plan", "What was planned, and why", plan_facts(plan, taught=taught is not None), "No plan was found."),
        Section(
            "training", "Training", "How training went", training_facts(model, points=config.curve_points), "No training metrics were kept."
        ),
        *([Section("prediction", "Prediction", "What was foreseen, and what came", predicted, "")] if predicted else []),
        *([Section("ensemble", "Teachers", "Ensemble and student", taught, "")] if taught else []),
        *([Section("tasks", "Tasks", "What it was asked", asked, "")] if asked else []),
        Section("results", "All results", "Everything measured", results_facts(others), "Nothing was measured yet: run `rodna eval`."),
        Section("cost", "Cost", "What it cost", cost_facts(artifacts), "Nothing is known about the cost."),
        Section("reproduce", "Reproduce", "How to get the same again", reproduce_facts(artifacts), "There is nothing to reproduce yet."),
    ]


def render(*, language: str, name: str, artifacts: Mapping[str, Artifact], config: ReportConfig) -> str:
    """Return the page.

    Args:
        language: BCP-47 tag.
        name: of the project.
        artifacts: role -> artifact, of those there are.
        config: how much is shown.
    """
    return render_page(
        language=language,
        name=name,
        heading=f"A language model for {parse_language(language).name}",
        opening=opening(artifacts),
        sections=sections_of(artifacts, config),
        folder="sections",
        styles=["style.css"],
    )


def opening(artifacts: Mapping[str, Artifact]) -> list[str]:
    """Return the few facts under the title."""
    plan, statistics = read_json(artifacts.get("plan"), "plan.json"), statistics_of(artifacts.get("corpus"))
    found: list[str] = []
    # A student may have another size than the plan's.
    parameters = get(read_json(artifacts.get("model"), "training.json"), "parameters") or get(plan, "estimates", "parameters")
    if amount(parameters):
        found.append(f"{human_count(amount(parameters))} parameters")
    size = get(statistics, "splits", "train", "bytes")
    if amount(size):
        found.append(f"trained on {human_bytes(amount(size))} of text")
    created = max((artifact.manifest.created for artifact in artifacts.values()), default="")
    return [*found, created[:10]] if created else found
