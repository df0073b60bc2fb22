"""When a component rose and came to rest, on curves known in closed form."""

import numpy as np
import pytest

from rankrise.trajectories import arrival, crossing

STEPS = np.arange(0, 2001, 25)


def logistic(steps):
    """Half its final height of .4 at iteration 730, between two saves."""
    return 0.4 / (1 + np.exp(-(steps - 730.0) / 30))


def test_half_height_is_found_between_two_saves():
    # A line between two saves; the curve is bent by less than that.
    assert crossing(STEPS, logistic(STEPS), 0.2) == pytest.approx(730, abs=0.5)


def test_a_level_that_is_never_reached_is_at_infinity():
    assert crossing(STEPS, logistic(STEPS), 0.5) == np.inf


def test_a_norm_arrives_where_it_stops_growing():
    save = arrival(STEPS, logistic(STEPS))
    # Growth s(1 - s) is a fiftieth of its largest, 1/4, at s = .995.
    assert save is not None
    assert logistic(STEPS)[save] == pytest.approx(0.995 * 0.4, rel=0.005)


def test_the_norm_on_arrival_is_not_the_last():
    later = logistic(STEPS) * np.where(STEPS > 1200, 0.95, 1.0)
    save = arrival(STEPS, later)
    assert save is not None
    assert STEPS[save] < 1200


def test_what_still_grows_has_not_arrived():
    assert arrival(STEPS, STEPS / 1.0) is None
