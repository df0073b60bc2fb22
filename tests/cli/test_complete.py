"""`rankrise complete` by its default method: several files, intervals, resuming."""

import itertools
import json
import logging
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rankrise.cli._main import _Warning, run
from rankrise.completion import Completion
from rankrise.runs import Ending, Watch
from rankrise.trajectories import load_factors

pytestmark = pytest.mark.usefixtures("blank_figures")

QUICK = ["--models", "2", "--no-smooth", "--max-components", "3"]


def summary(folder):
    return json.loads((Path(folder) / "summary.json").read_text())


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
    said = summary("r")
    assert said["result"] == "converged"
    assert [each["heldout_part"] for each in said["models"]] == [0, 1]
    assert said["interval"]["level"] == 0.9
    assert min(each["heldout_loss"] for each in said["path"]) < 0.01
    printed = capsys.readouterr().out
    assert "2 models, chosen on held-out entries" in printed
    assert f"centering: {said['centering']}\n" in printed
    factors = np.load(tmp_path / "r" / "factors.npz")
    ends = [
        offset
        + np.asarray(load_factors(tmp_path / "r" / "factors.npz", i).end_tensor())
        for i, offset in enumerate(factors["offset"])
    ]
    mean = np.mean(ends, axis=0)
    # Written in float64, read in JAX's single precision.
    np.testing.assert_allclose(mean[gaps], loaded["completed"][gaps], rtol=1e-4)


