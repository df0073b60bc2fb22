"""netCDF files: coordinates, attributes and packed values."""

import h5py
import numpy as np
import pytest
import xarray as xr

from rankrise._errors import InputError
from rankrise.tensors.files import read_tensor, write_completed


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


def test_dimensions_coordinates_and_attributes_are_kept(tmp_path, complete):
    path = climate(tmp_path / "x.nc")
    before, after = load_raw(path), load_raw(complete(path))
    xr.testing.assert_identical(before.fillna(0.5), after)


def test_packed_integers_are_unpacked_and_not_packed_again(tmp_path, fill, out):
    packing = {"dtype": "int16", "scale_factor": 0.1, "_FillValue": -999}
    path = climate(tmp_path / "x.nc", **packing, zlib=True)
    file = read_tensor(path)
    assert len(file.observations) == 11
    written = write_completed(file, fill(file.observations, 1 / 3), out)
    assert load_raw(written)["temperature"].values[1, 2] == 1 / 3


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
    assert after["temperature"].attrs == {
        "units": "K",
        "long_name": "T",
        "checked": True,
    }


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
