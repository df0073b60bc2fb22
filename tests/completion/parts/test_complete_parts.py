"""What is found in parts is what one machine finds."""

import pickle
from typing import NamedTuple

import numpy as np
import pytest

import rankrise as rr
from rankrise.completion.parts._on_disk import OnDisk

from .conftest import client_of, on_one_machine, table_of, write_parts

# More than 100,000: of fewer, one machine fits few components once more at the end.
SETTINGS = {"penalties": (1.0,), "max_components": 2}
OBSERVED = 100_500


class Case(NamedTuple):
    table: object
    folder: object
    one: rr.Completion
    found: rr.CompletionOfParts


@pytest.fixture(scope="module")
def dense(client, tmp_path_factory):
    """A tensor whose components enter along directions, with labels that are words."""
    table = table_of((300, 40, 30), OBSERVED, 2)
    table["item"] = "item" + table["item"].astype(str)
    folder = write_parts(table, tmp_path_factory.mktemp("dense"), 3)
    one = on_one_machine(table, **SETTINGS)
    return Case(table, folder, one, rr.complete(folder, scheduler=client, **SETTINGS))


def entries_apart(one, other, seed=0):
    """The largest difference of some entries, relative to the largest."""
    rng, dims = np.random.default_rng(seed), one.mode_dims
    indices = np.stack([rng.integers(dim, size=2_000) for dim in dims], axis=1)
    left, right = one.entries(indices), other.entries(indices)
    return np.max(np.abs(left - right)) / np.max(np.abs(left))


def test_parts_find_what_one_machine_finds(dense):
    assert isinstance(dense.found, rr.CompletionOfParts)
    assert dense.found.parts == 3
    # Sums are taken in another order; 21 sweeps change them no further.
    assert entries_apart(dense.found, dense.one) < 1e-8
    assert dense.found.heldout_error == pytest.approx(dense.one.heldout_error, rel=1e-8)
    # A model without components would equal as well.
    assert dense.found.components == 2
    assert dense.found.heldout_centered_error < 0.3


def test_the_same_entries_are_held_out(dense):
    assert dense.found.heldout == np.sum(dense.one.folds.part == 0)
    points = zip(dense.found.path, dense.one.path, strict=True)
    for own, other in points:
        assert own.components == other.components
        assert own.heldout_loss == pytest.approx(other.heldout_loss, rel=1e-8)


def test_the_picture_shows_what_that_of_one_machine_shows(dense):
    own = {panel.name for row in dense.found.drawing().rows for panel in row}
    other = {panel.name for row in dense.one.drawing().rows for panel in row}
    assert own == {"rank", "path", "norms"} | {n for n in other if "factors" in n}
    lines = [
        found.plot("factors item").get_lines()[1].get_ydata()
        for found in (dense.found, dense.one)
    ]
    # Sums are taken in another order.
    np.testing.assert_allclose(np.abs(lines[0]), np.abs(lines[1]), atol=1e-7)


def test_labels_name_the_same_entries(dense):
    some = dense.table.iloc[:50]
    labels = [axis.labels.tolist() for axis in dense.one.input.axes]
    assert [axis.labels.tolist() for axis in dense.found.axes] == labels
    errors = dense.found.entries_of(some) - some["value"].to_numpy()
    assert np.sqrt(np.mean(errors**2)) < 2 * dense.found.heldout_error


def test_spectra_find_what_they_find_on_one_machine(client, tmp_path):
    table = table_of((900, 400, 200), 310_000, 3)
    folder = write_parts(table, tmp_path, 2)
    settings = {"penalties": (1.0,)}
    one = on_one_machine(table, **settings)
    found = rr.complete_parts(folder, scheduler=client, parts=5, **settings)
    assert found.parts == 5
    assert found.components == 3
    assert entries_apart(found, one) < 1e-8


def test_spectrum_of_the_largest_mode_alone_is_that_of_one_machine(client, tmp_path):
    # All directions of short modes are kept, so nothing but the largest tells.
    table = table_of((31_000, 33, 33), 320_000, 1, flat=True)
    folder = write_parts(table, tmp_path, 2)
    settings = {"penalties": (1.0,)}
    one = on_one_machine(table, **settings)
    found = rr.complete_parts(folder, scheduler=client, **settings)
    assert found.components == 1
    assert entries_apart(found, one) < 1e-8


def test_workers_change_no_bit(dense):
    with client_of(1) as alone, alone.cluster:
        again = rr.complete_parts(dense.folder, scheduler=alone, **SETTINGS)
    for own, other in zip(again.factors, dense.found.factors, strict=True):
        np.testing.assert_array_equal(own, other)


def test_parts_that_memory_cannot_hold_lie_on_disk_and_change_no_bit(
    dense, monkeypatch
):
    dask = pytest.importorskip("dask")
    opened, whole = [], OnDisk.opened

    def noting(self):
        opened.append(self)
        return whole(self)

    monkeypatch.setattr(OnDisk, "opened", noting)
    # Workers that are threads of this process have more than that already.
    limits = [f"distributed.worker.memory.{x}" for x in ("target", "spill", "pause")]
    with (
        dask.config.set(dict.fromkeys(limits, False)),
        client_of(2, memory_limit="8MB") as small,
        small.cluster,
    ):
        again = rr.complete_parts(dense.folder, scheduler=small, **SETTINGS)
    assert len(set(opened)) == 3
    for own, other in zip(again.factors, dense.found.factors, strict=True):
        np.testing.assert_array_equal(own, other)


