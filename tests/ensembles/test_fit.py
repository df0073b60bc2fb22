"""Many models as columns of one table."""

import os
import signal
from dataclasses import replace

import jax
import numpy as np
import optax
import pytest

import rankrise as rr
from rankrise._errors import InputError
from rankrise.ensembles import (
    LevenbergMarquardt,
    Member,
    Samples,
    Training,
    fit_ensemble,
)
from rankrise.ensembles._ensemble import rounded, start_table
from rankrise.losses import HuberLoss
from rankrise.runs import Checkpoint, Ending, keeping_interrupted
from rankrise.tables import CategoricalData

RNG = np.random.default_rng(0)
VALUES = RNG.integers(0, 2, (60, 8))
TARGETS = np.stack([VALUES[:, 0] * VALUES[:, 1], VALUES[:, 2]], axis=1).astype(float)
DATA = CategoricalData.from_codes(VALUES, 2)
TRAIN = Samples(DATA, TARGETS)
CONSTANT = Samples(DATA, np.hstack([np.ones((60, 1)), TARGETS]))
MEMBERS = (Member(1, 0), Member(2, 1), Member(3, 0, seed=1))
TRAINING = Training(epochs=20, batch_size=25, optimizer=optax.adam(1e-2))


@pytest.fixture(scope="module")
def fit():
    return fit_ensemble(TRAIN, MEMBERS, TRAINING, test=TRAIN)


def test_a_model_learns_as_it_would_alone(fit):
    for place, member in enumerate(MEMBERS):
        alone = fit_ensemble(TRAIN, (member,), TRAINING)
        np.testing.assert_allclose(alone.tables[0], fit.tables[place], rtol=1e-9)
        np.testing.assert_allclose(
            alone.train_losses[:, 0], fit.train_losses[:, place], rtol=1e-9
        )


def test_training_is_that_of_plain_minibatch_adam(fit):
    """One full-batch epoch at a time by a reference of plain products."""
    training = Training(epochs=3, batch_size=60, optimizer=optax.adam(1e-2))
    found = fit_ensemble(TRAIN, (Member(2, 1),), training)
    table = start_table(
        (2, 8), Member(2, 1), init_mean=1.0, init_std=1e-3, dtype=np.float64
    )
    first, second = np.zeros_like(table), np.zeros_like(table)
    modes = np.arange(8)
    for step in range(1, 4):
        factors = table[DATA.codes, modes]
        parts = factors.prod(axis=1)
        residual = 2 * (parts.sum(axis=1) - TARGETS[:, 1]) / 60
        gradient = np.zeros_like(table)
        for sample, codes in enumerate(DATA.codes):
            gradient[codes, modes] += residual[sample] * parts[sample] / factors[sample]
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        size = np.sqrt(second / (1 - 0.999**step)) + 1e-8
        table = table - 1e-2 * first / (1 - 0.9**step) / size
    np.testing.assert_allclose(found.tables[0], table, rtol=1e-9)


def test_losses_are_means_over_the_samples(fit):
    table = fit.tables[1]
    predictions = table[DATA.codes, np.arange(8)].prod(axis=1).sum(axis=1)
    expected = np.mean((predictions - TARGETS[:, 1]) ** 2)
    assert fit.test_epochs.tolist() == [10, 20]
    np.testing.assert_allclose(fit.test_losses[-1, 1], expected, rtol=1e-10)


