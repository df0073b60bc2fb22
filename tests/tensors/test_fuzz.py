"""Damaged files of every form: read, or refused in a sentence, whatever is wrong.

They are read in processes of their own, so that a crash, a hang, memory without bound
and whatever is printed are seen.
"""

import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path

import h5py
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import xarray as xr
from scipy.io import savemat
from scipy.io.matlab import MatlabObject

import rankrise as rr
from rankrise.tensors import Observations

WORKER = Path(__file__).with_name("fuzz_worker.py")
SOURCE = Path(rr.__file__).parents[1]
RNG = np.random.default_rng(0)
TENSOR = np.where(RNG.random((3, 4, 2)) < 0.3, np.nan, RNG.normal(size=(3, 4, 2)))
OBSERVED = np.argwhere(~np.isnan(TENSOR))
VALUES = TENSOR[tuple(OBSERVED.T)]


def coordinates(path, first, delimiter):
    rows = np.column_stack((OBSERVED + first, VALUES)).tolist()
    lines = [delimiter.join(f"{x:.17g}" for x in row) for row in rows]
    path.write_text("\n".join(lines) + "\n")


def labelled(path, delimiter=","):
    names = ("ann", "bob", "čin"), ("a", "b", "c", "d"), ("x", "y")
    lines = [("who", "what", "where", "rating")]
    for row, value in zip(OBSERVED, VALUES, strict=True):
        labels = [names[mode][index] for mode, index in enumerate(row)]
        lines.append((*labels, str(value)))
    text = "".join(f"{delimiter.join(line)}\n" for line in lines).encode()
    path.write_bytes(gzip.compress(text) if path.suffix == ".gz" else text)


def frame(path):
    pytest.importorskip("openpyxl" if path.suffix == ".xlsx" else "pyarrow")
    columns = {f"mode {mode}": column for mode, column in enumerate(OBSERVED.T)}
    columns["name"] = [f"name {row[0]}" for row in OBSERVED]
    table = pd.DataFrame(columns | {"rating": VALUES})
    if path.suffix == ".xlsx":
        table.to_excel(path, index=False)
    else:
        getattr(table, f"to_{path.suffix[1:]}")(path)


def wide(path):
    table = pd.DataFrame(TENSOR.reshape(12, 2), columns=[1990, 1991])
    table.insert(0, "region", np.repeat(["ann", "bob", "čin"], 4))
    table.insert(1, "crop", list("abcd") * 3)
    table.to_csv(path, index=False)


def samples(path):
    table = pd.DataFrame(
        {"size": RNG.normal(size=30), "colour": RNG.choice(["red", "blue"], 30)}
    )
    table = table.assign(count=RNG.integers(0, 9, 30), kind=RNG.choice(["a", "b"], 30))
    if path.suffix == ".parquet":
        pytest.importorskip("pyarrow")
        table.to_parquet(path)
    elif path.suffix == ".npz":
        np.savez(path, X=table[["size", "count"]], y=table["kind"].to_numpy(np.str_))
    else:
        table.to_csv(path, index=False)


def matlab_object(kind, **fields):
    content = np.zeros((1, 1), [(name, object) for name in fields])
    for name, value in fields.items():
        content[name][0, 0] = value
    return MatlabObject(content, kind)


def nested(path, **options):
    cells = np.empty((1, 4), object)
    cells[0] = list(RNG.normal(size=(4, 2, 3)))
    labels = np.empty((2, 1), object)
    labels[:, 0] = [np.array(["a", "b", "ü"]), np.zeros((0, 0))]
    parts = {"subs": OBSERVED + 1.0, "vals": VALUES[:, None], "size": [3.0, 4.0, 2.0]}
    held = {"data": np.eye(3), "label": labels, "axisscale": labels, "title": labels}
    content = {"S": matlab_object("sptensor", **parts), "c": cells, "x": {"y": 2.0}}
    content["s"] = sp.csc_array(np.nan_to_num(TENSOR[0]))
    savemat(path, content | {"d": matlab_object("dataset", **held)}, **options)


def mat73(path):
    with h5py.File(path, "w", userblock_size=512) as content:
        options = {"chunks": (1, 2, 2), "compression": "gzip", "shuffle": True}
        x = content.create_dataset("x", data=TENSOR.T, **options)
        x.attrs["MATLAB_class"] = np.bytes_("double")
        struct = content.create_group("s")
        struct.attrs["MATLAB_class"] = np.bytes_("struct")
        struct["data"] = np.eye(2)
        struct["data"].attrs["MATLAB_class"] = np.bytes_("double")
        sparse = content.create_group("a")
        sparse.attrs.update(
            MATLAB_class=np.bytes_("double"), MATLAB_sparse=np.uint64(3)
        )
        stored = sp.csc_array(np.nan_to_num(TENSOR[..., 0]))
        sparse["data"], sparse["ir"] = stored.data, stored.indices
        sparse["jc"] = stored.indptr
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    path.write_bytes(header + path.read_bytes()[len(header) :])


