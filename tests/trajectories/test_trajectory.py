"""The record of runs, built from made-up measurements."""

import contextlib
import json

import h5py
import jax
import numpy as np
import pytest
import xarray as xr

from rankrise._errors import InputError
from rankrise.factorizations import near_zero
from rankrise.runs import Ending
from rankrise.trajectories import (
    Observable,
    Outcome,
    Recording,
    Trajectory,
    build_dataset,
)

# What they measure is made up below.
LOSS = Observable("loss", np.asarray, "training loss")
NORMS = Observable("component_norms", np.asarray, units="value", per_component=True)
PULL = Observable("pull", np.asarray, units="loss per value", per_component=True)
OBSERVABLES = (LOSS, NORMS, PULL)
COMPONENTS = 6
LENGTHS = (5, 3, 4)


def history(saves, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "step": 10 * np.arange(saves, dtype=np.int32),
        "time": 0.1 * np.arange(saves),
        "loss": rng.random(saves),
        "component_norms": rng.random((saves, COMPONENTS)),
        "pull": rng.normal(size=(saves, COMPONENTS)),
    }


HISTORIES = [history(saves, seed) for seed, saves in enumerate(LENGTHS)]


def dataset_of(histories, observables=OBSERVABLES, **options):
    defaults = {
        "kept_components": 2,
        "run_labels": {"init_scale": [0.5, 0.25, 0.125][: len(histories)]},
        "settings": {"seed": 3, "dims": (4, 3)},
    }
    recording = Recording(**defaults | options)
    single = len(histories) == 1
    return build_dataset(histories, observables, recording, single=single)


def trajectory_of(histories, results=None, **options):
    results = results or ["stopped"] * len(histories)
    return Trajectory(
        dataset_of(histories, **options),
        tuple(near_zero((2, 2), 2, key=jax.random.key(i)) for i in range(len(results))),
        tuple(
            Outcome(Ending(result), "a reason", 10 * run, 20 + run, None if run else 7)
            for run, result in enumerate(results)
        ),
        seconds_compile=1.5,
        seconds_run=2.5,
        _single=len(histories) == 1,
    )


one_or_several = pytest.mark.parametrize(
    "histories", [HISTORIES[:1], HISTORIES], ids=["one", "several"]
)


def columns(trajectory, name):
    """The whole history's columns that the trajectory says it kept."""
    return HISTORIES[0][name][:, trajectory.component_index]


def test_every_variable_is_an_attribute():
    trajectory = trajectory_of(HISTORIES[:1])
    for name in ("step", "time", "loss"):
        np.testing.assert_array_equal(getattr(trajectory, name), HISTORIES[0][name])


def test_an_unknown_attribute_names_those_there_are():
    with pytest.raises(AttributeError, match=r"no 'los'; it holds .*loss"):
        trajectory_of(HISTORIES[:1]).los  # noqa: B018


@pytest.mark.parametrize("name", ["component_norms", "pull"])
def test_component_index_is_the_column(name):
    trajectory = trajectory_of(HISTORIES[:1])
    np.testing.assert_array_equal(getattr(trajectory, name), columns(trajectory, name))


def test_components_largest_at_the_end_and_at_their_peak_are_kept():
    norms = np.array(
        [
            [1e-3, 1e-3, 1e-3, 1e-3, 1e-3, 1e-3],
            [1e-2, 9.00, 1e-3, 2.00, 5.00, 1e-3],
            [3.00, 0.01, 1e-3, 4.00, 0.02, 2.00],
        ]
    )
    trajectory = trajectory_of([history(3) | {"component_norms": norms}])
    # Columns 3 and 0 end largest, 1 and 4 peaked highest; by their norm at the end.
    assert trajectory.component_index.tolist() == [3, 0, 4, 1]


