"""Workers of Dask: the same results, whatever happens to them.

Each test starts processes that load JAX, so most are slow.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rankrise as rr
from rankrise.sweeps import open_pool, slurm_script

SETTINGS = rr.SweepSettings(
    command="dynamics",
    base={"mode_dim": 3, "target_rank": 1, "components": 2, "steps": 300},
    axes={"order": [2, 3], "init_scales": [0.3, 0.1]},
    seeds=4,
)
SOURCE = Path(rr.__file__).parents[1]


def without_seconds(found):
    return found.table.drop(columns="seconds")


def worker_processes():
    """Processes that this one has started to work."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = path.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1]
            line = path.joinpath("cmdline").read_bytes()
        except OSError:
            continue
        if int(parent) == os.getpid() and b"spawn_main" in line:
            found.append(int(path.name))
    return found


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The sweep in this process."""
    return rr.sweep(SETTINGS, tmp_path_factory.mktemp("alone"), workers=0)


@pytest.fixture
def dask():
    return pytest.importorskip("distributed")


@pytest.mark.slow
def test_workers_find_the_same_to_the_bit(dask, alone, tmp_path):
    found = rr.sweep(SETTINGS, tmp_path, workers=2)
    pd.testing.assert_frame_equal(without_seconds(found), without_seconds(alone))
    assert found.trajectories.identical(
        alone.trajectories.assign_coords(seconds=found.trajectories["seconds"])
    )


@pytest.mark.slow
def test_workers_that_are_killed_change_nothing(dask, alone, tmp_path):
    kills = 0

    def kill(progress):
        nonlocal kills
        if progress.done >= 2 * (kills + 1) and kills < 3:
            os.kill(worker_processes()[-1], signal.SIGKILL)
            kills += 1

    found = rr.sweep(SETTINGS, tmp_path, workers=2, progress=kill)
    assert kills == 3
    pd.testing.assert_frame_equal(without_seconds(found), without_seconds(alone))


POISONED = """
import os, sys
from pathlib import Path
import rankrise as rr
from rankrise.sweeps._dynamics_runs import DynamicsCommand

whole = DynamicsCommand.run

def dying(self, batch, checkpoint):
    if any(given["seed"] == 2 for given in batch):
        os.kill(os.getpid(), 9)
    return whole(self, batch, checkpoint)

DynamicsCommand.run = dying
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_that_kills_its_worker_is_given_up_and_named(
    dask, alone, tmp_path, monkeypatch
):
    # Python reads this file as it starts, in workers too.
    (tmp_path / "sitecustomize.py").write_text(POISONED)
    places = [str(tmp_path), os.environ.get("PYTHONPATH", str(SOURCE))]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(places))
    settings = SETTINGS.model_copy(
        update={"axes": {"order": [2], "init_scales": [0.3]}}
    )
    found = rr.sweep(settings, tmp_path / "out", workers=2)
    assert found.failed["seed"].tolist() == [2]
    assert "worker ended at every attempt" in found.failed["reason"].item()
    assert found.not_done == 0


SCRIPT = """
import rankrise as rr
found = rr.sweep({settings}, {out!r}, workers=1)
print("rows", len(found.table), len(found.failed))
"""


