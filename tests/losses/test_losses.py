"""Losses by their definitions, and their gradients in closed form."""

import functools as ft
import itertools
import math
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import poisson

from rankrise._errors import InputError
from rankrise.experiments._options import LossName
from rankrise.losses import (
    AbsoluteLoss,
    HuberLoss,
    IdentityPoissonLoss,
    LogisticLoss,
    PoissonLoss,
    SmoothL1Loss,
    SquaredLoss,
    loss_named,
    negative_log_likelihood,
)

DELTA = 0.5


def huber(z):
    return z**2 / 2 if abs(z) <= DELTA else DELTA * (abs(z) - DELTA / 2)


# Loss of one residual z = p - y, and its derivative. Where the absolute value has no
# derivative, zero is the one that leaves a perfect fit at rest.
DEFINITIONS = {
    SquaredLoss(): (lambda z: z**2, lambda z: 2 * z),
    AbsoluteLoss(): (abs, np.sign),
    HuberLoss(DELTA): (huber, lambda z: np.clip(z, -DELTA, DELTA)),
    SmoothL1Loss(DELTA): (
        lambda z: huber(z) / DELTA,
        lambda z: np.clip(z / DELTA, -1, 1),
    ),
}
every_loss = pytest.mark.parametrize(
    "loss", DEFINITIONS, ids=lambda loss: type(loss).__name__
)
# On both sides of the threshold, on it, and a perfect fit.
RESIDUALS = np.array([-30.0, -0.75, -0.5, -0.25, 0.0, 1e-9, 0.4, 0.5, 0.501, 2.0])
VALUES = np.linspace(-1, 1, len(RESIDUALS)).round(2)


@ft.partial(jax.jit, static_argnums=0)
def evaluated(loss, predictions, values):
    """Losses and their derivatives by the prediction."""
    losses, pull_back = jax.vjp(lambda p: loss(p, values), predictions)
    return losses, pull_back(jnp.ones(len(values)))[0]


@every_loss
def test_loss_follows_its_definition(loss):
    definition, _ = DEFINITIONS[loss]
    losses, _ = evaluated(loss, RESIDUALS, np.zeros(len(RESIDUALS)))
    # With y = 0 the residual is exact, so only the last digit is left to rounding.
    np.testing.assert_allclose(losses, [definition(z) for z in RESIDUALS], rtol=4e-16)


@every_loss
def test_loss_depends_on_the_residual_alone(loss):
    shifted, _ = evaluated(loss, RESIDUALS + VALUES, VALUES)
    losses, _ = evaluated(loss, RESIDUALS, np.zeros(len(RESIDUALS)))
    # p - y is rounded at 1e-16 of y.
    np.testing.assert_allclose(shifted, losses, rtol=1e-13, atol=1e-15)


@every_loss
def test_gradient_is_the_derivative_in_closed_form(loss):
    _, derivative = DEFINITIONS[loss]
    _, slopes = evaluated(loss, RESIDUALS, np.zeros(len(RESIDUALS)))
    np.testing.assert_allclose(slopes, derivative(RESIDUALS), rtol=4e-16)


def test_smooth_l1_is_huber_over_its_threshold():
    zeros = jnp.zeros(len(RESIDUALS))
    for delta in (0.05, 1.0, 7.0):
        smooth = SmoothL1Loss(delta)(jnp.asarray(RESIDUALS), zeros)
        huber = HuberLoss(delta)(jnp.asarray(RESIDUALS), zeros)
        # The threshold is divided by and multiplied with: two roundings of 2e-16.
        np.testing.assert_allclose(delta * smooth, huber, rtol=1e-15)


def test_huber_with_a_threshold_above_every_residual_is_half_the_squared_loss():
    case = jnp.asarray(RESIDUALS), jnp.zeros(len(RESIDUALS))
    np.testing.assert_array_equal(2 * HuberLoss(31.0)(*case), SquaredLoss()(*case))


LOG_ODDS = [-40.0, -3.0, -0.1, 0.0, 0.2, 5.0, 30.0]


def test_logistic_loss_is_minus_the_log_likelihood():
    points = np.array(list(itertools.product(LOG_ODDS, [0.0, 1.0])))
    losses, slopes = evaluated(LogisticLoss(), *points.T)
    probabilities = [1 / (1 + math.exp(-p)) for p, _ in points]
    naive = [math.log(1 + math.exp(p)) - y * p for p, y in points]
    # The naive form adds 1 to exp(-40), and both subtract 30 from 30 and 1 from 1.
    np.testing.assert_allclose(losses, naive, rtol=1e-13, atol=1e-14)
    expected = probabilities - points[:, 1]
    np.testing.assert_allclose(slopes, expected, rtol=1e-13, atol=1e-14)


@pytest.mark.parametrize("size", [50.0, 1e3, 1e300])
def test_logistic_loss_neither_overflows_nor_loses_a_confident_prediction(size):
    predictions, labels = np.array([size, size, -size, -size]), np.array([0.0, 1, 0, 1])
    losses, slopes = evaluated(LogisticLoss(), predictions, labels)
    # Wrong ones cost their log-odds and pull with slope one; right ones next to none.
    np.testing.assert_allclose(losses, [size, 0, 0, size], rtol=1e-15, atol=2e-22)
    np.testing.assert_allclose(slopes, [1, 0, 0, -1], rtol=1e-15, atol=2e-22)


