"""A completed tensor: the mean of several models, and how far it may be off."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from rankrise._atomic import atomic_path
from rankrise._errors import InputError
from rankrise._html import html_of
from rankrise._memory import MAX_DENSE_BYTES
from rankrise._optional import imported
from rankrise._typing import Indices, Values
from rankrise.completion._accuracy import Accuracy, Noise, fit_noise
from rankrise.completion._gaps import tell_gaps
from rankrise.completion._holdout import Folds, HeldOut
from rankrise.completion._labels import indices_in
from rankrise.completion._mean_of_models import MeanOfModels
from rankrise.completion._model import (
    Baseline,
    Model,
    match_scores,
    norms_of,
    signed,
    unit_columns,
    with_constant,
)
from rankrise.completion._path import PathPoint
from rankrise.completion._rank import is_told_by_fits, rank_of_paths, tell_rank
from rankrise.completion._rank_table import RankEstimate, RankProgress
from rankrise.completion._settings import Centering, CompletionSettings
from rankrise.drawing import Drawing, Plotted
from rankrise.losses import AbstractLoss
from rankrise.runs import Ending, Watch, is_counting, note_progress, showing
from rankrise.tensors import IncompleteTensor, ModeAxis, Observations

if TYPE_CHECKING:
    from rankrise.trajectories import Trajectory


class _CutOffError(Exception):
    """The estimate of a rank ends here."""


@dataclass(frozen=True, eq=False)
class Completion(Plotted):
    """A completed tensor, and how it was found.

    Attributes
    ----------
    input
        The observed entries, and the names and labels of their modes.
    ending
        `converged`, or what cut it short: then fewer models were made.
    models
        The models whose mean gives the completed entries.
    folds
        Which observations were held out from each model.
    noise
        Noise model, fitted to held-out residuals of single models.
    loss
        The loss that models were fitted by; for `counts` the one that was chosen.
    link_losses
        Mean negative log-likelihood of held-out entries by name of the loss, where the
        loss is `counts`; else empty.
    heldout_predictions
        Prediction of each observation by the model it was held out from; NaN where it
        was held out from none.
    seconds
        Running time, including runs before a resume.
    trajectory
        All runs of a gradient method, in standardized units, else None; `chosen` says
        which of them had the smallest held-out error.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> tensor = np.add.outer(np.arange(8.0), np.arange(6.0))
    >>> tensor[::3, ::2] = np.nan
    >>> found = rr.complete(tensor, models=2)
    >>> found.completed[0, 0].round(2), found.std[0, 1]
    (np.float64(0.0), np.float64(0.0))
    >>> lower, upper = found.interval(0.9)
    >>> bool((lower <= found.completed).all())
    True
    """

    input: IncompleteTensor
    observations: Observations
    settings: CompletionSettings
    ending: Ending
    models: tuple[Model, ...]
    folds: Folds
    noise: Noise
    heldout_predictions: Values
    loss: AbstractLoss
    link_losses: Mapping[str, float] = field(default_factory=dict)
    seconds: float = math.nan
    trajectory: "Trajectory | None" = None
    chosen: int = 0

    @classmethod
    def of_models(
        cls,
        source: IncompleteTensor,
        observations: Observations,
        settings: CompletionSettings,
        folds: Folds,
        models: Sequence[Model],
        ending: Ending,
        loss: AbstractLoss | None = None,
        **facts: Any,
    ) -> "Completion":
        """What models say, with the noise of each on the part that it was not shown."""
        rows, loss = models[0].rows, loss or settings.loss_function
        places = rows.of_observed(observations.indices)
        predictions = np.full(len(observations), np.nan)
        for model in models:
            hidden = folds.part == model.number
            predictions[hidden] = model.predictions(places[hidden], loss)
        known = ~np.isnan(predictions)
        residuals = (observations.values - predictions)[known]
        kinds = None if folds.kinds is None else folds.kinds[known]
        noise = fit_noise(places[known], residuals, rows.dims, kinds, len(folds.gaps))
        came = source, observations, settings, ending
        return cls(*came, tuple(models), folds, noise, predictions, loss, **facts)

    # The tensor.

    @cached_property
    def completed(self) -> Any:
        """The whole tensor in the form of the input, observed entries as they came.

        NaN in slices without any observation and where no entry exists; a long table
        has no rows for these.
        """
        return self.input.restore(self._whole[0])

    @cached_property
    def std(self) -> Any:
        """Standard deviation of every completed entry; zero where observed."""
        return self.input.restore(self._whole[1])

    def interval(self, level: float = 0.9) -> tuple[Any, Any]:
        """Bounds between which a share `level` of the completed entries should lie.

        Both are the value where it was observed.
        """
        lower, upper = self.interval_arrays(level)
        return self.input.restore(lower), self.input.restore(upper)

    def completed_arrays(self) -> tuple[Values, Values]:
        """`completed` and `std` as arrays, whatever the form of the input."""
        return self._whole

    def interval_arrays(self, level: float = 0.9) -> tuple[Values, Values]:
        """`interval` as arrays, whatever the form of the input."""
        return self._mean.bounds_about(*self._whole, level)

    def entries(self, indices: npt.ArrayLike) -> Values:
        """The mean of the models at rows of indices, observed or not.

        In a slice without observations, the baseline; -1 stands for one as well. NaN
        where no entry exists.
        """
        return self._mean.at(indices)[0]

    def entries_std(self, indices: npt.ArrayLike) -> Values:
        """Standard deviation of the errors of `entries`.

        From the spread of the models and from their residuals on entries that were
        held out, whose variance is taken as a product of one factor a slice, and one of
        the kind of gap. In gaps unlike all that was held out it is wider by a guess; in
        `scarce_slices` it is at least the error that least squares of so few entries
        leave, and in slices that were never observed at least the deviation of the
        values from the baseline.
        """
        return self._mean.mean_and_std(indices)[1]

    def entries_interval(
        self, indices: npt.ArrayLike, level: float = 0.9
    ) -> tuple[Values, Values]:
        """Bounds between which a share `level` of entries like these should lie.

        The mean and so many standard deviations to either side that this share of
        held-out residuals lies inside.
        """
        return self._mean.bounds_about(*self._mean.mean_and_std(indices), level)

    def indices_of(self, table: Any) -> Indices:
        """Indices of the rows of a pandas.DataFrame, for `entries` and its like.

        It has a column of labels for every mode, by the mode's name; other columns are
        left alone. A label that was never observed has index -1.

        Raises
        ------
        InputError
            If a mode has no name, or the table no column of that name.

        Examples
        --------
        >>> import pandas as pd, rankrise as rr
        >>> rows = [(u, i, (u + 1) * i) for u in range(6) for i in range(5)]
        >>> ratings = pd.DataFrame(rows, columns=["user", "item", "rating"])
        >>> found = rr.complete(ratings.drop(index=[7, 13]), models=1)
        >>> wanted = pd.DataFrame({"item": [2, 3], "user": [1, 2]})
        >>> found.entries(found.indices_of(wanted)).round(1)
        array([4., 9.])
        """
        return indices_in(self.input.axes, table)

    def are_unobserved(self, indices: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """For rows of indices and every mode, whether the slice was never observed."""
        return self._mean.places(indices)[1]

    # The components.

    @cached_property
    def reference(self) -> Model:
        """The model with the smallest held-out loss, whose components are reported."""
        return min(self.models, key=lambda model: model.path.best_point.heldout_loss)

    @property
    def components(self) -> int:
        """Components of the reference with a norm above a hundredth of the largest.

        What predicts best, often more than the rank: small ones lower the error without
        being in the data one by one.
        """
        return self.reference.components

    @cached_property
    def rank_estimate(self) -> RankEstimate:
        """The rank that the observed entries show, by fits of their own.

        Made when it is first asked for, which takes from a tenth of a second to a
        minute. From more observations than fits could take, the models' paths tell it;
        with a gradient method it is the components that had risen where that ended.
        """
        with showing() as report:
            return self._told_rank(report or note_progress)

    @property
    def rank_in_time(self) -> RankEstimate | None:
        """The same; None of a run that was cut short, or once its time is over."""
        return self._rank_in_time[0]

    @property
    def ending_with_rank(self) -> Ending:
        """How it ended, or `interrupted` where `rank_in_time` was."""
        was_interrupted = self._rank_in_time[1] is Ending.INTERRUPTED
        return Ending.INTERRUPTED if was_interrupted else self.ending

    @cached_property
    def _rank_in_time(self) -> tuple[RankEstimate | None, Ending | None]:
        if "rank_estimate" in self.__dict__:
            return self.rank_estimate, None
        if self.ending in (Ending.INTERRUPTED, Ending.TIME_LIMIT):
            return None, self.ending
        left = self.settings.max_seconds
        # A command's clock runs on; else the call's time is over but for this.
        if left is not None and not is_counting():
            left -= self.seconds
        with Watch(max_seconds=left) as watch:

            def look(at: RankProgress) -> None:
                note_progress(at)
                if watch.ending() is not None:
                    raise _CutOffError

            try:
                return self._told_rank(look), None
            except _CutOffError:
                cut_off = watch.ending()
        return None, cut_off

    def _told_rank(
        self, progress: Callable[[RankProgress], None] | None
    ) -> RankEstimate:
        observations, loss = self.observations, self.loss
        if self.trajectory is not None:
            count = self.components
            own = tuple(matrix[:-1, :count] for matrix in self.reference.factors)
            return RankEstimate(count, count, self.offset, own, (), len(observations))
        if not is_told_by_fits(len(observations), self.reference.rows):
            hidden = int(np.sum(self.folds.part < self.folds.count))
            return rank_of_paths(self.models, hidden, len(observations), loss)
        effects = self.reference.baseline.effects
        if effects and self.settings.main_effects:
            places = self.reference.rows.of_observed(observations.indices)
            rest = Baseline(0.0, 1.0, effects).taken_off(places, observations.values)
            observations = replace(observations, values=rest)
        heldout: HeldOut = "fiber" if self.settings.heldout == "fiber" else "random"
        rows, settings = self.reference.rows, self.settings
        return tell_rank(observations, rows, loss, heldout, settings, progress)

    @property
    def loss_name(self) -> str:
        """The name that `loss` has in settings."""
        losses = self.settings.loss_functions
        return next(name for name, loss in losses.items() if loss == self.loss)

    @property
    def rank(self) -> int:
        """Components that the data show: needed by more than a standard error of the
        held-out error, and found again in halves of the data (see `rank_estimate`).
        """
        return self.rank_estimate.rank

    @property
    def rank_table(self) -> Any:
        """The evidence for the rank: a pandas DataFrame by number of components."""
        return self.rank_estimate.table

    @cached_property
    def factors(self) -> tuple[Values, ...]:
        """Factor matrices of the reference: index by component, in units of the data.

        Rows of slices without any observation are zero. The largest entry of every
        component is positive in every mode but the last.
        """
        factors = signed(self.reference.factors)
        return tuple(self._expanded(w, mode) for mode, w in enumerate(factors))

    @property
    def effects(self) -> tuple[Values, ...]:
        """Main effects of the reference, mode by mode, where there are any.

        Zero for slices without any observation.
        """
        effects = self.reference.baseline.effects
        return tuple(self._expanded(e, m) for m, e in enumerate(effects))

    @property
    def centering(self) -> Centering:
        """What is added to the components: a mean (or an offset that was fitted in its
        place), main effects as well, or nothing.
        """
        offset, effects = self.offset, self.reference.baseline.effects
        return Centering.of(has_offset=offset != 0, has_effects=bool(effects))

    @property
    def offset(self) -> float:
        """Offset added to the components of the reference, or zero: the mean, or what
        fits with the components.
        """
        return self.reference.baseline.offset

    @property
    def component_norms(self) -> Values:
        """Component norms of the reference, in data units, largest first."""
        return self.reference.component_norms

    @cached_property
    def reproducibility(self) -> Values:
        """Mean factor match score of the reference's components over other models.

        One is found again by all, zero by none; NaN where there is no other model.
        """
        own, others = self.reference.factors, self._others
        if not others:
            return np.full(own[0].shape[1], np.nan)
        scores = [match_scores(own, other.factors) for other in others]
        return np.asarray(np.mean(scores, axis=0))

    @property
    def _others(self) -> list[Model]:
        return [model for model in self.models if model is not self.reference]

    @property
    def path(self) -> list[PathPoint]:
        """Where the reference came to rest, in standardized units."""
        return self.reference.path.points

    @property
    def rank_factors(self) -> tuple[Values, ...]:
        """Factor matrices of `rank` components fitted to all observed entries.

        Index by component, in units of the data; zero for slices without any
        observation. The largest entry of every component is positive in every mode but
        the last.
        """
        padded = (np.pad(own, ((0, 1), (0, 0))) for own in self.rank_estimate.factors)
        return tuple(self._expanded(own, mode) for mode, own in enumerate(padded))

    def cp_tensor(
        self,
        components: Literal["rank", "all"] = "rank",
        *,
        labelled: bool = False,
    ) -> Any:
        """A `tensorly.cp_tensor.CPTensor` of the data.

        Its weights are component norms, its factors have columns of norm one. An
        offset is one more component, with constant columns; so are the main effects of
        each mode, with constant columns in the other modes.

        Parameters
        ----------
        components
            `rank`: as many as the rank, fitted to all observed entries with hardly any
            penalty; of a matrix its singular vectors. `all`: those of the reference,
            which is one of the models whose mean completes the tensor.
        labelled
            Give a tuple of weights and factors, each a pandas DataFrame whose index is
            the mode's labels and bears its name, as TLViz takes it.
        """
        if components not in ("rank", "all"):
            raise InputError(f"`components` is {components!r}; choose 'rank' or 'all'.")
        tensorly = imported("tensorly.cp_tensor", "tensorly", "cp_tensor() needs")
        if components == "rank":
            if self.reference.baseline.effects and self.settings.main_effects:
                raise InputError(
                    "The rank is that of what main effects leave; ask for the "
                    "components 'all', or complete with `main_effects` False."
                )
            found = self.rank_estimate
            own: Sequence[Values] = [
                np.pad(matrix, ((0, 1), (0, 0))) for matrix in found.factors
            ]
            if found.offset:
                own = with_constant(own, 0, found.offset)
        else:
            own = self.reference.with_baseline()
        own = signed(own)
        factors = [self._expanded(matrix, mode) for mode, matrix in enumerate(own)]
        weights, columns = norms_of(factors), list(map(unit_columns, factors))
        if labelled:
            return weights, [self._framed(*each) for each in enumerate(columns)]
        return tensorly.CPTensor((weights, columns))

    def _framed(self, mode: int, matrix: Values) -> Any:
        import pandas as pd

        axis = self.axis(mode)
        index = pd.RangeIndex(len(matrix)) if axis.labels is None else axis.labels
        name = axis.name or f"mode_{mode + 1}"
        return pd.DataFrame(matrix, pd.Index(index, name=name))

    # In other forms.

    def to_dataset(self, level: float = 0.9) -> Any:
        """All results in one xarray.Dataset with the data's names and coordinates.

        Variables are `completed`, `std`, `lower` and `upper` (bounds between which a
        share `level` of the completed entries should lie) and `observed` over the
        modes; `factors_...` of every mode and `component_norms` of the reference;
        `rank_factors_...` and the rank's evidence `rank_heldout_error`, ... by number
        of components, where the time sufficed; `effects_...` where there are any. Its
        attributes say how the run ended, its settings, errors and versions.
        """
        from rankrise.completion._dataset import completion_dataset

        return completion_dataset(self, level)

    def save(self, path: FilePath | str) -> FilePath:
        """Write one `.npz` file, atomically, that `rankrise.load` reads.

        What is loaded has the same results, bit for bit on the same machine. What was
        an xarray object or a table is then an xarray.DataArray, other forms are NumPy
        arrays. The factorizations of a gradient method's runs are not in it.

        Raises
        ------
        InputError
            If the folder does not exist, or the loss is one of your own.
        """
        from rankrise.completion._saved_completion import save_completion

        return save_completion(self, path)

    @classmethod
    def load(cls, path: FilePath | str) -> "Completion":
        """Read what `save` wrote; nothing in a file is ever executed (no pickle).

        Raises
        ------
        InputError
            If the file is something else, or damaged.
        """
        from rankrise.completion._saved_completion import load_completion

        return load_completion(path, cls.of_models)

    def save_factors(self, folder: FilePath) -> FilePath:
        """Write `factors.npz`: all models, the reference first, with their offsets.

        Factor matrices are named as those of `save_factors`. Main effects of mode n, if
        there are any, are in `effects_n`, a row a model. Of a mode that is mostly
        unobserved only observed rows are written, with their indices in `rows_n`.
        """
        models = [self.reference, *self._others]
        rows, arrays = self.reference.rows, dict[str, Any]()
        for mode, (names, dim) in enumerate(
            zip(rows.names, rows.mode_dims, strict=True)
        ):
            is_sparse = dim > 16 * len(names) + 1024
            for number, model in enumerate(models):
                prefix = "" if len(models) == 1 else f"run_{number}_"
                own = model.factors[mode]
                whole = own[:-1] if is_sparse else self._expanded(own, mode)
                arrays[f"{prefix}mode_{mode + 1}"] = whole
            if is_sparse:
                arrays[f"rows_{mode + 1}"] = names
            elif self.reference.baseline.effects:
                effects = (model.baseline.effects[mode] for model in models)
                whole = np.stack([self._expanded(each, mode) for each in effects])
                arrays[f"effects_{mode + 1}"] = whole
        arrays["offset"] = np.array([model.baseline.offset for model in models])
        path = folder / "factors.npz"
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)
        return path

    # How good it is.

    @property
    def heldout_error(self) -> float:
        """Root mean square error of single models on held-out entries."""
        return self.errors()["heldout_error"]

    @property
    def heldout_relative_error(self) -> float:
        """The same over the root mean square of the values."""
        return self.errors()["heldout_relative_error"]

    def errors(self) -> dict[str, float]:
        """Held-out errors of single models, and the training error of the reference.

        `heldout_error` and `train_error` are root mean squares in units of the data;
        `..._relative_error` is over the root mean square of the values, and
        `..._centered_error` over their deviation from the mean of all observed:
        predicting the mean gives 1. The mean of the models is usually more accurate.
        `noise_...` are those that noise alone would give on held-out entries; NaN where
        they cannot be told (see `noise_error`).
        """
        return self._accuracy.errors()

    @property
    def noise_error(self) -> float:
        """Root mean square held-out error that noise alone would give, in data units.

        For counts, the root of their mean, which is the variance of Poisson noise. For
        the squared loss, the geometric mean of training and held-out errors of the
        models: in least squares, degrees of freedom lower the one as much as they raise
        the other; what components cannot learn counts as noise there. NaN where that
        cannot be trusted: with fewer than 300 observations or ten for each slice,
        training errors below .7 of held-out ones, blocks held out, weights, counts
        that are not whole, or another loss.
        """
        return self._accuracy.noise_error

    def typical_error(self) -> float:
        """The held-out error about the mean; for losses that outliers do not move, the
        median of the residuals' sizes over that of deviations from the median.
        """
        return self._accuracy.typical_error()

    @property
    def gaps(self) -> str:
        """A line on the shapes of the gaps; empty where these were not looked for."""
        return tell_gaps(self.folds.gaps)

    @property
    def unobserved_slice_count(self) -> int:
        """Slices without an observed entry, of all modes."""
        if self.observations.exists is not None:
            return sum(1 for _ in self.unobserved_slices())
        rows = self.reference.rows
        return sum(rows.mode_dims) - sum(rows.dims)

    def unobserved_slices(self) -> Iterator[tuple[int, int]]:
        """Mode and index, both from 0, of every slice without an observed entry.

        Slices in which no entry exists are not among them.
        """
        rows, exists = self.reference.rows, self.observations.exists
        for mode, (names, dim) in enumerate(
            zip(rows.names, rows.mode_dims, strict=True)
        ):
            for before, after in itertools.pairwise((-1, *names.tolist(), dim)):
                for index in range(before + 1, after):
                    if exists is None or exists.take(index, axis=mode).any():
                        yield mode, index

    def scarce_slices(self) -> Iterator[tuple[int, int]]:
        """Mode and index, both from 0, of every slice with too few observed entries.

        Errors in such a slice may be more than twice the held-out error, which is
        measured in slices with more observations.
        """
        least = 2 * math.sqrt(self.noise.variance)
        for mode, own in enumerate(self._mean.least_deviations):
            names = self.reference.rows.names[mode]
            yield from ((mode, index) for index in names[own[:-1] > least].tolist())

    def axis(self, mode: int) -> ModeAxis:
        """Name of a mode, counted from 0, and labels of its indices."""
        return self.input.axes[mode]

    @property
    def run(self) -> "Trajectory":
        """The chosen run of a gradient method, in standardized units."""
        if self.trajectory is None:
            raise InputError(
                "Alternating least squares have no trajectory; see `path`."
            )
        return self.trajectory.runs()[self.chosen]

    @property
    def warning(self) -> str:
        """What must be said wherever it is shown, where a run was cut short."""
        if not self.ending.warning or len(self.models) >= self.folds.count:
            return self.ending.warning
        made = f" {len(self.models)} of {self.folds.count} models were made."
        return self.ending.warning + made

    def drawing(self) -> Drawing:
        """How it was chosen, how well it predicts, what was learned.

        Panels are `rank` and `match` (the rank's evidence), `path` and `norms` (the
        models; of a gradient method `norms` and `errors` of its run), `heldout`,
        `observed`, `completed` and `standard deviation` (entries of two modes), and
        `factors ...` for every mode.
        """
        from rankrise.completion._plot import draw_completion

        return draw_completion(self)

    def __repr__(self) -> str:
        dims = " x ".join(map(str, self.observations.mode_dims))
        errors = self.errors()
        error, alone = (errors[f"{k}_centered_error"] for k in ("heldout", "noise"))
        noise = "" if math.isnan(alone) else f" (noise alone gives {alone:.3g})"
        chosen = f"loss {self.loss_name}, " if self.link_losses else ""
        made, asked = len(self.models), self.folds.count
        cut = f" after {made} of {asked} models" if made < asked else ""
        return (
            f"Completion({dims}, {self.components} components, held-out error about "
            f"the mean {error:.3g}{noise}, {chosen}{self.ending}{cut})"
        )

    def _repr_html_(self) -> str:
        observed, entries = len(self.observations), self.observations.entry_count
        error = self.errors()["heldout_centered_error"]
        rank = self.__dict__.get("rank_estimate")
        modes = " × ".join(
            f"{self.axis(mode).title(mode)} ({dim})"
            for mode, dim in enumerate(self.observations.mode_dims)
        )
        facts = {
            "ended": str(self.ending),
            "modes": modes,
            "observed": f"{observed} of {entries} ({observed / entries:.1%})",
            "rank": rank.words if rank else "not estimated yet: ask for `.rank`",
            "predicts with": f"{self.components} components, {len(self.models)} models",
            "held-out error": f"{self.heldout_error:.3g} {self.input.units} "
            f"({error:.3g} about the mean)",
            "gaps": self.gaps,
        }
        table = None if rank is None else rank.shown_rows
        name = f"Completion {self.input.name}".strip()
        return html_of(name, facts, table, self.warning)

    @cached_property
    def _accuracy(self) -> Accuracy:
        return Accuracy(
            self.models,
            self.reference,
            self.observations,
            self.folds,
            self.loss,
            self.heldout_predictions,
        )

    @cached_property
    def _mean(self) -> MeanOfModels:
        blocks = self.folds.blocks
        return MeanOfModels(
            self.models,
            self.reference,
            self.observations,
            self.noise,
            self.loss,
            blocks,
            0.0 if blocks is None else self._accuracy.learned(),
            self.folds,
            self.settings.seed,
        )

    @cached_property
    def _whole(self) -> tuple[Values, Values]:
        # Observed entries of weight zero too, which nothing was learned from.
        return self._mean.whole(self.input.observations)

    def _expanded(self, matrix: Values, mode: int) -> Values:
        """Rows of all indices; the last stands for all that were never observed."""
        names, dim = self.reference.rows.names[mode], self.observations.mode_dims[mode]
        if len(names) == dim:
            return matrix[:-1]
        if 8 * dim * math.prod(matrix.shape[1:]) > MAX_DENSE_BYTES:
            raise InputError(
                f"Mode {mode + 1} has dimension {dim}, too large for a factor matrix "
                "in memory; `models` have the rows that were observed."
            )
        whole = np.full((dim, *matrix.shape[1:]), matrix[-1])
        whole[names] = matrix[:-1]
        return whole
