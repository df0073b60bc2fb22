"""CP of masked tensors as TensorLy and pyttb have it."""

from itertools import product
from typing import Any

import numpy as np

from _completion_cases import Training
from _completion_search import Clock, Fit, Peer, Setting, Stopped
from _ridge_als import COMPONENTS

_MOST_ITERATIONS = 1000
_INITS = ("svd", "random")


def _tensorly_settings(training: Training) -> list[Setting]:
    # Its default start is by SVD, and is often far better than a random one.
    return [{"components": r, "init": i} for r, i in product(COMPONENTS, _INITS)]


def _pyttb_settings(training: Training) -> list[Setting]:
    return [{"components": components} for components in COMPONENTS]


def fit_tensorly(training: Training, setting: Setting, seconds: float) -> Fit:
    """Alternating least squares that imputes: each sweep fits the last one's tensor.

    `parafac` fills what is missing with the end tensor after each sweep, so it has
    neither a ridge nor normal equations of the observed entries. It starts from what
    lies where the mask is zero; the mean of the observed entries is kinder than zero.
    """
    import tensorly as tl
    from tensorly.decomposition import parafac

    clock = Clock(seconds)
    calls: list[bool] = []

    def cut_off(cp: Any, error: Any) -> bool:
        calls.append(clock.over())
        return calls[-1]

    mean = training.values[training.mask].mean()
    cp = parafac(
        np.where(training.mask, training.values, mean),
        setting["components"],
        n_iter_max=_MOST_ITERATIONS,
        init=setting["init"],
        random_state=training.seed,
        mask=training.mask.astype(float),
        callback=cut_off,
    )
    stopped: Stopped = "time" if calls[-1] else "converged"
    # One call is for the start.
    if not calls[-1] and len(calls) > _MOST_ITERATIONS:
        stopped = "iterations"
    return Fit(tl.cp_to_tensor(cp), stopped)


def fit_pyttb(training: Training, setting: Setting, seconds: float) -> Fit:
    """Generalized CP with a Gaussian loss of the observed entries, by L-BFGS-B.

    No ridge. The start is pyttb's own, uniform with the norm of the data, but seeded.
    """
    import pyttb as ttb
    from pyttb.gcp.handles import Objectives
    from pyttb.gcp.optimizers import LBFGSB

    clock = Clock(seconds)
    cut: list[bool] = []

    def cut_off(parameters: Any) -> None:
        if clock.over():
            cut.append(True)
            # What SciPy takes as the wish to stop, keeping what it has.
            raise StopIteration

    rng = np.random.default_rng(training.seed)
    start = ttb.ktensor(
        [rng.uniform(size=(dim, setting["components"])) for dim in training.mask.shape]
    )
    start *= np.linalg.norm(training.values) / start.norm()
    model, _, info = ttb.gcp_opt(
        ttb.tensor(training.values),
        setting["components"],
        Objectives.GAUSSIAN,
        LBFGSB(maxiter=_MOST_ITERATIONS, maxfun=2 * _MOST_ITERATIONS, callback=cut_off),
        init=start,
        mask=ttb.tensor(training.mask.astype(float)),
        printitn=0,
    )
    # SciPy's 0 is converged, 1 is too many iterations; 2 is a line search that found
    # nothing lower, which is as far as it goes.
    stopped: Stopped = "iterations" if info["warnflag"] == 1 else "converged"
    return Fit(model.full().data, "time" if cut else stopped)


TENSORLY = Peer(
    "TensorLy", fit_tensorly, _tensorly_settings, "tensorly.decomposition", is_cp=True
)
PYTTB = Peer("pyttb", fit_pyttb, _pyttb_settings, "pyttb", is_cp=True)
