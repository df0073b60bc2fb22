"""The folder of a run: one process at a time, what kills leave, what people change."""

import json
import subprocess
import sys
from contextlib import suppress

import pytest

from rankrise._atomic import atomic_path
from rankrise.cli._folder import RunFolder
from rankrise.cli._folder_lock import LOCK, FolderLock, release_held
from rankrise.cli._main import run
from rankrise.cli._options import OutputOptions
from rankrise.experiments import DynamicsConfig


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def work(folder, *, seed=0, **flags):
    """What a command does with its folder; its results are an empty picture."""
    ours = RunFolder(OutputOptions(out=folder, **flags), "complete")
    try:
        ours.begin(DynamicsConfig(seed=seed))
        (folder / "completion.png").touch()
        ours.finish({"result": "finished"})
    finally:
        release_held()


@pytest.fixture
def finished(tmp_path):
    """The folder of a finished run."""
    work(tmp_path / "run")
    return tmp_path / "run"


def left_by_a_kill(path):
    """A temporary file as it lies there when its writer is killed."""
    with suppress(ZeroDivisionError), atomic_path(path) as temporary:
        raise ZeroDivisionError
    temporary.touch()
    return temporary


# One process at a time


@pytest.fixture
def held(finished):
    """A folder with results that another run works in."""
    lock = FolderLock(finished)
    yield finished
    lock.release()


def test_another_process_is_refused_before_anything_heavy(held, check_refusal):
    before = contents(held)
    code = f"""
import sys
from rankrise.cli._main import run
status = run(["complete", "x.npy", "--force", "--out", {str(held)!r}])
heavy = {{"jax", "numba", "matplotlib", "xarray", "scipy", "optax"}} & set(sys.modules)
sys.exit(status if not heavy else str(heavy))
"""
    command = [sys.executable, "-c", code]
    other = subprocess.run(command, capture_output=True, text=True)
    words = r"is in use by process \d+ on .* since .*; wait until .* --out"
    check_refusal(other.returncode, other.stdout, other.stderr, words)
    assert contents(held) == before


@pytest.mark.parametrize("flags", [["--force"], ["--resume"], []])
def test_no_flag_breaks_a_lock(flags, held, assert_refused):
    before = contents(held)
    assert_refused(["complete", "x.npy", "--out", held, *flags], "is in use by process")
    assert contents(held) == before


def test_of_several_files_only_that_of_a_held_folder_is_refused(
    held, monkeypatch, capfd
):
    begun = []

    def is_finished(self):
        begun.append(self.path.name)
        return True

    monkeypatch.setattr(RunFolder, "is_finished", is_finished)
    tokens = ["complete", "run.npy", "x.npy", "--quiet", "--force"]
    assert run([*tokens, "--out", str(held.parent)]) == 2
    assert "run is in use by process" in capfd.readouterr().err
    assert begun == ["x"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError, AssertionError])
def test_a_folder_is_free_after_every_end(error, tmp_path, monkeypatch):
    held = []

    def fail(self):
        held.append((self.path / LOCK).exists())
        raise error

    monkeypatch.setattr(RunFolder, "is_finished", fail)
    # A bug of ours is not caught, and holds no folder either.
    with suppress(AssertionError):
        run(["complete", "x.npy", "--out", "run"])
    assert held == [True]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_is_free_as_soon_as_its_run_is_finished(resume, finished):
    options = OutputOptions(out=finished, resume=resume, force=not resume, quiet=True)
    folder = RunFolder(options, "complete")
    assert (finished / LOCK).exists()
    if resume:
        assert folder.is_finished()
    else:
        folder.finish({"result": "finished"})
    assert not (finished / LOCK).exists()
    release_held()


def test_an_interrupt_before_a_run_leaves_no_folder(tmp_path):
    code = """
import os, signal
from pathlib import Path
from rankrise.cli._folder_lock import hold
from rankrise.cli._interrupts import leave_when_interrupted
leave_when_interrupted()
hold(Path("runs/complete"))
os.kill(os.getpid(), signal.SIGINT)
"""
    process = subprocess.run([sys.executable, "-c", code], stderr=subprocess.PIPE)
    assert process.returncode == 130
    assert not (tmp_path / "runs").exists()


