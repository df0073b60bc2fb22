"""One run over several devices is the run on one, but for rounding."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import rankrise as rr
from rankrise._environment import usable_cores
from rankrise.cli._main import run

WORKER = Path(__file__).with_name("devices_worker.py")
# In float64, of which sums in another order lose some digits, and sixty steps more.
ROUNDING = {"rtol": 1e-9, "atol": 1e-12}


def environment(devices: int) -> dict[str, str]:
    flags = f"--xla_force_host_platform_device_count={devices}"
    return {
        **os.environ,
        "XLA_FLAGS": f"{os.environ.get('XLA_FLAGS', '')} {flags}",
        "JAX_ENABLE_X64": "1",
    }


def worked(folder, *words, devices=8):
    subprocess.run(
        [sys.executable, WORKER, *words],
        cwd=folder,
        env=environment(devices),
        check=True,
        timeout=600,
    )
    return json.loads((folder / f"{'-'.join(words)}.json").read_text())


def assert_alike(found, expected):
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        pairs = zip(found[name], values, strict=True)
        for ours, theirs in pairs if name == "tables" else [(found[name], values)]:
            np.testing.assert_allclose(ours, theirs, **ROUNDING, err_msg=name)


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    return worked(tmp_path_factory.mktemp("quick"), "quick")


@pytest.fixture(scope="module")
def thorough(tmp_path_factory):
    return worked(tmp_path_factory.mktemp("thorough"), "thorough")


@pytest.mark.parametrize("devices", ["2", "8"])
def test_a_run_measures_the_same_on_several_devices(quick, devices):
    one = quick["solve"]["1"]
    # A run still at its start would measure the same whatever the devices did.
    assert one["loss"][-1] < 0.5 * one["loss"][0]
    assert_alike(quick["solve"][devices], one)


def test_every_device_has_a_share_of_the_observations(quick):
    # The least equal shares of 301 observations for eight.
    assert quick["shares"] == [38]


def test_a_run_of_eight_devices_is_resumed_on_one(quick):
    resumed = quick["resumed"]
    # Begun anew, the first chunk is of one step.
    assert resumed["first_step"] > 1
    assert_alike(resumed["found"], quick["solve"]["1"])
    assert resumed["kinds"] == resumed["kinds_of_one"]


def test_an_ensemble_is_the_same_on_several_devices(quick):
    one = quick["fit"]["1"]
    assert one["train_losses"][-1] != one["train_losses"][0]
    assert_alike(quick["fit"]["8"], one)
    assert_alike(quick["resumed_fit"], one)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("grid", "dense", "factored", "matrix", "held out", "several starts"),
        *("flow", "minibatch", "second order"),
    ],
)
def test_every_kind_of_run_is_the_same_on_several_devices(thorough, name):
    assert_alike(thorough[name]["all"], thorough[name]["1"])


@pytest.mark.slow
def test_two_processes_share_a_run(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = [("one_of_two", process, port) for process in "01"]
    processes = [
        subprocess.Popen(
            [sys.executable, WORKER, *each], cwd=tmp_path, env=environment(1)
        )
        for each in words
    ]
    try:
        assert [process.wait(timeout=600) for process in processes] == [0, 0]
    finally:
        for process in processes:
            process.kill()
    found = [
        json.loads((tmp_path / f"{'-'.join(each)}.json").read_text()) for each in words
    ]
    for each in found:
        assert_alike(each["together"], each["alone"])
        assert_alike(each["fit_together"], each["fit_alone"])
    assert [each["written"] for each in found] == [True, False]


@pytest.mark.slow
def test_commands_go_over_several_devices(tmp_path):
    def command(*words):
        return subprocess.run(
            [sys.executable, "-m", "rankrise", *words, "--quiet"],
            cwd=tmp_path,
            env=environment(2),
            capture_output=True,
            text=True,
            timeout=600,
        )

    small = "--mode-dims 5 5 5 --components 10 --observations 80 --steps 100"
    dynamics = ["dynamics", *small.split(), "--init-scales", "0.1"]
    complexity = ["complexity", "digits", "--ranks", "1", "--controls", "labels"]
    complexity += ["--folds", "1", "--epochs", "2", "--classes", "0"]
    for devices in ("1", "all"):
        for words in (dynamics, complexity):
            out = f"{words[0]}-{devices}"
            done = command(*words, "--devices", devices, "--out", out)
            assert done.returncode == 0, done.stderr
    one, both = (
        rr.load(tmp_path / f"dynamics-{devices}/trajectory.nc").dataset
        for devices in ("1", "all")
    )
    np.testing.assert_allclose(one["loss"], both["loss"], rtol=1e-4)
    one, both = (
        json.loads((tmp_path / f"complexity-{devices}/summary.json").read_text())
        for devices in ("1", "all")
    )
    assert one.keys() == both.keys()
    for ours, theirs in zip(one["rows"], both["rows"], strict=True):
        assert ours["train_error"] == pytest.approx(theirs["train_error"], rel=1e-3)
    refused = command("dynamics", "--solver", "limit", "--devices", "2")
    assert refused.returncode == 2
    assert "the limit of a vanishing init scale runs on one" in refused.stderr


@pytest.mark.parametrize(
    ("devices", "words"),
    [
        (99, "devices is 99, but only .* there"),
        (0, "devices is 0; give a whole number from 1"),
        ("two", "devices is 'two'; give how many"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_devices_that_are_not_there_are_refused(devices, words, key):
    start = rr.factorizations.near_zero((2, 2), 1, init_scale=0.1, key=key)
    problem = rr.CompletionProblem.from_observations(
        rr.Observations.from_array(np.ones((2, 2)))
    )
    with pytest.raises(rr.InputError, match=words):
        rr.solve(problem, start, max_steps=1, devices=devices)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--devices 99", "devices is 99, but only"),
        ("--devices two", "--devices is two; give a whole number or all"),
    ],
)
def test_commands_refuse_devices_in_one_sentence(words, said, tmp_path, capfd):
    assert run(["dynamics", *words.split(), "--out", str(tmp_path / "run")]) == 2
    error = capfd.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.skipif(usable_cores() < 2, reason="two cores are needed")
def test_the_benchmark_times_one_device_and_two():
    done = subprocess.run(
        [sys.executable, "benchmarks/devices.py", "--observations", "9000"],
        cwd=WORKER.parents[1],
        capture_output=True,
        text=True,
        timeout=600,
        check=True,
    )
    result = json.loads(done.stdout)
    assert len(result["a_step_on_one"]) == len(result["a_step_on_several"]) == 3
    assert result["norms_apart"] < 1e-5
    for ratio in ("clock_ratio", "processor_ratio", "busiest_thread_of_one"):
        assert result[ratio] > 0
