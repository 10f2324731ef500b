"""The runs that a plan's expectation is calibrated by, as lines of `rodna.plan.expect.RECORDED`.

    python -m benchmarks.recorded_runs ../shared/data/corpora --work FOLDER
    python -m benchmarks.recorded_runs ../shared/data/corpora --work FOLDER --workspace rodna-demo

Of the data-efficiency benchmark: every plan of one model of today's recipe that learned from the text alone, the mean of its seeds. Of a
workspace: its model. Beside each what counts of its tokens take, as a plan measures it, and by how much the run ended beside what the
others let expect. Last, how much runs scatter with other powers of the tokens counted.
"""

import argparse
import json
import math
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rodna.cli.verbs import open_stages
from rodna.models.config import ModelConfig
from rodna.plan.expect import NORMAL_95, Anchor, RecordedRun, calibrate
from rodna.plan.laws import whole_run_loss
from rodna.plan.plan import measure_text
from rodna.plan.recipes import DATA_LIMITED
from rodna.plan.rules import Text, block_parameters

RESULTS = Path(__file__).parent / "results" / "data_efficiency"
MOST = 10
"""Runs that `calibrate` takes."""
POWERS = (0.0, 0.025, 0.05, 0.075, 0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpora", type=Path)
    parser.add_argument("--work", type=Path, required=True, help="of the benchmark; what is missing is made")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--workspace", type=Path, help="whose model is a run, too")
    given = parser.parse_args()
    runs = [*([workspace_run(given.workspace)] if given.workspace else []), *benchmark_runs(given.corpora, given.work, given.results)]
    for run in runs:
        others = [other for other in runs if other is not run][:MOST]
        expected = calibrate(others)[0] * run.anchor.scale * whole_run(run)
        print(f"    {run!r},  # {math.log(run.model / expected):+.1%}")
    factor, spread = calibrate(runs[:MOST])
    print(f"factor {factor:.4f}, 95% interval {math.exp(NORMAL_95 * spread):.3f} times either way")
    for power in POWERS:
        logs = [math.log(run.model / (run.anchor.bits_per_byte * run.anchor.tokens**power * whole_run(run))) for run in runs]
        print(f"power {power:g}: runs scatter by {stdev(logs):.1%}")


def whole_run(run: RecordedRun) -> float:
    """Return what the law of whole runs says of a run, in bits of Belarusian."""
    return whole_run_loss(run.weights, run.epochs * run.train_tokens, run.train_tokens, run.dropout)


def benchmark_runs(corpora: Path, work: Path, folder: Path) -> Iterator[RecordedRun]:
    """Yield the benchmark's runs, one for each plan."""
    from benchmarks.data_efficiency.texts import Place, corpus_of, find_text, tokens_of

    of_plan: dict[tuple[str, int], list[dict[str, Any]]] = defaultdict(list)
    for file in sorted(folder.glob("*--rodna--rodna-*.json")):
        values = json.loads(file.read_text(encoding="utf-8"))
        if "members" not in values and values["recipe"]["train"].get("spelling_rate") == DATA_LIMITED.train["spelling_rate"]:
            of_plan[values["text"], values["minutes"]].append(values)
    place = Place(corpora=corpora, work=work)
    for (name, minutes), results in of_plan.items():
        text, one = find_text(name), results[0]
        _, tokenizer = tokens_of(place, text, "bpe", 0)
        measured = measure_text(corpus_of(place, text), tokenizer)
        found = mean(result["test_bits_per_byte"] for result in results)
        yield run_of(f"{name}, {minutes} minutes", measured, ModelConfig.model_validate(one["recipe"]["model"]), found, one["epochs"])


def workspace_run(root: Path) -> RecordedRun:
    """Return a workspace's run."""
    stages = open_stages(root, [])
    measured = measure_text(stages.artifact("corpus"), stages.artifact("tokenizer"))
    training = json.loads((stages.artifact("pretrain").path / "training.json").read_text(encoding="utf-8"))
    results = json.loads((stages.artifact("evaluate").path / "results.json").read_text(encoding="utf-8"))
    found = next(result["value"] for result in results if (result["task"], result["metric"]) == ("held_out_text", "bits_per_byte"))
    model = ModelConfig.model_validate(json.loads((stages.artifact("plan").path / "plan.json").read_text(encoding="utf-8"))["model"])
    return run_of(root.name, measured, model, found, training["epochs"])


def run_of(title: str, text: Text, model: ModelConfig, found: float, epochs: float) -> RecordedRun:
    """Return a run beside what counts take."""
    anchor = Anchor(round(text.ngram_bits_per_byte, 3), text.ngram_tokens)
    return RecordedRun(title, anchor, round(found, 3), text.num_tokens, block_parameters(model), round(epochs, 1), model.dropout)


if __name__ == "__main__":
    main()
