"""`rankrise dynamics` and `rankrise complete`, from the command to the files."""

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import redirect_stderr, redirect_stdout, suppress
from typing import NamedTuple

import numpy as np
import pytest
import xarray as xr
from scipy.io import loadmat, savemat

import rankrise
from rankrise.cli._main import COMMANDS, run
from rankrise.tensors import read_tensor
from rankrise.trajectories import Trajectory, load_factors

# What a picture is written as.
FORMS = ("png", "pdf", "svg", "txt")

# Two that fixtures run have their figures.
pytestmark = pytest.mark.usefixtures("blank_figures")

COMPLETE = [
    "--method",
    "paper",
    "--steps",
    "30",
    "--components",
    "6",
    "--save-every",
    "5",
]
DYNAMICS = ["--mode-dims", "3", "4", "2", "--observations", "16", "--components", "4"]
DYNAMICS += ["--steps", "30", "--save-every", "5", "--init-scales", "0.2", "0.1"]

COMMON_FILES = {"settings.json", "summary.json", "trajectory.nc", "factors.npz"}


class Ended(NamedTuple):
    """A command that ended, and the folder of its results."""

    folder: object
    status: int
    out: str
    err: str


def end(process, folder):
    out, err = process.communicate(timeout=240)
    return Ended(folder, process.returncode, out, err)


# On a slow machine a short run is long enough for lines of progress.
SILENT = ("--progress", "none")


