"""netCDF and HDF5 files: what is read of them, what comes back, what is refused."""

import logging
import os
import subprocess
import sys
import zlib
from dataclasses import replace

import h5py
import numpy as np
import pytest
import xarray as xr
from scipy.io import netcdf_file

from rankrise._errors import InputError
from rankrise.tensors.files import _declared, read_tensor, write_completed

ENGINES = ["h5netcdf", "scipy"]


def climate(path, engine="h5netcdf", **encoding):
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
    dataset.to_netcdf(path, engine=engine, encoding={"temperature": encoding})
    return path


def load_raw(path):
    with xr.open_dataset(path, decode_times=False) as dataset:
        return dataset.load()


def raw_variable(path, stored, engine="h5netcdf", **attrs):
    """A variable as it is stored, whatever its attributes say."""
    variable = xr.Variable(("a", "b"), np.asarray(stored), attrs)
    if "_FillValue" not in attrs:
        variable.encoding["_FillValue"] = None
    xr.Dataset({"x": variable}).to_netcdf(path, engine=engine)
    return path


@pytest.mark.parametrize("engine", ENGINES)
def test_dimensions_coordinates_and_attributes_are_kept(engine, tmp_path, complete):
    path = climate(tmp_path / "x.nc", engine)
    before, after = load_raw(path), load_raw(complete(path))
    xr.testing.assert_identical(before.fillna(0.5), after)


@pytest.mark.parametrize("engine", ENGINES)
def test_packed_integers_are_unpacked_and_not_packed_again(engine, tmp_path, fill, out):
    packing = {"dtype": "int16", "scale_factor": 0.1, "_FillValue": -999}
    path = climate(tmp_path / "x.nc", engine, **packing)
    file = read_tensor(path)
    assert len(file.observations) == 11
    np.testing.assert_array_equal(file.observations.dense(), load_raw(path).temperature)
    written = write_completed(file, fill(file.observations, 1e6 / 3), out)
    assert load_raw(written)["temperature"].values[1, 2] == 1e6 / 3


@pytest.mark.parametrize("engine", ENGINES)
def test_unsigned_bytes_are_read_as_such(engine, tmp_path):
    path = raw_variable(
        tmp_path / "x.nc",
        np.array([[1, -1], [-2, 3]], np.int8),
        engine,
        _Unsigned="true",
        _FillValue=np.int8(-1),
        scale_factor=0.5,
    )
    expected = [[0.5, np.nan], [127, 1.5]]
    np.testing.assert_array_equal(read_tensor(path).observations.dense(), expected)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("stored", "attributes", "expected", "words"),
    [
        (
            np.array([[1, 2], [30, -3]], np.int16),
            {"valid_range": np.array([0, 20], np.int16), "scale_factor": 0.5},
            [[0.5, 1], [np.nan, np.nan]],
            "2 entries of 'x' lie outside the valid range, 0 to 20",
        ),
        # Of the unpacked values, for it is of their kind.
        (
            np.array([[1, 2], [30, -3]], np.int16),
            {"valid_max": 14.0, "scale_factor": 0.5},
            [[0.5, 1], [np.nan, -1.5]],
            "1 entry of 'x' lies outside the valid range, -inf to 14",
        ),
        (
            np.array([[1.0, 2], [-9999, 4]]),
            {"valid_min": 0.0},
            [[1, 2], [np.nan, 4]],
            "1 entry of 'x' lies outside the valid range, 0 to inf",
        ),
        (
            np.array([[1, 9.96921e36], [3, 4]], np.float32),
            {},
            [[1, np.nan], [3, 4]],
            "1 entry of 'x' holds netCDF's default fill value",
        ),
        (
            np.array([[1, -32767], [3, -32767]], np.int16),
            {},
            [[1, np.nan], [3, np.nan]],
            "2 entries of 'x' hold netCDF's default fill value",
        ),
        # Bytes have no default, and a fill value of their own replaces it.
        (np.array([[1, -127], [3, 4]], np.int8), {}, [[1, -127], [3, 4]], ""),
        (
            np.array([[1, -32767], [-1, 4]], np.int16),
            {"_FillValue": np.int16(-1)},
            [[1, -32767], [np.nan, 4]],
            "",
        ),
        (
            np.array([[1, 1e20], [-9, 4]], np.float32),
            {"missing_value": 1e20, "_FillValue": np.float32(-9)},
            [[1, np.nan], [np.nan, 4]],
            "",
        ),
    ],
)
def test_what_attributes_say_is_missing_is_missing(
    engine, stored, attributes, expected, words, tmp_path, caplog
):
    path = raw_variable(tmp_path / "x.nc", stored, engine, **attributes)
    with caplog.at_level(logging.WARNING, "rankrise"):
        file = read_tensor(path)
    np.testing.assert_array_equal(file.observations.dense(), expected)
    assert words in caplog.text
    assert bool(words) == bool(caplog.records)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_describes_the_stored_values_alone_is_not_written(
    engine, tmp_path, complete
):
    packing = {"scale_factor": 0.5, "valid_range": np.array([0, 20], np.int16)}
    path = raw_variable(
        tmp_path / "x.nc",
        np.array([[1, 2], [30, 3]], np.int16),
        engine,
        missing_value=np.int16(-5),
        units="K",
        **packing,
    )
    after = xr.load_dataset(complete(path), decode_cf=False)["x"]
    assert after.attrs == {"units": "K"}
    assert after.values.tolist() == [[0.5, 1], [0.5, 1.5]]


