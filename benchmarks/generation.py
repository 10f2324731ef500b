"""Generation at batch 1 on this machine: rodna's tokens per second against transformers' `generate`, with the same weights.

    python benchmarks/generation.py [--preset speed-s] [--tokens 192] [--rounds 7]

Both continue the same prompt greedily, in turns within one run, so that whatever else the machine does hits both; the median of the
rounds counts. Transformers reads the checkpoint that rodna saved. Both sides run in float32, where their tokens must agree, rodna also
with its matrices in float16, transformers also in bfloat16 and float16; the best of each side is compared too. The bound is what
reading every weight once a token allows at the measured memory bandwidth. With --threads 1, CPU time tells what the wall clock tells,
and says it on a busy machine too.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

from rodna.models.checkpoint import WEIGHTS, load_decoder
from rodna.models.decoder import Decoder
from rodna.models.engine import Engine
from rodna.models.hf import names, to_config_json
from rodna.models.presets import find_preset, preset

PROMPT_TOKENS = 16
THEIR_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="speed-s")
    parser.add_argument("--tokens", type=int, default=192)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        result = measure(Path(folder), options.preset, options.tokens, options.rounds)
    print(json.dumps(result, indent=2) if options.json else "\n".join(f"{key:46s} {value}" for key, value in result.items()))


def measure(folder: Path, name: str, num_tokens: int, rounds: int) -> dict[str, object]:
    config = preset(name, vocabulary_size=find_preset(name).vocabulary_size)
    num_tokens = min(num_tokens, config.context_length - PROMPT_TOKENS)
    write_checkpoint(folder, config)
    prompt = torch.randint(0, config.vocabulary_size, (PROMPT_TOKENS,), generator=torch.Generator().manual_seed(0)).tolist()
    sides: dict[str, Callable[[], list[int]]] = {}
    for label, half in (("float32", False), ("float16", True)):
        sides[f"rodna {label}"] = rodna_side(load_decoder(folder), prompt, num_tokens, half=half)
    for label, dtype in THEIR_DTYPES.items():
        sides[f"transformers {label}"] = transformers_side(folder, dtype, prompt, num_tokens)
    written = {side: run() for side, run in sides.items()}  # also the warm-up
    seconds: dict[str, list[float]] = {side: [] for side in sides}
    cpu_seconds: dict[str, list[float]] = {side: [] for side in sides}
    for _ in range(rounds):
        for side, run in sides.items():
            started, cpu_started = time.perf_counter(), time.process_time()
            run()
            seconds[side].append(time.perf_counter() - started)
            cpu_seconds[side].append(time.process_time() - cpu_started)
    speeds = {side: num_tokens / statistics.median(values) for side, values in seconds.items()}
    best = {who: max((side for side in sides if side.startswith(who)), key=lambda side: speeds[side]) for who in ("rodna", "transformers")}
    bandwidth = read_bandwidth()
    weight_bytes = 4 * config.num_matmul_parameters
    return {
        "preset": name,
        "parameters": config.num_parameters,
        "threads": torch.get_num_threads(),
        **{f"{side}, tokens/s": round(speed, 1) for side, speed in speeds.items()},
        **{f"{side}, CPU ms/token": round(1000 * statistics.median(values) / num_tokens, 2) for side, values in cpu_seconds.items()},
        "ratio, rodna float16 to transformers float32": round(speeds["rodna float16"] / speeds["transformers float32"], 2),
        "ratio, best of each": round(speeds[best["rodna"]] / speeds[best["transformers"]], 2),
        "ratio, float32": round(speeds["rodna float32"] / speeds["transformers float32"], 2),
        "greedy tokens agree, float32": written["rodna float32"] == written["transformers float32"],
        "first tokens that agree, float16": agreeing(written["rodna float16"], written["transformers float32"]),
        "read bandwidth, GB/s": round(bandwidth / 1e9, 1),
        "bound float32, tokens/s": round(bandwidth / weight_bytes, 1),
        "bound float16, tokens/s": round(2 * bandwidth / weight_bytes, 1),
        "share of the bound, float32": round(speeds["rodna float32"] * weight_bytes / bandwidth, 3),
        "share of the bound, float16": round(speeds["rodna float16"] * weight_bytes / 2 / bandwidth, 3),
    }


def agreeing(first: list[int], second: list[int]) -> str:
    """Return how many tokens the two have in common before they part. Fresh weights make near ties, so rounding parts them early."""
    common = next((place for place, (mine, theirs) in enumerate(zip(first, second, strict=True)) if mine != theirs), len(first))
    return f"{common} of {len(first)}"


def write_checkpoint(folder: Path, config: object) -> None:
    """Write fresh weights, without a tokenizer, for both sides."""
    from safetensors.torch import save_file

    decoder = Decoder(config).initialize(seed=0)  # type: ignore[arg-type]
    parameters = {name: tensor.detach() for name, tensor in decoder.state_dict().items()}
    save_file({item.theirs: item.join(parameters) for item in names(decoder.config)}, folder / WEIGHTS, metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(to_config_json(decoder.config, end_of_text_id=0)))


def rodna_side(decoder: Decoder, prompt: list[int], num_tokens: int, *, half: bool = False) -> Callable[[], list[int]]:
    engine = Engine(decoder, num_tokens=decoder.config.vocabulary_size, half=half)

    def run() -> list[int]:
        tokens = [int(engine.start(prompt).argmax())]
        while len(tokens) < num_tokens:
            position = len(prompt) + len(tokens) - 1
            tokens.append(int(engine.step((tokens[-1],), (position,)).argmax()))
        return tokens

    return run


def transformers_side(folder: Path, dtype: torch.dtype, prompt: list[int], num_tokens: int) -> Callable[[], list[int]]:
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype).eval()
    inputs = torch.tensor([prompt])

    def run() -> list[int]:
        with torch.inference_mode():
            # No end token: both sides write the same number of tokens whatever the weights say.
            written = model.generate(inputs, attention_mask=torch.ones_like(inputs), do_sample=False, max_new_tokens=num_tokens,
                                     min_new_tokens=num_tokens, eos_token_id=None, pad_token_id=0)  # fmt: skip
        return written[0, len(prompt) :].tolist()

    return run


def read_bandwidth(size_bytes: int = 512 * 1024 * 1024) -> float:
    """Return the bytes per second at which this process' threads read memory, the best of several sums over a large block."""
    block = torch.ones(size_bytes // 4)
    best = float("inf")
    for _ in range(8):
        started = time.perf_counter()
        block.sum()
        best = min(best, time.perf_counter() - started)
    return size_bytes / best


if __name__ == "__main__":
    main()
