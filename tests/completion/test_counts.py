"""Counts whose rates components multiply or add to, and which of the two it is."""

import math
from typing import Any

import numpy as np
import pytest
from scipy.stats import poisson

import rankrise as rr
from rankrise.completion import complete_tensor, summarize_completion
from rankrise.tensors import incomplete_tensor

QUICK: dict[str, Any] = {
    "models": 2,
    "smooth": False,
    "max_components": 5,
    "penalties": (4.0, 1.0, 0.5, 0.2, 0.05),
}
DIMS = (14, 12, 10)


def additive(seed, dims=DIMS, components=2, mean=2.0):
    rng = np.random.default_rng(seed)
    factors = [rng.gamma(0.5, 1, (dim, components)) for dim in dims]
    rates = np.einsum("ir,jr,kr->ijk", *factors)
    return _with_gaps(rates * mean / rates.mean(), rng)


def multiplicative(seed, dims=DIMS):
    rng = np.random.default_rng(seed)
    factors = [rng.standard_normal((dim, 2)) for dim in dims]
    logarithms = np.einsum("ir,jr,kr->ijk", *factors)
    return _with_gaps(np.exp(0.7 + 0.6 * logarithms / logarithms.std()), rng)


def _with_gaps(rates, rng):
    counts = rng.poisson(rates).astype(float)
    return np.where(rng.random(rates.shape) < 0.2, np.nan, counts), rates


@pytest.fixture(scope="module")
def summed():
    gappy, rates = additive(0)
    return gappy, rates, rr.complete(gappy, loss="poisson-identity", **QUICK)


def error(found, gappy, rates):
    gaps = np.isnan(gappy)
    off = (found.completed - rates)[gaps]
    return np.sqrt(np.mean(off**2)) / rates[gaps].std()


def test_additive_rates_are_non_negative_components_above_a_background(summed):
    gappy, rates, found = summed
    for model in found.models:
        assert all(matrix.min() >= 0 for matrix in model.factors)
        share = model.baseline.offset / np.nanmean(gappy)
        # Of other observations, whose mean is off by a few percent.
        assert 0.009 < share < 0.011
    everywhere = np.argwhere(np.ones(DIMS))
    assert found.entries(everywhere).min() >= found.offset > 0
    assert np.all(found.interval()[0] >= 0)
    assert error(found, gappy, rates) < 0.3


def test_additive_rates_are_nearer_by_components_that_add():
    gappy, rates = additive(3)
    sums, products = (
        error(rr.complete(gappy, loss=loss, **QUICK), gappy, rates)
        for loss in ("poisson-identity", "poisson")
    )
    assert sums < 0.7 * products


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("make", "chosen", "other"),
    [
        (additive, "poisson-identity", "poisson"),
        (multiplicative, "poisson", "poisson-identity"),
    ],
)
def test_of_counts_the_loss_is_chosen_that_made_them(make, chosen, other, seed):
    gappy, _ = make(seed)
    found = rr.complete(gappy, loss="counts", **QUICK)
    assert found.loss_name == chosen
    assert set(found.link_losses) == {chosen, other}
    assert found.link_losses[chosen] < found.link_losses[other]
    assert f"loss {chosen}" in repr(found)
    # Its models are those of that loss alone, made of the same parts.
    alone = rr.complete(gappy, loss=chosen, **QUICK)
    np.testing.assert_array_equal(found.completed, alone.completed)
    assert found.loss == alone.loss
    assert not alone.link_losses


def test_likelihoods_are_those_of_held_out_counts(summed):
    gappy, _, alone = summed
    found = rr.complete(gappy, loss="counts", **QUICK)
    rates, counts = alone.heldout_predictions, alone.observations.values
    known = ~np.isnan(rates)
    likelihood = -np.mean(poisson.logpmf(counts[known], rates[known]))
    assert found.link_losses["poisson-identity"] == pytest.approx(likelihood)


def test_either_loss_may_be_smooth_or_not():
    rng = np.random.default_rng(2)
    bumps = np.exp(-0.5 * ((np.arange(20)[:, None] - (4, 14)) / 3) ** 2)
    factors = [rng.gamma(0.5, 1, (9, 2)), rng.gamma(0.5, 1, (8, 2)), bumps]
    gappy, _ = _with_gaps(6 * np.einsum("ir,jr,kr->ijk", *factors), rng)
    found = rr.complete(gappy, loss="counts", **{**QUICK, "smooth": None})
    alone = [
        rr.complete(gappy, loss=found.loss_name, **{**QUICK, "smooth": smooth})
        for smooth in (None, found.models[0].smooth)
    ]
    for each in alone:
        np.testing.assert_array_equal(found.completed, each.completed)


class StoppedError(Exception):
    """Stands for a kill."""


