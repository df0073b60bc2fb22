"""Errors by rank, and the smallest rank that reaches one."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.complexity import CONTROLS, RankCurve, RankFit
from rankrise.runs import Ending

ERRORS = {
    # (target, seed): the training error at rank 1, 2 and 4
    ("a", 0): (0.5, 0.3, 0.1),
    ("a", 1): (0.5, 0.1, 0.1),
    ("b", 0): (0.7, 0.5, 0.1),
    ("b", 1): (0.9, 0.1, 0.1),
}


def a_curve(errors=ERRORS) -> RankCurve:
    fits = [
        RankFit(control, rank, target, seed, error, 2 * error, 10, Ending.CONVERGED)
        for control in CONTROLS
        for (target, seed), row in errors.items()
        for rank, error in zip((1, 2, 4), row, strict=True)
    ]
    constant = {"train": np.array([0.2, 0.3]), "test": np.array([0.2, 0.3])}
    return RankCurve(tuple(fits), "classes", constant, {}, 0.0, 0.0)


def test_errors_have_a_row_a_target_and_a_column_a_seed():
    curve = a_curve()
    assert (curve.ranks, curve.targets) == ((1, 2, 4), ("a", "b"))
    np.testing.assert_array_equal(curve.errors("data", 2), [[0.3, 0.1], [0.5, 0.1]])
    np.testing.assert_array_equal(
        curve.errors("labels", 2, "test"), [[0.6, 0.2], [1.0, 0.2]]
    )


def test_the_mean_is_over_targets_and_seeds_and_the_spread_over_targets():
    curve = a_curve()
    np.testing.assert_allclose(curve.mean("data"), [0.65, 0.25, 0.1])
    # Means over seeds are .5 and .8, .2 and .3, .1 and .1.
    np.testing.assert_allclose(curve.spread("data"), [0.15, 0.05, 0.0], atol=1e-15)


def test_the_spread_of_one_target_is_over_seeds():
    one = a_curve({key: row for key, row in ERRORS.items() if key[0] == "b"})
    # Of two numbers, the unbiased one is their difference over the root of two.
    expected = np.array([0.2, 0.4, 0.0]) / 2**0.5
    np.testing.assert_allclose(one.spread("data"), expected, atol=1e-15)
    alone = a_curve({("a", 0): ERRORS["a", 0]})
    assert np.isnan(alone.spread("data")).all()


def test_errors_that_overflowed_have_no_spread():
    spread = a_curve({**ERRORS, ("a", 0): (0.5, math.inf, 0.1)}).spread("data")
    assert np.isnan(spread).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("errors", "rise"),
    [
        ((0.5, 0.3, 0.1), None),
        ((0.5, 0.3, 0.4), (2, 4)),
        ((0.1, 0.3, 0.4), (1, 2)),
        # Neither a little more nor what is next to nothing.
        ((0.5, 0.3, 0.31), None),
        ((0.5, 1e-9, 1e-5), None),
        ((0.5, math.nan, 0.6), None),
    ],
)
def test_a_rise_of_the_training_error_is_told_from_none(errors, rise):
    assert a_curve({("a", 0): errors}).first_rise("labels") == rise


def test_the_smallest_rank_is_found_seed_by_seed():
    smallest = a_curve().smallest_rank(0.3)
    # At rank 2 the means over targets are .4 and .1.
    assert smallest.by_seed == (4, 2)
    assert smallest.mean == 3
    assert smallest.spread == pytest.approx(2**0.5)
    assert a_curve().smallest_rank(0.3, "inputs", "test").by_seed == (4, 2)


def test_a_rank_that_just_reaches_the_error_is_enough():
    assert a_curve().smallest_rank(0.1).by_seed == (4, 2)


def test_a_seed_that_never_reaches_the_error_makes_the_rank_infinite():
    errors = {**ERRORS, ("b", 0): (0.7, 0.5, 0.5)}
    smallest = a_curve(errors).smallest_rank(0.2)
    assert smallest.by_seed == (math.inf, 2)
    assert smallest.mean == math.inf
    assert math.isnan(smallest.spread)


def test_one_seed_says_nothing_of_the_spread():
    errors = {key: row for key, row in ERRORS.items() if key[1] == 0}
    smallest = a_curve(errors).smallest_rank(0.4)
    assert (smallest.mean, math.isnan(smallest.spread)) == (2, True)


def test_errors_that_are_not_there_are_refused():
    with pytest.raises(InputError, match=r"no errors of data at rank 3; .* at 1, 2, 4"):
        a_curve().errors("data", 3)


def test_the_data_alone_have_no_complexity():
    curve = a_curve()
    alone = replace(curve, fits=tuple(f for f in curve.fits if f.control == "data"))
    with pytest.raises(InputError, match="a random control, and there are data alone"):
        alone.complexity()
