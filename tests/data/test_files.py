"""Tensors in files: what is read, what is written back, and what is refused."""

import contextlib
import hashlib
import io
import os
import struct
import time
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io.matlab
import xarray as xr
from scipy.io import loadmat, savemat

from rankrise._errors import InputError
from rankrise.data.files import _declared, read_tensor, write_completed

FORMS = ["npy", "npz", "csv", "tns", "mat", "nc"]
BINARY_FORMS = ["npy", "npz", "mat", "nc"]
COORDINATE_FORMS = {"csv": (0, ","), "tns": (1, " ")}


def gappy_tensor(dtype=np.float64):
    """Order three, about a third unobserved; the last entry shows all dimensions."""
    rng = np.random.default_rng(0)
    tensor = rng.normal(size=(3, 4, 2)).astype(dtype)
    tensor[rng.random(tensor.shape) < 0.35] = np.nan
    tensor[-1, -1, -1] = 1 / 3
    return tensor


def store(path, tensor):
    """Write a tensor with NaN where unobserved, in the form that the suffix names."""
    match path.suffix:
        case ".npy":
            np.save(path, tensor)
        case ".npz":
            np.savez(path, ratings=tensor)
        case ".mat":
            savemat(path, {"ratings": tensor})
        case ".nc":
            xr.DataArray(tensor, name="ratings").to_netcdf(path, engine="h5netcdf")
        case suffix:
            first, delimiter = COORDINATE_FORMS[suffix.removeprefix(".")]
            rows = [
                delimiter.join([*map(str, index + first), repr(tensor[tuple(index)])])
                for index in np.argwhere(~np.isnan(tensor))
            ]
            text = "\n".join(rows).replace("np.float64(", "").replace(")", "")
            path.write_text(text + "\n")
    return path


def fill(observations, with_value=0.5):
    """A completion that keeps observed entries."""
    dense = observations.dense()
    return np.where(np.isnan(dense), with_value, dense)


