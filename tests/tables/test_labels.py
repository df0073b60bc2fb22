"""What is to be predicted: classes are told from values by the data type."""

import numpy as np
import pandas as pd
import pytest

from rankrise._errors import InputError
from rankrise.tables._labels import read_labels


@pytest.mark.parametrize(
    "y",
    [
        np.array([0, 1, 5]),
        np.array([True, False, True]),
        np.array(["a", "b", "a"]),
        ["a", "b", "a"],
        [3, 4, 3],
        pd.Series(["a", "b", "a"]),
        pd.Series([1, 2, 1], dtype="Int64"),
        pd.Series([0.5, 1.5, 0.5]).astype("category"),
        pd.DataFrame({"kind": [1, 2, 1]}),
        np.array([[0], [1], [5]]),
    ],
    ids=repr,
)
def test_whole_numbers_text_and_categories_are_classes(y):
    labels = read_labels(y)
    assert labels.kind == "classes"
    assert labels.names == ()
    expected = np.asarray(y).reshape(-1)
    assert [str(each) for each in labels.values] == [str(each) for each in expected]


@pytest.mark.parametrize(
    ("y", "names"),
    [
        (np.array([0.0, 1.0, 5.0]), ("target",)),
        (np.array([0.0, 1.0, 5.0], np.float32), ("target",)),
        ([0.5, 1, 2], ("target",)),
        (pd.Series([0.5, 1, 2], name="weight"), ("weight",)),
        (pd.DataFrame({"a": [1, 2, 3], "b": [1, 5, 2]}), ("a", "b")),
        (np.array([[0, 1], [1, 5], [2, 2]]), ("target 0", "target 1")),
        ({"a": np.array([0.5, 1, 2])}, ("a",)),
    ],
    ids=repr,
)
def test_floating_point_and_several_columns_are_values(y, names):
    labels = read_labels(y)
    assert labels.kind == "values"
    assert labels.names == names
    assert labels.values.shape == (3, len(names))
    assert labels.values.dtype == np.float64


def test_the_kind_can_be_said():
    assert read_labels([1, 2, 4], "values").values.tolist() == [[1], [2], [4]]
    assert read_labels([1.0, 2.0], "classes").values.tolist() == [1, 2]


@pytest.mark.parametrize(
    ("y", "kind", "words"),
    [
        ([1.0, np.nan], None, "Sample 1 has nothing to predict in column 'target'"),
        (["a", None], None, "Sample 1 has nothing to predict"),
        (["a", np.nan], None, "Sample 1 has nothing to predict"),
        (["a", 1], None, "values of type int, str; give numbers or text"),
        (
            pd.DataFrame([[1.0, 2], [3, 4]], columns=["a", "a"]), None,
            "Several targets have the name 'a'",
        ),
        (pd.Series([1, None], dtype="Int64"), None, "Sample 1 has nothing to predict"),
        ([1.0, np.inf], None, "Sample 1 has an infinite number"),
        (["a", "b"], "values", "holds text or categories; give numbers"),
        (np.ones((3, 2)), "classes", "2 columns of classes"),
        (np.arange(101), None, r"101 different whole numbers; .* \(`target_kind`\)"),
        (np.ones((3, 2, 2)), None, r"shape \(3, 2, 2\)"),
        ([], None, r"shape \(0,\)"),
        ([1, [2, 3]], None, "The target has rows of different lengths; give one value"),
        ([["a"], ["a", "b"]], None, "The target has rows of different lengths"),
        ({"a": [1, [2, 3]]}, None, "column 'a' has rows of different lengths"),
    ],
)  # fmt: skip
def test_what_cannot_be_predicted_is_refused(y, kind, words):
    with pytest.raises(InputError, match=words):
        read_labels(y, kind)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (["a", "a"], "All samples for training have a as target, so there is nothing"),
        ([5, 5], "have 5 as target, .* give a target that varies"),
        ([[1.0, 7.5], [2.0, 7.5]], r"All samples for training have 7\.5 as target 1"),
    ],
)
def test_what_never_varies_is_refused(y, words):
    with pytest.raises(InputError, match=words):
        read_labels(y).refuse_constant()
