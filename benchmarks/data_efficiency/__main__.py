"""Bits per byte from the same text and the same time: rodna beside its peers, in pieces.

    python -m benchmarks.data_efficiency list                # every piece: done, ready, or what it waits for, and its time
    python -m benchmarks.data_efficiency speeds --machine LABEL   # once, on the quiet machine the budgets are of
    python -m benchmarks.data_efficiency next --minutes 60   # the next pieces that fit
    python -m benchmarks.data_efficiency run NAME            # one piece
    python -m benchmarks.data_efficiency try be 5 model.dropout=0.1   # rodna's plan, changed, on validation alone
    python -m benchmarks.data_efficiency table               # Markdown, from whatever there is
    python -m benchmarks.data_efficiency plots

Killed anywhere, the same command goes on: a piece's result appears when it is complete.
"""

import argparse
import json
import math
import re
import signal
import sys
from pathlib import Path

from benchmarks.data_efficiency.pieces import Piece, all_pieces
from benchmarks.data_efficiency.results import read_results, read_speeds
from benchmarks.data_efficiency.texts import Place

from rodna.core.errors import RodnaError


def main() -> None:
    given = arguments()
    place = Place(given.corpora.resolve(), given.work.resolve(), given.results.resolve())
    try:
        verbs = {"list": show, "speeds": speeds, "speed-of": speed_of, "run": run, "try": run_try, "next": run_next, "table": table,
                 "plots": plots}  # fmt: skip
        verbs[given.verb](place, given)
    except RodnaError as error:
        sys.exit(f"error: {error}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_efficiency", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    here = Place()
    parser.add_argument("--corpora", type=Path, default=here.corpora, help="folder with a folder of text files a corpus")
    parser.add_argument("--work", type=Path, default=here.work, help="for what can be made again")
    parser.add_argument("--results", type=Path, default=here.results)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, what in (("list", "show the pieces"), ("speeds", "measure what is missing"), ("next", "run the next pieces")):
        added = verbs.add_parser(verb, help=what)
        added.add_argument("--only", default="", help="a regular expression pieces' names must match")
        if verb == "speeds":
            added.add_argument("--machine", required=True, help="its label: a text is measured on one machine alone")
            added.add_argument("--again", action="store_true", help="measure known ones too")
        if verb == "next":
            added.add_argument("--minutes", type=float, required=True, help="stop beginning pieces that would not fit")
            added.add_argument("--jobs", type=int, default=1, help="pieces at a time, each a process")
            added.add_argument("--threads", type=int, default=0, help="of each process; 0: all cores")
    verbs.choices["list"].add_argument("--todo", action="store_true", help="leave out what is done")
    verbs.add_parser("run", help="run one piece").add_argument("name")
    tried = verbs.add_parser("try", help="train rodna's plan with other settings, and score it on validation")
    tried.add_argument("text")
    tried.add_argument("minutes", type=int)
    tried.add_argument("settings", nargs="*", metavar="SECTION.KEY=VALUE")
    tried.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    for verb in ("run", "next"):
        verbs.choices[verb].add_argument("--device", choices=["cpu", "cuda"], default="cpu")
        verbs.choices[verb].add_argument("--compile", action="store_true", help="compile peers: for speed alone")
    verbs.add_parser("speed-of").add_argument("what")
    verbs.add_parser("table", help="Markdown of all results").add_argument(
        "--out", type=Path, help="a document with marks to put it between"
    )
    verbs.add_parser("plots", help="pictures of all results").add_argument("--out", type=Path, help="a folder")
    return parser.parse_args()


def _matching(place: Place, only: str) -> tuple[list[Piece], list[str], set[str]]:
    results = read_results(place)
    pieces, waiting = all_pieces(results)
    # A training may serve two purposes; its result is one.
    unique = {piece.name: piece for piece in pieces}
    return [piece for piece in unique.values() if re.search(only, piece.name)], waiting, set(results)


def show(place: Place, given: argparse.Namespace) -> None:
    from benchmarks.data_efficiency.speeds import expected_seconds

    pieces, waiting, done = _matching(place, given.only)
    known = read_speeds(place)
    left, unknown = 0.0, 0
    for piece in pieces:
        seconds = expected_seconds(known[piece.text], piece)
        is_done = piece.name in done
        if not is_done:
            left, unknown = (left, unknown + 1) if math.isnan(seconds) else (left + seconds, unknown)
        if not (is_done and given.todo):
            print(f"{'done' if is_done else 'todo'}  {'   ?' if math.isnan(seconds) else f'{seconds / 60:4.1f}'} min  {piece.name}")
    for line in waiting:
        print(f"waits           {line}")
    finished = sum(piece.name in done for piece in pieces)
    print(f"{finished} of {len(pieces)} known pieces done; about {left / 3600:.1f} h left, and {unknown} pieces of unknown time")


def speeds(place: Place, given: argparse.Namespace) -> None:
    from benchmarks.data_efficiency.speeds import measure_missing

    pieces, _, _ = _matching(place, given.only)
    measure_missing(place, pieces, label=given.machine, again=given.again)


def speed_of(place: Place, given: argparse.Namespace) -> None:
    from benchmarks.data_efficiency.speeds import measure_one

    print(json.dumps(measure_one(place, json.loads(given.what))))


def run(place: Place, given: argparse.Namespace) -> None:
    from benchmarks.data_efficiency.run import run_piece

    pieces, _, _ = _matching(place, "")
    found = next((piece for piece in pieces if piece.name == given.name), None)
    if found is None:
        sys.exit(f"error: there is no piece {given.name!r} yet; `list` shows them")
    result = run_piece(place, found, device=given.device, compiled=given.compile)
    print(json.dumps({key: value for key, value in result.items() if not key.startswith("test_document_")}))


def run_try(place: Place, given: argparse.Namespace) -> None:
    from benchmarks.data_efficiency.run import try_settings

    print(try_settings(place, given.text, given.minutes, given.settings, device=given.device))


def run_next(place: Place, given: argparse.Namespace) -> None:
    from benchmarks.data_efficiency.queue import run_queue

    # Ended from outside, it ends its pieces too: they would go on beside those of the next call.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    run_queue(place, minutes=given.minutes, only=given.only, jobs=given.jobs, threads=given.threads, device=given.device,
              compiled=given.compile)  # fmt: skip


def table(place: Place, given: argparse.Namespace) -> None:
    from benchmarks.data_efficiency.tables import report
    from benchmarks.pages import put_between_marks

    text = report(place)
    if given.out:
        put_between_marks(given.out, text)
    else:
        print(text)


def plots(place: Place, given: argparse.Namespace) -> None:
    from benchmarks.data_efficiency.plots import draw

    for path in draw(place, given.out or place.results):
        print(path)


if __name__ == "__main__":
    main()
