"""`rankrise complete` by its default method: several files, intervals, resuming."""

import itertools
import json
import os
import signal

import numpy as np
import pytest

from rankrise.cli._main import run
from rankrise.runs import Watch
from rankrise.trajectories import load_factors

QUICK = ["--seeds", "2", "--no-smooth", "--max-components", "3"]


def write(path, *, seed=0):
    """A matrix of rank one with gaps."""
    rng = np.random.default_rng(seed)
    whole = np.outer(rng.standard_normal(14), rng.standard_normal(11)) + 2
    gappy = np.where(rng.random(whole.shape) < 0.7, whole, np.nan)
    np.save(path, gappy)
    return gappy, whole


@pytest.fixture
def gappy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write("x.npy")


def test_a_file_is_completed_with_deviations_and_bounds(gappy, tmp_path, capsys):
    array, whole = gappy
    assert run(["complete", "x.npy", *QUICK, "--interval", "0.9", "--out", "r"]) == 0
    loaded = {
        name: np.load(tmp_path / "r" / f"{name}.npy")
        for name in (
            "completed",
            *(f"completed-{x}" for x in ("std", "lower", "upper")),
        )
    }
    gaps = np.isnan(array)
    assert np.linalg.norm((loaded["completed"] - whole)[gaps]) < 0.05 * np.linalg.norm(
        whole[gaps]
    )
    assert np.all(loaded["completed-lower"] <= loaded["completed"])
    assert np.all(loaded["completed"] <= loaded["completed-upper"])
    assert np.all(loaded["completed-std"][~gaps] == 0)
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["result"] == "finished"
    assert [each["heldout_part"] for each in summary["models"]] == [0, 1]
    assert summary["interval"]["level"] == 0.9
    assert min(each["heldout_loss"] for each in summary["path"]) < 0.01
    assert "2 models, chosen on held-out entries" in capsys.readouterr().out
    factors = np.load(tmp_path / "r" / "factors.npz")
    ends = [
        offset
        + np.asarray(load_factors(tmp_path / "r" / "factors.npz", i).end_tensor())
        for i, offset in enumerate(factors["offset"])
    ]
    mean = np.mean(ends, axis=0)
    # Written in float64, read in JAX's single precision.
    np.testing.assert_allclose(mean[gaps], loaded["completed"][gaps], rtol=1e-4)


def test_several_files_have_a_folder_each_and_one_bad_stops_no_other(
    gappy, tmp_path, capfd
):
    write("y.npy", seed=1)
    np.save("full.npy", np.arange(12.0).reshape(3, 4))
    names = ["x.npy", "full.npy", "y.npy"]
    assert run(["complete", *names, *QUICK, "--out", "r", "--quiet"]) == 2
    for name in ("x", "y"):
        assert (tmp_path / "r" / name / "completed.npy").exists()
    assert not (tmp_path / "r" / "full").exists()
    assert capfd.readouterr().err.startswith("rankrise: full.npy: All 12 entries are")


def test_a_slice_without_an_observation_stays_empty_and_is_said(
    gappy, tmp_path, caplog
):
    array, _ = gappy
    array[4] = np.nan
    np.save("x.npy", array)
    assert run(["complete", "x.npy", *QUICK, "--out", "r", "--quiet"]) == 0
    completed = np.load(tmp_path / "r" / "completed.npy")
    assert np.isnan(completed[4]).all()
    assert np.isfinite(np.delete(completed, 4, axis=0)).all()
    assert "no entry is observed at index 4 (counted from 0) of mode 1" in caplog.text


def test_an_interrupted_run_is_resumed_to_the_same_factors(
    gappy, tmp_path, monkeypatch, capfd
):
    run(["complete", "x.npy", *QUICK, "--out", "whole", "--quiet"])
    ending, points = Watch.ending, itertools.count(1)

    def interrupted(watch):
        if next(points) == 8:
            os.kill(os.getpid(), signal.SIGINT)
        return ending(watch)

    with monkeypatch.context() as patched:
        patched.setattr(Watch, "ending", interrupted)
        assert run(["complete", "x.npy", *QUICK, "--out", "r", "--quiet"]) == 130
    assert "go on with --out r --resume" in capfd.readouterr().err
    assert run(["complete", "--resume", "--out", "r", "--quiet"]) == 0
    ours, theirs = (np.load(tmp_path / x / "factors.npz") for x in ("r", "whole"))
    for name in theirs.files:
        np.testing.assert_array_equal(ours[name], theirs[name])
    assert not (tmp_path / "r" / "checkpoint.npz").exists()