def run_here(*tokens, folder):
    """Run a command in this process, its results in `folder`."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = run([str(token) for token in (*tokens, *SILENT, "--out", folder)])
    return Ended(folder, status, out.getvalue(), err.getvalue())


@pytest.fixture(scope="session")
def completed(start, tensor_file, tmp_path_factory):
    """A small run of `complete`, whose warnings only a process has on stderr."""
    folder = tmp_path_factory.mktemp("runs") / "completed"
    return end(
        start("complete", tensor_file, *COMPLETE, *SILENT, "--out", folder), folder
    )


@pytest.fixture(scope="session")
def risen(tmp_path_factory):
    """A small run of `dynamics`."""
    folder = tmp_path_factory.mktemp("runs") / "risen"
    return run_here("dynamics", *DYNAMICS, folder=folder)


# Of the session as they are, so that neither is first made with blank figures.
@pytest.fixture(scope="session", params=["completed", "risen"])
def ended(request):
    """Each of the two."""
    return request.getfixturevalue(request.param)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def factors(folder):
    with np.load(folder / "factors.npz", allow_pickle=False) as file:
        return dict(file)


def assert_equal_factors(folder, other):
    ours, theirs = factors(folder), factors(other)
    assert ours.keys() == theirs.keys()
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name])


# What a run leaves


def test_complete_ends_well_and_writes_its_files(completed):
    files = {"completed.npy", "completed-std.npy", *COMMON_FILES}
    files |= {f"completion.{form}" for form in FORMS}
    assert completed.status == 0
    # So few steps learn nothing, and that alone is said.
    assert re.fullmatch(r"rankrise: the held-out error .*\n", completed.err)
    assert set(contents(completed.folder)) == files


def test_dynamics_ends_well_and_writes_its_files(risen):
    assert (risen.status, risen.err) == (0, "")
    files = {*(f"dynamics.{form}" for form in FORMS), *COMMON_FILES}
    assert set(contents(risen.folder)) == files


def test_the_figure_is_a_png_and_a_pdf(ended):
    for path in ended.folder.glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert path.stat().st_size > 5000
    for path in ended.folder.glob("*.pdf"):
        assert path.read_bytes().startswith(b"%PDF-")
        assert path.stat().st_size > 5000


def test_the_summary_says_what_the_run_depends_on_and_how_it_ended(ended):
    expected = {"settings", "versions", "device", "seed", "result", "steps", "runs"}
    assert expected <= summary(ended.folder).keys()
    assert summary(ended.folder)["versions"]["rankrise"] == rankrise.__version__
    assert summary(ended.folder)["result"] == "stopped"
    assert summary(ended.folder)["steps"] == 30


def test_the_summary_of_complete_says_what_was_found(completed, tensor, tensor_file):
    found = summary(completed.folder)
    assert found["mode_dims"] == [6, 7, 5]
    assert found["observed_entries"] == np.sum(~np.isnan(tensor))
    assert found["source"]["path"] == str(tensor_file)
    assert 1 <= found["rank"] <= 6
    assert found["heldout_relative_error"] > 0


def test_the_summary_of_dynamics_has_every_run(risen):
    runs = summary(risen.folder)["runs"]
    assert [run["init_scale"] for run in runs] == [0.2, 0.1]
    assert all(run["reconstruction_error"] > 0 for run in runs)


def test_the_trajectory_holds_the_saved_steps(ended):
    trajectory = Trajectory.load(ended.folder / "trajectory.nc")
    for each in trajectory.runs():
        assert each.step.tolist() == [0, 5, 10, 15, 20, 25, 30]


def test_the_factors_make_the_completed_tensor(completed, tensor):
    offset = factors(completed.folder)["offset"][0]
    expected = offset + load_factors(completed.folder / "factors.npz").end_tensor()
    written = np.load(completed.folder / "completed.npy")
    gaps = np.isnan(tensor)
    # The same sums of a few products in float64, in another order.
    np.testing.assert_allclose(written[gaps], expected[gaps], rtol=1e-12, atol=1e-12)


def test_the_results_are_named_on_stdout(ended):
    picture = next(ended.folder.glob("*.png"))
    assert f"picture: {picture}\n" in ended.out


def test_nothing_is_left_of_how_files_were_written(ended):
    assert [name for name in contents(ended.folder) if name.startswith(".")] == []


# Every form of input


def write_coordinates(path, tensor, first, delimiter):
    rows = [
        delimiter.join([*map(str, place + first), repr(float(tensor[tuple(place)]))])
        for place in np.argwhere(~np.isnan(tensor))
    ]
    path.write_text("\n".join(rows) + "\n")


WRITERS = {
    "npy": np.save,
    "npz": lambda path, tensor: np.savez(path, ratings=tensor),
    "csv": lambda path, tensor: write_coordinates(path, tensor, 0, ","),
    "tns": lambda path, tensor: write_coordinates(path, tensor, 1, " "),
    "mat": lambda path, tensor: savemat(path, {"ratings": tensor}),
    "nc": lambda path, tensor: xr.DataArray(
        tensor, name="ratings", dims=("user", "item", "day")
    ).to_netcdf(path, engine="h5netcdf"),
}


@pytest.mark.parametrize("form", WRITERS)
def test_the_completed_file_has_the_form_of_the_input_and_no_gaps(
    form, tensor, tmp_path
):
    source = tmp_path / f"x.{form}"
    WRITERS[form](source, tensor)
    assert run(["complete", str(source), *COMPLETE, "--quiet"]) == 0
    written = read_tensor(tmp_path / "runs" / "complete" / f"completed.{form}")
    completed = written.observations.dense()
    observed = ~np.isnan(tensor)
    assert np.isfinite(completed).all()
    np.testing.assert_array_equal(completed[observed], tensor[observed])
    if form == "mat":  # other programs open it too
        path = tmp_path / "runs" / "complete" / "completed.mat"
        assert loadmat(path)["ratings"].shape == (6, 7, 5)


def test_the_input_is_left_as_it_is(completed, tensor, tensor_file):
    np.testing.assert_array_equal(np.load(tensor_file), tensor)


# Options


@pytest.mark.parametrize("command", ["complete", "dynamics"])
def test_quiet_prints_nothing(command, tensor_file, capfd):
    tokens = [str(tensor_file), *COMPLETE] if command == "complete" else DYNAMICS
    assert run([command, *tokens, "--quiet"]) == 0
    assert capfd.readouterr() == ("", "")


def test_results_go_to_runs_and_the_command_by_default(tmp_path):
    run(["dynamics", *DYNAMICS, "--quiet"])
    assert (tmp_path / "runs" / "dynamics" / "summary.json").is_file()


def test_a_config_file_is_merged_with_flags_and_flags_win(tensor_file, tmp_path):
    settings = [
        'method = "paper"',
        "steps = 4",
        "init-scales = [0.1]",
        "loss_threshold = 2",
        "components = 6",
    ]
    settings += ["quiet = true", 'out = "there"']
    (tmp_path / "run.toml").write_text("\n".join(settings))
    run(["complete", str(tensor_file), "--config", "run.toml", "--steps", "6"])
    used = summary(tmp_path / "there")["settings"]
    assert (used["loss_threshold"], used["seed"]) == (2.0, 0)
    assert used["method"]["kind"] == "paper"
    assert (used["method"]["steps"], used["method"]["init_scales"]) == (6, [0.1])


def test_lists_in_a_config_file_are_read(tmp_path):
    settings = "mode-dims = [3, 4, 2]\ninit_scales = [0.2, 0.1]\n"
    (tmp_path / "run.toml").write_text(settings)
    flags = ["--observations", "16", "--components", "4", "--steps", "30", "--quiet"]
    run(["dynamics", "--config=run.toml", *flags, "--out", "there"])
    used = summary(tmp_path / "there")["settings"]
    assert (used["mode_dims"], used["init_scales"]) == ([3, 4, 2], [0.2, 0.1])


def test_the_same_seed_gives_the_same_factors(completed, tensor_file, tmp_path):
    folder = tmp_path / "again"
    run_here("complete", tensor_file, *COMPLETE, "--seed", 0, folder=folder)
    assert_equal_factors(folder, completed.folder)


def test_another_seed_gives_other_factors(completed, tensor_file, tmp_path):
    tokens = ["complete", str(tensor_file), *COMPLETE, "--quiet", "--seed", "3"]
    run([*tokens, "--out", "other"])
    first = factors(completed.folder)["mode_1"]
    assert not np.array_equal(first, factors(tmp_path / "other")["mode_1"])


RESULTS = ("summary.json", "completed.csv", "dynamics.png", "checkpoint.npz")
FOREIGN = ("notes.txt", "completed.doc", "uncompleted.npy", "settings.toml")


@pytest.fixture(scope="module")
def replaced(tensor_file, tmp_path_factory, blanking):
    """A run in a folder that held results of earlier runs, and files that are none."""
    folder = tmp_path_factory.mktemp("occupied")
    (folder / "mine").mkdir()
    for name in (*RESULTS, *FOREIGN, "mine/summary.json"):
        (folder / name).write_text("old")
    with blanking():
        return run_here("complete", tensor_file, *COMPLETE, "--force", folder=folder)


def test_force_replaces_earlier_results(replaced):
    assert replaced.status == 0
    assert summary(replaced.folder)["steps"] == 30
    left = {path.name for path in replaced.folder.iterdir()}
    assert not {"completed.csv", "dynamics.png", "checkpoint.npz"} & left


def test_force_leaves_other_files_alone(replaced):
    for name in (*FOREIGN, "mine/summary.json"):
        assert (replaced.folder / name).read_text() == "old"


def test_names_of_folders_are_printed_as_they_are(tensor_file, capfd):
    run(["complete", str(tensor_file), *COMPLETE, "--out", "[/b] :smile: ü"])
    assert "picture: [/b] :smile: ü/completion.png\n" in capfd.readouterr().out


# Runs that diverge


DIVERGING = ["--solver", "gradient-descent", "--learning-rate", "1e12"]


@pytest.fixture(scope="module", params=["complete", "dynamics"])
def diverged(request, tensor_file, tmp_path_factory, blanking):
    """A run of each command whose learning rate is far too high."""
    tokens = [tensor_file, *COMPLETE] if request.param == "complete" else DYNAMICS
    folder = tmp_path_factory.mktemp("diverged")
    with blanking():
        return run_here(request.param, *tokens, *DIVERGING, folder=folder)


def test_a_run_that_diverges_says_so(diverged):
    said = (
        r"rankrise: a run diverged: no longer finite after step \d+; lower the .*\.\n"
    )
    assert re.fullmatch(said, diverged.err)
    assert summary(diverged.folder)["result"] == "diverged"


def test_a_run_that_diverges_keeps_what_it_had(diverged):
    assert set(contents(diverged.folder)) >= COMMON_FILES
    for values in factors(diverged.folder).values():
        assert np.isfinite(values).all()


def test_a_start_that_overflows_at_once_is_a_run_that_diverges(tensor_file, capfd):
    tokens = ["complete", str(tensor_file), *COMPLETE, "--init-scales", "1e15"]
    assert run(tokens) == 0
    assert "a run diverged" in capfd.readouterr().err


# Resuming


def test_resuming_a_finished_run_says_so_and_changes_nothing(ended, capfd):
    before = contents(ended.folder)
    command = "complete" if (ended.folder / "completed.npy").exists() else "dynamics"
    assert run([command, "--resume", "--out", str(ended.folder)]) == 0
    said = f"The run in {ended.folder} is finished (stopped).\n"
    assert capfd.readouterr() == (said, "")
    assert contents(ended.folder) == before


def test_resuming_a_finished_run_quietly_says_nothing(completed, capfd):
    run(["complete", "--resume", "--quiet", "--out", str(completed.folder)])
    assert capfd.readouterr() == ("", "")


def test_a_run_stopped_before_its_first_checkpoint_is_resumed_from_the_start(
    completed, tmp_path
):
    (tmp_path / "run").mkdir()
    settings = (completed.folder / "settings.json").read_text()
    (tmp_path / "run" / "settings.json").write_text(settings)
    assert run(["complete", "--resume", "--quiet", "--out", "run"]) == 0
    assert_equal_factors(tmp_path / "run", completed.folder)


# Interrupts

# A few seconds at any speed a machine may have; the signal comes in the first.
LONG = ["dynamics", "--mode-dims", 3, 4, "--observations", 8, "--components", 3]
LONG += ["--init-scales", 0.1, "--save-every", 1000, "--loss-tolerance", 0]
LONG += ["--checkpoint-seconds", 0]
STEPS = 400_000


@pytest.fixture(scope="session")
def unbroken(tmp_path_factory, blanking):
    """The run that others are broken off from."""
    folder = tmp_path_factory.mktemp("runs") / "unbroken"
    with blanking():
        return run_here(*LONG, "--steps", STEPS, folder=folder)


@pytest.fixture(
    scope="session",
    params=[signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)],
)
def broken_off(request, start, tmp_path_factory):
    """The same run after a signal."""
    folder = tmp_path_factory.mktemp("runs") / "broken"
    process = start(*LONG, "--steps", STEPS, "--out", folder)
    deadline = time.monotonic() + 120
    while not (folder / "checkpoint.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(request.param)
    return end(process, folder)


def test_an_interrupt_ends_with_130_and_says_how_to_go_on(broken_off):
    assert broken_off.status == 130
    assert broken_off.err == (
        "rankrise: interrupted; the state is kept, go on with --out "
        f"{broken_off.folder} --resume.\n"
    )


def test_an_interrupt_keeps_state_and_results_so_far(broken_off):
    so_far = COMMON_FILES | {"checkpoint.npz", "dynamics.png"}
    assert set(contents(broken_off.folder)) >= so_far
    assert 0 < summary(broken_off.folder)["steps"] < STEPS


def test_an_interrupted_run_is_resumed_to_the_same_factors(
    broken_off, unbroken, tmp_path
):
    folder = tmp_path / "resumed"
    folder.mkdir()
    for name, content in contents(broken_off.folder).items():
        (folder / name).write_bytes(content)
    resumed = run_here("dynamics", "--resume", folder=folder)
    assert (unbroken.status, resumed.status) == (0, 0)
    assert_equal_factors(folder, unbroken.folder)
    assert summary(folder)["result"] == "stopped"
    assert not (folder / "checkpoint.npz").exists()


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
def test_an_interrupt_before_a_run_ends_the_program(number):
    code = f"""
