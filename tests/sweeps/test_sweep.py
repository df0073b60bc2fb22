"""Sweeps in one process: what is written, what is not repeated, what fails."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import rankrise as rr
from rankrise.runs import Finished, Pool, ThisProcess
from rankrise.sweeps import _sweep as module
from rankrise.trajectories import Trajectory

BASE = {
    "mode_dim": 3,
    "target_rank": 1,
    "components": 2,
    "steps": 300,
    "loss_tolerance": 5e-3,
    "patience": 5,
    "precision": "float64",
}
SETTINGS = rr.SweepSettings(
    command="dynamics",
    base=BASE,
    axes={"order": [2, 3], "init_scales": [0.3, 0.1]},
    seeds=2,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("sweep")


@pytest.fixture(scope="module")
def found(folder):
    return rr.sweep(SETTINGS, folder, workers=0)


@pytest.fixture
def using(monkeypatch):
    """Have sweeps use a pool of the test's own."""

    def use(pool):
        from contextlib import nullcontext

        monkeypatch.setattr(module, "open_pool", lambda *_, **__: nullcontext(pool))

    return use


def stamps(folder):
    return {p: p.stat().st_mtime_ns for p in (folder / "runs").rglob("*")}


def test_a_row_is_a_run(found):
    table = found.table
    assert len(table) == 8
    assert table["ending"].isin(["converged", "stopped"]).all()
    axes = table[["order", "init_scale", "seed"]].to_numpy().tolist()
    expected = [[o, s, k] for o in (2, 3) for s in (0.3, 0.1) for k in (0, 1)]
    assert axes == expected
    assert (table["components"] == 2).all()
    assert table["train_loss"].notna().all()


def test_a_run_is_what_the_command_alone_does(found):
    row = found.table.iloc[3]
    config = rr.experiments.DynamicsConfig(
        **BASE, order=2, init_scales=(row["init_scale"],), seed=int(row["seed"])
    )
    alone = rr.experiments.run_dynamics(config).trajectory.run(0)
    swept = found.trajectory(row["run"])
    np.testing.assert_array_equal(swept.loss, alone.loss)
    np.testing.assert_array_equal(swept.component_norms, alone.component_norms)


def test_rises_of_a_row_are_those_of_its_components_in_order(found):
    names = [f"{nth}_rise" for nth in ("first", "second", "third")]
    counts = set()
    for _, row in found.table.iterrows():
        run = found.trajectory(row["run"])
        norms = np.asarray(run.component_norms)
        has_risen = norms[-1] > norms[-1].max() / 100
        halves = (norms[:, has_risen] >= norms[-1, has_risen] / 2).argmax(axis=0)
        steps = sorted(int(step) for step in run.step[halves] if step)
        counts.add(len(steps))
        assert row["components_risen"] == len(steps)
        assert row[names].dropna().tolist() == steps
        assert row[[names[0], "last_rise"]].dropna().tolist() == steps[:1] + steps[-1:]
    assert len(counts) > 1


def test_runs_together_are_as_they_are_alone_to_rounding(found, tmp_path):
    settings = SETTINGS.model_copy(
        update={
            "axes": {"order": [3], "init_scales": [0.3, 0.1]},
            "base": {**BASE, "start_seeds": [0, 1]},
            "seeds": None,
        }
    )
    alone = rr.sweep(settings, tmp_path / "alone", workers=0)
    settings = settings.model_copy(update={"together": 4})
    together = rr.sweep(settings, tmp_path / "together", workers=0)
    assert alone.table["run"].tolist() == together.table["run"].tolist()
    for name in ("train_loss", "reconstruction_error", "largest_norm"):
        np.testing.assert_allclose(
            together.table[name], alone.table[name], rtol=1e-9, err_msg=name
        )
    run = alone.table["run"][0]
    np.testing.assert_allclose(
        together.trajectory(run).loss, alone.trajectory(run).loss, rtol=1e-9
    )


