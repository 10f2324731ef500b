"""Pairs as a folder: items that `rodna eval --task` reads, the account, the rules, the sheet."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rodna.core.artifact import MANIFEST, Artifact, create, read_manifest
from rodna.core.errors import EvaluationError
from rodna.core.files import sha256_of, write_json, write_text
from rodna.evals.pairs.conllu import find_files
from rodna.evals.pairs.features import report
from rodna.evals.pairs.forms import ODD
from rodna.evals.pairs.make import Account, Made, make_pairs
from rodna.evals.pairs.sheet import Judged, judge, read_sheet, sample, sheet_page, sheet_text

KIND = "minimal_pairs"
FORMAT_VERSION = 1
"""Raise it when the same treebank gives other pairs."""
PAIRS, ACCOUNT, RULES, SHEET, PAGE, SPEAKERS = "pairs.jsonl", "account.json", "rules.json", "sheet.tsv", "sheet.html", "speakers.json"


def write_pairs(
    treebank: Sequence[Path], out: Path, *, language: str, features: Sequence[str], max_per_lemma: int, forms: Sequence[Path] = (),
    sheet: int = 0, confirmed: Sequence[Path] = (),
) -> Artifact:  # fmt: skip
    """Make minimal pairs of a treebank and write them into a folder.

    Args:
        treebank: CoNLL-U files, or folders of them.
        out: an artifact; an earlier one there is replaced, unless it holds work of people's.
        language: BCP-47 tag, in standard form.
        features: whose agreement is asked for.
        max_per_lemma: most pairs of one phenomenon and lemma.
        forms: more CoNLL-U, of which only the inflected forms are used.
        sheet: pairs on the sheet for speakers; 0: none.
        confirmed: filled-in sheets; only pairs that they confirm are kept.

    Raises:
        EvaluationError: something cannot be read, no pair can be made or none is confirmed.
    """
    check_settings(features, max_per_lemma, sheet)
    protect(out)
    files, more = find_files(treebank), find_files(forms)
    sheets = {str(path): read_sheet(path) for path in confirmed}
    inputs = {f"treebank/{number}/{file.name}": sha256_of(file) for number, file in enumerate(files, start=1)}
    inputs |= {f"forms/{number}/{file.name}": sha256_of(file) for number, file in enumerate(more, start=1)}
    inputs |= {f"sheet/{number}": sha256_of(path) for number, path in enumerate(confirmed, start=1)}
    made = make_pairs(files, features=features, max_per_lemma=max_per_lemma, more_forms=more)
    judged = judge(sheets, made.pairs) if sheets else None
    config = {"language": language, "features": list(features), "max_per_lemma": max_per_lemma, "sheet": sheet}
    with create(out, kind=KIND, format_version=FORMAT_VERSION, inputs=inputs, config=config) as draft:
        draft.counts = _write(draft.path, made, language, sheet, judged)
    return draft.result


def _write(folder: Path, made: Made, language: str, sheet: int, judged: Judged | None) -> dict[str, Any]:
    kept = [pair for pair in made.pairs if judged is None or pair.id in judged.confirmed]
    if not kept:
        raise EvaluationError(
            "speakers confirm none of the pairs", where="--confirmed", fix="look into the sheet: what is wrong with them?"
        )
    lines = (json.dumps({**pair.row(), "language": language}, ensure_ascii=False) for pair in kept)
    write_text(folder / PAIRS, "".join(f"{line}\n" for line in lines))
    account = account_of(made.account)
    write_json(folder / ACCOUNT, account)
    write_json(folder / RULES, report(made.rules))
    counts: dict[str, Any] = {
        "pairs": len(kept),
        "made": len(made.pairs),
        "by_uid": dict(sorted(Counter(pair.UID for pair in kept).items())),
    }
    if judged:
        write_json(folder / SPEAKERS, judged.summary)
        counts["speakers"] = judged.summary
    if sheet:
        chosen = sample(kept, sheet)
        write_text(folder / SHEET, sheet_text(chosen))
        write_text(folder / PAGE, sheet_page(chosen, language=language))
        counts["sheet"] = len(chosen)
    counts["sentences"] = account["sentences"]
    return counts


def account_of(account: Account) -> dict[str, Any]:
    """Return the account as it is written; candidates = pairs + dropped, for each UID and for all."""
    dropped = sum(account.dropped.values(), Counter[str]())
    return {
        "sentences": dict(sorted(account.sentences.items())),
        "malformed": [asdict(item) for item in account.malformed],
        "candidates": account.candidates.total(),
        "pairs": account.pairs.total(),
        "dropped": dict(dropped.most_common()),
        "by_uid": {
            uid: {"candidates": count, "pairs": account.pairs[uid], "dropped": dict(account.dropped.get(uid, Counter[str]()).most_common())}
            for uid, count in sorted(account.candidates.items())
        },
    }


def check_settings(features: Sequence[str], max_per_lemma: int, sheet: int) -> None:
    """Check what the user set.

    Raises:
        EvaluationError: a setting makes no sense; the message names it.
    """
    odd = [name for name in features if not name or not name[0].isupper() or name in ODD]
    if odd or not features:
        raise EvaluationError(
            f"not the name of an inflectional feature: {', '.join(repr(name) for name in odd) or 'nothing'}",
            where="--features", fix="write names as the treebank has them, such as Number,Gender,Case,Person",
        )  # fmt: skip
    if max_per_lemma < 1:
        raise EvaluationError(f"{max_per_lemma} pairs of a lemma are none", where="--max-per-lemma", fix="give 1 or more")
    if sheet < 0:
        raise EvaluationError(f"a sheet cannot have {sheet} pairs", where="--sheet", fix="give how many pairs speakers shall judge")


def protect(out: Path) -> None:
    """Refuse to replace a folder whose files people have changed since they were written: a filled-in sheet is work.

    Raises:
        EvaluationError: a file was changed or added.
    """
    if not (out / MANIFEST).is_file():
        return
    listed = read_manifest(out).files
    for file in sorted(path for path in out.rglob("*") if path.is_file() and path.name != MANIFEST):
        name = file.relative_to(out).as_posix()
        if name not in listed or listed[name].sha256 != sha256_of(file):
            raise EvaluationError(
                f"{name} was changed or put there by someone", where=str(out), fix="move it out of the folder, or choose another --out"
            )
