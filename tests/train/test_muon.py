import math

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from rodna.train.muon import NEWTON_SCHULZ, POLAR_EXPRESS, POLAR_EXPRESS_OPTIMA, Muon, decay, orthogonalize, stacks

SHAPES = [(32, 32), (16, 32), (48, 32), (32, 48), (32, 48), (8, 8)]
METHODS = {"newton_schulz": NEWTON_SCHULZ, "polar_express": POLAR_EXPRESS}


def matrices(seed: int = 0) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.nn.Parameter(torch.empty(shape).normal_(0, 0.02, generator=generator)) for shape in SHAPES]


def learn(optimizer: torch.optim.Optimizer, parameters: list[torch.nn.Parameter], *, seeds: range) -> None:
    for seed in seeds:
        generator = torch.Generator().manual_seed(seed)
        for parameter in parameters:
            parameter.grad = torch.empty(parameter.shape).normal_(0, 1 + seed % 3, generator=generator)
        optimizer.step()


def torch_muon(parameters, **settings):
    return torch.optim.Muon(parameters, momentum=0.95, adjust_lr_fn="match_rms_adamw", **settings)


def assert_equal_to_rounding(ours, theirs, *, lr):
    # One number of an update is about 0.2 lr, in bfloat16 right to 1/256.
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.detach(), other.detach(), rtol=0, atol=0.01 * lr)


def test_with_every_option_off_the_numbers_are_those_of_torch():
    ours, theirs = matrices(), matrices()
    learn(Muon(ours, lr=0.01, weight_decay=0.1, momentum=0.95), ours, seeds=range(6))
    learn(torch_muon(theirs, lr=0.01, weight_decay=0.1), theirs, seeds=range(6))

    assert_equal_to_rounding(ours, theirs, lr=0.01)
    assert all(float((mine - fresh).detach().abs().max()) > 0.002 for mine, fresh in zip(ours, matrices(), strict=True))


def test_goes_on_from_the_saved_state_of_torchs_muon():
    theirs = matrices()
    old = torch_muon(theirs, lr=0.01, weight_decay=0.1)
    learn(old, theirs, seeds=range(4))
    ours = [torch.nn.Parameter(parameter.detach().clone()) for parameter in theirs]
    new = Muon(ours, lr=0.01, weight_decay=0.1, momentum=0.95)
    for mine, other in zip(ours, theirs, strict=True):
        new.state[mine] = {key: value.clone() for key, value in old.state[other].items()}
    learn(old, theirs, seeds=range(4, 7))
    learn(new, ours, seeds=range(4, 7))

    assert_equal_to_rounding(ours, theirs, lr=0.01)


def test_parameters_without_a_gradient_stay():
    parameters = matrices()
    before = parameters[1].detach().clone()
    parameters[0].grad = torch.ones_like(parameters[0])
    Muon(parameters, lr=0.1, weight_decay=1.0, momentum=0.9).step()

    assert torch.equal(parameters[1], before)


