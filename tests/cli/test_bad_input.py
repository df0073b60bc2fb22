"""What cannot be used is refused: one sentence, exit status 2, nothing overwritten."""

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr
from scipy.io import savemat

from rankrise.cli._main import run

SMALL = ["--mode-dims", "3", "4", "--observations", "8", "--components", "3"]
SMALL += ["--init-scales", "0.1"]
QUICK = ["--method", "paper", "--steps", "6", "--components", "3"]

OLD = {"summary.json": b"{}", "completed.npy": b"old", "notes.txt": b"mine"}


@pytest.fixture
def old(tmp_path):
    """A folder with the results of an earlier run."""
    folder = tmp_path / "old"
    folder.mkdir()
    for name, content in OLD.items():
        (folder / name).write_bytes(content)
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def assert_harmless(assert_refused, old, tmp_path):
    """A command is refused, with --force too, and no results come or go."""

    def check(tokens, words):
        assert_refused([*tokens, "--out", tmp_path / "new"], words)
        assert not (tmp_path / "new").exists()
        assert_refused([*tokens, "--out", old, "--force"], words)
        assert contents(old) == OLD

    return check


# The file to complete


def gappy(shape=(4, 5)):
    """Order two, the first row unobserved."""
    array = np.arange(1.0, np.prod(shape) + 1).reshape(shape)
    array[0] = np.nan
    return array


def array(values):
    return lambda path: np.save(path, values)


def text(content):
    return lambda path: path.write_text(content)


def truncated(write):
    def make(path):
        write(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return make


def write_npz(path):
    np.savez(path, x=gappy((30, 30)))


def write_mat(path):
    savemat(path, {"x": gappy((30, 30))})


def write_netcdf(path):
    xr.DataArray(gappy((30, 30)), name="x").to_netcdf(path, engine="h5netcdf")


def write_two_arrays(path):
    np.savez(path, first=gappy(), second=gappy())


def write_hdf5(path):
    with h5py.File(path, "w") as content:
        content["x"] = gappy()


def npy_header(shape):
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}"
    return b"\x93NUMPY\x01\x00" + (128 - 10).to_bytes(2, "little") + header.encode()


def npy_under_another_name(path):
    with path.open("wb") as stream:
        np.save(stream, gappy())


def write_huge_npy(path):
    path.write_bytes(npy_header((10**6, 10**6)).ljust(127) + b"\n")


def write_huge_npz(path):
    import zipfile

    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", npy_header((10**6, 10**6)).ljust(127) + b"\n")


def spike():
    values = gappy()
    values[2, 2] = np.inf
    return values


def lone():
    values = np.full((4, 5), np.nan)
    values[2, 3] = 1.0
    return values


def some(values):
    """As many entries as are needed, then these rows."""
    return "\n".join(
        [*(f"{i},{j},{i + j}" for i in (1, 2) for j in range(1, 8)), values]
    )


def some_tns(values):
    return some(values).replace(",", " ")