def test_trajectories_of_unequal_lengths_join_on_one_axis(found):
    data = found.trajectories
    lengths = []
    for place, run in enumerate(found.table["run"]):
        own = Trajectory.load(found.folder / "runs" / run / "trajectory.nc")
        part = data.isel(save=data["run_index"].to_numpy() == place)
        np.testing.assert_array_equal(part["loss"], own.loss)
        np.testing.assert_array_equal(part["step"], own.step)
        norms = part["component_norms"].to_numpy()[:, : own.component_norms.shape[1]]
        np.testing.assert_array_equal(norms, own.component_norms)
        lengths.append(len(own.step))
    assert len({*lengths}) > 1
    assert data.sizes["save"] == sum(lengths)
    assert data["init_scale"].dims == ("run",)


def test_the_same_call_repeats_no_run(found, folder):
    before = stamps(folder)
    again = rr.sweep(SETTINGS, folder, workers=0)
    assert stamps(folder) == before
    pd.testing.assert_frame_equal(again.table, found.table)


def test_more_seeds_add_to_what_is_there(found, folder, tmp_path):
    import shutil

    shutil.copytree(folder, tmp_path / "more")
    before = stamps(tmp_path / "more")
    more = SETTINGS.model_copy(update={"seeds": 3})
    again = rr.sweep(more, tmp_path / "more", workers=0)
    assert len(again.table) == 12
    assert (
        stamps(tmp_path / "more").items()
        >= {
            path: stamp for path, stamp in before.items() if path.name != "runs"
        }.items()
    )


def test_a_sweep_with_new_axes_is_read_while_it_goes_on(found, folder, tmp_path):
    import shutil

    shutil.copytree(folder, tmp_path / "more")
    more = SETTINGS.model_copy(update={"seeds": 3})
    (tmp_path / "more" / "sweep.json").write_text(more.model_dump_json())
    seen = rr.load_sweep(tmp_path / "more")
    assert (len(seen.table), seen.not_done) == (12, 4)
    # A run that is new, and neither in the table nor among the trajectories.
    new, done = seen.table["run"][seen.table["ending"] == "not done"], found.table
    shutil.copytree(
        tmp_path / "more" / "runs" / done["run"][0],
        tmp_path / "more" / "runs" / new.iloc[0],
    )
    seen = rr.load_sweep(tmp_path / "more")
    assert seen.not_done == 3
    assert set(seen.trajectories["run"].to_numpy()) == {*done["run"], new.iloc[0]}


def test_a_sweep_without_its_tables_is_read_from_its_runs(found, folder, tmp_path):
    import shutil

    shutil.copytree(folder, tmp_path / "cut")
    for name in ("sweep.parquet", "sweep.nc"):
        (tmp_path / "cut" / name).unlink()
    seen = rr.load_sweep(tmp_path / "cut")
    pd.testing.assert_frame_equal(seen.table, found.table)
    assert seen.trajectories.identical(found.trajectories)


def test_a_sweep_that_was_killed_goes_on(found, folder, tmp_path):
    import shutil

    shutil.copytree(folder, tmp_path / "cut")
    for run in found.table["run"][2:4]:
        shutil.rmtree(tmp_path / "cut" / "runs" / run)
    # Only part of its folder is gone.
    (tmp_path / "cut" / "runs" / found.table["run"][4] / "summary.json").unlink()
    # What a killed writer leaves.
    left = tmp_path / "cut" / "runs" / ".rankrise-tmp-0123-x"
    left.mkdir()
    (left / "summary.json").write_text("{")
    (tmp_path / "cut" / "sweep.parquet").unlink()
    seen = rr.load_sweep(tmp_path / "cut")
    assert seen.not_done == 3
    assert seen.ending == "interrupted"
    before = stamps(tmp_path / "cut")
    again = rr.sweep(SETTINGS, tmp_path / "cut", workers=0)
    pd.testing.assert_frame_equal(
        again.table.drop(columns="seconds"), found.table.drop(columns="seconds")
    )
    redone = set(found.table["run"][2:5])
    kept = [
        path
        for path in before
        if path.name == "trajectory.nc" and path.parent.name not in redone
    ]
    assert len(kept) == 5
    assert all(path.stat().st_mtime_ns == before[path] for path in kept)
    assert not left.exists()


