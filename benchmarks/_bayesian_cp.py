r"""CP with a prior on the precision of each component, by variational inference.

Zhao, Zhang and Cichocki (2015), "Bayesian CP factorization of incomplete tensors with
automatic rank determination", IEEE TPAMI 37(9). Values are $\mathcal{W}$ plus noise of
precision $\tau$, rows of factor matrices are normal with precisions $\lambda_r$, and
both have gamma priors that say next to nothing.
"""

from dataclasses import dataclass, field
from itertools import product

import numpy as np

from _completion_cases import Floats, Training
from _completion_search import Clock, Fit, Peer, Setting, Stopped
from _masked_contraction import contract, cp_tensor, pair_products, symmetric

# How many components there are before any is dropped.
COMPONENTS = (4, 8, 16, 24)
STARTS = ("svd", "random")
# Of the noise, where values have mean square one: as large as they are, which is what
# the paper starts from, or a hundredth. Started from the first, components are turned
# off before they have found anything, even of a tensor without noise.
NOISE_PRECISIONS = (1.0, 100.0)
_PRIOR = 1e-6  # shape and rate of both gamma priors, as in the paper
_MOST_SWEEPS = 500
_TOLERANCE = 1e-5  # of the noise precision, a sweep
# Of the largest component norm; a component that is turned off falls far below.
_DROPPED = 1e-6


def settings(training: Training) -> list[Setting]:
    return [
        {"components": components, "start": start, "noise_precision": precision}
        for components, start, precision in product(
            COMPONENTS, STARTS, NOISE_PRECISIONS
        )
    ]


@dataclass
class _Posterior:
    """Means and covariances of rows, and expected precisions.

    Attributes
    ----------
    covariances
        A matrix a row of the factor matrix, mode by mode.
    """

    means: list[Floats]
    covariances: list[Floats]
    precisions: Floats
    noise_precision: float
    residual: float = field(default=np.inf)

    @property
    def components(self) -> int:
        return len(self.precisions)

    def second_moments(self, mode: int) -> Floats:
        one, other = np.triu_indices(self.components)
        return pair_products(self.means[mode]) + self.covariances[mode][:, one, other]

    def drop_small(self) -> bool:
        """Drop components that are turned off; says whether there were any."""
        norms = np.prod([np.linalg.norm(mean, axis=0) for mean in self.means], axis=0)
        # Where all are turned off to exactly zero, none is smaller than the largest.
        kept = np.flatnonzero(norms >= _DROPPED * norms.max())
        dropped = len(kept) < self.components
        self.means = [mean[:, kept] for mean in self.means]
        self.covariances = [V[:, kept][:, :, kept] for V in self.covariances]
        self.precisions = self.precisions[kept]
        return dropped


def fit(training: Training, setting: Setting, seconds: float) -> Fit:
    """Update one factor matrix after the other, then the precisions, until steady."""
    clock = Clock(seconds)
    posterior = _start(training, setting)
    mask = training.mask.astype(float)
    stopped: Stopped = "iterations"
    for _ in range(_MOST_SWEEPS):
        _update_factors(posterior, training.values, mask)
        before = posterior.noise_precision
        _update_precisions(posterior, observations=int(mask.sum()))
        change = abs(posterior.noise_precision / before - 1)
        if not posterior.drop_small() and change < _TOLERANCE:
            stopped = "converged"
            break
        if clock.over():
            stopped = "time"
            break
    return Fit(cp_tensor(posterior.means), stopped)


def _update_factors(posterior: _Posterior, values: Floats, mask: Floats) -> None:
    r"""$V_i = (\tau \sum E[a a^T] + \Lambda)^{-1}$, mean $\tau V_i \sum x E[a]$.

    Sums are over the observed entries of the slice, $a$ the product of the rows that
    the other modes have there.
    """
    order = values.ndim
    moments = [posterior.second_moments(mode) for mode in range(order)]
    tau = posterior.noise_precision
    for mode in range(order):
        grams = symmetric(contract(mask, moments, mode), posterior.components)
        right = contract(values, posterior.means, mode)
        V = np.linalg.inv(tau * grams + np.diag(posterior.precisions))
        posterior.covariances[mode] = V
        posterior.means[mode] = tau * np.einsum("irs,is->ir", V, right)
        moments[mode] = posterior.second_moments(mode)
    # Expected square of what is off, from the sums of the last mode.
    mean = posterior.means[-1]
    expected = V + mean[:, :, None] * mean[:, None, :]
    off = np.sum(values**2) - 2 * np.sum(right * mean) + np.sum(grams * expected)
    posterior.residual = max(float(off), 0.0)


def _update_precisions(posterior: _Posterior, *, observations: int) -> None:
    rows = sum(len(mean) for mean in posterior.means)
    squares = sum(
        np.sum(mean**2, axis=0) + np.einsum("irr->r", V)
        for mean, V in zip(posterior.means, posterior.covariances, strict=True)
    )
    posterior.precisions = (_PRIOR + rows / 2) / (_PRIOR + squares / 2)
    posterior.noise_precision = (_PRIOR + observations / 2) / (
        _PRIOR + posterior.residual / 2
    )


def _start(training: Training, setting: Setting) -> _Posterior:
    components = setting["components"]
    rng = np.random.default_rng(training.seed)
    dims = training.values.shape
    means = [rng.normal(size=(dim, components)) for dim in dims]
    if setting["start"] == "svd":
        for mode, mean in enumerate(means):
            singular = _singular_vectors(training.values, mode)[:, :components]
            mean[:, : singular.shape[1]] = singular
    covariances = [np.tile(np.eye(components), (dim, 1, 1)) for dim in dims]
    return _Posterior(
        means, covariances, np.ones(components), setting["noise_precision"]
    )


def _singular_vectors(values: Floats, mode: int) -> Floats:
    """Left ones of the unfolding, times roots of singular values, largest first."""
    unfolded = np.moveaxis(values, mode, 0).reshape(values.shape[mode], -1)
    squares, vectors = np.linalg.eigh(unfolded @ unfolded.T)
    return (vectors * np.maximum(squares, 0.0) ** 0.25)[:, ::-1]


BAYESIAN_CP = Peer("Bayesian CP", fit, settings)
