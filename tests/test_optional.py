"""Packages that only some of the work needs: without one, how to have it is said."""

import sys

import numpy as np
import pytest

import rankrise as rr

SWEEP = {"command": "verify"}


def parts(folder):
    (folder / "part.parquet").touch()
    return rr.complete_parts(folder, workers=1)


def zarr(folder):
    (folder / "x.zarr").mkdir()
    (folder / "x.zarr" / "zarr.json").write_text("{}")
    return rr.read_tensor(folder / "x.zarr")


def table(name):
    def read(folder):
        (folder / name).write_bytes(b"anything")
        return rr.read_tensor(folder / name)

    return read


def tensorly(folder):
    array = np.add.outer(np.arange(8.0), np.arange(6.0))
    return rr.complete(array, models=1, penalties=(0.1,)).cp_tensor()


@pytest.mark.parametrize(
    ("module", "work", "words"),
    [
        (
            "distributed",
            lambda x: rr.sweep(SWEEP, x),
            r"'rankrise\[cluster\]', or",
        ),
        ("distributed", parts, r"processes need distributed, .*'rankrise\[cluster\]'"),
        ("pyarrow", lambda x: rr.sweep(SWEEP, x), r"needs pyarrow.*'rankrise\[cluster"),
        (
            "pyarrow",
            table("x.parquet"),
            r"need pyarrow.*'rankrise\[parquet\]', or",
        ),
        (
            "pyarrow",
            table("x.feather"),
            r"need pyarrow.*'rankrise\[parquet\]', or",
        ),
        (
            "pyarrow",
            table("x.csv.zst"),
            r"need pyarrow.*'rankrise\[parquet\]', or",
        ),
        ("openpyxl", table("x.xlsx"), r"need openpyxl.*'rankrise\[excel\]', or"),
        ("zarr", zarr, r"Zarr folders need zarr.*'rankrise\[zarr\]'\.$"),
        ("jinja2", lambda x: rr.write_report([x]), r"needs jinja2.*'rankrise\[report"),
        ("tensorly.cp_tensor", tensorly, r"needs tensorly.*'rankrise\[tensorly\]'\.$"),
    ],
)
def test_it_is_said_how_to_have_what_is_missing(
    tmp_path, monkeypatch, module, work, words
):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(rr.InputError, match=words):
        work(tmp_path)