@pytest.mark.parametrize("name", ["trajectory.nc", "factors.npz"])
def test_a_run_that_lacks_a_file_is_done_again(found, folder, tmp_path, name):
    import shutil

    shutil.copytree(folder, tmp_path / "cut")
    lost = tmp_path / "cut" / "runs" / found.table["run"][4] / name
    lost.unlink()
    before = stamps(tmp_path / "cut")
    again = rr.sweep(SETTINGS, tmp_path / "cut", workers=0)
    assert lost.is_file()
    pd.testing.assert_frame_equal(
        again.table.drop(columns="seconds"), found.table.drop(columns="seconds")
    )
    after = stamps(tmp_path / "cut")
    repeated = {path for path in before if after.get(path) != before[path]}
    assert {path.parent.name for path in repeated if path.is_file()} == {
        lost.parent.name
    }


def test_a_run_that_fails_does_not_stop_the_others(tmp_path, monkeypatch):
    from rankrise.sweeps._dynamics_runs import DynamicsCommand

    whole = DynamicsCommand.run

    def failing(self, batch, checkpoint):
        if any(given["seed"] == 1 for given in batch):
            raise ValueError("no such day")
        return whole(self, batch, checkpoint)

    monkeypatch.setattr(DynamicsCommand, "run", failing)
    settings = SETTINGS.model_copy(update={"axes": {"init_scales": [0.3]}, "seeds": 3})
    found = rr.sweep(settings, tmp_path, workers=0)
    assert found.table["ending"].tolist()[1] == "failed"
    assert found.failed["reason"].tolist() == ["ValueError: no such day"]
    assert found.table["train_loss"].notna().tolist() == [True, False, True]
    assert "1 failed" in repr(found)
    monkeypatch.setattr(DynamicsCommand, "run", whole)
    assert len(rr.sweep(settings, tmp_path, workers=0).failed) == 0


def test_an_interrupt_keeps_what_is_done(tmp_path):
    def press(progress):
        if progress.done == 3:
            os.kill(os.getpid(), 2)

    assert threading.current_thread() is threading.main_thread()
    with pytest.raises(KeyboardInterrupt):
        rr.sweep(SETTINGS, tmp_path, workers=0, progress=press)
    seen = rr.load_sweep(tmp_path)
    assert seen.not_done == 5
    assert "5 not done" in repr(seen)


class Losing(Pool):
    """Workers that end under one run of all, and under whatever is near it."""

    workers = 2

    def __init__(self, poisoned):
        self.poisoned = poisoned
        self.tries = 0

    def each(self, function, tasks, stopped=lambda: False):
        for place, (batches, where) in enumerate(tasks):
            keys = [run.key for batch in batches for run in batch]
            if self.poisoned in keys:
                self.tries += 1
                yield Finished(place, error=RuntimeError("killed"), lost=True)
            else:
                yield Finished(place, function(batches, where))


def test_a_run_that_ends_its_worker_is_named_and_the_rest_finish(tmp_path, using):
    settings = SETTINGS.model_copy(update={"seeds": 3})
    runs = settings.runs()
    pool = Losing(runs[5].key)
    using(pool)
    found = rr.sweep(settings, tmp_path)
    assert found.failed["run"].tolist() == [runs[5].key]
    assert "worker ended at every attempt" in found.failed["reason"].item()
    assert found.not_done == 0
    assert pool.tries == 3


class Idle(Pool):
    """Workers that take note of their tasks, and no more."""

    workers = 2
    tasks = ()

    def each(self, function, tasks, stopped=lambda: False):
        self.tasks = self.tasks or [
            [run for batch in task[0] for run in batch] for task in tasks
        ]
        return iter(())


def test_runs_go_to_workers_in_groups_and_the_last_one_by_one(tmp_path, using):
    pool = Idle()
    using(pool)
    settings = SETTINGS.model_copy(update={"seeds": 50})
    assert rr.sweep(settings, tmp_path).not_done == 200
    assert [run for task in pool.tasks for run in task] == settings.runs()
    sizes = [len(task) for task in pool.tasks]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 8
    # As one worker ends, the other has at most one run to do.
    assert sizes[-4:] == [1, 1, 1, 1]
    assert len(sizes) < 70


class FarAway(ThisProcess):
    """A worker that does not see the folder."""

    def each(self, function, tasks, stopped=lambda: False):
        from dataclasses import replace

        far = [(batches, replace(place, mark="another")) for batches, place in tasks]
        yield from super().each(function, far, stopped)


