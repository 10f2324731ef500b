"""`rodna benchmark`: a benchmark in another language, every item of it checked."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rodna.cli.options import NOTHING, JsonOption, SetOption

if TYPE_CHECKING:
    from rodna.benchmark.config import BenchmarkConfig

app = typer.Typer(no_args_is_help=True, help="Translate a benchmark, check every item, and let speakers have the last word.")

FolderArgument = Annotated[Path, typer.Argument(metavar="FOLDER", help="Of the translated benchmark.")]


@app.command()
def translate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The benchmark: JSON Lines, one item a line.")],
    source: Annotated[str, typer.Option("--from", metavar="LANG", help="Language of the benchmark (BCP-47).")],
    target: Annotated[str, typer.Option("--to", metavar="LANG", help="Language to translate it into.")],
    translator: Annotated[str, typer.Option(help="apertium, local_hf:FOLDER, endpoint:http://host:port/v1#model, or a plugin's name.")],
    fields: Annotated[str, typer.Option(help="Fields to translate, with commas; dots for nested ones.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write; the same one goes on where a run was stopped.")],
    second: Annotated[str, typer.Option(help="Another translator: to compare with, and to stand in where the first fails.")] = "",
    back: Annotated[str, typer.Option(help="Who translates back; by default the second translator, else the first; `off`: nobody.")] = "",
    options: Annotated[str, typer.Option(help="Those of them that are the options; by default a list, or option_a, ...")] = "",
    answer: Annotated[str, typer.Option(help="The field that names the right answer; by default answer, answerKey, gold or label.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the benchmark (SPDX); the translation inherits it.")] = "",
    origin: Annotated[str, typer.Option(help="Where the benchmark is from: an address, a paper.")] = "",
    set_: SetOption = NOTHING,
    as_json: JsonOption = False,
) -> None:
    """Translate a benchmark and check every item.

    For example: rodna benchmark translate test.jsonl --from en --to ca --translator apertium --fields question,choices --out test-ca

    Each item ends accepted, repaired or rejected, with reasons, or failed where the translator did: type the command again to go on.
    """
    from rodna.benchmark.translate import translate_benchmark
    from rodna.cli.lock import locked
    from rodna.cli.verbs import print_json
    from rodna.core.workspace import Workspace

    given = {"source_language": source, "language": target, "fields": _names(fields), "options": _names(options), "answer": answer}
    config = _configure({**given, "licence": licence, "origin": origin}, set_)
    translators = _open([translator, second, back], config, out)
    out.mkdir(parents=True, exist_ok=True)
    with locked(Workspace(out)):
        counts = translate_benchmark(file, out, config, translators)
    if as_json:
        print_json({"path": str(out), **counts})
    else:
        say_counts(counts)
        print(out)
    if counts["failed"]:
        raise typer.Exit(1)


@app.command()
def rebuild(folder: FolderArgument, as_json: JsonOption = False) -> None:
    """Make the benchmark anew from its items and the verdicts of people, without translating."""
    from rodna.benchmark import store
    from rodna.cli.lock import locked
    from rodna.cli.verbs import print_json
    from rodna.core.workspace import Workspace

    store.read_records(folder)
    with locked(Workspace(folder)):
        counts = store.rebuild(folder)
    if as_json:
        print_json({"path": str(folder), **counts})
        return
    say_counts(counts)
    print(folder)


@app.command()
def review(
    folder: FolderArgument,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port on this machine; 0: any that is free.")] = 0,
    who: Annotated[str, typer.Option(metavar="NAME", help="Who signs the verdicts; by default your login name.")] = "",
) -> None:
    """Look through the items in the browser: a speaker accepts, edits or rejects each, and it is saved at once.

    It ends with Ctrl-C. Only this machine can open the address it prints.
    """
    from rodna.benchmark import store
    from rodna.benchmark.review import Review
    from rodna.benchmark.review_server import ReviewServer, serve
    from rodna.cli.lock import locked
    from rodna.core.log import say
    from rodna.core.workspace import Workspace

    store.read_records(folder)
    with locked(Workspace(folder)):
        at_hand = Review(folder, who or _login_name())
        try:
            with ReviewServer(at_hand, port) as server:
                say(f"verdicts are signed {at_hand.who}; open this in the browser, and end with Ctrl-C:")
                print(server.address, flush=True)
                serve(server)
        finally:
            counts = at_hand.close()
    say_counts(counts)


@app.command()
def card(
    folder: FolderArgument,
    licence: Annotated[
        str, typer.Option(help="Licence of the source (SPDX), where `translate` was not told; the translation inherits it.")
    ] = "",
    origin: Annotated[str, typer.Option(help="Where the source is from: an address, a paper.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Write the data card, README.md: how the benchmark was made, what was checked, and how many items a person saw.

    `translate` and `review` write it too; here the licence of the source must be known.
    """
    from rodna.benchmark import card as cards
    from rodna.benchmark import store
    from rodna.cli.lock import locked
    from rodna.cli.verbs import print_json
    from rodna.core.workspace import Workspace

    store.read_records(folder)
    with locked(Workspace(folder)):
        store.check_card(folder, licence)
        store.set_source(folder, licence, origin)
        counts = store.rebuild(folder)
    if as_json:
        print_json({"path": str(folder / cards.CARD), **counts})
        return
    print(folder / cards.CARD)


def say_counts(counts: dict[str, Any]) -> None:
    """Tell a person what became of the items."""
    from rodna.core.log import say

    say(", ".join(f"{counts[name]:,} {name}" for name in ("accepted", "repaired", "rejected", "failed")) + f" of {counts['items']:,} items")
    for reason, number in sorted(counts["reasons"].items(), key=lambda pair: -pair[1]):
        say(f"  {number:,}: {reason}")
    if counts["human"]["seen"]:
        say(f"  {counts['human']['seen']:,} seen by a person")
    if counts["failed"]:
        say("type the same command again to go on with what failed")


def _login_name() -> str:
    """Return who is at the keyboard, "" where the system does not know."""
    import getpass

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return ""


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _configure(given: dict[str, Any], overrides: list[str]) -> "BenchmarkConfig":
    """Return the settings, languages checked.

    Raises:
        ConfigError: a setting or a language tag is wrong.
    """
    from rodna.benchmark.config import BenchmarkConfig
    from rodna.core.config import merge, parse_override, validate
    from rodna.core.errors import ConfigError
    from rodna.corpus.language import parse_language

    values: dict[str, Any] = given
    for override in overrides:
        values = dict(merge(values, parse_override(override)))
    config = validate(BenchmarkConfig, values, overrides=overrides)
    tags = [parse_language(tag).tag for tag in (config.source_language, config.language)]
    if tags[0] == tags[1]:
        raise ConfigError(f"the benchmark is to be translated from {tags[0]} into itself", where="--to", fix="name another language")
    unknown = [name for name in config.options if name not in config.fields]
    if unknown:
        raise ConfigError(f"options that are not translated: {', '.join(unknown)}", where="--options", fix="name them in --fields too")
    return config.model_copy(update={"source_language": tags[0], "language": tags[1]})


def _open(names: list[str], config: "BenchmarkConfig", out: Path) -> Any:
    """Return first, second and back translator; one that is named twice is opened once."""
    from rodna.benchmark.candidates import Translators
    from rodna.benchmark.translators import open_translator

    opened = {name: open_translator(name, config, out / ".answers") for name in dict.fromkeys(names) if name and name != "off"}
    first, second = opened[names[0]], opened.get(names[1])
    back = None if names[2] == "off" else opened.get(names[2]) or second or first
    return Translators(first, second, back)
