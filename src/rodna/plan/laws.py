"""A scaling law for one's own text: fitted to the losses of a few pilot runs, with priors where so few points say nothing.

    L = E + a (N / N0)^-alpha + b (k^q D' / D0)^-beta + C m^p r^1.5 (N / 10^6)^0.2 (U / 10^5)^(-0.9 - 0.6 p)
    D' = min(D, U) + U R* (1 - exp(-r / R*)),   r = max(D / U - 1, 0),   q = p (N / 10^6)^-0.45

N weights of the blocks, D tokens seen, U unique tokens, r repetitions, p dropout in units of 0.2, L held-out bits per byte; N0 and D0 are
the pilots' geometric means, so that a and b are what the terms are worth where there are data. E, a, b, alpha and beta: Hoffmann et al.
2022, arXiv:2203.15556, equation 10. R*, what repeated tokens are worth: Muennighoff et al. 2023, arXiv:2305.16264, equation 5; it only
flattens. C, learning by heart, turns the curve upwards: an additive penalty, as Lovelace et al. 2026, arXiv:2605.01640, propose. Its powers
are ours, as is what dropout does: it makes a token worth k of one to a model of a million weights, less to smaller ones, and the penalty m
of what it was with 100,000 tokens, less with more. docs/planning.md, Pilot runs, says on which runs they were chosen, and how far the law
is from them and from others.

Pure numpy; many fits are made at once.

Suffixes: F fits, P law parameters, K points.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rodna.core.errors import PlanError
from rodna.plan.scaling import EXCESS_PARAMETERS, REPEATED_DATA, ScalingLaw

Floats = NDArray[np.float64]
NAMES = (
    "irreducible", "parameter_term", "token_term", "parameter_exponent", "token_exponent", "repeated_data", "overfitting",
    "dropout_token_worth", "dropout_overfitting",
)  # fmt: skip
"""theta_P: log E, log a, log b, alpha, beta, log R*, log C, log k, log m."""
OVERFITTING = NAMES.index("overfitting")
SMALL_CORPORA = ScalingLaw(0.353, 14.0, 30.5, 0.34, 0.28, REPEATED_DATA, EXCESS_PARAMETERS)
"""Where the priors of a fit lie: bits per byte on Belarusian, of runs of 0.3 to 2.2M weights and 0.3 to 2.4M tokens. The exponents are
Chinchilla's."""
PRIOR_SPREAD = np.array([0.5, 0.6, 0.35, 0.08, 0.06, 0.35, 1.0, 0.3, 0.8])
"""Standard deviations. Exponents: published ones lie within 0.28 to 0.37 (Hoffmann et al. 2022; Muennighoff et al. 2023; Besiroglu et al.
2024, arXiv:2404.10102). The terms may be half or twice ours: another language, tokenizer or recipe. R* is what Muennighoff et al. found,
held more firmly than a few pilots on a small part of a text would have it. C depends on weight decay: it falls by 70% with a strong one
(Lovelace et al. 2026)."""
PRIOR_OVERFITTING, PRIOR_DROPOUT_TOKEN_WORTH, PRIOR_DROPOUT_OVERFITTING = 0.0100, 0.80, 0.27
"""C, k and m of the runs in docs/planning.md."""
REPETITIONS_POWER, WEIGHTS_POWER, TEXT_POWER = 1.5, 0.2, -0.9
DROPOUT_WEIGHTS_POWER, DROPOUT_TEXT_POWER = -0.45, -0.6
WEIGHTS_UNIT, TEXT_UNIT = 1e6, 1e5
DROPOUT_UNIT = 0.2
NOISE, NOISE_POINTS = 0.003, 3.0
"""Assumed scatter of a run around the law, as a share, and how many points that assumption counts for. Seeds alone scatter by 0.002
(docs/ablations.md)."""
HUBER = 1.5
"""Residuals beyond this many standard deviations count linearly. (Hoffmann et al. 2022 use Huber with an absolute 1e-3.)"""
ITERATIONS, TOLERANCE = 60, 1e-6
"""Of the objective, in squared standard deviations."""
MIN_POINTS = 3


