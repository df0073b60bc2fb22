"""CP of least squares on observed entries with a ridge, by alternation.

The plainest method there is, and one that packages lack: TensorLy's alternation imputes
what is missing, which takes many more sweeps the more is missing.
"""

from itertools import product

import numpy as np

from _completion_cases import Floats, Training
from _completion_search import Clock, Fit, Peer, Setting, Stopped
from _masked_contraction import contract, cp_tensor, pair_products, symmetric

COMPONENTS = (1, 2, 3, 4, 6, 8, 12, 16, 24)
PENALTIES = (0.01, 0.1, 1.0, 5.0, 20.0)
_MOST_SWEEPS = 500
# Of the objective, a sweep; below it, errors on other entries no longer move.
_TOLERANCE = 1e-6


def settings(training: Training) -> list[Setting]:
    return [{"components": r, "penalty": p} for r, p in product(COMPONENTS, PENALTIES)]


def fit(training: Training, setting: Setting, seconds: float) -> Fit:
    r"""Minimize $\sum_\Omega (\mathcal{X} - \mathcal{W})^2 + \mu \sum_n \|W^n\|^2$.

    Given the other factor matrices this is a ridge regression for each row of one.
    """
    clock = Clock(seconds)
    components, penalty = setting["components"], setting["penalty"]
    factors = _start(training, components)
    mask = training.mask.astype(float)
    norm = float(np.sum(training.values**2))
    stopped: Stopped = "iterations"
    before = np.inf
    for _ in range(_MOST_SWEEPS):
        for mode in range(mask.ndim):
            right, normal = _normal_equations(training.values, mask, factors, mode)
            matrices = normal + penalty * np.eye(components)
            factors[mode] = np.linalg.solve(matrices, right[..., None])[..., 0]
        # At the minimum of the last mode, residual and ridge together are this.
        ridges = sum(float(np.sum(factor**2)) for factor in factors[:-1])
        objective = norm - float(np.sum(right * factors[-1])) + penalty * ridges
        if before - objective < _TOLERANCE * objective:
            stopped = "converged"
            break
        if clock.over():
            stopped = "time"
            break
        before = objective
    return Fit(cp_tensor(factors), stopped)


def _normal_equations(
    values: Floats, mask: Floats, factors: list[Floats], mode: int
) -> tuple[Floats, Floats]:
    pairs = [pair_products(factor) for factor in factors]
    components = factors[0].shape[1]
    normal = symmetric(contract(mask, pairs, mode), components)
    return contract(values, factors, mode), normal


def _start(training: Training, components: int) -> list[Floats]:
    order = training.values.ndim
    rng = np.random.default_rng(training.seed)
    # So that entries of the end tensor start with root mean square one, as values.
    scale = components ** (-1 / (2 * order))
    return [scale * rng.normal(size=(d, components)) for d in training.values.shape]


RIDGE_ALS = Peer("ridge ALS", fit, settings, is_cp=True)