def netcdf(path):
    dims = ("a", "b", "c")
    array = xr.DataArray(TENSOR, dims=dims, coords={"b": list("wxyz")}, name="v")
    encoding = {"v": {"zlib": True, "chunksizes": (2, 2, 2)}}
    array.to_netcdf(path, engine="h5netcdf", encoding=encoding)


def netcdf3(path):
    coords = {"a": [10, 20, 30], "b": list("wxyz")}
    array = xr.DataArray(TENSOR, coords, ("a", "b", "c"), name="v")
    array.attrs = {"units": "°C", "valid_max": 99.0}
    array.to_netcdf(path, engine="scipy", unlimited_dims=["a"])


def hdf5(path):
    with h5py.File(path, "w") as content:
        content["inner/x"] = TENSOR
        content["inner/names"] = list("wxyz")
        content["inner/names"].make_scale("b")
        content["inner/x"].dims[1].attach_scale(content["inner/names"])


def gcxs(path):
    """As pydata/sparse has it: the first mode is compressed."""
    rows = sp.csr_array(np.nan_to_num(TENSOR.reshape(3, 8)))
    parts = {"data": rows.data, "indices": rows.indices, "indptr": rows.indptr}
    compressed = {"compressed_axes": [0], "shape": TENSOR.shape, "fill_value": 0.0}
    np.savez(path, **parts, **compressed)


def trajectory(path):
    problem = rr.CompletionProblem.from_observations(Observations.from_array(TENSOR))
    start = rr.factorizations.CPFactorization(
        tuple(0.1 * jnp.ones((dim, 2)) for dim in TENSOR.shape)
    )
    rr.solve(problem, start, rr.GradientDescent(0.1), max_steps=20).save(path)


FORMS = {
    "x.npy": lambda path: np.save(path, TENSOR),
    "x.npz": lambda path: np.savez(path, x=TENSOR, mask=~np.isnan(TENSOR)),
    "packed.npz": lambda path: np.savez_compressed(
        path, indices=OBSERVED, values=VALUES
    ),
    "samples.npz": samples,
    "csr.npz": lambda path: sp.save_npz(path, sp.csr_array(np.nan_to_num(TENSOR[0]))),
    "coo.npz": lambda path: sp.save_npz(path, sp.coo_array(np.nan_to_num(TENSOR))),
    "gcxs.npz": gcxs,
    "x.csv": lambda path: coordinates(path, 0, ","),
    "labelled.csv": labelled,
    "labelled.csv.gz": labelled,
    "labelled.tsv": lambda path: labelled(path, "\t"),
    "x.txt": lambda path: coordinates(path, 0, " "),
    "wide.csv": wide,
    "samples.csv": samples,
    "x.tns": lambda path: coordinates(path, 1, " "),
    "x.parquet": frame,
    "samples.parquet": samples,
    "x.feather": frame,
    "x.xlsx": frame,
    "four.mat": lambda path: savemat(path, {"x": TENSOR[0]}, format="4"),
    "x.mat": lambda path: savemat(path, {"x": TENSOR, "note": "a text"}),
    "packed.mat": lambda path: savemat(path, {"x": TENSOR}, do_compression=True),
    "nested.mat": nested,
    "packed-nested.mat": lambda path: nested(path, do_compression=True),
    "hdf5.mat": mat73,
    "x.nc": netcdf,
    "three.nc": netcdf3,
    "x.h5": hdf5,
    "trajectory.nc": trajectory,
}


# Those that are read by the same libraries, importing which takes longest.
KINDS = {
    "NumPy": (".npy", ".npz"),
    "text": (".csv", ".csv.gz", ".tsv", ".txt", ".tns"),
    "pandas": (".parquet", ".feather", ".xlsx"),
    "MATLAB": (".mat",),
    "HDF5": (".nc", ".h5"),
}


def check(forms, folder, first, last):
    for form in forms:
        FORMS[form](folder / form)
    paths = [str(folder / form) for form in forms]
    command = [sys.executable, str(WORKER), str(first), str(last), *paths]
    environment = os.environ | {
        "PYTHONPATH": str(SOURCE),
        "JAX_PLATFORMS": "cpu",
        # Its own allocator takes address space that it never uses.
        "ARROW_DEFAULT_MEMORY_POOL": "system",
    }
    run = subprocess.run(command, capture_output=True, text=True, env=environment)
    *_, end = run.stdout.splitlines() or [""]
    ending = f"{signal.Signals(-run.returncode).name}" if run.returncode < 0 else ""
    assert end == "done", f"mutation {end}: {ending} {run.stderr}"
    assert run.stderr == ""


@pytest.mark.parametrize("kind", KINDS)
def test_twenty_damaged_files_of_each_form_are_read_or_refused(kind, tmp_path):
    forms = [form for form in FORMS if form.endswith(KINDS[kind])]
    check(forms, tmp_path, 0, 20)


def test_every_form_is_of_one_kind():
    suffixes = [suffix for kind in KINDS.values() for suffix in kind]
    for form in FORMS:
        assert sum(form.endswith(suffix) for suffix in suffixes) == 1, form


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("form", FORMS)
def test_a_thousand_damaged_files_are_read_or_refused(form, tmp_path):
    check([form], tmp_path, 20, 1020)
