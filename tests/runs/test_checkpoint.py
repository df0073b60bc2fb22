"""States of runs on disk."""

import json

import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise._version import __version__
from rankrise.runs import Checkpoint, read_checkpoint, write_checkpoint

FINGERPRINT = {"dims": (4, 3), "data": {"hash": "a" * 64}, "seed": 0}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.npz"


def rewrite(path, **changes):
    """The same file with other facts about it."""
    with np.load(path) as file:
        meta = json.loads(str(file["meta"])) | changes
    np.savez(path, meta=np.array(json.dumps(meta)))


def test_a_part_has_a_file_of_its_own_beside_the_whole(path):
    whole = Checkpoint(path, 5.0, resume=True)
    assert whole.part("l1") == Checkpoint(
        path.with_name("state-l1.npz"), 5.0, resume=True
    )


def test_a_state_comes_back_as_it_was_written(path):
    arrays = {"a": np.arange(6.0).reshape(2, 3), "b": np.array(3, dtype=np.uint32)}
    write_checkpoint(path, arrays, {"at": 7}, fingerprint=FINGERPRINT, seconds=1.5)
    read, facts, seconds = read_checkpoint(path, FINGERPRINT)
    assert (facts, seconds) == ({"at": 7}, 1.5)
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array, strict=True)


def test_a_state_says_which_version_wrote_it(path):
    write_checkpoint(path, {}, {}, fingerprint={})
    with np.load(path) as file:
        assert json.loads(str(file["meta"]))["version"] == __version__


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 1}, "with seed = 0, not 1; resume with the same settings or"),
        ({"dims": (4, 4)}, r"with dims = \[4, 3\], not \[4, 4\];"),
        ({"loss": "huber"}, "with loss = None, not 'huber';"),
        ({"data": {"hash": "b" * 64}}, "of a run with other hash; resume with the"),
        ({"data": None}, "of a run with other data;"),
    ],
)
def test_another_runs_state_is_refused_by_what_is_other(change, words, path):
    write_checkpoint(path, {}, {}, fingerprint=FINGERPRINT)
    with pytest.raises(InputError, match=words):
        read_checkpoint(path, FINGERPRINT | change)


@pytest.mark.parametrize("number", [0, 2, None])
def test_another_format_is_refused(number, path):
    write_checkpoint(path, {}, {}, fingerprint={})
    rewrite(path, format=number, version="9.9")
    with pytest.raises(InputError, match=r"written by rankrise 9\.9, whose"):
        read_checkpoint(path, {})


@pytest.mark.parametrize("seconds", [-1.0, float("inf"), float("nan")])
def test_an_interval_that_is_no_time_is_refused(seconds, path):
    with pytest.raises(InputError, match="give a finite number from 0"):
        Checkpoint(path, seconds)
