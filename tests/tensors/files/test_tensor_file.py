"""What holds for every form of file, and the choice among them."""

import hashlib
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from scipy.io import loadmat, savemat

from rankrise._errors import InputError
from rankrise.tensors.files import _declared, read_tensor, write_completed

FORMS = ["npy", "npz", "csv", "tns", "mat", "nc", "parquet"]
BINARY_FORMS = ["npy", "npz", "mat", "nc"]


@pytest.mark.parametrize("form", FORMS)
def test_reading_keeps_exactly_the_observed_entries(form, tmp_path, tensor, store):
    file = read_tensor(store(tmp_path / f"x.{form}", tensor))
    np.testing.assert_array_equal(file.observations.dense(), tensor)


@pytest.mark.parametrize("form", FORMS)
def test_the_completed_file_holds_all_entries_unchanged(
    form, tmp_path, tensor, store, complete
):
    written = complete(store(tmp_path / f"x.{form}", tensor))
    expected = np.where(np.isnan(tensor), 0.5, tensor)
    np.testing.assert_array_equal(read_tensor(written).observations.dense(), expected)


@pytest.mark.parametrize("form", FORMS)
def test_the_completed_file_has_the_form_and_variable_of_the_input(
    form, tmp_path, tensor, store, complete
):
    path = store(tmp_path / f"x.{form}", tensor)
    before = read_tensor(path)
    written = complete(path)
    after = read_tensor(written)
    assert written.name == f"completed.{form}"
    assert (after.form, after.variable) == (form, before.variable)
    assert before.variable == (None if form in ("npy", "csv", "tns") else "ratings")


@pytest.mark.parametrize("form", FORMS)
def test_the_hash_is_that_of_the_bytes(form, tmp_path, tensor, store):
    path = store(tmp_path / f"x.{form}", tensor)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_tensor(path).content_sha256 == expected


@pytest.mark.parametrize("form", FORMS)
def test_an_extension_in_capitals_is_known_and_kept(
    form, tmp_path, tensor, store, complete
):
    path = store(tmp_path / f"x.{form}", tensor).rename(tmp_path / f"x.{form.upper()}")
    written = complete(path)
    assert os.listdir(tmp_path / "out") == [f"completed.{form.upper()}"]
    assert read_tensor(written).form == form


@pytest.mark.parametrize("form", BINARY_FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_floating_point_type_is_kept(
    form, dtype, tmp_path, tensor, store, complete
):
    path = store(tmp_path / f"x.{form}", tensor.astype(dtype))
    assert stored_array(complete(path)).dtype == dtype


@pytest.mark.parametrize("form", BINARY_FORMS)
def test_whole_numbers_become_float64(form, tmp_path, store, complete):
    path = store(tmp_path / f"x.{form}", np.arange(6).reshape(2, 3))
    array = stored_array(complete(path))
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, [[0, 1, 2], [3, 4, 5]])


def stored_array(path):
    match path.suffix:
        case ".npy":
            return np.load(path)
        case ".npz":
            with np.load(path) as archive:
                return archive["ratings"]
        case ".mat":
            return loadmat(path)["ratings"]
    with xr.open_dataset(path, engine="h5netcdf") as dataset:
        return dataset["ratings"].values


def test_entries_too_large_for_float16_are_written_as_float64(tmp_path, out):
    path = tmp_path / "x.npy"
    np.save(path, np.array([[1, np.nan], [2, 3]], np.float16))
    written = write_completed(read_tensor(path), np.full((2, 2), 1e6), out)
    np.testing.assert_array_equal(np.load(written), np.full((2, 2), 1e6))


@pytest.mark.parametrize("form", FORMS)
def test_a_write_that_fails_leaves_the_old_file(
    form, tmp_path, monkeypatch, tensor, store, complete
):
    path = store(tmp_path / f"x.{form}", tensor)
    written = complete(path)
    old = written.read_bytes()
    monkeypatch.setattr(os, "replace", fail_to_write)
    with pytest.raises(OSError, match="disk is full"):
        complete(path)
    assert written.read_bytes() == old
    assert os.listdir(tmp_path / "out") == [written.name]


