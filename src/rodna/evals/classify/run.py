"""Classification of one table of texts: split, every method, baselines, results with intervals.

Shapes: N test items, R runs of one method, S resamples.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rodna.core.artifact import Artifact, create
from rodna.core.errors import EvaluationError
from rodna.core.files import sha256_of, write_text
from rodna.corpus.documents import read_documents
from rodna.evals.classify.config import MAJORITY, NGRAM, TASK_VERSION, ClassifyConfig
from rodna.evals.classify.few_shot import few_shot, label_words, make_prompt, split_template
from rodna.evals.classify.linear import Predictions, check_scikit_learn, linear, majority, ngrams
from rodna.evals.classify.measure import by_class, confusion, interval, macro_f1, resampled_macro_f1
from rodna.evals.classify.split import Split, split_table, split_tables
from rodna.evals.classify.table import as_numbers, label_counts, read_table
from rodna.evals.config import FORMAT_VERSION, EvalConfig
from rodna.evals.contamination import Seen, find_seen
from rodna.evals.evaluate import identity_of, write_evaluation
from rodna.evals.measure import prompt_digest
from rodna.evals.models.model import LanguageModel
from rodna.evals.models.open import ADDRESSES, open_language_model
from rodna.evals.result import Evaluation, Measurement, Result
from rodna.evals.tasks.run import TASKS

if TYPE_CHECKING:
    from numpy.typing import NDArray

PREDICTIONS = "predictions.jsonl"
UNIT = "share of 1"


def classification_inputs(where: str, data: Path, test: Path | None, corpus: Artifact | None) -> dict[str, Artifact | str]:
    """Return what identifies a classification.

    Raises:
        EvaluationError: a file is missing.
    """
    files = {"data": data} | ({"test": test} if test is not None else {})
    for path in files.values():
        if not path.is_file():
            raise EvaluationError("no such file of labelled texts", where=str(path), fix="give a .csv, .tsv or .jsonl file")
    inputs: dict[str, Artifact | str] = {"model": identity_of(where), **{role: sha256_of(path) for role, path in files.items()}}
    return inputs | ({"corpus": corpus} if corpus is not None else {})


def classify_texts(
    where: str, data: Path, config: ClassifyConfig, out: Path, *, test: Path | None = None, corpus: Artifact | None = None
) -> Artifact:
    """Classify texts with a model and with baselines, and write an evaluation: results, items, predictions.

    Args:
        where: the model, see `open_language_model`.
        data: labelled texts.
        config: how.
        out: the artifact's folder.
        test: labelled texts to be asked about; without it a share of `data` is.
        corpus: whose training text the test texts are looked up in.

    Raises:
        EvaluationError: the files cannot be used, a method does not suit the model, or scikit-learn is missing.
    """
    check_scikit_learn()
    split_template(config.template)
    inputs = classification_inputs(where, data, test, corpus)
    if where.startswith(ADDRESSES) and config.methods != ("few-shot",):
        raise EvaluationError(
            f"a model behind an address cannot be asked for {', '.join(name for name in config.methods if name != 'few-shot')}: "
            "that needs its weights in this process",
            where=where,
            fix="choose --method few-shot, or give a folder",
        )
    split = _split(data, test, config)
    label_words(split.labels, config)
    settings = EvalConfig(seed=config.seed, bootstrap_samples=config.bootstrap_samples)
    training = None if corpus is None else (document.text for document in read_documents(corpus.path, "train"))
    with create(out, kind="evaluation", format_version=FORMAT_VERSION, inputs=inputs, config=config, seed=config.seed) as draft:
        model = open_language_model(where, settings)
        found = answers(model, split, config)
        seen = {} if training is None else find_seen({example.id: example.text for example in split.test}, training)
        evaluation = results_of(data.stem, split, found, seen, config)
        digest = hashlib.sha256(f"{inputs['data']} {inputs.get('test', '')}".encode()).hexdigest()
        record = _record(split, found, config, seen, digest=digest, is_checked=training is not None)
        evaluation.files[TASKS] = {"model": model.description, "tasks": {data.stem: record}}
        write_evaluation(draft, [evaluation], settings)
        write_text(draft.path / PREDICTIONS, _lines(split, found, seen))
    return draft.result


def _split(data: Path, test: Path | None, config: ClassifyConfig) -> Split:
    table = read_table(data, text=config.text, label=config.label)
    if test is None:
        return split_table(table, test_share=config.test_share, seed=config.seed)
    return split_tables(table, read_table(test, text=config.text, label=config.label), seed=config.seed)


def answers(model: LanguageModel, split: Split, config: ClassifyConfig) -> dict[str, Predictions]:
    """Return what every method and baseline answers to the test texts.

    Raises:
        EvaluationError: a method does not suit the model.
    """
    from rodna.evals.classify.backbone import backbone_of, features
    from rodna.evals.classify.fine_tune import fine_tune

    train, test = ([example.text for example in part] for part in (split.train, split.test))
    train_N = as_numbers(split.train, split.labels)
    body = backbone_of(model) if set(config.methods) - {"few-shot"} else None
    found = {MAJORITY: majority(train_N, len(test)), NGRAM: ngrams(train, train_N, test)}
    for method in dict.fromkeys(config.methods):
        if method == "few-shot":
            found[method] = few_shot(model, split.train, split.test, split.labels, config)
        elif body is not None and method == "linear-probe":
            learned, asked = features(body, train), features(body, test)
            found[method] = linear({name: (learned[name], asked[name]) for name in learned}, train_N, scales=True)
        elif body is not None:
            found[method] = fine_tune(body, split.train, split.test, split.labels, config)
    return found


def results_of(name: str, split: Split, found: Mapping[str, Predictions], seen: Mapping[str, Seen], config: ClassifyConfig) -> Evaluation:
    """Return accuracy, macro-F1 and the differences to the baselines, with intervals over the test items.

    Args:
        name: of the task.
        split: the test items.
        found: method -> what it answered; the baselines are among them.
        seen: item id -> what the training text holds of it.
        config: resamples and seed.
    """
    gold_N = as_numbers(split.test, split.labels)
    count, ids = len(split.labels), [example.id for example in split.test]
    seen_N = np.array([identity in seen and seen[identity].verdict == "seen" for identity in ids], dtype=bool)
    digest = prompt_digest("classify", TASK_VERSION, **_what_is_read(config))
    drawn = {
        method: resampled_macro_f1(gold_N, item.classes_RN, count, samples=config.bootstrap_samples, seed=config.seed)
        for method, item in found.items()
    }
    results: list[Result] = []
    measurements: list[Measurement] = []
    for method, item in found.items():
        task = f"{name}/{method}"
        common: dict[str, Any] = {"task_version": TASK_VERSION, "prompt_digest": digest if method == "few-shot" else ""}
        right_N = (item.classes_RN == gold_N).mean(axis=0)
        measurements.append(Measurement(task, "accuracy", UNIT, "higher", ids, right_N, np.ones(len(ids)), **common))
        values_R = [macro_f1(gold_N, predicted_N, count) for predicted_N in item.classes_RN]
        low, high = interval(drawn[method])
        results.append(Result(task, "macro_f1", float(np.mean(values_R)), UNIT, low, high, len(ids), "higher", seed=config.seed,
                              detail=_detail(split, gold_N, item, values_R, seen_N, config), **common))  # fmt: skip
        for other in (NGRAM, MAJORITY) if method not in (NGRAM, MAJORITY) else ():
            value = float(np.mean(values_R)) - macro_f1(gold_N, found[other].classes_RN[0], count)
            low, high = interval(drawn[method] - drawn[other])
            detail = {"baseline": other, "verdict": "better" if low > 0 else "worse" if high < 0 else "no difference shown"}
            results.append(Result(task, f"macro_f1_minus_{other}", value, UNIT, low, high, len(ids), "higher", seed=config.seed,
                                  detail=detail, **common))  # fmt: skip
    taken = frozenset(identity for identity, is_in in zip(ids, seen_N, strict=True) if is_in)
    return Evaluation(results, {}, measurements, {f"{name}/{method}": taken for method in found} if taken else {})


def _detail(
    split: Split,
    gold_N: "NDArray[np.int64]",
    item: Predictions,
    values_R: Sequence[float],
    seen_N: "NDArray[np.bool_]",
    config: ClassifyConfig,
) -> dict[str, Any]:
    count, runs = len(split.labels), len(item.classes_RN)
    table_CC = sum(confusion(gold_N, predicted_N, count) for predicted_N in item.classes_RN)
    classes = by_class(np.asarray(table_CC), split.labels)
    for numbers in classes.values():
        numbers["n"] //= runs
    detail: dict[str, Any] = {
        "language": config.language,
        "runs": list(values_R),
        "classes": classes,
        "confusion": {"labels": split.labels, "rows_are": "the right class", "counts": np.asarray(table_CC).tolist(), "runs": runs},
        "chosen": item.detail,
        "cut": item.cut,
        **({"warning": item.warning} if item.warning else {}),
    }
    for name, part_N in (("seen", seen_N), ("unseen", ~seen_N)) if seen_N.any() else ():
        detail[name] = {"n": int(part_N.sum()), "value": None, "low": None, "high": None}
        if part_N.any():
            own_RN = item.classes_RN[:, part_N]
            low, high = interval(resampled_macro_f1(gold_N[part_N], own_RN, count, samples=config.bootstrap_samples, seed=config.seed))
            value = float(np.mean([macro_f1(gold_N[part_N], own_N, count) for own_N in own_RN]))
            detail[name] |= {"value": value, "low": low, "high": high}
    return detail


def _what_is_read(config: ClassifyConfig) -> dict[str, Any]:
    names = {"template", "separator", "shots", "words", "calibration", "seed", "runs"}
    return config.model_dump(mode="json", include=names)


def _record(
    split: Split, found: Mapping[str, Predictions], config: ClassifyConfig, seen: Mapping[str, Seen], *, digest: str, is_checked: bool
) -> dict[str, Any]:
    verdicts = Counter(what.verdict for what in seen.values())
    record: dict[str, Any] = {
        "kind": "classify",
        "config": config.model_dump(mode="json"),
        "digest": digest,
        "num_items": len(split.test),
        "num_train": len(split.train),
        "classes": {"train": label_counts(split.train), "test": label_counts(split.test)},
        "num_skipped": len(split.skipped),
        "skipped": [asdict(item) for item in split.skipped],
        "contamination": {"is_checked": is_checked, **{verdict: verdicts[verdict] for verdict in ("seen", "unseen", "unknown")}},
        "seen": {identity: asdict(what) for identity, what in seen.items() if what.verdict == "seen"},
    }
    if "few-shot" in found:
        record["prompt_example"] = make_prompt(split.train, split.labels, config, seed=config.seed).context(split.test[0].text)
    return record


def _lines(split: Split, found: Mapping[str, Predictions], seen: Mapping[str, Seen]) -> str:
    """Return a line of JSON for every test item: what it is, and what each method said in each of its runs."""
    rows: Iterable[dict[str, Any]] = (
        {
            "id": example.id,
            "text": example.text,
            "label": example.label,
            **({"seen": seen[example.id].verdict} if seen else {}),
            "predicted": {method: [split.labels[number] for number in item.classes_RN[:, place]] for method, item in found.items()},
            "label_nats": {method: [run[place] for run in item.scores] for method, item in found.items() if item.scores},
        }
        for place, example in enumerate(split.test)
    )
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
