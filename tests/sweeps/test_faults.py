"""Results stay the same when schedulers, workers, disks or clocks fail.

Schedulers and workers are processes of Dask's own commands, as on a real cluster; only
the clock is that of a scheduler in this process.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rankrise as rr
from rankrise.sweeps import open_pool

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SETTINGS = rr.SweepSettings(
    command="dynamics",
    base={"mode_dim": 3, "target_rank": 1, "components": 2, "steps": 300},
    axes={"order": [2, 3], "init_scales": [0.3, 0.1]},
    seeds=8,
)
ANY_PORT = "127.0.0.1:0"


def without_seconds(found):
    return found.table.drop(columns="seconds")


class Cluster:
    """A scheduler at one address that is killed and started again, and workers."""

    def __init__(self, log):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address, self._log = f"tcp://127.0.0.1:{self.port}", log
        self._processes = []

    def _start(self, *arguments, before=()):
        process = subprocess.Popen(
            [*before, sys.executable, "-m", *map(str, arguments)],
            stderr=self._log,
            stdout=self._log,
            start_new_session=True,
        )
        self._processes.append(process)
        return process

    def start_scheduler(self):
        where = "--host", "127.0.0.1", "--port", self.port
        self.scheduler = self._start(
            "distributed.cli.dask_scheduler", *where, "--dashboard-address", ANY_PORT
        )

    def start_worker(self, *arguments, before=()):
        return self._start(
            "distributed.cli.dask_worker",
            self.address,
            "--nthreads",
            1,
            "--dashboard-address",
            ANY_PORT,
            *arguments,
            before=before,
        )

    def kill_scheduler(self):
        self.scheduler.kill()
        self.scheduler.wait()

    def end(self):
        for process in self._processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def cluster(tmp_path_factory):
    pytest.importorskip("distributed")
    with (tmp_path_factory.mktemp("log") / "log.txt").open("w") as log:
        own = Cluster(log)
        own.start_scheduler()
        try:
            yield own
        finally:
            own.end()


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The sweep in this process."""
    return rr.sweep(SETTINGS, tmp_path_factory.mktemp("alone"), workers=0)


class AfterRuns:
    """Progress that acts once so many runs are done."""

    def __init__(self, count, act):
        self._count, self._act, self.acted = count, act, []

    def __call__(self, progress):
        if progress.done >= self._count and not self.acted:
            self.acted.append(progress.done)
            self._act()


def test_a_scheduler_that_is_started_again_changes_nothing(cluster, alone, tmp_path):
    cluster.start_worker()

    def restart():
        cluster.kill_scheduler()
        cluster.start_scheduler()
        # Workers end with their scheduler.
        cluster.start_worker()

    look = AfterRuns(5, restart)
    found = rr.sweep(SETTINGS, tmp_path, scheduler=cluster.address, progress=look)
    assert look.acted[0] < len(found.table)
    pd.testing.assert_frame_equal(without_seconds(found), without_seconds(alone))


def test_a_scheduler_that_is_gone_is_said_and_what_was_done_is_kept(
    cluster, alone, tmp_path, monkeypatch
):
    monkeypatch.setattr("rankrise._cluster._CONNECT_SECONDS", 5.0)
    cluster.start_worker()
    look = AfterRuns(5, cluster.kill_scheduler)
    with pytest.raises(rr.InputError, match=rf"{cluster.address} is gone; start one"):
        rr.sweep(SETTINGS, tmp_path, scheduler=cluster.address, progress=look)
    kept = rr.load_sweep(tmp_path)
    assert 0 < kept.not_done <= 27
    written = {p: p.stat().st_mtime_ns for p in tmp_path.glob("runs/*/summary.json")}
    found = rr.sweep(SETTINGS, tmp_path, workers=0)
    assert {path: path.stat().st_mtime_ns for path in written} == written
    pd.testing.assert_frame_equal(without_seconds(found), without_seconds(alone))


class Study:
    """A study of eight parts, done after something has happened to its cluster."""

    def __init__(self):
        X = np.random.default_rng(0).integers(0, 2, size=(120, 6))
        y = X[:, 0] ^ X[:, 1]
        self._data = rr.tables.labelled_table(X, y, test=(X, y))
        self._config = rr.experiments.ComplexityConfig(
            ranks=("1-2",), epochs=5, seeds=tuple(range(4))
        )

    def run(self, address=None, act=lambda: None):
        happened = []

        def once(control, progress):
            if not happened:
                happened.append(control)
                act()

        given = {"data": self._data, "progress": once}
        if address is None:
            return rr.experiments.run_complexity("digits", self._config, **given)
        with open_pool(address) as pool:
            return rr.experiments.run_complexity(
                "digits", self._config, **given, pool=pool
            )


def test_a_study_goes_on_with_another_scheduler(cluster):
    study = Study()
    cluster.start_worker()

    def restart():
        cluster.kill_scheduler()
        cluster.start_scheduler()
        cluster.start_worker()

    found = study.run(cluster.address, restart)
    assert found.curve.fits == study.run().curve.fits


def test_a_study_whose_scheduler_is_gone_ends_in_a_sentence(cluster, monkeypatch):
    monkeypatch.setattr("rankrise._cluster._CONNECT_SECONDS", 5.0)
    cluster.start_worker()
    with pytest.raises(rr.InputError, match=rf"{cluster.address} is gone; start one"):
        Study().run(cluster.address, cluster.kill_scheduler)


