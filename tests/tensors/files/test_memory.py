"""What a file unpacks to, with all copies, is bounded by the memory that is free."""

import subprocess
import sys
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from scipy.io import savemat

from rankrise._errors import InputError
from rankrise.tensors.files import _declared, read_tensor

SHAPE = (60, 70, 80)


def dense(path, dtype):
    array = np.random.default_rng(0).integers(0, 100, SHAPE).astype(dtype)
    match path.suffix:
        case ".npy":
            np.save(path, array)
        case ".npz":
            np.savez_compressed(path, x=array)
        case ".mat":
            savemat(path, {"x": array}, do_compression=True)


def coordinates(path, dtype):
    flat = np.random.default_rng(0).permutation(60 * 70 * 80)[:200_000]
    indices = np.stack(np.unravel_index(flat, SHAPE), axis=1)
    np.savez(path, indices=indices.astype(dtype), values=np.ones(len(flat)))


def sparse(path, form):
    rng = np.random.default_rng(0)
    array = sp.random_array((600, 700), density=0.4, rng=rng)
    if form == "dia":
        array = sp.dia_array((rng.random((100, 700)), range(100)), shape=(600, 700))
    array = array.tobsr((20, 70)) if form == "bsr" else array.asformat(form)
    sp.save_npz(path, array)


KINDS = [
    *(
        (dense, f"x.{form}", kind)
        for form in ("npy", "npz", "mat")
        for kind in ("u1", "f8")
    ),
    *((coordinates, "x.npz", kind) for kind in ("u1", "i8", "f8")),
    *((sparse, "x.npz", form) for form in ("coo", "csr", "bsr", "dia")),
]


def peak(path):
    tracemalloc.start()
    read_tensor(path)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


@pytest.mark.parametrize(("write", "name", "kind"), KINDS)
def test_a_file_takes_at_most_half_of_what_is_free(
    write, name, kind, tmp_path, monkeypatch
):
    write(tmp_path / name, kind)
    most = peak(tmp_path / name)
    # Just enough for what reading takes is too little: it is half of what is free.
    monkeypatch.setattr(_declared, "free_host_memory", lambda: int(1.9 * most))
    with pytest.raises(InputError, match="half of what is free"):
        read_tensor(tmp_path / name)
    monkeypatch.setattr(_declared, "free_host_memory", lambda: 6 * most)
    read_tensor(tmp_path / name)


def zeros_npz(path):
    header = {"shape": (100, 1000, 1000), "fortran_order": False, "descr": "|u1"}
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("x.npy", "w", force_zip64=True) as stream,
    ):
        np.lib.format.write_array_header_1_0(stream, header)
        for _ in range(100):
            stream.write(bytes(10**6))


def unwritten_mat(path):
    with h5py.File(path, "w", userblock_size=512) as content:
        chunks = {"chunks": (100, 100, 100), "compression": "gzip"}
        content.create_dataset("x", (100, 1000, 1000), "f8", **chunks)
        content["x"].attrs["MATLAB_class"] = np.bytes_("double")
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    path.write_bytes(header + path.read_bytes()[len(header) :])


@pytest.mark.parametrize(
    ("write", "name"), [(zeros_npz, "x.npz"), (unwritten_mat, "x.mat")]
)
def test_a_small_file_that_unpacks_to_gigabytes_takes_no_memory(
    write, name, tmp_path, monkeypatch
):
    write(tmp_path / name)
    assert (tmp_path / name).stat().st_size < 200_000
    # Of 10^8 entries and their indices there are 5.4 GB.
    monkeypatch.setattr(_declared, "free_host_memory", lambda: 10 * 2**30)
    tracemalloc.start()
    with pytest.raises(InputError, match="needs more than"):
        read_tensor(tmp_path / name)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 10**8


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what is taken")
def test_what_a_batch_system_leaves_to_a_process_is_all_there_is(tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((100, 200, 300)))  # 0.34 GB with its indices
    lines = (
        "import resource, sys",
        "from rankrise.tensors import read_tensor",
        "taken = int(open('/proc/self/statm').read().split()[0]) * 4096",
        "limit = taken + int(sys.argv[2])",
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))",
        "print(len(read_tensor(sys.argv[1]).observations))",
    )
    command = [sys.executable, "-c", "\n".join(lines), str(tmp_path / "x.npy")]
    enough = subprocess.run([*command, str(2**30)], capture_output=True, text=True)
    assert enough.stdout.strip() == "6000000", enough.stderr
    less = subprocess.run([*command, str(2**29)], capture_output=True, text=True)
    assert "half of what is free" in less.stderr