def test_a_run_cut_off_and_resumed_is_the_unbroken_one(fit, tmp_path):
    kept = Checkpoint(tmp_path / "state.npz", seconds=0.0)
    cut = fit_ensemble(
        TRAIN, MEMBERS, TRAINING, test=TRAIN, checkpoint=kept, max_seconds=0.0
    )
    assert set(cut.endings) == {Ending.TIME_LIMIT}
    again = Checkpoint(tmp_path / "state.npz", seconds=0.0, resume=True)
    whole = fit_ensemble(TRAIN, MEMBERS, TRAINING, test=TRAIN, checkpoint=again)
    for ours, theirs in zip(whole.tables, fit.tables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_run_cut_off_goes_on_under_the_same_limit(fit, tmp_path):
    kept = Checkpoint(tmp_path / "state.npz", resume=True)
    cut, again = (
        fit_ensemble(TRAIN, MEMBERS, TRAINING, checkpoint=kept, max_seconds=1e-9)
        for _ in "ab"
    )
    assert set(cut.epochs) == {1}
    assert again.endings == cut.endings
    assert min(again.epochs) > 1
    assert again.seconds_run > cut.seconds_run
    seen = min(again.epochs)
    np.testing.assert_array_equal(again.train_losses[:seen], fit.train_losses[:seen])


OTHER_FITS = {
    "members": {"members": (Member(1, 0), Member(2, 1), Member(3, 0, seed=2))},
    "samples for training": {"train": Samples(DATA, TARGETS[::-1])},
    "samples for testing": {"test": TRAIN},
    "epochs": {"training": replace(TRAINING, epochs=21)},
    "init std": {"training": replace(TRAINING, init_std=0.1)},
    "loss function": {"training": replace(TRAINING, loss_function=HuberLoss(0.5))},
    "optimizer": {"training": replace(TRAINING, optimizer=optax.sgd(1e-2))},
}


@pytest.mark.parametrize("name", OTHER_FITS)
def test_a_state_is_not_resumed_by_another_fit(name, tmp_path):
    same = {"train": TRAIN, "members": MEMBERS, "training": TRAINING}
    kept = Checkpoint(tmp_path / "state.npz", resume=True)
    first = fit_ensemble(**same, checkpoint=kept, max_seconds=0.0)
    with pytest.raises(InputError, match=f"with (other )?{name.split()[0]}"):
        fit_ensemble(**{**same, **OTHER_FITS[name]}, checkpoint=kept)
    again = fit_ensemble(**same, checkpoint=kept, max_seconds=0.0)
    seen = min(first.epochs)
    assert min(again.epochs) > seen
    np.testing.assert_array_equal(again.train_losses[:seen], first.train_losses)


def interrupt(progress):
    os.kill(os.getpid(), signal.SIGINT)


def test_an_interrupt_is_raised_with_the_state_written(fit, tmp_path):
    kept = Checkpoint(tmp_path / "state.npz", resume=True)
    same = {"test": TRAIN, "checkpoint": kept}
    with pytest.raises(KeyboardInterrupt):
        fit_ensemble(TRAIN, MEMBERS, TRAINING, **same, progress=interrupt)
    resumed = fit_ensemble(TRAIN, MEMBERS, TRAINING, **same)
    for ours, theirs in zip(resumed.tables, fit.tables, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_interrupted_fit_is_kept_where_it_was_asked_for():
    with keeping_interrupted():
        cut = fit_ensemble(TRAIN, MEMBERS, TRAINING, progress=interrupt)
    assert set(cut.endings) == {Ending.INTERRUPTED}
    assert cut.epochs == (1, 1, 1)


def test_models_that_are_done_are_dropped_and_the_others_go_on():
    training = Training(
        epochs=120,
        batch_size=60,
        optimizer=optax.sgd(1e-2),
        init_std=0.0,
        flat_epochs=5,
        measure_every=5,
    )
    # One component of ones fits the constant from the start; the others move.
    fit = fit_ensemble(CONSTANT, (Member(1, 0), Member(1, 1)), training)
    assert fit.endings[0] == "converged"
    assert fit.epochs[0] < fit.epochs[1]
    assert np.isnan(fit.train_losses[-1, 0])
    assert np.isfinite(fit.train_losses[-1, 1])


FLAT = Training(
    epochs=40,
    batch_size=60,
    optimizer=optax.sgd(1e-2),
    init_std=0.0,
    flat_epochs=5,
    measure_every=4,
)


def test_when_a_model_is_done_does_not_depend_on_the_clock(monkeypatch):
    members = (Member(1, 0), Member(1, 1))
    ends = []
    for seconds in (0.0, 1e9):
        monkeypatch.setattr("rankrise.ensembles._fit._CHUNK_SECONDS", seconds)
        ends.append(fit_ensemble(CONSTANT, members, FLAT).epochs[0])
    # Twice five epochs are compared, and that is asked every four.
    assert ends == [12, 12]


def test_the_state_is_written_without_the_columns_of_models_that_are_done(tmp_path):
    # Beside them a resumed run would round otherwise than the unbroken one.
    def interrupt_then(progress):
        if progress.epoch == 12:
            interrupt(progress)

    members, kept = (Member(1, 0), Member(1, 1)), Checkpoint(tmp_path / "state.npz")
    with pytest.raises(KeyboardInterrupt):
        fit_ensemble(CONSTANT, members, FLAT, checkpoint=kept, progress=interrupt_then)
    with np.load(kept.path) as state:
        assert state["active"].tolist() == [1]


def test_a_model_that_is_done_has_no_losses_while_its_columns_stay():
    # Too few of the columns to be dropped.
    members = (Member(1, 0), Member(4, 1))
    fit = fit_ensemble(CONSTANT, members, FLAT, test=CONSTANT)
    assert fit.epochs == (12, 40)
    assert np.isfinite(fit.train_losses[:12, 0]).all()
    assert np.isnan(fit.train_losses[12:, 0]).all()
    assert np.isfinite(fit.test_losses[:3, 0]).all()
    assert np.isnan(fit.test_losses[3:, 0]).all()


def test_progress_is_given_the_models_as_they_are():
    members = (Member(2, 0), Member(3, 1))
    training = Training(epochs=5, measure_every=1)
    seen = {}

    def look(progress):
        seen[progress.epoch] = progress.tables(), progress.test_losses

    fit_ensemble(TRAIN, members, training, test=TRAIN, progress=look)
    shorter = fit_ensemble(TRAIN, members, replace(training, epochs=3), test=TRAIN)
    tables, losses = seen[3]
    for table, expected in zip(tables, shorter.tables, strict=True):
        np.testing.assert_array_equal(table, expected)
    np.testing.assert_array_equal(losses, shorter.test_losses[-1])


def test_a_model_that_diverges_says_so():
    training = Training(epochs=60, batch_size=60, optimizer=optax.sgd(1e3))
    fit = fit_ensemble(TRAIN, (Member(3, 0),), training, test=TRAIN)
    assert fit.endings == (Ending.DIVERGED,)
    # It ended before the end of the epochs after which test losses were measured.
    assert fit.epochs[0] % training.measure_every > 0
    assert np.isnan(fit.test_losses[fit.test_epochs > fit.epochs[0]]).all()


def test_a_model_that_overflows_leaves_the_others_alone():
    huge = Samples(DATA, np.hstack([TARGETS, 1e200 * TARGETS[:, :1]]))
    training = Training(epochs=5, batch_size=60, optimizer=optax.sgd(1e-3))
    both = fit_ensemble(huge, (Member(2, 2), Member(2, 1)), training)
    alone = fit_ensemble(huge, (Member(2, 1),), training)
    assert both.endings == (Ending.DIVERGED, Ending.STOPPED)
    np.testing.assert_allclose(both.train_losses[:, 1], alone.train_losses[:, 0])


def test_components_whose_sum_overflows_leave_the_other_models_alone():
    """Every product is finite, and the prediction and its slope are not."""

    def huge(member):
        size = 1.0 if member.task else 1.5e308 ** (1 / 8)
        return np.full((2, 8, member.components), size)

    training = replace(TRAINING, epochs=3, start=huge)
    both = fit_ensemble(TRAIN, (Member(2, 0), Member(2, 1)), training)
    alone = fit_ensemble(TRAIN, (Member(2, 1),), training)
    assert both.endings == (Ending.DIVERGED, Ending.STOPPED)
    np.testing.assert_allclose(both.train_losses[:, 1], alone.train_losses[:, 0])


# Starts and batches that are given


def test_training_goes_on_from_the_tables_of_a_fit():
    # Descent without memory, on all samples: twice two epochs are four.
    training = Training(epochs=2, batch_size=60, optimizer=optax.sgd(1e-3))
    members = (Member(2, 1), Member(1, 0))
    first = fit_ensemble(TRAIN, members, training)
    second = fit_ensemble(TRAIN, members, training, start=first.tables)
    whole = fit_ensemble(TRAIN, members, replace(training, epochs=4))
    np.testing.assert_allclose(
        np.concatenate([first.train_losses, second.train_losses]),
        whole.train_losses,
        rtol=1e-12,
    )


def test_batches_are_steps_in_the_order_given():
    rng = np.random.default_rng(0)
    batches = [rng.integers(0, 60, size) for size in (20, 7, 20, 20, 20, 1)]
    start = rng.uniform(0.8, 1.2, (2, 8, 2))
    training = Training(epochs=2, batch_size=20, optimizer=optax.sgd(1e-3))
    found = fit_ensemble(
        TRAIN, (Member(2, 1),), training, start=[start], batches=batches
    )
    losses, table, modes = [], start.copy(), np.arange(8)
    for rows in batches:
        codes, targets = DATA.codes[rows], TARGETS[rows, 1]
        factors = table[codes, modes]
        parts = factors.prod(axis=1)
        residual = parts.sum(axis=1) - targets
        losses.append((len(rows), np.mean(residual**2)))
        gradient = np.zeros_like(table)
        slopes = 2 * residual[:, None, None] * parts[:, None] / factors / len(rows)
        np.add.at(gradient, (codes, modes[None]), slopes)
        table -= 1e-3 * gradient
    np.testing.assert_allclose(found.tables[0], table, rtol=1e-10)
    means = [
        np.average([x for _, x in e], weights=[n for n, _ in e])
        for e in (losses[:3], losses[3:])
    ]
    np.testing.assert_allclose(found.train_losses[:, 0], means, rtol=1e-10)


def test_a_resumed_fit_goes_on_in_its_batches(tmp_path):
    def batches():
        rng = np.random.default_rng(1)
        return (rng.integers(0, 60, 30) for _ in range(40))

    training = Training(epochs=20, batch_size=30, optimizer=optax.adam(1e-2))
    whole = fit_ensemble(TRAIN, (Member(2, 1),), training, batches=batches())
    kept = Checkpoint(tmp_path / "state.npz", resume=True)
    options = {"checkpoint": kept, "max_seconds": 1e-9}
    cut = fit_ensemble(TRAIN, (Member(2, 1),), training, batches=batches(), **options)
    assert cut.epochs[0] < 20
    options["max_seconds"] = None
    found = fit_ensemble(TRAIN, (Member(2, 1),), training, batches=batches(), **options)
    np.testing.assert_array_equal(found.tables[0], whole.tables[0])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"start": []}, "There are 0 starts for 1 models; give one for each"),
        ({"start": [np.ones((2, 8, 3))]}, r"model 0 is .* shape \(2, 8, 3\); give num"),
        ({"start": [np.full((2, 8, 2), np.nan)]}, "has a factor that is not finite"),
        ({"start": lambda member: "a"}, r"give numbers of shape \(2, 8, 2\)"),
        ({"batches": [[0, 1]]}, "end after 1 steps, and an epoch takes 2; give as"),
        ({"batches": [[0.5]]}, "Batch 0 is an array of float64"),
        ({"batches": [[0], []]}, "Batch 1 is an array .* at least one"),
        ({"batches": [[0] * 31]}, "Batch 0 has 31 rows and batch_size is 30"),
        ({"batches": [[0], [60]]}, "Batch 1 names row 60; there are 60, counted"),
        ({"batches": [[-1]]}, "Batch 0 names row -1"),
    ],
)
def test_starts_and_batches_that_do_not_fit_are_refused(options, words):
    training = Training(epochs=2, batch_size=30, optimizer=optax.sgd(1e-3))
    with pytest.raises(InputError, match=words):
        fit_ensemble(TRAIN, (Member(2, 1),), training, **options)