def test_a_tensor_of_seconds_stays_numbers(tmp_path):
    array = xr.DataArray(np.ones((2, 3)), name="duration", attrs={"units": "seconds"})
    array.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    assert read_tensor(tmp_path / "x.nc").observations.values.tolist() == [1.0] * 6


def test_an_attribute_that_netcdf_has_no_type_for_comes_along(tmp_path, complete):
    path = climate(tmp_path / "x.nc")
    with h5py.File(path, "r+") as content:
        for described in (content, content["temperature"], content["height"]):
            described.attrs["checked"] = True  # HDF5 has booleans
    after = load_raw(complete(path))
    assert after.attrs == {"source": "made up", "checked": True}
    units = {"units": "K", "long_name": "T", "checked": True}
    assert after["temperature"].attrs == units


def test_text_that_is_not_utf8_is_given_back_as_it_is(tmp_path, complete):
    path = climate(tmp_path / "x.nc")
    degrees = "°C".encode("latin-1")
    with h5py.File(path, "r+") as content:
        for described in (content, content["temperature"], content["height"]):
            kind = h5py.h5t.C_S1.copy()
            kind.set_size(len(degrees))
            kind.set_cset(h5py.h5t.CSET_UTF8)
            kind.set_strpad(h5py.h5t.STR_NULLPAD)
            space = h5py.h5s.create(h5py.h5s.SCALAR)
            made = h5py.h5a.create(described.id, b"unit", kind, space)
            made.write(np.array(degrees), mtype=kind)
    with h5py.File(complete(path)) as content:
        for described in (content, content["temperature"], content["height"]):
            stored = described.attrs.get_id("unit")
            value = np.empty((), stored.dtype)
            stored.read(value)
            assert value.item() == degrees


def test_text_that_is_not_utf8_is_given_back_in_version_3(tmp_path, complete):
    path = tmp_path / "x.nc"
    degrees = "°C".encode("latin-1")
    with netcdf_file(path, "w") as content:
        content.createDimension("a", 2)
        content.createDimension("b", 3)
        content.createVariable("x", "f8", ("a", "b"))[:] = [[1, 2, np.nan], [4, 5, 6]]
        content.variables["x"].units = content.history = degrees
    with netcdf_file(complete(path), mmap=False) as content:
        assert content.variables["x"].units == content.history == degrees
        assert content.variables["x"][:].tolist() == [[1, 2, 0.5], [4, 5, 6]]