def test_a_killed_choice_goes_on_to_the_same_result(tmp_path, summed):
    gappy = summed[0]
    settings = {**QUICK, "loss": "counts", "models": 3}
    expected = rr.complete(gappy, **settings)
    checkpoint = rr.Checkpoint(tmp_path / "state.npz", seconds=0.0, resume=True)
    kills = 0
    for most in (3, 9, 15, 10**6):
        left = iter(range(most))

        def stop(at, left=left):
            if next(left, None) is None:
                raise StoppedError

        try:
            found = rr.complete(gappy, **settings, checkpoint=checkpoint, progress=stop)
        except StoppedError:
            kills += 1
            continue
        break
    assert kills >= 2
    np.testing.assert_array_equal(found.completed, expected.completed)
    assert found.link_losses == expected.link_losses
    with pytest.raises(rr.InputError, match="loss"):
        rr.complete(gappy, **{**settings, "loss": "poisson"}, checkpoint=checkpoint)


def test_a_time_limit_leaves_what_there_is_of_either_loss(summed):
    found = rr.complete(summed[0], loss="counts", max_seconds=1e-9, **QUICK)
    assert found.ending == "time limit"
    assert found.loss_name in ("poisson", "poisson-identity")
    assert not found.link_losses
    assert np.isfinite(found.completed).all()


def test_the_rank_of_additive_rates_is_that_of_the_rates():
    gappy, _ = additive(3, (20, 18, 15), components=3)
    found = rr.estimate_rank(gappy, loss="poisson-identity")
    assert found.rank == 3
    assert rr.complete(gappy, loss="counts", **QUICK).rank == 3


def test_the_rank_of_counts_asks_for_one_of_the_losses(summed):
    with pytest.raises(rr.InputError, match="give poisson or poisson-identity"):
        rr.estimate_rank(summed[0], loss="counts")


@pytest.mark.parametrize("loss", ["counts", "poisson-identity"])
def test_gradient_descent_is_refused(loss, summed):
    with pytest.raises(rr.InputError, match="for `method` alternating"):
        rr.complete(summed[0], loss=loss, method="paper")


@pytest.mark.parametrize("ask", [rr.complete, rr.estimate_rank])
@pytest.mark.parametrize(
    ("loss", "value", "words"),
    [
        (
            "poisson",
            -2,
            "(3, 5, 7) has the value -2.0, but with this loss counts",
        ),
        ("poisson-identity", -0.5, "(3, 5, 7) has the value -0.5, but"),
        (rr.losses.PoissonLoss(), -2, "(3, 5, 7) has the value -2.0, but"),
        (
            "logistic",
            2,
            "(0, 0, 0) has the value 2.0, but with this loss labels",
        ),
    ],
)
def test_a_value_that_a_loss_is_not_for_is_said_by_its_place(ask, loss, value, words):
    counts = np.full((4, 6, 8), float(max(value, 0)))
    counts[3, 5, 7] = value
    with pytest.raises(rr.InputError) as raised:
        ask(counts, loss=loss)
    assert words in str(raised.value)
    # Who gave a name, or nothing, knows no classes.
    assert "Loss" not in str(raised.value)


@pytest.mark.parametrize("loss", ["poisson", "poisson-identity"])
def test_rates_that_are_not_whole_are_completed_as_their_counts_are(loss, summed):
    gappy, rates, _ = summed
    exposure = 8.0
    own = rr.complete(gappy / exposure, loss=loss, **QUICK)
    counts = rr.complete(gappy, loss=loss, **QUICK)
    gaps = np.isnan(gappy)
    # Penalties are in units of an observation, which tells less of smaller rates.
    error_of_counts = error(counts, gappy, rates)
    assert error(own, gappy, rates / exposure) < 1.3 * error_of_counts
    assert np.all(own.completed[gaps] > 0)
    assert math.isnan(own.noise_error)


def test_counts_of_rates_are_compared_by_their_likelihood(summed):
    found = rr.complete(summed[0] / 8, loss="counts", **QUICK)
    assert found.loss_name == "poisson-identity"
    assert all(math.isfinite(each) for each in found.link_losses.values())


def test_the_summary_says_which_loss_it_was(summed):
    settings = rr.CompletionSettings(loss="counts", **QUICK)
    found = complete_tensor(incomplete_tensor(summed[0]), settings)
    said = summarize_completion(found, None)
    assert said["settings"]["loss"] == "counts"
    assert said["loss"] == "poisson-identity"
    assert said["link_losses"] == found.link_losses


def test_noise_alone_gives_the_root_of_the_mean_rate(summed):
    gappy, rates, found = summed
    shown = rates[~np.isnan(gappy)][~np.isnan(found.heldout_predictions)]
    # Of two thousand counts the root of the mean is off by a percent.
    assert found.noise_error == pytest.approx(math.sqrt(shown.mean()), rel=0.05)
    assert found.noise_error < found.heldout_error
