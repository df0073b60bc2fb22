"""Any result that was saved."""

from __future__ import annotations

from pathlib import Path

from rankrise.completion import Completion
from rankrise.complexity import RankCurve
from rankrise.ensembles import EnsembleFit
from rankrise.tensors.files import saved_kind
from rankrise.theory import Claim
from rankrise.trajectories import Trajectory

Result = Completion | RankCurve | Claim | EnsembleFit | Trajectory

_OF_KIND: dict[str, type[Result]] = {
    "a completion": Completion,
    "a rank curve": RankCurve,
    "a claim": Claim,
    "an ensemble": EnsembleFit,
    "a trajectory": Trajectory,
}


def load(path: Path | str) -> Result:
    """Read a result that its `save` wrote.

    The results of experiments are kept part by part: save their `trajectory`, `curve`
    or each of their `claims`.

    Parameters
    ----------
    path
        A file of a `Completion`, `RankCurve`, `Claim` or `EnsembleFit` (`.npz`), or a
        `Trajectory` (`.nc`). Nothing in it is ever executed (no pickle); sizes and
        shapes are checked.

    Raises
    ------
    InputError
        If the file is something else, or damaged.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> array = np.add.outer(np.arange(6.0), np.arange(5.0) ** 2)
    >>> array[1, 2] = np.nan
    >>> path = rr.complete(array, models=2).save("found.npz")
    >>> rr.load(path).completed.shape
    (6, 5)
    """
    return _OF_KIND[saved_kind(path, *_OF_KIND)].load(path)
