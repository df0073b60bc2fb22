r"""Products over many modes, by sums of logarithms.

A component's entry $\prod_n W_n[x_n]$ is the exponential of
$\sum_n \log |W_n[x_n]|$, and a sum over modes of what depends on the value there is a
product of the data, one plane of zeros and ones a value, with a table of logarithms. No
product of hundreds of numbers is ever formed, so none leaves the range of
floating-point numbers on the way.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

from rankrise.factorizations._planes import Table, plane_products, plane_sums

# Sums of logarithms up to this size are rounded as they come.
_LARGE_SUM = 16.0


def smallest_logarithm(dtype: np.dtype) -> float:
    """Factors below this count as vanishing: at most one of them in a product.

    Two of them make a product that is as good as zero.
    """
    return float(np.finfo(dtype).tiny) ** 0.5


@jax.custom_vjp
def log_products(
    codes: UInt8[Array, "samples modes"], table: Table
) -> Float[Array, "samples columns"]:
    r"""$\prod_n W_n[x_{sn}]$ for every sample and column, with exact derivatives.

    Parameters
    ----------
    codes
        $x_{sn}$, below the number of values. A mode may have fewer than the others:
        rows of the table that no code names are not looked at and have derivative zero.
    table
        $W_n[v]$. Factors may be negative or zero; where one is zero the derivative by
        it is the product of the others.

    Notes
    -----
    Costs one product of a matrix of samples times modes with one of modes times columns
    for every value but one, and as much backward. Sums of logarithms beyond 16 are
    taken in two parts, which is twice the work forward, so that they round no more than
    small ones. Signs and vanishing factors are counted only where there are any.
    """
    return _forward(codes, table)[0]


def _forward(codes: Array, table: Array) -> tuple[Array, tuple[Array, ...]]:
    vanishing = _vanishing(table)
    products = _ordinary_products(codes, table)

    def with_vanishing(products: Array) -> Array:
        count = _count(codes, vanishing, table.dtype)
        factor = plane_products(codes, jnp.where(vanishing, table, 0))
        factor = jnp.where(count == 0, 1, jnp.where(count == 1, factor, 0))
        return products * factor

    products = jax.lax.cond(
        jnp.any(vanishing), with_vanishing, lambda products: products, products
    )
    return products, (codes, table, products)


def _vanishing(table: Table) -> Bool[Array, "values modes columns"]:
    return jnp.abs(table) < smallest_logarithm(table.dtype)


def _count(codes: Array, marked: Array, dtype: np.dtype) -> Array:
    """How many marked factors are in each product."""
    # A count of small whole numbers is exact but for the rounding of differences.
    return jnp.round(plane_products(codes, marked.astype(dtype)))


def _ordinary_products(codes: Array, table: Table) -> Array:
    """Products of the factors that do not vanish, with their signs."""
    factors = jnp.where(_vanishing(table), 1, table)
    negative = factors < 0
    sizes = _exponentials(codes, jnp.log(jnp.abs(factors)))

    def signed(sizes: Array) -> Array:
        odd = jnp.mod(_count(codes, negative, table.dtype), 2) == 1
        return jnp.where(odd, -sizes, sizes)

    return jax.lax.cond(jnp.any(negative), signed, lambda sizes: sizes, sizes)


def _exponentials(codes: Array, logarithms: Table) -> Array:
    """Exponentials of sums of logarithms, whose rounding would grow with their size."""
    sizes = jnp.sum(jnp.max(jnp.abs(logarithms), axis=0), axis=0)
    # A column that is not finite has no say in how the others are rounded.
    largest = jnp.max(jnp.where(jnp.isfinite(sizes), sizes, 0))

    def at_once() -> Array:
        return jnp.exp(plane_products(codes, logarithms))

    def in_two_parts() -> Array:
        # Multiples of a unit so coarse that all partial sums have few enough digits to
        # be exact; the rest is small.
        digits = np.finfo(logarithms.dtype).nmant
        exponent = jnp.ceil(jnp.log2(2 * largest)).astype(jnp.int32) - digits
        unit = jnp.ldexp(jnp.ones_like(largest), exponent)
        coarse = unit * jnp.round(logarithms / unit)
        rest = plane_products(codes, logarithms - coarse)
        return jnp.exp(plane_products(codes, coarse)) * jnp.exp(rest)

    return jax.lax.cond(largest > _LARGE_SUM, in_two_parts, at_once)


def _backward(
    kept: tuple[Array, ...], slopes: Float[Array, "samples columns"]
) -> tuple[None, Array]:
    codes, table, products = kept
    vanishing = _vanishing(table)
    ordinary = plane_sums(codes, slopes * products, table)
    ordinary = ordinary / jnp.where(vanishing, 1, table)

    def with_vanishing(ordinary: Array) -> Array:
        alone = _count(codes, vanishing, table.dtype) == 1
        others = jnp.where(alone, _ordinary_products(codes, table), 0)
        special = plane_sums(codes, slopes * others, table)
        return jnp.where(vanishing, special, ordinary)

    return None, jax.lax.cond(
        jnp.any(vanishing), with_vanishing, lambda ordinary: ordinary, ordinary
    )


log_products.defvjp(_forward, _backward)
