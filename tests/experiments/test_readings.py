"""What was read off the paper's plots is whole, and what was not is not made up."""

import itertools
import math

import pytest

from rankrise.complexity import CONTROLS, SPLITS
from rankrise.experiments._readings import complexity_readings, dynamics_readings


def test_every_rank_control_and_split_of_mnist_was_read():
    readings = complexity_readings("mnist")
    assert set(readings) == set(itertools.product(CONTROLS, range(1, 16), SPLITS))
    assert all(0 < reading.mean < 0.16 for reading in readings.values())


def test_controls_are_told_apart_by_the_paper_s_names():
    readings = complexity_readings("mnist")
    means = [readings[control, 15, "train"].mean for control in CONTROLS]
    assert means == [0.0025, 0.0146, 0.0438]


def test_a_bar_that_cannot_be_read_is_missing_and_not_zero():
    readings = complexity_readings("mnist")
    assert readings["data", 1, "train"].spread == 0.0093
    assert math.isnan(readings["labels", 1, "test"].spread)


def test_of_fashion_mnist_nothing_was_read():
    assert complexity_readings("fashion-mnist") == {}


def test_the_dynamics_of_three_init_scales_were_read():
    readings = dynamics_readings()
    assert set(readings) == {0.05, 0.01, 0.005}
    assert readings[0.005].half_heights == (4200, 5300, 7000, 9810, 11240)
    # At the largest only two steps can be told apart.
    assert len(readings[0.05].half_heights) == 2
    assert readings[0.05].risen is None


@pytest.mark.parametrize("init_scale", [0.05, 0.01, 0.005])
def test_every_step_has_the_error_after_it(init_scale):
    reading = dynamics_readings()[init_scale]
    assert len(reading.plateau_errors) == len(reading.half_heights)
