"""The law fitted to pilot runs, as others use it: predictions with intervals, and the learning rate and batch that were found best."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from rodna.core.artifact import Artifact, damaged
from rodna.plan.laws import (
    NAMES,
    NOISE,
    NOISE_POINTS,
    PRIOR_SPREAD,
    Centre,
    Floats,
    Point,
    centre_of,
    columns,
    degrees_of_freedom,
    log_loss,
    minimise,
    prior_of,
    usable,
)

KIND = "scaling"
FORMAT_VERSION = 3
FIT_FILE = "scaling.json"
DRAWS = 400
STARTS, NOISE_ROUNDS = 15, 3
WORTH_POWER = 0.5
"""A pilot counts the more, the longer it is: with its tokens to this power. The first hundred steps fall by a law of their own, and what is
asked of a fit lies beyond its longest pilots. Of nine forecasts in five languages (docs/planning.md) any power from 0.25 to 1 has all
within 3%; with 0 one is 5.1% off."""
INTERVAL = 0.95
LARGEST_CHANGE = 2.0
"""A search may move the rule's learning rate by this factor at most: it is made at one small size, for a short run."""


Theta = tuple[float, ...]
"""One law: log E, log a, log b, alpha, beta, log R*, log C, log k, log m; see `rodna.plan.laws`."""


@dataclass(frozen=True)
class Fit:
    """What pilot runs on a text say about longer and larger runs on it, trained by the same recipe.

    Attributes:
        law: the best fit.
        draws: fits to resampled points and priors: how far the law may be off.
        noise: scatter of a single run's loss around the law, as a share.
        centre: N0 and D0.
        points: the pilots that were fitted.
        left_out: name -> reason, of the pilots that were not.
        rate_factor: best learning rate as a multiple of `rules.learning_rate` at the searched size, with a batch of `batch_factor`; for
            other widths the rule's own scaling by width carries it over.
        batch_factor: best batch as a multiple of `rules.batch_tokens`.
        recipe: settings the pilots shared, such as weight decay: predictions hold for these.
        searched: what the search for rate and batch tried: a list of {setting, factor, bits_per_byte}.
        largest_flops: arithmetic of the largest pilot, which says how far a prediction reaches beyond.
    """

    law: Theta
    draws: tuple[Theta, ...]
    noise: float
    centre: Centre
    points: tuple[Point, ...]
    left_out: Mapping[str, str] = field(default_factory=dict)
    rate_factor: float = 1.0
    batch_factor: float = 1.0
    recipe: Mapping[str, Any] = field(default_factory=dict)
    searched: tuple[Mapping[str, Any], ...] = ()
    largest_flops: float = 0.0

    @property
    def knows_dropout(self) -> bool:
        """Whether some pilots learned with dropout and others without."""
        return len({point.dropout for point in self.points}) > 1

    def loss(self, parameters: float, tokens_seen: float, unique_tokens: float, dropout: float = 0.0) -> float:
        """Return the expected held-out bits per byte: the first of what `predict` returns, without the work of the interval."""
        return math.exp(self._log_losses([self.law], parameters, tokens_seen, unique_tokens, dropout)[0])

    def predict(self, parameters: float, tokens_seen: float, unique_tokens: float, dropout: float = 0.0) -> tuple[float, float, float]:
        """Return the expected held-out bits per byte with its 95% interval: bits_per_byte, low, high.

        The interval holds the uncertainty of the law and the scatter of one run.

        Args:
            parameters: weights of the blocks: `rules.block_parameters(model)`.
            tokens_seen: targets learned from, repetitions counted.
            unique_tokens: of the training split.
            dropout: of the training.
        """
        expected = self.loss(parameters, tokens_seen, unique_tokens, dropout)
        logs_F = self._log_losses(self.draws, parameters, tokens_seen, unique_tokens, dropout)
        scatter_F = self.noise * np.random.default_rng(0).permutation(_normal_quantiles(len(logs_F)))
        low, high = np.exp(np.quantile(logs_F + scatter_F, ((1 - INTERVAL) / 2, (1 + INTERVAL) / 2)))
        return expected, min(float(low), expected), max(float(high), expected)

    def _log_losses(self, laws: Sequence[Theta], *place: float) -> Floats:
        return log_loss(np.array(laws), *(np.array([float(value)]) for value in place), centre=self.centre)[:, 0]

    @property
    def constants(self) -> dict[str, float]:
        """Return the best law's constants by their usual letters: E, A, B, alpha, beta, R*, C, and k and m of dropout."""
        log_e, log_a, log_b, alpha, beta, *logs = self.law
        return {
            "E": math.exp(log_e),
            "A": math.exp(log_a) * self.centre.parameters**alpha,
            "B": math.exp(log_b) * self.centre.tokens**beta,
            "alpha": alpha,
            "beta": beta,
            **{name: math.exp(value) for name, value in zip(("R*", "C", "k", "m"), logs, strict=True)},
        }


def _normal_quantiles(count: int) -> Floats:
    """Return evenly spread quantiles of the standard normal distribution: no luck of the draw in an interval."""
    from statistics import NormalDist

    normal = NormalDist()
    return np.array([normal.inv_cdf((number + 0.5) / count) for number in range(count)])


