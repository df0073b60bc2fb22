"""How models are trained, and what of it is refused."""

import math

import numpy as np
import optax
import pytest

from rankrise._checks import check_whole
from rankrise._errors import InputError
from rankrise.ensembles import (
    LevenbergMarquardt,
    Member,
    Samples,
    Training,
    fit_ensemble,
    quick_training,
    usual_training,
)
from rankrise.tables import CategoricalData


def test_the_default_optimizer_is_one_object_and_so_compiled_once():
    assert Training().method is Training().method


@pytest.mark.parametrize(
    ("make", "words"),
    [
        # Under the tests' type checks no fraction comes as far as a member.
        (lambda: check_whole("epochs", 2.5, 1), r"epochs is 2\.5; give a whole number"),
        (lambda: Training(batch_size=0), "batch_size is 0; give a whole number from 1"),
        (lambda: Training(seed=-1), "seed is -1; give a whole number from 0"),
        (lambda: Member(0, 0), "components is 0; give a whole number from 1"),
        (lambda: Member(1, -1), "task is -1; give a whole number from 0"),
        (lambda: Member(1, 0, seed=-1), "seed is -1; give a whole number from 0"),
        (
            lambda: LevenbergMarquardt(damping=math.nan),
            "damping is nan .* must be positive and finite",
        ),
        (
            lambda: LevenbergMarquardt(inner_tolerance=math.nan),
            "inner_tolerance nan; .* the second from 0 to below 1",
        ),
        (
            lambda: LevenbergMarquardt(inner_passes=0),
            "inner_passes is 0; give a whole number from 1",
        ),
    ],
)
def test_what_cannot_train_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()


# The quick road

BITS = np.random.default_rng(0).integers(0, 2, (600, 12))
DATA = CategoricalData.from_codes(BITS, 2)
# A part that is taken away: one of three components must be negative.
SAMPLES = Samples(
    DATA,
    (BITS[:, :2].all(1) + BITS[:, 2:4].all(1) - 1.0 * BITS[:, 4:6].all(1))[:, None],
)


@pytest.mark.parametrize(
    ("components", "negative"), [(1, 0), (3, 0), (4, 1), (8, 2), (11, 2)]
)
def test_a_quarter_of_the_components_start_negative(components, negative):
    still = Training(
        epochs=1, optimizer=optax.sgd(0.0), init_mean=0.7, mixed_signs=True
    )
    (table,) = fit_ensemble(SAMPLES, (Member(components, 0),), still).tables
    products = table[BITS, np.arange(12)].prod(axis=1)
    np.testing.assert_array_equal((products < 0).sum(axis=1), negative)


def test_quick_training_fits_more_closely_than_the_paper_s_in_as_many_passes():
    quick, slow = (
        fit_ensemble(SAMPLES, (Member(3, 0),), training).train_losses[-1, 0]
        for training in (quick_training(DATA, epochs=30), Training(epochs=30))
    )
    assert quick < 0.1 * slow


def test_quick_training_is_for_data_that_are_coded(unchecked):
    with pytest.raises(InputError, match="The data are ndarray; give CategoricalData"):
        quick_training(BITS)


def test_quick_training_of_no_epoch_is_refused():
    with pytest.raises(InputError, match="epochs is 0; give a whole number from 1"):
        quick_training(DATA, epochs=0)


@pytest.mark.parametrize(
    ("shape", "is_large"), [((50_000, 500), True), ((50_000, 499), False)]
)
def test_data_as_large_as_mnist_are_trained_quickly_and_others_by_damped_steps(
    shape, is_large
):
    codes = np.zeros(shape, np.uint8)
    codes[0] = 1
    training = usual_training(CategoricalData.from_codes(codes, 2))
    assert isinstance(training.method, LevenbergMarquardt) != is_large
    assert (training.epochs, training.batch_size) == (
        (700, 500) if is_large else (40, 5000)
    )