@pytest.mark.parametrize("method", METHODS)
def test_orthogonalizing_sends_every_singular_value_through_the_polynomials(method):
    matrix_MN = torch.randn(6, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    left_MM, values_M, right_MN = torch.linalg.svd(matrix_MN, full_matrices=False)
    values_M = values_M / values_M.norm() / (1.01 if method == "polar_express" else 1.0)
    for a, b, c in METHODS[method]:
        values_M = a * values_M + b * values_M**3 + c * values_M**5

    found_MN = orthogonalize(matrix_MN[None].clone(), method)[0]

    torch.testing.assert_close(found_MN, left_MM @ values_M.diag() @ right_MN)


def test_each_polar_express_polynomial_is_centred_on_what_the_one_before_leaves():
    # The recursion of the paper's appendix: [l, u] becomes [p(l), 2 - p(l)], and p stays within that.
    low, high = 1e-3, 1.0
    for a, b, c in POLAR_EXPRESS_OPTIMA:
        x = np.linspace(low, high, 100_001)
        y = a * x + b * x**3 + c * x**5
        assert y[0] + y[-1] == pytest.approx(2, abs=1e-6)
        assert y.min() >= y[0] - 1e-9
        assert y.max() <= 2 - y[0] + 1e-6
        low, high = y[0], 2 - y[0]

    assert 1 - low < 0.13


@pytest.mark.parametrize(("method", "low", "high"), [("newton_schulz", 0.65, 1.25), ("polar_express", 0.8, 1.2)])
def test_in_bfloat16_too_singular_values_end_near_one(method, low, high):
    stack_SMN = torch.randn(3, 24, 40, generator=torch.Generator().manual_seed(1))
    values = torch.linalg.svdvals(orthogonalize(stack_SMN.bfloat16(), method).float())

    assert low < float(values.min())
    assert float(values.max()) < high


@pytest.mark.parametrize("method", METHODS)
def test_a_zero_gradient_gives_a_zero_update(method):
    assert torch.equal(orthogonalize(torch.zeros(2, 4, 6).bfloat16(), method), torch.zeros(2, 4, 6).bfloat16())


def test_normuon_evens_out_rows_by_their_second_moment():
    ours = [torch.nn.Parameter(torch.full(shape, 0.5)) for shape in [(6, 4), (4, 6)]]
    optimizer = Muon(ours, lr=0.01, weight_decay=0.1, momentum=0.9, normalize_rows=True)
    expected = [np.full(tuple(parameter.shape), 0.5) for parameter in ours]
    buffers, moments = [np.zeros_like(one) for one in expected], [np.zeros((len(one), 1)) for one in expected]
    for seed in range(4):
        generator = torch.Generator().manual_seed(seed)
        for number, parameter in enumerate(ours):
            parameter.grad = torch.empty(parameter.shape).normal_(0, 1, generator=generator)
            gradient = parameter.grad.numpy().astype(np.float64)
            buffers[number] = 0.9 * buffers[number] + 0.1 * gradient
            ahead = torch.tensor(0.1 * gradient + 0.9 * buffers[number], dtype=torch.float32).bfloat16()
            wide = ahead.mT.contiguous() if number == 0 else ahead
            update = orthogonalize(wide[None].clone(), "newton_schulz")[0].double().numpy()
            update = update.T if number == 0 else update
            moments[number] = 0.95 * moments[number] + 0.05 * (update**2).mean(1, keepdims=True)
            update = update / np.sqrt(moments[number])
            update *= 0.2 / math.sqrt((update**2).mean())
            expected[number] = expected[number] * (1 - 0.01 * 0.1) - 0.01 * update
        optimizer.step()

    for parameter, reference in zip(ours, expected, strict=True):
        torch.testing.assert_close(parameter.detach(), torch.tensor(reference, dtype=torch.float32), rtol=0, atol=1e-4)
        assert {key: tuple(value.shape) for key, value in optimizer.state[parameter].items()} == {
            "momentum_buffer": tuple(parameter.shape), "row_moment": (len(parameter), 1),
        }  # fmt: skip


def test_cautious_decay_spares_what_the_update_makes_larger():
    weights, update = torch.tensor([1.0, 1.0, -1.0, -1.0]), torch.tensor([0.5, -0.5, 0.5, -0.5])
    decay(weights, update, 0.1)

    torch.testing.assert_close(weights, torch.tensor([0.9, 1.0, -1.0, -0.9]))


def test_cautious_muon_differs_from_plain_only_where_update_and_weight_disagree():
    plain, cautious, before = matrices(), matrices(), matrices()
    learn(Muon(plain, lr=0.01, weight_decay=0.5, momentum=0.95), plain, seeds=range(1))
    learn(Muon(cautious, lr=0.01, weight_decay=0.5, momentum=0.95, cautious=True), cautious, seeds=range(1))
    for one, other, fresh in zip(plain, cautious, before, strict=True):
        # Plain: W - decay - step. So step = W - decay - plain, and decay is given back where step and W differ in sign.
        lost = 0.01 * 0.5 * fresh
        step = fresh - lost - one
        torch.testing.assert_close(other.detach(), (one + lost * (step * fresh < 0)).detach(), rtol=0, atol=1e-7)
        assert float((other - one).detach().abs().max()) > 1e-5


def size_after_long_learning(**settings) -> float:
    parameters = matrices()
    learn(Muon(parameters, lr=0.02, momentum=0.95, normalize_rows=True, **settings), parameters, seeds=range(150))
    return max(float(parameter.detach().square().mean().sqrt()) for parameter in parameters)


def test_thirty_times_the_usual_decay_settles_at_a_bounded_size():
    # A step takes off lr * 3 of every weight and adds 0.2 lr at root mean square: the triangle inequality bounds the sum by 0.2 / 3.
    assert 0.005 < size_after_long_learning(weight_decay=3.0) < 0.2 / 3
    assert 0.005 < size_after_long_learning(weight_decay=3.0, cautious=True) < size_after_long_learning(weight_decay=0.0)


def test_shapes_that_differ_by_transposition_share_a_stack_and_stacks_are_bounded():
    parameters = matrices()

    assert sorted([tuple(p.shape) for p in stack] for stack in stacks(parameters)) == [
        [(8, 8)], [(16, 32)], [(32, 32)], [(48, 32), (32, 48), (32, 48)],
    ]  # fmt: skip
    assert [len(stack) for stack in stacks(parameters, most=2 * 32 * 48)] == [1, 1, 2, 1, 1]


class Products(TorchDispatchMode):
    """Counts calls of matrix products."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func.overloadpacket.__name__ in ("mm", "bmm", "addmm", "baddbmm")
        return func(*args, **(kwargs or {}))


def test_arithmetic_is_no_more_than_torchs_in_fewer_products():
    shapes = [(32, 32), (48, 32), (32, 48), (48, 32)] * 4
    ours, theirs = ([torch.nn.Parameter(torch.randn(shape)) for shape in shapes] for _ in range(2))
    flops, calls = [], []
    for optimizer, parameters in ((Muon(ours, lr=0.01, weight_decay=0.1, momentum=0.95), ours), (torch_muon(theirs, lr=0.01), theirs)):
        with FlopCounterMode(display=False) as flop_counter:
            learn(optimizer, parameters, seeds=range(1))
        with Products() as products:
            learn(optimizer, parameters, seeds=range(1, 2))
        flops.append(flop_counter.get_total_flops())
        calls.append(products.count)

    assert 0 < flops[0] <= flops[1]
    # Five iterations of three products: for each of two stacks, for each of sixteen matrices.
    assert calls == [5 * 3 * 2, 5 * 3 * 16]
