import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import nn

from rodna.core.errors import TrainError
from rodna.core.log import read_json_lines
from rodna.data.batches import IGNORE, Batch, Batches
from rodna.data.tokens import Tokens
from rodna.evals.likelihood.scoring import validation_bits_per_byte
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.models.ensemble import Ensemble, add_member
from rodna.plan.flops import flops_per_token
from rodna.train import distillation_loss, objectives
from rodna.train.distillation import Distillation
from rodna.train.distillation_loss import Weights, linear_distillation
from rodna.train.objectives import next_token
from rodna.train.teacher_cache import CacheSetup, TeacherCache

VOCABULARY, LENGTH = 60, 12
SHAPE = {"vocabulary_size": VOCABULARY, "context_length": 16, "width": 16, "num_layers": 1, "num_heads": 2, "num_kv_heads": 2,
         "head_width": 8, "ffn_width": 24}  # fmt: skip
GPT2 = {"norm": "layer", "norm_epsilon": 1e-5, "qk_norm": False, "ffn": "gelu", "ffn_bias": True, "position": "learned",
        "attention_bias": True}  # fmt: skip
GPTJ = GPT2 | {"position": "rotary", "rotary_width": 4, "rotary_pairs": "neighbours", "block": "parallel", "head_bias": True,
               "attention_bias": False}  # fmt: skip
STUDENT = ModelConfig(**SHAPE | {"width": 8, "num_heads": 1, "num_kv_heads": 1})


