"""Damped Gauss-Newton steps for an ensemble."""

import os
import signal

import jax
import numpy as np
import optax
import pytest

from rankrise.ensembles import (
    LevenbergMarquardt,
    Member,
    Samples,
    Training,
    fit_ensemble,
)
from rankrise.runs import Checkpoint
from rankrise.tables import CategoricalData

RNG = np.random.default_rng(0)
VALUES = RNG.integers(0, 3, (90, 6))
DATA = CategoricalData.from_codes(VALUES, 3)
TARGETS = np.stack([VALUES[:, 0] * VALUES[:, 1], RNG.normal(size=90)], axis=1)
TRAIN = Samples(DATA, TARGETS.astype(float))
MEMBERS = (Member(1, 0), Member(3, 1), Member(2, 0, seed=1))
TRAINING = Training(epochs=25, optimizer=LevenbergMarquardt(), init_std=0.1)


@pytest.fixture(scope="module")
def fit():
    return fit_ensemble(TRAIN, MEMBERS, TRAINING)


def test_no_step_makes_a_model_worse(fit):
    assert (np.diff(fit.train_losses, axis=0) <= 0).all()


def test_losses_are_those_of_the_tables(fit):
    for place, member in enumerate(MEMBERS):
        table = fit.tables[place]
        predictions = table[DATA.codes, np.arange(6)].prod(axis=1).sum(axis=1)
        expected = np.mean((predictions - TARGETS[:, member.task]) ** 2)
        np.testing.assert_allclose(
            fit.train_losses[-1, place], expected, rtol=1e-9, atol=1e-20
        )


def test_a_target_of_rank_one_is_found_exactly(fit):
    # The product of two features is itself of rank one.
    assert fit.train_losses[-1, 0] < 1e-12


def test_steps_do_not_depend_on_how_sizes_are_spread_over_modes():
    scales = np.array([4.0, 0.25, 1.0, 2.0, 0.5, 1.0])[:, None]
    start = np.random.default_rng(0).normal(0.7, 1e-3, (3, 6, MEMBERS[1].components))
    plain = fit_ensemble(TRAIN, MEMBERS[1:2], TRAINING, start=[start])
    spread = fit_ensemble(TRAIN, MEMBERS[1:2], TRAINING, start=[scales * start])
    # Sums round, and whether an inner iteration is one of the last hangs on that.
    np.testing.assert_allclose(
        spread.train_losses[:4], plain.train_losses[:4], rtol=1e-5
    )


def assert_same(first, second):
    for ours, theirs in zip(first.tables, second.tables, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(first.train_losses, second.train_losses)


@pytest.fixture
def fit_in_chunks(monkeypatch):
    """Twenty steps of some size, in which a difference of rounding shows."""
    from rankrise.ensembles import _fit

    codes = np.random.default_rng(0).integers(0, 5, (1437, 20))
    samples = Samples(
        CategoricalData.from_codes(codes, 5), (codes[:, :2] > 2).astype(float)
    )
    members = [Member(components, task) for components in (3, 4) for task in (0, 1)]
    training = Training(epochs=20, optimizer=LevenbergMarquardt())

    def fit(seconds, **options):
        monkeypatch.setattr(_fit, "_CHUNK_SECONDS", seconds)
        with jax.enable_x64(False):
            return fit_ensemble(samples, members, training, **options)

    return fit


def test_where_chunks_end_changes_nothing(fit_in_chunks):
    assert_same(fit_in_chunks(0.0), fit_in_chunks(100.0))


def test_a_run_cut_off_between_two_measurements_goes_on_as_the_unbroken_one(
    fit_in_chunks, tmp_path
):
    def interrupt(progress):
        if progress.epoch == 7:
            os.kill(os.getpid(), signal.SIGINT)

    kept = Checkpoint(tmp_path / "state.npz", resume=True)
    with pytest.raises(KeyboardInterrupt):
        fit_in_chunks(0.0, checkpoint=kept, progress=interrupt)
    assert_same(fit_in_chunks(100.0, checkpoint=kept), fit_in_chunks(100.0))


@pytest.mark.slow
def test_it_ends_lower_than_adam_on_as_many_passes(fit):
    passes = 25 * 21
    adam = fit_ensemble(
        TRAIN,
        MEMBERS[1:2],
        Training(epochs=passes, init_std=0.1, optimizer=optax.adam(1e-2)),
    )
    assert fit.train_losses[-1, 1] < adam.train_losses[-1, 0]


@pytest.mark.slow
def test_blocks_of_samples_add_up(fit):
    training = Training(
        epochs=25, optimizer=LevenbergMarquardt(), init_std=0.1, batch_size=40
    )
    blocks = fit_ensemble(TRAIN, MEMBERS, training)
    np.testing.assert_allclose(blocks.train_losses[:4], fit.train_losses[:4], rtol=1e-5)


def test_models_of_any_rank_start_about_as_large_as_what_they_learn():
    targets = 3 * TARGETS[:, :1].astype(float)
    for components in (1, 7):
        mean = TRAINING.start_mean(targets, components, modes=200)
        size = np.sqrt(np.mean(targets**2))
        assert components * mean**200 == pytest.approx(size)


def test_the_start_of_the_paper_is_around_one():
    assert Training().start_mean(TARGETS, 7, modes=200) == 1
