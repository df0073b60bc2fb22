"""Reads mutations of files in a process of its own, which may crash or hang.

Prints the file and number of each before it is read, and ends with "done".
"""

import logging
import resource
import signal
import sys
from pathlib import Path

import numpy as np

import rankrise as rr
from rankrise._errors import InputError
from rankrise.tables import TableColumns, load_labelled_set
from rankrise.tensors import read_tensor, write_completed

# What it may still take once all is loaded; reading keeps to half of what is free.
FREE_BYTES = 2**30
MOST_GROWTH_BYTES = FREE_BYTES * 3 // 4
CPU_SECONDS, SECONDS = 10, 120
LONGEST_SENTENCE = 800
VARIABLES = {
    "nested.mat": "Scds",
    "packed-nested.mat": "Scds",
    "hdf5.mat": ("x", "s.data", "a"),
}
EXTREMES = (0, 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1)


def mutated(whole: bytes, seed: int) -> bytes:
    """A file with one to four things wrong with it."""
    rng = np.random.default_rng(seed)
    content = bytearray(whole)
    for _ in range(rng.integers(1, 5)):
        place, length = int(rng.integers(len(content))), int(rng.integers(1, 33))
        other = int(rng.integers(len(content)))
        match rng.integers(8):
            case 0 | 1 | 2:
                content[place] = rng.integers(256)
            case 3:
                size = int(rng.choice([2, 4, 8]))
                number = int(rng.integers(len(EXTREMES)))
                extreme = EXTREMES[number] % 2 ** (8 * size)
                order = str(rng.choice(["little", "big"]))
                content[place : place + size] = extreme.to_bytes(size, order)
            case 4:
                content[place : place + length] = content[other : other + length]
            case 5:
                content[place:place] = content[other : other + length]
            case 6:
                del content[place : place + length]
            case 7 if len(content) > 64:
                del content[place:]
        if not content:
            return b"\0"
    return bytes(content)


def read(path: Path, variable: str | None, out: Path) -> None:
    """What can be read can be given back too."""
    if path.name == "trajectory.nc":
        rr.trajectories.Trajectory.load(path)
        return
    if path.stem == "samples":
        columns = TableColumns(target=() if path.suffix == ".npz" else ("kind",))
        load_labelled_set(path, columns=columns, levels=4)
        return
    file = read_tensor(path, variable=variable)
    if file.observations.entry_count < 10**5:
        write_completed(file, np.zeros(file.observations.mode_dims), out)


def check_refusal(error: InputError, path: Path) -> None:
    said = str(error)
    assert said.isprintable(), ascii(said)
    assert said.endswith("."), said
    assert path.name in said, said
    assert len(said) < LONGEST_SENTENCE, said
    # That is found only when it is too late.
    assert "more memory than there is" not in said, said


def check(path: Path, first: int, last: int) -> None:
    out = path.parent / "out"
    out.mkdir(exist_ok=True)
    whole = path.read_bytes()
    variables = VARIABLES.get(path.name, (None,))
    for variable in variables:
        read(path, variable, out)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + FREE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(first, last):
        print(path.name, seed, flush=True)
        path.write_bytes(mutated(whole, seed))
        # What these do by default ends the process, also within a library.
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        signal.alarm(SECONDS)
        for variable in variables:
            try:
                read(path, variable, out)
            except InputError as error:
                check_refusal(error, path)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.alarm(0)
        growth = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert growth * 1024 < MOST_GROWTH_BYTES, f"{growth} KiB more"


if __name__ == "__main__":
    logging.getLogger().addHandler(logging.NullHandler())
    first, last, *names = sys.argv[1:]
    for name in names:
        check(Path(name), int(first), int(last))
    print("done", flush=True)