def test_labels_are_unpacked_and_text_whatever_its_form(tmp_path):
    path = tmp_path / "x.nc"
    with h5py.File(path, "w") as content:
        content["lat"] = np.array([20, 40], np.int16)
        content["lat"].attrs["scale_factor"] = 0.25
        content["station"] = np.array([b"Z\xfcrich", b"Bern"], "S8")
        content["x"] = np.ones((2, 2))
        for mode, name in enumerate(["lat", "station"]):
            content[name].make_scale(name)
            content["x"].dims[mode].attach_scale(content[name])
    axes = read_tensor(path).layout.axes(2)
    labels = [axis.labels for axis in axes]
    assert [axis.name for axis in axes] == ["lat", "station"]
    assert labels[0].tolist() == [5.0, 10.0]
    assert labels[1].tolist() == ["Zürich", "Bern"]


def test_a_scalar_beside_records_of_version_3_spoils_nothing(tmp_path, complete):
    path = tmp_path / "x.nc"
    with netcdf_file(path, "w") as content:
        content.createDimension("time", None)
        content.createDimension("b", 2)
        content.createDimension("one", 1)
        content.createVariable("crs", "i4", ("one",))[:] = 7
        content.createVariable("time", "f8", ("time",))[:] = [1, 2, 3]
        content.createVariable("x", "f8", ("time", "b"))[:] = np.ones((3, 2))
        content.variables["x"].grid_mapping = "the_crs"
    # SciPy writes no such scalar rightly, so one dimension gives its place to the name.
    named = b"\0\0\0\x03crs\0" + b"\0\0\0\x01" + b"\0\0\0\x02"
    assert path.read_bytes().count(named) == 1
    scalar = b"\0\0\0\x07the_crs\0" + bytes(4)
    path.write_bytes(path.read_bytes().replace(named, scalar))
    with netcdf_file(complete(path), mmap=False) as content:
        assert content.variables["time"][:].tolist() == [1, 2, 3]
        assert content.variables["the_crs"].data == 7
        assert content.variables["x"][:].tolist() == np.ones((3, 2)).tolist()


def test_a_scalar_variable_beside_the_tensor_does_not_confuse(tmp_path):
    variables = {"crs": ((), 4326), "t": (("a", "b"), np.ones((2, 3)))}
    xr.Dataset(variables).to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    assert read_tensor(tmp_path / "x.nc").variable == "t"


def elsewhere(kind, path):
    """A file whose data lie in another, beside it."""
    other = path.with_name("other.nc")
    climate(other)
    (path.parent / "secret").write_bytes(np.ones(4).tobytes())
    with h5py.File(path, "w") as content:
        match kind:
            case "link":
                content["x"] = h5py.ExternalLink(other.name, "/temperature")
            case "soft link":
                content["x"] = h5py.SoftLink("/nowhere")
            case "external":
                at = [("secret", 0, 32)]
                content.create_dataset("x", (2, 2), "f8", external=at)
            case "virtual":
                layout = h5py.VirtualLayout((3, 4), "f8")
                layout[:] = h5py.VirtualSource(other.name, "temperature", (3, 4))
                content.create_virtual_dataset("x", layout)
            case "coordinate":
                content["x"] = np.ones((2, 2))
                content.create_dataset("y", (2,), "f8", external=[("secret", 0, 16)])
                content["y"].make_scale("y")
                content["x"].dims[0].attach_scale(content["y"])
    return path


@pytest.mark.parametrize("suffix", ["nc", "h5"])
@pytest.mark.parametrize(
    "kind", ["link", "soft link", "external", "virtual", "coordinate"]
)
def test_data_in_other_files_are_not_read(kind, suffix, tmp_path, monkeypatch):
    path = elsewhere(kind, tmp_path / f"x.{suffix}")
    monkeypatch.chdir(tmp_path)  # where HDF5 would look for them
    with pytest.raises(InputError, match=rf"^x\.{suffix}: .*'[xy]' lie in other files"):
        read_tensor(path, variable="x")


