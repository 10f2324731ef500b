"""The report: one page that holds everything, needs nothing from outside and no script to be read.

Everything shown comes from the artifacts. What the model and the corpus say is untrusted: every value is escaped by the template.
"""

import hashlib
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path

from markupsafe import Markup

from rodna.core.artifact import Artifact, create
from rodna.core.files import write_text
from rodna.core.text import human_bytes, human_count, human_seconds
from rodna.publish.config import ReportConfig
from rodna.publish.script import markup_of

REPORT_FORMAT_VERSION = 1
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
) -> dict[str, Artifact | str]:
    """Return what identifies a report, for a `Stage` that announces it: the artifacts there are, and the project's language and name."""
    project = hashlib.sha256(f"{language}\n{name}".encode()).hexdigest()
    artifacts = {"corpus": corpus, "tokenizer": tokenizer, "plan": plan, "tokens": tokens, "model": model, "evaluation": evaluation}
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
    """
    inputs = report_inputs(
        language=language, name=name, corpus=corpus, tokenizer=tokenizer, plan=plan, tokens=tokens, model=model, evaluation=evaluation
    )
    artifacts = {role: item for role, item in inputs.items() if isinstance(item, Artifact)}
    with create(out, kind="report", format_version=REPORT_FORMAT_VERSION, inputs=inputs, config=config) as draft:
        write_text(draft.path / PAGE, render(language=language, name=name, artifacts=artifacts, config=config))
    return draft.result


def render(*, language: str, name: str, artifacts: Mapping[str, Artifact], config: ReportConfig) -> str:
    """Return the page.

    Args:
        language: BCP-47 tag.
        name: of the project.
        artifacts: role -> artifact, of those there are.
        config: how much is shown.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("rodna.publish"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(size=human_bytes, count=human_count, duration=human_seconds)
    style = files("rodna.publish").joinpath("templates/style.css").read_text(encoding="utf-8")
    return environment.get_template("page.html.jinja").render(
        language=language, name=name, text=markup_of(language), style=Markup(style), artifacts=artifacts
    )
