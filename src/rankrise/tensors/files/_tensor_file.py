"""A file that holds a tensor with gaps, and the completed one beside it."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import numpy.typing as npt

from rankrise._atomic import atomic_path
from rankrise._errors import InputError, reason
from rankrise._typing import ModeDims, Values
from rankrise.tensors._domain import as_reading_says
from rankrise.tensors._input_checks import LEAST_ORDER, allowing
from rankrise.tensors._layout import Layout, ModeAxis
from rankrise.tensors._observations import Observations
from rankrise.tensors._reading import Reading, ReadingOptions
from rankrise.tensors.files._any_file import (
    TEXTS,
    check_usable,
    content_sha256,
    extension,
    form_of,
    named_refusals,
)
from rankrise.tensors.files._mat import read_mat
from rankrise.tensors.files._netcdf import read_hdf5, read_netcdf
from rankrise.tensors.files._npy import read_npy
from rankrise.tensors.files._npz import read_npz
from rankrise.tensors.files._read_table import read_table
from rankrise.tensors.files._table import check_names, is_from, table_of
from rankrise.tensors.files._table_files import TYPED, read_table_file
from rankrise.tensors.files._through_xarray import read_zarr

_logger = logging.getLogger("rankrise")

_ARRAYS: dict[str, Callable[..., tuple[Observations, Layout, str | None]]] = {
    "npy": read_npy,
    "npz": read_npz,
    "mat": read_mat,
    "nc": read_netcdf,
    "h5": read_hdf5,
    "hdf5": read_hdf5,
    "zarr": read_zarr,
}
_FORMS = (*_ARRAYS, *TEXTS, *TYPED)


@dataclass(frozen=True, eq=False)
class TensorFile:
    """What was read from a file, and how it was stored there.

    Attributes
    ----------
    form
        The file's form, by its extension.
    variable
        The name of the array in a file that can hold several.
    content_sha256
        Hash of the file's bytes, in hexadecimal.
    layout
        What `write_completed` needs to store another tensor in the same way.
    """

    path: Path
    form: str
    observations: Observations
    variable: str | None
    content_sha256: str
    layout: Layout = field(repr=False)


def read_tensor(
    path: Path | str,
    *,
    variable: str | None = None,
    mode_dims: ModeDims | None = None,
    **options: Unpack[ReadingOptions],
) -> TensorFile:
    """Read the observed entries of a tensor from a file.

    NaN means unobserved. Memory is taken only once what the file declares is known to
    be plausible, and nothing in a file is ever executed (no pickle).

    Parameters
    ----------
    path
        An array: `.npy`, `.npz` (an array, an array and a `mask`, `indices` and
        `values`, or a sparse array as SciPy and pydata/sparse save it), `.mat` of
        versions 4 to 7.3, `.nc` (netCDF of versions 3 and 4), `.h5`, `.hdf5`, or a
        `.zarr` folder.

        A table, long or wide: `.csv`, `.tsv`, `.txt`, `.parquet`, `.feather` or
        `.xlsx`; or coordinates counted from 1 in a `.tns`. Text may be compressed
        (`.csv.gz`, `.zst`, `.xz`).
    variable
        The array to read from a file that holds several, by its path where it lies in
        a group; the column of a table that holds the values, by default the last.
    mode_dims
        The mode dimensions, where coordinates do not reach the last index. Whole
        numbers in a table are then indices counted from 0, not labels.
    options
        Further fields of `rankrise.tensors.Reading`: `modes`, `layout`, `order`,
        `missing`, `repeats`, `censored`, `domain` and `leave_empty`.

    Raises
    ------
    InputError
        If the file cannot be used: one sentence that begins with its name.

    Examples
    --------
    >>> import tempfile, pathlib, rankrise as rr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "visits.csv")
    ...     _ = path.write_text("site,day,count\\nnorth,1,12\\nsouth,2,9\\n")
    ...     file = rr.read_tensor(path)
    >>> file.observations.mode_dims, file.observations.values
    ((2, 2), array([12.,  9.]))
    """
    if not isinstance(path, str | os.PathLike):
        raise InputError(
            f"A {type(path).__name__} came, not the name of a file; "
            "`incomplete_tensor` takes what is in memory."
        )
    path = Path(path)
    reading = Reading.of(variable, mode_dims, options)
    with named_refusals(path):
        is_zarr = path.is_dir() and path.suffix.lower() == ".zarr"
        if is_zarr or not path.is_dir():
            form = form_of(path, _FORMS)
        if not is_zarr:
            check_usable(path, "a tensor with observed entries")
        observations, layout, name = _read(path, form, reading)
        axes = layout.axes(observations.order)
        observations = as_reading_says(observations, axes, reading, read_mask)
        digest = content_sha256(path)
    return TensorFile(path, form, observations, name, digest, layout)


def write_completed(
    file: TensorFile, completed: Values, directory: Path, *, name: str = "completed"
) -> Path:
    """Write the completed tensor under `name` with the extension of `file`.

    The file is in the form of the input: its data type if that is floating point, its
    names and coordinates, its delimiter, header, labels and first index. Long tables
    and coordinates list all entries that are not NaN. A `.zarr` folder is given back as
    `.nc`. If the form of the input cannot be written, the tensor is kept as `.npy`, and
    a warning says why.

    Returns
    -------
    The path of the new file. It is written as a whole or not at all.

    Examples
    --------
    >>> import tempfile, pathlib, numpy as np, rankrise as rr
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "gaps.npy")
    ...     np.save(path, np.array([[1.0, np.nan], [3.0, 4.0]]))
    ...     file = rr.read_tensor(path)
    ...     written = rr.write_completed(file, np.ones((2, 2)), pathlib.Path(folder))
    ...     print(written.name, np.load(written).shape)
    completed.npy (2, 2)
    """
    if completed.shape != file.observations.mode_dims:
        raise InputError(
            f"The completed tensor has shape {completed.shape} but the mode dimensions "
            f"of {file.path.name} are {file.observations.mode_dims}; they must agree."
        )
    target = directory / f"{name}{file.layout.suffix or extension(file.path)}"
    if target.exists() and target.samefile(file.path):
        raise InputError(
            f"{target} is the input itself; write the completed tensor to another "
            "directory."
        )
    try:
        with atomic_path(target) as temporary:
            file.layout.write(completed, temporary)
    # Whatever a writer stumbles over, a result of hours is not lost with it.
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        kept = target.with_suffix(".npy")
        with atomic_path(kept) as temporary:
            np.save(temporary, completed)
        _logger.warning(
            "%s cannot be written (%s); the values are in %s.",
            target,
            reason(error),
            kept,
        )
        return kept
    return target


@allowing(LEAST_ORDER, 1)
def read_mask(source: Any) -> tuple[npt.NDArray[Any], tuple[ModeAxis, ...]] | None:
    """The array in a file or a table, NaN where it has no entry, and its axes.

    None where it is neither.
    """
    if isinstance(source, str | os.PathLike):
        mask = read_tensor(Path(source))
        return mask.observations.dense(), mask.layout.axes(mask.observations.order)
    table = table_of(source)
    if table is None:
        return None
    check_names(table.names)
    are_truths = {x: np.int8 for x in table.names if table.frame[x].dtype == bool}
    table = replace(table, frame=table.frame.astype(are_truths))
    values = table.frame.iloc[:, table.index_columns :]
    is_wide = (
        is_from(source, "pandas", "DataFrame")
        and values.shape[1] > 1
        and values.isin([0, 1]).all(axis=None)
    )
    observations, form = read_table(table, Reading(layout="wide" if is_wide else None))
    return observations.dense(), form.axes()


def _read(
    path: Path, form: str, reading: Reading
) -> tuple[Observations, Layout, str | None]:
    variable = None if reading.variable is None else str(reading.variable)
    if form in ("npy", "tns") and variable is not None:
        raise InputError(
            f"A .{form} file has no named variables; leave `variable` out."
        )
    if form in _ARRAYS:
        reading.check_for_arrays()
        return _ARRAYS[form](path, variable, reading.mode_dims)
    return read_table_file(path, form, reading)
