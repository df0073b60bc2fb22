"""What held-out error noise alone would give, and what is said of it."""

import math
from typing import Any

import numpy as np
import pytest

import rankrise as rr

QUICK: dict[str, Any] = {"models": 3, "smooth": False}


def noisy(make_low_rank, share_of_noise, *, dims=(16, 14, 12), rank=2, share=0.6):
    """Planted components of unit variance in all, and the deviation of the noise."""
    gappy, _ = make_low_rank(dims, rank, share=share)
    deviation = math.sqrt(share_of_noise)
    noise = np.random.default_rng(9).standard_normal(dims)
    return math.sqrt(1 - share_of_noise) * gappy + deviation * noise, deviation


# Each with the share of noise that fast tests plant in it.
PLANTED = {
    ((16, 14, 12), 1, 0.4): 0.3,
    ((16, 14, 12), 3, 0.9): 0.02,
    ((60, 40), 1, 0.9): 0.8,
    ((9, 8, 7, 6), 2, 0.7): 0.3,
}


@pytest.mark.parametrize(
    ("dims", "rank", "share", "share_of_noise"),
    [
        pytest.param(*planted, share, marks=() if share == fast else pytest.mark.slow)
        for planted, fast in PLANTED.items()
        for share in (0.02, 0.3, 0.8)
    ],
)
def test_noise_that_was_planted_is_found(
    dims, rank, share, share_of_noise, make_low_rank
):
    tensor, deviation = noisy(
        make_low_rank, share_of_noise, dims=dims, rank=rank, share=share
    )
    found = rr.complete(tensor, **QUICK)
    # A thousand and more residuals, of models that leave some noise in, or fit some.
    assert found.noise_error == pytest.approx(deviation, rel=0.1)
    errors = found.errors()
    share = errors["heldout_centered_error"] / errors["heldout_error"]
    assert errors["noise_centered_error"] == pytest.approx(share * found.noise_error)
    assert f"noise alone gives {errors['noise_centered_error']:.3g}" in repr(found)


@pytest.mark.parametrize(
    "method", ["paper", pytest.param("limit", marks=pytest.mark.slow)]
)
def test_noise_is_found_by_gradient_methods(method, make_low_rank):
    tensor, deviation = noisy(make_low_rank, 0.3, share=0.9)
    options = {"init_scales": (0.03,), "steps": 2000} if method == "paper" else {}
    kind = rr.GradientMethod(kind=method, components=6, **options)
    found = rr.complete(tensor, method=kind)
    assert found.noise_error == pytest.approx(deviation, rel=0.1)


def test_data_that_are_mostly_noise_are_not_called_poorly_learned(
    make_low_rank, caplog
):
    tensor, _ = noisy(make_low_rank, 0.8, share=0.9)
    with caplog.at_level("WARNING", logger="rankrise"):
        found = rr.complete(tensor, **QUICK)
    assert found.components
    assert found.errors()["heldout_centered_error"] > 0.8
    assert "little was learned" not in caplog.text


def test_a_fit_that_noise_does_not_explain_is_called_so(make_low_rank, caplog):
    # Of a hundred entries there is too little to learn five components from.
    tensor, _ = noisy(make_low_rank, 0.02, dims=(7, 6, 5), rank=5, share=0.4)
    with caplog.at_level("WARNING", logger="rankrise"):
        found = rr.complete(tensor, **QUICK)
    assert found.errors()["heldout_centered_error"] > 0.5
    assert math.isnan(found.noise_error)
    assert "so little was learned" in caplog.text


_SOME = np.random.default_rng(0).uniform(0.5, 2, (16, 14, 12))


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        (lambda tensor: tensor[:4, :4, :4], {}),
        (lambda tensor: tensor, {"loss": "huber"}),
        (lambda tensor: rr.Observations.from_array(tensor, weights=_SOME), {}),
    ],
    ids=["few", "huber", "weights"],
)
def test_noise_that_cannot_be_told_is_not(change, settings, make_low_rank):
    tensor, _ = noisy(make_low_rank, 0.3)
    found = rr.complete(change(tensor), **QUICK, **settings)
    assert math.isnan(found.noise_error)
    assert "noise" not in repr(found)


def test_noise_is_not_told_where_a_model_learns_its_entries_by_heart(make_low_rank):
    # Two observations for each parameter: training errors say next to nothing.
    tensor, _ = noisy(make_low_rank, 0.02, dims=(14, 12, 10), rank=6, share=0.25)
    found = rr.complete(tensor, **QUICK)
    assert len(found.observations) > max(300, 10 * 36)
    assert found.errors()["train_error"] < 0.5 * found.heldout_error
    assert math.isnan(found.noise_error)
