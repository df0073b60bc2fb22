"""Several models of one tensor: compared, fitted, and rid of components not needed."""

import math
from collections.abc import Callable
from typing import NamedTuple

from rankrise.completion._choice import choose
from rankrise.completion._holdout import Folds
from rankrise.completion._merging import merged
from rankrise.completion._model import Model
from rankrise.completion._model_runs import CompletionProgress, ModelRuns
from rankrise.completion._path import PathPoint
from rankrise.completion._settings import CompletionSettings
from rankrise.data import Observations
from rankrise.losses import AbstractLoss
from rankrise.runs import Ending, Watch

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
            models = merged(runs, variant)
            ending = watch.ending()
        if ending is not None:
            runs.save()
        if not models:
            # What a path found before it was ended counts only if nothing else.
            model, variant = runs.unfinished()
            models, ending = [model], ending or Ending.STOPPED
    loss = runs.losses[variant.loss]
    return Fitted(models, ending or Ending.CONVERGED, loss, link_losses)
