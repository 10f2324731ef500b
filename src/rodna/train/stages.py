"""Stages that end in a trained model. Each prepares what the loop needs and packs what it leaves."""

from pathlib import Path

from pydantic import BaseModel

from rodna.core import artifact
from rodna.core.artifact import Artifact
from rodna.core.config import validate
from rodna.models import checkpoint
from rodna.plan.hardware import describe_machine
from rodna.plan.plan import read_plan
from rodna.train.config import FORMAT_VERSION, TrainValues
from rodna.train.counting import keep_counts
from rodna.train.runtime import compute_dtype
from rodna.train.session import Job, fit, keep
from rodna.train.state import RunFolder, setup_digest


def pretrain(tokens: Artifact, tokenizer: Artifact, plan: Artifact, config: BaseModel, out: Path, *, run: Path) -> Artifact:
    """Train a fresh model as planned.

    Interrupted at any moment, the same call goes on from the last saved state and ends with bit-identical weights (on the same
    machine, with the same number of threads).

    Args:
        tokens: the encoded corpus.
        tokenizer: copied into every checkpoint.
        plan: model and settings.
        config: the settings as the user gave them; the plan has kept them.
        out: the model artifact: the checkpoint with the lowest validation loss, and the counts beside it that the plan asks for.
        run: folder of states and metrics; may be deleted once the model is there.

    Raises:
        TrainError: the loss is no longer finite, or the saved state is damaged.
        KeyboardInterrupt: the user asked to stop; the state is saved.
    """
    inputs = {"tokens": tokens, "tokenizer": tokenizer, "plan": plan}
    proposal = read_plan(plan)
    values = validate(TrainValues, proposal.train)
    machine = describe_machine("cpu" if proposal.machine.get("device") == "cpu" else "auto")
    checkpoint.check(proposal.model)

    setup = setup_digest(tokens=tokens.digest, model=proposal.model.model_dump(mode="json"), train=values.model_dump(mode="json"),
                         version=FORMAT_VERSION)  # fmt: skip
    folder = RunFolder(run, tokenizer_folder=tokenizer.path, setup=setup)
    trained = fit(
        Job(proposal.model, values, order_seed=values.seed), tokens, folder, machine=machine, speeds=proposal.machine,
        seconds=float(proposal.estimates.get("seconds", 0.0)),
    )  # fmt: skip
    with artifact.create(out, kind="model", format_version=FORMAT_VERSION, inputs=inputs, config=config, seed=values.seed) as draft:
        counted = keep_counts(
            trained.checkpoint, tokens, draft.path, order=values.ngram_order, device=machine.device,
            compute_dtype=compute_dtype(machine, values),
        )  # fmt: skip
        draft.counts = keep(trained, draft.path, **counted)
    return draft.result
