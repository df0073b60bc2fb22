"""Parts that cannot be used, and what cannot be had of parts: a sentence each."""

import shutil

import numpy as np
import pandas as pd
import pytest

import rankrise as rr

from .conftest import table_of, write_parts

pytest.importorskip("distributed")


@pytest.fixture
def folder(tmp_path):
    return write_parts(table_of((8, 6, 5), 100, 1), tmp_path, 2)


def refused(source, match, client, **settings):
    with pytest.raises(rr.InputError, match=match):
        rr.complete_parts(source, scheduler=client, **settings)


def test_an_empty_folder_is_refused(client, tmp_path):
    refused(tmp_path, "holds no .parquet file", client)


def test_a_folder_that_is_not_there_is_refused(client, tmp_path):
    refused(tmp_path / "none", "There is no folder", client)


def test_other_columns_are_refused(client, folder):
    table = pd.read_parquet(folder / "part-1.parquet")
    table.rename(columns={"day": "hour"}).to_parquet(folder / "part-1.parquet")
    match = "part-1.parquet has the columns .*'hour'.* but part-0.parquet has .*'day'"
    refused(folder, match, client)


def test_a_damaged_part_is_named(client, folder):
    whole = (folder / "part-1.parquet").read_bytes()
    (folder / "part-1.parquet").write_bytes(whole[: len(whole) // 2])
    refused(folder, "part-1.parquet cannot be read .*write it again", client)


def test_pages_that_are_damaged_are_named(client, folder):
    whole = bytearray((folder / "part-1.parquet").read_bytes())
    whole[4:200] = bytes(196)  # The footer, which is read first, is as it was.
    (folder / "part-1.parquet").write_bytes(bytes(whole))
    refused(folder, "part-1.parquet cannot be read", client)


def test_an_entry_that_two_parts_give_is_named(client, folder):
    shutil.copy(folder / "part-0.parquet", folder / "part-2.parquet")
    refused(folder, r"The entry \(\d, \d, \d\) is given twice", client)


def test_labels_of_two_kinds_are_refused(client, folder):
    table = pd.read_parquet(folder / "part-1.parquet")
    table["day"] = "day" + table["day"].astype(str)
    table.to_parquet(folder / "part-1.parquet", index=False)
    refused(folder, "'day' are integers in one part and text in another", client)


def test_labels_that_only_rounding_makes_comparable_are_refused(client, folder):
    table = pd.read_parquet(folder / "part-1.parquet").astype({"day": "uint64"})
    table["day"] += np.uint64(2**60)
    table.to_parquet(folder / "part-1.parquet", index=False)
    refused(folder, "'day' are integers in one part and unsigned integers", client)


def test_arrays_of_no_real_numbers_are_refused(client):
    array = pytest.importorskip("dask.array").zeros((4, 4, 4), dtype=complex)
    refused(array, "holds complex128; give an array of real numbers", client)


@pytest.mark.parametrize(
    ("name", "given"),
    [("values", "x"), ("modes", ("a", "b")), ("mode_dims", (8, 6)), ("missing", -9)],
)
def test_arrays_have_no_columns(client, name, given):
    arrays = pytest.importorskip("dask.array")
    match = f"`{name}` is for tables; leave it out for a Dask array"
    refused(arrays.ones((8, 6), chunks=(4, 6)), match, client, **{name: given})


def test_counts_of_indices_that_take_too_much_memory_are_refused(client, folder):
    match = "A count for each index .*GiB of memory.*leave `mode_dims` out"
    refused(folder, match, client, mode_dims=(10**12,) * 3)


def test_a_value_that_is_missing_from_a_label_column_is_named(client, folder):
    table = pd.read_parquet(folder / "part-1.parquet").astype({"day": float})
    table.loc[3, "day"] = np.nan
    table.to_parquet(folder / "part-1.parquet", index=False)
    refused(folder, "part-1.parquet: Row .* has no label", client)


def test_too_few_observations_are_refused(client, tmp_path):
    folder = write_parts(table_of((9, 8, 7), 8, 1), tmp_path, 2)
    refused(folder, "Only 8 entries are observed in .*; at least 10", client)


def test_values_that_never_vary_are_refused(client, tmp_path):
    table = table_of((8, 6, 5), 100, 1).assign(value=3.0)
    refused(write_parts(table, tmp_path, 2), "All observed values are 3", client)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"smooth": True}, "`smooth` cannot be chosen .* does not know its neighbours"),
        ({"models": 3}, "`models` cannot be chosen .* by one model"),
        ({"heldout": "fiber"}, "`heldout` cannot be chosen"),
        ({"loss": "huber"}, "`loss` cannot be chosen"),
        ({"non_negative": True}, "`non_negative` cannot be chosen"),
        ({"method": "limit"}, "`method` cannot be chosen .* one machine"),
        ({"repeats": "mean"}, "`repeats` mean cannot be had"),
        ({"mask": np.ones(3)}, "no `mask`"),
        ({"parts": 0}, "`parts` is 0"),
    ],
)
def test_what_parts_cannot_give_is_refused(client, folder, settings, match):
    with pytest.raises(rr.InputError, match=match):
        rr.complete(folder, scheduler=client, **settings)


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"parts": 1.5}, "`parts` is 1.5; give a whole number from 1"),
        ({"parts": "2"}, "`parts` is '2'; give a whole number from 1"),
        ({"checkpoint": "state.npz"}, "`checkpoint` is 'state.npz'; give a Checkpoint"),
        ({"values": ["value"]}, r"^`values` is \['value'\]"),
        ({"mode_dims": (8, 6.5, 5)}, "^`mode_dims` is 6.5; give a whole number"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_settings_of_another_kind_are_refused(client, folder, given, match):
    refused(folder, match, client, **given)


@pytest.mark.parametrize("workers", [1.5, "2", True, 0])
@pytest.mark.usefixtures("unchecked")
def test_workers_are_counted(folder, workers):
    with pytest.raises(rr.InputError, match=r"`workers` is .*; give a whole number"):
        rr.complete_parts(folder, workers=workers)


def test_a_scheduler_that_does_not_answer_is_refused(folder, monkeypatch):
    monkeypatch.setattr("rankrise._cluster._CONNECT_SECONDS", 0.2)
    with pytest.raises(rr.InputError, match="No scheduler of Dask answers at"):
        rr.complete(folder, scheduler="tcp://127.0.0.1:9")


def test_workers_need_a_scheduler():
    with pytest.raises(rr.InputError, match="give a `scheduler` as well"):
        rr.complete(np.zeros((3, 3)), workers=2)


def test_workers_of_a_cluster_are_not_started(folder, client):
    with pytest.raises(rr.InputError, match="have been started already"):
        rr.complete(folder, scheduler=client, workers=2)


def test_a_label_that_no_part_has_is_named(client, folder):
    found = rr.complete_parts(
        folder, scheduler=client, penalties=(1.0,), max_components=1
    )
    table = pd.DataFrame({"user": [1, 99], "item": [1, 1], "day": [0, 0]})
    with pytest.raises(rr.InputError, match="99 is no label of user"):
        found.entries_of(table)
    table["user"] = 1
    with pytest.raises(rr.InputError, match="no column 'day'"):
        found.entries_of(table[["user", "item"]])
