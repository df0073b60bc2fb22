"""Schedules of saves."""

import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.trajectories import SaveAt


@pytest.mark.parametrize(
    ("save_at", "max_steps", "steps"),
    [
        (SaveAt.every(10), 25, [0, 10, 20, 25]),
        (SaveAt.every(100), 25, [0, 25]),
        (SaveAt.linear(3), 10, [0, 5, 10]),
        (SaveAt.linear(1), 10, [0, 10]),
        (SaveAt.linear(50), 3, [0, 1, 2, 3]),
        (SaveAt.logarithmic(4), 1000, [0, 1, 10, 100, 1000]),
        (SaveAt.logarithmic(9), 1, [0, 1]),
        (SaveAt.at([7, 3, 3, 99]), 10, [0, 3, 7, 10]),
    ],
)
def test_the_steps_are_the_schedule_with_the_first_and_the_last(
    save_at, max_steps, steps
):
    np.testing.assert_array_equal(save_at.steps(max_steps), steps)


@pytest.mark.parametrize("make", [SaveAt.every, SaveAt.linear, SaveAt.logarithmic])
def test_fewer_than_one_is_refused(make):
    with pytest.raises(InputError, match="is 0; give a whole number from 1"):
        make(0)


@pytest.mark.parametrize("steps", [[0.5], [-1], [[1, 2]], [True], ["2"]])
def test_only_a_list_of_whole_numbers_can_be_saved_at(steps):
    with pytest.raises(InputError, match="list of whole numbers"):
        SaveAt.at(steps)