def fit_points(points: Sequence[Point], *, draws: int = DRAWS, seed: int = 0) -> Fit:
    """Fit the law to pilot runs, and resample for its uncertainty.

    Every draw resamples the points with replacement (Efron & Tibshirani 1993, chapter 6) and moves the prior's mean by its own spread, so
    that what no point decides is as uncertain as the prior (Bardsley et al. 2014, "Randomize-then-optimize", does so for the data too).

    Args:
        points: finished pilots; those that diverged are left out and named.
        draws: resamples.
        seed: of the draws.

    Raises:
        PlanError: too few usable points.
    """
    kept, left_out = usable(points)
    columns(kept)
    centre, mean_P = centre_of(kept), prior_of(kept)
    source = np.random.default_rng(seed)
    theta_P, noise = _best(kept, centre, mean_P, source)
    counts_FK = source.multinomial(len(kept), np.full(len(kept), 1 / len(kept)), size=draws) * _worth(kept)
    moved_FP = mean_P + source.standard_normal((draws, len(NAMES))) * PRIOR_SPREAD
    drawn_FP, _ = minimise(kept, centre=centre, mean_FP=moved_FP, weights_FK=counts_FK, noise=noise)
    return Fit(_theta(theta_P), tuple(map(_theta, drawn_FP)), noise, centre, tuple(kept), left_out)


def _theta(theta_P: Floats) -> Theta:
    return tuple(map(float, theta_P))


def _best(points: Sequence[Point], centre: Centre, mean_P: Floats, source: np.random.Generator) -> tuple[Floats, float]:
    """Return theta and noise of the best fit: from several starts, with the noise estimated along."""
    start_FP = mean_P + np.concatenate([np.zeros((1, len(NAMES))), source.standard_normal((STARTS, len(NAMES)))]) * PRIOR_SPREAD
    noise = NOISE
    for _ in range(NOISE_ROUNDS):
        mean_FP, worth_FK = np.tile(mean_P, (len(start_FP), 1)), np.tile(_worth(points), (len(start_FP), 1))
        found_FP, objective_F = minimise(points, centre=centre, mean_FP=mean_FP, weights_FK=worth_FK, noise=noise, start_FP=start_FP)
        start_FP = found_FP[[int(np.argmin(objective_F))]]
        noise = _noise(start_FP[0], points, centre=centre, noise=noise)
    return start_FP[0], noise


def _worth(points: Sequence[Point]) -> Floats:
    """Return how much each point counts, 1 on average; see `WORTH_POWER`."""
    tokens_K = columns(points)[1] ** WORTH_POWER
    return tokens_K / tokens_K.mean()


def _noise(theta_P: Floats, points: Sequence[Point], *, centre: Centre, noise: float) -> float:
    """Return the residuals' standard deviation, drawn towards `NOISE` where there are few points."""
    *places, losses = columns(points)
    residual_K = np.log(losses) - log_loss(theta_P[None], *places, centre=centre)[0]
    left = len(points) - degrees_of_freedom(theta_P, points, centre=centre, noise=noise)
    return math.sqrt((float((residual_K**2).sum()) + NOISE_POINTS * NOISE**2) / (max(left, 0.0) + NOISE_POINTS))


def best_factor(tried: Mapping[float, float]) -> float:
    """Return the factor with the lowest loss: the bottom of a parabola through log factors, never outside what was tried.

    Args:
        tried: factor -> bits per byte; what is not finite is left out. 1 where fewer than two are left.
    """
    pairs = sorted((factor, loss) for factor, loss in tried.items() if math.isfinite(loss))
    if len(pairs) < 2:
        return pairs[0][0] if pairs else 1.0
    lowest = min(pairs, key=lambda pair: pair[1])[0]
    logs, losses = np.log([factor for factor, _ in pairs]), np.array([loss for _, loss in pairs])
    if len(pairs) >= 3:
        # Around the lowest: far away the curve is no parabola.
        near = np.argsort(np.abs(logs - math.log(lowest)))[:4]
        square, slope, _ = np.polyfit(logs[near], losses[near], 2)
        if square > 0:
            lowest = math.exp(min(max(-slope / (2 * square), logs[near].min()), logs[near].max()))
    return min(max(lowest, 1 / LARGEST_CHANGE), LARGEST_CHANGE)


def best_batch(usual: float, tried: Mapping[float, float]) -> float:
    """Return the batch factor to use: another than 1 only where it is better by more than a run's scatter.

    Args:
        usual: bits per byte with the rule's batch.
        tried: factor -> bits per byte of other batches; what is not finite is left out.
    """
    better = {factor: loss for factor, loss in tried.items() if loss < usual * (1 - NOISE)}
    return min(better, key=lambda factor: better[factor], default=1.0)


def fit_json(fit: Fit) -> dict[str, Any]:
    """Return a fit as plain values."""
    values = asdict(fit)
    values["constants"] = fit.constants
    values["draws"] = [[round(value, 6) for value in theta] for theta in fit.draws]
    return values


def read_fit(artifact: Artifact) -> Fit:
    """Read a fit.

    Raises:
        ArtifactError: it is not a fit.
    """
    try:
        values = json.loads((artifact.path / FIT_FILE).read_text(encoding="utf-8"))
        values.pop("constants")
        return Fit(**{
            **values,
            "law": tuple(values["law"]),
            "draws": tuple(map(tuple, values["draws"])),
            "centre": Centre(**values["centre"]),
            "points": tuple(Point(**point) for point in values["points"]),
            "searched": tuple(values["searched"]),
        })  # fmt: skip
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise damaged(artifact.path, f"{FIT_FILE} cannot be read") from error
