"""`estimate_rank`: how many components a tensor has, with or without gaps."""

from collections.abc import Callable, Hashable
from typing import Any, Literal, Unpack

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import ModeDims
from rankrise.completion._arrangement import Rows
from rankrise.completion._checks import check_observations
from rankrise.completion._complete import complete_by_alternation
from rankrise.completion._rank import is_told_by_fits, tell_rank
from rankrise.completion._rank_table import RankEstimate, RankProgress
from rankrise.completion._settings import CompletionSettings, LossName
from rankrise.losses import AbstractLoss
from rankrise.runs import ShowProgress, showing
from rankrise.tensors import (
    IncompleteTensor,
    ReadingOptions,
    incomplete_tensor,
)


def estimate_rank(
    source: Any,
    mask: Any = None,
    *,
    values: Hashable | None = None,
    mode_dims: ModeDims | None = None,
    heldout: Literal["auto", "random", "fiber"] = "random",
    loss: LossName | AbstractLoss = "squared",
    loss_threshold: float = 1.0,
    max_components: int = 64,
    seed: int = 0,
    progress: ShowProgress | Callable[[RankProgress], None] = None,
    **reading: Unpack[ReadingOptions],
) -> RankEstimate:
    """Estimate the CP rank of a tensor, whole or with gaps.

    CP decompositions with one more component each, with or without an offset, are
    fitted by Levenberg-Marquardt with hardly any penalty, five times with another
    fifth of the observed entries held out. The rank is the fewest components whose
    held-out error is within one standard error of the smallest, taken entry by entry;
    of these, those count that fits to two halves of the entries have in common.

    Parameters
    ----------
    source, mask, values, mode_dims
        The tensor, as for `incomplete_tensor`: an array, in which NaN or a mask says
        what is missing, an xarray.DataArray or Dataset, a sparse array, or a table.
    heldout
        How entries are held out: `auto` as they are missing (single entries, whole
        fibers, runs, blocks, or some of each), `random` as single entries, `fiber` as
        whole fibers.
    loss, loss_threshold
        As for `complete`. With `poisson` the rank is that of the logarithms of rates,
        with `poisson-identity` that of the rates, by least squares of the counts.
        `counts` needs a completion, whose `rank` is that of the loss it chose.
    max_components
        No more are tried. It ends where two more bring no smaller held-out error.
    seed
        Seed of the held-out entries, the halves and the starts of the fits.
    progress
        As for `complete`; a function is called once a number of components was tried.
    reading
        Further fields of `rankrise.tensors.Reading`: `modes`, `layout`, `order`,
        `missing`, `repeats`, `censored`, `domain` and `leave_empty`.

    Raises
    ------
    InputError
        If the input or a setting cannot be used.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> rng = np.random.default_rng(0)
    >>> a, b, c = (rng.standard_normal((size, 2)) for size in (12, 10, 8))
    >>> tensor = np.einsum("ir,jr,kr->ijk", a, b, c)
    >>> tensor += 0.1 * rng.standard_normal(tensor.shape)
    >>> rr.estimate_rank(tensor).rank
    2
    """
    settings = CompletionSettings(
        heldout=heldout,
        loss=loss,
        loss_threshold=loss_threshold,
        max_components=max_components,
        seed=seed,
    )
    incomplete = incomplete_tensor(
        source, mask, values=values, mode_dims=mode_dims, **reading
    )
    return estimate_tensor_rank(incomplete, settings, progress=progress)


def estimate_tensor_rank(
    incomplete: IncompleteTensor,
    settings: CompletionSettings | None = None,
    *,
    progress: ShowProgress | Callable[[RankProgress], None] = None,
) -> RankEstimate:
    """The same of a tensor that is read already.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> rows, columns, layers = np.ogrid[1:9, 1:8, 1:7]
    >>> tensor = np.sin(rows) * np.cos(columns) * layers
    >>> tensor += 0.01 * np.sin(rows * columns * layers)
    >>> rr.estimate_tensor_rank(rr.incomplete_tensor(tensor)).rank
    1
    """
    settings = settings or CompletionSettings()
    if len(settings.loss_functions) > 1:
        raise InputError(
            f"`loss` {settings.loss} needs a completion, whose `rank` is that of the "
            f"loss it chose; give {' or '.join(settings.loss_functions)} here."
        )
    observations, loss = incomplete.observations, settings.loss_function
    if observations.weights is not None:
        observations = observations.take(np.flatnonzero(observations.weights > 0))
    check_observations(incomplete, loss)
    observations = observations.in_order()
    rows = Rows.of(observations.indices, observations.mode_dims)
    if not is_told_by_fits(len(observations), rows):
        shown = None if callable(progress) else progress
        found = complete_by_alternation(incomplete, settings, progress=shown)
        return found.rank_estimate
    with showing(progress) as report:
        return tell_rank(observations, rows, loss, settings.heldout, settings, report)
