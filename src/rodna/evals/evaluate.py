"""The evaluation stage: every evaluator that is installed, on one model."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rodna.core import registry
from rodna.core.artifact import Artifact, create
from rodna.core.files import write_json
from rodna.evals.config import FORMAT_VERSION, EvalConfig
from rodna.evals.data import load_data
from rodna.evals.model import DecoderModel
from rodna.evals.result import Result, write_results

if TYPE_CHECKING:
    from rodna.evals.ensemble import EnsembleModel

GROUP = "rodna.evaluators"
RESULTS, SAMPLES = "results.json", "samples.json"


def evaluate_model(model: Artifact, tokens: Artifact, corpus: Artifact, config: EvalConfig, out: Path) -> Artifact:
    """Measure a model on held-out text and write `results.json` and `samples.json`.

    Args:
        model: a checkpoint, or an ensemble of them, which is measured as one model.
        tokens: of the corpus, encoded with the model's tokenizer.
        corpus: whose `test` split no training has seen.
        config: how.
        out: the artifact's folder.

    Raises:
        EvaluationError: there is no held-out text, the artifacts do not belong together, or a number is not finite.
        PluginError: two installed packages register evaluators of one name.
    """
    inputs = {"model": model, "tokens": tokens, "corpus": corpus}
    with create(out, kind="evaluation", format_version=FORMAT_VERSION, inputs=inputs, config=config, seed=config.seed) as draft:
        data = load_data(corpus, tokens, train_bytes=config.baseline_bytes, seed=config.seed)
        language_model = open_model(model, config)
        results: list[Result] = []
        files: dict[str, Any] = {SAMPLES: []}
        for name in registry.names(GROUP):
            evaluation = registry.load(GROUP, name)(language_model, data, config)
            results += evaluation.results
            files |= evaluation.files
        write_results(draft.path / RESULTS, results)
        for name, value in files.items():
            write_json(draft.path / name, value)
        draft.counts["results"] = len(results)
        held_out = next((result for result in results if (result.task, result.metric) == ("held_out_text", "bits_per_byte")), None)
        if held_out is not None:
            draft.counts["bits_per_byte"] = held_out.value
    return draft.result


def open_model(model: Artifact, config: EvalConfig) -> "DecoderModel | EnsembleModel":
    """Load a model, or all members of an ensemble, on the fastest device.

    Raises:
        ArtifactError: a file is missing or damaged.
        ModelError: a checkpoint cannot be used, or the members' tokenizers differ.
    """
    import torch

    from rodna.evals.ensemble import MEMBERS, EnsembleModel
    from rodna.models.checkpoint import load
    from rodna.models.ensemble import load_ensemble

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = getattr(torch, config.compute_dtype)
    if model.kind == "ensemble":
        ensemble, tokenizer = load_ensemble(sorted(model.path.glob(MEMBERS)), device=device)
        return EnsembleModel(ensemble, tokenizer, stride=config.stride, batch_size=config.batch_size, compute_dtype=dtype)
    decoder, tokenizer = load(model.path, device=device)
    return DecoderModel(decoder, tokenizer, stride=config.stride, batch_size=config.batch_size, compute_dtype=dtype)
