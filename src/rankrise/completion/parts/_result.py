"""A tensor completed from parts: factors of all modes, and what was measured."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._atomic import atomic_path
from rankrise._environment import environment
from rankrise._errors import InputError
from rankrise._html import html_of
from rankrise._strict import strict
from rankrise._typing import ModeDims, Values
from rankrise.completion._labels import indices_in
from rankrise.completion._model import Model, signed
from rankrise.completion._path import PathPoint
from rankrise.completion._rank import rank_of_paths
from rankrise.completion._rank_table import RankEstimate
from rankrise.completion._settings import CompletionSettings
from rankrise.drawing import Drawing, Plotted
from rankrise.losses import SquaredLoss
from rankrise.runs import Ending
from rankrise.tensors import ModeAxis, refuse_out_of_range, whole_numbers

_LISTED = 10


@dataclass(frozen=True, eq=False)
class CompletionOfParts(Plotted):
    """A tensor completed from parts, by one model; the observations are not in it.

    Attributes
    ----------
    axes
        Name of every mode, and labels of its indices.
    observed, heldout
        How many entries are observed, and how many of them were held out.
    parts
        Into how many parts the observations were divided.
    split_mode
        The mode whose rows were divided, counted from 0.
    ending
        `converged`, or what cut it short.
    """

    axes: tuple[ModeAxis, ...]
    observed: int
    heldout: int
    parts: int
    split_mode: int
    settings: CompletionSettings
    ending: Ending
    model: Model
    seconds: float = math.nan

    @property
    def mode_dims(self) -> ModeDims:
        """The dimension of every mode."""
        return self.model.rows.mode_dims

    def entries(self, indices: npt.ArrayLike) -> Values:
        """Entries of the completed tensor at rows of indices, counted from 0.

        In a slice without observations, the mean of the values.

        Raises
        ------
        InputError
            If an index lies outside.
        """
        rows = whole_numbers(indices)
        refuse_out_of_range(rows, self.mode_dims)
        places = self.model.rows.places(rows)[0]
        return self.model.predictions(places, SquaredLoss())

    def entries_of(self, table: Any) -> Values:
        """The same for the rows of a pandas.DataFrame with a column for every mode.

        Raises
        ------
        InputError
            If a column is missing, or a label was never observed.
        """
        indices = indices_in(self.axes, table)
        for mode, axis in enumerate(self.axes):
            unknown = indices[:, mode] < 0
            if axis.labels is not None and unknown.any():
                label = table[axis.name].iloc[int(np.argmax(unknown))]
                raise InputError(
                    f"{label} is no label of {axis.title(mode)}: no part has an "
                    "entry of it, so nothing is known of it."
                )
        return self.entries(indices)

    # The components.

    @property
    def components(self) -> int:
        """Components with a norm above a hundredth of the largest."""
        return self.model.components

    @property
    def component_norms(self) -> Values:
        """In units of the data, largest first."""
        return self.model.component_norms

    @cached_property
    def factors(self) -> tuple[Values, ...]:
        """Factor matrices: row by component, in units of the data.

        Rows are those of `rows`. The largest entry of every component is positive in
        every mode but the last.
        """
        return tuple(matrix[:-1] for matrix in signed(self.model.factors))

    @property
    def rows(self) -> tuple[npt.NDArray[np.integer], ...]:
        """For every mode the indices that have an observation, ascending."""
        return self.model.rows.names

    @property
    def offset(self) -> float:
        """The mean, which is added to the components; or zero."""
        return self.model.baseline.offset

    @property
    def path(self) -> Sequence[PathPoint]:
        """Where the model came to rest, in standardized units."""
        return self.model.path.points

    @cached_property
    def rank_estimate(self) -> RankEstimate:
        """The rank that held-out entries show, by the path.

        There is one model, so whether components are found again is not known.
        """
        return rank_of_paths([self.model], self.heldout, self.observed, SquaredLoss())

    @property
    def rank(self) -> int:
        """Components that lower the held-out error by more than its standard error."""
        return self.rank_estimate.rank

    # How good it is.

    @property
    def heldout_error(self) -> float:
        """Root mean square error on held-out entries, in units of the data.

        The standard deviation of the error of any one entry as well: how it differs
        between slices is not known.
        """
        loss = self.model.path.best_point.heldout_loss
        return self.model.baseline.scale * math.sqrt(loss)

    @property
    def heldout_centered_error(self) -> float:
        """The same over that without components: one where nothing was learned."""
        points = self.model.path.points
        best = self.model.path.best_point.heldout_loss
        return math.sqrt(best / points[0].heldout_loss)

    # In other forms.

    def drawing(self) -> Drawing:
        """How it was chosen, and what was learned.

        Panels are `rank` (held-out errors of the path), `path`, `norms`, and
        `factors ...` for every mode.
        """
        from rankrise.completion._plot import draw_parts

        return draw_parts(self)

    def save_factors(self, folder: FilePath | str) -> FilePath:
        """Write `factors.npz`, which `numpy.load` reads.

        `mode_n` are factor matrices in units of the data, counted from 1, and `offset`
        is added to the sum of their products. `labels_n` are labels of their rows where
        a mode has labels; `rows_n` the indices where some have no observation.
        """
        arrays: dict[str, Any] = {"offset": np.array([self.offset])}
        for mode, (axis, rows, dim) in enumerate(
            zip(self.axes, self.rows, self.mode_dims, strict=True)
        ):
            arrays[f"mode_{mode + 1}"] = self.factors[mode]
            if axis.labels is not None:
                labels = axis.labels[rows]
                plain = labels.dtype.kind in "iufbU"
                arrays[f"labels_{mode + 1}"] = labels if plain else labels.astype(str)
            if len(rows) < dim:
                arrays[f"rows_{mode + 1}"] = rows
        path = FilePath(folder) / "factors.npz"
        with atomic_path(path) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)
        return path

    def summary(self, source: Any = None) -> dict[str, Any]:
        """Settings, outcome and figures of merit, for JSON."""
        return strict(
            {
                "settings": self.settings.model_dump(mode="json"),
                **environment(),
                "seed": self.settings.seed,
                "result": self.ending,
                "seconds": round(self.seconds, 3),
                "source": source,
                "mode_dims": list(self.mode_dims),
                "observed_entries": self.observed,
                "entries": math.prod(self.mode_dims),
                "heldout_entries": self.heldout,
                "parts": self.parts,
                "divided_mode": self.split_mode + 1,
                "components": self.components,
                **self.rank_estimate.facts(),
                "heldout_error": self.heldout_error,
                "heldout_centered_error": self.heldout_centered_error,
                "component_norms": self.component_norms[:_LISTED].tolist(),
                "path": [point._asdict() for point in self.path],
            }
        )

    def __repr__(self) -> str:
        dims = " x ".join(map(str, self.mode_dims))
        return (
            f"CompletionOfParts({dims}, {self.observed} observed in {self.parts} "
            f"parts, {self.components} components, held-out error about the mean "
            f"{self.heldout_centered_error:.3g}, {self.ending})"
        )

    def _repr_html_(self) -> str:
        modes = (
            f"{axis.title(mode)} ({dim})"
            for mode, (axis, dim) in enumerate(
                zip(self.axes, self.mode_dims, strict=True)
            )
        )
        facts = {
            "ended": str(self.ending),
            "modes": " × ".join(modes),
            "observed": f"{self.observed} in {self.parts} parts",
            "predicts with": f"{self.components} components, one model",
            "held-out error": f"{self.heldout_error:.3g} "
            f"({self.heldout_centered_error:.3g} about the mean)",
        }
        return html_of("Completion of parts", facts, None, self.ending.warning)
