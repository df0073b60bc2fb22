"""netCDF, HDF5, Zarr and xarray, as rows of docs/files.md; see test_forms.py."""

import json

import h5py
import numpy as np
import pytest
import xarray as xr
from scipy.io import netcdf_file

from rankrise._errors import InputError
from rankrise.tensors import incomplete_tensor, read_tensor, write_completed

DIMS = (3, 4, 2)
PACKING = {"dtype": "int16", "scale_factor": 0.002, "add_offset": 10.0}
PACKING["_FillValue"] = -32768


def gappy():
    values = np.random.default_rng(0).uniform(-20, 40, DIMS).round(3)
    values[1, 2, 0] = np.nan
    return values


def weather():
    """A variable among coordinates, bounds, a grid mapping and another variable."""
    attributes = {"units": "degC", "grid_mapping": "crs"}
    return xr.Dataset(
        {
            "air": (("time", "lat", "lon"), gappy(), attributes),
            "crs": ((), 0, {"grid_mapping_name": "latitude_longitude"}),
            "time_bnds": (("time", "nv"), np.arange(6.0).reshape(3, 2)),
            "rain": (("time", "lat", "lon"), np.ones(DIMS)),
        },
        {
            "time": ("time", [0, 6, 12], {"units": "hours", "bounds": "time_bnds"}),
            "lat": ("lat", [10.0, 20, 30, 40]),
            "station": ("lat", ["Zürich", "Bern", "Basel", "Chur"]),
        },
        {"source": "made up"},
    )


def completed_of(file, value=19.694):
    dense = file.observations.dense()
    return np.where(np.isnan(dense), value, dense)


def written_back(path, **options):
    """Read, complete, write; the file that was read, what was written and values."""
    file = read_tensor(path, **options)
    (path.parent / "out").mkdir()
    completed = completed_of(file)
    return file, write_completed(file, completed, path.parent / "out"), completed


def raw(path, **options):
    with xr.open_dataset(path, decode_cf=False, **options) as content:
        return content.load()


def netcdf4(folder):
    path = folder / "x.nc"
    chunked = {"chunksizes": (1, 4, 2), "zlib": True, "complevel": 5}
    weather().to_netcdf(
        path, encoding={"air": chunked}, unlimited_dims=["time"], engine="h5netcdf"
    )
    file, out, completed = written_back(path, variable="air")
    np.testing.assert_array_equal(file.observations.dense(), gappy())
    before, after = raw(path), raw(out)
    assert set(after.variables) == set(before.variables) - {"rain"}
    np.testing.assert_array_equal(after["air"], completed)
    xr.testing.assert_identical(
        before.drop_vars(["air", "rain"]), after.drop_vars("air")
    )
    assert before["air"].attrs.keys() == after["air"].attrs.keys()
    assert after.encoding["unlimited_dims"] == {"time"}
    for name in ("chunksizes", "zlib", "complevel"):
        assert after["air"].encoding[name] == before["air"].encoding[name] != 0


def packed(folder):
    path = folder / "x.nc"
    weather().to_netcdf(path, encoding={"air": PACKING}, engine="h5netcdf")
    file, out, completed = written_back(path, variable="air")
    with xr.open_dataset(path, engine="h5netcdf") as before:
        np.testing.assert_array_equal(file.observations.dense(), before["air"])
    with xr.open_dataset(out, engine="h5netcdf") as after:
        np.testing.assert_array_equal(after["air"], completed)
        assert after["air"].dtype == np.float64
        assert after["air"].values[1, 2, 0] == 19.694


def groups(folder):
    path = folder / "x.nc"
    sea = xr.Dataset({"sst": (("line", "pixel"), [[1.0, np.nan], [3, 4]])})
    place = xr.Dataset({"latitude": (("line", "pixel"), np.ones((2, 2)))})
    xr.Dataset(attrs={"platform": "Aqua"}).to_netcdf(path, engine="h5netcdf")
    for group, content in (("geophysical_data", sea), ("navigation_data", place)):
        content.to_netcdf(path, "a", group=group, engine="h5netcdf")
    with pytest.raises(InputError, match=r"'geophysical_data/sst' \(2, 2\) float64, "):
        read_tensor(path)
    _, out, completed = written_back(path, variable="geophysical_data/sst")
    np.testing.assert_array_equal(raw(out, group="geophysical_data")["sst"], completed)
    assert raw(out).attrs == {"platform": "Aqua"}


