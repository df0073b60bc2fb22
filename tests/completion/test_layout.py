"""Where rows and observations stand."""

import jax
import numpy as np
import pytest

from rankrise import Observations
from rankrise.completion import Completing, complete_observations
from rankrise.completion._layout import lay_out, split_rows, stack_rows

RNG = np.random.default_rng(0)


def random_indices(mode_dims, count):
    return np.stack([RNG.integers(0, dim, count) for dim in mode_dims], axis=1).astype(
        np.int32
    )


@pytest.mark.parametrize(
    "mode_dims", [(7, 3, 5), (2, 40, 1, 6), (70_000, 5, 4), (1, 1)]
)
def test_each_observation_stands_once_in_the_chunks_of_its_row(mode_dims):
    indices = random_indices(mode_dims, 400)
    starts = np.cumsum(mode_dims) - mode_dims
    layout, places = lay_out(indices, mode_dims)
    for mode, (group, at) in enumerate(layout.slots):
        chunks, place = layout.groups[group], places.groups[group][at]
        there = place >= 0
        np.testing.assert_array_equal(np.sort(place[there]), np.arange(len(indices)))
        rows = np.broadcast_to(np.asarray(chunks.row[at])[:, None], place.shape)
        np.testing.assert_array_equal(rows[there], indices[place[there], mode])
        assert np.all(np.diff(rows[:, 0]) >= 0)
        others = np.delete(indices + starts, mode, axis=1)[place[there]]
        np.testing.assert_array_equal(np.asarray(chunks.others[at])[there], others)
        # What lies beyond the blocks that are summed is empty.
        assert not there[int(chunks.blocks[at]) * chunks.block_size :].any()
        assert starts[mode] + chunks.rows <= len(layout.modes.of_row)


def test_tensors_of_about_one_size_share_a_program():
    def shapes(mode_dims, count):
        layout, _ = lay_out(random_indices(mode_dims, count), mode_dims)
        leaves, tree = jax.tree.flatten(layout)
        return [leaf.shape for leaf in leaves], tree

    assert shapes((12, 4, 8, 4), 700) == shapes((10, 5, 9, 3), 720)
    assert shapes((60, 40, 30), 9000) == shapes((55, 48, 25), 8800)


def test_stacked_matrices_come_apart_again():
    matrices = [RNG.standard_normal((dim, 2)) for dim in (3, 5)]
    for own, found in zip(
        matrices, split_rows(stack_rows(matrices, 16), (3, 5)), strict=True
    ):
        np.testing.assert_array_equal(own, found)


def test_memory_does_not_grow_with_the_number_of_entries():
    # The tensor has 10^20 entries, more than 64 bits can count.
    mode_dims = (10**5,) * 4
    indices = random_indices((4, 5, 3, 4), 100)
    indices = np.unique(indices, axis=0)
    factors = [RNG.standard_normal(5) for _ in mode_dims]
    values = np.prod([f[i] for f, i in zip(factors, indices.T, strict=True)], axis=0)
    observations = Observations.from_coordinates(indices * 20_000, values, mode_dims)
    completing = Completing(
        models=1, smooth=False, penalties=(0.5,), max_components=1, heldout="auto"
    )
    completion = complete_observations(observations, completing)
    assert np.isfinite(completion.entries(observations.indices)).all()
    assert len(completion.unobserved_slices) == 4 * 10**5 - sum(
        len(np.unique(column)) for column in indices.T
    )
