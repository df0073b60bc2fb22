"""rankrise's side of the comparison: one call, nothing chosen by hand.

It is given the entries for training alone and holds out of these what it chooses by.
Those held out for the others it never sees, though a user's call would learn from them.
"""

import time

import numpy as np

from _completion_cases import Case, Floats
from rankrise.completion import complete_observations
from rankrise.data import Observations

NAME = "rankrise"
_LEVEL = 0.9


def rankrise_complete(case: Case) -> tuple[Floats, Floats, dict[str, float | int]]:
    """Predictions at `case.test` and `case.held_out`, and what else is of interest.

    That is the seconds it took, the number of models, the rank, and which share of the
    test entries the 90% intervals hold.
    """
    began = time.perf_counter()
    observations = Observations.from_coordinates(
        case.indices(case.train), case.values(case.train), case.mode_dims
    )
    completion = complete_observations(observations)
    at_test, at_held_out = (
        completion.entries(case.indices(places))
        for places in (case.test, case.held_out)
    )
    seconds = time.perf_counter() - began
    low, high = completion.interval(case.indices(case.test), _LEVEL)
    truth = case.values(case.test)
    return (
        at_test,
        at_held_out,
        {
            "seconds": seconds,
            "models": len(completion.members),
            "smooth": completion.reference.smooth,
            "rank": completion.rank,
            "coverage": float(np.mean((low <= truth) & (truth <= high))),
        },
    )
