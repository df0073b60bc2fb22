"""Zarr folders: what is refused before any of it is read, and groups."""

import json

import numpy as np
import pytest
import xarray as xr

from rankrise._errors import InputError
from rankrise.tensors.files import read_tensor, write_completed


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "x.zarr"
    path.mkdir()
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    return path


def test_a_link_out_of_the_folder_is_not_followed(folder, tmp_path):
    (tmp_path / "secret").write_text("0")
    (folder / "0.0").symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match=r"^x\.zarr: '0\.0' in it is a link"):
        read_tensor(folder)


def test_pickled_objects_are_never_unpickled(folder):
    (folder / "x").mkdir()
    described = {"shape": [2, 2], "filters": [{"id": "pickle", "protocol": 5}]}
    (folder / "x" / ".zarray").write_text(json.dumps(described))
    with pytest.raises(InputError, match="never unpickled"):
        read_tensor(folder)


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match="It is a directory"):
        read_tensor(tmp_path)


@pytest.mark.parametrize("version", [2, 3])
def test_groups_and_damaged_chunks(version, tmp_path, fill, out):
    pytest.importorskip("zarr")
    path = tmp_path / "x.zarr"
    values = np.random.default_rng(0).normal(size=(4, 5))
    values[1, 2] = np.nan
    # JSON knows more than netCDF has types for.
    attributes = {"about": {"by": "me"}, "checked": True, "unit": "\udcb0C"}
    variable = (("a", "b"), values, attributes)
    dataset = xr.Dataset({"x": variable}, {"a": [1.0, 2, 3, 5]})
    dataset.to_zarr(path, group="inner/most", zarr_format=version, consolidated=False)
    file = read_tensor(path, variable="inner/most/x")
    assert file.variable == "inner/most/x"
    assert file.layout.axes(2)[0].labels.tolist() == [1, 2, 3, 5]
    np.testing.assert_array_equal(file.observations.dense(), values)
    before = file.content_sha256
    written = write_completed(file, fill(file.observations), out)
    after = xr.load_dataset(written)
    xr.testing.assert_equal(after, dataset.fillna(0.5))
    expected = {"about": '{"by": "me"}', "checked": "true", "unit": "°C"}
    assert after["x"].attrs == expected
    chunk = next(
        path.glob("inner/most/x/c/0/0" if version == 3 else "inner/most/x/0.0")
    )
    chunk.write_bytes(chunk.read_bytes()[:3])
    with pytest.raises(InputError, match="cannot be read as Zarr"):
        read_tensor(path, variable="inner/most/x")
    with pytest.raises(InputError, match=r"no array|no variable|cannot be read"):
        read_tensor(path, variable="x")
    dataset.to_zarr(path, group="other", zarr_format=version, consolidated=False)
    assert read_tensor(path, variable="other/x").content_sha256 != before
