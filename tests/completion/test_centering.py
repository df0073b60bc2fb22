"""What is taken off is decided on held-out entries, and comes back without components
that cancel it."""

from typing import Any

import numpy as np
import pytest

import rankrise as rr

DIMS = 20, 18, 16
SETTINGS: dict[str, Any] = {"models": 4}


def planted(draw, *, dims=DIMS, offset=0.0, noise=0.02, missing=0.6, seed=0):
    """Two components of unit deviation: the tensor with gaps, and without noise."""
    rng = np.random.default_rng(seed)
    whole = np.einsum("ir,jr,kr->ijk", *(draw(rng, (dim, 2)) for dim in dims))
    whole = whole / whole.std() + offset
    gappy = whole + noise * rng.standard_normal(dims)
    gappy[rng.random(dims) < missing] = np.nan
    return gappy, whole


def error(found, gappy, whole):
    return np.sqrt(np.mean((found.completed - whole)[np.isnan(gappy)] ** 2))


def uniform(rng, size):
    return rng.random(size)


def normal(rng, size):
    return rng.standard_normal(size)


def smooth(rng, size):
    """Bumps on a floor, so that their sum is far from zero."""
    places, (middles, widths) = np.linspace(0, 1, size[0])[:, None], rng.random((2, 2))
    return np.exp(-(((places - middles) / (0.15 + 0.3 * widths)) ** 2)) + 0.1


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("draw", "offset", "centering"),
    [(uniform, 0.0, "none"), (uniform, 2.0, "mean"), (normal, 2.0, "mean")],
)
def test_models_have_the_planted_components_and_offset(draw, offset, centering, seed):
    gappy, whole = planted(draw, offset=offset, seed=seed)
    found = rr.complete(gappy, **SETTINGS)
    assert found.centering == centering
    assert [model.components for model in found.models] == [2] * 4
    # Where components overlap an offset is known less well than an entry.
    offsets = [model.baseline.offset for model in found.models]
    np.testing.assert_allclose(offsets, offset, atol=0.05)
    # 0.02 times the root of 2 x 54 parameters over 2300 observations is 0.0043.
    assert error(found, gappy, whole) < 0.006


def test_an_offset_that_is_no_part_of_the_data_is_fitted_to_zero():
    gappy, _ = planted(uniform)
    found = rr.complete(gappy, center=True, **SETTINGS)
    assert found.components == 2
    assert np.nanmean(gappy) > 1
    assert abs(found.offset) < 0.05


def test_what_takes_the_place_of_a_path_has_a_smaller_heldout_loss():
    gappy, _ = planted(uniform)
    for model in rr.complete(gappy, **SETTINGS).models:
        *path, last = model.path.points
        assert model.path.best_point == last
        assert last.heldout_loss < min(point.heldout_loss for point in path)
        assert last.components < max(point.components for point in path)


def test_nothing_is_taken_off_smooth_factors_whose_sum_needs_no_offset():
    gappy, whole = planted(smooth, dims=(30, 40, 20), missing=0.95, noise=0.1, seed=1)
    found, centered = (
        rr.complete(gappy, smooth=True, center=center) for center in (None, True)
    )
    assert (found.centering, centered.centering) == ("none", "mean")
    assert found.components < centered.components
    assert error(found, gappy, whole) < error(centered, gappy, whole)


def test_main_effects_are_taken_off_where_few_entries_show_more():
    rng = np.random.default_rng(0)
    dims, sizes = (60, 50, 20), (0.6, 0.7, 0.3)
    effects = [s * rng.standard_normal(d) for d, s in zip(dims, sizes, strict=True)]
    factors = [rng.standard_normal((dim, 2)) for dim in dims]
    whole = 3 + sum(np.ix_(*effects)) + 0.2 * np.einsum("ir,jr,kr->ijk", *factors)
    gappy = whole + 0.7 * rng.standard_normal(dims)
    gappy[rng.random(dims) > 0.1] = np.nan
    found, without = (
        rr.complete(gappy, main_effects=effects, models=3, smooth=False)
        for effects in (None, False)
    )
    assert found.centering == "main effects"
    assert error(found, gappy, whole) < 0.9 * error(without, gappy, whole)


def test_noise_alone_keeps_the_mean():
    values = 5 + np.random.default_rng(0).standard_normal((9, 8, 7))
    values[::2, ::3] = np.nan
    assert rr.complete(values, **SETTINGS).centering == "mean"


@pytest.mark.parametrize(
    ("settings", "centering"),
    [
        ({"center": True}, "mean"),
        ({"center": False}, "none"),
        ({"main_effects": True}, "main effects"),
        ({"main_effects": True, "center": False}, "main effects without a mean"),
        ({"non_negative": True}, "none"),
        ({"loss": "poisson"}, "mean"),
    ],
)
def test_what_is_asked_for_is_not_decided(settings, centering):
    rng = np.random.default_rng(0)
    counts = rng.poisson(np.exp(planted(uniform)[1][:9, :8, :7])).astype(float)
    counts[rng.random(counts.shape) < 0.4] = np.nan
    found = rr.complete(counts, models=2, **settings)
    assert found.centering == centering


def test_fewer_components_are_not_kept_where_more_are_in_the_data():
    gappy, whole = planted(normal, noise=1e-3)
    found = rr.complete(gappy, models=2, center=False)
    assert found.components == 2
    assert error(found, gappy, whole) < 1e-3


def test_a_time_limit_does_not_wait_for_fewer_components():
    gappy, _ = planted(uniform)
    found = rr.complete(gappy, max_seconds=1e-9, **SETTINGS)
    assert found.ending is rr.Ending.TIME_LIMIT


def test_a_robust_loss_has_few_components_too():
    gappy, whole = planted(uniform)
    rng = np.random.default_rng(1)
    outlying = gappy + np.where(rng.random(DIMS) < 0.02, 30.0, 0.0)
    found = rr.complete(outlying, loss="huber", **SETTINGS)
    assert found.components == 2
    # With components that cancel a median it is 0.3.
    assert error(found, gappy, whole) < 0.1
