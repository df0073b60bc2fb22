"""Several models of one tensor: compared, fitted, and rid of components not needed."""

import math
from collections.abc import Callable
from typing import NamedTuple

from rankrise.completion._choice import MANY, choose
from rankrise.completion._holdout import Folds
from rankrise.completion._merging import Merging, are_few
from rankrise.completion._model import Model
from rankrise.completion._model_runs import CompletionProgress, ModelRuns
from rankrise.completion._path import PathPoint
from rankrise.completion._settings import CompletionSettings
from rankrise.completion._variant import Variant
from rankrise.losses import AbstractLoss
from rankrise.runs import Ending, Watch
from rankrise.tensors import Observations

# Where every path begins.
_NOTHING = PathPoint(math.inf, 0, math.nan, math.nan, ())


class Fitted(NamedTuple):
    """Models, and the loss they were fitted by.

    Attributes
    ----------
    link_losses
        Mean negative log-likelihood of held-out counts, by name of the loss; empty
        where there was one loss.
    """

    models: list[Model]
    ending: Ending
    loss: AbstractLoss
    link_losses: dict[str, float]


def fit_models(
    observations: Observations,
    folds: Folds,
    settings: CompletionSettings,
    watch: Watch,
    progress: Callable[[CompletionProgress], None] | None,
) -> Fitted:
    """The models of the best variant, as far as they went."""
    with ModelRuns(observations, folds, settings, watch, progress) as runs:
        if progress is not None:
            # Now all input is known to fit, and nothing is written yet.
            progress(CompletionProgress(0, folds.count, _NOTHING))
        variant, link_losses, ending = choose(runs)
        ending = ending or runs.run(range(folds.count), variant)
        others = sorted({own for _, own in runs.models} - {variant})
        variant = max([variant, *others], key=lambda each: len(runs.of(each)))
        models = runs.of(variant)
        if ending is None:
            models = _merged(runs, models, variant)
            ending = watch.ending()
        if ending is not None:
            runs.save()
        if not models:
            # What a path found before it was ended counts only if nothing else.
            model, variant = runs.unfinished()
            models, ending = [model], ending or Ending.STOPPED
    loss = runs.losses[variant.loss]
    return Fitted(models, ending or Ending.CONVERGED, loss, link_losses)


def _merged(runs: ModelRuns, models: list[Model], variant: Variant) -> list[Model]:
    """Models without components that are not needed, such as cancel an offset."""
    settings, loss = runs.settings, runs.losses[variant.loss]
    if (
        loss.is_linked
        or settings.non_negative
        or len(runs.observations) > MANY
        or not are_few(models)
    ):
        return models
    offsets = [False, True] if settings.center is None else [settings.center]
    if models[0].baseline.effects:
        offsets = [settings.center is not False]
    return Merging(
        models,
        runs.observations,
        runs.folds,
        loss,
        offsets,
        runs.workers,
        lambda: runs.watch.ending() is not None,
    ).models()