BAD_FILES = {
    "truncated npy": ("x.npy", truncated(array(gappy())), "truncated"),
    "truncated npz": ("x.npz", truncated(write_npz), "damaged"),
    "truncated mat": (
        "x.mat",
        truncated(write_mat),
        "damaged|truncated",
    ),
    "truncated netCDF": ("x.nc", truncated(write_netcdf), "cannot be read as netCDF"),
    **{
        f"empty {form}": (f"x.{form}", text(""), "It is empty")
        for form in ("npy", "npz", "csv", "tns", "mat", "nc")
    },
    "unknown extension": ("x.dat", text("1"), r"'\.dat' is not known; use one of"),
    "no extension": ("x", text("1"), "extension '' is not known"),
    "text in npy": ("x.npy", text("0,1,2\n"), r"cannot be read as a \.npy array"),
    "text in npz": ("x.npz", text("0,1,2\n"), r"cannot be read as a \.npz archive"),
    "text in mat": ("x.mat", text("0,1,2\n" * 99), "MATLAB"),
    "text in nc": ("x.nc", text("0,1,2\n"), "cannot be read as netCDF"),
    "npy in csv": ("x.csv", npy_under_another_name, "not UTF-8"),
    "matrix in csv": (
        "x.csv",
        text("1.5,2.5,3.5\n4.5,5.5,6.5\n"),
        "long or wide",
    ),
    "complex": ("x.npy", array(gappy() + 1j), "complex128; real numbers are needed"),
    "strings": ("x.npy", array(np.array([["a", "b"]])), "real numbers are needed"),
    "order 1": ("x.npy", array(np.ones(20)), "order 1; a tensor needs at least two"),
    "all missing": ("x.npy", array(gappy()[:1]), "None of the 5 entries is observed"),
    "all observed": ("x.npy", array(np.ones((4, 5))), "values equal 1"),
    "one entry": ("x.npy", array(lone()), "Only 1 of 20 entries"),
    "constant": ("x.npy", array(gappy() * 0 + 3), "All observed values equal 3"),
    "infinity": ("x.npy", array(spike()), r"entry at \(2, 2\) is inf"),
    "huge values": ("x.npy", array(gappy() * 1e200), "multiply all values by a"),
    "tiny values": ("x.npy", array(gappy() * 1e-200), "multiply all values by a"),
    "repeat in csv": ("x.csv", text(some("1,1,9")), r"Lines 1 and 15 both .* \(1, 1\)"),
    "repeat in tns": ("x.tns", text(some_tns("1 1 9")), "Lines 1 and 15 both"),
    "index 0 in tns": ("x.tns", text(some_tns("0 1 9")), "index 0 .*count from 1"),
    "broken index": ("x.csv", text(some(",1,9")), "Line 15 has no label in column 1"),
    "no number": ("x.csv", text(some("3,1,nine")), "Line 15 has the value 'nine'"),
    "ragged csv": ("x.csv", text(some("3,1,2,9")), r"Line 15 has 4 field\(s\)"),
    "huge shape in npy": ("x.npy", write_huge_npy, "GiB of memory"),
    "huge shape in npz": ("x.npz", write_huge_npz, "GiB of memory"),
    "several arrays": ("x.npz", write_two_arrays, r"several arrays.*\(--variable\)"),
    "MATLAB 7.3": ("x.mat", write_hdf5, "it has no MATLAB_class; save one"),
    "a directory": ("x.npy", lambda path: path.mkdir(), "It is a directory"),
    "no file": ("x.npy", lambda path: None, "There is no such file in"),
    "a file name of two lines": (
        "x\ny.npy",
        lambda path: None,
        r"x\\ny\.npy: There is no",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_a_file_that_cannot_be_completed_is_refused(case, assert_harmless, tmp_path):
    name, make, words = BAD_FILES[case]
    make(tmp_path / name)
    assert_harmless(["complete", tmp_path / name], words)


BAD_READINGS = {
    "unknown variable": ("x.npz", write_npz, "--variable y", "no variable 'y'"),
    "variable of npy": ("x.npy", array(gappy()), "--variable x", "leave --variable"),
    "index out of range": (
        "x.csv", text(some("0,0,1")), "--mode-dims 3 5", "--mode-dims gives that mode",
    ),
    "other mode dimensions": (
        "x.npy", array(gappy()), "--mode-dims 5 4", "but --mode-dims says",
    ),
    "a negative mode dimension": (
        "x.csv", text(some("0,0,1")), "--mode-dims -3 5", "--mode-dims is -3 5; give",
    ),
    "a batch larger than the data": (
        "x.npy", array(gappy((5, 9))), "--method paper --batch-size 99", "between 1",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD_READINGS)
def test_a_reading_that_does_not_fit_the_file_is_refused(
    case, assert_harmless, tmp_path
):
    name, make, flags, words = BAD_READINGS[case]
    make(tmp_path / name)
    assert_harmless(["complete", tmp_path / name, *flags.split()], words)


def test_a_device_is_no_file(assert_harmless):
    assert_harmless(["complete", "/dev/null"], "extension '' is not known")


def test_a_device_under_another_name_is_no_file(assert_harmless, tmp_path):
    (tmp_path / "x.npy").symlink_to("/dev/zero")
    assert_harmless(["complete", tmp_path / "x.npy"], "not a regular file")


def test_a_link_in_a_circle_is_no_file(assert_harmless, tmp_path):
    (tmp_path / "x.npy").symlink_to("x.npy")
    assert_harmless(["complete", tmp_path / "x.npy"], "There is no such file")


@pytest.mark.parametrize(
    "name",
    ["completed.npy", "completed-std.TSV", "completed.feather", "completed.xlsx"]
    + [f"completed.{form}" for form in ("txt", "csv.gz", "tns.xz", "txt.zst")],
)
def test_an_input_that_a_result_would_replace_is_refused(
    name, assert_refused, tmp_path
):
    (tmp_path / name).write_text("a,b,v\n1,1,3\n")
    before = contents(tmp_path)
    tokens = ["complete", tmp_path / name, "--out", tmp_path, "--force"]
    assert_refused(tokens, "would replace the input .*; name another folder")
    assert contents(tmp_path) == before


# Words of the command


BAD_COMMANDS = {
    "dynamcs": "no command dynamcs; choose dynamics, complete, rank, verify",
    "--verison": "no command --verison",
    "complete": "complete needs a file",
    "complete a/x.npy b/x.npy": "Two of the files are named x, and their results",
    "complete x.npy --missing": "--missing is empty; give at least one or leave it",
    "complete x.npy --modes": "--modes is empty",
    "rank x.npy --leave-empty": "--leave-empty is empty",
    "complete x.npy --mode-dims": "--mode-dims is empty",
    "complete x.npy --steps 9": "--steps is for a gradient method, not for --method",
    "dynamics x": "no use for 'x' here; see rankrise dynamics --help",
    "dynamics --frobnicate": "no option --frobnicate; see rankrise dynamics --help",
    "dynamics --step 3": "no option --step; the nearest is --steps",
    "dynamics --steps": "--steps needs a value",
    "dynamics --steps 3 --steps 4": "--steps is given twice",
    "dynamics --steps 0": "--steps is 0; it must be positive",
    "dynamics --steps -5": "--steps is -5; it must be positive",
    "dynamics --steps 2.5": r"--steps is 2\.5; give a whole number",
    "dynamics --steps many": "--steps is many; give a whole number",
    "dynamics --steps 99999999999": "--steps is 99999999999; it can be 2147483647 at",
    "dynamics --steps 2000000000 --save-every 1": "2000000000 saves .* at fewer steps",
    "dynamics --task guess": "--task is guess; choose completion, sensing or sensing",
    "dynamics --loss logistic": "--loss is logistic, which is for labels",
    "dynamics --order 1": "--order is 1; it must lie between 2 and",
    "dynamics --order 32": "more entries than 64 bits can count",
    "dynamics --mode-dims": "--mode-dims is empty",
    "dynamics --mode-dims 7": "--mode-dims is 7; give two whole numbers",
    "dynamics --mode-dim 0": "--mode-dim is 0; it must be positive",
    "dynamics --init-scales": "--init-scales is empty",
    "dynamics --init-scales 0.1 0": r"--init-scales is 0\.0; it must lie between",
    "dynamics --start-seeds": "--start-seeds is empty",
    "dynamics --start-seeds 1 -1": "--start-seeds is -1; it cannot be negative",
    "dynamics --seed -1": "--seed is -1; it cannot be negative",
    "dynamics --noise-level -1": r"--noise-level is -1\.0; it cannot be negative",
    "dynamics --loss-tolerance -1": r"--loss-tolerance is -1\.0; it cannot be",
    "dynamics --observations 10001": "10001 but a tensor with .* has 10000 entries",
    "dynamics --factorization matrix": "is for order 2, not 4; give --order 2",
    "dynamics --components 2 --solver optax.nonsense": "no optimizer 'nonsense'",
    "dynamics --components 2 --solver optax.chain": "needs just a learning rate",
    "dynamics --components 2 --solver magic": "no solver 'magic'; choose adaptive",
    "dynamics --symmetric --mode-dims 3 4 --observations 5": "equal mode dimensions",
    "dynamics --batch-size 2001 --components 2": "between 1 and their number",
    "dynamics --target-rank 2000000000": "not enough memory",
    "dynamics --config": "no config file ''",
}


@pytest.mark.parametrize("line", BAD_COMMANDS)
def test_a_command_that_makes_no_sense_is_refused(line, assert_refused, tmp_path):
    assert_refused(line.split(), BAD_COMMANDS[line])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "number"),
    [
        ("--target-norm", "nan"),
        ("--target-norm", "inf"),
        ("--target-norm", "-inf"),
        ("--noise-level", "nan"),
        ("--init-scales", "inf"),
        ("--init-mean", "-inf"),
        ("--loss-threshold", "nan"),
        ("--learning-rate", "inf"),
        ("--loss-tolerance", "nan"),
        ("--max-seconds", "inf"),
        ("--checkpoint-seconds", "nan"),
        ("--steps", "nan"),
        ("--steps", "-inf"),
        ("--seed", "inf"),
        ("--mode-dims", "nan"),
        ("--components", "inf"),
    ],
)
def test_no_number_of_dynamics_may_be_without_a_value(option, number, assert_harmless):
    words = rf"{option} is {number}; give a (finite|whole) number"
    assert_harmless(["dynamics", f"{option}={number}"], words)


@pytest.mark.parametrize(
    ("option", "number"),
    [
        ("--heldout-share", "nan"),
        ("--heldout-share", "inf"),
        ("--init-scales", "nan"),
        ("--loss-threshold", "inf"),
        ("--learning-rate", "nan"),
        ("--max-seconds", "inf"),
        ("--checkpoint-seconds", "nan"),
        ("--flat-steps", "inf"),
        ("--mode-dims", "nan"),
    ],
)
def test_no_number_of_complete_may_be_without_a_value(
    option, number, assert_harmless, tensor_file
):
    words = rf"{option} is {number}; give a (finite|whole) number"
    assert_harmless(["complete", tensor_file, option, number], words)


@pytest.mark.parametrize("option", ["--out", "--seed", "--precision"])
def test_an_option_needs_its_value(option, assert_refused):
    assert_refused(["dynamics", option], f"{option} needs a value")


# The config file


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("steps = [", "is not TOML"),
        ("steps 3", "is not TOML"),
        ("stepps = 3", "no option --stepps that the file run.toml could set; the near"),
        ("[dynamics]\nsteps = 3", r"has a table \[dynamics\]; give all settings"),
        ("steps = 'many'", "--steps is many; give a whole number"),
        ("steps = 2.5", r"--steps is 2\.5; give a whole number"),
        ("steps = -1", "--steps is -1; it must be positive"),
        ("init-scales = [0.1, nan]", "--init-scales is nan; give a finite number"),
        ("init-scales = 'small'", "--init-scales is small; give a number"),
        ("quiet = 'perhaps'", "--quiet is perhaps; give true or false"),
        ("task = 'guess'", "--task is guess; choose"),
    ],
)
def test_a_config_file_that_makes_no_sense_is_refused(
    content, words, assert_harmless, tmp_path
):
    (tmp_path / "run.toml").write_text(content)
    assert_harmless(["dynamics", "--config", "run.toml"], words)


