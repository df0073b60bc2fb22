"""What is measured along a run."""

from collections.abc import Callable, Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from rankrise._checks import check_whole
from rankrise._errors import InputError
from rankrise._tracing import compiling
from rankrise.factorizations import AbstractFactorization, end_tensor_distance
from rankrise.problems import AbstractProblem, problem_scale

RANK_THRESHOLD_SHARE = 0.01


def _axes(dims: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    """In pairs, because what a program is compiled for must be hashable."""
    if not isinstance(dims, Mapping):
        raise InputError(
            f"dims is {dims!r}; give names with lengths, as {{'mode': 3}}."
        )
    for name, length in dims.items():
        check_whole(f"The length of {name}", length, 1)
    return (*dims.items(),)


class Observable(eqx.Module):
    r"""A real number, or an array of them, read off a factorization on a problem.

    Attributes
    ----------
    name
        Its name in a `Trajectory`, where it is an attribute too.
    measure
        Function called as `measure(problem, model)`, which gives the array. It runs
        compiled, at every save, so it is written with functions of `jax.numpy`.
    long_name, units
        Description and units in the file; units are "1" where it has none.
    per_component
        Whether its first axis is that of the components, in their order. Only the
        largest components are kept, the largest first.
    dims
        Name and length of every other axis; by default there is none.

    Examples
    --------
    >>> import jax.numpy as jnp, rankrise as rr
    >>> largest = rr.trajectories.Observable(
    ...     "largest_entry", lambda problem, model: jnp.max(model.end_tensor())
    ... )
    >>> largest.name
    'largest_entry'
    """

    name: str = eqx.field(static=True)
    measure: Callable[[Any, Any], Any]
    long_name: str = eqx.field(static=True, default="")
    units: str = eqx.field(static=True, default="1")
    per_component: bool = eqx.field(static=True, default=False, kw_only=True)
    dims: Mapping[str, int] | tuple[tuple[str, int], ...] = eqx.field(
        converter=_axes, static=True, default_factory=dict, kw_only=True
    )

    def __check_init__(self) -> None:
        if not callable(self.measure):
            raise InputError(
                f"The observable {self.name!r} has the measure {self.measure!r}; give "
                "a function of a problem and a factorization."
            )

    def shape(self, model: AbstractFactorization) -> tuple[int, ...]:
        """What is declared, for this factorization."""
        components = (model.components,) if self.per_component else ()
        return (*components, *dict(self.dims).values())

    def __call__(
        self, problem: AbstractProblem, model: AbstractFactorization
    ) -> Float[Array, "..."]:
        """Measure, in the precision of the problem."""
        with compiling(f"The observable {self.name!r}"):
            measured = self.measure(problem, model)
        declared = self.shape(model)
        try:
            array = jnp.asarray(measured)
            found = f"an array of shape {array.shape} ({array.dtype})"
            fits = array.shape == declared and array.dtype.kind in "biuf"
        except (TypeError, ValueError):
            found, fits = repr(measured), False
        if not fits:
            raise InputError(
                f"The observable {self.name!r} measures {found} where real numbers of "
                f"shape {declared} are declared; say by `per_component` and `dims` "
                'what it is, as in `dims={"singular_value": 3}`.'
            )
        return array.astype(problem.values.dtype)


def _entropy_rank(
    problem: AbstractProblem, model: AbstractFactorization
) -> Float[Array, ""]:
    """Between 1 and the number of components, near which it is at a random start."""
    norms = model.component_norms()
    total = jnp.sum(norms)
    shares = norms / jnp.where(total > 0, total, 1)
    logarithms = jnp.log(jnp.where(shares > 0, shares, 1))
    return jnp.exp(-jnp.sum(shares * logarithms))


def _effective_rank(threshold: Any, problem: Any, model: Any) -> Int[Array, ""]:
    norms = model.component_norms()
    return jnp.sum(norms > jnp.asarray(threshold, norms.dtype))


def _heldout_error(heldout: Any, problem: Any, model: Any) -> Float[Array, ""]:
    error: Float[Array, ""] = heldout.relative_error(model)
    return error


def _reconstruction_error(target: Any, problem: Any, model: Any) -> Float[Array, ""]:
    return end_tensor_distance(model, target) / target.frobenius_norm()


_OF_END_TENSORS = (
    Observable("loss", lambda problem, model: problem.loss(model), "training loss"),
    Observable(
        "train_error",
        lambda problem, model: problem.relative_error(model),
        "relative error of the observations trained on",
    ),
    Observable(
        "frobenius_norm",
        lambda problem, model: model.frobenius_norm(),
        "Frobenius norm of the end tensor",
        "value",
    ),
)
_OF_COMPONENTS = (
    Observable(
        "component_norms",
        lambda problem, model: model.component_norms(),
        "norm of a component",
        "value",
        per_component=True,
    ),
    Observable(
        "pull",
        lambda problem, model: model.pull(problem.loss),
        "inner product of minus the loss gradient with a normalized component",
        "loss per value",
        per_component=True,
    ),
    Observable(
        "unbalancedness",
        lambda problem, model: model.unbalancedness(),
        "unbalancedness magnitude",
    ),
    Observable(
        "entropy_rank",
        _entropy_rank,
        "exponential of the entropy of normalized component norms",
    ),
)


def effective_rank(threshold: float | Float[Array, ""]) -> Observable:
    """How many components have a norm above a threshold.

    Parameters
    ----------
    threshold
        In the units of the observed values; `problem_scale` times a share is a
        sensible choice.

    Examples
    --------
    >>> import rankrise as rr
    >>> rr.trajectories.effective_rank(0.01).name
    'effective_rank'
    """
    # An array, because a Python number would be compiled in.
    with np.errstate(over="ignore"):  # no norm is above one that is infinite
        measure = eqx.Partial(_effective_rank, jnp.asarray(threshold, dtype=float))
    return Observable(
        "effective_rank", measure, "components with a norm above the threshold"
    )


def heldout_error(heldout: AbstractProblem) -> Observable:
    """Norm of the residuals over the norm of the values, of held-out observations."""
    measure = eqx.Partial(_heldout_error, heldout)
    return Observable(
        "heldout_error", measure, "relative error of held-out observations"
    )


def reconstruction_error(target: AbstractFactorization) -> Observable:
    r"""$\|\mathcal{W}_e - \mathcal{T}\| / \|\mathcal{T}\|$ for a known target."""
    measure = eqx.Partial(_reconstruction_error, target)
    words = "distance to the target over the norm of the target"
    return Observable("reconstruction_error", measure, words)


def standard_observables(
    problem: AbstractProblem,
    model: AbstractFactorization | None = None,
    *,
    heldout: AbstractProblem | None = None,
    target: AbstractFactorization | None = None,
) -> tuple[Observable, ...]:
    """Everything that can be measured with what is known.

    `loss`; `train_error`, the norm of the residuals over that of the observed values;
    `frobenius_norm` of the end tensor; `component_norms`; `pull` on every component,
    which costs a gradient of the loss; `unbalancedness`; `entropy_rank`, the
    exponential of the entropy of normalized component norms; and `effective_rank`, how
    many components have a norm above a hundredth of `problem_scale`.

    Parameters
    ----------
    model
        The start; observables of components are left out where it has none.
    heldout
        A problem on held-out observations, for `heldout_error`.
    target
        The tensor behind the observations, for `reconstruction_error`.
    """
    observables = [*_OF_END_TENSORS]
    if model is None or model.has_components:
        threshold = RANK_THRESHOLD_SHARE * problem_scale(problem)
        observables += [*_OF_COMPONENTS, effective_rank(threshold)]
    if heldout is not None:
        observables.append(heldout_error(heldout))
    if target is not None:
        observables.append(reconstruction_error(target))
    return tuple(observables)
