"""What a completion refuses before it begins, and warns of once it is done."""

import logging
import math

import numpy as np

from rankrise._errors import InputError
from rankrise.completion._result import Completion
from rankrise.losses import AbstractLoss, SquaredLoss
from rankrise.runs import Ending
from rankrise.tensors import (
    IncompleteTensor,
    Observations,
    Standardization,
    suspected_sentinel,
    warn_of_unobserved_fibers,
)

# Fewer observed entries than this leave nothing to hold out and learn from.
FEWEST_OBSERVED = 10
# About the mean: predicting the mean has an error of 1. Where the error of noise alone
# is told, its square is taken off first.
_POOR_ERROR = 0.5
# A larger share of gaps that are unlike what is held out is warned of.
_UNLIKE = 0.05
# Times the median deviation from the median.
_OUTLYING = 1000
# At most this many slices with too few observations are named.
_NAMED = 3
# Observations that a loss is tried on.
_TRIED = 100

logger = logging.getLogger("rankrise")


def check_enough(observations: Observations) -> None:
    """Refuse too few observations to hold some out."""
    observed, entries = len(observations), observations.entry_count
    if observed < FEWEST_OBSERVED:
        raise InputError(
            f"Only {observed} of {entries} entries are observed; at least "
            f"{FEWEST_OBSERVED} are needed to learn from some and check on others."
        )


def check_observations(incomplete: IncompleteTensor, loss: AbstractLoss) -> None:
    """Refuse too few observations, and values that do not fit the loss."""
    observations = incomplete.observations
    check_enough(observations)
    Standardization.check_range(observations.values)
    loss.check_values(
        observations.values,
        lambda row: f"Entry {incomplete.place(observations.indices[row])}",
    )
    if not loss.is_linked:
        # Refuses what never varies.
        Standardization.fit(observations.values, center=True)


def warn_of_no_gaps(observations: Observations) -> None:
    """Say that nothing is to be filled: a full tensor is asked for its components."""
    entries = observations.entry_count
    if len(observations) == entries:
        logger.warning(
            "all %d entries are observed, so none is filled; only the components, the "
            "rank and the noise are estimated. Unobserved entries are NaN in an array, "
            "or absent from a list.",
            entries,
        )


def check_loss(loss: AbstractLoss, observations: Observations) -> None:
    """Refuse a loss of your own whose numbers alternating least squares can't take."""
    values, start = observations.values[:_TRIED], 0.0
    if loss.is_linked:
        mean = float(np.mean(observations.values))
        start = loss.link_of_mean(mean, len(observations))
    else:
        fit = Standardization.fit(observations.values, center=True)
        values = (values - fit.offset) / fit.scale
    predictions = np.full(len(values), start)
    majorizer = loss.majorizer(predictions, values)
    for name, found in (
        ("values", [loss(predictions, values)]),
        ("`majorizer`", majorizer),
    ):
        if any(np.shape(each) != np.shape(values) for each in found) or not all(
            np.isfinite(each).all() for each in found
        ):
            raise InputError(
                f"The {name} of {type(loss).__name__} are not a finite number for "
                "every observation; mend it, or choose another loss."
            )
    if np.any(np.asarray(majorizer[0]) < 0):
        raise InputError(
            f"The `majorizer` of {type(loss).__name__} has negative weights; mend it, "
            "or choose another loss."
        )


def warn_of_result(found: Completion) -> None:
    """Say what the errors cannot: where nothing was seen, and a poor fit."""
    count = found.unobserved_slice_count
    if count:
        mode, index = next(found.unobserved_slices())
        rest = count - 1
        others = f" (and in {rest} other slice{'s'[: rest > 1]})" if rest else ""
        logger.warning(
            "no entry is observed at %s%s; entries there stay empty.",
            found.axis(mode).place(index, mode),
            others,
        )
    warn_of_unobserved_fibers(found.observations, found.input.axes)
    if suspected_sentinel(found.observations):
        return
    _warn_of_scarce_slices(found)
    if found.folds.unlike >= _UNLIKE:
        logger.warning(
            "%.0f%% of the gaps are unlike all that could be held out: they lie in "
            "larger blocks, or in slices with fewer observations. Their bounds are "
            "widened by a guess, and the held-out error does not hold for them.",
            100 * found.folds.unlike,
        )
    most = found.settings.max_components
    if found.settings.gradient is None and any(
        model.path.best_point.components == most for model in found.models
    ):
        logger.warning(
            "a model has as many components as `max_components` allows, %d; more may "
            "predict better, at a cost that grows faster than their number.",
            most,
        )
    _warn_of_outlier(found)
    if found.ending not in (Ending.TIME_LIMIT, Ending.INTERRUPTED):
        _warn_of_poor_fit(found)


def _warn_of_scarce_slices(found: Completion) -> None:
    """Warn of slices with too few observations to be predicted as well as others."""
    scarce = list(found.scarce_slices())
    if not scarce:
        return
    places = [found.axis(mode).place(index, mode) for mode, index in scarce[:_NAMED]]
    rest = len(scarce) - len(places)
    logger.warning(
        "too few entries are observed at %s%s to predict the others there; their "
        "bounds are widened, and the held-out error does not hold for them.",
        ", ".join(places),
        f" and in {rest} other slice{'s'[: rest > 1]}" if rest else "",
    )


def _warn_of_poor_fit(found: Completion) -> None:
    """Say where no component was found, or held-out entries are hardly predicted."""
    error, noise = found.typical_error(), found.errors()["noise_centered_error"]
    if not found.components and found.settings.gradient is None:
        rows = sum(found.reference.rows.dims)
        logger.warning(
            "no component stands out from the noise: the %d observed entries, %.0f "
            "for each of %d slices, are too few to find one, or there is none.",
            len(found.observations),
            len(found.observations) * found.observations.order / rows,
            rows,
        )
    elif error**2 - (0.0 if math.isnan(noise) else noise**2) > _POOR_ERROR**2:
        advice = (
            "the missing entries may not be predictable from the observed ones"
            if found.settings.gradient is None
            else "try more `starts`, other `init_scales`, another `seed` or the "
            "`method` alternating"
        )
        logger.warning(
            "the held-out error about the mean is %.2f%s, so little was learned; %s.",
            error,
            "" if math.isnan(noise) else f" and noise alone gives {noise:.2f}",
            advice,
        )


def _warn_of_outlier(found: Completion) -> None:
    """Say where one value outweighs all others, which models then follow."""
    loss = found.loss
    if not (isinstance(loss, SquaredLoss) or loss.takes_counts):
        return
    observations = found.observations
    values = observations.values
    deviations = np.abs(values - np.median(values))
    largest = int(np.argmax(deviations))
    typical = float(np.median(deviations))
    if typical > 0 and deviations[largest] > _OUTLYING * typical:
        logger.warning(
            "the value %g at %s is %.0f times as far from the median as is usual; "
            "if it is an error, remove it%s.",
            values[largest],
            found.input.place(observations.indices[largest]),
            deviations[largest] / typical,
            ""
            if loss.takes_counts
            else " (the `loss` huber keeps it from moving others)",
        )
