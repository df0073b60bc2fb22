"""`complete`: from a tensor with gaps to one without, in one call."""

import math
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Literal, Unpack, overload

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import ModeDims
from rankrise.completion._arrangement import Rows
from rankrise.completion._checks import (
    check_enough,
    check_loss,
    check_observations,
    warn_of_no_gaps,
    warn_of_result,
)
from rankrise.completion._choice import choose
from rankrise.completion._compiled import load_kernels
from rankrise.completion._holdout import make_folds
from rankrise.completion._merging import merged
from rankrise.completion._model import Baseline, Model, Variant
from rankrise.completion._model_runs import ModelRuns
from rankrise.completion._path import Path, PathPoint
from rankrise.completion._result import Completion
from rankrise.completion._saved_models import fingerprint
from rankrise.completion._settings import (
    CompletionSettings,
    GradientMethod,
    LossName,
)
from rankrise.completion.parts import CompletionOfParts, complete_parts_as_set
from rankrise.losses import AbstractLoss
from rankrise.runs import (
    Checkpoint,
    Ending,
    ShowProgress,
    Watch,
    check_checkpoint,
    counting_seconds,
    showing,
)
from rankrise.tensors import (
    IncompleteTensor,
    ReadingOptions,
    incomplete_tensor,
)

# Models of too few entries to learn components from.
_MODELS = 8


@overload
def complete(
    source: Any,
    mask: Any = ...,
    *,
    values: Hashable | None = ...,
    mode_dims: ModeDims | None = ...,
    method: Literal["alternating", "paper", "flow", "limit"] | GradientMethod = ...,
    models: int | None = ...,
    heldout: Literal["auto", "random", "fiber"] = ...,
    heldout_share: float | None = ...,
    loss: LossName | AbstractLoss = ...,
    loss_threshold: float = ...,
    center: bool | None = ...,
    max_components: int = ...,
    max_seconds: float | None = ...,
    smooth: bool | None = ...,
    non_negative: bool = ...,
    main_effects: bool | None = ...,
    penalties: tuple[float, ...] | None = ...,
    seed: int = ...,
    checkpoint: Checkpoint | None = ...,
    progress: ShowProgress | Callable[[Any], None] = ...,
    **reading: Unpack[ReadingOptions],
) -> Completion: ...


@overload
def complete(
    source: Any,
    *,
    scheduler: Any,
    workers: int | None = ...,
    parts: int | None = ...,
    **settings: Any,
) -> CompletionOfParts: ...


