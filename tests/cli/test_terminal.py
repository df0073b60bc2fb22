"""What reaches the terminal: no control characters, also where nobody reads on."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from rankrise.cli._main import run

QUICK = ["--models", "1"]
NAME = "a\x1b[31m\x07b\nc.npy"
SHOWN = r"a\x1b[31m\x07b\nc.npy"


@pytest.fixture
def named(tensor_file, tmp_path):
    shutil.copy(tensor_file, tmp_path / NAME)
    return tmp_path / NAME


def control_characters(text):
    return [each for each in text if not each.isprintable() and each != "\n"]


@pytest.mark.parametrize(
    "tokens",
    [
        ["complete", "no\x1b[31m.npy"],
        ["complete", "x.npy\x1b[31m"],
        ["complete", "x.npy", "--opt\x1b[31m", "1"],
        ["complete", "x.npy", "--models", "\x1b[31m"],
        ["complete", "x.npy", "--loss", "\x1b[31m"],
        ["complete", "x.npy", "--config", "\x1b[31m.toml"],
        ["complete", "--out", "\x1b[31m", "--resume"],
        ["complete", "x.npy", "y\x1b[31m.npy", "z\x1b[31m.npy", *QUICK],
        ["dynamics\x1b[31m"],
        ["complexity", "\x1b[31m"],
        ["verify", "theorem\x1b[31m"],
    ],
)
def test_escape_sequences_of_what_is_given_are_spelled_out(tokens, tensor_file, capsys):
    shutil.copy(tensor_file, "x.npy")
    shutil.copy(tensor_file, "x.npy\x1b[31m")
    assert run(tokens) == 2
    shown = capsys.readouterr()
    assert r"\x1b[31m" in shown.err + shown.out
    assert control_characters(shown.err + shown.out) == []


def test_escape_sequences_of_names_in_a_file_are_spelled_out(tmp_path, capsys):
    np.savez(tmp_path / "x.npz", **{"a\x1b[31m": np.eye(2), "b\x07": np.eye(3)})
    assert run(["complete", str(tmp_path / "x.npz")]) == 2
    shown = capsys.readouterr().err
    assert r"'a\x1b[31m'" in shown
    assert control_characters(shown) == []


@pytest.mark.usefixtures("blank_figures")
def test_paths_of_results_are_spelled_out(named, capsys):
    out = named.parent / "o\x1b[32m"
    assert run(["complete", str(named), "--out", str(out), *QUICK]) == 0
    shown = capsys.readouterr()
    assert r"o\x1b[32m/completed.npy" in shown.out
    assert control_characters(shown.out + shown.err) == []
    assert (out / "completed.npy").exists()


@pytest.mark.parametrize(
    "closed", ["stdout", pytest.param("both", marks=pytest.mark.slow)]
)
def test_a_reader_that_has_left_is_no_failure(closed, tensor_file, tmp_path, start):
    read, write = os.pipe()
    os.close(read)
    pipes = {name: write for name in ("stdout", "stderr") if closed in (name, "both")}
    process = start("complete", tensor_file, "--out", tmp_path / "run", *QUICK, **pipes)
    os.close(write)
    _, said = process.communicate()
    assert process.returncode == 0
    assert "rror" not in (said or "")
    assert (tmp_path / "run" / "completed.npy").exists()


def test_a_refusal_that_nobody_reads_keeps_its_status(tmp_path, start):
    read, write = os.pipe()
    os.close(read)
    process = start("complete", tmp_path / "no.npy", stderr=write)
    os.close(write)
    process.communicate()
    assert process.returncode == 2


def test_a_terminal_that_cannot_show_a_letter_is_no_failure(tensor_file, tmp_path):
    command = [sys.executable, "-m", "rankrise", "complete", "č.npy"]
    environment = os.environ | {"PYTHONIOENCODING": "ascii:strict"}
    ended = subprocess.run(command, capture_output=True, env=environment)
    assert ended.returncode == 2
    assert rb"\u010d.npy: There is no such file" in ended.stderr


@pytest.mark.usefixtures("blank_figures")
def test_results_are_kept_where_the_folder_was_removed_during_a_run(
    tensor_file, tmp_path, monkeypatch, caplog
):
    from rankrise import completion

    whole = completion.complete_tensor

    def removing(*args, **kwargs):
        found = whole(*args, **kwargs)
        shutil.rmtree(tmp_path / "run")
        return found

    monkeypatch.setattr(completion, "complete_tensor", removing)
    tokens = ["complete", str(tensor_file), "--out", str(tmp_path / "run"), *QUICK]
    assert run(tokens) == 0
    there = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"settings.json", "summary.json", "completed.npy"} <= there
    assert "was removed during the run" in caplog.text


def test_a_folder_removed_while_results_are_written_is_said_to_be(
    tensor_file, tmp_path, monkeypatch, assert_refused
):
    from rankrise import reports
    from rankrise.completion import Completion

    monkeypatch.setattr(Completion, "figure", lambda _: shutil.rmtree(tmp_path / "run"))
    monkeypatch.setattr(reports, "save_figure", lambda *_: (tmp_path / "x.png", None))
    tokens = ["complete", tensor_file, "--out", tmp_path / "run", *QUICK, "--quiet"]
    assert_refused(tokens, r"Cannot write to .*run: the folder was removed during the ")