def fail_to_write(*_):
    raise OSError("disk is full")


def test_the_input_is_never_overwritten(tmp_path, tensor, store, complete):
    path = store(tmp_path / "completed.npy", tensor)
    with pytest.raises(InputError, match="is the input itself"):
        complete(path, tmp_path)


def test_a_completed_tensor_of_another_shape_is_refused(tmp_path, tensor, store):
    file = read_tensor(store(tmp_path / "x.npy", tensor))
    with pytest.raises(InputError, match=r"shape \(2, 2\).*x.npy are \(3, 4, 2\)"):
        write_completed(file, np.ones((2, 2)), tmp_path)


@pytest.mark.parametrize("form", FORMS)
def test_an_empty_file_is_refused(form, tmp_path):
    path = tmp_path / f"x.{form}"
    path.touch()
    with pytest.raises(InputError, match=rf"^x\.{form}: It is empty"):
        read_tensor(path)


@pytest.mark.parametrize("form", FORMS)
def test_a_missing_file_is_refused(form, tmp_path):
    with pytest.raises(InputError, match=rf"^x\.{form}: There is no such file"):
        read_tensor(tmp_path / f"x.{form}")


@pytest.mark.parametrize("form", FORMS)
def test_a_directory_is_refused(form, tmp_path):
    path = tmp_path / f"x.{form}"
    path.mkdir()
    with pytest.raises(InputError, match=rf"^x\.{form}: It is a directory"):
        read_tensor(path)


def test_a_pipe_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "x.npy")
    with pytest.raises(InputError, match="not a regular file"):
        read_tensor(tmp_path / "x.npy")


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_may_not_be_read_is_refused(
    form, tmp_path, monkeypatch, tensor, store
):
    path = store(tmp_path / f"x.{form}", tensor)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(InputError, match=rf"x\.{form}: .*Permission denied"):
        read_tensor(path)


@pytest.mark.parametrize("name", ["x.dat", "x", "x.npy.gz", "x.gz", ".npy"])
def test_an_unknown_extension_is_refused_with_those_that_fit(name, tmp_path):
    path = tmp_path / name
    path.touch()
    with pytest.raises(
        InputError, match=r"not known; use one of \.npy, .*\.mat, .*\.tns, "
    ):
        read_tensor(path)


@pytest.mark.parametrize("form", BINARY_FORMS)
@pytest.mark.parametrize("content", [b"user,item,value\n0,1,2\n", b"\0" * 300])
def test_content_of_another_form_is_refused(form, content, tmp_path):
    path = tmp_path / f"x.{form}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^x\.{form}: It "):
        read_tensor(path)


@pytest.mark.parametrize("form", ["csv", "tns"])
@pytest.mark.parametrize("other", [*BINARY_FORMS, "parquet"])
def test_a_binary_file_is_no_text(form, other, tmp_path, tensor, store):
    path = store(tmp_path / f"x.{other}", tensor).rename(tmp_path / f"x.{form}")
    with pytest.raises(InputError, match=r"not UTF-8 text|not text"):
        read_tensor(path)


@pytest.mark.parametrize("form", BINARY_FORMS)
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(form, kept, tmp_path, store):
    path = store(tmp_path / f"x.{form}", np.random.default_rng(0).normal(size=(20, 30)))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(InputError, match=rf"^x\.{form}: It"):
        read_tensor(path)


@pytest.mark.parametrize("form", BINARY_FORMS)
@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.full((2, 3), np.nan), "None of the 6 entries is observed"),
        (np.array([[1.0, np.inf], [2.0, 3.0]]), r"at \(0, 1\) is inf"),
        (np.array([[1.0 + 2.0j, 3.0]]), "complex"),
    ],
)
def test_entries_that_cannot_be_used_are_refused(form, array, message, tmp_path, store):
    path = tmp_path / f"x.{form}"
    if form == "nc" and array.dtype.kind == "c":
        array_to_hdf5_as_complex(path, array)
    else:
        store(path, array)
    with pytest.raises(InputError, match=rf"^x\.{form}: .*{message}"):
        read_tensor(path)