import os, signal
from rankrise.cli._interrupts import leave_when_interrupted
leave_when_interrupted()
os.kill(os.getpid(), signal.{number})
"""
    command = [sys.executable, "-c", code]
    process = subprocess.run(command, capture_output=True, text=True)
    expected = (130, "", "rankrise: interrupted.\n")
    assert (process.returncode, process.stdout, process.stderr) == expected


def test_an_interrupt_while_results_are_written_costs_nothing(
    risen, tmp_path, monkeypatch
):
    def interrupt(*args):
        raise KeyboardInterrupt

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("rankrise.reports.save_figure", interrupt)
        ended = run_here("dynamics", *DYNAMICS, folder=folder)
    assert (ended.status, ended.err) == (130, "rankrise: interrupted.\n")
    assert run_here("dynamics", "--resume", folder=folder).status == 0
    assert_equal_factors(folder, risen.folder)


# Progress


@pytest.fixture(scope="session")
def at_a_terminal(tmp_path_factory, blanking):
    """A run whose stderr is a pseudo-terminal."""
    folder = tmp_path_factory.mktemp("runs") / "terminal"
    ours, theirs = pty.openpty()
    shown, out = [], io.StringIO()

    def read():
        # Linux answers EIO once the other side is closed.
        with suppress(OSError):
            while piece := os.read(ours, 4096):
                shown.append(piece)

    reader = threading.Thread(target=read)
    reader.start()
    tokens = [*LONG, "--steps", 20_000, "--out", folder]
    with (
        blanking(),
        pytest.MonkeyPatch.context() as patch,
        open(theirs, "w") as terminal,
        redirect_stderr(terminal),
        redirect_stdout(out),
    ):
        patch.setenv("TERM", "xterm")
        patch.setenv("COLUMNS", "120")
        status = run([str(token) for token in tokens])
    reader.join()
    os.close(ours)
    return Ended(folder, status, out.getvalue(), b"".join(shown).decode())


def test_progress_is_shown_at_a_terminal(at_a_terminal):
    assert at_a_terminal.status == 0
    assert "loss" in at_a_terminal.err
    assert "of 20000" in at_a_terminal.err
    assert " left" in at_a_terminal.err
    # The cursor is shown again.
    shown, hidden = map(at_a_terminal.err.rindex, ("\x1b[?25h", "\x1b[?25l"))
    assert shown > hidden


def test_progress_is_no_part_of_the_output(at_a_terminal):
    assert "\x1b" not in at_a_terminal.out
    assert "loss" not in at_a_terminal.out
    assert "picture: " in at_a_terminal.out


@pytest.mark.parametrize("variable", ["FORCE_COLOR", "TTY_COMPATIBLE"])
def test_progress_is_not_shown_elsewhere_even_if_colors_are_forced(
    variable, tensor_file, monkeypatch, capfd
):
    monkeypatch.setenv(variable, "1")
    run(["complete", str(tensor_file), *COMPLETE])
    assert capfd.readouterr().err == ""


# Help


def test_help_needs_no_numerical_library():
    code = """
