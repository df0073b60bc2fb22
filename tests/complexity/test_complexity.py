"""One number for how complex a data set is, with an interval."""

import logging

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_wine

from rankrise._errors import InputError
from rankrise.complexity import rank_curve
from rankrise.tables import labelled_folds

RNG = np.random.default_rng(0)
X = RNG.integers(0, 3, (300, 4))
EQUAL = np.where(X[:, 0] == X[:, 1], "same", "other")


@pytest.fixture(scope="module")
def equal():
    return rank_curve(X, EQUAL, classes=["same"])


def test_equality_of_two_features_has_the_rank_of_the_identity(equal):
    found = equal.complexity()
    assert (found.rank, found.interval, found.at_least) == (3, (3, 3), False)
    assert found.structure == pytest.approx(1, abs=1e-3)
    # A component for each of the three values.
    assert found.explained[2] < 0.7


def test_a_smaller_share_needs_no_higher_rank(equal):
    ranks = [equal.complexity(share).rank for share in (0.01, 0.3, 0.9, 1.0)]
    assert ranks == sorted(ranks)
    assert ranks[0] < 3


@pytest.mark.parametrize("what", ["rows", "columns", "labels"])
def test_the_complexity_does_not_depend_on_order_or_names(what):
    order = RNG.permutation(300)
    table, labels, classes = {
        "rows": (X[order], EQUAL[order], ["same"]),
        "columns": (X[:, [2, 1, 3, 0]], EQUAL, ["same"]),
        "labels": (X, np.where(EQUAL == "same", "a", "z"), ["a"]),
    }[what]
    found = rank_curve(table, labels, classes=classes).complexity()
    assert (found.rank, found.interval) == (3, (3, 3))


def test_labels_without_structure_are_said_to_have_none(caplog):
    noise = np.random.default_rng(3).integers(0, 2, 300)
    with caplog.at_level(logging.WARNING):
        found = rank_curve(X, noise, ranks=(1, 2), classes=[1]).complexity()
    assert (found.rank, found.interval) == (None, None)
    assert str(found).startswith("no structure")
    assert "fitted no better than random labels" in caplog.text


def test_levels_are_as_many_as_wines_samples_can_tell():
    data = load_wine()
    curve = rank_curve(data.data, data.target, ranks=(1, 2, 3))
    # At 16 levels all three are 0 at rank 1 already.
    assert curve.mean("data")[0] < 0.2 * curve.mean("labels")[0]
    found = curve.complexity()
    assert found.rank == 2
    assert found.structure > 0.9
    assert len({fit.fold for fit in curve.fits}) == 5


def test_a_table_with_more_parameters_than_samples_is_warned_of(caplog):
    data = load_wine()
    with caplog.at_level(logging.WARNING):
        curve = rank_curve(data.data, data.target, ranks=(1,), levels=16)
    found = curve.complexity()
    assert not found.can_be_told
    assert "cannot be told" in str(found)
    assert "196 parameters, and there are 142 samples" in caplog.text


def test_every_sample_is_tested_once_and_classes_keep_their_share():
    labels = np.repeat([0, 1, 2], [100, 150, 50])
    folds = labelled_folds(np.arange(300)[:, None], labels, folds=5, levels=4)
    found = np.concatenate([fold.test_labels for fold in folds])
    np.testing.assert_array_equal(np.sort(found), labels)
    for fold in folds:
        assert np.bincount(fold.test_labels).tolist() == [20, 30, 10]


def test_controls_of_folds_are_drawn_apart(equal):
    for control in ("inputs", "labels"):
        errors = equal.errors(control, 1)[0]
        assert len(set(errors.tolist())) == 5


def test_a_curve_is_a_frame_of_one_row_a_model(equal):
    frame = equal.to_dataframe()
    assert len(frame) == len(equal.fits)
    means = frame.groupby(["control", "rank"])["train_error"].mean()
    np.testing.assert_allclose(means["data"], equal.mean("data"))
    assert len(repr(equal)) < 400


def test_dates_booleans_and_what_is_missing_are_features():
    days = (
        pd.date_range("2020-01-01", periods=200).to_series().sample(200, random_state=0)
    )
    table = pd.DataFrame({"day": days, "seen": RNG.random(200) < 0.5})
    table["day"] = table["day"].mask(RNG.random(200) < 0.1)
    table["seen"] = table["seen"].astype(object).mask(RNG.random(200) < 0.1)
    late = (table["day"] > "2020-04-10").to_numpy()
    found = rank_curve(table, late, ranks=(1,), classes=[True], folds=1)
    assert found.mean("data")[0] < 0.3 * found.mean("labels")[0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"folds": 0}, "folds is 0; give a whole number from 2"),
        ({"folds": 400}, "300 samples for 400 folds; ask for fewer"),
        ({"folds": 3, "test": (X, EQUAL)}, "are given, so there are no folds"),
    ],
)
def test_folds_that_make_no_sense_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        rank_curve(X, EQUAL, **options)


def test_a_share_that_is_none_is_refused(equal):
    with pytest.raises(InputError, match=r"The share is 1\.5; give one above 0"):
        equal.complexity(1.5)
