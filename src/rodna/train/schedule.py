"""Learning-rate schedules: pure functions of the step, so there is nothing to save."""

import math

from rodna.train.config import TrainValues

COSINE_FLOOR = 0.1
"""Share of the peak at which the cosine ends. Reference: Hoffmann et al. 2022, arXiv:2203.15556, section 3.1."""


def learning_rate_factor(step: int, values: TrainValues) -> float:
    """Return the share of the peak learning rate for the update that follows `step` finished ones.

    wsd: linear warm-up, constant, linear decay to zero. Reference: Hu et al. 2024 (MiniCPM), arXiv:2404.06395, section 4; decay to
    zero: Bergsma et al. 2025, arXiv:2502.15938. sqrt: the same with a decay of 1 - sqrt(share of it done), which drops fast and lingers
    low. Reference: Hägele et al. 2024, arXiv:2405.18392, section 3. cosine: linear warm-up, half a cosine to a tenth.
    """
    if step < values.warmup_steps:
        return (step + 1) / (values.warmup_steps + 1)
    if values.schedule == "cosine":
        done = (step - values.warmup_steps) / max(1, values.steps - values.warmup_steps)
        return COSINE_FLOOR + (1 - COSINE_FLOOR) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    decay_steps = round(values.decay_fraction * values.steps)
    left = values.steps - step
    if left > decay_steps:
        return 1.0
    remaining = left / (decay_steps + 1)
    return 1 - math.sqrt(1 - remaining) if values.schedule == "sqrt" else remaining


def weight_decay_factor(step: int, values: TrainValues) -> float:
    """Return the share of the weight decays for the update that follows `step` finished ones; the learning rate multiplies it besides.

    linear: down to nearly zero at the last step.
    """
    return 1 - step / values.steps if values.weight_decay_schedule == "linear" else 1.0