def test_steps_on_all_samples_take_no_batches():
    with pytest.raises(InputError, match="takes its steps on all samples"):
        Training(optimizer=LevenbergMarquardt(), batches=[[0]])


# What is refused


OTHERS = VALUES[:30]


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (
            Samples(CategoricalData.from_codes(OTHERS[:, :7], 2), TARGETS[:30]),
            "for testing have 7 features and those for training 8",
        ),
        (
            Samples(CategoricalData.from_codes(OTHERS, 3), TARGETS[:30]),
            "for testing are coded otherwise than those for training; code them by",
        ),
        (
            # As many values, but the most frequent ones are others.
            Samples(CategoricalData.from_codes(1 - VALUES, 2), TARGETS),
            "for testing are coded otherwise",
        ),
        (
            Samples(DATA.encode(OTHERS), TARGETS[:30, :1]),
            "have 1 columns for testing and 2 for training",
        ),
    ],
)
def test_samples_for_testing_that_mean_something_else_are_refused(test, words):
    with pytest.raises(InputError, match=words):
        fit_ensemble(TRAIN, MEMBERS, TRAINING, test=test)


def test_a_task_that_is_not_there_is_refused():
    with pytest.raises(InputError, match="task is 2, but the targets have 2 columns"):
        fit_ensemble(TRAIN, (Member(1, 0), Member(1, 2)), TRAINING)


