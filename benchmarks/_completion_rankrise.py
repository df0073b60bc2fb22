"""rankrise's side of the comparison: one call, nothing chosen by hand.

It is given the entries for training alone and holds out of these what it chooses by.
Those held out for the others it never sees, though a user's call would learn from them.
Each case is completed in a process of its own, so that another checkout can be beside.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from _completion_cases import Case, Floats
from _processes import HERE, LEVELS, commit_of, python

NAME = "rankrise"
# What a record of another checkout is called begins so.
OLD = f"{NAME} at "
_SCRIPT = Path(__file__).with_name("_completing_process.py")


def name_of(checkout: Path) -> str:
    """What another checkout is called beside this one."""
    return f"{OLD}{commit_of(checkout)}"


def rankrise_complete(
    case: Case, checkout: Path = HERE
) -> tuple[Floats, Floats, dict[str, Any]]:
    """Predictions at `case.test` and `case.held_out`, and what else is of interest.

    That is what the fit took (imports, loading of kernels, tracing and loading of
    compiled programs apart), its peak memory, the numbers of models and components, and
    which share of the test entries the bounds hold.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data, out = folder / "data.npz", folder / "out.npz"
        np.savez(
            data,
            indices=case.indices(case.train),
            values=case.values(case.train),
            mode_dims=case.mode_dims,
            asked=case.indices(np.concatenate([case.test, case.held_out])),
        )
        arguments = str(_SCRIPT), str(data), "--out", str(out), "--before", "tiny"
        said = json.loads(python(checkout, *arguments).output)
        if said["compiled"]:
            # Now that its programs are on disk.
            said = json.loads(python(checkout, *arguments).output)
        with np.load(out) as found:
            entries, bounds = found["entries"], found["bounds"]
    for key in ("seconds", "cpu_seconds"):
        said[key] -= said["compiling_seconds"]
    tested = len(case.test)
    truth = case.values(case.test)
    shares = {}
    for level, (low, high) in zip(LEVELS, bounds, strict=True):
        inside = (low[:tested] <= truth) & (truth <= high[:tested])
        shares[f"{level:g}"] = float(np.mean(inside))
    said |= {"coverage": shares["0.9"], "coverages": shares}
    return entries[:tested], entries[tested:], said