@pytest.mark.parametrize("count", [100, "all"])
def test_more_kept_components_than_there_are_keeps_all(count):
    trajectory = trajectory_of(HISTORIES[:1], kept_components=count)
    assert sorted(trajectory.component_index) == list(range(COMPONENTS))
    assert (np.diff(trajectory.component_norms[-1]) <= 0).all()


def test_a_shorter_run_is_padded_at_the_end():
    trajectory = trajectory_of(HISTORIES)
    for run, saves in enumerate(LENGTHS):
        expected = np.arange(max(LENGTHS)) < saves
        np.testing.assert_array_equal(trajectory.valid[run], expected)
        assert np.isfinite(trajectory.loss[run, :saves]).all()
        assert np.isnan(trajectory.loss[run, saves:]).all()
        assert (trajectory.step[run, saves:] == -1).all()


@pytest.mark.parametrize("run", range(3))
def test_one_of_several_runs_is_what_it_is_alone(run):
    taken = trajectory_of(HISTORIES).run(run)
    labels = {"init_scale": [[0.5, 0.25, 0.125][run]]}
    alone = dataset_of([HISTORIES[run]], run_labels=labels)
    xr.testing.assert_identical(taken.dataset, alone)
    assert taken.outcomes[0].gradient_evaluations == 20 + run
    assert taken.model is taken.models[0]
    with pytest.raises(InputError, match="of one run already"):
        taken.run(0)


def test_runs_measured_without_component_norms_come_apart_too():
    without = [
        {name: values for name, values in each.items() if name != "component_norms"}
        for each in HISTORIES
    ]
    trajectory = trajectory_of(without, observables=(LOSS, PULL))
    np.testing.assert_array_equal(trajectory.run(1).pull, HISTORIES[1]["pull"])


def test_runs_are_those_taken_one_by_one():
    assert [len(run.step) for run in trajectory_of(HISTORIES).runs()] == list(LENGTHS)
    alone = trajectory_of(HISTORIES[:1])
    assert alone.runs() == [alone]


@one_or_several
def test_variables_say_their_units(histories):
    dataset = dataset_of(histories)
    units = {
        name: dataset[name].attrs["units"]
        for name in ("step", "time", "loss", "component_norms", "pull")
    }
    assert units == {
        "step": "1",
        "time": "1",
        "loss": "1",
        "component_norms": "value",
        "pull": "loss per value",
    }


@one_or_several
def test_attributes_say_what_the_record_depends_on(histories):
    attributes = dataset_of(histories).attrs
    assert json.loads(attributes["settings"]) == {"seed": 3, "dims": [4, 3]}
    assert {"rankrise", "python", "jax"} <= set(json.loads(attributes["versions"]))
    assert json.loads(attributes["device"]).startswith("cpu")


@one_or_several
def test_a_saved_trajectory_comes_back_whole(histories, tmp_path):
    trajectory = trajectory_of(histories)
    loaded = Trajectory.load(trajectory.save(tmp_path / "trajectory.nc"))
    xr.testing.assert_identical(loaded.dataset, trajectory.dataset)
    assert {name: each.dtype for name, each in loaded.dataset.variables.items()} == {
        name: each.dtype for name, each in trajectory.dataset.variables.items()
    }
    assert loaded.outcomes == trajectory.outcomes
    assert (loaded.seconds_compile, loaded.seconds_run) == (1.5, 2.5)
    assert loaded.models == ()
    assert len(loaded.runs()) == len(histories)


def test_a_loaded_trajectory_has_no_factorization(tmp_path):
    path = trajectory_of(HISTORIES[:1]).save(tmp_path / "trajectory.nc")
    with pytest.raises(InputError, match=r"its factors from the \.npz"):
        Trajectory.load(path).model  # noqa: B018


def text(path):
    path.write_text("step,loss\n0,1\n")


def cut_off(path):
    trajectory_of(HISTORIES).save(path)
    path.write_bytes(path.read_bytes()[:-5000])


def foreign(path):
    xr.Dataset({"loss": ("save", np.zeros(3))}).to_netcdf(path, engine="h5netcdf")


