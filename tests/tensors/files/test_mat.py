"""MATLAB files, against SciPy and files that MATLAB wrote."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io.matlab
from scipy.io import loadmat, savemat
from scipy.io.matlab import MatlabObject
from scipy.sparse import csc_array

from rankrise._errors import InputError
from rankrise.tensors.files import read_tensor


def test_the_only_numeric_array_is_chosen_among_others(tmp_path, tensor):
    content = {"x": tensor, "note": "hello", "step": 0.5, "s": {"a": 1.0}}
    savemat(tmp_path / "x.mat", content)
    assert read_tensor(tmp_path / "x.mat").variable == "x"


@pytest.mark.parametrize(
    "name",
    [
        "test3dmatrix_6.1_SOL2",  # big-endian
        "test3dmatrix_7.4_GLNX86",  # compressed, doubles stored as small integers
        "testmatrix_6.5.1_GLNX86",
        "testminus_7.1_GLNX86",
    ],
)
def test_files_that_matlab_wrote_are_read_as_scipy_does(name, complete):
    path = Path(scipy.io.matlab.__file__).parent / "tests" / "data" / f"{name}.mat"
    if not path.exists():
        pytest.skip("this SciPy comes without its test data")
    file = read_tensor(path)
    expected = loadmat(path)[file.variable]
    np.testing.assert_array_equal(file.observations.dense(), expected)
    assert loadmat(complete(path))[file.variable].dtype == np.float64


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize(
    "dtype", ["f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "?"]
)
def test_every_numeric_class_is_read_as_scipy_wrote_it(dtype, compressed, tmp_path):
    array = np.arange(30).reshape(2, 5, 3).astype(dtype)
    savemat(tmp_path / "x.mat", {"x": array}, do_compression=compressed)
    dense = read_tensor(tmp_path / "x.mat").observations.dense()
    np.testing.assert_array_equal(dense, array.astype(float))


def test_a_matlab_array_that_unpacks_to_more_than_it_declares_is_refused(tmp_path):
    savemat(tmp_path / "x.mat", {"x": np.ones((2, 2))})
    plain = (tmp_path / "x.mat").read_bytes()
    packed = zlib.compress(plain[128:] + b"\0" * 10**6)
    tag = struct.pack("<II", 15, len(packed))
    (tmp_path / "x.mat").write_bytes(plain[:128] + tag + packed)
    with pytest.raises(InputError, match="more data than it declares"):
        read_tensor(tmp_path / "x.mat")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"s": {"a": 1.0}}, r"holds 's' \(1, 1\) struct, 's.a' .* none of them"),
        ({"c": np.array([["a", 1.0]], object)}, r"'c\{2\}' \(1, 1\) .* none of them"),
        ({"t": "text", "s": {"a": 1.0}}, "none of them an array of real numbers"),
        ({"t": "text"}, "char is not an array"),
    ],
)
def test_matlab_variables_other_than_arrays_are_refused(content, message, tmp_path):
    savemat(tmp_path / "x.mat", content)
    with pytest.raises(InputError, match=message):
        read_tensor(tmp_path / "x.mat")


def test_several_arrays_within_a_struct_are_listed_and_one_is_named(tmp_path, tensor):
    eeg = {"name": "rest", "times": np.arange(5.0), "data": tensor}
    savemat(tmp_path / "x.mat", {"EEG": eeg | {"chan": {"loc": np.eye(3)}}})
    listed = (
        r"holds several arrays: 'EEG.times' .*'EEG.data' \(3, 4, 2\).*'EEG.chan.loc'"
    )
    with pytest.raises(InputError, match=listed):
        read_tensor(tmp_path / "x.mat")
    file = read_tensor(tmp_path / "x.mat", variable="EEG.chan.loc")
    np.testing.assert_array_equal(file.observations.dense(), np.eye(3))


def test_a_variable_goes_before_what_structs_hold(tmp_path, tensor):
    savemat(tmp_path / "x.mat", {"s": {"a": np.eye(4)}, "x": tensor})
    assert read_tensor(tmp_path / "x.mat").variable == "x"


def test_an_element_of_an_array_of_structs_is_named_as_in_matlab(tmp_path):
    trials = np.array([(np.eye(2),), (np.ones((2, 3)),)], [("data", object)])
    savemat(tmp_path / "x.mat", {"trial": trials})
    file = read_tensor(tmp_path / "x.mat", variable="trial(2).data")
    np.testing.assert_array_equal(file.observations.dense(), np.ones((2, 3)))


def test_what_lies_in_a_struct_is_written_as_a_plain_array(
    tmp_path, tensor, complete, caplog
):
    savemat(tmp_path / "x.mat", {"EEG": {"data": tensor}})
    written = complete(tmp_path / "x.mat")
    assert loadmat(written)["EEG_data"].shape == tensor.shape
    assert "'EEG.data' (double) is taken as the plain array EEG_data" in caplog.text


def test_cells_in_rows_and_columns_are_two_last_modes(tmp_path):
    cells = np.empty((2, 3), object)
    for row, column in np.ndindex(2, 3):
        cells[row, column] = np.full((4, 5), 10.0 * row + column)
    savemat(tmp_path / "x.mat", {"c": cells})
    dense = read_tensor(tmp_path / "x.mat").observations.dense()
    assert dense.shape == (4, 5, 2, 3)
    np.testing.assert_array_equal(dense[1, 2], [[0, 1, 2], [10, 11, 12]])


def test_cells_of_several_shapes_are_named_one_by_one(tmp_path):
    cells = np.empty((1, 2), object)
    cells[0] = [np.eye(2), np.ones((2, 3))]
    savemat(tmp_path / "x.mat", {"c": cells})
    file = read_tensor(tmp_path / "x.mat", variable="c{2}")
    np.testing.assert_array_equal(file.observations.dense(), np.ones((2, 3)))


def test_an_sptensor_says_that_what_it_does_not_store_is_unobserved(tmp_path, caplog):
    parts = np.array(
        [[(np.array([[1.0, 1], [2, 3]]), np.array([[0.5], [2]]), np.array([2.0, 3]))]],
        [(name, object) for name in ("subs", "vals", "size")],
    )
    savemat(tmp_path / "x.mat", {"X": MatlabObject(parts, "sptensor")})
    dense = read_tensor(tmp_path / "x.mat").observations.dense()
    expected = [[0.5, np.nan, np.nan], [np.nan, np.nan, 2]]
    np.testing.assert_array_equal(dense, expected)
    assert "what it does not store is unobserved, not zero" in caplog.text


def test_control_characters_of_a_class_are_spelled_out(tmp_path):
    content = np.zeros((1, 1), [("a", object)])
    savemat(tmp_path / "x.mat", {"x": MatlabObject(content, "cla\x1bss")})
    with pytest.raises(InputError, match=r"cla\\x1bss object"):
        read_tensor(tmp_path / "x.mat")


@pytest.mark.parametrize(
    ("dtype", "version", "words"),
    [(complex, "5", "complex sparse is not"), (float, "4", r"sparse .*full\(x\)")],
)
def test_sparse_matrices_that_are_not_read_are_refused(dtype, version, words, tmp_path):
    content = {"a": csc_array(np.eye(3).astype(dtype))}
    savemat(tmp_path / "x.mat", content, format=version)
    with pytest.raises(InputError, match=words):
        read_tensor(tmp_path / "x.mat")


def test_a_sparse_matrix_of_logicals_says_what_it_does_not_store(tmp_path, caplog):
    savemat(tmp_path / "x.mat", {"a": csc_array(np.eye(2, dtype=bool))})
    dense = read_tensor(tmp_path / "x.mat").observations.dense()
    np.testing.assert_array_equal(dense, [[1, np.nan], [np.nan, 1]])
    assert "'a' is sparse: what it does not store is unobserved" in caplog.text


def test_indices_beyond_a_dataset_object_are_refused(tmp_path):
    included = np.empty((2, 1), object)
    included[:, 0] = [np.array([1.0, 3]), np.array([1.0, 4])]
    parts = np.zeros(
        (1, 1), [(x, object) for x in ("data", "label", "axisscale", "include")]
    )
    parts[0, 0] = (np.eye(3), np.zeros((0, 0)), np.zeros((0, 0)), included)
    savemat(tmp_path / "x.mat", {"d": MatlabObject(parts, "dataset")})
    with pytest.raises(InputError, match=r"`include` of 'd' .* 1 to 3 of mode 2"):
        read_tensor(tmp_path / "x.mat")


@pytest.mark.parametrize("name", ["testmatrix_4.2c_SOL2", "testvec_4_GLNX86"])
def test_files_of_version_4_are_read_as_scipy_does(name):
    path = Path(scipy.io.matlab.__file__).parent / "tests" / "data" / f"{name}.mat"
    if not path.exists():
        pytest.skip("this SciPy comes without its test data")
    for variable, expected in loadmat(path).items():
        if variable[:2] != "__":
            dense = read_tensor(path, variable=variable).observations.dense()
            np.testing.assert_array_equal(dense, expected)


def test_a_truncated_file_of_version_4_is_refused(tmp_path):
    savemat(tmp_path / "x.mat", {"x": np.ones((4, 4))}, format="4")
    whole = (tmp_path / "x.mat").read_bytes()
    (tmp_path / "x.mat").write_bytes(whole[:-8])
    with pytest.raises(InputError, match="ends within a matrix"):
        read_tensor(tmp_path / "x.mat")


@pytest.mark.parametrize("depth", [5, 300])
def test_structs_within_structs_are_read_to_some_depth(depth, tmp_path):
    content = np.eye(2)
    for _ in range(depth):
        content = {"s": content}
    savemat(tmp_path / "x.mat", content | {"x": np.ones((2, 3))})
    assert read_tensor(tmp_path / "x.mat").variable == "x"


def test_a_tensor_that_no_mat_file_could_hold_is_refused_before_the_run(
    tmp_path, monkeypatch
):
    from rankrise.tensors.files import _mat

    savemat(tmp_path / "x.mat", {"x": np.ones((4, 4), np.uint8)})
    monkeypatch.setattr(_mat, "_MAX_VARIABLE_BYTES", 127)
    with pytest.raises(InputError, match="4 GiB that a variable"):
        read_tensor(tmp_path / "x.mat")
