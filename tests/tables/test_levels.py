"""Columns of numbers and categories as features of few values."""

import numpy as np
import pandas as pd
import pytest

from rankrise._errors import InputError
from rankrise.tables._levels import Levels


def decoded(levels, table):
    """What the columns of a table become, before the most frequent value is 0."""
    return levels.encode(table).indices


def column(*values):
    return np.array(values)[:, None]


def test_few_distinct_numbers_are_values_of_their_own():
    levels = Levels.fit(column(3.0, -1.0, 3.0, 7.5), levels=3)
    assert levels.cardinalities == (3,)
    np.testing.assert_array_equal(
        decoded(levels, column(-1.0, 3.0, 7.5)).T, [[0, 1, 2]]
    )


def test_numbers_never_seen_go_to_the_nearest_value():
    levels = Levels.fit(column(0.0, 1.0, 5.0))
    found = decoded(levels, column(-9.0, 0.4, 0.6, 2.9, 3.1, 99.0))
    np.testing.assert_array_equal(found.T, [[0, 0, 1, 1, 2, 2]])


def test_many_distinct_numbers_share_levels_equally():
    numbers = np.random.default_rng(0).standard_normal((800, 1))
    levels = Levels.fit(numbers, levels=8)
    np.testing.assert_array_equal(
        np.bincount(decoded(levels, numbers)[:, 0]), [100] * 8
    )


def test_a_frequent_number_leaves_the_others_their_levels():
    numbers = np.concatenate([np.zeros(900), np.arange(1.0, 101.0)])[:, None]
    levels = Levels.fit(numbers, levels=11)
    counts = np.bincount(decoded(levels, numbers)[:, 0])
    np.testing.assert_array_equal(counts, [900, *[10] * 10])


@pytest.mark.parametrize("seed", range(3))
def test_levels_keep_the_order_of_numbers_and_are_at_most_as_many_as_asked(seed):
    rng = np.random.default_rng(seed)
    numbers = np.round(rng.standard_cauchy(300), 1)
    levels = Levels.fit(numbers[:, None], levels=7)
    found = decoded(levels, np.sort(numbers)[:, None])[:, 0].astype(int)
    assert set(np.diff(found)) <= {0, 1}
    assert 5 <= levels.cardinalities[0] <= 7


def test_neighbours_among_floating_point_numbers_stay_apart():
    numbers = column(1.0, np.nextafter(1.0, 2.0), np.nextafter(1.0, 0.0))
    assert len(set(decoded(Levels.fit(numbers), numbers)[:, 0])) == 3


def test_arrays_frames_and_mappings_of_the_same_samples_become_the_same():
    numbers, words = [1.5, 2.5, 2.5, 0.5], ["b", "a", "b", "c"]
    objects = np.array([numbers, words], dtype=object).T
    frame = pd.DataFrame({"x": numbers, "y": words})
    tables = [
        objects,
        objects.tolist(),
        frame,
        frame.astype({"y": "category"}),
        frame.astype({"y": object}),
        {"x": np.array(numbers), "y": words},
    ]
    for table in tables:
        np.testing.assert_array_equal(
            decoded(Levels.fit(table), table), [[1, 1], [2, 0], [2, 1], [0, 2]]
        )


def test_numeric_categories_of_pandas_stay_categories():
    frame = pd.DataFrame({"x": pd.Categorical([10, 20, 30])})
    levels = Levels.fit(frame)
    with pytest.raises(InputError, match=r"has 11 in column 'x', which no sample"):
        levels.encode(pd.DataFrame({"x": pd.Categorical([11])}))


@pytest.mark.parametrize(
    "values",
    [
        np.array([1.0, np.nan, 2.0]),
        np.array([1.0, None, 2.0], dtype=object),
        np.array(["a", None, "b"], dtype=object),
        pd.Series([1, pd.NA, 2], dtype="Int64"),
        pd.Series([True, pd.NA, False], dtype="boolean"),
        pd.Series(["a", None, "b"]),
        pd.Series(["a", None, "b"], dtype="category"),
        np.array([1.0, pd.NA, 2.0], dtype=object),
    ],
)
def test_missing_is_refused_or_a_value_of_its_own(values):
    table = {"x": values}
    with pytest.raises(
        InputError, match=r"Sample 1 has no value .*; fill it in or remove the row"
    ):
        Levels.fit(table)
    levels = Levels.fit(table, missing="value")
    assert decoded(levels, table)[1, 0] == 2


def test_missing_in_a_column_that_had_none_is_refused():
    levels = Levels.fit(column(1.0, 2.0), missing="value")
    with pytest.raises(InputError, match="Sample 0 has no value"):
        levels.encode(column(np.nan))


def test_unseen_categories_are_refused_or_a_value_of_their_own():
    table = column("a", "b")
    with pytest.raises(
        InputError, match=r"Sample 1 has 'z' .*; replace it or remove the row"
    ):
        Levels.fit(table).encode(column("a", "z"))
    levels = Levels.fit(table, unseen="value")
    np.testing.assert_array_equal(decoded(levels, column("b", "z")).T, [[1, 2]])


def test_other_samples_are_coded_as_those_learned_from():
    table = column(5.0, 5.0, 5.0, 1.0)
    levels = Levels.fit(table)
    assert levels.encode(column(1.0)).codes.tolist() == [[1]]
    assert levels.encode(table).codes[:, 0].tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (column(1.0, np.inf), r"infinite number \(inf\) in feature 0"),
        (np.array([[1], ["a"]], dtype=object), "numbers or text, not both"),
        (np.array([[{"a": 1}]], dtype=object), "holds values of type dict"),
        (np.zeros(3), "shape"),
        (np.zeros((2, 1), "complex64"), "is of type complex64"),
        (pd.DataFrame({"t": pd.period_range("2020", periods=1)}), "column 't' holds"),
        ({"x": [1, 2], "y": [1]}, "column 'y' has 1 values"),
        ({}, "no column"),
        (np.array([[10**400]], dtype=object), "beyond floating point"),
        (np.arange(300).astype(str)[:, None], "has 300 categories; there may be 256"),
        (np.zeros((2, 1), complex), "is of type complex"),
    ],
)
def test_a_table_that_cannot_be_used_is_refused(table, words):
    with pytest.raises(InputError, match=words):
        Levels.fit(table)


def test_other_columns_than_those_learned_from_are_refused():
    levels = Levels.fit({"x": [1, 2], "y": [1, 2]})
    with pytest.raises(InputError, match="y, x, and x, y were learned from"):
        levels.encode({"y": [1], "x": [2]})
    with pytest.raises(InputError, match="have 1 features, and 2 were learned"):
        levels.encode(column(1.0))
    with pytest.raises(InputError, match="column 'y' holds text"):
        levels.encode({"x": [1], "y": ["a"]})


@pytest.mark.parametrize("levels", [1, 257])
def test_more_levels_than_a_byte_counts_are_refused(levels):
    with pytest.raises(InputError, match="it may be 2 to 256"):
        Levels.fit(column(1.0), levels=levels)