@dataclass(frozen=True)
class Point:
    """One finished pilot run.

    Attributes:
        parameters: weights of the blocks.
        tokens_seen: targets learned from, repetitions counted.
        unique_tokens: of the text it learned from.
        bits_per_byte: held out, at the end of its decay.
        name: what to call it in messages.
        dropout: it learned with.
    """

    parameters: float
    tokens_seen: float
    unique_tokens: float
    bits_per_byte: float
    name: str = ""
    dropout: float = 0.0


@dataclass(frozen=True)
class Centre:
    """N0 and D0 of a fit."""

    parameters: float
    tokens: float


WHOLE_RUNS = (-0.4948, -2.5995, -0.9719, 0.2092, 0.2584, 2.2854, -4.7421, -0.2259, -1.454)
WHOLE_RUNS_CENTRE = Centre(1e6, 1e6)
"""theta_P and its centre: the law for texts on which nothing was tried, in bits per byte of our Belarusian. `benchmarks/plan_law.py` fitted
it to the runs that were kept then, each text scaled; docs/planning.md, Scaling laws, says to which, and how far they lie from it."""


LEAST_KNOWN_TOKENS = 50e3
"""The smallest text that `WHOLE_RUNS` was fitted to. What learning by heart costs grows so fast with less text that the law is not trusted
to tell: there it costs what it would of this much text, read as often."""


def whole_run_loss(parameters: float, tokens_seen: float, unique_tokens: float, dropout: float = 0.0) -> float:
    """Return the bits per byte that `WHOLE_RUNS` expects of Belarusian.

    Args:
        parameters: weights of the blocks.
        tokens_seen: repetitions counted.
        unique_tokens: of the training split.
        dropout: of the training.
    """

    def loss(theta: tuple[float, ...], unique: float) -> float:
        place = (np.array([value]) for value in (parameters, tokens_seen * unique / unique_tokens, unique, dropout))
        return float(np.exp(log_loss(np.array([theta]), *place, centre=WHOLE_RUNS_CENTRE)[0, 0]))

    if unique_tokens >= LEAST_KNOWN_TOKENS:
        return loss(WHOLE_RUNS, unique_tokens)
    never_by_heart = (*WHOLE_RUNS[:OVERFITTING], -np.inf, *WHOLE_RUNS[OVERFITTING + 1 :])
    by_heart = loss(WHOLE_RUNS, LEAST_KNOWN_TOKENS) - loss(never_by_heart, LEAST_KNOWN_TOKENS)
    return loss(never_by_heart, unique_tokens) + by_heart


def usable(points: Sequence[Point]) -> tuple[list[Point], dict[str, str]]:
    """Return the points that can be fitted, and why the others are left out.

    Left out: losses that are no numbers or not positive, runs that diverged (worse than 1.5 times the median of all), runs without tokens.
    """
    finite = [point.bits_per_byte for point in points if np.isfinite(point.bits_per_byte)]
    worst = 1.5 * float(np.median(finite)) if finite else np.inf
    reasons: dict[str, str] = {}
    for number, point in enumerate(points):
        name = point.name or f"point {number}"
        if not np.isfinite(point.bits_per_byte) or point.bits_per_byte <= 0:
            reasons[name] = f"its loss is {point.bits_per_byte}"
        elif min(point.parameters, point.tokens_seen, point.unique_tokens) <= 0:
            reasons[name] = "it has no weights or no tokens"
        elif point.bits_per_byte > worst:
            reasons[name] = f"it diverged: {point.bits_per_byte:.3f} bits per byte, the median is {worst / 1.5:.3f}"
    return [point for number, point in enumerate(points) if (point.name or f"point {number}") not in reasons], reasons