def test_what_lies_on_disk_is_as_it_was_and_frees_its_file(tmp_path):
    given = {"a": np.arange(7.0), "b": np.zeros((0, 3)), "c": "text"}
    kept = pickle.loads(pickle.dumps(OnDisk(given)))
    found = kept.opened()
    np.testing.assert_array_equal(found["a"], given["a"])
    assert found["b"].shape == (0, 3)
    found["a"][0] = 5.0
    del kept
    assert found["a"].tolist() == [5.0, *range(1, 7)]


def test_dask_frames_are_parts(dense, client):
    frames = pytest.importorskip("dask.dataframe")
    frame = frames.from_pandas(dense.table, npartitions=3)
    found = rr.complete(frame, scheduler=client, **SETTINGS)
    assert entries_apart(found, dense.found) < 1e-12


def test_dask_arrays_are_parts(client):
    arrays = pytest.importorskip("dask.array")
    table = table_of((100, 60, 40), OBSERVED, 1)
    array = np.full((100, 60, 40), np.nan)
    array[tuple(table[["user", "item", "day"]].to_numpy().T)] = table["value"]
    one = on_one_machine(array, **SETTINGS)
    given = arrays.from_array(array, chunks=(40, 60, 20))
    found = rr.complete_parts(given, scheduler=client, **SETTINGS)
    assert found.parts == 6
    assert entries_apart(found, one) < 1e-8


@pytest.mark.parametrize("sentinel", [None, -999.0])
def test_a_part_without_any_value_has_labels_and_no_observation(client, sentinel):
    frames = pytest.importorskip("dask.dataframe")
    table = table_of((12, 10, 8), 400, 1).sort_values("user", ignore_index=True)
    # User 11 occurs in the last part alone.
    table.loc[300:, "value"] = np.nan if sentinel is None else sentinel
    frame = frames.from_pandas(table, npartitions=4)
    settings = SETTINGS if sentinel is None else {**SETTINGS, "missing": sentinel}
    one = on_one_machine(table, **settings)
    found = rr.complete_parts(frame, scheduler=client, **settings)
    assert found.observed == 300
    assert found.mode_dims == one.input.observations.mode_dims == (12, 10, 8)
    assert found.entries([[11, 0, 0]]) == found.offset


def test_row_groups_of_one_file_are_read_apart(client, dense, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    arrow = pytest.importorskip("pyarrow").Table.from_pandas(dense.table)
    groups = 2**20 // 60_000 * 60_000
    assert groups > len(dense.table)  # Small groups are read together.
    parquet.write_table(arrow, tmp_path / "whole.parquet", row_group_size=60_000)
    found = rr.complete_parts(
        tmp_path / "whole.parquet", scheduler=client, parts=3, **SETTINGS
    )
    assert found.parts == 3
    assert entries_apart(found, dense.found) < 1e-12


def test_no_observation_comes_back(dense, client, monkeypatch):
    sizes = []
    gather = type(client).gather

    def noting(self, futures, *arguments, **options):
        found = gather(self, futures, *arguments, **options)
        sizes.extend(each.nbytes for each in found if isinstance(each, np.ndarray))
        return found

    monkeypatch.setattr(type(client), "gather", noting)
    rr.complete_parts(dense.folder, scheduler=client, parts=2, **SETTINGS)
    # Counts of drawn numbers are the largest, whatever the observations.
    assert max(sizes) == 8 * 2**16
    assert max(sizes) < 8 * OBSERVED


def test_a_run_that_was_left_off_goes_on(dense, client, tmp_path):
    path = tmp_path / "checkpoint.npz"

    def stop(progress):
        if progress.point.components == 2:
            raise KeyboardInterrupt

    begun = rr.Checkpoint(path, seconds=0.0)
    with pytest.raises(KeyboardInterrupt):
        rr.complete_parts(
            dense.folder,
            scheduler=client,
            checkpoint=begun,
            progress=stop,
            **SETTINGS,
        )
    seen = []
    resumed = rr.Checkpoint(path, seconds=0.0, resume=True)
    found = rr.complete_parts(
        dense.folder,
        scheduler=client,
        checkpoint=resumed,
        progress=seen.append,
        **SETTINGS,
    )
    assert seen[1].point.components  # It does not begin with nothing.
    for own, other in zip(found.factors, dense.found.factors, strict=True):
        np.testing.assert_array_equal(own, other)


def test_results_are_written(dense, tmp_path):
    path = dense.found.save_factors(tmp_path)
    with np.load(path) as saved:
        assert saved["mode_1"].shape == (300, 2)
        assert saved["labels_2"].tolist() == dense.found.axes[1].labels.tolist()
    summary = dense.found.summary("here")
    assert summary["parts"] == 3
    assert summary["rank"] == 2
    assert "100500 observed in 3 parts" in repr(dense.found)
    assert "one model" in dense.found._repr_html_()