# The settings of the last are some of these.
@counting_seconds()  # type: ignore[misc]
def complete(
    source: Any,
    mask: Any = None,
    *,
    values: Hashable | None = None,
    mode_dims: ModeDims | None = None,
    method: Literal["alternating", "paper", "flow", "limit"]
    | GradientMethod = "alternating",
    models: int | None = None,
    heldout: Literal["auto", "random", "fiber"] = "auto",
    heldout_share: float | None = None,
    loss: LossName | AbstractLoss = "squared",
    loss_threshold: float = 1.0,
    center: bool | None = None,
    max_components: int = 64,
    max_seconds: float | None = None,
    smooth: bool | None = None,
    non_negative: bool = False,
    main_effects: bool | None = None,
    penalties: tuple[float, ...] | None = None,
    seed: int = 0,
    checkpoint: Checkpoint | None = None,
    progress: ShowProgress | Callable[[Any], None] = None,
    scheduler: Any = None,
    workers: int | None = None,
    parts: int | None = None,
    **reading: Unpack[ReadingOptions],
) -> Completion | CompletionOfParts:
    """Fill the gaps of a tensor; there is no rank to choose.

    Parameters
    ----------
    source, mask, values, mode_dims
        The tensor with its gaps, as for `incomplete_tensor`: an array with NaN or a
        mask, an xarray.DataArray or Dataset, a sparse array, or a table.
    method
        `alternating`: components enter one by one on a path of falling penalties, by
        alternating least squares. `paper`, `flow`, `limit`: gradient descent from near
        zero, gradient flow, or its limit; a `GradientMethod` has their options.
    models
        How many, each with another part held out; the completed entries are their
        mean. By default 8; 5 above 20,000 observations, 2 above 200,000, 1 above two
        million.
    heldout
        How entries are held out: `auto` as they are missing (single entries, whole
        fibers, runs, blocks, or some of each), `random` as single entries, `fiber` as
        whole fibers.
    heldout_share
        Share of the observed entries held out from each model. By default all are held
        out once, but at most a fifth by a model, and a tenth for a single model.
    loss, loss_threshold
        Loss of one entry: `squared`, `absolute`, `huber` or `smooth-l1` for outliers,
        `logistic` for labels 0 and 1, or a loss of your own with a `majorizer`. For
        counts: `poisson` fits logarithms of rates, so components multiply;
        `poisson-identity` fits rates, so non-negative components add (a constant is one
        of them); `counts` fits both and keeps the one with the larger held-out
        likelihood (`Completion.loss`, `link_losses`). These take any values from 0 on,
        whole or not, and `center` and `main_effects` have no effect on them. The
        threshold is that of Huber and smooth-L1 loss, in deviations of the centered
        values.
    center
        Fit the values less their mean; the mean is added back to the result. By default
        held-out errors decide; gradient methods take the mean off.
    max_components
        Upper limit on the number of components; the rank is found, not set by it.
    max_seconds
        Time limit in seconds from the start of the call, anew each time the run is
        resumed. It includes reading, loading and the search for gaps, but these and the
        step under way are always finished.
    smooth
        Smooth factors along each mode, as strongly as the data support; by default
        smooth or not is chosen by held-out errors.
    non_negative
        Constrain factors to be non-negative; turns centering off.
    main_effects
        Fit one number for every slice first; it is added back to the result. By default
        held-out errors decide, unless `center` is given.
    penalties
        Penalties of the path, in falling order, in units of one observation's weight.
    seed
        Seed of the held-out entries and of the first model.
    checkpoint
        Where the state is kept, for a run that may be cut off.
    progress
        True shows a bar at a terminal or in a notebook, with an estimate of what
        remains, and elsewhere a line on stderr every so often; `bar` and `log` are one
        of these in any case. None shows the bar in a notebook only, False nowhere. A
        function is called at every point of a path, or chunk of steps, and once before
        a path begins, with model 0.
    scheduler, workers, parts
        For observations that do not fit this machine: a folder of Parquet files, a Dask
        DataFrame or a Dask array, completed by workers of a scheduler of Dask as by
        `complete_parts`, which says what differs.
    reading
        Further fields of `rankrise.tensors.Reading`: `modes`, `layout`, `order`,
        `missing`, `repeats`, `censored`, `domain` and `leave_empty`.

    Raises
    ------
    InputError
        If the input or a setting cannot be used, or nothing can be learned from it.
    KeyboardInterrupt
        At Ctrl-C, once the state is written where there is a checkpoint.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> rows, columns, layers = np.ogrid[1:9, 1:8, 1:7]
    >>> tensor = np.sin(rows) * np.cos(columns) + layers / 3
    >>> tensor[np.random.default_rng(0).random(tensor.shape) < 0.4] = np.nan
    >>> found = rr.complete(tensor, models=2)
    >>> bool(np.isnan(found.completed).any())
    False
    """
    given = {"penalties": penalties} if penalties is not None else {}
    settings = CompletionSettings(
        method=method,  # type: ignore[arg-type]  # It takes a name as well.
        models=models,
        heldout=heldout,
        heldout_share=heldout_share,
        loss=loss,
        loss_threshold=loss_threshold,
        center=center,
        max_components=max_components,
        max_seconds=max_seconds,
        smooth=smooth,
        non_negative=non_negative,
        main_effects=main_effects,
        seed=seed,
        **given,
    )
    if scheduler is not None:
        if mask is not None:
            raise InputError("Observations in parts have no `mask`; leave them out.")
        return complete_parts_as_set(
            source,
            settings,
            {"values": values, "mode_dims": mode_dims, **reading},
            scheduler=scheduler,
            workers=workers,
            parts=parts,
            checkpoint=checkpoint,
            progress=progress,
        )
    if workers is not None or parts is not None:
        raise InputError(
            "`workers` and `parts` are for observations in parts; give a `scheduler` "
            "as well, such as 'local'."
        )
    incomplete = incomplete_tensor(
        source, mask, values=values, mode_dims=mode_dims, **reading
    )
    return complete_tensor(
        incomplete, settings, checkpoint=checkpoint, progress=progress
    )