GREEDY = """
import time
import numpy as np
from rankrise.sweeps._dynamics_runs import DynamicsCommand

whole = DynamicsCommand.run

def greedy(self, batch, checkpoint):
    if any(given["seed"] == 2 for given in batch):
        taken = []
        for _ in range(200):
            taken.append(np.ones(10_000_000))
            time.sleep(0.05)
    return whole(self, batch, checkpoint)

DynamicsCommand.run = greedy
"""


@contextmanager
def started_with(code, folder, monkeypatch):
    """Python reads this file as it starts."""
    (folder / "sitecustomize.py").write_text(code)
    source = str(Path(rr.__file__).parents[1])
    places = [str(folder), os.environ.get("PYTHONPATH", source)]
    with monkeypatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(places))
        yield


def test_a_run_that_takes_all_memory_is_given_up_and_named(
    cluster, alone, tmp_path, monkeypatch
):
    (tmp_path / "code").mkdir()
    with started_with(GREEDY, tmp_path / "code", monkeypatch):
        for _ in range(2):
            cluster.start_worker("--memory-limit", "1.2GB")
    fewer = SETTINGS.model_copy(update={"axes": {"order": [2], "init_scales": [0.3]}})
    found = rr.sweep(fewer, tmp_path / "out", scheduler=cluster.address)
    assert found.failed["seed"].tolist() == [2]
    assert "for want of memory" in found.failed["reason"].item()
    ours = without_seconds(found).query("seed != 2")
    theirs = without_seconds(alone).query("order == 2 and init_scale == 0.3")
    theirs = theirs[theirs["seed"] != 2]
    assert ours["run"].tolist() == theirs["run"].tolist()
    assert ours["train_loss"].tolist() == theirs["train_loss"].tolist()


def test_a_worker_whose_disks_are_full_sends_what_it_finds(cluster, alone, tmp_path):
    out = tmp_path / "out"
    (out / "runs").mkdir(parents=True)
    full = "mount -t tmpfs -o size=4k tmpfs"
    mounts = f"{full} {out}/runs && {full} $TMPDIR"
    own = tmp_path / "temporary"
    own.mkdir()
    before = ["unshare", "--mount", "sh", "-c", f'{mounts} && exec "$@"', "sh"]
    try:
        subprocess.run(
            [*before, "true"],
            check=True,
            env={**os.environ, "TMPDIR": str(own)},
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting a small disk needs root")
    before = ["env", f"TMPDIR={own}", *before]
    cluster.start_worker("--local-directory", tmp_path / "worker", before=before)
    found = rr.sweep(SETTINGS, out, scheduler=cluster.address)
    pd.testing.assert_frame_equal(without_seconds(found), without_seconds(alone))


@pytest.mark.parametrize("seconds", [3600.0, -3600.0])
def test_a_clock_that_jumps_changes_nothing(seconds, alone, tmp_path, monkeypatch):
    import dask
    import distributed.scheduler

    jump, restarted = 0.0, []
    monkeypatch.setattr(distributed.scheduler, "time", lambda: time.time() + jump)
    restart = distributed.scheduler.Scheduler.restart_workers

    def counted(self, workers, **options):
        restarted.extend(workers)
        return restart(self, workers, **options)

    monkeypatch.setattr(distributed.scheduler.Scheduler, "restart_workers", counted)

    def jumping():
        nonlocal jump
        jump = seconds
        # The scheduler looks who has been silent for long, and there are runs left.
        time.sleep(3)

    look = AfterRuns(5, jumping)
    with dask.config.set({"distributed.scheduler.worker-ttl": "1s"}):
        found = rr.sweep(SETTINGS, tmp_path, workers=2, progress=look)
    assert look.acted
    # On a slow machine others may be silent for long, too.
    assert restarted or seconds < 0
    pd.testing.assert_frame_equal(without_seconds(found), without_seconds(alone))


def test_completion_says_that_its_scheduler_is_lost_and_goes_on_from_its_state(
    cluster, tmp_path
):
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(0)
    factors = [rng.standard_normal((dim, 2)) for dim in (300, 40, 30)]
    whole = np.einsum("ir,jr,kr->ijk", *factors)
    indices = np.stack(np.nonzero(rng.random(whole.shape) < 0.2), axis=1)
    table = pd.DataFrame(indices, columns=["user", "item", "day"])
    table["value"] = whole[tuple(indices.T)]
    (tmp_path / "parts").mkdir()
    for number, rows in enumerate(np.array_split(np.arange(len(table)), 4)):
        path = tmp_path / "parts" / f"part-{number}.parquet"
        table.iloc[rows].to_parquet(path, index=False)
    settings = {"max_components": 4, "penalties": (1.0, 0.1)}
    whole_run = rr.complete_parts(tmp_path / "parts", workers=1, **settings)
    checkpoint = rr.Checkpoint(tmp_path / "state.npz", seconds=0.0)
    cluster.start_worker()
    calls = 0

    def kill(progress):
        nonlocal calls
        calls += 1
        if calls == 4:
            cluster.kill_scheduler()
            cluster.start_scheduler()
            cluster.start_worker()

    with pytest.raises(rr.InputError, match="has lost this run; repeat the call"):
        rr.complete_parts(
            tmp_path / "parts",
            scheduler=cluster.address,
            checkpoint=checkpoint,
            progress=kill,
            **settings,
        )
    resumed = rr.complete_parts(
        tmp_path / "parts",
        scheduler=cluster.address,
        checkpoint=rr.Checkpoint(tmp_path / "state.npz", resume=True),
        **settings,
    )
    for own, other in zip(resumed.factors, whole_run.factors, strict=True):
        np.testing.assert_array_equal(own, other)
