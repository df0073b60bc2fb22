"""Errors by rank, of data and of their random controls."""

import os
import signal
from dataclasses import replace

import numpy as np
import optax
import pandas as pd
import pytest

from rankrise._errors import InputError
from rankrise.complexity import rank_curve
from rankrise.complexity._rank_curve import _Study
from rankrise.complexity._tasks import make_tasks
from rankrise.ensembles import Training
from rankrise.runs import Checkpoint, Ending, keeping_interrupted
from rankrise.tables import CategoricalData, LabelledSet, labelled_table

RNG = np.random.default_rng(0)
VALUES = RNG.integers(0, 2, (400, 10))
BOTH = VALUES[:, 0] & VALUES[:, 1]
WEIGHT = VALUES @ np.linspace(-1.0, 2.0, 10)
# Of one size, so that programs are compiled once.
DATA = CategoricalData.from_codes(VALUES[:300], 2)
OTHERS = DATA.encode(VALUES[300:])
TRAINING = Training(epochs=30, optimizer=optax.adam(1e-2))


def curve_of(labels, **options):
    test = (OTHERS, labels[300:])
    options = {"training": TRAINING, "controls": ("data",), **options}
    return rank_curve(DATA, labels[:300], (1, 2), test=test, **options)


def rows(curve):
    return [
        (fit.target, fit.rank, fit.seed, fit.train_error, fit.test_error)
        for fit in curve.fits
    ]


def test_a_rank_curve_tells_structure_from_noise():
    training = replace(TRAINING, epochs=400)
    curve = rank_curve(
        DATA,
        BOTH[:300],
        (1, 2),
        test=(OTHERS, BOTH[300:]),
        classes=[1],
        training=training,
    )
    assert curve.controls == ("data", "inputs", "labels")
    # The conjunction of two features is itself of rank one.
    assert curve.errors("data", 1, "train").item() < 0.01
    assert curve.errors("data", 1, "test").item() < 0.02
    for control in ("inputs", "labels"):
        assert curve.errors(control, 2, "train").item() > 0.1
    assert curve.smallest_rank(0.02).by_seed == (1,)
    assert curve.smallest_rank(0.02, "labels").mean == float("inf")


def test_equality_of_two_features_needs_a_component_for_each_value():
    values = np.random.default_rng(1).integers(0, 3, (400, 4))
    curve = rank_curve(
        values,
        (values[:, 0] == values[:, 1]).astype(int),
        (2, 3),
        classes=[1],
        controls=("data",),
        training=replace(TRAINING, epochs=400, batch_size=50),
        folds=1,
    )
    # The identity matrix of size three has rank three; the best of rank two leaves a
    # third of the equal pairs.
    assert curve.errors("data", 2).item() > 0.05
    assert curve.errors("data", 3).item() < 1e-6
    assert curve.errors("data", 3, "test").item() < 1e-6


def test_permuting_classes_permutes_the_rows_of_errors():
    labels = VALUES[:, 0] + VALUES[:, 1] * VALUES[:, 2]
    first = curve_of(labels, classes=[0, 1, 2])
    second = curve_of(labels, classes=[2, 0, 1])
    assert (first.targets, second.targets) == (("0", "1", "2"), ("2", "0", "1"))
    for split in ("train", "test"):
        np.testing.assert_allclose(
            second.errors("data", 2, split),
            first.errors("data", 2, split)[[2, 0, 1]],
            rtol=1e-9,  # sums in another order
        )


def test_values_in_other_units_have_the_same_errors():
    first, second = curve_of(WEIGHT), curve_of(10 * WEIGHT - 300)
    assert first.kind == "values"
    for split in ("train", "test"):
        np.testing.assert_allclose(
            second.mean("data", split), first.mean("data", split), rtol=1e-9
        )
    # At rank two the start is as far off as a constant 1 is from the mean.
    assert first.errors("data", 2)[0, 0] < 4


@pytest.mark.parametrize("control", ["data", "inputs", "labels"])
def test_errors_do_not_depend_on_which_classes_and_seeds_are_beside(control):
    labels = VALUES[:, 0] + VALUES[:, 1] * VALUES[:, 2]
    together = curve_of(labels, seeds=(0, 1), controls=(control,))
    assert together.errors(control, 1).shape == (3, 2)
    assert together.train_losses[control].shape == (30, 12)
    alone = curve_of(labels, classes=[2], seeds=(1,), controls=(control,))
    expected = [row for row in rows(together) if (row[0], row[2]) == ("2", 1)]
    for found, row in zip(rows(alone), expected, strict=True):
        assert found[:3] == row[:3]
        # Sums over more columns round otherwise.
        np.testing.assert_allclose(found[3:], row[3:], rtol=1e-9)


