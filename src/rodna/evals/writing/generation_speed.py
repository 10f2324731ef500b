"""How fast a model writes and how much memory that takes, measured with the clock: only when asked, and in a file of its own.

Every number is the median of several repeats after a warm-up, with its quartiles. Text is written greedily after beginnings of held-out
documents. The rate is told in bytes of text a second, which compares across tokenizers, and in tokens where they can be counted: those of
the text, encoded again. Time to the first token is the time of a request for one token: reading the prompt and, of a server, the way there.
"""

import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rodna.evals.config import EvalConfig
from rodna.evals.data import EvaluationData
from rodna.evals.models.model import DecoderModel, LanguageModel
from rodna.evals.result import Evaluation
from rodna.evals.writing.generation import beginning

if TYPE_CHECKING:
    from rodna.models.generate import Sampling

SPEED = "speed.json"
BATCH_SIZES = (1, 4, 8, 16)
REPEATS = 5
BUDGET_S = 60.0
"""No further repeat of a measurement begins after as long, so that a large model on a slow machine still ends; the file says how many."""

Write = Callable[[Sequence[str], "Sampling"], list[str]]


def evaluate(model: LanguageModel, data: EvaluationData, config: EvalConfig) -> Evaluation:
    """Measure how fast the model writes, where the configuration asks for it.

    Args:
        model: any.
        data: whose held-out documents begin the texts.
        config: `speed`, and how long texts are.
    """
    if not config.speed:
        return Evaluation([])
    prompts = [text for document in data.documents if (text := beginning(document.text, config.prompt_characters))]
    return Evaluation([], {SPEED: measure_speed(model, prompts or [""], max_tokens=config.sample_tokens)})


def measure_speed(
    model: LanguageModel,
    prompts: Sequence[str],
    *,
    max_tokens: int,
    batch_sizes: Sequence[int] = BATCH_SIZES,
    repeats: int = REPEATS,
    budget_s: float = BUDGET_S,
) -> dict[str, Any]:
    """Return time to the first token, rates at each batch size, memory and the machine, as JSON.

    Args:
        model: any.
        prompts: at least one; repeated where a batch needs more.
        max_tokens: most that each text is long.
        batch_sizes: texts written at once.
        repeats: timed runs of each, after one that is not.
        budget_s: no repeat begins after as many seconds.
    """
    from rodna.models.generate import Sampling

    greedy = Sampling(temperature=0.0, top_p=1.0, max_tokens=max_tokens)
    _forget_peak()
    first = _timed(_writer(model, 1), prompts[:1], replace(greedy, max_tokens=1), repeats=repeats, budget_s=budget_s)[0]
    rates = [_rates(model, prompts, size, greedy, repeats=repeats, budget_s=budget_s) for size in batch_sizes]
    return {
        "model": model.description,
        "machine": _machine(),
        "max_tokens": max_tokens,
        "first_token_seconds": _spread(first),
        "batches": rates,
        "memory": _memory(model),
    }


def _rates(
    model: LanguageModel, prompts: Sequence[str], size: int, sampling: "Sampling", *, repeats: int, budget_s: float
) -> dict[str, Any]:
    batch = [prompts[index % len(prompts)] for index in range(size)]
    seconds, texts = _timed(_writer(model, size), batch, sampling, repeats=repeats, budget_s=budget_s)
    num_bytes = sum(len(text.encode("utf-8", "replace")) for text in texts)
    row: dict[str, Any] = {"batch_size": size, "seconds": _spread(seconds), "bytes": num_bytes}
    row["bytes_per_second"] = _spread([num_bytes / second for second in seconds])
    num_tokens = _count_tokens(model, texts)
    if num_tokens is not None:
        row |= {"tokens": num_tokens, "tokens_per_second": _spread([num_tokens / second for second in seconds])}
    return row


def _timed(write: Write, prompts: Sequence[str], sampling: "Sampling", *, repeats: int, budget_s: float) -> tuple[list[float], list[str]]:
    """Return the seconds of every repeat after a warm-up, and what was written."""
    begun = time.perf_counter()
    texts = write(prompts, sampling)
    _finish()
    seconds: list[float] = []
    while not seconds or (len(seconds) < repeats and time.perf_counter() - begun < budget_s):
        start = time.perf_counter()
        texts = write(prompts, sampling)
        _finish()
        seconds.append(time.perf_counter() - start)
    return seconds, texts


def _writer(model: LanguageModel, size: int) -> Write:
    """Return what writes; our decoder's weights are laid out beforehand, as a chat or a server does."""
    if not isinstance(model, DecoderModel):
        return model.generate
    from rodna.models.generate import generate

    engine, tokenizer = model.engine(size), model.tokenizer
    return lambda prompts, sampling: generate(engine, tokenizer, prompts, sampling)


def _count_tokens(model: LanguageModel, texts: Sequence[str]) -> int | None:
    """Return how many tokens texts are, encoded again; None where the tokenizer is not known, as of a server's."""
    tokenizer: Any = getattr(model, "tokenizer", None)
    if hasattr(tokenizer, "encode_batch"):
        return sum(len(tokens) for tokens in tokenizer.encode_batch(list(texts)))
    if tokenizer is None:
        return None
    # One of transformers.
    return sum(len(tokens) for tokens in tokenizer(list(texts), add_special_tokens=False)["input_ids"])


def _spread(numbers: Sequence[float]) -> dict[str, float | int]:
    """Return median and quartiles, and how many numbers they are of."""
    low, middle, high = statistics.quantiles(numbers, n=4, method="inclusive") if len(numbers) > 1 else [numbers[0]] * 3
    return {"median": middle, "low_quartile": low, "high_quartile": high, "repeats": len(numbers)}


def _finish() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def _forget_peak() -> None:
    import torch

    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def _memory(model: LanguageModel) -> dict[str, int]:
    """Return bytes: of the weights, where they are here; the most that this process has ever held, all it does included; the GPU's most."""
    import psutil
    import torch

    info = psutil.Process().memory_info()
    found = {"process_bytes": int(info.rss), "process_peak_bytes": _peak_bytes(int(info.rss))}
    modules = [item for name in ("decoder", "model", "ensemble") if isinstance(item := getattr(model, name, None), torch.nn.Module)]
    # A weight that two layers share is held once.
    weights = {weight.data_ptr(): weight.numel() * weight.element_size() for module in modules for weight in module.parameters()}
    if weights:
        found["weight_bytes"] = sum(weights.values())
    if torch.cuda.is_available():
        found["cuda_peak_bytes"] = int(torch.cuda.max_memory_allocated())
    return found


def _peak_bytes(now: int) -> int:
    try:
        import resource
    except ImportError:
        # Windows has no such count.
        return now
    unit = 1 if platform.system() == "Darwin" else 1024
    return max(now, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


def _machine() -> dict[str, Any]:
    import psutil
    import torch

    machine: dict[str, Any] = {
        "system": platform.system(), "processor": platform.machine(), "cores": psutil.cpu_count(logical=False) or psutil.cpu_count(),
        "threads": torch.get_num_threads(), "torch": torch.__version__, "load": round(psutil.getloadavg()[0], 2),
    }  # fmt: skip
    if torch.cuda.is_available():
        machine["gpu"] = torch.cuda.get_device_name()
    return machine
