"""netCDF files that are made without xarray: what is in them is what xarray writes."""

from concurrent.futures import ThreadPoolExecutor

import h5py
import numpy as np
import pytest
import xarray as xr

from rankrise._netcdf import netcdf_bytes

REFERENCES = {"DIMENSION_LIST", "REFERENCE_LIST"}
NORMS = np.array([[1.5, np.nan], [2.0, 0.25], [3.0, 0.5]])


def run_of_one():
    return xr.Dataset(
        {
            "step": ("save", np.arange(3, dtype="i4"), {"units": "1"}),
            "valid": ("save", [True, True, False]),
            "loss": ("save", np.array([3, 2, 1], "f4"), {"long_name": "Verlust µ"}),
            "norms": (("save", "component"), NORMS),
        },
        {"init_scale": 0.1, "start_seed": 3, "label": "a"},
        {"title": "x", "seconds": 0.25, "count": 3, "empty": "", "sizes": [1, 2]},
    )


def runs_of_several():
    return xr.Dataset(
        {"loss": (("run", "save"), NORMS), "index": ("save", [0, 1])},
        {
            "run": ["first", "größer", ""],
            "scale": ("run", [0.1, 0.2, np.nan]),
            "symmetric": ("run", [True, False, True]),
            "apart": ("other", [1.0]),
        },
    )


@pytest.fixture(params=[run_of_one, runs_of_several, xr.Dataset])
def both(request, tmp_path):
    """A dataset, and the files of it that we and xarray write."""
    dataset = request.param()
    ours, theirs = tmp_path / "ours.nc", tmp_path / "theirs.nc"
    ours.write_bytes(netcdf_bytes(dataset))
    dataset.to_netcdf(theirs, engine="h5netcdf")
    return dataset, ours, theirs


def test_xarray_reads_what_was_written(both):
    dataset, ours, theirs = both
    found, expected = (xr.load_dataset(p, engine="h5netcdf") for p in (ours, theirs))
    assert found.identical(expected)
    assert list(found.variables) == list(expected.variables)
    for name, variable in found.variables.items():
        own, other = (
            {key: repr(each) for key, each in v.encoding.items() if key != "source"}
            for v in (variable, expected.variables[name])
        )
        assert own == other, name
    assert found.equals(dataset)


def content(path):
    """Variables of a file: types, sizes, and attributes with their types."""
    with h5py.File(path) as file:
        found = {
            name: (each.dtype.str, each.shape, each.chunks, attributes(each))
            for name, each in file.items()
        }
        along = {
            name: [[scale.name for scale in dim.values()] for dim in each.dims]
            for name, each in file.items()
        }
        return list(found), found, along, attributes(file)


def attributes(owner):
    return {
        name: (repr(value), owner.attrs.get_id(name).dtype.str)
        for name, value in owner.attrs.items()
        if name not in REFERENCES and name != "_NCProperties"
    }


def test_other_readers_find_all_that_xarray_writes(both):
    _, ours, theirs = both
    assert content(ours) == content(theirs)


def test_nothing_along_a_dimension_is_read_as_that(tmp_path):
    dataset = xr.Dataset({"loss": ("save", np.zeros(0)), "größe": ((), 1)})
    (tmp_path / "none.nc").write_bytes(netcdf_bytes(dataset))
    found = xr.load_dataset(tmp_path / "none.nc", engine="h5netcdf")
    assert found.identical(dataset)


def test_an_open_file_holds_no_memory():
    """Whatever HDF5 has opened is closed with it."""
    before = h5py.h5f.get_obj_count()
    for _ in range(3):
        netcdf_bytes(run_of_one())
    assert h5py.h5f.get_obj_count() == before


def test_threads_write_side_by_side():
    dataset = run_of_one()
    alone = netcdf_bytes(dataset)
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(netcdf_bytes, [dataset] * 200))
    assert set(found) == {alone}