def test_a_test_split_is_made_where_none_is_given():
    frame = pd.DataFrame(VALUES)
    curve = rank_curve(
        frame,
        BOTH,
        (1, 2),
        test_share=0.25,
        classes=[1],
        controls=("data",),
        training=TRAINING,
    )
    split = labelled_table(frame, BOTH, test_share=0.25)
    assert (split.train.samples, split.test.samples) == (300, 100)
    share = split.train_labels.mean()
    assert curve.constant_errors["train"].tolist() == [
        pytest.approx(share * (1 - share))
    ]


def test_a_curve_is_not_resumed_with_other_ranks_labels_or_seeds(tmp_path):
    options = {"classes": [1], "training": replace(TRAINING, epochs=2)}
    kept = Checkpoint(tmp_path / "state.npz", resume=True)
    first = curve_of(BOTH, checkpoint=kept, **options)
    assert rows(curve_of(BOTH, checkpoint=kept, **options)) == rows(first)
    with pytest.raises(InputError, match=r"state-data-0\.npz is .* with other members"):
        curve_of(BOTH, checkpoint=kept, seeds=(1,), **options)
    with pytest.raises(InputError, match="with other samples for training"):
        curve_of(1 - BOTH, checkpoint=kept, **options)
    with pytest.raises(InputError, match="with other members"):
        rank_curve(
            DATA,
            BOTH[:300],
            (1, 3),
            test=(OTHERS, BOTH[300:]),
            controls=("data",),
            checkpoint=kept,
            **options,
        )


def test_an_interrupt_as_a_control_ends_is_heeded():
    def interrupt(control, progress):
        if progress.running == 0:
            os.kill(os.getpid(), signal.SIGINT)

    with keeping_interrupted():
        curve = curve_of(
            BOTH, classes=[1], controls=("data", "labels"), progress=interrupt
        )
    assert (curve.controls, curve.ending) == (("data",), Ending.INTERRUPTED)
    assert {fit.ending for fit in curve.fits} == {Ending.STOPPED}
    assert curve_of(BOTH, classes=[1]).ending == Ending.STOPPED


# What is learned


def labelled(labels, **options):
    return LabelledSet(DATA, labels[:300], OTHERS, labels[300:], "", **options)


def test_a_class_is_two_and_all_others_are_zero():
    tasks = make_tasks(labelled(BOTH), None)
    assert tasks.names == ("0", "1")
    np.testing.assert_array_equal(tasks.train[:, 1], 2 * BOTH[:300])
    np.testing.assert_array_equal(tasks.train.sum(axis=1), 2)
    # So errors and their cap are those of one and zero.
    assert tasks.unit == tasks.largest_loss == 4


def test_classes_are_named_as_they_are_or_as_text():
    for wanted in ([1], ["1"]):
        assert make_tasks(labelled(BOTH), wanted).names == ("1",)


def test_the_error_of_a_constant_is_that_of_the_training_mean():
    share, other = BOTH[:300].mean(), BOTH[300:].mean()
    train, test = make_tasks(labelled(BOTH), [1]).constant_errors
    assert train.item() == pytest.approx(share * (1 - share))
    expected = other * (1 - share) ** 2 + (1 - other) * share**2
    assert test.item() == pytest.approx(expected)


VALUED = labelled(
    np.stack([WEIGHT, WEIGHT**2], axis=1), kind="values", target_names=("one", "two")
)


