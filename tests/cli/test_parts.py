"""`rankrise complete FOLDER` of observations in parts."""

import json

import numpy as np
import pandas as pd
import pytest

from rankrise.cli._main import run

pytest.importorskip("distributed")


@pytest.fixture
def folder(tmp_path):
    """Two files with one component."""
    rows, columns, layers = np.indices((12, 10, 8)).reshape(3, -1)
    value = np.sin(rows) * np.cos(columns) * (1 + layers / 9)
    table = pd.DataFrame({"user": rows, "item": columns, "day": layers, "value": value})
    table = table.sample(700, random_state=0)
    folder = tmp_path / "parts"
    folder.mkdir()
    table[:300].to_parquet(folder / "a.parquet", index=False)
    table[300:].to_parquet(folder / "b.parquet", index=False)
    return folder


def refused(words, capsys):
    assert run(words) == 2
    return capsys.readouterr().err


def test_a_folder_without_parts_is_refused(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    words = ["complete", str(tmp_path / "empty"), "--workers", "1"]
    said = refused([*words, "--out", str(tmp_path / "out")], capsys)
    assert "holds no .parquet file" in said


def test_what_parts_cannot_give_is_called_by_its_option(folder, tmp_path, capsys):
    words = ["complete", str(folder), "--models", "3", "--out", str(tmp_path / "out")]
    assert "--models cannot be chosen" in refused(words, capsys)


def test_several_folders_are_refused(folder, capsys):
    words = ["complete", str(folder), str(folder), "--workers", "1"]
    assert "one by one" in refused(words, capsys)


@pytest.mark.slow
def test_a_folder_is_completed_by_workers(folder, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["complete", str(folder), "--workers", "2", "--out", str(out), "--seed"]
    words += ["3", "--max-components", "1", "--penalties", "0.1", "0.001"]
    assert run(words) == 0
    assert "700 observed, in 2 parts" in capsys.readouterr().out
    summary = json.loads((out / "summary.json").read_text())
    assert summary["seed"] == 3
    assert summary["components"] == 1
    assert summary["heldout_centered_error"] < 0.1
    with np.load(out / "factors.npz") as saved:
        assert saved["mode_1"].shape == (12, 1)
    assert not (out / "checkpoint.npz").exists()