@counting_seconds()
def complete_tensor(
    incomplete: IncompleteTensor,
    settings: CompletionSettings | None = None,
    *,
    source: Mapping[str, Any] | None = None,
    checkpoint: Checkpoint | None = None,
    progress: ShowProgress | Callable[[Any], None] = None,
) -> Completion:
    """The same of a tensor that is read already, as settings say.

    Parameters
    ----------
    source
        Where it comes from (a path, a hash), stored with the settings of a gradient
        method's trajectory.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> tensor = np.add.outer(np.arange(8.0), np.arange(6.0))
    >>> tensor[::3, ::2] = np.nan
    >>> settings = rr.CompletionSettings(models=2)
    >>> found = rr.complete_tensor(rr.incomplete_tensor(tensor), settings)
    >>> found.settings.models
    2
    """
    settings = settings or CompletionSettings()
    check_checkpoint(checkpoint)
    observations, loss = incomplete.observations, settings.loss_function
    check_observations(incomplete, loss)
    warn_of_no_gaps(observations)
    if settings.gradient is not None:
        from rankrise.completion._gradient import complete_by_gradients

        found = complete_by_gradients(
            incomplete,
            settings,
            settings.gradient,
            source=source,
            checkpoint=checkpoint,
            progress=progress,
        )
    else:
        check_loss(loss, observations)
        found = complete_by_alternation(
            incomplete, settings, checkpoint=checkpoint, progress=progress
        )
    warn_of_result(found)
    return found


@counting_seconds()
def complete_by_alternation(
    incomplete: IncompleteTensor,
    settings: CompletionSettings,
    *,
    checkpoint: Checkpoint | None = None,
    progress: ShowProgress | Callable[[Any], None] = None,
) -> Completion:
    """Models by alternating least squares, of a tensor with or without gaps."""
    with showing(progress) as report:
        return _by_alternation(incomplete, settings, checkpoint, report)


def _by_alternation(
    incomplete: IncompleteTensor,
    settings: CompletionSettings,
    checkpoint: Checkpoint | None,
    progress: Callable[[Any], None] | None,
) -> Completion:
    load_kernels()
    observations = incomplete.observations
    if observations.weights is not None:
        observations = observations.take(np.flatnonzero(observations.weights > 0))
        check_enough(observations)
    # Which entries are held out must not depend on how they came in.
    observations = observations.in_order()
    count = min(settings.models_for(len(observations)), len(observations) // 2)
    folds = make_folds(
        observations,
        count,
        share=settings.heldout_share,
        heldout=settings.heldout,
        seed=settings.seed,
    )
    with (
        Watch(
            checkpoint=checkpoint,
            fingerprint=lambda: fingerprint(observations, settings),
            max_seconds=settings.max_seconds,
        ) as watch,
        ModelRuns(observations, folds, settings, watch, progress) as runs,
    ):
        models, variant, link_losses, ending = _fitted(runs)
    came = incomplete, observations, settings, folds
    return Completion.of_models(
        *came,
        models,
        ending or Ending.CONVERGED,
        loss=runs.losses[variant.loss],
        link_losses=link_losses,
        seconds=watch.seconds,
    )


def _fitted(
    runs: ModelRuns,
) -> tuple[list[Model], Variant, dict[str, float], Ending | None]:
    """The models of the best variant, as far as they went."""
    variant, link_losses, ending = choose(runs)
    ending = ending or runs.run(range(runs.folds.count), variant)
    others = sorted({own for _, own in runs.models} - {variant})
    variant = max([variant, *others], key=lambda each: len(runs.of(each)))
    models = runs.of(variant)
    if ending is None:
        models = merged(runs, variant)
        ending = runs.watch.ending()
    if ending is not None:
        runs.save()
    if not models:
        # An unfinished path counts only if no model is finished.
        model, variant = runs.unfinished()
        models, ending = [model], ending or Ending.STOPPED
    return models, variant, link_losses, ending


def complete_by_constants(
    incomplete: IncompleteTensor, settings: CompletionSettings
) -> Completion:
    """Models without components, of a constant or of as few entries as two.

    Each is the mean of what it was shown, also where no mean is taken off otherwise.
    """
    observations, loss = incomplete.observations, settings.loss_function
    observed = len(observations)
    if observed < 2:
        raise InputError("Only one entry is observed; at least two are needed.")
    count = min(_MODELS, observed)
    folds = make_folds(
        observations, count, share=None, heldout="random", seed=settings.seed
    )
    rows, models = Rows.of(observations.indices, observations.mode_dims), []
    for number in range(folds.count):
        shown = folds.part != number
        known = observations.take(np.flatnonzero(shown))
        mean = float(np.average(known.values, weights=known.weights))
        if loss.is_linked:
            mean = loss.link_of_mean(float(np.mean(known.values)), len(known))
        losses = loss(np.full(observed, mean), observations.values)
        means = float(np.mean(losses[shown])), float(np.mean(losses[~shown]))
        point = PathPoint(math.inf, 0, *means, (0.0,) * observations.order)
        path = Path([point], 0, np.empty((rows.starts[-1], 0)))
        models.append(Model.at_best(rows, path, Baseline(mean, 1.0), number, False))
    came = incomplete, observations, settings, folds
    return Completion.of_models(*came, models, Ending.CONVERGED)
