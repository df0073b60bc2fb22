"""A CP factorization as a network: locally connected, then product pooling."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, UInt

from rankrise._errors import InputError
from rankrise._typing import ModeDims
from rankrise.factorizations._contract import AbstractFactorization, Loss, safe_ratio
from rankrise.factorizations._cp import CPFactorization
from rankrise.factorizations._logarithmic import log_products

# What a byte can name.
_MOST_VALUES = 256


class ProductPoolingNetwork(AbstractFactorization):
    r"""$f(x) = \sum_r \prod_n W_{nr}[x_n]$: the entries of a CP tensor as a network.

    A locally connected linear layer, whose weights at feature $n$ are applied to its
    value as a one-hot vector, pooling by product over all features, and a sum over
    components (Razin et al. 2021, Section 3). Products are taken by logarithms, so
    hundreds of features neither overflow nor underflow on the way, and one table holds
    all factors, so that programs do not grow with the features. Norms are those of
    the end tensor, which has an entry for every combination of values: with hundreds of
    features they may be beyond the range of single precision, and infinite.

    Attributes
    ----------
    table
        $W_{nr}[v]$, padded by ones where a feature has fewer values than others.
    mode_dims
        How many values each feature has, at most 256.
    """

    table: Float[Array, "values features components"]
    _mode_dims: ModeDims = eqx.field(static=True)

    def __init__(
        self, table: Float[Array, "values features components"], mode_dims: ModeDims
    ) -> None:
        self.table, self._mode_dims = table, mode_dims

    def __check_init__(self) -> None:
        values, features, _ = jnp.shape(self.table)
        if len(self.mode_dims) != features or max(self.mode_dims) > values:
            raise InputError(
                f"The table has shape {jnp.shape(self.table)} for mode dimensions "
                f"{self.mode_dims}; give values by features by components, with as "
                "many values as the largest mode dimension."
            )
        if values > _MOST_VALUES:
            raise InputError(
                f"A feature has {values} values; it may have {_MOST_VALUES}."
            )

    @classmethod
    def from_factorization(
        cls, factorization: CPFactorization
    ) -> "ProductPoolingNetwork":
        """The network whose outputs are the entries of the end tensor."""
        # Differences between values need two of them.
        values = max(2, *factorization.mode_dims)
        padded = [
            jnp.pad(matrix, ((0, values - len(matrix)), (0, 0)), constant_values=1)
            for matrix in factorization.factor_matrices
        ]
        return cls(jnp.stack(padded, axis=1), factorization.mode_dims)

    @property
    def factorization(self) -> CPFactorization:
        """The factorization whose entries are the outputs; of two or more features."""
        return CPFactorization(
            tuple(self.table[:dim, mode] for mode, dim in enumerate(self.mode_dims))
        )

    @property
    def mode_dims(self) -> ModeDims:
        return self._mode_dims

    @property
    def components(self) -> int:
        return int(self.table.shape[-1])

    def end_tensor(self) -> Float[Array, "..."]:
        return self.factorization.end_tensor()

    def entries(self, indices: Int[Array, "m order"]) -> Float[Array, " m"]:
        return self(indices)

    def inner_products(
        self, measurements: tuple[Float[Array, "m _ k"], ...]
    ) -> Float[Array, " m"]:
        return self.factorization.inner_products(measurements)

    def frobenius_norm(self) -> Float[Array, ""]:
        factors = self._factors
        grams = jnp.einsum("vnr,vns->nrs", factors, factors)
        # Rounding can leave a sum that should be zero slightly below it.
        return jnp.sqrt(jnp.maximum(jnp.sum(jnp.prod(grams, axis=0)), 0))

    def component_norms(self) -> Float[Array, " components"]:
        return jnp.prod(jnp.sqrt(jnp.sum(self._factors**2, axis=0)), axis=0)

    def parameter_norms(self) -> Float[Array, " groups"]:
        return jnp.sqrt(jnp.sum(self._factors**2, axis=(0, 1)))

    def unbalancedness(self) -> Float[Array, ""]:
        squares = jnp.sum(self._factors**2, axis=0)
        return jnp.max(jnp.max(squares, axis=0) - jnp.min(squares, axis=0))

    def pull(self, loss: Loss) -> Float[Array, " components"]:
        # As of a CP factorization, from the slope by the factors of one feature.
        gradient = eqx.filter_grad(loss)(self)
        slope = jnp.sum(gradient.table[:, 0] * self.table[:, 0], axis=0)
        return -safe_ratio(slope, self.component_norms())

    @property
    def _factors(self) -> Float[Array, "values features components"]:
        """The table with zeros where a feature has fewer values than others."""
        values = jnp.arange(self.table.shape[0])[:, None]
        there = values < jnp.asarray(self.mode_dims)
        return jnp.where(there[..., None], self.table, 0)

    def __call__(
        self, values: Int[Array, "*samples features"] | UInt[Array, "*samples features"]
    ) -> Float[Array, "*samples"]:
        """Output for samples whose values are counted from 0, and not checked."""
        codes = values.astype(jnp.uint8).reshape(-1, values.shape[-1])
        outputs = jnp.sum(log_products(codes, self.table), axis=-1)
        return outputs.reshape(values.shape[:-1])
