"""`.npy` files: what a header may say, and pickles."""

import os
import time
import tracemalloc

import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.tensors.files import read_tensor


@pytest.mark.parametrize("shape", [(10**6, 10**6), (2**62, 2**62), (10**400, 2)])
def test_a_huge_declared_shape_takes_no_memory(shape, tmp_path, npy_header):
    path = tmp_path / "x.npy"
    path.write_bytes(npy_header(shape) + b"\0" * 64)
    tracemalloc.start()
    started = time.perf_counter()
    with pytest.raises(InputError, match="GiB of memory"):
        read_tensor(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10**6
    assert time.perf_counter() - started < 1


def test_a_shape_larger_than_the_file_takes_no_memory(tmp_path, npy_header):
    path = tmp_path / "x.npy"
    path.write_bytes(npy_header((10**4, 10**4)) + b"\0" * 64)
    with pytest.raises(InputError, match=r"declares the shape.*it is truncated"):
        read_tensor(path)


def test_bytes_after_the_array_are_refused(tmp_path, npy_header):
    path = tmp_path / "x.npy"
    path.write_bytes(npy_header((2, 2)) + b"\0" * 33)
    with pytest.raises(InputError, match="goes on for 1 bytes"):
        read_tensor(path)


@pytest.mark.parametrize("shape", [(-2, 3), (2, "a"), "ab"])
def test_a_shape_that_is_none_is_refused(shape, tmp_path, npy_header):
    path = tmp_path / "x.npy"
    path.write_bytes(npy_header(shape) + b"\0" * 48)
    with pytest.raises(InputError, match="damaged"):
        read_tensor(path)


class Payload:
    """Unpickling it makes a directory."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("form", ["npy", "npz"])
def test_a_pickle_is_refused_and_never_run(form, tmp_path):
    path, marker = tmp_path / f"x.{form}", tmp_path / "ran"
    array = np.array([[Payload(marker)]], dtype=object)
    np.save(path, array) if form == "npy" else np.savez(path, a=array)
    with pytest.raises(InputError, match="Python objects, which are never unpickled"):
        read_tensor(path)
    assert not marker.exists()


def test_a_bare_pickle_is_refused(tmp_path):
    (tmp_path / "x.npy").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    with pytest.raises(InputError, match=r"cannot be read as a \.npy array"):
        read_tensor(tmp_path / "x.npy")


def test_named_fields_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2, 2), dtype=[("a", "f8")]))
    with pytest.raises(InputError, match="real numbers are needed"):
        read_tensor(tmp_path / "x.npy")


@pytest.mark.parametrize("dtype", [">f8", ">f4", "<f2"])
def test_byte_order_and_width_are_kept(dtype, tmp_path, tensor, complete):
    np.save(tmp_path / "x.npy", tensor.astype(dtype))
    written = complete(tmp_path / "x.npy")
    assert np.load(written).dtype == np.dtype(dtype)


def test_an_array_in_column_order_is_read_right(tmp_path, tensor):
    np.save(tmp_path / "x.npy", np.asfortranarray(tensor))
    file = read_tensor(tmp_path / "x.npy")
    np.testing.assert_array_equal(file.observations.dense(), tensor)
