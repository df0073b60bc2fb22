"""`.npz` archives: masks, coordinates, and archives made to do harm."""

import tracemalloc
import zipfile

import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.tensors.files import _declared, read_tensor


@pytest.mark.parametrize("name", ["array", "data", "tensor"])
def test_a_mask_says_what_is_observed(name, tmp_path):
    mask = np.array([[True, False], [False, True]])
    np.savez(tmp_path / "x.npz", **{name: [[1.0, 9.0], [9.0, 2.0]], "mask": mask})
    file = read_tensor(tmp_path / "x.npz")
    np.testing.assert_array_equal(file.observations.dense(), [[1, np.nan], [np.nan, 2]])
    assert file.variable == name


def test_the_completion_of_a_masked_array_is_the_array_alone(tmp_path, complete):
    np.savez(tmp_path / "x.npz", data=np.ones((2, 2)), mask=np.eye(2, dtype=bool))
    written = complete(tmp_path / "x.npz")
    with np.load(written) as archive:
        assert archive.files == ["data"]


def test_a_mask_of_another_shape_is_refused(tmp_path):
    np.savez(tmp_path / "x.npz", data=np.ones((2, 2)), mask=np.ones((2, 3)))
    with pytest.raises(InputError, match=r"x.npz: The mask has shape \(2, 3\)"):
        read_tensor(tmp_path / "x.npz")


def test_an_array_named_like_an_argument_of_savez_is_kept(tmp_path, tensor, complete):
    np.save(tmp_path / "file.npy", tensor)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.write(tmp_path / "file.npy", "file.npy")
    assert read_tensor(complete(tmp_path / "x.npz")).variable == "file"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_the_compression_of_the_input_is_kept(save, tmp_path, tensor, complete):
    save(tmp_path / "x.npz", a=tensor)
    written = complete(tmp_path / "x.npz")
    with zipfile.ZipFile(tmp_path / "x.npz") as old, zipfile.ZipFile(written) as new:
        assert old.getinfo("a.npy").compress_type == new.getinfo("a.npy").compress_type


@pytest.mark.parametrize("stored_dims", [None, (3, 4)])
def test_indices_and_values_are_coordinates_in_and_out(
    stored_dims, tmp_path, fill, complete
):
    arrays = {"indices": np.array([[0, 1], [1, 2]], np.int16), "values": [0.5, 2.0]}
    if stored_dims:
        arrays["mode_dims"] = stored_dims
    np.savez(tmp_path / "x.npz", **arrays)
    file = read_tensor(tmp_path / "x.npz")
    assert file.observations.mode_dims == (stored_dims or (2, 3))
    written = complete(tmp_path / "x.npz")
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
def test_a_member_longer_or_shorter_than_it_declares_is_refused(
    length, tmp_path, npy_header
):
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