def test_a_link_beside_the_variable_does_not_confuse(tmp_path, complete):
    path = climate(tmp_path / "x.nc")
    with h5py.File(path, "r+") as content:
        content["other"] = h5py.ExternalLink("other.nc", "/temperature")
        content["again"] = content["/"]  # a circle
    assert set(load_raw(complete(path)).data_vars) == {"temperature"}


@pytest.mark.parametrize("chunks", [None, (10**3, 10**3)])
@pytest.mark.parametrize("suffix", ["nc", "h5"])
def test_a_huge_declared_variable_takes_no_memory(suffix, chunks, tmp_path):
    path = tmp_path / f"x.{suffix}"
    with h5py.File(path, "w") as content:
        content.create_dataset("x", (10**6, 10**6), chunks=chunks, dtype="f8")
    with pytest.raises(InputError, match="GiB of memory"):
        read_tensor(path)


def test_a_huge_coordinate_takes_no_memory(tmp_path):
    path = tmp_path / "x.nc"
    with h5py.File(path, "w") as content:
        content["x"] = np.ones((2, 2))
        content.create_dataset("y", (10**12,), chunks=(10**6,), dtype="f8")
        content["x"].attrs["coordinates"] = "y"
    with pytest.raises(InputError, match=r"'y' needs more than .* GiB of memory"):
        read_tensor(path)


def test_a_chunk_that_unpacks_to_more_than_it_declares_is_refused(tmp_path):
    path = tmp_path / "x.nc"
    with h5py.File(path, "w") as content:
        options = {"chunks": (4, 4), "compression": "gzip"}
        dataset = content.create_dataset("x", (4, 4), "f8", **options)
        dataset.id.write_direct_chunk((0, 0), zlib.compress(bytes(10**7)))
    with pytest.raises(InputError, match="does not unpack to the 128 bytes"):
        read_tensor(path)


def test_a_large_chunk_of_lzf_is_bounded_by_what_it_may_unpack_to(
    tmp_path, monkeypatch
):
    path = tmp_path / "x.h5"
    values = np.arange(2000.0).reshape(40, 50) // 7
    with h5py.File(path, "w") as content:
        content.create_dataset("x", data=values, compression="lzf", chunks=(40, 50))
    np.testing.assert_array_equal(read_tensor(path).observations.dense(), values)
    monkeypatch.setattr(_declared, "MAX_DENSE_BYTES", 10**5)
    with pytest.raises(InputError, match="A chunk of 'x' needs more than"):
        read_tensor(path)


def test_many_references_to_one_long_text_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "x.nc"
    with h5py.File(path, "w") as content:
        content["x"] = np.ones((2, 400))
        content["site"] = np.full(400, "a" * 5000, h5py.string_dtype())
        content["site"].make_scale("site")
        content["x"].dims[1].attach_scale(content["site"])
    assert len(read_tensor(path).layout.axes(2)[1].labels) == 400
    monkeypatch.setattr(_declared, "MAX_DENSE_BYTES", 10**6)
    with pytest.raises(InputError, match="'site' needs more than"):
        read_tensor(path)