def test_a_config_file_in_no_encoding_is_refused(assert_harmless, tmp_path):
    (tmp_path / "run.toml").write_bytes(b"\xff\xfe")
    assert_harmless(["dynamics", "--config", "run.toml"], "run.toml is not TOML")


@pytest.mark.parametrize("place", ["none.toml", "."])
def test_a_config_file_that_is_not_there_is_refused(place, assert_harmless):
    words = f"no config file '{re.escape(place)}'"
    assert_harmless(["dynamics", "--config", place], words)


# The folder for results


def test_a_folder_that_is_not_empty_is_refused(assert_refused, old):
    assert_refused(["dynamics", "--out", old], "not empty; .*--force .*--resume")
    assert contents(old) == OLD


def test_a_file_cannot_be_the_folder(assert_refused, tmp_path):
    (tmp_path / "x").write_text("mine")
    words = "x is a file; name a folder"
    assert_refused(["dynamics", "--out", tmp_path / "x"], words)
    assert_refused(["dynamics", "--out", tmp_path / "x", "--force"], words)
    assert (tmp_path / "x").read_text() == "mine"


def test_a_folder_cannot_lie_below_a_file(assert_refused, tmp_path):
    (tmp_path / "x").write_text("mine")
    words = "x is a file; name a folder"
    assert_refused(["dynamics", "--out", tmp_path / "x" / "y"], words)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no /proc")