def test_values_are_shares_of_the_training_variance():
    tasks = make_tasks(VALUED, None)
    assert tasks.names == ("one", "two")
    np.testing.assert_allclose(tasks.train.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(tasks.constant_errors[0], 1)
    mean, deviation = WEIGHT[:300].mean(), WEIGHT[:300].std()
    np.testing.assert_allclose(tasks.test[:, 0], (WEIGHT[300:] - mean) / deviation)
    assert tasks.largest_loss == np.ptp(tasks.train, axis=0).max() ** 2


@pytest.mark.parametrize("unit", [1e-200, 1e200])
def test_values_of_any_size_are_standardized(unit):
    """Their squares are beyond the range of double precision."""
    plain, sized = (
        make_tasks(replace(VALUED, train_labels=a, test_labels=b), None)
        for a, b in (
            (VALUED.train_labels, VALUED.test_labels),
            (unit * VALUED.train_labels, unit * VALUED.test_labels),
        )
    )
    np.testing.assert_allclose(sized.train, plain.train, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(sized.test, plain.test, rtol=1e-12, atol=1e-12)


def test_a_constant_that_is_rounded_is_still_one():
    labels = np.full((300, 1), 0.1)
    constant = replace(
        VALUED, train_labels=labels, test_labels=labels[:100], target_names=("one",)
    )
    with pytest.raises(InputError, match="the same one, so there is nothing to learn"):
        make_tasks(constant, None)


@pytest.mark.parametrize("seeds", [(0,), (4, 2)])
def test_random_labels_stay_in_their_split_with_an_order_for_every_seed(seeds):
    study = _Study(VALUED, make_tasks(VALUED, None), (1, 3), seeds)
    (ensemble,) = study.ensembles("labels")
    for samples, real in (
        (ensemble.train, study.tasks.train),
        (ensemble.test, study.tasks.test),
    ):
        assert samples.targets.shape == (len(real), 2 * len(seeds))
        for member in ensemble.members:
            found = samples.targets[:, member.task]
            wanted = real[:, member.task % 2]
            np.testing.assert_array_equal(np.sort(found), np.sort(wanted))
            assert not np.array_equal(found, wanted)
    # Every seed has an order of its own.
    assert len({tuple(column) for column in ensemble.train.targets.T}) == 2 * len(seeds)


@pytest.mark.parametrize("control", ["inputs", "labels"])
def test_training_and_testing_are_made_random_apart(control):
    train, labels = VALUED.train, VALUED.train_labels
    same = replace(VALUED, test=train, test_labels=labels)
    study = _Study(same, make_tasks(same, None), (1,), (0,))
    (ensemble,) = study.ensembles(control)
    parts = ensemble.train, ensemble.test
    codes = [part.data.codes for part in parts]
    targets = [part.targets for part in parts]
    assert np.array_equal(*codes) == (control == "labels")
    assert np.array_equal(*targets) == (control == "inputs")


def test_random_inputs_keep_the_classes_as_they_are():
    study = _Study(labelled(BOTH), make_tasks(labelled(BOTH), None), (1,), (4, 2))
    first, second = study.ensembles("inputs")
    for ensemble in (first, second):
        np.testing.assert_array_equal(ensemble.train.targets, study.tasks.train)
        np.testing.assert_array_equal(ensemble.test.targets, study.tasks.test)
    assert not np.array_equal(first.train.data.codes, second.train.data.codes)
    assert not np.array_equal(first.train.data.codes[:100], first.test.data.codes)


# What is refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"controls": "data"}, "The controls are 'data'; give a list of them"),
        ({"controls": ("real",)}, r"\['real'\]; choose some of data, inputs, labels"),
        ({"ranks": 1}, "The ranks are 1; give a list of them"),
        ({"seeds": 1}, "The seeds are 1; give a list of them"),
        ({"targets": "x"}, "predicted is 'x'; give classes or values"),
        ({"training": "quick"}, "`training` is 'quick'; give a Training"),
        ({"test": (VALUES,)}, r"`test` is samples and their labels; give \(X, y\)"),
        ({"max_seconds": 0.0}, r"`max_seconds` is 0\.0; it must be positive"),
        ({"max_seconds": float("nan")}, "`max_seconds` is nan; it must be positive"),
    ],
)
def test_arguments_of_another_kind_are_refused(unchecked, options, words):
    given = {"y": BOTH, "ranks": (1,), **options}
    with pytest.raises(InputError, match=words):
        rank_curve(VALUES, given.pop("y"), given.pop("ranks"), **given)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ranks": ()}, r"The ranks are \[\]; give some"),
        ({"ranks": (1, 1)}, r"The ranks are \[1, 1\]; give some, each once"),
        ({"ranks": (0, 1)}, "A rank is 0; give a whole number from 1"),
        ({"seeds": ()}, r"The seeds are \[\]"),
        ({"seeds": (0, -1)}, "A seed is -1; give a whole number from 0"),
        ({"test_share": float("nan")}, "share for testing is nan; give one between"),
        ({"controls": ()}, r"The controls are \[\]; choose some of data, inputs, lab"),
        ({"classes": ()}, "The classes are none"),
        ({"classes": (1, "1")}, "The classes are 1, 1; give some, each once"),
        ({"classes": (7,)}, "There is no class 7; the data have 0, 1"),
        ({"y": WEIGHT, "classes": (1,)}, "no classes to choose among: target holds v"),
        ({"targets": "values", "y": BOTH * 0}, "have 0.0 as target, so there is noth"),
        ({"y": BOTH * 0}, "All samples for training have 0 as target"),
        ({"y": BOTH[:9]}, "400 samples and 9"),
        ({"test_share": 0.0}, "a share of 0.0 for testing is 0"),
    ],
)
def test_a_study_that_makes_no_sense_is_refused(options, words):
    given = {"y": BOTH, "ranks": (1,), **options}
    with pytest.raises(InputError, match=words):
        rank_curve(VALUES, given.pop("y"), given.pop("ranks"), **given)


def test_samples_of_one_class_are_refused():
    with pytest.raises(InputError, match="All samples for training have 0 as target"):
        make_tasks(labelled(BOTH * 0), None)


def test_more_components_than_memory_are_refused_before_any_is_made(monkeypatch):
    monkeypatch.setattr("rankrise.ensembles._memory.free_memory", lambda: 10**6)
    monkeypatch.setattr("rankrise.complexity._rank_curve.fit_ensemble", None)
    with pytest.raises(InputError, match=r"need about .* of memory .* MiB are free"):
        rank_curve(VALUES, BOTH, (1000,), seeds=range(100))
