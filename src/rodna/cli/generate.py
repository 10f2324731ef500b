"""`rodna generate` and `rodna chat`: writing with a model, in the terminal."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rodna.cli.options import HERE, NOTHING, JsonOption, SetOption, WorkspaceOption
from rodna.cli.output import show
from rodna.cli.verbs import open_stages, print_json
from rodna.core.log import say

if TYPE_CHECKING:
    from rodna.models.generate import Sampling

SAMPLING = "Sampling"
ModelOption = Annotated[str, typer.Option("--model", "-m", help="Folder of a checkpoint; without it, the model of the project's settings.")]
MaxTokens = Annotated[int, typer.Option(min=1, help="Most tokens to write.", rich_help_panel=SAMPLING)]
Temperature = Annotated[float, typer.Option(min=0, help="0 always takes the likeliest token.", rich_help_panel=SAMPLING)]
TopK = Annotated[int, typer.Option(min=0, help="Choose among the k likeliest; 0 means all.", rich_help_panel=SAMPLING)]
TopP = Annotated[
    float, typer.Option(min=0, max=1, help="Choose among the likeliest that together have this probability.", rich_help_panel=SAMPLING)
]
MinP = Annotated[
    float, typer.Option(min=0, max=1, help="Leave out tokens below this share of the likeliest's probability.", rich_help_panel=SAMPLING)
]
Penalty = Annotated[float, typer.Option(min=0.01, help="Above 1, tokens already there become less likely.", rich_help_panel=SAMPLING)]
Seed = Annotated[int, typer.Option(min=0, help="The same seed gives the same text.", rich_help_panel=SAMPLING)]
Stop = Annotated[list[str], typer.Option("--stop", help="End before this string; repeatable.", rich_help_panel=SAMPLING)]
Counts = Annotated[
    bool, typer.Option("--counts/--no-counts", help="Let the counted n-grams beside the model, where there are any, have their share.")
]
Device = Annotated[str, typer.Option(help="cpu or cuda.")]


def generate(
    prompt: Annotated[str, typer.Argument(help="Text to go on from; `-` reads it from stdin; nothing begins a new document.")] = "",
    number: Annotated[int, typer.Option("--num", "-n", min=1, help="How many continuations.")] = 1,
    max_tokens: MaxTokens = 200,
    temperature: Temperature = 0.8,
    top_k: TopK = 0,
    top_p: TopP = 0.95,
    min_p: MinP = 0.0,
    repetition_penalty: Penalty = 1.0,
    seed: Seed = 0,
    stop: Stop = NOTHING,
    model: ModelOption = "",
    counts: Counts = True,
    device: Device = "cpu",
    workspace: WorkspaceOption = HERE,
    set_: SetOption = NOTHING,
    as_json: JsonOption = False,
) -> None:
    """Let a model continue a text, as it is written. The prompt comes first in the output."""
    from dataclasses import replace

    from rodna.models.generate import Sampling

    if prompt == "-" or (not prompt and not sys.stdin.isatty()):
        prompt = sys.stdin.buffer.read().decode("utf-8", "replace").removesuffix("\n")
    # Arguments may hold bytes that are not UTF-8, smuggled in as surrogates.
    prompt = prompt.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    sampling = Sampling(max_tokens=max_tokens, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p,
                        repetition_penalty=repetition_penalty, seed=seed, stop=tuple(stop))  # fmt: skip
    writer = Writer(find_model(model, workspace, set_), device, counts=counts)
    texts = []
    for index in range(number):
        pieces = []
        if not as_json:
            show(("" if index == 0 else "\n---\n") + prompt)
        for piece in writer.write(prompt, replace(sampling, seed=seed + index)):
            pieces.append(piece)
            if not as_json:
                show(piece)
        texts.append("".join(pieces))
        if not as_json:
            show("\n")
    if as_json:
        print_json({"model": str(writer.folder), "prompt": prompt, "continuations": texts})


def chat(
    max_tokens: MaxTokens = 200,
    temperature: Temperature = 0.8,
    top_k: TopK = 0,
    top_p: TopP = 0.95,
    min_p: MinP = 0.0,
    repetition_penalty: Penalty = 1.0,
    seed: Seed = 0,
    stop: Stop = NOTHING,
    model: ModelOption = "",
    counts: Counts = True,
    device: Device = "cpu",
    workspace: WorkspaceOption = HERE,
    set_: SetOption = NOTHING,
) -> None:
    """Write with a model in turns: you begin, it goes on."""
    from rodna.cli.conversation import Conversation
    from rodna.models.generate import Sampling

    sampling = Sampling(max_tokens=max_tokens, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p,
                        repetition_penalty=repetition_penalty, seed=seed, stop=tuple(stop))  # fmt: skip
    writer = Writer(find_model(model, workspace, set_), device, counts=counts)
    Conversation(writer.write, sampling).run()


class Writer:
    """A loaded model that writes text piece by piece, with the counts beside it where they are wanted."""

    def __init__(self, folder: Path, device: str, *, counts: bool = True) -> None:
        from rodna.models.checkpoint import load
        from rodna.models.counted import load_beside
        from rodna.models.generate import make_engine

        self.folder = folder
        decoder, self.tokenizer = load(folder, device=device)
        counted = load_beside(folder, device=device) if counts else None
        self.engine = make_engine(decoder, self.tokenizer, half=device == "cpu", counted=counted)

    def write(self, prompt: str, sampling: "Sampling") -> Iterator[str]:
        """Yield the continuation of a prompt as it is written."""
        from rodna.models.generate import stream

        return stream(self.engine, self.tokenizer, prompt, sampling)


def find_model(model: str, workspace: Path, overrides: list[str]) -> Path:
    """Return the checkpoint to use: the one named, else the project's own, else the newest in the workspace.

    Raises:
        ArtifactError: there is none.
    """
    from rodna.cli.stages import model_stage
    from rodna.core.errors import ArtifactError, CorpusError

    if model:
        return Path(model)
    stages = open_stages(workspace, overrides)
    try:
        current = stages.stage(model_stage(stages.project)).existing(stages.workspace)
    except CorpusError:
        # A finished model needs its texts no more: they may be on another disk by now.
        current = None
    models = list(stages.workspace.all_artifacts("model"))
    if current is not None:
        newer = [item.path for item in models if item.manifest.created > current.manifest.created]
        if newer:
            say(f"note: using {current.path.name}, the model of the project's settings; {newer[-1].name} is newer: --model {newer[-1]}")
        return current.path
    if not models:
        fix = "run `rodna run`, or give a checkpoint with --model"
        raise ArtifactError("there is no model yet", where=str(stages.workspace.root), fix=fix)
    newest = max(models, key=lambda item: item.manifest.created)
    say(f"note: the settings or texts have changed since; using {newest.path.name}, made {newest.manifest.created}")
    return newest.path