# What kills leave


def test_a_run_killed_before_its_settings_were_in_place_is_started_again(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / LOCK).write_text("{}")
    left_by_a_kill(folder / "settings.json")
    work(folder)
    assert set(contents(folder)) == {"settings.json", "summary.json", "completion.png"}


@pytest.mark.parametrize("flag", ["force", "resume"])
def test_a_start_clears_what_was_half_written(flag, finished):
    before = set(contents(finished))
    left_by_a_kill(finished / "checkpoint.npz")
    (finished / ".notes-12345678.txt").touch()
    work(finished, **{flag: True})
    assert set(contents(finished)) == {*before, ".notes-12345678.txt"}


def test_a_refused_start_clears_nothing(finished, assert_refused):
    left = left_by_a_kill(finished / "settings.json")
    assert_refused(["complete", "x.npy", "--out", finished], "is not empty")
    assert left.exists()


def test_no_kill_leaves_new_settings_beside_old_results(finished, monkeypatch):
    before = (finished / "settings.json").read_bytes()
    clear = RunFolder._clear_results

    def killed(self):
        clear(self)
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "_clear_results", killed)
    with pytest.raises(KeyboardInterrupt):
        work(finished, seed=1, force=True)
    assert contents(finished) == {"settings.json": before}


# What people change

SOURCES = {
    "complete": {"path": "x.npy", "reading": {"missing": ["-9"]}, "sha256": "0"},
    "verify": {"path": None, "variable": None, "claims": ["growth"]},
    "complexity": {"dataset": "digits", "sha256": "0"},
    "reproduce complexity": {"dataset": "mnist", "sha256": "0"},
}
OTHERS = ["dynamics", "agreement", "reproduce dynamics", "reproduce theory"]
MISSING = object()
SOMETHING = (None, 3, 2.5, True, "", "a\0b", [], {}, [[]], {"x": 1}, MISSING)
FORMS = {
    "complete": {
        "path": SOMETHING,
        "reading": (
            3,
            [],
            MISSING,
            {"variable": 3},
            {"mode_dims": "5 9"},
            {"mode_dims": []},
            {"mode_dims": [5, 0]},
            {"mode_dims": [5, 2.5]},
            {"layout": "tall"},
            {"missing": 3},
            {"surplus": 3},
        ),
        "sha256": (3, [], {}, ""),
        "surplus": (None, 3),
    },
    "verify": {
        "path": (3, True, "", "a\0b.npy", [], {}, MISSING),
        "variable": (3, [], {}, MISSING),
        "claims": (*SOMETHING, [3], ["gravity"], ["growth", "growth"]),
        "sha256": (3, [], {}, ""),
    },
    "complexity": {"dataset": SOMETHING, "sha256": (3, [], {}, "")},
    "reproduce complexity": {"dataset": SOMETHING, "sha256": (3, [], {}, "")},
}
CHANGED_SOURCES = [
    (command, name, value)
    for command, names in FORMS.items()
    for name, values in names.items()
    for value in values
]


def changed(content, name, value):
    rest = {key: each for key, each in content.items() if key != name}
    return rest if value is MISSING else {**rest, name: value}


@pytest.fixture
def resume_refused(tmp_path, assert_refused):
    """A run with this `settings.json` is refused to be resumed, with these words."""

    def check(command, content, words):
        before = json.dumps(content)
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "settings.json").write_text(before)
        assert_refused([*command.split(), "--resume", "--out", "run"], words)
        assert contents(tmp_path / "run") == {"settings.json": before.encode()}

    return check


@pytest.mark.parametrize(("command", "name", "value"), CHANGED_SOURCES)
def test_a_source_of_another_form_is_refused(command, name, value, resume_refused):
    source = changed(SOURCES[command], name, value)
    content = {"command": command, "settings": {}, "source": source}
    words = rf"settings.json does not hold the settings of a run \(source\.{name}\b"
    resume_refused(command, content, words)


