import dataclasses
import json
import resource

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from rodna.core.errors import DiskError, TrainError
from rodna.data.batches import Batch, Batches
from rodna.data.tokens import Tokens
from rodna.models.config import ModelConfig
from rodna.models.decoder import Decoder
from rodna.models.ensemble import Ensemble
from rodna.train import teacher_cache
from rodna.train.distillation import Distillation
from rodna.train.teacher_cache import CacheSetup, TeacherCache, TopK, top_k

VOCABULARY, LENGTH = 60, 12
SHAPE = {"vocabulary_size": VOCABULARY, "context_length": 16, "width": 16, "num_layers": 1, "num_heads": 2, "num_kv_heads": 2,
         "head_width": 8, "ffn_width": 24}  # fmt: skip
SETUP = CacheSetup(("one", "two"), "probabilities", 2.0, "text", 0, LENGTH, VOCABULARY, top_k=5, computed="cpu float32")


def make_decoder(seed, scale=10.0):
    decoder = Decoder(ModelConfig(**SHAPE)).initialize(seed=seed)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.mul_(scale if parameter.ndim > 1 else 1.0)
    return decoder


@pytest.fixture
def teachers():
    return Ensemble([make_decoder(1), make_decoder(2)])


@pytest.fixture
def student():
    return make_decoder(7, scale=5.0)


@pytest.fixture
def batches():
    random = np.random.default_rng(0)
    tokens = Tokens(random.integers(0, 59, 600).astype(np.uint16), np.array([0, 250, 600]), np.array([249, 349]), 59, VOCABULARY)
    return Batches(tokens, seed=0, batch_size=4, context_length=LENGTH)


def lose(objective, student, batch):
    """Return the loss and its gradients."""
    found = objective(student, batch, compute_dtype=torch.float32)
    return found, torch.autograd.grad(found.nats, list(student.parameters()))


def setup(**changes):
    return dataclasses.replace(SETUP, **changes)


@pytest.fixture
def small_pieces(monkeypatch):
    """Pieces of six slots, so that batches of four straddle them."""
    monkeypatch.setattr(teacher_cache, "MOST_PIECE_SLOTS", 6)


def test_keeping_every_token_is_the_uncached_loss(teachers, student, batches, tmp_path):
    cache = TeacherCache(tmp_path, setup(top_k=VOCABULARY))

    plain, wanted = lose(Distillation(teachers), student, batches.batch(0))
    found, gradients = lose(Distillation(teachers, cache=cache), student, batches.batch(0))

    # To the rounding of float16: a log-probability of -8 is off by up to 0.004.
    assert found.nats.item() == pytest.approx(plain.nats.item(), rel=1e-4)
    assert found.parts["divergence"].item() == pytest.approx(plain.parts["divergence"].item(), rel=1e-3)
    largest = max(float(gradient.abs().max()) for gradient in wanted)
    assert all(float((one - other).abs().max()) < 2e-3 * largest for one, other in zip(gradients, wanted, strict=True))


