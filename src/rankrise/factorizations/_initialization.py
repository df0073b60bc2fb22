"""Starts: where gradient descent begins decides what it finds."""

import logging
import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rankrise._compiling import prepare
from rankrise._errors import InputError
from rankrise._typing import ModeDims
from rankrise.factorizations._cp import CPFactorization
from rankrise.factorizations._deep_matrix import DeepMatrixFactorization

logger = logging.getLogger("rankrise")

# The paper's largest runs have 1000; more only adds components that stay at zero.
_COMPONENT_CAP = 1000


def default_components(mode_dims: ModeDims) -> int:
    r"""Enough components for any tensor of these dimensions, up to a cap of 1000.

    $\prod_n d_n / \max_n d_n$ bounds every CP rank. Where the cap cuts it, a warning
    is logged, for then the largest ranks are out of reach.

    Examples
    --------
    >>> import rankrise as rr
    >>> rr.factorizations.default_components((10, 10, 10))
    100
    """
    enough = math.prod(mode_dims) // max(mode_dims)
    if enough > _COMPONENT_CAP:
        logger.warning(
            "A tensor of shape %s can need up to %d components; using %d. Set the "
            "number of components to change that.",
            "x".join(map(str, mode_dims)),
            enough,
            _COMPONENT_CAP,
        )
    return min(enough, _COMPONENT_CAP)


def near_zero(
    mode_dims: ModeDims,
    components: int | None = None,
    *,
    init_scale: float = 0.005,
    init_mean: float = 0.0,
    key: PRNGKeyArray,
) -> CPFactorization:
    """A CP factorization with independent Gaussian parameters, as in the paper.

    Parameters
    ----------
    components
        Enough for any tensor by default, see `default_components`.
    init_scale
        Standard deviation of every parameter. The smaller, the more the components
        rise one at a time, and the longer the wait for the first.
    init_mean
        Mean of every parameter.

    Examples
    --------
    >>> import jax, rankrise as rr
    >>> key = jax.random.key(0)
    >>> start = rr.factorizations.near_zero((4, 5), 3, init_scale=0.01, key=key)
    >>> [matrix.shape for matrix in start.factor_matrices]
    [(4, 3), (5, 3)]
    """
    prepare()
    _check_shape(mode_dims, components)
    _check_scale(init_scale)
    if components is None:
        components = default_components(mode_dims)
    keys = jax.random.split(key, len(mode_dims))
    return CPFactorization(
        tuple(
            init_mean + init_scale * jax.random.normal(mode_key, (dim, components))
            for mode_key, dim in zip(keys, mode_dims, strict=True)
        )
    )


def balanced(
    mode_dims: ModeDims,
    components: int | None = None,
    *,
    init_scale: float = 0.005,
    key: PRNGKeyArray,
) -> CPFactorization:
    """A Gaussian start whose components have equal norms in every mode.

    Directions and component norms are those of `near_zero` with the same key.

    Examples
    --------
    >>> import jax, numpy as np, rankrise as rr
    >>> start = rr.factorizations.balanced((4, 5), 3, key=jax.random.key(0))
    >>> norms = [np.linalg.norm(matrix, axis=0) for matrix in start.factor_matrices]
    >>> bool(np.allclose(*norms))
    True
    """
    start = near_zero(mode_dims, components, init_scale=init_scale, key=key)
    norms, units = start.normalized()
    share = norms ** (1 / len(mode_dims))
    return CPFactorization(tuple(unit * share for unit in units))


