"""What is measured along a run."""

import math
from abc import abstractmethod

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from rankrise.factorizations import AbstractFactorization, end_tensor_distance
from rankrise.problems import AbstractProblem


class AbstractObservable(eqx.Module):
    """A number, or a number per component, read off a factorization on a problem.

    Attributes
    ----------
    name
        Under which a `Trajectory` holds it.
    long_name, units
        Written beside it in the file; units are "1" for dimensionless.
    per_component
        Whether it is one number per component; such observables are kept for the
        largest components only.
    """

    name: eqx.AbstractClassVar[str]
    long_name: eqx.AbstractClassVar[str]
    units: eqx.AbstractClassVar[str]
    per_component: eqx.AbstractClassVar[bool]

    @abstractmethod
    def __call__(
        self, problem: AbstractProblem, model: AbstractFactorization
    ) -> Float[Array, "..."]:
        """Measure. Runs compiled, at every save."""


class TrainLoss(AbstractObservable):
    r"""The objective $\phi = \mathcal{L}(\mathcal{W}_e)$."""

    name = "loss"
    long_name = "training loss"
    units = "1"
    per_component = False

    def __call__(
        self, problem: AbstractProblem, model: AbstractFactorization
    ) -> Float[Array, "..."]:
        return problem.loss(model)


class TrainError(AbstractObservable):
    """Norm of the residuals over the norm of the observed values."""

    name = "train_error"
    long_name = "relative error of the observations trained on"
    units = "1"
    per_component = False

    def __call__(
        self, problem: AbstractProblem, model: AbstractFactorization
    ) -> Float[Array, "..."]:
        return problem.relative_error(model)


class HeldOutError(AbstractObservable):
    """Like the train error, over observations that are not trained on."""

    heldout: AbstractProblem
    name = "heldout_error"
    long_name = "relative error of held-out observations"
    units = "1"
    per_component = False

    def __call__(
        self, problem: AbstractProblem, model: AbstractFactorization
    ) -> Float[Array, "..."]:
        return self.heldout.relative_error(model)


class ReconstructionError(AbstractObservable):
    r"""$\|\mathcal{W}_e - \mathcal{T}\| / \|\mathcal{T}\|$ for a known target."""

    target: AbstractFactorization
    name = "reconstruction_error"
    long_name = "distance to the target over the norm of the target"
    units = "1"
    per_component = False

    def __call__(
        self, problem: AbstractProblem, model: AbstractFactorization
    ) -> Float[Array, "..."]:
        distance = end_tensor_distance(model, self.target)
        return distance / self.target.frobenius_norm()


class FrobeniusNorm(AbstractObservable):
    """Frobenius norm of the end tensor, in the units of the observed values."""

    name = "frobenius_norm"
    long_name = "Frobenius norm of the end tensor"
    units = "value"
    per_component = False

    def __call__(
        self, problem: AbstractProblem, model: AbstractFactorization
    ) -> Float[Array, "..."]:
        return model.frobenius_norm()


class ComponentNorms(AbstractObservable):
    r"""Component norms $\sigma_r$, in the units of the observed values."""

    name = "component_norms"
    long_name = "norm of a component"
    units = "value"
    per_component = True

    def __call__(
        self, problem: AbstractProblem, model: AbstractFactorization
    ) -> Float[Array, "..."]:
        return model.component_norms()


class Unbalancedness(AbstractObservable):
    """Unbalancedness magnitude of the factorization."""

    name = "unbalancedness"
    long_name = "unbalancedness magnitude"
    units = "1"
    per_component = False

    def __call__(
        self, problem: AbstractProblem, model: AbstractFactorization
    ) -> Float[Array, "..."]:
        return model.unbalancedness()


class Pull(AbstractObservable):
    r"""Pull $\gamma_r$ on every component; costs a gradient of the loss."""

    name = "pull"
    long_name = "inner product of minus the loss gradient with a normalized component"
    units = "loss per value"
    per_component = True

    def __call__(
        self, problem: AbstractProblem, model: AbstractFactorization
    ) -> Float[Array, "..."]:
        return model.pull(problem.loss)


class EffectiveRank(AbstractObservable):
    """How many components have a norm above a threshold.

    Attributes
    ----------
    threshold
        In the units of the observed values; `problem_scale` times a share is a
        sensible choice.
    """

    threshold: float | Float[Array, ""]
    name = "effective_rank"
    long_name = "components with a norm above the threshold"
    units = "1"
    per_component = False

    def __call__(
        self, problem: AbstractProblem, model: AbstractFactorization
    ) -> Float[Array, "..."]:
        norms = model.component_norms()
        return jnp.sum(norms > self.threshold).astype(norms.dtype)


class EntropyRank(AbstractObservable):
    """Exponential of the entropy of the normalized component norms.

    Between 1 and the number of components; at a random start it is near the latter.
    """

    name = "entropy_rank"
    long_name = "exponential of the entropy of normalized component norms"
    units = "1"
    per_component = False

    def __call__(
        self, problem: AbstractProblem, model: AbstractFactorization
    ) -> Float[Array, "..."]:
        norms = model.component_norms()
        total = jnp.sum(norms)
        shares = norms / jnp.where(total > 0, total, 1)
        logarithms = jnp.log(jnp.where(shares > 0, shares, 1))
        return jnp.exp(-jnp.sum(shares * logarithms))


RANK_THRESHOLD_SHARE = 0.01


def problem_scale(problem: AbstractProblem) -> float:
    """Frobenius norm the observations suggest for the whole tensor.

    Root mean square of the observed values times the root of the number of entries:
    unbiased in the square for entries, and for both kinds of sensing.
    """
    entries = math.prod(problem.mode_dims)
    return math.sqrt(float(jnp.mean(problem.values**2)) * entries)


def standard_observables(
    problem: AbstractProblem,
    *,
    heldout: AbstractProblem | None = None,
    target: AbstractFactorization | None = None,
) -> tuple[AbstractObservable, ...]:
    """Everything that can be measured with what is known.

    Parameters
    ----------
    heldout
        A problem on held-out observations, for the held-out error.
    target
        The tensor behind the observations, for the reconstruction error.
    """
    # An array, because a Python number would be compiled in.
    threshold = jnp.asarray(
        RANK_THRESHOLD_SHARE * problem_scale(problem), problem.values.dtype
    )
    observables: list[AbstractObservable] = [
        TrainLoss(),
        TrainError(),
        FrobeniusNorm(),
        ComponentNorms(),
        Pull(),
        Unbalancedness(),
        EffectiveRank(threshold),
        EntropyRank(),
    ]
    if heldout is not None:
        observables.append(HeldOutError(heldout))
    if target is not None:
        observables.append(ReconstructionError(target))
    return tuple(observables)
