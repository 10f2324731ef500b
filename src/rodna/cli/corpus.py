"""`rodna corpus`: build it, look at it, judge what was dropped, describe it for others."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rodna.cli import langid
from rodna.cli.options import HERE, NOTHING, DryRunOption, JsonOption, SetOption, WorkspaceOption
from rodna.cli.verbs import open_stages, print_json, stage_verb

if TYPE_CHECKING:
    from rodna.cli.stages import Stages
    from rodna.core.artifact import Artifact

app = typer.Typer(no_args_is_help=True, help="Turn sources into clean, de-duplicated documents with a held-out part.")
app.add_typer(langid.app, name="langid")

NOWHERE = Path()
NO_PATHS: list[Path] = []
NUM_WORDS = 40


@app.command()
def build(
    runner: Annotated[Literal["", "local", "ray", "slurm"], typer.Option(help="Where the work is done; else what the project says.")] = "",
    workers: Annotated[int, typer.Option(min=0, help="Tasks at a time; 0: what the project says.")] = 0,
    address: Annotated[str, typer.Option(help="Of a Ray cluster, such as 10.0.0.1:6379.")] = "",
    workspace: WorkspaceOption = HERE,
    set_: SetOption = NOTHING,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Read the sources and write the corpus."""
    from rodna.cli.verbs import open_project
    from rodna.core.log import warn

    chosen = {"name": runner, "workers": workers, "address": address}
    overrides = [*set_, *(f"corpus.runner.{key}={value}" for key, value in chosen.items() if value)]
    stage_verb(("documents", "cleaned", "corpus"), workspace=workspace, overrides=overrides, dry_run=dry_run, as_json=as_json)
    project, _ = open_project(workspace, overrides)
    missing = [name for name, source in project.sources.items() if not source.licence.strip()]
    if missing:
        warn(f"no licence given for {', '.join(missing)}: write `licence` under the source in project.yaml before you publish anything")


@app.command()
def inspect(
    html: Annotated[
        Path, typer.Option("--html", help="Where to write the page; report/corpus.html in the workspace by default.")
    ] = NOWHERE,
    against: Annotated[
        list[Path], typer.Option(help="A word list, text, corpus or workspace: show the words it lacks; repeatable.")
    ] = NO_PATHS,
    seed: Annotated[int, typer.Option(help="Another seed, other samples.")] = 0,
    workspace: WorkspaceOption = HERE,
    set_: SetOption = NOTHING,
    as_json: JsonOption = False,
) -> None:
    """Show what was kept, what was dropped and why, here and as a page."""
    from rodna.core.log import say
    from rodna.corpus.inspect import statistics_of
    from rodna.corpus.words import own_words, words_against

    stages = open_stages(workspace, set_)
    corpus = stages.artifact("corpus")
    statistics = statistics_of(corpus, stages.project.sources)
    compared = {str(path): words_against(corpus, path, limit=NUM_WORDS) for path in against}
    if as_json:
        print_json({**statistics, "only_here": {name: words.words for name, words in compared.items()}} if compared else statistics)
        return
    from rodna.cli.corpus_tables import print_corpus
    from rodna.corpus.distributions import distributions_of
    from rodna.publish.corpus_page import write_corpus_page

    own = own_words(corpus, limit=NUM_WORDS)
    cleaned = stages.stage("cleaned").existing(stages.workspace)
    thresholds = statistics["selection"].get("thresholds")
    out = stages.workspace.report / "corpus.html" if html == NOWHERE else html
    write_corpus_page(corpus, cleaned, statistics, out, own=own, against=compared, seed=seed)
    print_corpus(statistics, distributions_of(cleaned, corpus, thresholds) if cleaned else None, own, compared)
    say(f"the same as a page, with samples: {out}")


