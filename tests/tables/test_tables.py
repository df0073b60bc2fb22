"""Tables become samples of features with few values, for training and testing."""

import logging

import numpy as np
import pandas as pd
import pytest

from rankrise._errors import InputError
from rankrise.tables import CategoricalData, labelled_table

RNG = np.random.default_rng(0)
SAMPLES = 50
FRAME = pd.DataFrame(
    {
        "size": RNG.normal(size=SAMPLES),
        "count": RNG.integers(0, 3, SAMPLES),
        "colour": RNG.choice(["red", "green", "blue"], SAMPLES),
    }
)
LABELS = RNG.integers(0, 2, SAMPLES)
CODED = CategoricalData.from_codes([[0], [0], [1]] * 16 + [[0], [1]], 2)
OTHERWISE_CODED = CategoricalData.from_codes([[1], [1], [0]] * 16 + [[0], [1]], 2)


def joined(samples):
    return np.concatenate([samples.train.indices, samples.test.indices])


def test_every_sample_is_for_training_or_for_testing():
    names = [f"sample {k}" for k in range(SAMPLES)]
    samples = labelled_table(FRAME, names)
    assert (samples.train.samples, samples.test.samples) == (40, 10)
    found = [*samples.train_labels.tolist(), *samples.test_labels.tolist()]
    assert sorted(found) == sorted(names)


def test_a_sample_keeps_its_label():
    labels = FRAME["colour"].to_numpy()
    samples = labelled_table(FRAME[["colour"]], labels)
    numbers = {"blue": 0, "green": 1, "red": 2}
    for data, found in (
        (samples.train, samples.train_labels),
        (samples.test, samples.test_labels),
    ):
        assert data.indices[:, 0].tolist() == [numbers[label] for label in found]


def test_the_split_is_that_of_the_seed():
    first, again, other = (
        labelled_table(FRAME, LABELS, seed=seed).test_labels for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_frame_a_mapping_and_rows_of_objects_are_one_table():
    mapping = {name: FRAME[name].to_numpy() for name in FRAME}
    rows = FRAME.to_numpy(dtype=object).tolist()
    expected = labelled_table(FRAME, LABELS, levels=16)
    for table in (mapping, rows):
        found = labelled_table(table, LABELS, levels=16)
        np.testing.assert_array_equal(joined(found), joined(expected))
    assert expected.train.cardinalities == (16, 3, 3)


def test_what_others_alone_have_or_lack_is_one_value_more():
    train = pd.DataFrame({"colour": ["red", "blue"] * 3, "size": [1.0, 2, 3] * 2})
    other = pd.DataFrame({"colour": ["red", "green", None], "size": [1.0, np.nan, 9]})
    samples = labelled_table(train, [0, 1] * 3, test=(other, [0, 1, 1]), levels=3)
    assert samples.train.cardinalities == (4, 4)
    # Blue, red, none, unseen; the three sizes and none.
    assert samples.test.indices.tolist() == [[1, 0], [3, 3], [2, 2]]


def test_targets_without_names_are_those_of_a_frame():
    targets = FRAME[["size", "count"]]
    samples = labelled_table(FRAME, targets, test=(FRAME, targets.to_numpy()))
    np.testing.assert_array_equal(samples.test_labels, targets)
    assert samples.target_names == ("size", "count")


@pytest.mark.parametrize("note", ["rare", 2.5], ids=["text", "number"])
def test_a_column_may_have_values_in_samples_for_testing_alone(note):
    train = {"note": [None] * 6, "size": [1.0, 2, 3] * 2}
    other = {"note": [None, note], "size": [1.0, 2]}
    samples = labelled_table(train, [0, 1] * 3, test=(other, [0, 1]), levels=3)
    # None, and beside it what was never seen.
    assert samples.train.cardinalities == (2, 3)
    assert not samples.train.codes[:, 0].any()
    assert samples.test.codes[:, 0].tolist() == [0, 1]


def test_a_note_is_read_as_text_wherever_the_split_puts_it():
    for row in range(10):
        note = np.where(np.arange(10) == row, "rare", None)
        table = {"size": np.arange(10) % 3, "note": note}
        samples = labelled_table(table, [0, 1] * 5)
        assert samples.train.features == 2


def test_coded_samples_are_taken_as_they_are():
    data = CategoricalData.from_codes(RNG.integers(0, 2, (SAMPLES, 3)), 4)
    samples = labelled_table(data, LABELS)
    assert samples.train.cardinalities == samples.test.cardinalities == (4, 4, 4)
    assert sorted(joined(samples).tolist()) == sorted(data.indices.tolist())


def test_columns_that_never_vary_are_left_out_with_a_warning(caplog):
    table = FRAME.assign(unit="kg", none=np.nan)
    with caplog.at_level(logging.WARNING):
        samples = labelled_table(table, LABELS)
    assert samples.train.features == samples.test.features == 3
    assert "2 of 5 columns are the same in all samples and left out" in caplog.text
    assert "'unit', 'none'" in caplog.text


@pytest.mark.parametrize(
    ("table", "labels", "options", "words"),
    [
        (FRAME, LABELS[:9], {}, "There are 50 samples and 9 of what is to be"),
        (FRAME[["size"]] * 0, LABELS, {}, "No feature differs between samples"),
        (FRAME, LABELS * 0, {}, "All samples for training have 0 as target"),
        (
            FRAME.assign(size=[1.0] * 29 + [np.inf] + [2.0] * 20), LABELS, {},
            "Sample 29 has an infinite number",
        ),
        (FRAME[:2], LABELS[:2], {}, "Of 2 samples a share of 0.2 for testing is 0"),
        (FRAME, LABELS, {"test": (FRAME[:3], [1, 0])}, "There are 3 samples and 2"),
        (FRAME, LABELS, {"test": (FRAME[["size"]], LABELS)}, "The columns are size"),
        (
            FRAME, LABELS, {"test": (FRAME.assign(colour=1), LABELS)},
            "'colour' holds numbers, and text",
        ),
        (
            FRAME, LABELS, {"test": (FRAME.assign(size="a"), LABELS)},
            "'size' holds text",
        ),
        (
            FRAME, LABELS * 1.0, {"test": (FRAME, np.ones((SAMPLES, 2)))},
            "1 targets for training and 2 for testing",
        ),
        (
            FRAME, LABELS, {"test": (FRAME, LABELS.astype(str))},
            "label of those for training: these are 0, 1, and .* testing '0', '1'",
        ),
        (
            FRAME, FRAME[["size", "count"]],
            {"test": (FRAME, FRAME[["count", "size"]])},
            "training are size, count, and those for testing count, size; give",
        ),
        (
            CODED, LABELS, {"test": (OTHERWISE_CODED, LABELS)},
            "other features or values; code both in the same way",
        ),
        (np.ones(5), LABELS[:5], {}, "shape"),
        ({}, LABELS, {}, "The table has no column; give at least one feature"),
    ],
)  # fmt: skip
def test_a_table_that_cannot_be_used_is_refused(table, labels, options, words):
    with pytest.raises(InputError, match=words):
        labelled_table(table, labels, **options)


def test_a_column_of_256_categories_has_no_room_for_another():
    names = [f"name {k}" for k in range(256)]
    train = {"name": names, "other": [0, 1] * 128}
    other = {"name": ["unseen"], "other": [0]}
    with pytest.raises(InputError, match="'name' has more than 256 values"):
        labelled_table(train, [0, 1] * 128, test=(other, [1]))
