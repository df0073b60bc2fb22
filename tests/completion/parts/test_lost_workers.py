"""Workers that are lost in a pass: it is done again, and nothing is different."""

import os
import signal

import numpy as np
import pytest

import rankrise as rr

from .conftest import table_of, write_parts

pytestmark = pytest.mark.slow

SETTINGS = {"penalties": (1.0,), "max_components": 2, "parts": 4}


@pytest.fixture
def processes():
    """Two workers that are processes, each watched by a nanny."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address="127.0.0.1:0",
            worker_dashboard_address="127.0.0.1:0",
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


def test_a_killed_worker_changes_no_bit(processes, tmp_path):
    folder = write_parts(table_of((300, 40, 30), 100_500, 2), tmp_path, 2)
    undisturbed = rr.complete_parts(folder, scheduler=processes, **SETTINGS)
    killed = []

    def kill_one(progress):
        if progress.model and len(killed) < 3:
            pids = processes.run(os.getpid)
            killed.append(pids[min(pids)])
            os.kill(killed[-1], signal.SIGKILL)

    found = rr.complete_parts(
        folder, scheduler=processes, progress=kill_one, **SETTINGS
    )
    assert len(set(killed)) >= 2
    assert found.components == 2
    for own, other in zip(found.factors, undisturbed.factors, strict=True):
        np.testing.assert_array_equal(own, other)


def test_a_part_that_ends_every_worker_is_given_up(processes):
    frames = pytest.importorskip("dask.dataframe")
    table = table_of((300, 40, 30), 1_000, 1)
    frame = frames.from_pandas(table, npartitions=2)

    def poisoned(part):
        if part.index[0] > 0:
            os._exit(1)
        return part

    frame = frame.map_partitions(poisoned, meta=table.iloc[:0])
    with pytest.raises(
        rr.InputError, match=r"ended its worker \d times; .* more memory"
    ):
        rr.complete_parts(frame, scheduler=processes, **SETTINGS)