def without_valid(path):
    dataset = dataset_of(HISTORIES[:1]).drop_vars("valid")
    dataset.attrs |= {"outcomes": "[]", "seconds_compile": 1.0, "seconds_run": 1.0}
    dataset.to_netcdf(path, engine="h5netcdf")


@pytest.mark.parametrize("write", [text, cut_off, foreign, without_valid])
def test_a_file_that_is_no_trajectory_is_refused(write, tmp_path):
    path = tmp_path / "trajectory.nc"
    write(path)
    with pytest.raises(InputError, match="not a trajectory of rankrise"):
        Trajectory.load(path)


def elsewhere(path, kind):
    """A trajectory of which a variable lies in another file."""
    trajectory_of(HISTORIES).save(path)
    other = path.with_name("other.nc")
    trajectory_of(HISTORIES).save(other)
    with h5py.File(path, "r+") as content:
        shape = content["loss"].shape
        del content["loss"]
        match kind:
            case "link":
                content["loss"] = h5py.ExternalLink(other.name, "/loss")
            case "external":
                at = [(other.name, 0, 8 * int(np.prod(shape)))]
                content.create_dataset("loss", shape, "f8", external=at)
            case "virtual":
                layout = h5py.VirtualLayout(shape, "f8")
                layout[...] = h5py.VirtualSource(other.name, "loss", shape)
                content.create_virtual_dataset("loss", layout)


@pytest.mark.parametrize("kind", ["link", "external", "virtual"])
def test_data_in_other_files_are_not_read(kind, tmp_path, monkeypatch):
    elsewhere(tmp_path / "trajectory.nc", kind)
    monkeypatch.chdir(tmp_path)  # where HDF5 would look for them
    with pytest.raises(InputError, match="'loss' lie in other files"):
        Trajectory.load(tmp_path / "trajectory.nc")


def test_a_heap_without_end_is_not_searched_for_ever(tmp_path):
    path = tmp_path / "trajectory.nc"
    trajectory_of(HISTORIES).save(path)
    damaged = bytearray(path.read_bytes())
    heap = damaged.index(b"GCOL")
    damaged[heap + 16 : heap + 32] = bytes(16)  # its first object: free, of no length
    path.write_bytes(damaged)
    with pytest.raises(InputError, match="global heap is damaged"):
        Trajectory.load(path)


@pytest.mark.slow
def test_damaged_trajectories_end_in_one_sentence(tmp_path, capfd):
    path = tmp_path / "trajectory.nc"
    trajectory_of(HISTORIES).save(path)
    raw = path.read_bytes()
    for seed in range(1000):
        rng = np.random.default_rng(seed)
        damaged = bytearray(raw)
        if seed % 4 == 0:
            del damaged[rng.integers(1, len(raw)) :]
        for place in rng.integers(0, len(damaged), 2 ** rng.integers(5)):
            damaged[place] = rng.choice([0, 255, rng.integers(256)])
        path.write_bytes(damaged)
        with contextlib.suppress(InputError):
            Trajectory.load(path)
    assert "Exception ignored" not in capfd.readouterr().err


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="no trajectory file"):
        Trajectory.load(tmp_path / "trajectory.nc")


@pytest.mark.parametrize(
    ("results", "worst"),
    [
        (["converged", "converged", "converged"], "converged"),
        (["converged", "stopped", "converged"], "stopped"),
        (["stopped", "diverged", "converged"], "diverged"),
        (["diverged", "interrupted", "converged"], "interrupted"),
    ],
)
def test_the_result_of_several_runs_is_the_worst(results, worst):
    assert trajectory_of(HISTORIES, results).result == worst


def test_a_trajectory_prints_how_it_ended_and_what_it_holds():
    printed = repr(trajectory_of(HISTORIES[:1]))
    assert "1 run, " in printed
    assert "component_norms" in printed
    assert printed.count("\n") < 10