def array_to_hdf5_as_complex(path, array):
    with h5py.File(path, "w") as content:
        content["ratings"] = array
        for axis, length in enumerate(array.shape):
            content[f"d{axis}"] = np.arange(length)
            content[f"d{axis}"].make_scale()
            content["ratings"].dims[axis].attach_scale(content[f"d{axis}"])


@pytest.mark.parametrize("form", ["npy", "npz", "nc"])
def test_strings_are_refused(form, tmp_path, store):
    store(tmp_path / f"x.{form}", np.array([["a", "b"]]))
    with pytest.raises(InputError, match=r"real numbers are needed|Python objects"):
        read_tensor(tmp_path / f"x.{form}")


@pytest.mark.parametrize("form", ["npy", "npz", "nc"])
def test_order_one_is_refused(form, tmp_path, store):
    store(tmp_path / f"x.{form}", np.arange(3.0))
    with pytest.raises(InputError, match="order 1; a tensor needs at least two modes"):
        read_tensor(tmp_path / f"x.{form}")


@pytest.mark.parametrize("form", BINARY_FORMS)
def test_a_tensor_too_large_for_memory_is_refused(
    form, tmp_path, monkeypatch, tensor, store
):
    path = store(tmp_path / f"x.{form}", tensor.astype(np.float32))
    monkeypatch.setattr(_declared, "MAX_DENSE_BYTES", 24 * 8 - 1)  # as float64
    with pytest.raises(InputError, match=r"GiB of memory.*coordinates"):
        read_tensor(path)


@pytest.mark.parametrize("form", BINARY_FORMS)
def test_other_mode_dims_than_the_array_has_are_refused(form, tmp_path, tensor, store):
    path = store(tmp_path / f"x.{form}", tensor)
    assert read_tensor(path, mode_dims=(3, 4, 2)).observations.order == 3
    with pytest.raises(InputError, match=r"shape \(3, 4, 2\) but `mode_dims` says"):
        read_tensor(path, mode_dims=(4, 4, 2))


@pytest.mark.parametrize("form", ["npy", "tns"])
def test_a_variable_is_refused_where_there_are_none(form, tmp_path, tensor, store):
    path = store(tmp_path / f"x.{form}", tensor)
    with pytest.raises(InputError, match="no named variables"):
        read_tensor(path, variable="ratings")


@pytest.mark.parametrize("form", ["npz", "mat", "nc"])
def test_an_unknown_variable_is_refused_with_those_there_are(
    form, tmp_path, tensor, store
):
    path = store(tmp_path / f"x.{form}", tensor)
    with pytest.raises(InputError, match=r"no variable 'y'; it holds 'ratings' \(3, 4"):
        read_tensor(path, variable="y")


def store_two(path):
    first, second = np.ones((2, 3)), np.zeros((3, 2))
    match path.suffix:
        case ".npz":
            np.savez(path, first=first, second=second)
        case ".mat":
            savemat(path, {"first": first, "second": second})
        case ".nc":
            variables = {"first": (("a", "b"), first), "second": (("b", "a"), second)}
            xr.Dataset(variables).to_netcdf(path, engine="h5netcdf")
    return path


@pytest.mark.parametrize("form", ["npz", "mat", "nc"])
def test_one_of_several_arrays_has_to_be_named(form, tmp_path):
    path = store_two(tmp_path / f"x.{form}")
    with pytest.raises(InputError, match=r"several arrays: 'first' .*'second' "):
        read_tensor(path)
    file = read_tensor(path, variable="second")
    assert (file.variable, file.observations.mode_dims) == ("second", (3, 2))


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("given", [None, 3, b"x.npy", ["x.npy"], np.eye(2)])
def test_what_is_no_name_of_a_file_is_refused(given):
    with pytest.raises(InputError, match="came, not the name of a file"):
        read_tensor(given)