def leading_component(
    gradient: Float[Array, "..."],
    components: int,
    *,
    init_scale: float,
    margin: float = 0.5,
    key: PRNGKeyArray,
) -> CPFactorization:
    r"""A balanced start with one leading component, Razin et al. (2021), Theorem 2.

    Component 0 leads: with directions $\hat a_r$ and
    $\gamma = \langle -\nabla\mathcal{L}(0), \otimes_n \hat a_0^n \rangle > 0$, the
    others satisfy
    $\|a_0\| > \|a_r\| (\|\nabla\mathcal{L}(0)\| / \gamma)^{1/(N-2)}$.

    Parameters
    ----------
    gradient
        $\nabla\mathcal{L}(0)$, a dense tensor of order three or more (`end_gradient`).
    init_scale
        Norm of every vector of the leading component.
    margin
        The other components' vectors have this share, below 1, of the largest norm
        the condition allows.
    """
    mode_dims = gradient.shape
    if len(mode_dims) < 3:
        raise InputError(
            f"A leading component is defined for order three or more; the gradient "
            f"has shape {mode_dims}."
        )
    prepare()
    _check_shape(mode_dims, components)
    _check_scale(init_scale)
    if not 0 < margin < 1:
        raise InputError(f"The margin is {margin}; it must lie between 0 and 1.")
    steepness = jnp.linalg.norm(gradient.reshape(-1))
    if not float(steepness) > 0:
        raise InputError(
            "The loss gradient at zero is zero, so no component is pulled and none "
            "can lead; the observed values may all be zero."
        )
    _, units = near_zero(mode_dims, components, init_scale=1.0, key=key).normalized()
    leader = CPFactorization(tuple(unit[:, :1] for unit in units))
    pull = -jnp.sum(gradient * leader.end_tensor())
    # Turning one vector around turns the pull around.
    units = (units[0].at[:, 0].multiply(jnp.where(pull < 0, -1.0, 1.0)), *units[1:])
    ratio = (jnp.abs(pull) / steepness) ** (1 / (len(mode_dims) - 2))
    norms = jnp.full(components, init_scale * margin * ratio).at[0].set(init_scale)
    return CPFactorization(tuple(unit * norms for unit in units))


def near_zero_matrix(
    mode_dims: ModeDims,
    depth: int = 2,
    *,
    init_scale: float = 0.005,
    hidden_dim: int | None = None,
    key: PRNGKeyArray,
) -> DeepMatrixFactorization:
    """A deep matrix factorization with independent Gaussian parameters.

    Parameters
    ----------
    depth
        How many layers.
    init_scale
        Standard deviation of every parameter.
    hidden_dim
        Dimension between layers; the smaller mode dimension by default, which allows
        every rank.

    Examples
    --------
    >>> import jax, rankrise as rr
    >>> key = jax.random.key(0)
    >>> start = rr.factorizations.near_zero_matrix((4, 5), depth=3, key=key)
    >>> [layer.shape for layer in start.layers]
    [(4, 5), (4, 4), (4, 4)]
    """
    check_layers(mode_dims, depth)
    if hidden_dim is not None and hidden_dim < 1:
        raise InputError(
            f"The hidden dimension is {hidden_dim}; at least one is needed."
        )
    prepare()
    _check_shape(mode_dims, None)
    _check_scale(init_scale)
    hidden = min(mode_dims) if hidden_dim is None else hidden_dim
    widths = [mode_dims[1], *[hidden] * (depth - 1), mode_dims[0]]
    keys = jax.random.split(key, depth)
    return DeepMatrixFactorization(
        tuple(
            init_scale * jax.random.normal(layer_key, (rows, columns))
            for layer_key, rows, columns in zip(
                keys, widths[1:], widths[:-1], strict=True
            )
        )
    )


def check_layers(mode_dims: ModeDims, depth: int) -> None:
    """Refuse what no deep matrix factorization has: other modes than two, no layer."""
    if len(mode_dims) != 2:
        raise InputError(
            f"A deep matrix factorization has two modes; got mode dimensions "
            f"{mode_dims}."
        )
    if depth < 1:
        raise InputError(f"The depth is {depth}; at least one layer is needed.")


def _check_shape(mode_dims: ModeDims, components: int | None) -> None:
    if len(mode_dims) < 2 or min(mode_dims) < 1:
        raise InputError(
            f"The mode dimensions are {mode_dims}; a tensor needs at least two modes "
            "of dimension one or more."
        )
    if components is not None and components < 1:
        raise InputError(
            f"The number of components is {components}; at least one is needed."
        )


def _check_scale(init_scale: float) -> None:
    if not (init_scale > 0 and math.isfinite(init_scale)):
        raise InputError(
            f"The init scale is {init_scale}; give a positive, finite number (zero is "
            "a stationary point that no run leaves)."
        )
