"""The same job with datatrove's own steps; runs in an environment of its own (datatrove 0.10 and what its steps need).

python pipeline_datatrove.py run --input FOLDER --out FOLDER --workers N --model lid.176.ftz
python pipeline_datatrove.py extract --input PAGES.json --out TEXTS.json
python pipeline_datatrove.py copies --input FOLDER --out FOLDER
python pipeline_datatrove.py drops --input FOLDER --out FOLDER --model lid.176.ftz
"""

import argparse
import json
import re
import time
from pathlib import Path
from typing import Any

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupFilter, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import FineWebQualityFilter, GopherQualityFilter, GopherRepetitionFilter, LanguageFilter
from datatrove.pipeline.formatters import FTFYFormatter
from datatrove.pipeline.readers import JsonlReader, WarcReader
from datatrove.pipeline.writers import JsonlWriter
from datatrove.utils.lid import FT176LID
from datatrove.utils.word_tokenizers import WordTokenizer

BUCKETS = MinhashConfig().num_buckets


class Words(WordTokenizer):
    """The fastest way to find words and marks; the stock one of each language here is spaCy's."""

    WORD = re.compile(r"\w+|[^\w\s]")

    def word_tokenize(self, text: str) -> list[str]:
        return self.WORD.findall(text)

    def sent_tokenize(self, text: str) -> list[str]:
        return text.splitlines()

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in self.WORD.finditer(text)]


def language_filter(model: Path) -> LanguageFilter:
    """Return the stock filter, labelling only, with the model of the same 176 languages that a wheel holds: the stock one is a download."""
    from fasttext.FastText import _FastText

    class Local(FT176LID):
        @property
        def model(self) -> Any:
            if self._model is None:
                self._model = _FastText(str(model))
            return self._model

    step = LanguageFilter(label_only=True)
    step.model = Local()
    return step


def filters(words: WordTokenizer | str, *, min_stop_words: int, folder: Path | None = None) -> list[Any]:
    """Return the quality filters of FineWeb's recipe that judge a document as a whole."""

    def out(name: str) -> JsonlWriter | None:
        return JsonlWriter(str(folder / name), compression=None) if folder else None

    return [
        GopherRepetitionFilter(language=words, exclusion_writer=out("repetition")),
        GopherQualityFilter(language=words, min_stop_words=min_stop_words, exclusion_writer=out("quality")),
        FineWebQualityFilter(language=words, exclusion_writer=out("fineweb")),
    ]


def stage(pipeline: list[Any], out: Path, name: str, *, tasks: int, workers: int) -> tuple[float, list[dict[str, Any]]]:
    start = time.perf_counter()
    stats = LocalPipelineExecutor(pipeline, tasks=tasks, workers=min(workers, tasks), logging_dir=str(out / "logs" / name)).run()
    return time.perf_counter() - start, json.loads(stats.to_json())


def find_copies(folder: Path, out: Path, words: WordTokenizer | str, *, tasks: int, workers: int) -> dict[str, float]:
    """Find and leave out near copies, all defaults; return the seconds of each stage."""
    seconds = {}

    def run(name: str, pipeline: list[Any], tasks: int) -> None:
        seconds[name], _ = stage(pipeline, out, name, tasks=tasks, workers=workers)

    run("signatures", [JsonlReader(str(folder)), MinhashDedupSignature(str(out / "signatures"), language=words)], tasks)
    run("buckets", [MinhashDedupBuckets(str(out / "signatures"), str(out / "buckets"))], BUCKETS)
    run("cluster", [MinhashDedupCluster(str(out / "buckets"), str(out / "remove"), save_cluster_id=True)], 1)
    run(
        "filter",
        [JsonlReader(str(folder)), MinhashDedupFilter(str(out / "remove")), JsonlWriter(str(out / "kept"), compression="zstd")],
        tasks,
    )
    return seconds


def run(options: argparse.Namespace) -> dict[str, Any]:
    files = sorted(options.input.iterdir())
    words: WordTokenizer | str = options.words or Words()
    is_html = files[0].name.endswith(".warc.gz")
    steps: list[Any] = [WarcReader(str(options.input)), Trafilatura(timeout=60)] if is_html else [JsonlReader(str(options.input))]
    steps += [FTFYFormatter(), language_filter(options.model), *filters(words, min_stop_words=0)]
    # Compressed alike: rodna packs what it writes with zstd.
    steps.append(JsonlWriter(str(options.out / "filtered"), output_filename="${rank}.jsonl.zst", compression="zstd"))
    seconds, stats = stage(steps, options.out, "filtered", tasks=len(files), workers=options.workers)
    copies = find_copies(options.out / "filtered", options.out, words, tasks=len(files), workers=options.workers)
    counted = {step["name"]: {name: value for name, value in step["stats"].items() if isinstance(value, int)} for step in stats}
    times = {step["name"]: step["time_stats"].get("total") for step in stats}
    return {"seconds": {"extract to filter": seconds, **copies}, "counts": counted, "step_seconds": times}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("action", choices=["run", "extract", "copies", "drops"])
    parser.add_argument("--input", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--words", default="")
    parser.add_argument("--model", type=Path)
    options = parser.parse_args()
    if options.action == "run":
        print(json.dumps(run(options)))
    elif options.action == "extract":
        extractor = Trafilatura(timeout=60)
        pages = json.loads(options.input.read_text(encoding="utf-8"))
        options.out.write_text(json.dumps([extractor.extract(page) or "" for page in pages]), encoding="utf-8")
    elif options.action == "copies":
        print(json.dumps(find_copies(options.input, options.out, options.words or Words(), tasks=1, workers=1)))
    else:
        dropped = options.out / "dropped"
        steps = [JsonlReader(str(options.input)), *filters(options.words or Words(), min_stop_words=2, folder=dropped)]
        steps.append(JsonlWriter(str(options.out / "passed"), compression=None))
        stage(steps, options.out, "drops", tasks=1, workers=1)


if __name__ == "__main__":
    main()
