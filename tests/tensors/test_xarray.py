"""xarray in memory: no packing in results, Datasets, missing values, Dask."""

import logging

import numpy as np
import pytest
import xarray as xr

import rankrise as rr
from rankrise._errors import InputError
from rankrise.tensors import incomplete_tensor

PACKINGS = {
    "int16": {"dtype": "int16", "scale_factor": 0.001, "_FillValue": -32768},
    "uint8": {"dtype": "uint8", "scale_factor": 0.25, "_FillValue": 255},
}
PACKINGS["uint8"]["add_offset"] = -20.0


def planted():
    """Rank two, of entries that a packing cannot hold once a missing one is large."""
    rng = np.random.default_rng(0)
    factors = [rng.uniform(0.5, 2, size=(dim, 2)) for dim in (8, 9, 7)]
    values = np.einsum("ir,jr,kr->ijk", *factors)
    values[rng.random(values.shape) < 0.2] = np.nan
    return values


def opened(path, packing):
    """An array as xarray opens it from packed integers."""
    array = xr.DataArray(
        planted(),
        {"day": np.arange(8.0), "lat": np.arange(9) / 2},
        ["day", "lat", "site"],
        name="flow",
        attrs={"units": "m", "valid_range": np.array([0, 200], "int16")},
    )
    encoding = {
        "flow": {**PACKINGS[packing], "zlib": True, "chunksizes": (8, 9, 7)},
        "lat": {"dtype": "int16", "scale_factor": 0.5, "_FillValue": None},
    }
    array.to_netcdf(path, encoding=encoding, engine="h5netcdf")
    return xr.load_dataarray(path, engine="h5netcdf")


@pytest.mark.parametrize("packing", PACKINGS)
def test_results_in_a_file_hold_the_values_of_memory(packing, tmp_path):
    source = opened(tmp_path / "x.nc", packing)
    found = rr.complete(source, models=1, max_components=2)
    lower, upper = found.interval()
    for name, result in {
        "completed": found.completed,
        "std": found.std,
        "lower": lower,
        "upper": upper,
        "derived": found.std / found.completed,
    }.items():
        result.to_netcdf(tmp_path / f"{name}.nc", engine="h5netcdf")
        stored = xr.load_dataarray(tmp_path / f"{name}.nc", engine="h5netcdf")
        np.testing.assert_array_equal(stored, result)
    assert len(np.unique(found.std)) > 50
    assert found.completed["lat"].encoding["dtype"] == np.int16
    assert found.completed.attrs == {"units": "m"}
    assert found.completed.encoding["zlib"]
    # The input is as it was.
    assert source.encoding["dtype"] == PACKINGS[packing]["dtype"]
    assert "valid_range" in source.attrs


def test_what_was_opened_as_it_is_stored_has_its_missing_values():
    source = xr.DataArray(
        np.array([[1, -999], [3, 4]], np.int16),
        attrs={"_FillValue": -999, "units": "K"},
    )
    incomplete = incomplete_tensor(source)
    expected = [[1, np.nan], [3, 4]]
    np.testing.assert_array_equal(incomplete.observations.dense(), expected)
    assert incomplete.restore(np.ones((2, 2))).attrs == {"units": "K"}


def described():
    """A variable with all that its attributes, and those of its coordinates, name."""
    attributes = {"grid_mapping": "crs", "ancillary_variables": "flag"}
    return xr.Dataset(
        {
            "sst": (("time", "x"), [[1.0, np.nan], [3, 4]], attributes),
            "crs": ((), 0),
            "flag": (("time", "x"), np.ones((2, 2), np.int8)),
            "time_bnds": (("time", "nv"), np.ones((2, 2))),
            "comment": ("note", ["none"]),
        },
        {"time": ("time", [1, 2], {"bounds": "time_bnds"}), "x": [0.5, 1.5]},
        {"title": "made up"},
    )


def test_a_dataset_of_one_variable_is_given_back_with_what_it_points_to():
    source = described()
    restored = incomplete_tensor(source).restore([[1.0, 2], [3, 4]])
    expected = source.drop_vars("comment").assign(sst=source["sst"].fillna(2))
    xr.testing.assert_identical(restored, expected)


def test_a_variable_of_several_is_named_by_values():
    source = described().assign(wind=(("time", "x"), np.ones((2, 2))))
    with pytest.raises(
        InputError, match=r"several arrays: 'sst' \(2, 2\) float64.*`values`"
    ) as caught:
        incomplete_tensor(source)
    assert "time_bnds" not in str(caught.value)  # It describes the time of both.
    restored = incomplete_tensor(source, values="wind").restore(np.zeros((2, 2)))
    assert set(restored.data_vars) == {"wind", "time_bnds"}
    with pytest.raises(InputError, match="has no variable 'rain'"):
        incomplete_tensor(source, values="rain")


def test_a_mask_goes_with_a_dataset():
    mask = described()["sst"] < 4
    incomplete = incomplete_tensor(described(), mask)
    assert incomplete.observations.values.tolist() == [1, 3]


def test_dask_computes_block_by_block(caplog):
    pytest.importorskip("dask")
    values = planted()
    source = xr.DataArray(values).chunk(4)
    with caplog.at_level(logging.INFO, "rankrise"):
        observations = incomplete_tensor(source).observations
    np.testing.assert_array_equal(observations.dense(), values)
    assert "computed by Dask in 12 blocks" in caplog.text
