"""The experiment behind `rankrise complexity`."""

import numpy as np
import pytest

from rankrise import InputError
from rankrise.experiments import ComplexityConfig, run_complexity, summarize_complexity
from rankrise.experiments._complexity import _of_optax
from rankrise.tables import labelled_table


def test_runs_with_the_same_settings_share_an_optimizer_and_so_its_programs():
    assert _of_optax("adam", 0.01) is _of_optax("adam", 0.01)
    assert _of_optax("adam", 0.01) is not _of_optax("adam", 0.02)


@pytest.mark.parametrize(
    ("asked", "used", "epochs"),
    [
        (None, "levenberg-marquardt", None),
        ("quick", "quick", 3),
        ("sgd", "sgd", 3),
    ],
)
def test_models_are_trained_as_is_asked_for_and_it_is_said_how(asked, used, epochs):
    X = np.random.default_rng(0).integers(0, 2, (90, 5))
    data = labelled_table(X, X[:, 0] ^ X[:, 1], test=(X, X[:, 0]))
    config = ComplexityConfig(
        ranks=("1",), controls=("none",), optimizer=asked, epochs=epochs
    )
    found = run_complexity("digits", config, data=data)
    assert {fit.epochs for fit in found.curve.fits} == {epochs or 40}
    assert (found.optimizer, summarize_complexity(found)["optimizer"]) == (used, used)


@pytest.mark.parametrize("optimizer", [None, "quick", "levenberg-marquardt"])
def test_what_chooses_its_steps_takes_no_learning_rate(optimizer):
    with pytest.raises(InputError, match="`learning_rate` has no use for"):
        ComplexityConfig(optimizer=optimizer, learning_rate=0.1)
