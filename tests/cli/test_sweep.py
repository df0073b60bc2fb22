"""`rankrise sweep`: what it says and writes; no cluster is needed."""

import json

import pandas as pd
import pytest

import rankrise as rr
from rankrise.cli._main import run

SWEEP = """
command = "dynamics"
seeds = 2
[base]
order = 3
mode_dim = 3
target_rank = 1
components = 2
steps = 200
[axes]
init_scales = [0.3, 0.1]
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(SWEEP)
    return path


def swept(file, *tokens):
    return run(["sweep", str(file), "--workers", "0", *map(str, tokens)])


@pytest.mark.usefixtures("blank_figures")
def test_a_sweep_says_what_it_will_do_and_writes_one_table(file, capfd):
    assert swept(file, "--out", "found") == 0
    said = capfd.readouterr().out
    assert said.startswith(
        "4 runs of dynamics: init_scale 2 x seed 2\nexpected time: 1 s with 1 worker "
        "(at most 200 iterations a run, by the pace of 200; compiling apart)\n"
    )
    assert "4 runs done, 0 failed\ntable: found/sweep.parquet\n" in said
    table = rr.load_sweep("found").table
    pd.testing.assert_frame_equal(table, pd.read_parquet("found/sweep.parquet"))
    summary = json.loads((file.parent / "found/summary.json").read_text())
    assert (summary["result"], summary["sweep_runs"]) == ("converged", 4)
    # The same again is refused, and goes on where it is asked to.
    assert swept(file, "--out", "found") == 2
    assert swept(file, "--out", "found", "--resume") == 0
    assert run(["sweep", "--workers", "0", "--out", "found", "--resume"]) == 0
    assert "4 are done" in capfd.readouterr().out
    # A file that asks for more gets it, and --force begins anew.
    file.write_text(SWEEP.replace("seeds = 2", "seeds = 3"))
    assert swept(file, "--out", "found", "--resume", "--quiet") == 0
    assert len(rr.load_sweep("found").table) == 6
    kept = {p: p.stat().st_mtime_ns for p in file.parent.glob("found/runs/*")}
    assert swept(file, "--out", "found", "--force", "--quiet") == 0
    assert not kept.items() & {(p, p.stat().st_mtime_ns) for p in kept}
    assert capfd.readouterr().out == ""


def test_a_dry_run_does_nothing(file, capfd):
    assert swept(file, "--dry-run") == 0
    said = capfd.readouterr().out
    assert said.startswith("4 runs of dynamics")
    assert "expected time" in said
    assert [path.name for path in file.parent.iterdir()] == ["sweep.toml"]


def test_a_dry_run_asks_the_scheduler(file, monkeypatch, assert_refused):
    pytest.importorskip("distributed")
    monkeypatch.setattr("rankrise._cluster._CONNECT_SECONDS", 0.2)
    tokens = ["--scheduler", "tcp://127.0.0.1:9", "--dry-run"]
    assert_refused(["sweep", file, *tokens], "No scheduler of Dask answers at tcp://")


@pytest.mark.usefixtures("blank_figures")
def test_runs_that_fail_are_listed_and_the_status_says_so(file, capfd, monkeypatch):
    from rankrise.sweeps._dynamics_runs import DynamicsCommand

    whole = DynamicsCommand.run

    def failing(self, batch, checkpoint):
        if batch[0]["seed"] == 1:
            raise MemoryError("too large")
        return whole(self, batch, checkpoint)

    monkeypatch.setattr(DynamicsCommand, "run", failing)
    assert swept(file) == 1
    said = capfd.readouterr()
    assert "2 runs done, 2 failed" in said.out
    assert "failed: init_scale 0.3, seed 1: MemoryError: too large" in said.err


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("init_scales", "init_scale"), "the nearest is 'init_scales'"),
        (("[0.3, 0.1]", "[]"), "The axis init_scales is empty"),
        (("order = 3", "order = 1"), "'order' is 1; it must lie between 2 and 32"),
        (("seeds = 2", "seed = 2"), "no setting 'seed'; the nearest is 'seeds'"),
        (("seeds = 2", "seeds = 9999"), "more than 10000 runs.*--max-runs"),
        (("dynamics", "dynamic"), "'command' is 'dynamic'; choose"),
        (("[axes]", "[axes"), "is not TOML"),
    ],
)
def test_a_file_that_is_no_sweep_is_refused(file, change, words, assert_refused):
    file.write_text(SWEEP.replace(*change))
    assert_refused(["sweep", file, "--workers", "0"], words)
    assert [path.name for path in file.parent.iterdir()] == ["sweep.toml"]


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["sweep"], "sweep needs a file: rankrise sweep SWEEP.toml"),
        (["sweep", "missing.toml"], "no file missing.toml"),
        (["sweep", "--resume"], "no run to resume"),
        (["sweep", "sweep.toml", "--workers", "-1"], "--workers is -1; give a whole"),
        (["complexity", "digits", "--workers", "-1"], "--workers is -1; give a whole"),
        (["sweep", "sweep.toml", "--max-runs", "-1"], "--max-runs is -1; give a whole"),
        (["sweep", "sweep.toml", "--workers", "1.5"], r"--workers is 1\.5; give a wh"),
        (["dynamics", "--devices", "1.5"], r"--devices is 1\.5; give a whole number"),
        (["report", "x", "--every", "1.5"], r"--every is 1\.5; give a whole number"),
    ],
)
def test_commands_that_make_no_sense_are_refused(file, tokens, words, assert_refused):
    assert_refused(tokens, words)