@pytest.mark.parametrize("value", [None, 3, [["steps", 3]], MISSING])
@pytest.mark.parametrize("name", ["command", "settings", "source"])
@pytest.mark.parametrize("command", [*SOURCES, *OTHERS])
def test_settings_of_another_form_are_refused(command, name, value, resume_refused):
    content = {"command": command, "settings": {}, "source": SOURCES.get(command, {})}
    words = rf"a run \(its {name} is .* --force"
    resume_refused(command, changed(content, name, value), words)


@pytest.mark.parametrize("value", [None, "many", -1])
@pytest.mark.parametrize("command", [*SOURCES, *OTHERS])
def test_a_setting_of_another_form_is_refused(command, value, resume_refused):
    source = SOURCES.get(command, {})
    content = {"command": command, "settings": {"seed": value}, "source": source}
    resume_refused(command, content, r"a run \(.*seed is .* --force")


def test_a_setting_that_does_not_exist_is_refused(resume_refused):
    content = {"command": "dynamics", "settings": {"stepps": 3}, "source": {}}
    words = r"a run \(There is no setting `stepps`.* --force"
    resume_refused("dynamics", content, words)


@pytest.mark.parametrize("content", ["null", "3", "[]", "[" * 100_000, '"a"', ""])
def test_settings_that_are_no_settings_are_refused(content, assert_refused, tmp_path):
    (tmp_path / "settings.json").write_text(content)
    words = "settings.json (is not valid JSON|does not hold).*--force"
    assert_refused(["agreement", "--resume", "--out", tmp_path], words)


SUMMARIES = ["null", "[]", "{}", '{"result": null}', '{"result": ["done"]}', "{", ""]


@pytest.mark.parametrize("content", SUMMARIES)
def test_a_summary_of_another_form_is_refused(content, assert_refused, tmp_path):
    settings = {"command": "dynamics", "settings": {}, "source": {}}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    (tmp_path / "summary.json").write_text(content)
    words = "summary.json (is not valid JSON|does not hold the summary).*--force"
    assert_refused(["dynamics", "--resume", "--out", tmp_path], words)


KEPT = {
    "record": {
        "name": "growth", "title": "t", "source": "s", "statement": "s",
        "verdict": "holds", "explanation": "e", "predicted": 1.0, "measured": None,
        "error": 0, "tolerance": 0.1, "moved": {}, "numbers": {},
    },
    "curves": {"time": [0.0, 1.0]},
    "seconds": 1.0,
}  # fmt: skip
CLAIMS = {
    "a list": [],
    "no record": {"growth": {"curves": {}, "seconds": 1}},
    "a number": {"growth": 3},
    "null": {"growth": None},
    "time in words": {"growth": KEPT | {"seconds": "1 s"}},
    "curves in words": {"growth": KEPT | {"curves": {"time": "long"}}},
    "ragged curves": {"growth": KEPT | {"curves": {"time": [[1], 2]}}},
    "another claim": {"escape": KEPT},
    **{
        f"{name} {value}": {"growth": KEPT | {"record": KEPT["record"] | {name: value}}}
        for name, value in {
            "verdict": "perhaps", "title": 3, "error": "small", "tolerance": None,
            "moved": [], "numbers": {"x": "y"}, "surplus": 1,
        }.items()
    },
}  # fmt: skip


@pytest.mark.parametrize("case", CLAIMS)
def test_claims_of_another_form_are_refused(case, assert_refused, tmp_path):
    source = SOURCES["verify"]
    settings = {"command": "verify", "settings": {}, "source": source}
    (tmp_path / "settings.json").write_text(json.dumps(settings))
    (tmp_path / "claims.json").write_text(json.dumps(CLAIMS[case]))
    words = "claims.json does not hold the claims of a run; start it anew with --force"
    assert_refused(["verify", "--resume", "--out", tmp_path], words)
