"""Slices with few observations: named, and with bounds as wide as their errors."""

from typing import Any

import numpy as np
import pytest

import rankrise as rr

DIMS, FEW, NOISE = (24, 18, 12), (3, 11, 20), 0.1
QUICK: dict[str, Any] = {"models": 3, "smooth": False, "max_components": 4}


def noisy(seed):
    rng = np.random.default_rng(seed)
    whole = np.einsum("ir,jr,kr->ijk", *(rng.standard_normal((d, 2)) for d in DIMS))
    return whole / whole.std() + NOISE * rng.standard_normal(DIMS), rng


def with_fibers(tensor, rng):
    tensor[rng.random(DIMS[:2]) < 0.3] = np.nan


def with_singles(tensor, rng):
    tensor[rng.random(DIMS) < 0.4] = np.nan


def with_tails(tensor, rng):
    for fiber in tensor.reshape(-1, DIMS[2]):
        if rng.random() < 0.5:
            fiber[rng.integers(6, DIMS[2]) :] = np.nan


def make_scarce(tensor, slices, rng):
    """One, two, three observations in these slices of the first mode."""
    for count, index in enumerate(slices, start=1):
        lost = rng.permutation(tensor[index].size)[count:]
        tensor[index].reshape(-1)[lost] = np.nan


@pytest.mark.parametrize("make", [with_fibers, with_singles, with_tails])
def test_slices_with_few_entries_are_named_and_their_bounds_hold(make, caplog):
    inside, errors, deviations, others = [], [], [], []
    for seed in range(2):
        tensor, rng = noisy(seed)
        gappy = tensor.copy()
        make(gappy, rng)
        # Those that are observed there before fewer are left.
        gappy[FEW, :, :] = tensor[FEW, :, :]
        make_scarce(gappy, FEW, rng)
        found = rr.complete(gappy, **QUICK)
        assert list(found.scarce_slices()) == [(0, index) for index in FEW]
        assert "observed at index 3 (counted from 0) of mode 1" in (caplog.text)
        lower, upper = found.interval(0.9)
        gaps = np.isnan(gappy)
        few = gaps & np.isin(np.arange(DIMS[0]), FEW)[:, None, None]
        inside.append(np.mean(((lower <= tensor) & (tensor <= upper))[few]))
        errors.append(np.mean((found.completed - tensor)[few] ** 2))
        deviations.append(np.mean(found.std[few] ** 2))
        others.append(np.sqrt(np.mean(found.std[gaps & ~few] ** 2)))
        indices = np.argwhere(few)
        np.testing.assert_allclose(found.entries_std(indices), found.std[few])
    # Errors of a slice rest on one to three draws, so they vary by as much; blocks that
    # slices of single entries make are widened by more than that.
    assert np.mean(inside) > 0.8
    assert 0.5 < np.sqrt(np.mean(deviations) / np.mean(errors)) < 3
    assert np.max(others) < 1.5 * NOISE


@pytest.mark.parametrize("make", [with_fibers, with_singles, with_tails])
def test_slices_with_as_many_entries_as_others_are_not_named(make, caplog):
    gappy, rng = noisy(0)
    make(gappy, rng)
    assert list(rr.complete(gappy, **QUICK).scarce_slices()) == []
    assert "too few entries" not in caplog.text


def test_few_entries_of_a_slice_that_is_like_its_neighbours_are_enough(caplog):
    rng = np.random.default_rng(0)
    times = np.linspace(0, 3, 40)
    curves = np.stack([np.sin(times), np.cos(times)], axis=1)
    factors = rng.standard_normal((15, 2)), rng.standard_normal((12, 2)), curves
    tensor = np.einsum("ir,jr,kr->ijk", *factors)
    gappy = tensor + NOISE * rng.standard_normal(tensor.shape)
    gappy[rng.random(gappy.shape) < 0.4] = np.nan
    lost = rng.permutation(15 * 12)[2:]
    gappy[lost // 12, lost % 12, 17] = np.nan
    found = rr.complete(gappy, models=3, max_components=4, smooth=True)
    assert list(found.scarce_slices()) == []
    there = np.isnan(gappy[:, :, 17])
    assert np.sqrt(np.mean((found.completed - tensor)[:, :, 17][there] ** 2)) < NOISE
    assert "too few entries" not in caplog.text