def test_a_folder_that_cannot_be_made_is_refused(assert_refused):
    tokens = ["dynamics", *SMALL, "--steps", "2", "--out", "/proc/none"]
    assert_refused(tokens, "cannot be written to.*; make it writable or name another")


def test_force_and_resume_together_are_refused(assert_refused, old):
    tokens = ["dynamics", "--out", old, "--force", "--resume"]
    assert_refused(tokens, "give one of them")
    assert contents(old) == OLD


def test_a_run_that_is_not_there_cannot_be_resumed(assert_refused, tmp_path):
    tokens = ["dynamics", "--resume", "--out", tmp_path / "new"]
    assert_refused(tokens, "no run to resume in .*; start it without --resume")
    assert not (tmp_path / "new").exists()


@pytest.fixture(scope="module")
def finished(tmp_path_factory, blanking):
    """Folders of one finished run of each command."""
    folder = tmp_path_factory.mktemp("finished")
    np.save(folder / "x.npy", gappy((5, 9)))
    complete = ["complete", str(folder / "x.npy"), *QUICK]
    dynamics = ["dynamics", *SMALL, "--steps", "6"]
    with blanking():
        assert run([*complete, "--quiet", "--out", str(folder / "complete")]) == 0
        assert run([*dynamics, "--quiet", "--out", str(folder / "dynamics")]) == 0
    return folder


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--steps 7", "has --steps 6, not 7; resume it without that option"),
        ("--init-scales 0.2", r"has --init-scales \[0\.1\], not \[0\.2\]"),
        ("--batch-size 2", "has --batch-size unset, not 2"),
        ("--seed 1", "has --seed 0, not 1"),
    ],
)
def test_dynamics_is_not_resumed_with_other_settings(
    flags, words, assert_refused, finished
):
    folder = finished / "dynamics"
    before = contents(folder)
    assert_refused(["dynamics", "--resume", "--out", folder, *flags.split()], words)
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["y.npy"], "is of .*x.npy, not .*y.npy; resume it without naming a file"),
        (["--variable", "y"], "has --variable unset, not y"),
        (["--mode-dims", "5", "8"], r"has --mode-dims unset, not \[5, 8\]"),
        (["--heldout-share", "0.2"], r"has --heldout-share unset, not 0\.2"),
    ],
)
def test_complete_is_not_resumed_with_other_input(
    tokens, words, assert_refused, finished
):
    folder = finished / "complete"
    before = contents(folder)
    assert_refused(["complete", *tokens, "--resume", "--out", folder], words)
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("command", "other"), [("dynamics", "complete"), ("complete", "dynamics")]
)
def test_a_run_is_not_resumed_by_another_command(
    command, other, assert_refused, finished
):
    words = f"is of `rankrise {other}`; resume it with that command"
    assert_refused([command, "--resume", "--out", finished / other], words)


