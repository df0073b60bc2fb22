"""Errors by rank, of data and of their random twins."""

import numpy as np
import optax

from rankrise.complexity import rank_curve
from rankrise.data import CategoricalData
from rankrise.ensembles import Training

RNG = np.random.default_rng(0)


def test_a_rank_curve_tells_structure_from_noise():
    values = RNG.integers(0, 2, (400, 10))
    labels = values[:, 0] & values[:, 1]
    data = CategoricalData.from_codes(values[:300], 2)
    curve = rank_curve(
        data,
        labels[:300],
        (1, 2),
        test=(data.encode(values[300:]), labels[300:]),
        classes=[1],
        training=Training(epochs=400, optimizer=optax.adam(1e-2)),
    )
    assert curve.controls == ("real", "inputs", "labels")
    # The conjunction of two features is itself of rank one.
    assert curve.errors("real", 1, "train").item() < 0.01
    assert curve.errors("real", 1, "test").item() < 0.02
    for control in ("inputs", "labels"):
        assert curve.errors(control, 2, "train").item() > 0.1
    assert curve.smallest_rank(0.02) == (1.0, 0.0)
    assert curve.smallest_rank(0.02, "labels")[0] == float("inf")
