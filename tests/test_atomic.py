"""Files that are either whole or not there."""

import json
import math
import os
import stat

import pytest

from rankrise._atomic import atomic_path, clear_temporary, write_json
from rankrise._errors import InputError


def write_and_fail(path):
    with atomic_path(path) as temporary:
        temporary.write_text("half of the n")
        raise RuntimeError("the disk is full")


def test_a_block_that_succeeds_replaces_the_file(tmp_path):
    path = tmp_path / "result.txt"
    path.write_text("old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_raises_leaves_the_old_file(tmp_path):
    path = tmp_path / "result.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="disk is full"):
        write_and_fail(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_is_no_file(tmp_path):
    with (
        pytest.raises(InputError, match="is a folder; name a file in it"),
        atomic_path(tmp_path),
    ):
        raise AssertionError("nothing is written")


def test_a_block_that_raises_leaves_nothing_where_nothing_was(tmp_path):
    with pytest.raises(RuntimeError, match="disk is full"):
        write_and_fail(tmp_path / "result.txt")
    assert list(tmp_path.iterdir()) == []


def test_the_temporary_file_lies_beside_the_file_and_has_its_suffix(tmp_path):
    # Only within one folder is replacing atomic; some writers go by the suffix.
    with atomic_path(tmp_path / "figure.pdf") as temporary:
        assert temporary.parent == tmp_path
        assert temporary.suffix == ".pdf"


def test_bytes_are_on_disk_before_the_name_changes(tmp_path, monkeypatch):
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *a, real=real, name=name: (calls.append(name), real(*a))[1]
        )
    with atomic_path(tmp_path / "result.txt") as temporary:
        temporary.write_text("new")
    assert calls == ["fsync", "replace", "fsync"]  # the last one of the folder


@pytest.mark.parametrize("umask", [0o022, 0o077])
def test_files_get_the_permissions_of_any_new_file(umask, tmp_path):
    before = os.umask(umask)
    try:
        with atomic_path(tmp_path / "result.txt") as temporary:
            temporary.write_text("new")
        mode = stat.S_IMODE((tmp_path / "result.txt").stat().st_mode)
        assert mode == 0o666 & ~umask
        assert os.umask(umask) == umask
    finally:
        os.umask(before)


def test_json_comes_back_as_it_was(tmp_path):
    content = {"name": "rise", "steps": [1, 2], "error": 0.1, "rank": None}
    write_json(tmp_path / "x.json", content)
    assert json.loads((tmp_path / "x.json").read_text()) == content


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_numbers_that_json_has_not_are_refused_and_write_nothing(number, tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"error": number})
    assert list(tmp_path.iterdir()) == []


def test_temporary_files_are_cleared_and_no_other(tmp_path):
    others = [".settings-abcd1234.json", ".rankrise.lock", ".rankrise-tmp-x", "x.npz"]
    for name in others:
        (tmp_path / name).touch()
    (tmp_path / ".rankrise-tmp-folder-abcd1234").mkdir()
    for name in ("settings.json", "factors", "a b.c.npz", "x-\n.csv"):
        with atomic_path(tmp_path / name) as temporary:
            temporary.touch()
            # As a process that is killed here leaves it.
            os.link(temporary, tmp_path / "kept")
            left = temporary
        os.rename(tmp_path / "kept", left)
        (tmp_path / name).unlink()
    clear_temporary(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*others, ".rankrise-tmp-folder-abcd1234"}