@pytest.mark.parametrize(
    "content",
    ["{", "[]", '{"command": "dynamics", "settings": {"steps": 0}, "source": {}}'],
)
def test_settings_that_no_run_wrote_are_refused(content, assert_refused, tmp_path):
    (tmp_path / "settings.json").write_text(content)
    words = "settings.json (is not valid JSON|does not hold the settings).* --force"
    assert_refused(["dynamics", "--resume", "--out", tmp_path], words)


def test_an_input_that_has_changed_is_not_resumed(assert_refused, blanking, tmp_path):
    np.save("x.npy", gappy((5, 9)))
    with blanking():
        run(["complete", "x.npy", *QUICK, "--quiet", "--out", "run"])
    (tmp_path / "run" / "summary.json").unlink()
    np.save("x.npy", 2 * gappy((5, 9)))
    assert_refused(
        ["complete", "--resume", "--out", "run"], "has changed since the run"
    )


def test_a_damaged_checkpoint_is_refused(assert_refused, finished, tmp_path):
    settings = (finished / "dynamics" / "settings.json").read_bytes()
    (tmp_path / "settings.json").write_bytes(settings)
    (tmp_path / "checkpoint.npz").write_bytes(b"PK nonsense")
    words = "cannot be read as a checkpoint"
    assert_refused(["dynamics", "--resume", "--out", tmp_path], words)


