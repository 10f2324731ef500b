"""Sheets on which speakers say whether pairs are right, and what they said."""

import csv
import hashlib
import io
import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from rodna.core.errors import EvaluationError
from rodna.evals.pairs.swap import Pair

COLUMNS = ("id", "good", "bad", "verdict", "note")
VERDICTS = ("right", "both_fine", "both_wrong", "unsure")
MAX_BYTES = 64 * 1024 * 1024


def sample(pairs: Sequence[Pair], size: int) -> list[Pair]:
    """Return so many pairs for people to judge: from each phenomenon in turn, the same ones each time."""
    queues: dict[str, list[Pair]] = defaultdict(list)
    for pair in sorted(pairs, key=lambda item: hashlib.sha256(item.id.encode()).hexdigest()):
        queues[pair.UID].append(pair)
    chosen: list[Pair] = []
    turn = 0
    while len(chosen) < min(size, len(pairs)):
        chosen += [queue[turn] for _, queue in sorted(queues.items()) if turn < len(queue)][: size - len(chosen)]
        turn += 1
    return chosen


def sheet_text(pairs: Sequence[Pair]) -> str:
    """Return the sheet as tab-separated text, its verdicts empty."""
    file = io.StringIO()
    writer = csv.writer(file, delimiter="\t", lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows((pair.id, pair.sentence_good, pair.sentence_bad, "", "") for pair in pairs)
    return file.getvalue()


def sheet_page(pairs: Sequence[Pair], *, language: str) -> str:
    """Return the sheet as one HTML page that needs nothing from outside; it downloads the filled-in table.

    Args:
        pairs: what is shown, in this order.
        language: BCP-47 tag of the sentences.
    """
    import jinja2

    rows = [
        {
            "id": pair.id,
            "uid": pair.UID,
            "good": pair.sentence_good,
            "bad": pair.sentence_bad,
            **_places(pair.sentence_good, pair.sentence_bad),
        }
        for pair in pairs
    ]
    # Inside a script element only these characters could end it.
    data = json.dumps(rows, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    data = data.replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
    template = (files("rodna.evals.pairs") / "sheet.html.jinja").read_text(encoding="utf-8")
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, keep_trailing_newline=True)
    key = hashlib.sha256("\n".join(pair.id for pair in pairs).encode()).hexdigest()[:16]
    return environment.from_string(template).render(language=language, data=data, key=key, count=len(pairs), columns=json.dumps(COLUMNS))


def _places(good: str, bad: str) -> dict[str, int]:
    """Return where the word that differs begins and how long it is: whole words, for joined letters must not be torn apart."""
    start = 0
    while start < min(len(good), len(bad)) and good[start] == bad[start]:
        start += 1
    while start and not good[start - 1].isspace():
        start -= 1
    tail = 0
    while tail < min(len(good), len(bad)) - start and good[-1 - tail] == bad[-1 - tail]:
        tail += 1
    while tail and not good[len(good) - tail].isspace():
        tail -= 1
    return {"start": start, "tail": tail}


@dataclass(frozen=True)
class Judged:
    """What speakers said.

    Attributes:
        confirmed: ids of pairs that somebody calls right and nobody calls anything else; `unsure` is no verdict.
        summary: how many pairs people saw and what they said, the share of right ones with its 95% interval, how far people agree.
    """

    confirmed: set[str]
    summary: dict[str, Any]


def read_sheet(path: Path) -> dict[str, str]:
    """Return pair id -> verdict of a filled-in sheet; rows without a verdict are left out.

    Raises:
        EvaluationError: the file is no such sheet, or holds a verdict that is none.
    """
    if not path.is_file():
        raise EvaluationError("there is no such sheet", where=str(path), fix="give the filled-in TSV file")
    if path.stat().st_size > MAX_BYTES:
        raise EvaluationError("the sheet is far too large", where=str(path), fix="give the filled-in TSV file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise EvaluationError("the sheet is not UTF-8", where=str(path), fix="save it as UTF-8, tab-separated") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t")
    missing = [name for name in ("id", "verdict") if name not in (reader.fieldnames or ())]
    if missing:
        raise EvaluationError(
            f"the sheet lacks the column{'s' * (len(missing) > 1)} {', '.join(missing)}", where=str(path),
            fix=f"keep the first line and the tabs: {', '.join(COLUMNS)}",
        )  # fmt: skip
    verdicts: dict[str, str] = {}
    for row in reader:
        name, verdict = (row["id"] or "").strip(), (row["verdict"] or "").strip().lower().replace(" ", "_")
        if verdict and verdict not in VERDICTS:
            raise EvaluationError(
                f"{verdict[:40]!r} is no verdict", where=f"{path}:{reader.line_num}", fix=f"write one of {', '.join(VERDICTS)}, or nothing"
            )
        if verdict and verdicts.get(name, verdict) != verdict:
            raise EvaluationError(
                f"pair {name[:40]} has two verdicts",
                where=f"{path}:{reader.line_num}",
                fix="keep one; each speaker has a sheet of their own",
            )
        if name and verdict:
            verdicts[name] = verdict
    return verdicts


def judge(sheets: Mapping[str, Mapping[str, str]], pairs: Iterable[Pair]) -> Judged:
    """Combine the sheets of one or more speakers.

    Args:
        sheets: name -> pair id -> verdict.
        pairs: all there are; verdicts on others are counted as `unknown`.

    Raises:
        EvaluationError: no verdict is about one of the pairs.
    """
    known = {pair.id: pair.UID for pair in pairs}
    said: dict[str, list[str]] = defaultdict(list)
    unknown = 0
    for verdicts in sheets.values():
        for name, verdict in verdicts.items():
            if name in known:
                said[name].append(verdict)
            else:
                unknown += 1
    if not said:
        raise EvaluationError(
            f"no verdict is about one of these {len(known):,} pairs", where=", ".join(sheets),
            fix="fill in the column `verdict`, and make the pairs from the same treebank with the same settings as the sheet",
        )  # fmt: skip
    decided = {name: [verdict for verdict in verdicts if verdict != "unsure"] for name, verdicts in said.items()}
    confirmed = {name for name, verdicts in decided.items() if verdicts and set(verdicts) == {"right"}}
    judged = {name for name, verdicts in decided.items() if verdicts}
    by_uid = {
        uid: {"judged": sum(known[name] == uid for name in judged), "right": sum(known[name] == uid for name in confirmed)}
        for uid in sorted({known[name] for name in judged})
    }
    summary = {
        "pairs": len(known),
        "seen": len(said),
        "speakers": len(sheets),
        "verdicts": dict(sorted(Counter(verdict for verdicts in said.values() for verdict in verdicts).items())),
        "unknown": unknown,
        "judged": len(judged),
        "right": len(confirmed),
        "share_right": len(confirmed) / len(judged) if judged else None,
        "interval": wilson(len(confirmed), len(judged)) if judged else None,
        "agreement": _agreement(decided),
        "by_uid": by_uid,
    }
    return Judged(confirmed, summary)


def _agreement(decided: Mapping[str, Sequence[str]]) -> dict[str, Any] | None:
    """Return how many pairs several people judged, and in what share of their twosomes they say the same; None where none did."""
    shared = [verdicts for verdicts in decided.values() if len(verdicts) > 1]
    if not shared:
        return None
    shares = [
        sum(one == other for i, one in enumerate(verdicts) for other in verdicts[:i]) / math.comb(len(verdicts), 2) for verdicts in shared
    ]
    return {"pairs": len(shared), "share": sum(shares) / len(shares)}


def wilson(successes: int, total: int) -> list[float]:
    """Return the 95% interval of a share. Reference: Wilson 1927, "Probable inference"."""
    z, share = 1.959963984540054, successes / total
    middle = (share + z * z / (2 * total)) / (1 + z * z / total)
    half = z / (1 + z * z / total) * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total))
    return [max(0.0, middle - half), min(1.0, middle + half)]