COUNTED = np.array(list(itertools.product([0.05, 1.0, 7.5], [0.0, 1.0, 7.0])))


@pytest.mark.parametrize("loss", [PoissonLoss(), IdentityPoissonLoss()])
def test_losses_of_counts_are_half_the_deviance(loss):
    rates, counts = COUNTED.T
    predictions = np.log(rates) if isinstance(loss, PoissonLoss) else rates
    losses, slopes = evaluated(loss, predictions, counts)
    best = poisson.logpmf(counts, np.maximum(counts, 1e-300))
    # Log-probabilities of some ten, of which one is taken off another.
    expected = best - poisson.logpmf(counts, rates)
    np.testing.assert_allclose(losses, expected, rtol=1e-12, atol=1e-13)
    by_rate = 1 - counts / rates
    steep = rates if isinstance(loss, PoissonLoss) else 1
    np.testing.assert_allclose(slopes, by_rate * steep, rtol=1e-14)
    # So either is compared with the other, and none is below zero.
    np.testing.assert_allclose(loss(predictions, rates), 0, atol=1e-14)


def test_the_likelihood_of_counts_has_all_constants():
    rates, counts = COUNTED.T
    expected = -poisson.logpmf(counts, rates)
    found = negative_log_likelihood(rates, counts)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_a_count_where_the_rate_is_zero_costs_much_and_none_there_nothing():
    rates, counts = np.zeros(2), np.array([0.0, 2.0])
    for none, two in (
        IdentityPoissonLoss()(rates, counts),
        negative_log_likelihood(rates, counts),
    ):
        assert none == 0
        assert 100 < two < math.inf


def test_additive_rates_begin_from_a_small_share_of_their_mean():
    loss = IdentityPoissonLoss()
    np.testing.assert_allclose(loss.start(5.0, 10**9), 0.05, rtol=1e-6)
    assert PoissonLoss().start(5.0, 7) == PoissonLoss().link_of_mean(5.0, 7)


def test_counts_below_zero_are_named():
    with pytest.raises(InputError, match="Observation 1 has the value -1"):
        PoissonLoss().check_values(np.array([0.0, -1.0]))


@pytest.mark.parametrize("wrong", [2.0, -1.0, 0.5, math.nan])
def test_values_that_are_no_labels_are_named(wrong):
    LogisticLoss().check_values(np.array([0.0, 1.0, 1.0]))
    with pytest.raises(InputError, match=f"Observation 2 has the value {wrong}"):
        LogisticLoss().check_values(np.array([0.0, 1.0, wrong, 7.0]))


@pytest.mark.parametrize("loss", [HuberLoss, SmoothL1Loss])
@pytest.mark.parametrize("delta", [0.0, -1.0, math.inf, math.nan])
def test_refused_thresholds_are_named(loss, delta):
    with pytest.raises(InputError, match=f"delta is {delta}; give a positive, finite"):
        loss(delta)


ALL = (*DEFINITIONS, LogisticLoss(), PoissonLoss(), IdentityPoissonLoss())


@pytest.mark.parametrize("loss", ALL, ids=repr)
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_numpy_and_jax_give_the_same_losses(loss, kind):
    predictions, values = (x.astype(kind) for x in (RESIDUALS, VALUES))
    found = loss(predictions, values)
    theirs = loss(jnp.asarray(predictions), jnp.asarray(values))
    assert type(found) is np.ndarray
    assert found.dtype == theirs.dtype == kind
    # Exponentials and logarithms of either are off by a digit or two.
    np.testing.assert_allclose(found, theirs, rtol=8 * np.finfo(kind).eps)


def test_losses_are_compared_by_value_and_hashable():
    assert len({HuberLoss(0.5), HuberLoss(np.float64(0.5)), HuberLoss(0.25)}) == 2
    assert HuberLoss(0.5) != SmoothL1Loss(0.5)


@pytest.mark.parametrize("loss", [LogisticLoss(), PoissonLoss(), IdentityPoissonLoss()])
def test_the_link_is_finite_at_the_bounds_and_nears_the_mean_with_many(loss):
    lower, upper = loss.bounds
    for mean in (lower, min(upper, 1.0)):
        assert math.isfinite(loss.link_of_mean(mean, 5))
    link = loss.link_of_mean(0.3, 10**9)
    # Half an observation is a share of 5e-10.
    np.testing.assert_allclose(loss.mean(np.array([link])), 0.3, rtol=4e-9)
    np.testing.assert_array_equal(loss.mean(np.array([-np.inf, np.inf])), loss.bounds)


@every_loss
def test_predictions_of_losses_of_residuals_are_means(loss):
    assert loss.mean(VALUES) is VALUES
    assert loss.link_of_mean(0.3, 2) == 0.3


@pytest.mark.parametrize("name", get_args(LossName))
def test_every_name_of_a_loss_makes_one(name):
    zeros = np.zeros(2)
    assert loss_named(name, 0.5)(zeros, zeros).shape == (2,)


def test_the_threshold_reaches_the_losses_that_have_one():
    assert loss_named("huber", 0.25) == HuberLoss(0.25)
    assert loss_named("smooth-l1", 0.25) == SmoothL1Loss(0.25)


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match="There is no loss 'hinge'; choose one of"):
        loss_named("hinge")
