"""Where rows and observations stand."""

import numpy as np
import pytest

from rankrise.completion._arrangement import Arrangement, Rows, chains

RNG = np.random.default_rng(0)


def in_order(mode_dims, count):
    rows = np.stack([RNG.integers(0, dim, count) for dim in mode_dims], axis=1)
    return np.unique(rows, axis=0).astype(np.int32)


@pytest.mark.parametrize(
    "mode_dims", [(7, 3, 5), (2, 40, 1, 6), (70_000, 5, 4), (1, 1), (10**9, 30)]
)
def test_each_observation_stands_once_among_those_of_its_row(mode_dims):
    indices = in_order(mode_dims, 400)
    rows = Rows.of(indices, mode_dims)
    found = Arrangement.of(indices, rows)
    stacked = rows.stacked(rows.places(indices)[0])
    for mode in range(len(mode_dims)):
        places = found.at_places(mode)
        np.testing.assert_array_equal(np.sort(places), np.arange(len(indices)))
        begins = found.observed.begins[rows.starts[mode] : rows.starts[mode + 1] + 1]
        counts = np.diff(begins)
        owners = np.repeat(rows.names[mode], counts)
        np.testing.assert_array_equal(indices[places, mode], owners)
        others = found.observed.others[begins[0] : begins[-1]]
        np.testing.assert_array_equal(others, np.delete(stacked[places], mode, axis=1))


def test_a_number_for_every_observation_is_spread_to_all_its_places():
    indices = in_order((7, 3, 5), 60)
    arrangement = Arrangement.of(indices, Rows.of(indices, (7, 3, 5)))
    spread = arrangement.spread(np.arange(len(indices)))
    places = [arrangement.at_places(mode) for mode in range(3)]
    np.testing.assert_array_equal(spread, np.concatenate(places))


def test_rows_without_observations_are_left_out():
    indices = np.array([[0, 5], [3, 5], [9, 7]], np.int32)
    rows = Rows.of(indices, (10, 10**12))
    assert [names.tolist() for names in rows.names] == [[0, 3, 9], [5, 7]]
    assert rows.gaps.tolist() == [3, 6, 0, 2, 0]
    assert rows.dims == (3, 2)
    assert not rows.are_all


def test_places_of_rows_never_observed_are_said_to_be_none():
    rows = Rows.of(np.array([[0, 5], [3, 5], [9, 7]]), (10, 20))
    places, unknown = rows.places(np.array([[9, 5], [4, 7], [0, 19], [-1, 20]]))
    # One more than the last, where models have a row of zeros.
    assert places.tolist() == [[2, 0], [3, 1], [0, 2], [3, 2]]
    assert unknown.tolist() == [
        [False, False],
        [True, False],
        [False, True],
        [True, True],
    ]


def test_indices_outside_a_tensor_that_is_observed_everywhere_have_no_place():
    rows = Rows.of(np.array([[0, 0], [1, 1]]), (2, 2))
    places, unknown = rows.places(np.array([[-1, 1], [1, 2]]))
    assert places.tolist() == [[2, 1], [1, 2]]
    assert unknown.tolist() == [[True, False], [False, True]]


def test_stacked_factors_come_apart_again():
    rows = Rows.of(in_order((7, 3, 5), 100), (7, 3, 5))
    matrices = [RNG.standard_normal((dim, 2)) for dim in rows.dims]
    for own, found in zip(matrices, rows.split(np.concatenate(matrices)), strict=True):
        np.testing.assert_array_equal(own, found)


@pytest.mark.parametrize("correlation", [0.0, 0.6, 0.98])
@pytest.mark.parametrize("names", [[0], [2, 3], [0, 1, 2, 3, 4], [0, 1, 4, 5, 11]])
def test_the_penalty_is_the_precision_of_a_chain(names, correlation):
    # A second mode tells whether modes are kept apart.
    indices = np.array([[name, k % 3] for k, name in enumerate(names)] + [[2, 2]])
    indices = np.unique(indices, axis=0)
    rows = Rows.of(indices, (12, 3))
    names = rows.names[0]
    found = chains(rows, np.array([correlation, 0.0]))
    count = len(names)
    precision = np.diag(found.diagonal[:count])
    links = found.coupling[: count - 1]
    precision += np.diag(links, 1) + np.diag(links, -1)
    distances = np.abs(names[:, None] - names).astype(float)
    np.testing.assert_allclose(
        precision @ correlation**distances, np.eye(count), atol=1e-10
    )
    np.testing.assert_array_equal(found.diagonal[count:], 1)
    np.testing.assert_array_equal(found.coupling[count - 1 :], 0)
