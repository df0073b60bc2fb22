"""Zarr folders, read through xarray and zarr where these are installed."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from rankrise._errors import InputError
from rankrise._typing import ModeDims
from rankrise.tensors._observations import Observations
from rankrise.tensors.files._declared import refuse_damaged, shown
from rankrise.tensors.files._described import read_described, repeating_dims
from rankrise.tensors.files._file_layout import Layout

_METADATA = ("zarr.json", ".zarray", ".zmetadata")


def read_zarr(
    path: Path, variable: str | None, mode_dims: ModeDims | None
) -> tuple[Observations, Layout, str]:
    """Read the entries of one array that are not missing, to give back as netCDF."""
    _check_folder(path)
    if importlib.util.find_spec("zarr") is None:
        raise InputError(
            "It is a Zarr folder; to read it, install zarr (pip install zarr)."
        )
    import xarray as xr

    group, _, inner = (variable or "").strip("/").rpartition("/")
    with (
        refuse_damaged("Zarr"),
        repeating_dims(),
        xr.open_dataset(
            path,
            engine="zarr",
            group=group or None,
            consolidated=False,
            decode_cf=False,
            create_default_indexes=False,
        ) as content,
    ):
        observations, layout, name = read_described(
            content, inner or None, mode_dims, {"engine": "h5netcdf"}
        )
    return observations, layout, f"{group}/{name}".lstrip("/")


def _check_folder(path: Path) -> None:
    """Refuse links out of the folder, and pickled objects."""
    for place, folders, files in os.walk(path):
        for name in (*folders, *files):
            if Path(place, name).is_symlink():
                raise InputError(
                    f"{shown(name)} in it is a link, and links are not followed; copy "
                    "the folder with what it links to."
                )
        for name in set(files) & {*_METADATA}:
            if b'"pickle"' in Path(place, name).read_bytes():
                raise InputError(
                    "It holds pickled Python objects, which are never unpickled "
                    "because that can run code; save arrays of real numbers."
                )
