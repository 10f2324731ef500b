"""Scaling laws: what loss to expect from a size and an amount of text, and how to split a compute budget between them.

N parameters, D training tokens, C training FLOPs, U unique tokens. Losses are in nats per token *of the law's own tokenizer and
English text*: good for comparing plans with each other, not a forecast of a user's own figure.
"""

import math
from dataclasses import dataclass

FLOPS_PER_PARAMETER_TOKEN = 6.0
"""C = 6ND: forward 2 FLOPs, backward 4. Reference: Kaplan et al. 2020, arXiv:2001.08361, section 2.1."""


@dataclass(frozen=True)
class ScalingLaw:
    """L(N, D) = E + A / N^alpha + B / D^beta, with what repeated data and excess parameters are worth.

    Attributes:
        irreducible: E, nats per token.
        parameter_scale: A.
        token_scale: B.
        parameter_exponent: alpha.
        token_exponent: beta.
        repeated_data: R_D*, the number of repetitions at which a further one is worth 1/e of fresh tokens.
        excess_parameters: R_N*, the same for parameters beyond what the unique tokens can use.
    """

    irreducible: float
    parameter_scale: float
    token_scale: float
    parameter_exponent: float
    token_exponent: float
    repeated_data: float
    excess_parameters: float

    def loss(self, parameters: float, tokens: float) -> float:
        """Return the expected loss of N parameters trained once over D unique tokens.

        Reference: Hoffmann et al. 2022 (Chinchilla), arXiv:2203.15556, equation 10.
        """
        return (
            self.irreducible + self.parameter_scale / parameters**self.parameter_exponent + self.token_scale / tokens**self.token_exponent
        )

    @property
    def balance(self) -> float:
        """G = (alpha A / (beta B))^(1 / (alpha + beta)). Reference: Hoffmann et al. 2022, equation 4."""
        ratio = self.parameter_exponent * self.parameter_scale / (self.token_exponent * self.token_scale)
        return ratio ** (1 / (self.parameter_exponent + self.token_exponent))

    def compute_optimal(self, flops: float) -> tuple[float, float]:
        """Return the parameters and tokens that give the lowest loss for C = 6ND FLOPs.

        N = G (C/6)^(beta / (alpha + beta)), D = (C/6) / N. Reference: Hoffmann et al. 2022, equation 4.
        """
        product = flops / FLOPS_PER_PARAMETER_TOKEN
        parameters = self.balance * product ** (self.token_exponent / (self.parameter_exponent + self.token_exponent))
        return parameters, product / parameters

    def parameters_for(self, tokens: float) -> float:
        """Return the parameters for which `tokens` fresh tokens are compute-optimal: N = (D G)^(beta / alpha) G.

        Reference: Muennighoff et al. 2023, arXiv:2305.16264, section 3.1 and appendix A (U_N as a function of U_D).
        """
        return (tokens * self.balance) ** (self.token_exponent / self.parameter_exponent) * self.balance

    def effective_tokens(self, unique_tokens: float, epochs: float) -> float:
        """Return how many fresh tokens `epochs` passes over U unique ones are worth.

        D' = U + U R_D* (1 - exp(-R_D / R_D*)), R_D = epochs - 1: four epochs are worth 3.73 U, no number of them over 16.4 U.
        Reference: Muennighoff et al. 2023, equation 5.
        """
        repetitions = max(epochs - 1, 0.0)
        return unique_tokens * (min(epochs, 1.0) + self.repeated_data * -math.expm1(-repetitions / self.repeated_data))

    def effective_parameters(self, parameters: float, unique_tokens: float) -> float:
        """Return what N parameters are worth when there are only U unique tokens to learn from.

        N' = U_N + U_N R_N* (1 - exp(-R_N / R_N*)), U_N = min(N, `parameters_for(U)`), R_N = N / U_N - 1.
        Reference: Muennighoff et al. 2023, equation 6.
        """
        useful = min(parameters, self.parameters_for(unique_tokens))
        excess = parameters / useful - 1
        return useful * (1 + self.excess_parameters * -math.expm1(-excess / self.excess_parameters))

    def repeated_loss(self, parameters: float, unique_tokens: float, epochs: float) -> float:
        """Return the expected loss of N parameters after `epochs` passes over U unique tokens: L(N', D').

        The form only flattens: it does not know that a weakly regularised model gets worse after too many epochs.
        Reference: Muennighoff et al. 2023, equations 5-7.
        """
        return self.loss(self.effective_parameters(parameters, unique_tokens), self.effective_tokens(unique_tokens, epochs))

    def best_repeated(self, flops: float, unique_tokens: float) -> tuple[float, float]:
        """Return the parameters and passes over U unique tokens with the lowest `repeated_loss` for C = 6ND FLOPs.

        Reference: Muennighoff et al. 2023, section 5; found by golden-section search over log N between a thousandth and a thousand times
        the compute-optimal size, where the loss has one valley.
        """
        middle, product = math.log(self.compute_optimal(flops)[0]), flops / FLOPS_PER_PARAMETER_TOKEN

        def loss(log_parameters: float) -> float:
            parameters = math.exp(log_parameters)
            return self.repeated_loss(parameters, unique_tokens, product / parameters / unique_tokens)

        low, high = middle - math.log(1000), middle + math.log(1000)
        inner, outer = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        while high - low > 1e-6:
            if loss(inner) <= loss(outer):
                high, outer = outer, inner
                inner = high - GOLDEN * (high - low)
            else:
                low, inner = inner, outer
                outer = low + GOLDEN * (high - low)
        parameters = math.exp((low + high) / 2)
        return parameters, product / parameters / unique_tokens


GOLDEN = (math.sqrt(5) - 1) / 2
REPEATED_DATA = 15.387756
EXCESS_PARAMETERS = 5.309743
"""R_D* and R_N*. Reference: Muennighoff et al. 2023, appendix A."""

CHINCHILLA = ScalingLaw(1.69, 406.4, 410.7, 0.34, 0.28, REPEATED_DATA, EXCESS_PARAMETERS)
"""Reference: Hoffmann et al. 2022, equation 10. (A widely copied text prints alpha = 0.32; its own worked number needs 0.34.)"""

DATA_CONSTRAINED = ScalingLaw(
    math.exp(0.6254804), math.exp(6.255414), math.exp(7.3049974), 0.3526596, 0.3526596, REPEATED_DATA, EXCESS_PARAMETERS
)
"""Fitted with repetition: E = 1.87, A = 521, B = 1488, alpha = beta = 0.353. Reference: Muennighoff et al. 2023, appendix A, eq. 17."""