def text_file(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def complete(path, directory, **options):
    """Read, complete, write; the path of what was written."""
    directory.mkdir(exist_ok=True)
    file = read_tensor(path, **options)
    return write_completed(file, fill(file.observations), directory)


# Every form


@pytest.mark.parametrize("form", FORMS)
def test_reading_keeps_exactly_the_observed_entries(form, tmp_path):
    tensor = gappy_tensor()
    file = read_tensor(store(tmp_path / f"x.{form}", tensor))
    np.testing.assert_array_equal(file.observations.dense(), tensor)


@pytest.mark.parametrize("form", FORMS)
def test_the_completed_file_holds_all_entries_unchanged(form, tmp_path):
    tensor = gappy_tensor()
    written = complete(store(tmp_path / f"x.{form}", tensor), tmp_path / "out")
    expected = np.where(np.isnan(tensor), 0.5, tensor)
    np.testing.assert_array_equal(read_tensor(written).observations.dense(), expected)


@pytest.mark.parametrize("form", FORMS)
def test_the_completed_file_has_the_form_and_variable_of_the_input(form, tmp_path):
    path = store(tmp_path / f"x.{form}", gappy_tensor())
    before = read_tensor(path)
    written = complete(path, tmp_path / "out")
    after = read_tensor(written)
    assert written.name == f"completed.{form}"
    assert (after.form, after.variable) == (form, before.variable)
    assert before.variable == ("ratings" if form in ("npz", "mat", "nc") else None)


@pytest.mark.parametrize("form", FORMS)
def test_the_hash_is_that_of_the_bytes(form, tmp_path):
    path = store(tmp_path / f"x.{form}", gappy_tensor())
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_tensor(path).content_sha256 == expected


@pytest.mark.parametrize("form", FORMS)
def test_an_extension_in_capitals_is_known_and_kept(form, tmp_path):
    path = store(tmp_path / f"x.{form}", gappy_tensor()).rename(
        tmp_path / f"x.{form.upper()}"
    )
    written = complete(path, tmp_path / "out")
    assert os.listdir(tmp_path / "out") == [f"completed.{form.upper()}"]
    assert read_tensor(written).form == form


@pytest.mark.parametrize("form", BINARY_FORMS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_floating_point_type_is_kept(form, dtype, tmp_path):
    path = store(tmp_path / f"x.{form}", gappy_tensor(dtype))
    assert stored_array(complete(path, tmp_path / "out")).dtype == dtype


@pytest.mark.parametrize("form", BINARY_FORMS)
def test_whole_numbers_become_float64(form, tmp_path):
    path = store(tmp_path / f"x.{form}", np.arange(6).reshape(2, 3))
    array = stored_array(complete(path, tmp_path / "out"))
    assert array.dtype == np.float64
    np.testing.assert_array_equal(array, [[0, 1, 2], [3, 4, 5]])


@pytest.mark.parametrize("form", ["npy", "npz", "csv", "tns", "mat"])
def test_a_damaged_byte_gives_a_tensor_or_an_input_error(form, tmp_path):
    # scipy.io.loadmat ends the process here; HDF5 takes too long for so many.
    path = store(tmp_path / f"x.{form}", gappy_tensor())
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0b10010101
        path.write_bytes(damaged)
        with contextlib.suppress(InputError):
            read_tensor(path)


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


def test_entries_too_large_for_float16_are_written_as_float64(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.array([[1, np.nan], [2, 3]], np.float16))
    written = write_completed(read_tensor(path), np.full((2, 2), 1e6), mkdir(tmp_path))
    np.testing.assert_array_equal(np.load(written), np.full((2, 2), 1e6))


def mkdir(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


@pytest.mark.parametrize("form", FORMS)
def test_a_write_that_fails_leaves_the_old_file(form, tmp_path, monkeypatch):
    path = store(tmp_path / f"x.{form}", gappy_tensor())
    written = complete(path, tmp_path / "out")
    old = written.read_bytes()
    monkeypatch.setattr(os, "replace", fail_to_write)
    with pytest.raises(OSError, match="disk is full"):
        complete(path, tmp_path / "out")
    assert written.read_bytes() == old
    assert os.listdir(tmp_path / "out") == [written.name]


def fail_to_write(*_):
    raise OSError("disk is full")


def test_the_input_is_never_overwritten(tmp_path):
    path = store(tmp_path / "completed.npy", gappy_tensor())
    with pytest.raises(InputError, match="is the input itself"):
        complete(path, tmp_path)


def test_a_completed_tensor_of_another_shape_is_refused(tmp_path):
    file = read_tensor(store(tmp_path / "x.npy", gappy_tensor()))
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
    with pytest.raises(InputError, match="no regular file"):
        read_tensor(tmp_path / "x.npy")


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_may_not_be_read_is_refused(form, tmp_path, monkeypatch):
    path = store(tmp_path / f"x.{form}", gappy_tensor())

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(InputError, match=rf"x\.{form}: .*Permission denied"):
        read_tensor(path)


@pytest.mark.parametrize("name", ["x.parquet", "x", "x.npy.gz", ".npy"])
def test_an_unknown_extension_is_refused_with_those_that_fit(name, tmp_path):
    path = tmp_path / name
    path.touch()
    with pytest.raises(InputError, match=r"not known; use one of .*\.tns, \.mat"):
        read_tensor(path)


@pytest.mark.parametrize("form", BINARY_FORMS)
@pytest.mark.parametrize("content", [b"user,item,value\n0,1,2\n", b"\0" * 300])
def test_content_of_another_form_is_refused(form, content, tmp_path):
    path = tmp_path / f"x.{form}"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"^x\.{form}: It "):
        read_tensor(path)


@pytest.mark.parametrize("form", ["csv", "tns"])
@pytest.mark.parametrize("other", BINARY_FORMS)
def test_a_binary_file_is_no_text(form, other, tmp_path):
    path = store(tmp_path / f"x.{other}", gappy_tensor()).rename(tmp_path / f"x.{form}")
    with pytest.raises(InputError, match=r"no UTF-8 text|no text"):
        read_tensor(path)


@pytest.mark.parametrize("form", BINARY_FORMS)
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(form, kept, tmp_path):
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
def test_entries_that_cannot_be_used_are_refused(form, array, message, tmp_path):
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
def test_strings_are_refused(form, tmp_path):
    store(tmp_path / f"x.{form}", np.array([["a", "b"]]))
    with pytest.raises(InputError, match=r"real numbers are needed|Python objects"):
        read_tensor(tmp_path / f"x.{form}")


@pytest.mark.parametrize("form", ["npy", "npz", "nc"])
def test_order_one_is_refused(form, tmp_path):
    store(tmp_path / f"x.{form}", np.arange(3.0))
    with pytest.raises(InputError, match="order 1; a tensor needs at least two modes"):
        read_tensor(tmp_path / f"x.{form}")


@pytest.mark.parametrize("form", BINARY_FORMS)
def test_a_tensor_too_large_for_memory_is_refused(form, tmp_path, monkeypatch):
    path = store(tmp_path / f"x.{form}", gappy_tensor(np.float32))
    monkeypatch.setattr(_declared, "MAX_DENSE_BYTES", 24 * 8 - 1)  # as float64
    with pytest.raises(InputError, match=r"GiB of memory.*coordinates"):
        read_tensor(path)


@pytest.mark.parametrize("form", BINARY_FORMS)
def test_other_mode_dims_than_the_array_has_are_refused(form, tmp_path):
    path = store(tmp_path / f"x.{form}", gappy_tensor())
    assert read_tensor(path, mode_dims=(3, 4, 2)).observations.order == 3
    with pytest.raises(InputError, match=r"shape \(3, 4, 2\) but `mode_dims` says"):
        read_tensor(path, mode_dims=(4, 4, 2))


@pytest.mark.parametrize("form", ["npy", "csv", "tns"])
def test_a_variable_is_refused_where_there_are_none(form, tmp_path):
    path = store(tmp_path / f"x.{form}", gappy_tensor())
    with pytest.raises(InputError, match="no named variables"):
        read_tensor(path, variable="ratings")


@pytest.mark.parametrize("form", ["npz", "mat", "nc"])
def test_an_unknown_variable_is_refused_with_those_there_are(form, tmp_path):
    path = store(tmp_path / f"x.{form}", gappy_tensor())
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


# .npy


def npy_header(shape, descr="<f8"):
    stream = io.BytesIO()
    header = {"shape": shape, "fortran_order": False, "descr": descr}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue()


@pytest.mark.parametrize("shape", [(10**6, 10**6), (2**62, 2**62), (10**400, 2)])
def test_a_huge_declared_shape_takes_no_memory(shape, tmp_path):
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


def test_a_shape_larger_than_the_file_takes_no_memory(tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(npy_header((10**4, 10**4)) + b"\0" * 64)
    with pytest.raises(InputError, match=r"declares the shape.*it is truncated"):
        read_tensor(path)


def test_bytes_after_the_array_are_refused(tmp_path):
    path = tmp_path / "x.npy"
    path.write_bytes(npy_header((2, 2)) + b"\0" * 33)
    with pytest.raises(InputError, match="goes on for 1 bytes"):
        read_tensor(path)


@pytest.mark.parametrize("shape", [(-2, 3), (2, "a"), "ab"])
def test_a_shape_that_is_none_is_refused(shape, tmp_path):
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
def test_byte_order_and_width_are_kept(dtype, tmp_path):
    np.save(tmp_path / "x.npy", gappy_tensor().astype(dtype))
    written = complete(tmp_path / "x.npy", tmp_path / "out")
    assert np.load(written).dtype == np.dtype(dtype)


def test_an_array_in_column_order_is_read_right(tmp_path):
    tensor = gappy_tensor()
    np.save(tmp_path / "x.npy", np.asfortranarray(tensor))
    file = read_tensor(tmp_path / "x.npy")
    np.testing.assert_array_equal(file.observations.dense(), tensor)


# .npz


@pytest.mark.parametrize("name", ["array", "data", "tensor"])
def test_a_mask_says_what_is_observed(name, tmp_path):
    mask = np.array([[True, False], [False, True]])
    np.savez(tmp_path / "x.npz", **{name: [[1.0, 9.0], [9.0, 2.0]], "mask": mask})
    file = read_tensor(tmp_path / "x.npz")
    np.testing.assert_array_equal(file.observations.dense(), [[1, np.nan], [np.nan, 2]])
    assert file.variable == name


def test_the_completion_of_a_masked_array_is_the_array_alone(tmp_path):
    np.savez(tmp_path / "x.npz", data=np.ones((2, 2)), mask=np.eye(2, dtype=bool))
    written = complete(tmp_path / "x.npz", tmp_path / "out")
    with np.load(written) as archive:
        assert archive.files == ["data"]


def test_a_mask_of_another_shape_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", data=np.ones((2, 2)), mask=np.ones((2, 3)))
    with pytest.raises(InputError, match=r"x.npz: The mask has shape \(2, 3\)"):
        read_tensor(tmp_path / "x.npz")


def test_an_array_named_like_an_argument_of_savez_is_kept(tmp_path):
    np.save(tmp_path / "file.npy", gappy_tensor())
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.write(tmp_path / "file.npy", "file.npy")
    assert (
        read_tensor(complete(tmp_path / "x.npz", tmp_path / "out")).variable == "file"
    )


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_compression_of_the_input_is_kept(save, tmp_path):
    save(tmp_path / "x.npz", a=gappy_tensor())
    written = complete(tmp_path / "x.npz", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "x.npz") as old, zipfile.ZipFile(written) as new:
        assert old.getinfo("a.npy").compress_type == new.getinfo("a.npy").compress_type


@pytest.mark.parametrize("stored_dims", [None, (3, 4)])
def test_indices_and_values_are_coordinates_in_and_out(stored_dims, tmp_path):
    arrays = {"indices": np.array([[0, 1], [1, 2]], np.int16), "values": [0.5, 2.0]}
    if stored_dims:
        arrays["mode_dims"] = stored_dims
    np.savez(tmp_path / "x.npz", **arrays)
    file = read_tensor(tmp_path / "x.npz")
    assert file.observations.mode_dims == (stored_dims or (2, 3))
    written = complete(tmp_path / "x.npz", tmp_path / "out")
    np.testing.assert_array_equal(
        read_tensor(written).observations.dense(), fill(file.observations)
    )
    with np.load(written) as archive:
        assert set(archive.files) == {"indices", "values", "mode_dims"}
        assert archive["indices"].dtype == np.int16


def test_mode_dims_given_go_before_those_stored(tmp_path):
    arrays = {"indices": [[0, 1]], "values": [0.5], "mode_dims": [2, 2]}
    np.savez(tmp_path / "x.npz", **arrays)
    file = read_tensor(tmp_path / "x.npz", mode_dims=(5, 6))
    assert file.observations.mode_dims == (5, 6)


def test_coordinates_beside_something_else_are_refused(tmp_path):
    arrays = {"indices": np.zeros((1, 2), int), "values": [1.0], "weights": [2.0]}
    np.savez(tmp_path / "x.npz", **arrays)
    file = read_tensor(tmp_path / "x.npz", variable="indices")
    assert file.variable == "indices"
    np.savez(tmp_path / "x.npz", **arrays, more=np.ones((2, 2)))
    with pytest.raises(InputError, match="several arrays"):
        read_tensor(tmp_path / "x.npz")


def test_coordinates_that_repeat_an_entry_are_refused(tmp_path):
    np.savez(tmp_path / "x.npz", indices=[[0, 1], [0, 1]], values=[1.0, 2.0])
    with pytest.raises(InputError, match=r"x.npz: Rows 0 and 1 both give"):
        read_tensor(tmp_path / "x.npz")


def test_an_archive_without_arrays_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("readme.txt", "nothing")
    with pytest.raises(InputError, match="holds no array"):
        read_tensor(tmp_path / "x.npz")


def test_a_zip_bomb_is_not_unpacked(tmp_path, monkeypatch):
    np.savez_compressed(tmp_path / "x.npz", a=np.zeros((2000, 1000)))
    assert (tmp_path / "x.npz").stat().st_size < 10**5
    monkeypatch.setattr(_declared, "MAX_DENSE_BYTES", 10**6)
    tracemalloc.start()
    with pytest.raises(InputError, match="GiB of memory"):
        read_tensor(tmp_path / "x.npz")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10**6


def test_a_zip_bomb_of_coordinates_is_not_unpacked(tmp_path, monkeypatch):
    indices = np.zeros((10**5, 2), int)
    np.savez_compressed(tmp_path / "x.npz", indices=indices, values=np.zeros(10**5))
    monkeypatch.setattr(_declared, "MAX_DENSE_BYTES", 10**6)
    with pytest.raises(InputError, match="Unpacking 'indices' and 'values' needs more"):
        read_tensor(tmp_path / "x.npz")


@pytest.mark.parametrize("length", [32, 10**6])
def test_a_member_longer_or_shorter_than_it_declares_is_refused(length, tmp_path):
    with zipfile.ZipFile(tmp_path / "x.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy_header((10, 10)) + b"\0" * length)
    with pytest.raises(InputError, match=r"truncated|goes on for"):
        read_tensor(tmp_path / "x.npz")


def test_a_damaged_member_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.ones((9, 9)))
    damaged = bytearray((tmp_path / "x.npz").read_bytes())
    damaged[400] ^= 255
    (tmp_path / "x.npz").write_bytes(damaged)
    with pytest.raises(InputError, match="Bad CRC-32"):
        read_tensor(tmp_path / "x.npz")


# .csv and .tns

HEADED = "user,item,day,rating\n0,1,0,2.5\n2,0,1,-1e-3\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " "])
@pytest.mark.parametrize("headed", [True, False])
def test_delimiter_and_header_are_found_and_kept(delimiter, headed, tmp_path):
    text = HEADED.replace(",", delimiter)
    path = text_file(
        tmp_path / "x.csv", text if headed else text.split("\n", maxsplit=1)[1]
    )
    assert read_tensor(path).observations.values.tolist() == [2.5, -1e-3]
    lines = complete(path, tmp_path / "out").read_text().splitlines()
    if headed:
        assert lines.pop(0) == delimiter.join(["user", "item", "day", "rating"])
    assert lines[0] == delimiter.join(["0", "0", "0", "0.5"])
    assert len(lines) == 3 * 2 * 2


@pytest.mark.parametrize(
    "text",
    [
        "# from the lab\n\nuser,item,rating\n0,1,2\n\n  # more\n1,0,3\n",
        "user,item,rating\r\n0,1,2\r\n1,0,3",
        "\ufeffuser,item,rating\n0,1,2\n1,0,3\n",
        "user, item, rating\n 0, 1, 2 \n 1, 0, 3 \n",
        'user,item,rating\n"0","1","2"\n"1","0","3"\n',
        "user,item,rating\n0.0,1.0,2\n1,0,3\n,,\n,,\n",
        "user item  rating\n0  1 2\n 1\t0 3\n",
    ],
)
def test_what_surrounds_the_fields_changes_nothing(text, tmp_path):
    observations = read_tensor(text_file(tmp_path / "x.csv", text)).observations
    np.testing.assert_array_equal(observations.dense(), [[np.nan, 2], [3, np.nan]])


@pytest.mark.parametrize("missing", ["", " ", "nan", "NaN", "NA"])
def test_a_row_without_value_only_counts_for_the_mode_dimensions(missing, tmp_path):
    path = text_file(tmp_path / "x.csv", f"0,0,1.5\n4,6,{missing}\n")
    observations = read_tensor(path).observations
    assert observations.mode_dims == (5, 7)
    assert observations.values.tolist() == [1.5]


def test_labels_get_indices_as_they_first_appear(tmp_path):
    text = "user,item,rating\nzoe,7,1\nadam,0,2\nzoe,1,3\nNA,0,\n"
    observations = read_tensor(text_file(tmp_path / "x.csv", text)).observations
    assert observations.indices.tolist() == [[0, 7], [1, 0], [0, 1]]
    assert observations.mode_dims == (3, 8)


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("who,what,n\nzoe,pen,1\nadam,ink,2\n", "adam,pen,0.5"),
        ('"zoe, jr",pen,1\nadam,ink,2\n', '"zoe, jr",ink,0.5'),
        ('"#1",pen,1\nadam,ink,2\n', '"#1","ink",0.5'),
        ("zoe pen 1\nadam 5'6\" 2\n", "zoe 5'6\" 0.5"),
        ("zoe\tred pen\t1\nadam\tink\t2\n", "adam\tred pen\t0.5"),
        ("a_1,1_0,1\na_2,2_0,2\n", "a_2,1_0,0.5"),
        ("True,pen,1\nFALSE,ink,2\n", "FALSE,pen,0.5"),
    ],
)
def test_labels_are_written_back(text, row, tmp_path):
    path = text_file(tmp_path / "x.csv", text)
    written = complete(path, tmp_path / "out")
    assert row in written.read_text().splitlines()
    np.testing.assert_array_equal(
        read_tensor(written).observations.dense(), fill(read_tensor(path).observations)
    )


@pytest.mark.parametrize("value", [0.1, 1 / 3, 5e-324, 1.7976931348623157e308])
def test_values_survive_text_to_the_last_bit(value, tmp_path):
    path = text_file(tmp_path / "x.csv", f"0,0,{value!r}\n1,1,1\n")
    assert read_tensor(path).observations.values[0] == value
    assert read_tensor(complete(path, tmp_path / "o")).observations.values[0] == value


@pytest.mark.parametrize("form", ["csv", "tns"])
def test_mode_dims_may_exceed_what_the_entries_show(form, tmp_path):
    path = text_file(tmp_path / f"x.{form}", "1 1 2.0\n2 1 3.0\n")
    huge = (10**12, 10**12)  # more entries than int64 counts: nothing dense is formed
    assert read_tensor(path, mode_dims=huge).observations.mode_dims == huge


def test_tns_counts_from_one_in_and_out(tmp_path):
    path = text_file(tmp_path / "x.tns", "# FROSTT\n1 1 1.5\n2\t3   4\n")
    file = read_tensor(path)
    assert file.observations.indices.tolist() == [[0, 0], [1, 2]]
    lines = complete(path, tmp_path / "out").read_text().splitlines()
    assert lines[0] == "1 1 1.5"
    assert lines[-1] == "2 3 4.0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# only\n\n", "holds no rows"),
        ("user,item,rating\n", "a header but no rows"),
        (",user,rating\n0,1,2\n", "Column 1 of the header has no name"),
        ("0,1\n1,2\n", "Line 1 has 2 field"),
        ("nonsense\n", "Line 1 has 1 field"),
        ("0,1,2\n\n1,2\n", "Line 3 has 2 field.s. but line 1 has 3"),
        ("0,1,2\n1,2,3,4\n", "Line 2 has 4 field"),
        ('u,v,x\n"0,1,2\n', "Line 2 has quotation marks that do not match"),
        ("u,v,x\n0,1.5,2\n", r"Line 2 has the index 1\.5 in mode 2.*matrix as .npy"),
        ("1.5,2.5,3.5\n4.5,5.5,6.5\n", r"Line 1 has the index 1\.5.*matrix as .npy"),
        ("#\n0,1,2\n-1,1,2\n", "Line 3 has the index -1 in mode 1.*count from 0"),
        ("0,1,2\n3,,4\n", "Line 2 has the index '' in mode 2"),
        ("0,1,2\n3,nan,4\n", "Line 2 has the index nan in mode 2"),
        ("0,1,2\ninf,1,4\n", "Line 2 has the index inf in mode 1"),
        ("0,1,2\n99999999999999999999,1,4\n", "Line 2 has the index 1e.20 in mode 1"),
        ("0,1,2\n0,2,abc\n", "Line 2 has the value 'abc'"),
        ("0,1,abc\n0,2,3\n", "Line 1 has the value 'abc'"),
        ("0,1,2\n0,2,1_000\n", "Line 2 has the value '1_000'"),
        ("0;1;2,5\n0;2;3,5\n", "Line 1 has the value '2,5'; a number with a decimal"),
        ("0,1,2\n0,2,1+2j\n", r"Line 2 has the value '1\+2j'"),
        ("0,1,2\n0,2,inf\n", "Line 2 has the value inf"),
        ("0,1,2\n0,2,1e999\n", "Line 2 has the value inf"),
        ("0,1,\n0,2,nan\n", "no observed entries"),
        ("u,v,x\n0,1,2\n\n5,5,1\n0,1,3\n", r"Lines 2 and 5 both give the entry \(0, 1"),
        ("a,b,2\nc,d,\nc,d,1\na,b,3\n", r"Lines 1 and 4 both .* \('a', 'b'\)"),
    ],
)
def test_a_csv_that_cannot_be_used_is_refused_by_line(text, message, tmp_path):
    with pytest.raises(InputError, match=rf"^x\.csv: .*{message}"):
        read_tensor(text_file(tmp_path / "x.csv", text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 1 2\n1 0 3\n", "Line 2 has the index 0 in mode 2; indices count from 1"),
        ("1,1,2\n", "Line 1 has 1 field"),
        ("a b c\n1 1 2\n", "Line 1 has the index 'a' in mode 1; a .tns holds"),
        ("1 1 2\n1 1.5 2\n", r"Line 2 has the index 1\.5 in mode 2; a .tns holds"),
        ("1 1 2\n1 2\n", "Line 2 has 2 field"),
        ("3\n2 2 2\n1 1 1 2\n", "Line 1 has 1 field"),
        ("# two\n1 2 2\n1 2 3\n", r"Lines 2 and 3 both give the entry \(1, 2\)"),
    ],
)
def test_a_tns_that_cannot_be_used_is_refused_by_line(text, message, tmp_path):
    with pytest.raises(InputError, match=rf"^x\.tns: {message}"):
        read_tensor(text_file(tmp_path / "x.tns", text))