def test_workers_without_the_folder_send_what_they_found(
    found, folder, tmp_path, using
):
    using(FarAway())
    sent = rr.sweep(SETTINGS, tmp_path)
    pd.testing.assert_frame_equal(
        sent.table.drop(columns="seconds"), found.table.drop(columns="seconds")
    )
    for run in found.table["run"]:
        names = {p.name for p in (folder / "runs" / run).iterdir()}
        assert {p.name for p in (tmp_path / "runs" / run).iterdir()} == names
    assert (
        oct((tmp_path / "runs" / run).stat().st_mode)[-3:]
        == oct((folder / "runs" / run).stat().st_mode)[-3:]
    )


def test_a_full_disk_on_a_worker_is_none_of_the_sweep(found, tmp_path, monkeypatch):
    from rankrise.sweeps import _work

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(_work, "write_run", full)
    sent = rr.sweep(SETTINGS, tmp_path, workers=0)
    assert len(sent.failed) == 0
    assert sent.table["run"].tolist() == found.table["run"].tolist()


def test_medians_and_quartiles_are_those_of_numpy(found):
    curves = found.curves("train_loss", against="init_scale", by="order")
    rows = found.table[(found.table["order"] == 3) & (found.table["init_scale"] == 0.1)]
    row = curves.table.query("order == 3 and init_scale == 0.1").iloc[0]
    expected = np.quantile(rows["train_loss"], [0.25, 0.5, 0.75])
    np.testing.assert_allclose(row[["low", "median", "high"]].astype(float), expected)
    assert row["runs"] == 2


def test_pictures_have_a_panel_for_each_value(found):
    figure = found.curves("train_loss", against="init_scale", by=["seed", "order"])
    names = [panel.name for row in figure.drawing().rows for panel in row]
    assert names == ["seed 0", "seed 1"]
    ax = figure.plot("seed 1")
    assert ax.get_ylabel() == "training loss"
    grid = found.staircases("order", "init_scale").figure()
    titles = [ax.get_title() for ax in grid.axes]
    assert titles == [
        f"order {o}, init scale {s:g}" for o in (2, 3) for s in (0.1, 0.3)
    ]
    lines = grid.axes[0].get_lines()
    assert len(lines) == 4  # two components of two seeds
    chosen = found.table.query("order == 2 and init_scale == 0.1")["run"].iloc[0]
    np.testing.assert_array_equal(
        lines[0].get_ydata(), found.trajectory(chosen).component_norms[:, 0]
    )


@pytest.mark.usefixtures("unchecked")
def test_columns_that_are_not_there_are_refused(found):
    with pytest.raises(rr.InputError, match=r"no column 'los'.*figures of merit"):
        found.curves("los")
    with pytest.raises(rr.InputError, match="name each column once"):
        found.curves("train_loss", against="order", by="order")
    with pytest.raises(rr.InputError, match="no run 'x'"):
        found.trajectory("x")
    for merit in ("ending", "run", "reason"):
        with pytest.raises(rr.InputError, match=f"'{merit}' holds no numbers; .*train"):
            found.curves(merit)
    with pytest.raises(rr.InputError, match="no column 3"):
        found.curves(by=3)


@pytest.mark.slow
def test_other_commands_have_a_row_a_run(tmp_path):
    rng = np.random.default_rng(0)
    tensor = np.einsum("i,j,k->ijk", *(rng.normal(size=n) for n in (6, 5, 4)))
    tensor[rng.random(tensor.shape) < 0.3] = np.nan
    np.save(tmp_path / "tensor.npy", tensor)
    found = rr.sweep(
        {
            "command": "complete",
            "base": {"file": str(tmp_path / "tensor.npy"), "models": 2},
            "axes": {"max_components": [1, 2]},
        },
        tmp_path / "complete",
        workers=0,
    )
    assert found.table["rank_found"].tolist() == [1, 1]
    saved = tmp_path / "complete" / "runs" / found.table["run"][0] / "completion.npz"
    assert rr.load(saved).completed.shape == tensor.shape
    found = rr.sweep(
        {"command": "verify", "base": {"claims": ["growth"]}, "axes": {"seed": [0, 2]}},
        tmp_path / "verify",
        workers=0,
    )
    assert found.table["violated_claims"].tolist() == [0, 0]
    assert (found.table["growth_error"] < found.table["growth_tolerance"]).all()
    with pytest.raises(rr.InputError, match="have no trajectories"):
        _ = found.trajectories