# A full disk


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Callable[[int], Path]]:
    """A file system of 400 kB, of which so many are free; deleting `filler` helps."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", str(disk)]
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("this machine does not let us mount a file system")

    def with_free(kilobytes: int) -> Path:
        (disk / "filler").write_bytes(bytes(1024 * (400 - kilobytes)))
        return disk

    yield with_free
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


FILLING = ["dynamics", *SMALL, "--steps", "40", "--save-every", "2"]


def test_a_disk_full_from_the_start_is_said(small_disk, assert_refused):
    tokens = [*FILLING, "--out", small_disk(0) / "run"]
    assert_refused(tokens, r"cannot be written to \(No space left on device\)")


def test_a_disk_full_from_the_start_keeps_old_results(small_disk, assert_refused):
    # Three pages for three small files.
    disk = small_disk(12)
    (disk / "run").mkdir()
    for name, content in OLD.items():
        (disk / "run" / name).write_bytes(content)
    assert_refused([*FILLING, "--out", disk / "run", "--force"], "No space left")
    assert contents(disk / "run") == OLD


@pytest.fixture(scope="module")
def filling_factors(tmp_path_factory, blanking):
    folder = tmp_path_factory.mktemp("unbroken")
    with blanking():
        assert run([*FILLING, "--quiet", "--out", str(folder)]) == 0
    return dict(np.load(folder / "factors.npz"))


# The first checkpoint, the trajectory and the figure are what does not fit.
@pytest.mark.parametrize("kilobytes", [8, 24, 52])
def test_a_disk_full_late_in_a_run_is_said_and_costs_nothing(
    kilobytes, small_disk, assert_refused, filling_factors, blanking
):
    disk = small_disk(kilobytes)
    words = "Cannot read or write.*what was written before is kept.*--resume"
    assert_refused([*FILLING, "--out", disk / "run"], words)
    kept = contents(disk / "run")
    assert "settings.json" in kept
    assert "summary.json" not in kept
    assert not [name for name in kept if name.startswith(".")]
    (disk / "filler").unlink()
    with blanking():
        assert run(["dynamics", "--resume", "--quiet", "--out", str(disk / "run")]) == 0
    resumed = np.load(disk / "run" / "factors.npz")
    for name, expected in filling_factors.items():
        np.testing.assert_array_equal(resumed[name], expected)


# Memory


def test_a_device_without_memory_is_said(assert_refused, monkeypatch):
    def fail(*args, **options):
        raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes.")

    monkeypatch.setattr("rankrise.experiments.run_dynamics", fail)
    assert_refused(["dynamics"], "not enough memory for this .*allocating 8 bytes")


# As a program


class Payload:
    """Unpickling it makes a file."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_a_pickle_in_a_npy_file_is_refused_and_never_run(assert_refused, tmp_path):
    values = np.array([[Payload(tmp_path / "executed"), 1.0]], dtype=object)
    np.save(tmp_path / "x.npy", values, allow_pickle=True)
    assert_refused(["complete", "x.npy"], "Python objects.*never unpickled")
    assert not (tmp_path / "executed").exists()


def test_the_payload_would_run_if_it_were_unpickled(tmp_path):
    values = np.array([[Payload(tmp_path / "executed"), 1.0]], dtype=object)
    np.save(tmp_path / "x.npy", values, allow_pickle=True)
    np.load(tmp_path / "x.npy", allow_pickle=True)
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("complete none.npy", "There is no such file"),
        ("dynamics --learning-rate nan", "--learning-rate is nan; give a finite"),
    ],
)
def test_the_program_ends_with_one_sentence(
    line, words, start, check_refusal, tmp_path
):
    process = start(*line.split())
    out, err = process.communicate()
    check_refusal(process.returncode, out, err, words)
    assert not (tmp_path / "runs").exists()