@app.command()
def sample(
    number: Annotated[int, typer.Option("--num", "-n", min=1, help="How many documents.")] = 5,
    split: Annotated[Literal["train", "validation", "test"], typer.Option(help="Of the kept documents, from this split.")] = "train",
    dropped: Annotated[bool, typer.Option("--dropped", help="Dropped documents, with the reason.")] = False,
    cut: Annotated[bool, typer.Option("--cut", help="Passages cut from documents that were kept.")] = False,
    step: Annotated[str, typer.Option(help="Only what this step dropped or cut.")] = "",
    reason: Annotated[str, typer.Option(help="Only what was dropped or cut for this reason.")] = "",
    source: Annotated[str, typer.Option(help="Only from this source.")] = "",
    language: Annotated[str, typer.Option(help="Only what the identifier labelled so; also `mixed` and `unknown`.")] = "",
    document: Annotated[str, typer.Option(metavar="PATTERN", help="With --keep: only documents with such an id, `bible/*`.")] = "",
    characters: Annotated[int, typer.Option(min=1, help="Of each document, at most.")] = 600,
    seed: Annotated[int, typer.Option(help="Another seed, other documents.")] = 0,
    keep: Annotated[bool, typer.Option("--keep", help="Overrule: write a rule into project.yaml that keeps all that are meant.")] = False,
    judge: Annotated[bool, typer.Option("--judge", help="Ask about each document, and write rules for those to keep.")] = False,
    workspace: WorkspaceOption = HERE,
    set_: SetOption = NOTHING,
    as_json: JsonOption = False,
) -> None:
    """Print randomly chosen documents; of dropped ones, with the reason, and with a way to overrule it."""
    from rodna.cli import judging
    from rodna.core.errors import ConfigError

    stages = open_stages(workspace, set_)
    corpus = judging.corpus_to_judge(stages)
    if document and not keep:
        raise ConfigError("--document says which drops to keep", where="rodna corpus sample", fix="give --dropped --keep with it")
    if (dropped and cut) or ((keep or judge) and not dropped) or ((step or reason) and not (dropped or cut)):
        what = "--dropped and --cut exclude each other; --step and --reason need one of them, --keep and --judge need --dropped"
        raise ConfigError(what, where="rodna corpus sample", fix="try `rodna corpus sample --dropped --reason near_duplicate`")
    _check(corpus, dropped=dropped, cut=cut, step=step, reason=reason, source=source)
    if keep:
        judging.keep(stages, corpus, step=step, reason=reason, source=source, document=document)
        return
    chosen = {"seed": seed, "source": source, "ids": _ids_in(stages, language) if language else None}
    items = _chosen(corpus, number, split, dropped=dropped, cut=cut, step=step, reason=reason, chosen=chosen)
    if judge:
        judging.judge(stages, corpus, items, reason=reason, source=source, characters=characters)
    elif as_json:
        from rodna.corpus.documents import as_record

        print_json([as_record(item) for item in items])
    else:
        judging.show_items(stages, items, characters=characters)


def _check(corpus: "Artifact", *, dropped: bool, cut: bool, step: str, reason: str, source: str) -> None:
    """Refuse a source, step or reason of which there is nothing."""
    from rodna.corpus.inspect import check_reason, check_source, cut_reasons, reasons_of, statistics_of

    statistics = statistics_of(corpus)
    check_source(statistics, source)
    if (dropped or cut) and (step or reason):
        check_reason(cut_reasons(corpus) if cut else reasons_of(statistics), step=step, reason=reason)


def _chosen(
    corpus: "Artifact", number: int, split: Any, *, dropped: bool, cut: bool, step: str, reason: str, chosen: dict[str, Any]
) -> list[Any]:
    from rodna.corpus.inspect import sample_cut, sample_documents, sample_dropped

    if dropped:
        return sample_dropped(corpus, num_documents=number, step=step, reason=reason, **chosen)
    if cut:
        return sample_cut(corpus, num_passages=number, step=step, reason=reason, **chosen)
    return sample_documents(corpus, num_documents=number, split=split, **chosen)


def _ids_in(stages: "Stages", language: str) -> set[str]:
    """Return ids of documents that the identifier labelled so.

    Raises:
        CorpusError: none is; the message names the labels there are.
    """
    from rodna.corpus.identify import load_identifier
    from rodna.corpus.labelled import ids_labelled

    project = stages.project
    labels: tuple[str, ...] = ()
    if project.corpus.language.identifier != "off":
        labels = load_identifier(project.corpus.language, language=project.language, root=stages.workspace.root).labels
    return ids_labelled(stages.artifact("cleaned"), labels, language)


@app.command()
def card(
    out: Annotated[Path, typer.Option("--out", help="Folder to write; `dataset` in the workspace by default.")] = NOWHERE,
    draft: Annotated[bool, typer.Option("--draft", help="Also without all licences; the card says that it is a draft.")] = False,
    workspace: WorkspaceOption = HERE,
    set_: SetOption = NOTHING,
    as_json: JsonOption = False,
) -> None:
    """Write the corpus as a data set that others can load, with a card made from what is known of it."""
    from rodna.core.log import say
    from rodna.publish.data_card import write_data_set

    stages = open_stages(workspace, set_)
    folder = stages.workspace.root / "dataset" if out == NOWHERE else out
    files = write_data_set(stages.artifact("corpus"), stages.project.sources, folder, draft=draft)
    if as_json:
        print_json({"folder": str(folder), "draft": draft, "files": files})
        return
    print(folder)
    say("a draft, not to be published" if draft else "publishing is up to you: read README.md, and what it says about consent, first")