def test_figures_of_merit_are_no_settings():
    from rankrise.sweeps._commands import COMMANDS

    for command in COMMANDS.values():
        assert not {*command.merits} & {*command.names, *command.single.values()}


def test_folders_of_something_else_are_refused(found, tmp_path):
    with pytest.raises(rr.InputError, match="is of no sweep"):
        rr.load_sweep(tmp_path)
    (tmp_path / "sweep.json").write_text("[")
    with pytest.raises(rr.InputError, match="is not JSON"):
        rr.load_sweep(tmp_path)
    content = SETTINGS.model_dump(mode="json")
    (tmp_path / "sweep.json").write_text(json.dumps(content))
    Path(tmp_path / "sweep.parquet").write_bytes(b"PAR1 and nothing")
    with pytest.raises(rr.InputError, match="is not the table of a sweep"):
        rr.load_sweep(tmp_path)
    tables = {
        "it has no column 'run', and there are 'x'": pd.DataFrame({"x": [1]}),
        "it has no column 'ending'": found.table.drop(columns="ending"),
        "'train_loss' holds no numbers": found.table.assign(train_loss="low"),
    }
    for words, table in tables.items():
        table.to_parquet(tmp_path / "sweep.parquet")
        with pytest.raises(rr.InputError, match=f"not the table of this .*{words}"):
            rr.load_sweep(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(rr.InputError, match="cannot be written to"):
        rr.sweep(SETTINGS, tmp_path / "file", workers=0)


def test_summaries_that_are_damaged_are_named(found, folder, tmp_path):
    import shutil

    shutil.copytree(folder, tmp_path / "damaged")
    path = tmp_path / "damaged" / "runs" / found.table["run"][0] / "summary.json"
    for content, words in (("{", "remove its folder"), ("{}", "remove that folder")):
        path.write_text(content)
        with pytest.raises(rr.InputError, match=words):
            rr.sweep(SETTINGS, tmp_path / "damaged", workers=0)


CUT_OFF = """
import json, os, sys
import rankrise as rr
from rankrise.runs import _watch
from rankrise.sweeps import _work

_work.STATE_SECONDS = 0.0
whole, states = _watch.write_checkpoint, []

def write_checkpoint(path, *arguments, **options):
    whole(path, *arguments, **options)
    states.append(path)
    if len(states) == 2:
        os.kill(os.getpid(), 9)

_watch.write_checkpoint = write_checkpoint
rr.sweep(json.load(open(sys.argv[1])), sys.argv[2], workers=0)
"""


@pytest.mark.slow
def test_a_long_run_that_is_killed_goes_on_where_it_was(tmp_path, monkeypatch):
    from rankrise.runs import Watch

    settings = SETTINGS.model_copy(
        update={"axes": {"order": [3], "init_scales": [0.1]}, "seeds": 1}
    )
    whole = rr.sweep(settings, tmp_path / "whole", workers=0)
    assert not (tmp_path / "whole" / "unfinished").exists()
    (tmp_path / "sweep.json").write_text(settings.model_dump_json())
    out = tmp_path / "cut"
    code = [sys.executable, "-c", CUT_OFF, tmp_path / "sweep.json", out]
    assert subprocess.run(code, check=False).returncode == -9
    (state,) = (out / "unfinished").iterdir()
    assert state.stem == whole.table["run"].item()
    load, loaded = Watch.load, []

    def note(watch):
        loaded.append(load(watch))
        return loaded[-1]

    monkeypatch.setattr(Watch, "load", note)
    found = rr.sweep(settings, out, workers=0)
    assert [each is not None for each in loaded] == [True]
    run = found.table["run"].item()
    np.testing.assert_array_equal(
        found.trajectory(run).component_norms, whole.trajectory(run).component_norms
    )
    assert not (out / "unfinished").exists()


def test_a_state_that_cannot_be_read_is_begun_again(tmp_path):
    settings = SETTINGS.model_copy(
        update={"axes": {"order": [2], "init_scales": [0.3]}, "seeds": 1}
    )
    (run,) = settings.runs()
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / f"{run.key}.npz").write_bytes(b"PK")
    found = rr.sweep(settings, tmp_path, workers=0)
    assert len(found.failed) == 0
    assert not (tmp_path / "unfinished").exists()
