"""`rodna eval make-pairs`: minimal pairs for a language without a benchmark, from a treebank of it."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rodna.cli.options import JsonOption

if TYPE_CHECKING:
    from rodna.core.artifact import Artifact

NO_FILES: list[Path] = []


def make_pairs(
    treebank: Annotated[list[Path], typer.Argument(metavar="TREEBANK...", help="CoNLL-U files, or folders of them; also .gz and .zst.")],
    language: Annotated[str, typer.Option("--language", "-l", metavar="LANG", help="BCP-47 tag of the treebank's language.")],
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FOLDER", help="Folder to write.")],
    sheet: Annotated[int, typer.Option("--sheet", metavar="N", help="Also write a sheet on which speakers judge N of the pairs.")] = 0,
    confirmed: Annotated[
        list[Path], typer.Option("--confirmed", metavar="SHEET", help="Keep only pairs that this filled-in sheet confirms; repeatable.")
    ] = NO_FILES,
    features: Annotated[
        str, typer.Option("--features", metavar="NAMES", help="Whose agreement is asked for.")
    ] = "Number,Gender,Case,Person",
    max_per_lemma: Annotated[int, typer.Option("--max-per-lemma", help="Most pairs of one phenomenon and one lemma.")] = 10,
    forms: Annotated[
        list[Path], typer.Option("--forms", metavar="FILE", help="More CoNLL-U, of which only inflected forms are used; repeatable.")
    ] = NO_FILES,
    as_json: JsonOption = False,
) -> None:  # fmt: skip
    """Make minimal pairs of grammar from a treebank, by swapping one attested form for another.

    What agrees with what is counted in the treebank itself. `rodna eval --task FOLDER/pairs.jsonl` then asks a model.

    For example: rodna eval make-pairs UD_Belarusian-HSE --language be --out be-pairs --sheet 100
    """
    from rodna.corpus.language import parse_language
    from rodna.evals.pairs.output import write_pairs

    names = tuple(dict.fromkeys(name.strip() for name in features.split(",")))
    artifact = write_pairs(
        treebank, out, language=parse_language(language).tag, features=names, max_per_lemma=max_per_lemma, forms=forms, sheet=sheet,
        confirmed=confirmed,
    )  # fmt: skip
    if as_json:
        from rodna.cli.verbs import print_json

        print_json({"path": str(out), **artifact.counts})
        return
    _report(artifact)
    print(out)


def _report(artifact: "Artifact") -> None:
    """Say on stderr what was made, what was not, and what speakers said."""
    import json

    from rodna.core.log import say, warn
    from rodna.evals.pairs.output import ACCOUNT, PAGE, SHEET

    counts = artifact.counts
    account: dict[str, Any] = json.loads((artifact.path / ACCOUNT).read_text(encoding="utf-8"))
    say(f"{counts['sentences'].get('read', 0):,} sentences, {account['candidates']:,} words that agree, {account['pairs']:,} pairs")
    for uid, row in account["by_uid"].items():
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in list(row["dropped"].items())[:3])
        say(f"  {uid}: {row['pairs']:,} of {row['candidates']:,}" + (f" (not: {reasons})" if reasons else ""))
    for item in account["malformed"][:3]:
        warn(f"skipped a malformed sentence: {item['where']}: {item['reason']}: {item['detail']}")
    if (malformed := counts["sentences"].get("malformed", 0)) > 3:
        warn(f"{malformed:,} malformed sentences in all: see {ACCOUNT}")
    if said := counts.get("speakers"):
        share = (
            ""
            if said["share_right"] is None
            else f" ({said['share_right']:.0%}, 95% interval {said['interval'][0]:.0%} to {said['interval'][1]:.0%})"
        )
        say(f"speakers saw {said['seen']:,} of {said['pairs']:,} pairs: {said['right']:,} of {said['judged']:,} judged are right{share}")
        if agreement := said["agreement"]:
            say(f"of {agreement['pairs']:,} pairs that several judged, they agree on {agreement['share']:.0%}")
        say(f"kept: {counts['pairs']:,} confirmed pairs")
    if "sheet" in counts:
        say(f"for speakers: {artifact.path / PAGE} in a browser, or {artifact.path / SHEET} in a spreadsheet; then --confirmed SHEET")
