"""Task files for lm-evaluation-harness: the translated benchmark runs there as it is, offline.

    lm_eval --include_path FOLDER/harness --tasks NAME ...

The prompts are those of `rodna eval`, so that the two give the same numbers.
"""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rodna.benchmark.config import BenchmarkConfig
from rodna.benchmark.items import ANSWERS, MISSING, field_of
from rodna.core.files import write_text

FOLDER = "harness"
_READER = '''"""Reads the items that lie beside this file."""

import json
from pathlib import Path


def load(**_):
    """Return the items as lm-evaluation-harness wants them."""
    from datasets import Dataset, DatasetDict

    lines = (Path(__file__).parent / "items.jsonl").read_text(encoding="utf-8").split("\\n")
    return DatasetDict({"test": Dataset.from_list([json.loads(line) for line in lines if line])})
'''
_COMMON = """\
task: {name}
custom_dataset: !function items.load
test_split: test
doc_to_text: "{{{{question}}}}\\n"
target_delimiter: ""
"""
_CHOICE = """\
output_type: multiple_choice
doc_to_choice: choices
doc_to_target: gold
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
"""
_ANSWER = """\
output_type: generate_until
doc_to_target: answer
generation_kwargs: {until: ["\\n\\n"], do_sample: false, temperature: 0.0}
"""
_WORKED = """\
filter_list:
  - name: strict-match
    filter:
      - {function: regex, regex_pattern: "#### *([-−]?[$€£]?\\\\d[\\\\d.,]*)"}
      - {function: take_first}
  - name: flexible-extract
    filter:
      - {function: regex, group_select: -1, regex_pattern: "([-−]?\\\\d[\\\\d.,]*)"}
      - {function: take_first}
metric_list:
  - metric: exact_match
    aggregation: mean
    higher_is_better: true
    ignore_case: true
    ignore_punctuation: false
    regexes_to_ignore: ["[,$€£]", "(?s).*#### *", "\\\\.$"]
"""
_PLAIN = """\
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true, ignore_case: true, ignore_punctuation: true}
"""


def write_harness_tasks(folder: Path, kept: Sequence[Mapping[str, Any]], config: BenchmarkConfig) -> list[str]:
    """Write `harness/`: one task, its items, and what reads them; return its name, or nothing where items have no answer to score.

    Args:
        folder: of the translated benchmark.
        kept: lines of `items.jsonl` that are part of the benchmark.
        config: which fields are the question.
    """
    place = folder / FOLDER
    if place.exists():
        shutil.rmtree(place)
    rows = [_row(record, config) for record in kept]
    if not rows or any(row is None for row in rows):
        return []
    name = re.sub(r"[^A-Za-z0-9_-]+", "_", folder.resolve().name).strip("_") or "benchmark"
    place.mkdir(parents=True)
    write_text(place / "items.jsonl", "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))
    write_text(place / "items.py", _READER)
    write_text(place / f"{name}.yaml", _COMMON.format(name=name) + _kind(kept) + f"metadata: {{version: {1}}}\n")
    return [name]


def _kind(kept: Sequence[Mapping[str, Any]]) -> str:
    if kept[0]["options"]:
        return _CHOICE
    worked = sum(any("####" in segment["translation"] for segment in record["segments"]) for record in kept)
    return _ANSWER + (_WORKED if worked * 2 > len(kept) else _PLAIN)


def _row(record: Mapping[str, Any], config: BenchmarkConfig) -> dict[str, Any] | None:
    """Return an item in one shape, whatever its source's; None where it has no answer."""
    answer_name = config.answer or next((name for name in ANSWERS if name in record["translation"]), "")
    texts = {segment["path"]: segment["translation"] for segment in record["segments"]}
    options = list(record["options"])
    question = "\n".join(text for path, text in texts.items() if path not in options and path != answer_name)
    if options:
        return {"id": record["id"], "question": question, "choices": [texts[path] for path in options], "gold": record["gold"]}
    answer = field_of(record["translation"], answer_name) if answer_name else MISSING
    return None if answer is MISSING else {"id": record["id"], "question": question, "answer": str(answer)}