def test_the_rest_is_one_bucket_whose_spread_the_student_decides():
    generator = torch.Generator().manual_seed(0)
    teacher = (3 * torch.randn(7, 30, generator=generator)).softmax(-1)
    logits = torch.randn(7, 30, generator=generator, requires_grad=True)
    kept = top_k(teacher, 4)
    student = logits.log_softmax(-1)

    # The divergence of five outcomes: the four likeliest tokens, and any other.
    ids, of_teacher = kept.ids_NK, kept.log_probabilities_NK1.float().exp()
    of_teacher = of_teacher / of_teacher.sum(1, keepdim=True)
    of_student = student.exp().gather(1, ids)
    of_student = torch.cat([of_student, 1 - of_student.sum(1, keepdim=True)], 1)
    plain = (of_teacher * (of_teacher / of_student).log()).sum()
    wanted = torch.autograd.grad(plain, logits, retain_graph=True)[0]

    whole = kept.targets(slice(0, 7), student.detach().exp())
    spread = F.kl_div(student, whole, reduction="sum")

    assert spread.item() == pytest.approx(plain.item(), rel=1e-5)
    torch.testing.assert_close(torch.autograd.grad(spread, logits)[0], wanted, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(whole.sum(1), torch.ones(7))


def test_what_is_kept_are_the_likeliest_tokens_and_the_rest_together():
    probabilities = torch.tensor([[0.1, 0.5, 0.25, 0.15], [0.7, 0.1, 0.0, 0.2]])

    kept = top_k(probabilities, 2)

    assert kept.ids_NK.tolist() == [[1, 2], [0, 3]]
    torch.testing.assert_close(
        kept.log_probabilities_NK1.float().exp(), torch.tensor([[0.5, 0.25, 0.25], [0.7, 0.2, 0.1]]), rtol=1e-3, atol=0
    )


def test_a_bucket_that_a_sure_student_gives_nothing_stays_finite():
    kept = TopK(torch.tensor([[2]]), torch.tensor([[0.5, 0.5]]).log().half())

    assert bool(torch.isfinite(kept.targets(slice(0, 1), torch.tensor([[0.0, 0.0, 1.0]]))).all())


def fill(distillation, batches, steps, *, rows):
    """Let the teachers say what they have to, so many rows at a time."""
    for step in steps:
        batch = batches.batch(step)
        for start in range(0, len(batch.inputs_BT), rows):
            distillation.teach(Batch(*(part[start : start + rows] for part in batch)), compute_dtype=torch.float32)
    distillation.close()


def test_the_same_rows_cost_the_same_whether_teachers_or_the_disk_say_it(teachers, student, batches, tmp_path, small_pieces):
    first = Distillation(teachers, cache=TeacherCache(tmp_path, SETUP))
    asked = [lose(first, student, batches.batch(n)) for n in range(5)]
    first.close()

    # Without teachers: nobody is there to be asked.
    offline = Distillation(None, cache=TeacherCache(tmp_path, SETUP))

    for n, (found, gradients) in enumerate(asked):
        again, repeated = lose(offline, student, batches.batch(n))
        assert torch.equal(found.nats, again.nats)
        assert all(torch.equal(one, other) for one, other in zip(gradients, repeated, strict=True))
    assert len(list(tmp_path.glob("piece-*.npy"))) == 4


def test_slots_mean_the_same_rows_at_any_batch_size(teachers, student, batches, tmp_path):
    cache = TeacherCache(tmp_path, SETUP)
    fill(Distillation(teachers, cache=cache), batches, range(3), rows=2)
    larger = Batches(batches._tokens, seed=0, batch_size=6, context_length=LENGTH)

    offline = Distillation(None, cache=TeacherCache(tmp_path, SETUP))

    for n in range(2):
        found, _ = lose(offline, student, larger.batch(n))
        expected, _ = lose(Distillation(teachers, cache=TeacherCache(tmp_path / f"new-{n}", SETUP)), student, larger.batch(n))
        assert found.nats.item() == pytest.approx(expected.nats.item(), rel=1e-5)


def test_a_row_that_is_missing_offline_is_an_error_with_a_remedy(teachers, student, batches, tmp_path):
    cache = TeacherCache(tmp_path, SETUP)
    fill(Distillation(teachers, cache=cache), batches, range(2), rows=4)

    with pytest.raises(TrainError, match="lacks rows among 8 to 11") as caught:
        Distillation(None, cache=cache)(student, batches.batch(2), compute_dtype=torch.float32)

    assert "give the teachers too" in caught.value.fix


def test_what_a_killed_run_had_not_written_is_computed_again(teachers, student, batches, tmp_path, small_pieces):
    killed = Distillation(teachers, cache=TeacherCache(tmp_path, SETUP))
    for n in range(4):
        lose(killed, student, batches.batch(n))
    # Not closed: slots 12 to 15, of the third piece, were in memory only.
    assert sorted(path.name for path in tmp_path.glob("piece-*")) == ["piece-000000.npy", "piece-000001.npy"]

    again = TeacherCache(tmp_path, SETUP)
    missing = [n for n in range(4) if again.read(batches.batch(n).slot_B, batches.batch(n).inputs_BT) is None]
    assert missing == [3]
    resumed = Distillation(teachers, cache=again)
    lose(resumed, student, batches.batch(3))
    resumed.close()

    assert TeacherCache(tmp_path, SETUP).read(batches.batch(3).slot_B, batches.batch(3).inputs_BT) is not None


def test_a_piece_that_was_written_in_part_is_completed_later(teachers, student, batches, tmp_path, small_pieces):
    for n in (0, 2, 1):
        lesson = Distillation(teachers, cache=TeacherCache(tmp_path, SETUP))
        lose(lesson, student, batches.batch(n))
        lesson.close()

    cache = TeacherCache(tmp_path, SETUP)

    assert all(cache.read(batches.batch(n).slot_B, batches.batch(n).inputs_BT) is not None for n in range(3))
    assert cache.summary()["tokens"] == 12 * LENGTH


def test_the_mass_kept_is_stated(teachers, student, batches, tmp_path):
    lesson = Distillation(teachers, cache=TeacherCache(tmp_path, SETUP))
    for n in range(4):
        lose(lesson, student, batches.batch(n))
    lesson.close()

    mass = []
    for n in range(4):
        with torch.no_grad():
            logits = torch.stack([member.logits(member(batches.batch(n).inputs_BT)) for member in teachers.members])
        mass += (logits / 2).softmax(-1).mean(0).topk(5).values.sum(-1).flatten().tolist()
    index = json.loads((tmp_path / "index.json").read_text())
    assert index["tokens"] == len(mass) == 16 * LENGTH
    assert index["mass_mean"] == pytest.approx(np.mean(mass), abs=1e-3)
    assert index["mass_5th_percentile"] == pytest.approx(np.quantile(mass, 0.05), abs=5e-3)
    assert lesson.summary()["cache"] == {name: index[name] for name in lesson.summary()["cache"]}


@pytest.mark.parametrize(("vocabulary", "bytes_per_token"), [(60, 22), (70_000, 32)])
def test_the_bytes_of_a_token_are_stated(vocabulary, bytes_per_token):
    large = setup(vocabulary_size=vocabulary)

    assert large.bytes_per_token == bytes_per_token
    assert large.row.itemsize == 4 + LENGTH * bytes_per_token


def test_token_ids_beyond_16_bits_are_kept(tmp_path):
    cache = TeacherCache(tmp_path, setup(vocabulary_size=70_000, top_k=1))
    inputs, slots = torch.arange(LENGTH)[None], torch.tensor([3])
    kept = TopK(torch.full((LENGTH, 1), 69_999), torch.full((LENGTH, 2), -0.5).half())

    cache.write(slots, inputs, kept)
    cache.flush()

    found = TeacherCache(tmp_path, setup(vocabulary_size=70_000, top_k=1)).read(slots, inputs)
    assert found is not None
    assert torch.equal(found.ids_NK, kept.ids_NK)
    assert torch.equal(found.log_probabilities_NK1, kept.log_probabilities_NK1)


@pytest.mark.parametrize(
    ("changes", "named"),
    [({"seed": 1}, "seed"), ({"tokens": "other", "teachers": ("one",)}, "teachers, tokens"), ({"context_length": 8}, "context_length"),
     ({"order": "short_first"}, "order"), ({"top_k": 6}, "top_k"), ({"temperature": 1.0}, "temperature")],
)  # fmt: skip
def test_a_cache_of_something_else_is_refused_by_name(tmp_path, changes, named):
    TeacherCache(tmp_path, SETUP)

    with pytest.raises(TrainError, match=f"the teacher cache is made with other {named}\n") as caught:
        TeacherCache(tmp_path, setup(**changes))

    assert "use another folder" in caught.value.fix


def test_a_distillation_at_another_temperature_is_refused(teachers, tmp_path):
    with pytest.raises(TrainError, match=r"the teacher cache is of temperature 2\.0, not 3\.0"):
        Distillation(teachers, temperature=3.0, cache=TeacherCache(tmp_path, SETUP))


def test_another_text_in_a_slot_is_noticed(teachers, student, batches, tmp_path):
    lesson = Distillation(teachers, cache=TeacherCache(tmp_path, SETUP))
    batch = batches.batch(0)
    lose(lesson, student, batch)
    changed = batch._replace(inputs_BT=batch.inputs_BT.clone())
    changed.inputs_BT[1, 3] += 1

    with pytest.raises(TrainError, match="holds other text than this run reads"):
        lesson(student, changed, compute_dtype=torch.float32)


def test_rows_of_another_length_are_refused(teachers, student, batches, tmp_path):
    lesson = Distillation(teachers, cache=TeacherCache(tmp_path, SETUP))
    short = Batch(*(part[:, :8] if part.ndim == 2 else part for part in batches.batch(0)))

    with pytest.raises(TrainError, match="of rows of 12 tokens, not 8"):
        lesson(student, short, compute_dtype=torch.float32)


@pytest.mark.parametrize("content", [b"", b"no array at all", b"\x93NUMPY\x01\x00 but then"])
def test_a_damaged_piece_is_named_with_a_remedy(teachers, student, batches, tmp_path, content):
    (tmp_path / "piece-000000.npy").write_bytes(content)

    with pytest.raises(TrainError, match="a piece of the teacher cache is damaged") as caught:
        Distillation(teachers, cache=TeacherCache(tmp_path, SETUP))(student, batches.batch(0), compute_dtype=torch.float32)

    assert caught.value.where.endswith("piece-000000.npy")
    assert "delete this file" in caught.value.fix


def test_a_piece_of_another_layout_is_named(teachers, student, batches, tmp_path):
    np.save(tmp_path / "piece-000000.npy", np.zeros(6))

    with pytest.raises(TrainError, match="not laid out as its index says"):
        Distillation(teachers, cache=TeacherCache(tmp_path, SETUP))(student, batches.batch(0), compute_dtype=torch.float32)


@pytest.mark.parametrize("content", ["{", "[]", '{"format_version": 1, "setup": {}}'])
def test_a_damaged_index_is_named_with_a_remedy(tmp_path, content):
    (tmp_path / "index.json").write_text(content)

    with pytest.raises(TrainError, match="the teacher cache is damaged") as caught:
        TeacherCache(tmp_path, SETUP)

    assert caught.value.where.endswith("index.json")


def test_a_full_disk_is_reported_and_keeps_what_was_written(teachers, student, batches, tmp_path, small_pieces):
    lesson = Distillation(teachers, cache=TeacherCache(tmp_path, SETUP))
    for n in range(2):
        lose(lesson, student, batches.batch(n))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1024, before[1]))
    try:
        with pytest.raises(DiskError, match="cannot write"):
            lose(lesson, student, batches.batch(2))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    assert sorted(path.name for path in tmp_path.iterdir()) == ["index.json", "piece-000000.npy"]
    first = batches.batch(0)
    assert TeacherCache(tmp_path, SETUP).read(first.slot_B, first.inputs_BT) is not None


def test_keeping_more_tokens_than_there_are_is_refused():
    with pytest.raises(TrainError, match="61 of 60 tokens cannot be kept"):
        setup(top_k=61)