@pytest.mark.parametrize(
    ("form", "text", "mode_dims", "message"),
    [
        ("csv", "0,1,2\n0,3,4\n", (2, 3), "Line 2 has the index 3 in mode 2; .*from 0"),
        ("tns", "1 1 2\n1 4 4\n", (2, 3), "Line 2 has the index 4 in mode 2; .*from 1"),
        ("csv", "0,1,2\n", (2, 3, 4), "2 index columns but `mode_dims` names 3 modes"),
        ("csv", "a,1,2\n", (2, 3), "Mode 1 has 1 labels but .* dimension 2"),
    ],
)
def test_mode_dims_that_do_not_fit_are_refused(
    form, text, mode_dims, message, tmp_path
):
    path = text_file(tmp_path / f"x.{form}", text)
    with pytest.raises(InputError, match=message):
        read_tensor(path, mode_dims=mode_dims)


def test_text_in_another_encoding_is_refused(tmp_path):
    (tmp_path / "x.csv").write_bytes("zoë,pen,1\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"no UTF-8 text \(byte 2\)"):
        read_tensor(tmp_path / "x.csv")


def test_columns_may_change_their_look_far_down_the_file(tmp_path):
    # Further down than the blocks in which columns are converted.
    rows = [f"{i},0,1" for i in range(40_000)]
    path = text_file(tmp_path / "x.csv", "\n".join([*rows, "late,1.0,2.5"]))
    observations = read_tensor(path).observations
    assert observations.mode_dims == (40_001, 2)
    assert observations.values[-1] == 2.5


def test_long_or_unprintable_fields_are_shown_in_short(tmp_path):
    path = text_file(tmp_path / "x.csv", f"0,1,2\n0,2,\x1b[31m{'y' * 10**5}\n")
    with pytest.raises(InputError) as caught:
        read_tensor(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250


# .mat


def test_the_only_numeric_array_is_chosen_among_others(tmp_path):
    content = {"x": gappy_tensor(), "note": "hello", "step": 0.5, "s": {"a": 1.0}}
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


@pytest.mark.parametrize("user_block", [0, 512])
def test_matlab_7_3_is_refused_with_what_to_do(user_block, tmp_path):
    path = tmp_path / "x.mat"
    with h5py.File(path, "w", userblock_size=user_block) as content:
        content["x"] = np.ones((2, 2))
    if user_block:
        head = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
        path.write_bytes(head + path.read_bytes()[len(head) :])
    with pytest.raises(InputError, match=r"7\.3 .*save it with -v7"):
        read_tensor(path)


def test_matlab_4_is_refused_with_what_to_do(tmp_path):
    savemat(tmp_path / "x.mat", {"x": np.ones((2, 2))}, format="4")
    with pytest.raises(InputError, match="no MATLAB file of version 5"):
        read_tensor(tmp_path / "x.mat")


def test_a_tensor_that_no_mat_file_could_hold_is_refused_before_the_run(
    tmp_path, monkeypatch
):
    from rankrise.data.files import _mat

    savemat(tmp_path / "x.mat", {"x": np.ones((4, 4), np.uint8)})
    monkeypatch.setattr(_mat, "_MAX_VARIABLE_BYTES", 127)
    with pytest.raises(InputError, match="4 GiB that a variable"):
        read_tensor(tmp_path / "x.mat")


# .nc


def climate(path, **encoding):
    """A packed variable with gaps, coordinates of several kinds and attributes."""
    rng = np.random.default_rng(0)
    values = np.round(rng.normal(size=(3, 4)), 1)
    values[1, 2] = np.nan
    dataset = xr.Dataset(
        {"temperature": (("time", "site"), values, {"units": "K", "long_name": "T"})},
        coords={
            "time": ("time", [0, 6, 12], {"units": "hours since 2000-01-01"}),
            "name": ("site", ["north", "east", "south", "west"]),
            "height": ("site", [1.5, 2.5, 3.5, 4.5]),
        },
        attrs={"source": "made up"},
    )
    dataset.to_netcdf(path, engine="h5netcdf", encoding={"temperature": encoding})
    return path


def load_raw(path):
    with xr.open_dataset(path, engine="h5netcdf", decode_times=False) as dataset:
        return dataset.load()


def test_dimensions_coordinates_and_attributes_are_kept(tmp_path):
    path = climate(tmp_path / "x.nc")
    before, after = load_raw(path), load_raw(complete(path, tmp_path / "out"))
    xr.testing.assert_identical(before.fillna(0.5), after)


def test_packed_integers_are_unpacked_and_not_packed_again(tmp_path):
    packing = {"dtype": "int16", "scale_factor": 0.1, "_FillValue": -999}
    path = climate(tmp_path / "x.nc", **packing, zlib=True)
    file = read_tensor(path)
    assert len(file.observations) == 11
    written = write_completed(file, fill(file.observations, 1 / 3), mkdir(tmp_path))
    assert load_raw(written)["temperature"].values[1, 2] == 1 / 3


def test_a_tensor_of_seconds_stays_numbers(tmp_path):
    array = xr.DataArray(np.ones((2, 3)), name="duration", attrs={"units": "seconds"})
    array.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    assert read_tensor(tmp_path / "x.nc").observations.values.tolist() == [1.0] * 6


def test_an_attribute_that_netcdf_cannot_hold_does_not_stop_the_writing(tmp_path):
    path = climate(tmp_path / "x.nc")
    with h5py.File(path, "r+") as content:
        for described in (content, content["temperature"], content["height"]):
            described.attrs["checked"] = True  # HDF5 has booleans
    after = load_raw(complete(path, tmp_path / "out"))
    assert after.attrs == {"source": "made up"}
    assert set(after["temperature"].attrs) == {"units", "long_name"}


def test_a_scalar_variable_beside_the_tensor_does_not_confuse(tmp_path):
    variables = {"crs": ((), 4326), "t": (("a", "b"), np.ones((2, 3)))}
    xr.Dataset(variables).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    assert read_tensor(tmp_path / "x.nc").variable == "t"


def test_a_huge_declared_netcdf_variable_takes_no_memory(tmp_path):
    with h5py.File(tmp_path / "x.nc", "w") as content:
        for name in "ab":
            content.create_dataset(name, (10**6,), chunks=(10**5,), dtype="i1")
            content[name].make_scale(name)
        shape, chunks = (10**6, 10**6), (10**3, 10**3)
        huge = content.create_dataset("x", shape, chunks=chunks, dtype="f8")
        huge.dims[0].attach_scale(content["a"])
        huge.dims[1].attach_scale(content["b"])
    with pytest.raises(InputError, match="GiB of memory"):
        read_tensor(tmp_path / "x.nc")


def test_netcdf_3_is_refused_with_what_to_do(tmp_path):
    array = xr.DataArray(np.ones((2, 3)), name="x")
    array.to_netcdf(tmp_path / "x.nc", engine="scipy")
    with pytest.raises(InputError, match="nccopy -k netCDF-4"):
        read_tensor(tmp_path / "x.nc")
