"""Observations: what every kind of input becomes, and what is refused by name."""

import re

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from rankrise._errors import InputError
from rankrise.tensors._input_checks import ravel_indices
from rankrise.tensors._observations import Observations

NAN = float("nan")
INF = float("inf")
SQUARE = np.arange(4.0).reshape(2, 2)

shapes = hnp.array_shapes(min_dims=2, max_dims=4, max_side=4)
arrays = shapes.flatmap(
    lambda shape: hnp.arrays(
        np.float64,
        shape,
        elements=st.floats(-9, 9) | st.just(NAN),
        fill=st.nothing(),
    )
).filter(lambda array: not np.isnan(array).all())


def grid_observations(count: int) -> Observations:
    """Entries whose value and weight both tell which row they came from."""
    indices = np.argwhere(np.ones((count, 2)))[:count]
    numbers = np.arange(1.0, count + 1)
    return Observations.from_coordinates(indices, numbers, weights=10 * numbers)


@given(arrays)
def test_dense_gives_back_the_array(array):
    observations = Observations.from_array(array)
    np.testing.assert_array_equal(observations.dense(), array)
    assert observations.mode_dims == array.shape
    assert observations.order == array.ndim
    assert observations.entry_count == array.size
    assert len(observations) == np.isfinite(array).sum()


@given(arrays, st.randoms(use_true_random=False))
def test_coordinates_in_any_order_are_the_same_tensor_as_the_array(array, random):
    rows = np.argwhere(~np.isnan(array)).tolist()
    random.shuffle(rows)
    values = [array[tuple(row)] for row in rows]
    observations = Observations.from_coordinates(rows, values, array.shape)
    np.testing.assert_array_equal(observations.dense(), array)
    np.testing.assert_array_equal(observations.indices, rows)


@pytest.mark.parametrize("mask_type", [bool, int, np.uint8, np.float32])
def test_mask_is_true_where_an_entry_is_observed(mask_type):
    mask = np.array([[1, 0, 1], [0, 1, 0]]).astype(mask_type)
    array = np.array([[1.0, NAN, 3.0], [INF, 5.0, 6.0]])
    observations = Observations.from_array(array, mask)
    np.testing.assert_array_equal(observations.indices, [[0, 0], [0, 2], [1, 1]])
    np.testing.assert_array_equal(observations.values, [1.0, 3.0, 5.0])


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint16, np.float16, np.float32])
def test_values_are_float64_whatever_came(dtype):
    array = np.array([[1, 0], [0, 1]], dtype=dtype)
    observations = Observations.from_array(array)
    assert observations.values.dtype == np.float64
    np.testing.assert_array_equal(observations.dense(), [[1.0, 0.0], [0.0, 1.0]])


def test_weights_are_read_at_observed_entries_only():
    array = np.array([[1.0, NAN], [3.0, 4.0]])
    weights = np.array([[0.5, -1.0], [0.0, 2.0]])
    observations = Observations.from_array(array, weights=weights)
    np.testing.assert_array_equal(observations.weights, [0.5, 0.0, 2.0])


def test_mode_dims_default_to_the_largest_indices_plus_one():
    observations = Observations.from_coordinates([[0, 6, 1], [2, 0, 1]], [1.0, 2.0])
    assert observations.mode_dims == (3, 7, 2)


def test_whole_floating_point_indices_are_taken():
    observations = Observations.from_coordinates([[0.0, 2.0]], [1.0])
    np.testing.assert_array_equal(observations.indices, [[0, 2]])
    assert observations.indices.dtype.kind == "i"


@pytest.mark.parametrize(("dim", "dtype"), [(2**31 - 1, np.int32), (2**31, np.int64)])
def test_indices_are_as_narrow_as_the_mode_dims_allow(dim, dtype):
    observations = Observations.from_coordinates([[dim - 1, 0]], [1.0])
    assert observations.indices.dtype == dtype
    assert observations.indices[0, 0] == dim - 1