def test_a_heap_without_end_is_refused_and_not_searched(tmp_path):
    path = climate(tmp_path / "x.nc")
    damaged = bytearray(path.read_bytes())
    heap = damaged.index(b"GCOL")
    # The object that stands for what is free, said to take no room.
    place = heap + 16
    while damaged[place : place + 2] != bytes(2):
        size = int.from_bytes(damaged[place + 8 : place + 16], "little")
        place += 16 + -(-size // 8) * 8
    damaged[place + 8 : place + 16] = bytes(8)
    path.write_bytes(damaged)
    with pytest.raises(InputError, match="global heap is damaged"):
        read_tensor(path)


def test_what_was_not_written_yet_of_an_unlimited_dimension_is_missing(
    tmp_path, complete
):
    path = tmp_path / "x.nc"
    with h5py.File(path, "w") as content:
        # The netCDF library stores only as much of each variable as was written.
        content.create_dataset("time", data=[5.0, 6, 7], maxshape=(None,), chunks=(4,))
        content["time"].make_scale("time")
        stored = np.array([[1, 2], [3, 4]], np.int16)
        options = {"maxshape": (None, 2), "chunks": (1, 2)}
        content.create_dataset("x", data=stored, **options)
        content["x"].dims[0].attach_scale(content["time"])
        content["x"].attrs["scale_factor"] = np.float32(0.5)
        content["x"].attrs["grid_mapping"] = "crs"
        content.create_dataset("crs", (), "i4")  # its attributes are all there is
        content["crs"].attrs["semi_major_axis"] = 6378137.0
    expected = [[0.5, 1], [1.5, 2], [np.nan, np.nan]]
    file = read_tensor(path)
    np.testing.assert_array_equal(file.observations.dense(), expected)
    assert file.layout.axes(2)[0].labels.tolist() == [5, 6, 7]
    with h5py.File(complete(path)) as content:
        assert (content["x"].shape, content["x"].maxshape) == ((3, 2), (None, 2))
        assert content["x"].dtype == np.float32
        assert content["crs"].attrs["semi_major_axis"] == 6378137.0


def test_what_a_group_is_named_by_may_begin_with_a_slash(tmp_path):
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as content:
        content["a/b/x"], content["y"] = np.ones((2, 2)), np.ones((2, 3))
    assert read_tensor(path, variable="/a/b/x").variable == "a/b/x"
    with pytest.raises(InputError, match=r"'y' \(2, 3\) float64, 'a/b/x' \(2, 2\)"):
        read_tensor(path)


def test_dimensions_of_the_groups_around_come_along(tmp_path, complete):
    path = tmp_path / "x.nc"
    outer = xr.Dataset(coords={"time": [5.0, 6, 7]}, attrs={"title": "outer"})
    inner = xr.Dataset({"x": (("time", "b"), np.ones((3, 2)))})
    tree = xr.DataTree.from_dict({"/": outer, "/inner": inner})
    tree.to_netcdf(path, engine="h5netcdf")
    assert read_tensor(path).layout.axes(2)[0].labels.tolist() == [5, 6, 7]
    after = xr.load_datatree(complete(path), engine="h5netcdf")
    assert after.identical(tree)


@pytest.mark.parametrize("version", [1, 2])
def test_version_3_is_given_back_in_the_same_version(version, tmp_path, complete):
    path = tmp_path / "x.nc"
    with netcdf_file(path, "w", version=version) as content:
        content.createDimension("a", 2)
        content.createVariable("x", "f4", ("a", "a"))[:] = np.eye(2)
    assert complete(path).read_bytes()[:4] == b"CDF" + bytes([version])


def test_the_newest_classic_form_is_refused_with_what_to_do(tmp_path):
    (tmp_path / "x.nc").write_bytes(b"CDF\x05" + bytes(100))
    with pytest.raises(InputError, match="nccopy -k netCDF-4"):
        read_tensor(tmp_path / "x.nc")


def test_what_cannot_be_written_is_kept_in_another_form(
    tmp_path, fill, out, caplog, monkeypatch
):
    file = read_tensor(climate(tmp_path / "x.nc"))

    def stumble(*args):
        raise UnicodeEncodeError("ascii", "°", 0, 1, "no such byte")

    file = replace(file, layout=replace(file.layout, write=stumble))
    completed = fill(file.observations)
    written = write_completed(file, completed, out)
    assert [path.name for path in out.iterdir()] == ["completed.npy"]
    np.testing.assert_array_equal(np.load(written), completed)
    assert "completed.nc cannot be written ('ascii' codec" in caplog.text


def test_reading_imports_neither_pandas_nor_xarray(tmp_path):
    path = climate(tmp_path / "x.nc")
    code = (
        "import sys; from rankrise.tensors import read_tensor; "
        f"read_tensor({str(path)!r}); print({{'pandas', 'xarray'}} & {{*sys.modules}})"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ,
    )
    assert ended.stdout.strip() == "set()"