import sys
from rankrise.cli._main import run
for line in ("--help", "dynamics --help", "complexity -h", ""):
    status = run(line.split())
    heavy = {"jax", "numpy", "matplotlib", "xarray", "scipy", "optax"}
    print("END", status, heavy & set(sys.modules) or "none")
"""
    command = [sys.executable, "-c", code]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    *helps, rest = out.split("END 0 none\n")
    assert rest == ""
    assert len(helps) == 4
    assert all("Usage: rankrise" in each for each in helps)


@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("dynamics", ["--observations", "--init-scales", "--task"]),
        ("complete", ["--heldout", "--starts", "--models", "--mode-dims", "FILE"]),
    ],
)
def test_help_lists_the_options(command, options, capfd):
    assert run([command, "--help"]) == 0
    shown = capfd.readouterr().out.upper()
    shared = ["--out", "--force", "--resume", "--quiet", "--config", "--seed"]
    assert [name for name in [*options, *shared] if name.upper() not in shown] == []


def test_defaults_in_the_help_are_as_they_would_be_typed(capfd):
    assert run(["complexity", "--help"]) == 0
    shown = " ".join(capfd.readouterr().out.replace("│", "").split())
    assert "[default: inputs labels]" in shown
    assert "Seed of the shuffling and of the split. [default: 0]" in shown
    assert "[default: ()]" not in shown
    assert "[default: False]" not in shown


def test_the_module_says_its_version(start):
    out, err = start("--version").communicate()
    assert (out, err) == (f"{rankrise.__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_listed_with_the_first_line_of_its_help(command, capfd):
    assert run([command, "--help"]) == 0
    shown = " ".join(capfd.readouterr().out.split())
    assert COMMANDS[command] in shown