def test_entry_count_goes_beyond_int64():
    observations = Observations.from_coordinates([[0, 0, 0]], [1.0], (2**32,) * 3)
    assert observations.entry_count == 2**96


@pytest.mark.parametrize("stretch", [1, 2**40], ids=["int64", "beyond int64"])
@given(rows=st.lists(st.tuples(*[st.integers(0, 2)] * 3), min_size=1, max_size=12))
def test_duplicates_are_refused_and_only_they(stretch, rows):
    indices = np.array(rows) * stretch
    mode_dims = (2 * stretch + 1,) * 3
    values = np.ones(len(rows))
    if len(set(rows)) == len(rows):
        assert len(Observations.from_coordinates(indices, values, mode_dims)) == len(
            rows
        )
        return
    with pytest.raises(InputError, match="both give the entry") as caught:
        Observations.from_coordinates(indices, values, mode_dims)
    first, second = map(int, re.findall(r"Rows (\d+) and (\d+)", str(caught.value))[0])
    assert first < second
    assert rows[first] == rows[second]
    assert str(tuple(indices[first].tolist())) in str(caught.value)


@given(shapes, st.data())
def test_raveled_indices_are_row_major_positions(mode_dims, data):
    row = tuple(data.draw(st.integers(0, dim - 1)) for dim in mode_dims)
    (flat,) = ravel_indices(np.array([row]), mode_dims)
    assert flat == np.ravel_multi_index(row, mode_dims)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"array": np.array(3.0)}, r"shape \(\), which is order 0"),
        ({"array": [1.0, 2.0]}, r"shape \(2,\), which is order 1; .* two modes"),
        ({"array": [[1.0, 2.0], [3.0]]}, "The array .* rows differ in length"),
        ({"array": SQUARE + 1j}, "The array cannot have data type complex128"),
        ({"array": [["1", "x"]]}, "The array cannot have data type <U1"),
        ({"array": [[1.0, None]]}, "The array cannot have data type object"),
        ({"array": [[1.0, -INF]]}, r"entry at \(0, 1\) is -inf"),
        ({"array": [[NAN, NAN]]}, "None of the 2 entries is observed"),
        ({"array": np.zeros((0, 3))}, "None of the 0 entries is observed"),
        (
            {"array": [[1.0, 2.0], [NAN, 4.0]], "mask": [[1, 0], [1, 1]]},
            r"entry at \(1, 0\) is nan",
        ),
        (
            {"array": SQUARE, "mask": np.zeros((2, 2), bool)},
            "None of the 4 entries is observed",
        ),
        (
            {"array": SQUARE, "mask": [True, True]},
            r"mask has shape \(2,\) but the array has \(2, 2\)",
        ),
        (
            {"array": SQUARE, "mask": [[1, 1], [2, 1]]},
            r"mask holds 2 at \(1, 0\)",
        ),
        (
            {"array": SQUARE, "mask": [[1, 1], [1, NAN]]},
            r"mask holds nan at \(1, 1\)",
        ),
        ({"array": SQUARE, "mask": [["y", "n"]] * 2}, "mask has data type <U1"),
        ({"array": SQUARE, "mask": [[1, 1], [1]]}, "The mask .* rows differ in length"),
        (
            {"array": SQUARE, "weights": [1.0, 1.0]},
            r"weights have shape \(2,\) but the array has \(2, 2\)",
        ),
        (
            {"array": [[NAN, 1.0], [2.0, 3.0]], "weights": [[1, 1], [-2, 1]]},
            "Observation 1 has the weight -2.0",
        ),
        ({"array": SQUARE, "weights": [[1, 1], [1]]}, "The weights .* differ in leng"),
    ],
)
def test_refused_arrays_are_named(arguments, message):
    with pytest.raises(InputError, match=message):
        Observations.from_array(**arguments)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([0, 1], r"indices have shape \(2,\); one row per observed entry"),
        ([[0, 1], [2]], "The indices .* rows differ in length"),
        ([[], []], r"0 index column\(s\); a tensor needs at least two"),
        ([[0], [1]], r"1 index column\(s\); a tensor needs at least two"),
        ([[0, 1], [2, 0.5]], "Row 1 has the index 0.5 in mode 2"),
        ([[0, 1], [NAN, 0]], "Row 1 has the index nan in mode 1"),
        ([[0, INF], [0, 0]], "Row 0 has the index inf in mode 2"),
        ([[0, 1], [1e19, 0]], r"Row 1 has the index 1e\+19 in mode 1.* below 2\^63"),
        (
            np.array([[0, 2**63], [0, 1]], dtype=np.uint64),
            "Row 0 has the index 9223372036854775808 in mode 2",
        ),
        ([["0", "1"]] * 2, "indices have data type <U1"),
        (np.eye(2, dtype=bool), "indices have data type bool"),
        ([[0, 1], [3, -1]], r"Row 1 has the negative index -1 in \(3, -1\)"),
        ([[0, 1], [2, 4]], "Row 1 has the index 4 in mode 2, whose dimension is 4"),
        ([[3, 1], [2, 0]], "Row 0 has the index 3 in mode 1, whose dimension is 3"),
        (
            [[0, 1, 0], [2, 0, 0]],
            r"indices have shape \(2, 3\) but the mode dimensions are \(3, 4\)",
        ),
        ([[0, 1], [0, 1]], r"Rows 0 and 1 both give the entry \(0, 1\)"),
        ([[0, 1]], r"1 rows of indices but the values have shape \(2,\)"),
    ],
)
def test_refused_coordinates_are_named(indices, message):
    with pytest.raises(InputError, match=message):
        Observations.from_coordinates(indices, [1.0, 2.0], (3, 4))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.0, 3.0], r"2 rows of indices but the values have shape \(3,\)"),
        ([[1.0], [2.0]], r"values have shape \(2, 1\)"),
        ([1.0, NAN], r"entry at \(2, 0\) is nan"),
        ([INF, 1.0], r"entry at \(0, 1\) is inf"),
        ([1.0, 2j], "The values cannot have data type complex128"),
    ],
)
def test_refused_values_are_named(values, message):
    with pytest.raises(InputError, match=message):
        Observations.from_coordinates([[0, 1], [2, 0]], values)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], r"weights have shape \(1,\) for 2 observations"),
        ([1.0, -0.5], "Observation 1 has the weight -0.5"),
        ([NAN, 1.0], "Observation 0 has the weight nan"),
        ([1.0, INF], "Observation 1 has the weight inf"),
        ([0.0, 0.0], "All weights are zero"),
        ([1.0, 2j], "The weights cannot have data type complex128"),
        (["1", "x"], "The weights cannot have data type <U1"),
    ],
)
def test_refused_weights_are_named(weights, message):
    with pytest.raises(InputError, match=message):
        Observations.from_coordinates([[0, 1], [2, 0]], [1.0, 2.0], weights=weights)


def test_no_rows_are_refused():
    with pytest.raises(InputError, match="There are no observed entries"):
        Observations.from_coordinates(np.empty((0, 3)), [])


def test_take_keeps_rows_values_and_weights_together():
    observations = grid_observations(5)
    taken = observations.take(np.array([3, 0]))
    np.testing.assert_array_equal(taken.indices, observations.indices[[3, 0]])
    np.testing.assert_array_equal(taken.values, [4.0, 1.0])
    np.testing.assert_array_equal(taken.weights, [40.0, 10.0])
    assert taken.mode_dims == observations.mode_dims


def test_what_a_masked_array_masks_is_unobserved():
    masked = np.ma.masked_array(np.arange(6.0).reshape(2, 3), mask=np.eye(2, 3))
    observations = Observations.from_array(masked)
    np.testing.assert_array_equal(observations.values, [1.0, 2.0, 3.0, 5.0])
