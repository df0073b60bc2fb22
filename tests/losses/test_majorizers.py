"""Parabolas that stand for a loss."""

from dataclasses import dataclass

import numpy as np
import pytest

from rankrise.losses import (
    AbsoluteLoss,
    AbstractLoss,
    HuberLoss,
    IdentityPoissonLoss,
    LogisticLoss,
    PoissonLoss,
    SmoothL1Loss,
    SquaredLoss,
)


@dataclass(frozen=True)
class LogCosh(AbstractLoss):
    """One of a user's own, of the residual."""

    def __call__(self, predictions, values):
        return np.log(np.cosh(predictions - values))

    def slopes(self, distances):
        return np.tanh(distances)


@dataclass(frozen=True)
class Pinball(AbstractLoss):
    """One of a user's own that is not even, so it brings its parabola."""

    quantile: float

    def __call__(self, predictions, values):
        z = predictions - values
        return np.abs(z) / 2 + (0.5 - self.quantile) * z

    def majorizer(self, predictions, values):
        weights = 1 / (4 * np.abs(predictions - values))
        return weights, values - (0.5 - self.quantile) / (2 * weights)


BOUNDED = (
    SquaredLoss(),
    AbsoluteLoss(),
    HuberLoss(0.5),
    SmoothL1Loss(0.5),
    LogisticLoss(),
    LogCosh(),
    Pinball(0.9),
)
HERE = np.array([-30.0, -0.75, -0.49, -0.25, 1e-3, 0.4, 0.501, 2.0])
every = pytest.mark.parametrize("value", [0.0, 1.0])


@every
@pytest.mark.parametrize("loss", [*BOUNDED, PoissonLoss()], ids=repr)
def test_parabola_has_the_slope_of_the_loss(loss, value):
    values = np.full(len(HERE), value)
    weight, center = loss.majorizer(HERE, values)
    step = 1e-5
    slopes = (loss(HERE + step, values) - loss(HERE - step, values)) / (2 * step)
    # Of a (q - t)^2 and a constant, the slope at p is 2 a (p - t). Differences lose
    # 1e-16 of the loss, at most 900, over the step.
    np.testing.assert_allclose(2 * weight * (HERE - center), slopes, atol=1e-8)


@every
@pytest.mark.parametrize("loss", BOUNDED, ids=repr)
def test_parabola_lies_above_the_loss(loss, value):
    # Zero among them, where a quotient is 0/0 but a slope is next to zero.
    here = np.append(HERE, 0.0) if not isinstance(loss, Pinball) else HERE
    values = np.full(len(here), value)
    weight, center = loss.majorizer(here, values)
    for q in np.linspace(-40, 40, 161):
        rise = weight * ((q - center) ** 2 - (here - center) ** 2)
        there = loss(np.full(len(here), q), values)
        # Next to a kink the parabola is steep, and touches to rounding.
        assert np.all(there <= loss(here, values) + rise + 1e-8 * (1 + np.abs(rise)))


@pytest.mark.parametrize("count", [0.0, 1.0, 6.0])
def test_steps_of_additive_rates_go_down_and_at_most_double(count):
    loss = IdentityPoissonLoss()
    rates = np.array([1e-3, 0.02, 0.4, 6.0, 90.0])
    counts = np.full(len(rates), count)
    weight, center = loss.majorizer(rates, counts)
    slopes = 2 * weight * (rates - center)
    np.testing.assert_allclose(slopes, 1 - counts / rates, rtol=1e-9, atol=1e-12)
    above = rates >= count
    np.testing.assert_allclose(center[above], count, atol=1e-13)
    assert np.all(center[~above] > rates[~above])
    assert np.all(center[~above] <= 2 * rates[~above])
    assert not loss.has_bound


def test_poisson_steps_from_any_rate_come_to_the_count():
    rates = np.log([1e-6, 0.1, 3.0, 5.0, 8.0, 100.0])
    counts = np.full(len(rates), 5.0)
    for _ in range(60):
        rates = PoissonLoss().majorizer(rates, counts)[1]
    np.testing.assert_allclose(rates, np.log(5), rtol=1e-6)


@pytest.mark.parametrize("loss", [*BOUNDED, PoissonLoss()], ids=repr)
def test_parabola_keeps_single_precision(loss):
    for each in loss.majorizer(HERE.astype("f4"), np.ones(len(HERE), "f4")):
        assert each.dtype == np.float32


@dataclass(frozen=True)
class Bare(AbstractLoss):
    def __call__(self, predictions, values):
        return (predictions - values) ** 4


def test_a_loss_says_whether_it_has_a_majorizer():
    assert all(loss.has_majorizer for loss in (*BOUNDED, PoissonLoss()))
    assert not Bare().has_majorizer
    with pytest.raises(NotImplementedError):
        Bare().majorizer(HERE, HERE)