def make_decoder(config, seed, scale=8.0):
    """A decoder whose predictions are far from uniform."""
    decoder = Decoder(config).initialize(seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for parameter in decoder.parameters():
            if parameter.ndim > 1:
                parameter.mul_(scale)
            else:
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    return decoder


def make_teachers(average="logits"):
    configs = [ModelConfig(**SHAPE | GPT2, dropout=0.4), ModelConfig(**SHAPE | GPTJ)]
    return Ensemble([make_decoder(config, seed) for seed, config in enumerate(configs)], average=average)


@pytest.fixture
def batch():
    generator = torch.Generator().manual_seed(5)
    inputs, targets = (torch.randint(VOCABULARY, (3, LENGTH), generator=generator) for _ in range(2))
    return Batch(inputs, targets, torch.zeros_like(inputs), torch.arange(3))


def plain_teacher(teachers, batch, temperature):
    with torch.no_grad():
        logits = torch.stack([member.logits(member(batch.inputs_BT)) for member in teachers.members])
    if teachers.average == "logits":
        return F.softmax(logits.mean(0) / temperature, dim=-1)
    return F.softmax(logits / temperature, dim=-1).mean(0)


def published_loss(student, teachers, batch, *, temperature, alpha):
    """BabyLlama's, as its code computes it; `reduction="batchmean"` divides a (B, T, V) sum by B."""
    logits_BTV = student.logits(student(batch.inputs_BT))
    student_loss = F.cross_entropy(logits_BTV.flatten(0, 1), batch.targets_BT.flatten())
    divergence = nn.KLDivLoss(reduction="batchmean")(
        F.log_softmax(logits_BTV / temperature, dim=-1), plain_teacher(teachers, batch, temperature)
    )
    return alpha * student_loss + (1 - alpha) * divergence * temperature**2


def hintons_loss(student, teachers, batch, *, temperature, alpha):
    """Both terms a mean over the tokens."""
    logits_NV = student.logits(student(batch.inputs_BT)).flatten(0, 1)
    soft_NV = F.log_softmax(logits_NV / temperature, dim=-1)
    divergence = F.kl_div(soft_NV, plain_teacher(teachers, batch, temperature).flatten(0, 1), reduction="batchmean")
    return alpha * F.cross_entropy(logits_NV, batch.targets_BT.flatten()) + (1 - alpha) * divergence * temperature**2


@pytest.mark.parametrize("average", ["logits", "probabilities"])
@pytest.mark.parametrize(("temperature", "alpha"), [(2.0, 0.5), (1.0, 0.0), (3.5, 0.9)])
@pytest.mark.parametrize(("loss", "formula"), [("babyllama", published_loss), ("scaled", hintons_loss)])
def test_loss_and_gradients_are_those_of_the_formula(batch, monkeypatch, loss, formula, temperature, alpha, average):
    student, teachers = make_decoder(STUDENT, 7, scale=4.0), make_teachers(average)
    parameters = list(student.parameters())
    expected = formula(student, teachers, batch, temperature=temperature, alpha=alpha)
    wanted = torch.autograd.grad(expected, parameters)
    monkeypatch.setitem(distillation_loss.LOSS_CHUNK_TOKENS, "cpu", 14)

    objective = Distillation(teachers, temperature=temperature, alpha=alpha, loss=loss)
    found = objective(student, batch, compute_dtype=torch.float32)
    mean = found.nats / found.num_scored
    gradients = torch.autograd.grad(mean, parameters)

    assert mean.item() == pytest.approx(expected.item(), rel=1e-6)
    largest = max(float(gradient.abs().max()) for gradient in wanted)
    for gradient, right in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(gradient / largest, right / largest, rtol=0, atol=2e-6)


@pytest.mark.parametrize("softcap", [0.0, 3.0])
def test_bias_and_cap_of_the_students_logits_are_differentiated(softcap):
    generator = torch.Generator().manual_seed(0)
    features, weight, bias = (torch.randn(shape, generator=generator).double().requires_grad_() for shape in ((9, 8), (20, 8), (20,)))
    targets = torch.randint(20, (9,), generator=generator)
    targets[4] = IGNORE
    teacher = (2 * torch.randn(9, 20, generator=generator)).softmax(-1)

    class Fixed:
        def targets(self, rows, logits_CV):
            return teacher[rows]

    logits = F.linear(features, weight, bias)
    logits = logits if softcap == 0 else softcap * (logits / softcap).tanh()
    scored = targets != IGNORE
    divergence = F.kl_div(F.log_softmax(logits / 2, -1)[scored], teacher[scored].double(), reduction="sum")
    plain = 0.3 * F.cross_entropy(logits, targets, ignore_index=IGNORE, reduction="sum") + 5 * 4 * divergence
    expected = torch.autograd.grad(plain / 9, (features, weight, bias))

    leaves = [tensor.detach().float().requires_grad_() for tensor in (features, weight, bias)]
    nats, _, found = linear_distillation(*leaves, targets, Fixed(), Weights(0.3, 5.0, 2.0, softcap))

    assert nats.item() == pytest.approx(plain.item(), rel=1e-6)
    assert found.item() == pytest.approx(divergence.item(), rel=1e-5)
    for gradient, wanted in zip(torch.autograd.grad(nats / 9, leaves), expected, strict=True):
        torch.testing.assert_close(gradient.double(), wanted, rtol=1e-4, atol=1e-5)


def test_a_capped_teacher_is_asked_for_its_capped_logits(batch):
    member = make_decoder(ModelConfig(**SHAPE, logit_softcap=2.0), 3, scale=20.0)
    student = make_decoder(STUDENT, 7)

    found = Distillation(Ensemble([member]), alpha=0.0)(student, batch, compute_dtype=torch.float32)

    with torch.no_grad():
        raw = member.head(member(batch.inputs_BT))
        capped = 2 * (raw / 2).tanh()
        soft = F.log_softmax(student.logits(student(batch.inputs_BT)) / 2, -1)
    assert float(raw.abs().max()) > 4
    assert found.parts["divergence"].item() == pytest.approx(F.kl_div(soft, (capped / 2).softmax(-1), reduction="sum").item(), rel=1e-5)


def test_targets_that_are_not_scored_count_in_neither_term(batch):
    student, teachers = make_decoder(STUDENT, 7), make_teachers()
    half = batch._replace(targets_BT=batch.targets_BT.clone())
    half.targets_BT[:, LENGTH // 2 :] = IGNORE
    first = Batch(*(part[:, : LENGTH // 2] if part.ndim == 2 else part for part in batch))

    ours, expected = (Distillation(teachers)(student, rows, compute_dtype=torch.float32) for rows in (half, first))

    assert ours.num_scored == expected.num_scored == 3 * LENGTH // 2
    for name in ("cross_entropy", "divergence"):
        assert ours.parts[name].item() == pytest.approx(expected.parts[name].item(), rel=1e-5)


def test_the_parts_are_unweighted_and_make_up_the_loss(batch):
    student, teachers = make_decoder(STUDENT, 7), make_teachers()

    scaled, published = (
        Distillation(teachers, temperature=3.0, alpha=0.2, loss=loss)(student, batch, compute_dtype=torch.float32)
        for loss in ("scaled", "babyllama")
    )

    hard = next_token(student, batch, compute_dtype=torch.float32)
    for found, factor in ((scaled, 1), (published, LENGTH)):
        assert found.parts["cross_entropy"].item() == pytest.approx(hard.nats.item(), rel=1e-6)
        assert found.parts["divergence"].item() == pytest.approx(scaled.parts["divergence"].item(), rel=1e-6)
        total = 0.2 * found.parts["cross_entropy"].item() + 0.8 * factor * 9 * found.parts["divergence"].item()
        assert found.nats.item() == pytest.approx(total, rel=1e-6)


def test_with_alpha_1_only_the_text_teaches(batch):
    student = make_decoder(STUDENT, 7)

    found = Distillation(make_teachers(), alpha=1.0)(student, batch, compute_dtype=torch.float32)
    plain = next_token(student, batch, compute_dtype=torch.float32)

    assert found.nats.item() == pytest.approx(plain.nats.item(), rel=1e-6)
    for gradient, wanted in zip(*(torch.autograd.grad(nats, list(student.parameters())) for nats in (found.nats, plain.nats)), strict=True):
        torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-5)


def test_a_student_that_is_its_teacher_has_nothing_to_learn_of_it(batch):
    teacher = make_decoder(STUDENT, 7)
    student = make_decoder(STUDENT, 7)

    found = Distillation(Ensemble([teacher]), alpha=0.0)(student, batch, compute_dtype=torch.float32)

    assert found.parts["divergence"].item() == pytest.approx(0, abs=1e-5)
    assert all(float(gradient.abs().max()) < 1e-5 for gradient in torch.autograd.grad(found.nats, list(student.parameters())))


def test_teachers_get_no_gradients_and_drop_nothing(batch):
    student, teachers = make_decoder(STUDENT, 7), make_teachers()
    teachers.members[0].train()
    objective = Distillation(teachers)

    first, second = (objective(student, batch, compute_dtype=torch.float32) for _ in range(2))
    first.nats.backward()

    assert torch.equal(first.nats, second.nats)
    assert all(parameter.grad is None for member in teachers.members for parameter in member.parameters())


def test_bfloat16_gives_a_loss_near_that_of_float32(batch):
    student = make_decoder(STUDENT, 7)

    exact, rough = (Distillation(make_teachers())(student, batch, compute_dtype=dtype) for dtype in (torch.float32, torch.bfloat16))

    assert rough.nats.dtype is torch.float32
    for name in ("cross_entropy", "divergence"):
        assert rough.parts[name].item() == pytest.approx(exact.parts[name].item(), rel=0.05)


@pytest.mark.slow
def test_compiled_loss_and_teachers_give_the_same(batch, monkeypatch):
    student, objective = make_decoder(STUDENT, 7), Distillation(Ensemble([make_decoder(ModelConfig(**SHAPE), 1)]))
    parameters = list(student.parameters())
    plain = objective(student, batch, compute_dtype=torch.float32)
    wanted = torch.autograd.grad(plain.nats, parameters)
    # Any other function there says that the runtime compiles the loss.
    monkeypatch.setattr(objectives, "score", torch.compile(objectives.score_and_differentiate))

    compiled = objective(student, batch, compute_dtype=torch.float32)

    assert objective.teachers.add is not add_member
    assert all(block._compiled_call_impl is not None for member in objective.teachers.members for block in member.blocks)
    assert compiled.nats.item() == pytest.approx(plain.nats.item(), rel=1e-5)
    for gradient, right in zip(torch.autograd.grad(compiled.nats, parameters), wanted, strict=True):
        torch.testing.assert_close(gradient, right, rtol=1e-3, atol=1e-4)


def test_the_teachers_forward_passes_are_counted():
    teachers = make_teachers()

    counted = Distillation(teachers).flops_per_token(LENGTH, run_tokens=1000)

    assert counted == sum(flops_per_token(member.config, sequence_length=LENGTH).forward for member in teachers.members)


@pytest.mark.parametrize("setting", [{"temperature": 0.0}, {"alpha": 1.5}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(TrainError, match=r"no distillation has temperature .* and alpha"):
        Distillation(make_teachers(), **setting)


def test_distilling_nothing_is_refused():
    with pytest.raises(TrainError, match="neither teachers nor a cache"):
        Distillation(None)


def test_a_student_with_another_vocabulary_is_refused(batch):
    student = make_decoder(ModelConfig(**SHAPE | {"vocabulary_size": 70}), 7)

    with pytest.raises(TrainError, match="the student has 70 tokens, its teachers 60"):
        Distillation(make_teachers())(student, batch, compute_dtype=torch.float32)


def spoken_by(decoder, num_tokens, seed):
    """Text that a model says, cut into documents of 30 tokens with an end each; the end is the last token of the vocabulary."""
    random = torch.Generator().manual_seed(seed)
    rows, end = num_tokens // 30, VOCABULARY - 1
    text = torch.full((rows, 1), end)
    with torch.no_grad():
        for _ in range(29):
            logits = decoder.logits(decoder(text[:, -8:]))[:, -1, :end]
            text = torch.cat([text, torch.multinomial(logits.softmax(-1), 1, generator=random)], 1)
    flat = torch.cat([text[:, 1:], text[:, :1]], 1).flatten().numpy()
    offsets = np.arange(rows + 1) * 30
    return Tokens(flat.astype(np.uint16), offsets, np.full(rows, 29), end, VOCABULARY)


def test_a_student_learns_more_of_little_text_from_the_teacher_who_wrote_it():
    teacher = make_decoder(ModelConfig(**SHAPE), 1, scale=10.0).eval()
    text, unseen = spoken_by(teacher, 600, seed=1), spoken_by(teacher, 3000, seed=2)
    batches = Batches(text, seed=0, batch_size=8, context_length=15)

    def learn(objective):
        student = Decoder(ModelConfig(**SHAPE)).initialize(seed=3)
        optimizer = torch.optim.AdamW(student.parameters(), lr=0.01)
        for step in range(120):
            loss = objective(student, batches.batch(step), compute_dtype=torch.float32)
            (loss.nats / loss.num_scored).backward()
            optimizer.step()
            optimizer.zero_grad()
        return validation_bits_per_byte(student, unseen, batch_size=32, compute_dtype=torch.float32)[1]

    alone, taught = learn(next_token), learn(Distillation(Ensemble([teacher]), temperature=1.0, alpha=0.0))

    # In nats a token: the text itself can be learned to about 2, and half a nat is far more than seeds differ by.
    assert taught < alone - 0.5


def lesson_of(model_config, cache_folder=None):
    """Two teachers; with a folder, read through a cache of a few tokens."""
    teachers = Ensemble([make_decoder(model_config, seed) for seed in (11, 12)])
    if cache_folder is None:
        return Distillation(teachers)
    setup = CacheSetup(("a", "b"), "probabilities", 2.0, "text", 0, model_config.context_length, model_config.vocabulary_size, top_k=8,
                       computed="cpu float32")  # fmt: skip
    return Distillation(teachers, cache=TeacherCache(cache_folder, setup))


def test_the_loop_logs_both_terms(make_run, tmp_path, model_config):
    run = make_run(tmp_path)

    run.go(objective=lesson_of(model_config))

    records = [record for record in read_json_lines(run.folder.metrics) if "divergence" in record]
    assert len(records) == 6
    for record in records:
        assert record["loss"] == pytest.approx(0.5 * record["cross_entropy"] + 0.5 * 4 * record["divergence"], rel=1e-5)
    assert records[-1]["divergence"] < records[0]["divergence"]


@pytest.mark.parametrize("cached", [False, True])
def test_a_run_that_was_killed_ends_with_the_same_bits(make_run, tmp_path, model_config, cached):
    folders = {name: tmp_path / f"cache-{name}" if cached else None for name in ("whole", "killed")}
    make_run(tmp_path / "whole").go(objective=lesson_of(model_config, folders["whole"]))
    lesson, calls = lesson_of(model_config, folders["killed"]), []

    class Killed(BaseException):
        pass

    def dies(decoder, batch, *, compute_dtype):
        calls.append(batch)
        if len(calls) > 9:
            raise Killed
        return lesson(decoder, batch, compute_dtype=compute_dtype)

    with pytest.raises(Killed):
        make_run(tmp_path / "killed", save_minutes=1e-9).go(objective=dies)
    make_run(tmp_path / "killed").go(objective=lesson_of(model_config, folders["killed"]))

    whole, killed = (load_file(tmp_path / name / "step-000012" / "model.safetensors") for name in ("whole", "killed"))
    assert all(torch.equal(killed[name], tensor) for name, tensor in whole.items())
