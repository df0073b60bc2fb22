"""What tests of files share: a tensor with gaps, and ways to store and complete it."""

import io

import numpy as np
import pytest
import xarray as xr
from scipy.io import savemat

from rankrise.tensors.files import read_tensor, write_completed

COORDINATE_FORMS = {"csv": (0, ","), "tns": (1, " ")}


@pytest.fixture
def tensor():
    """Order three, about a third unobserved; the last entry shows all dimensions."""
    rng = np.random.default_rng(0)
    tensor = rng.normal(size=(3, 4, 2))
    tensor[rng.random(tensor.shape) < 0.35] = np.nan
    tensor[-1, -1, -1] = 1 / 3
    return tensor


@pytest.fixture
def store():
    """Write a tensor with NaN where unobserved, in the form that the suffix names."""

    def stored(path, tensor):
        match path.suffix:
            case ".npy":
                np.save(path, tensor)
            case ".npz":
                np.savez(path, ratings=tensor)
            case ".mat":
                savemat(path, {"ratings": tensor})
            case ".nc":
                xr.DataArray(tensor, name="ratings").to_netcdf(path, engine="h5netcdf")
            case ".parquet":
                store_parquet(path, tensor)
            case suffix:
                first, delimiter = COORDINATE_FORMS[suffix.removeprefix(".")]
                rows = [
                    delimiter.join(
                        [*map(str, index + first), repr(float(tensor[tuple(index)]))]
                    )
                    for index in np.argwhere(~np.isnan(tensor))
                ]
                path.write_text("\n".join(rows) + "\n")
        return path

    return stored


def store_parquet(path, tensor):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    observed = ~np.isnan(tensor)
    modes = np.argwhere(observed).T
    columns = {f"mode_{mode}": column for mode, column in enumerate(modes, start=1)}
    parquet.write_table(pa.table(columns | {"ratings": tensor[observed]}), path)


@pytest.fixture
def fill():
    """A completion that keeps observed entries."""

    def filled(observations, with_value=0.5):
        dense = observations.dense()
        return np.where(np.isnan(dense), with_value, dense)

    return filled


@pytest.fixture
def out(tmp_path):
    """A directory for what is written."""
    directory = tmp_path / "out"
    directory.mkdir()
    return directory


@pytest.fixture
def complete(fill, out):
    """Read, complete, write; the path of what was written."""

    def completed(path, directory=out):
        file = read_tensor(path)
        return write_completed(file, fill(file.observations), directory)

    return completed


@pytest.fixture
def npy_header():
    """The first bytes of a .npy file that declares a shape, whatever follows."""

    def header(shape, descr="<f8"):
        stream = io.BytesIO()
        content = {"shape": shape, "fortran_order": False, "descr": descr}
        np.lib.format.write_array_header_1_0(stream, content)
        return stream.getvalue()

    return header
