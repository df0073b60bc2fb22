"""Parabolas that stand for a loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rankrise.completion._parabola import parabola
from rankrise.problems import (
    AbsoluteLoss,
    HuberLoss,
    LogisticLoss,
    PoissonLoss,
    SmoothL1Loss,
    SquaredLoss,
)

BOUNDED = (
    SquaredLoss(),
    AbsoluteLoss(),
    HuberLoss(0.5),
    SmoothL1Loss(0.5),
    LogisticLoss(),
)
HERE = jnp.array([-30.0, -0.75, -0.5, -0.25, 1e-3, 0.4, 0.5, 0.501, 2.0])


@pytest.mark.parametrize("value", [0.0, 1.0])
@pytest.mark.parametrize("loss", BOUNDED, ids=lambda loss: type(loss).__name__)
def test_parabola_touches_the_loss_and_lies_above_it(loss, value):
    values = jnp.full(len(HERE), value)
    weight, center = parabola(loss, HERE, values)
    slopes = jax.vmap(jax.grad(loss))(HERE, values)
    # Of a (q - t)^2 and a constant, the slope at p is 2 a (p - t).
    np.testing.assert_allclose(
        2 * weight * (HERE - center), slopes, rtol=1e-6, atol=1e-12
    )
    for q in np.linspace(-40, 40, 161):
        rise = weight * ((q - center) ** 2 - (HERE - center) ** 2)
        there = loss(jnp.full(len(HERE), q), values)
        # Next to a kink the parabola is steep, and touches to rounding.
        above = loss(HERE, values) + rise
        assert np.all(there <= above + 1e-8 * (1 + np.abs(rise)))


def test_poisson_steps_from_any_rate_come_to_the_count():
    rates = jnp.log(jnp.array([1e-6, 0.1, 3.0, 5.0, 8.0, 100.0]))
    counts = jnp.full(len(rates), 5.0)
    for _ in range(60):
        rates = parabola(PoissonLoss(), rates, counts)[1]
    np.testing.assert_allclose(rates, np.log(5), rtol=1e-6)