def test_sizes_that_are_compiled_for_are_at_most_a_quarter_too_large():
    for count in range(4, 2000):
        assert count <= rounded(count) <= 1.25 * count


@pytest.mark.parametrize(
    ("optimizer", "epochs"),
    [
        pytest.param(optax.adam(2e-5), 40, marks=pytest.mark.slow),
        (LevenbergMarquardt(), 5),
    ],
)
def test_ten_thousand_modes_train_in_single_precision(optimizer, epochs):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, (300, 10_000), dtype=np.uint8)
    # More than half of three features: what a product of all of them can tell.
    targets = 2.0 * (codes[:, :3].sum(axis=1, keepdims=True) > 1)
    train = Samples(CategoricalData.from_codes(codes, 2), targets)
    training = Training(optimizer=optimizer, epochs=epochs, batch_size=100)
    with jax.enable_x64(False):
        found = fit_ensemble(train, (Member(1, 0), Member(5, 0)), training)
    assert found.endings == (Ending.STOPPED, Ending.STOPPED)
    assert np.isfinite(found.train_losses).all()
    assert all(np.isfinite(table).all() for table in found.tables)
    assert (found.train_losses[-1] < found.train_losses[0]).all()
    assert found.train_losses[-1, 0] < np.var(targets) / 2