@pytest.mark.slow
def test_a_script_needs_no_guard(dask, tmp_path):
    settings = {**SETTINGS.model_dump(mode="json"), "seeds": 1}
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(settings=settings, out=str(tmp_path / "out")))
    ran = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, check=True
    )
    assert ran.stdout == "rows 4 0\n"


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_and_the_rest_follows(dask, alone, tmp_path):
    settings, out = tmp_path / "sweep.json", tmp_path / "out"
    settings.write_text(SETTINGS.model_dump_json())
    code = (
        "import sys, json, rankrise as rr\n"
        "settings = rr.SweepSettings(**json.load(open(sys.argv[1])))\n"
        "rr.sweep(settings, sys.argv[2], workers=1)\n"
    )
    program = [sys.executable, "-c", code, settings, out]
    # A terminal sends the signal to all processes of the group.
    process = subprocess.Popen(
        program, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    while process.poll() is None and not [*out.glob("runs/*/summary.json")]:
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode != 0
    assert said.rstrip().endswith("KeyboardInterrupt")
    assert said.count("Traceback") == 1
    seen = rr.load_sweep(out)
    assert 0 < seen.not_done < 16
    kept = {p: p.stat().st_mtime_ns for p in out.glob("runs/*/summary.json")}
    found = rr.sweep(SETTINGS, out, workers=0)
    assert {p: p.stat().st_mtime_ns for p in kept} == kept
    pd.testing.assert_frame_equal(without_seconds(found), without_seconds(alone))


@pytest.mark.slow
def test_a_scheduler_elsewhere_does_the_same(dask, alone, tmp_path):
    with dask.LocalCluster(
        n_workers=1,
        threads_per_worker=1,
        host="127.0.0.1",
        dashboard_address="127.0.0.1:0",
    ) as cluster:
        address = cluster.scheduler_address
        found = rr.sweep(SETTINGS, tmp_path, scheduler=address)
        with pytest.raises(rr.InputError, match="have been started already"):
            rr.sweep(SETTINGS, tmp_path / "more", scheduler=address, workers=3)
    pd.testing.assert_frame_equal(without_seconds(found), without_seconds(alone))


@pytest.mark.slow
def test_studies_find_the_same_with_workers(dask):
    X = np.random.default_rng(0).integers(0, 2, size=(120, 6))
    y = X[:, 0] ^ X[:, 1]
    rng = np.random.default_rng(1)
    dataset = rr.tables.labelled_table(X, y, test=(X, y))
    config = rr.experiments.ComplexityConfig(ranks=("1-2",), epochs=5, seeds=(0, 1))
    theory = rr.experiments.VerificationConfig(seed=int(rng.integers(5)))
    claims = ("growth", "growth-bounds")
    one = rr.experiments.run_complexity("digits", config, data=dataset)
    proved = rr.experiments.run_verification(theory, claims)
    with open_pool(workers=2) as pool:
        several = rr.experiments.run_complexity(
            "digits", config, data=dataset, pool=pool
        )
        apart = rr.experiments.run_verification(theory, claims, pool=pool)
    assert several.curve.fits == one.curve.fits
    for control, losses in one.curve.train_losses.items():
        np.testing.assert_array_equal(several.curve.train_losses[control], losses)
    assert [c.error for c in apart.claims] == [c.error for c in proved.claims]


def test_without_dask_it_is_said_how_to_have_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(rr.InputError, match=r"rankrise\[cluster\].*`workers` 0"):
        rr.sweep(SETTINGS, tmp_path)


def test_no_scheduler_at_an_address_is_said(dask, tmp_path, monkeypatch):
    monkeypatch.setattr("rankrise._cluster._CONNECT_SECONDS", 0.2)
    with pytest.raises(rr.InputError, match="No scheduler of Dask answers at tcp://"):
        rr.sweep(SETTINGS, tmp_path, scheduler="tcp://127.0.0.1:9")


def test_a_server_that_is_no_scheduler_is_said(dask, tmp_path, monkeypatch):
    monkeypatch.setattr("rankrise._cluster._CONNECT_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"tcp://127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(rr.InputError, match=f"No scheduler .* at {address} "):
            rr.sweep(SETTINGS, tmp_path, scheduler=address)


def test_a_scheduler_that_speaks_tls_needs_certificates(dask, tmp_path):
    with pytest.raises(rr.InputError, match=r"at tls://.*TLS"):
        rr.sweep(SETTINGS, tmp_path, scheduler="tls://127.0.0.1:9")


def test_a_client_that_is_closed_is_said(dask, tmp_path):
    with dask.LocalCluster(n_workers=0, processes=False, dashboard_address=None) as own:
        client = dask.Client(own)
        client.close()
        with pytest.raises(rr.InputError, match="The client of Dask is closed; give"):
            rr.sweep(SETTINGS, tmp_path, scheduler=client)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"workers": -1}, "whole number"),
        ({"workers": 0, "scheduler": "tcp://a:1"}, "leave one out"),
        ({"scheduler": "tcp://a:1", "slurm": "jobs.toml"}, "two clusters"),
        ({"slurm": "missing.toml"}, "no file missing.toml"),
    ],
)
def test_clusters_that_make_no_sense_are_refused(dask, tmp_path, options, words):
    with pytest.raises(rr.InputError, match=words):
        rr.sweep(SETTINGS, tmp_path, **options)


def test_a_job_of_slurm_is_what_the_settings_say(tmp_path):
    pytest.importorskip("dask_jobqueue")
    pytest.importorskip("cryptography")
    path = tmp_path / "jobs.toml"
    path.write_text(
        'interface = "lo"\nmemory = "8GB"\ncores = 4\nqueue = "long"\n'
        'account = "physics"\nwalltime = "12:00:00"\n'
        'prologue = "module load python"\ndirectives = ["--gres=gpu:1"]\n'
        f'shared_folder = "{tmp_path}"\n'
    )
    script = slurm_script(path)
    for line in (
        "#SBATCH -p long",
        "#SBATCH -A physics",
        "#SBATCH --cpus-per-task=4",
        "#SBATCH -t 12:00:00",
        "#SBATCH --gres=gpu:1",
        "module load python",
    ):
        assert f"\n{line}\n" in script, script
    assert "tls://127.0.0.1:" in script


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ('memory = "8GB"', "has no `interface`"),
        ('interface = "lo"\nmemory = "8GB"\ncore = 1', "nearest is `cores`"),
        ('interface = "none0"\nmemory = "8GB"', "no network interface 'none0'"),
        ("interface", "is not TOML"),
    ],
)
def test_settings_of_slurm_that_do_not_fit_are_refused(tmp_path, content, words):
    pytest.importorskip("dask_jobqueue")
    path = tmp_path / "jobs.toml"
    path.write_text(content)
    with pytest.raises(rr.InputError, match=words):
        slurm_script(path)
