"""MATLAB files, against SciPy and files that MATLAB wrote."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io.matlab
from scipy.io import loadmat, savemat

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
def test_files_that_matlab_wrote_are_read_as_scipy_does(name):
    path = Path(scipy.io.matlab.__file__).parent / "tests" / "data" / f"{name}.mat"
    if not path.exists():
        pytest.skip("this SciPy comes without its test data")
    file = read_tensor(path)
    expected = loadmat(path)[file.variable]
    np.testing.assert_array_equal(file.observations.dense(), expected)
    assert file.layout.dtype == np.float64


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
        ({"s": {"a": 1.0}}, r"'s' \(1, 1\) struct is no array of real numbers"),
        ({"c": np.array([["a", 1.0]], object)}, "cell is no array"),
        ({"t": "text", "s": {"a": 1.0}}, "none of them an array of real numbers"),
        ({"t": "text"}, "char is no array"),
    ],
)
def test_matlab_variables_other_than_arrays_are_refused(content, message, tmp_path):
    savemat(tmp_path / "x.mat", content)
    with pytest.raises(InputError, match=message):
        read_tensor(tmp_path / "x.mat")


def test_a_sparse_matlab_matrix_is_refused(tmp_path):
    from scipy.sparse import csc_array

    savemat(tmp_path / "x.mat", {"a": csc_array(np.eye(3))})
    with pytest.raises(InputError, match=r"sparse .*full\(x\)"):
        read_tensor(tmp_path / "x.mat")


def test_matlab_4_is_refused_with_what_to_do(tmp_path):
    savemat(tmp_path / "x.mat", {"x": np.ones((2, 2))}, format="4")
    with pytest.raises(InputError, match="no MATLAB file of version 5"):
        read_tensor(tmp_path / "x.mat")


def test_a_tensor_that_no_mat_file_could_hold_is_refused_before_the_run(
    tmp_path, monkeypatch
):
    from rankrise.tensors.files import _mat

    savemat(tmp_path / "x.mat", {"x": np.ones((4, 4), np.uint8)})
    monkeypatch.setattr(_mat, "_MAX_VARIABLE_BYTES", 127)
    with pytest.raises(InputError, match="4 GiB that a variable"):
        read_tensor(tmp_path / "x.mat")
