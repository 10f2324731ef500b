"""The process that does tasks: `python -m rodna.corpus.runners.worker`.

Without arguments it is one of the local runner's workers: a line `[function, task, path]` comes in on stdin, a line of reply goes out on
stdout. With arguments `WORK ELEMENT STEP` it is one element of a Slurm array and does every STEP-th task of WORK/job.json.
"""

import faulthandler
import json
import os
import queue
import sys
import threading
from pathlib import Path

from rodna.core.files import write_text
from rodna.corpus.runners.contract import perform, single_threaded


def main(arguments: list[str]) -> None:
    """Serve the parent process, or do an array element's share."""
    single_threaded()
    faulthandler.enable()
    if arguments:
        _do_share(Path(arguments[0]), int(arguments[1]), int(arguments[2]))
    else:
        _serve()


def _serve() -> None:
    """Do the tasks that come in, one after the other, until the parent closes the pipe or dies."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What a library prints must not be read as a reply.
    os.dup2(2, 1)
    calls: queue.Queue[str] = queue.Queue()
    threading.Thread(target=_listen, args=(calls,), daemon=True).start()
    while True:
        function, line, path = json.loads(calls.get())
        replies.write(json.dumps(perform(function, line, path)) + "\n")
        replies.flush()


def _listen(calls: "queue.Queue[str]") -> None:
    """Take in calls; end the process in the middle of whatever it does when the parent is gone."""
    for call in sys.stdin:
        calls.put(call)
    os._exit(0)


def _do_share(work: Path, element: int, step: int) -> None:
    """Do every `step`-th task of a job from number `element` on; the error of one does not keep the others from being done."""
    job = json.loads((work / "job.json").read_text(encoding="utf-8"))
    for number, line, path in job["calls"][element::step]:
        reply = perform(job["function"], line, path)
        if "error" in reply:
            write_text(work / "errors" / f"{number:05d}.json", json.dumps(reply["error"]) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
