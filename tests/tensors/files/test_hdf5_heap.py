"""HDF5 files that its library would read for ever."""

import numpy as np
import pytest
import xarray as xr

from rankrise._errors import InputError
from rankrise.tensors.files import check_hdf5


@pytest.fixture
def labelled(tmp_path):
    """Labels are texts, and these and the dimensions lie in a heap."""
    labels = {"b": [f"label {number}" for number in range(40)]}
    array = xr.DataArray(np.ones((3, 40)), dims=("a", "b"), coords=labels, name="x")
    array.to_netcdf(tmp_path / "x.nc", engine="h5netcdf")
    return tmp_path / "x.nc"


def test_a_sound_file_is_let_through(labelled):
    check_hdf5(labelled, "netCDF-4")


def test_free_space_of_size_zero_is_refused(labelled):
    content = bytearray(labelled.read_bytes())
    # The first object of the heap: its number, how often it is used, its size.
    first = content.index(b"GCOL") + 16
    content[first : first + 16] = bytes(16)
    labelled.write_bytes(content)
    with pytest.raises(InputError, match="heap is damaged"):
        check_hdf5(labelled, "netCDF-4")