def test_a_saved_ensemble_comes_back_bit_for_bit(fit, tmp_path):
    again = rr.load(fit.save(tmp_path / "fit.npz"))
    assert isinstance(again, rr.ensembles.EnsembleFit)
    for name in ("members", "epochs", "endings", "seconds_run"):
        assert getattr(again, name) == getattr(fit, name)
    for name in ("train_losses", "test_losses", "test_epochs"):
        np.testing.assert_array_equal(getattr(again, name), getattr(fit, name))
    for own, other in zip(again.tables, fit.tables, strict=True):
        np.testing.assert_array_equal(own, other)
        assert own.dtype == other.dtype


def test_a_folder_is_no_place_for_an_ensemble(fit, tmp_path):
    with pytest.raises(InputError, match="is a folder; name a file in it"):
        fit.save(tmp_path)


def test_an_ensemble_whose_tables_do_not_fit_its_models_is_refused(fit, tmp_path):
    path = replace(fit, tables=fit.tables[::-1]).save(tmp_path / "fit.npz")
    with pytest.raises(InputError, match=r"fit.npz: Its table_0 has shape"):
        rr.load(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda fit: {"epochs": (-1, *fit.epochs[1:])}, "A number of epochs is -1"),
        (lambda fit: {"epochs": (1.5, *fit.epochs[1:])}, r"A number of epochs is 1\.5"),
        (lambda fit: {"train_losses": fit.train_losses[:1]}, "not those of its epochs"),
        (lambda fit: {"test_epochs": fit.test_epochs[::-1]}, "not those of its epochs"),
        (lambda fit: {"test_epochs": 99 + fit.test_epochs}, "not those of its epochs"),
        (
            lambda fit: {"tables": tuple(x.astype(np.float16) for x in fit.tables)},
            "numbers of the types float16",
        ),
        (lambda fit: {"seconds_run": -1.0}, "its seconds are no times"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_a_damaged_ensemble_is_refused(fit, tmp_path, change, words):
    path = replace(fit, **change(fit)).save(tmp_path / "fit.npz")
    with pytest.raises(InputError, match=rf"fit.npz: .*{words}"):
        rr.load(path)


def test_a_dataset_has_losses_by_epoch_and_model(fit, tmp_path):
    dataset = fit.to_dataset()
    of_two = dataset.train_loss.where(dataset.components == 2, drop=True)
    np.testing.assert_array_equal(of_two[:, 0], fit.train_losses[:, 1])
    assert list(dataset.ending.values) == ["stopped"] * 3
    dataset.to_netcdf(tmp_path / "fit.nc", engine="h5netcdf")


def test_a_picture_has_a_line_a_model_and_a_name_for_each_number_of_components(fit):
    for panel, losses in (("train", fit.train_losses), ("test", fit.test_losses)):
        axes = fit.plot(panel)
        for line, column in zip(axes.lines, losses.T, strict=True):
            np.testing.assert_array_equal(line.get_ydata(), column)
        names = [text.get_text() for text in axes.get_legend().get_texts()]
        assert names == ["1 component (1)", "2 components (1)", "3 components (1)"]
    alone = replace(fit, test_epochs=np.zeros(0, int), test_losses=np.zeros((0, 3)))
    assert len(alone.figure().axes) == 1


def test_what_is_shown_of_an_ensemble_is_a_line_with_its_ending(fit):
    assert repr(fit).startswith("EnsembleFit(3 models, 20 epochs, training losses 0.")
    assert repr(fit).endswith(", stopped)")