def columns(points: Sequence[Point]) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Return N, D, U, dropout and L of points, each (K,).

    Raises:
        PlanError: too few points.
    """
    if len(points) < MIN_POINTS:
        raise PlanError(f"too few pilot runs to fit a law: {len(points)}, {MIN_POINTS} are the least",
                        fix="give `rodna plan fit` more minutes; runs that diverged want a lower learning rate")  # fmt: skip
    rows = [(point.parameters, point.tokens_seen, point.unique_tokens, point.dropout, point.bits_per_byte) for point in points]
    parameters, tokens, unique, dropout, losses = np.array(rows, np.float64).T
    return parameters, tokens, unique, dropout, losses


def centre_of(points: Sequence[Point]) -> Centre:
    """Return the geometric means of the points."""
    parameters, tokens, *_ = columns(points)
    return Centre(float(np.exp(np.log(parameters).mean())), float(np.exp(np.log(tokens).mean())))


def prior_mean(centre: Centre) -> Floats:
    """Return `SMALL_CORPORA` as theta."""
    law = SMALL_CORPORA
    terms = [law.irreducible, law.parameter_scale / centre.parameters**law.parameter_exponent,
             law.token_scale / centre.tokens**law.token_exponent]  # fmt: skip
    rest = np.log([law.repeated_data, PRIOR_OVERFITTING, PRIOR_DROPOUT_TOKEN_WORTH, PRIOR_DROPOUT_OVERFITTING])
    return np.array([*np.log(terms), law.parameter_exponent, law.token_exponent, *rest])


def prior_of(points: Sequence[Point]) -> Floats:
    """Return the prior's mean of theta: `SMALL_CORPORA` at the pilots' centre, all its terms scaled to the pilots' losses.

    Languages differ in bits per byte by a factor of two (a letter takes one byte or three); how the terms compare differs less.
    """
    centre = centre_of(points)
    mean = prior_mean(centre)
    *places, losses = columns(points)
    mean[[0, 1, 2, OVERFITTING]] += np.median(np.log(losses) - log_loss(mean[None], *places, centre=centre)[0])
    return mean


def log_loss(theta_FP: Floats, parameters_K: Floats, tokens_K: Floats, unique_K: Floats, dropout_K: Floats, *, centre: Centre) -> Floats:
    """Return log L, (F, K)."""
    return _terms(theta_FP, parameters_K, tokens_K, unique_K, dropout_K, centre=centre)[0]


def _terms(
    theta_FP: Floats, parameters_K: Floats, tokens_K: Floats, unique_K: Floats, dropout_K: Floats, *, centre: Centre
) -> tuple[Floats, Floats]:
    """Return log L (F, K) and its gradient by theta (F, K, P)."""
    irreducible, a, b, alpha, beta, repeated, overfitting, worth_with, overfitting_with = (
        theta_FP[:, number, None] for number in range(len(NAMES))
    )
    size_K, repetitions_K = np.log(parameters_K / centre.parameters), np.maximum(tokens_K / unique_K - 1, 0.0)
    dropout_K = dropout_K / DROPOUT_UNIT
    slower_K = dropout_K * (parameters_K / WEIGHTS_UNIT) ** DROPOUT_WEIGHTS_POWER
    worth = np.exp(repeated)
    x = repetitions_K / worth
    fresh = np.minimum(tokens_K, unique_K) - unique_K * worth * np.expm1(-x)
    d_fresh = unique_K * worth * (-np.expm1(-x) - x * np.exp(-x))
    length = np.log(fresh / centre.tokens) + worth_with * slower_K
    by_size, by_tokens = np.exp(a - alpha * size_K), np.exp(b - beta * length)
    constant = np.broadcast_to(np.exp(irreducible), by_size.shape)
    by_heart_K = repetitions_K**REPETITIONS_POWER * (parameters_K / WEIGHTS_UNIT) ** WEIGHTS_POWER * (unique_K / TEXT_UNIT) ** TEXT_POWER
    left_K = dropout_K * DROPOUT_TEXT_POWER * np.log(unique_K / TEXT_UNIT)
    excess = np.exp(overfitting + overfitting_with * dropout_K + left_K) * by_heart_K
    total = constant + by_size + by_tokens + excess
    slopes = [constant, by_size, by_tokens, -by_size * size_K, -by_tokens * length, -beta * by_tokens / fresh * d_fresh, excess,
              -beta * by_tokens * slower_K, excess * dropout_K]  # fmt: skip
    return np.log(total), np.stack(slopes, axis=-1) / total[..., None]


def minimise(
    points: Sequence[Point],
    *,
    centre: Centre,
    mean_FP: Floats,
    weights_FK: Floats,
    noise: float,
    start_FP: Floats | None = None,
) -> tuple[Floats, Floats]:
    """Fit F laws at once: Huber loss of the log residuals plus the prior's square, by Levenberg and Marquardt's method.

    Args:
        points: K of them.
        centre: N0 and D0.
        mean_FP: each fit's prior mean.
        weights_FK: how often each fit counts each point.
        noise: the residuals' standard deviation, as a share.
        start_FP: where to begin; without it at the prior's mean.

    Returns:
        theta_FP and the objective of each fit, (F,): half the squares, in units of the standard deviations.
    """
    *places, losses = columns(points)
    targets_K, precision_P = np.log(losses), PRIOR_SPREAD**-2.0

    def look(theta_FP: Floats) -> tuple[Floats, Floats, Floats]:
        predicted_FK, gradient_FKP = _terms(theta_FP, *places, centre=centre)
        residual_FK = (predicted_FK - targets_K) / noise
        size = np.abs(residual_FK)
        huber = np.where(size <= HUBER, residual_FK**2 / 2, HUBER * (size - HUBER / 2))
        objective_F = (weights_FK * huber).sum(1) + ((theta_FP - mean_FP) ** 2 * precision_P).sum(1) / 2
        return residual_FK, gradient_FKP / noise, objective_F

    theta_FP = (mean_FP if start_FP is None else start_FP).copy()
    damping_F = np.full(len(theta_FP), 1e-2)
    residual_FK, gradient_FKP, objective_F = look(theta_FP)
    for _ in range(ITERATIONS):
        weight_FK = weights_FK * np.minimum(1.0, HUBER / np.maximum(np.abs(residual_FK), 1e-12))
        slope_FP = np.einsum("fk,fk,fkp->fp", weight_FK, residual_FK, gradient_FKP) + (theta_FP - mean_FP) * precision_P
        curvature_FPP = np.einsum("fk,fkp,fkq->fpq", weight_FK, gradient_FKP, gradient_FKP)
        curvature_FPP[:, range(len(NAMES)), range(len(NAMES))] += precision_P * (1 + damping_F[:, None])
        step_FP = np.linalg.solve(curvature_FPP, slope_FP[..., None])[..., 0]
        # A step of more than two of the prior's deviations leaves the region where the law is nearly linear.
        step_FP *= np.minimum(1.0, 2.0 / np.maximum(np.abs(step_FP / PRIOR_SPREAD).max(1, keepdims=True), 1e-12))
        new_FP = theta_FP - step_FP
        new = look(new_FP)
        better_F = new[2] < objective_F
        settled_F = np.where(better_F, objective_F - new[2] < TOLERANCE, (damping_F > 1e4) | (np.abs(step_FP).max(1) < 1e-7))
        theta_FP = np.where(better_F[:, None], new_FP, theta_FP)
        residual_FK = np.where(better_F[:, None], new[0], residual_FK)
        gradient_FKP = np.where(better_F[:, None, None], new[1], gradient_FKP)
        objective_F = np.where(better_F, new[2], objective_F)
        damping_F = np.where(better_F, damping_F / 4, np.minimum(damping_F * 8, 1e8))
        if bool(settled_F.all()):
            break
    return theta_FP, objective_F


def degrees_of_freedom(theta_P: Floats, points: Sequence[Point], *, centre: Centre, noise: float) -> float:
    """Return how many parameters the points decide, instead of the prior: the trace of the fit's influence matrix."""
    *places, _ = columns(points)
    gradient_KP = _terms(theta_P[None], *places, centre=centre)[1][0] / noise
    information_PP = gradient_KP.T @ gradient_KP
    return float(np.trace(np.linalg.solve(information_PP + np.diag(PRIOR_SPREAD**-2.0), information_PP)))
