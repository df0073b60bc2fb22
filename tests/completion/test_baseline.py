"""What is taken off values before components are learned."""

import math

import numpy as np
import pytest

from rankrise.completion._model import fit_baseline
from rankrise.losses import AbsoluteLoss, LogisticLoss, PoissonLoss, SquaredLoss

RNG = np.random.default_rng(0)
DIMS = (8, 7, 6)
INDICES = np.argwhere(RNG.random(DIMS) < 0.7)
VALUES = RNG.gamma(2, size=len(INDICES))


def fitted(loss, values=VALUES, *, center=True, main_effects=False):
    shown = np.ones(len(values), bool)
    return fit_baseline(
        INDICES, values, shown, DIMS, loss, center=center, main_effects=main_effects
    )


def test_squared_loss_takes_off_the_mean_and_the_deviation():
    found = fitted(SquaredLoss())
    assert found.offset == pytest.approx(np.mean(VALUES))
    assert found.scale == pytest.approx(np.std(VALUES))


def test_without_centering_the_scale_is_about_zero():
    found = fitted(SquaredLoss(), center=False)
    assert found.offset == 0
    assert found.scale == pytest.approx(np.sqrt(np.mean(VALUES**2)))


def test_a_robust_loss_takes_off_what_outliers_do_not_move():
    outlying = VALUES.copy()
    outlying[:9] = 1e9
    plain, other = fitted(AbsoluteLoss()), fitted(AbsoluteLoss(), outlying)
    assert plain.offset == np.median(VALUES)
    assert other.offset == pytest.approx(plain.offset, abs=0.2)
    assert other.scale == pytest.approx(plain.scale, rel=0.2)


@pytest.mark.parametrize(
    ("loss", "link"),
    [(LogisticLoss(), lambda p: math.log(p / (1 - p))), (PoissonLoss(), math.log)],
)
def test_a_linked_loss_begins_at_the_link_of_the_mean(loss, link):
    values = (VALUES > 1).astype(float)
    found = fitted(loss, values)
    # Half an observation is added, of some two hundred.
    assert found.offset == pytest.approx(link(np.mean(values)), abs=0.02)
    assert found.scale == 1


def test_main_effects_of_an_additive_tensor_leave_next_to_nothing():
    parts = [RNG.standard_normal(dim) for dim in DIMS]
    values = sum(p[i] for p, i in zip(parts, INDICES.T, strict=True))
    found = fitted(SquaredLoss(), values, main_effects=True)
    rest = values - found.at(INDICES)
    # Effects are shrunk as if one zero more were in each of slices of some forty.
    assert np.std(rest) < 0.05 * np.std(values)
    assert found.scale == pytest.approx(np.sqrt(np.mean(rest**2)))


def test_a_row_never_observed_has_no_effect():
    found = fitted(SquaredLoss(), main_effects=True)
    assert [effect[-1] for effect in found.effects] == [0, 0, 0]


def test_values_that_are_all_the_same_have_a_scale_of_one():
    assert fitted(SquaredLoss(), np.full(len(INDICES), 0.1)).scale == 1