def netcdf3(folder):
    path = folder / "x.nc"
    content = weather().drop_vars("crs")
    content.to_netcdf(
        path, encoding={"air": PACKING}, unlimited_dims=["time"], engine="scipy"
    )
    file, out, completed = written_back(path, variable="air")
    with xr.open_dataset(path, engine="scipy") as before:
        np.testing.assert_array_equal(file.observations.dense(), before["air"])
    assert out.read_bytes()[:4] == path.read_bytes()[:4]
    before, after = raw(path, engine="scipy"), raw(out, engine="scipy")
    np.testing.assert_array_equal(after["air"], completed)
    assert after["air"].dtype.kind == "f"
    xr.testing.assert_identical(
        before.drop_vars(["air", "rain"]), after.drop_vars("air")
    )
    assert after.encoding["unlimited_dims"] == {"time"}
    with netcdf_file(out, mmap=False) as content:
        assert content.dimensions["time"] is None


def hdf5(folder):
    path = folder / "x.h5"
    with h5py.File(path, "w") as content:
        options = {"chunks": (3, 2, 2), "compression": "gzip", "shuffle": True}
        array = content.create_dataset("run/cube", data=gappy(), **options)
        array.attrs["unit"] = "counts"
        array.dims[0].label = "trial"
        content["mask"] = np.ones((4, 2), bool)
    with pytest.raises(
        InputError, match=r"'mask' \(4, 2\) bool, 'run/cube' \(3, 4, 2\)"
    ):
        read_tensor(path)
    file, out, completed = written_back(path, variable="run/cube")
    np.testing.assert_array_equal(file.observations.dense(), gappy())
    assert file.layout.axes(3)[0].name == "trial"
    with h5py.File(out) as content:
        array = content["run/cube"]
        np.testing.assert_array_equal(array, completed)
        assert list(content) == ["run"]
        assert (array.chunks, array.compression, array.shuffle) == (
            (3, 2, 2),
            "gzip",
            True,
        )
        assert array.attrs["unit"] == "counts"


def zarr(folder):
    path = folder / "x.zarr"
    try:
        import zarr  # noqa: F401
    except ImportError:
        path.mkdir()
        (path / "zarr.json").write_text(json.dumps({"node_type": "group"}))
        with pytest.raises(InputError, match="Zarr folders need zarr, which is not"):
            read_tensor(path)
        return
    weather().to_zarr(path, encoding={"air": PACKING}, zarr_format=2)
    file, out, completed = written_back(path, variable="air")
    np.testing.assert_allclose(file.observations.dense(), gappy(), atol=0.0011)
    assert out.name == "completed.nc"
    with xr.open_dataset(out, engine="h5netcdf", decode_coords="all") as after:
        np.testing.assert_array_equal(after["air"], completed)
        assert {"time_bnds", "crs", "station", "lat"} <= set(after.coords)
        assert after["station"].values.tolist() == weather()["station"].values.tolist()


def opened(folder):
    path = folder / "x.nc"
    lat = {"dtype": "int16", "scale_factor": 0.5}
    weather().to_netcdf(path, encoding={"air": PACKING, "lat": lat}, engine="h5netcdf")
    with xr.open_dataset(path, engine="h5netcdf") as content:
        return content.load()


def data_array(folder):
    source = opened(folder)["air"]
    restored = incomplete_tensor(source).restore(source.fillna(19.694).values)
    assert restored.identical(source.fillna(19.694))
    restored.to_netcdf(folder / "out.nc", engine="h5netcdf")
    after = xr.load_dataarray(folder / "out.nc", engine="h5netcdf")
    np.testing.assert_array_equal(after, restored)
    assert after.values[1, 2, 0] == 19.694
    assert after["lat"].encoding["dtype"] == np.int16  # its own packing is kept


def dataset(folder):
    source = opened(folder)
    with pytest.raises(InputError, match="several arrays"):
        incomplete_tensor(source)
    source = source.drop_vars("rain")
    restored = incomplete_tensor(source).restore(source["air"].fillna(19.694).values)
    assert restored.identical(source.assign(air=source["air"].fillna(19.694)))
    restored.to_netcdf(folder / "out.nc", engine="h5netcdf")
    assert (
        xr.load_dataset(folder / "out.nc", engine="h5netcdf")["air"][1, 2, 0] == 19.694
    )


def dask(folder):
    pytest.importorskip("dask")
    source = opened(folder)["air"]
    blocks = incomplete_tensor(source.chunk({"time": 1}))
    np.testing.assert_array_equal(blocks.observations.dense(), source)
    restored = blocks.restore(source.fillna(1.0).values)
    np.testing.assert_array_equal(restored, source.fillna(1.0))


FORMS = {
    "`.nc`, version 4": netcdf4,
    "`.nc`, packed integers": packed,
    "`.nc`, groups": groups,
    "`.nc`, version 3": netcdf3,
    "`.h5`, `.hdf5`": hdf5,
    "`.zarr` folder": zarr,
    "`xarray.DataArray`": data_array,
    "`xarray.Dataset`": dataset,
    "`xarray.DataArray` of Dask": dask,
}