def test_of_counts_the_loss_chosen_and_the_noise_are_said(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    factors = [rng.gamma(0.5, 1, (dim, 2)) for dim in (14, 12, 10)]
    counts = rng.poisson(4 * np.einsum("ir,jr,kr->ijk", *factors)).astype(float)
    np.save("x.npy", np.where(rng.random(counts.shape) < 0.2, np.nan, counts))
    options = ["--models", "2", "--no-smooth", "--loss", "counts", "--out", "r"]
    assert run(["complete", "x.npy", *options]) == 0
    said, printed = summary("r"), capsys.readouterr().out
    assert said["settings"]["loss"] == "counts"
    own, other = (said["link_losses"][name] for name in ("poisson-identity", "poisson"))
    assert (
        f"loss: poisson-identity, held-out negative log-likelihood {own:.4g} "
        f"({other:.4g} of poisson)"
    ) in printed
    error, noise = (said[f"{name}_centered_error"] for name in ("heldout", "noise"))
    assert noise < error
    assert f"({error:.4g} about the mean; noise alone gives {noise:.4g})" in printed


def test_several_files_have_a_folder_each_and_one_bad_stops_no_other(
    gappy, tmp_path, capfd
):
    write("y.npy", seed=1)
    np.save("flat.npy", np.full((3, 4), 2.0))
    names = ["x.npy", "flat.npy", "y.npy"]
    assert run(["complete", *names, *QUICK, "--out", "r", "--quiet"]) == 2
    for name in ("x", "y"):
        assert (tmp_path / "r" / name / "completed.npy").exists()
    assert not (tmp_path / "r" / "flat").exists()
    assert capfd.readouterr().err.startswith("rankrise: flat.npy: All observed values")


def test_of_several_files_each_is_refused_in_words_of_the_command_line(gappy, capfd):
    write("y.npy", seed=1)
    assert run(["complete", "x.npy", "y.npy", "--leave-empty", "q", "--quiet"]) == 2
    lines = capfd.readouterr().err.splitlines()
    assert [line.split(" names ")[0] for line in lines] == [
        f"rankrise: {name}.npy: --leave-empty" for name in "xy"
    ]


def test_no_result_of_an_earlier_form_is_left(gappy, tmp_path):
    pd.DataFrame(gappy[0], columns=[f"t{n}" for n in range(gappy[0].shape[1])]).to_csv(
        "w.csv.gz", index=False
    )
    tokens = [*QUICK, "--out", "r", "--quiet"]
    assert run(["complete", "w.csv.gz", "--layout", "wide", *tokens]) == 0
    assert run(["complete", "x.npy", *tokens, "--force"]) == 0
    found = {path.name for path in (tmp_path / "r").glob("completed*")}
    assert found == {"completed.npy", "completed-std.npy"}


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


@pytest.fixture
def end_at(monkeypatch):
    """Let runs end in a way when they are asked for the n-th time."""

    def patch(ending, asked):
        asks = itertools.count(1)
        monkeypatch.setattr(
            Watch, "ending", lambda self: ending if next(asks) >= asked else None
        )

    return patch


def test_an_interrupted_run_says_what_it_has_and_is_resumed_to_the_same_factors(
    gappy, tmp_path, end_at, monkeypatch, capfd
):
    run(["complete", "x.npy", *QUICK, "--out", "whole", "--quiet"])
    capfd.readouterr()
    end_at(Ending.INTERRUPTED, 8)
    assert run(["complete", "x.npy", *QUICK, "--out", "r"]) == 130
    out, err = capfd.readouterr()
    assert re.fullmatch(
        r"rankrise: interrupted with 1 of 2 models; the state is kept, go on with "
        r"--out r --resume\.\n",
        err,
    )
    assert out == ""
    assert summary("r")["result"] == "interrupted"
    # Whoever interrupts does not wait for a picture, but has all else.
    files = {path.name for path in (tmp_path / "r").iterdir()}
    assert files >= {"factors.npz", "completed.npy", "completed-std.npy"}
    assert not any(name.startswith("completion") for name in files)
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    assert run(["complete", "--resume", "--out", "r", "--quiet"]) == 0
    ours, theirs = (np.load(tmp_path / x / "factors.npz") for x in ("r", "whole"))
    for name in theirs.files:
        np.testing.assert_array_equal(ours[name], theirs[name])
    assert not (tmp_path / "r" / "checkpoint.npz").exists()
    assert (tmp_path / "r" / "completion.png").exists()


def test_a_time_limit_is_said_with_how_far_it_went_and_can_be_raised(
    gappy, end_at, monkeypatch, tmp_path, capfd
):
    end_at(Ending.TIME_LIMIT, 8)
    assert run(["complete", "x.npy", *QUICK, "--out", "r", "--quiet"]) == 0
    found = summary("r")
    said = (
        "rankrise: stopped at the time limit with 1 of 2 models, after "
        f"{found['seconds']:.1f} s; go on with --out r --resume."
    )
    assert capfd.readouterr().err.startswith(said)
    assert (found["result"], found["asked_models"]) == ("time limit", 2)
    assert len(found["models"]) == 1
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    tokens = ["--out", "r", "--quiet", "--max-seconds", "300"]
    assert run(["complete", "--resume", *tokens]) == 0
    found = summary("r")
    assert (found["result"], len(found["models"])) == ("converged", 2)
    assert found["settings"]["max_seconds"] == 300
    assert not (tmp_path / "r" / "checkpoint.npz").exists()


def test_a_run_is_resumed_with_its_settings_and_refuses_others(
    gappy, end_at, monkeypatch, tmp_path, capfd
):
    end_at(Ending.INTERRUPTED, 3)
    tokens = ["--interval", "0.8", "--out", "r", "--quiet"]
    assert run(["complete", "x.npy", *QUICK, *tokens]) == 130
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    for flags, words in [
        ("--models 3", "has --models 2, not 3"),
        ("--interval 0.9", r"has --interval 0\.8, not 0\.9"),
        ("--method flow", "has --method alternating, not flow"),
    ]:
        capfd.readouterr()
        assert run(["complete", "--resume", "--out", "r", *flags.split()]) == 2
        assert re.search(words, capfd.readouterr().err)
    assert run(["complete", "--resume", "--out", "r", "--quiet"]) == 0
    settings = summary("r")["settings"]
    assert (settings["models"], settings["smooth"]) == (2, False)
    assert (tmp_path / "r" / "completed-lower.npy").exists()


def test_nothing_is_replaced_before_all_input_fits(gappy, tmp_path, capfd):
    run(["complete", "x.npy", *QUICK, "--out", "r", "--quiet"])
    before = (tmp_path / "r" / "summary.json").read_bytes()
    np.save("flat.npy", np.full((3, 4), 2.0))
    assert run(["complete", "flat.npy", "--out", "r", "--force", "--quiet"]) == 2
    assert (tmp_path / "r" / "summary.json").read_bytes() == before


def test_warnings_of_the_library_have_the_names_of_options(gappy):
    record = logging.makeLogRecord(
        {"msg": "try more `starts`, `method` %s", "args": ("flow",)}
    )
    assert _Warning("%(message)s").format(record) == "try more --starts, --method flow"


def test_the_default_method_needs_neither_jax_nor_what_reads_other_files(
    gappy, program_environment
):
    lines = (
        "import sys",
        "from rankrise.cli._main import run",
        f"assert run(['complete', 'x.npy', '--quiet', *{QUICK}]) == 0",
        "heavy = {'jax', 'pandas', 'xarray', 'h5py', 'sklearn'}",
        "print(sorted({*heavy, 'matplotlib.pyplot'} & set(sys.modules)))",
    )
    program = [sys.executable, "-c", "\n".join(lines)]
    ended = subprocess.run(program, capture_output=True, text=True, check=True)
    assert ended.stdout == "[]\n"


def test_an_interrupt_while_the_rank_is_told_keeps_what_was_completed(
    gappy, tmp_path, monkeypatch, capfd
):
    run(["complete", "x.npy", *QUICK, "--out", "whole", "--quiet"])
    capfd.readouterr()
    asked = threading.Event()
    told = Completion._told_rank

    def interrupted(self, progress):
        asked.set()
        os.kill(os.getpid(), signal.SIGINT)
        return told(self, progress)

    monkeypatch.setattr(Completion, "_told_rank", interrupted)
    assert run(["complete", "x.npy", *QUICK, "--out", "r", "--quiet"]) == 130
    assert asked.is_set()
    words = "interrupted with 2 of 2 models; the state is kept, go on with --out r"
    assert words in capfd.readouterr().err
    assert (summary("r")["result"], summary("r")["rank"]) == ("interrupted", None)
    assert (tmp_path / "r" / "completed.npy").exists()
    monkeypatch.setattr(Completion, "_told_rank", told)
    assert run(["complete", "--resume", "--out", "r", "--quiet"]) == 0
    assert summary("r")["rank"] == summary("whole")["rank"]
    ours, theirs = (np.load(tmp_path / x / "completed.npy") for x in ("r", "whole"))
    np.testing.assert_array_equal(ours, theirs)
