"""What a completion says of entries in slices that were never observed."""

from __future__ import annotations

import functools as ft
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rankrise._typing import Indices, Values
from rankrise.completion import Completion, Member
from rankrise.estimators._mode_labels import UNKNOWN


@dataclass(frozen=True, eq=False)
class Guesses:
    """Completed entries, also where an index is `UNKNOWN`.

    Nothing pulls at the factors of a row that was never observed, so its penalty leaves
    them at zero: it is predicted by the baseline and the other modes' main effects.
    """

    completion: Completion

    def unobserved(self, indices: Indices) -> npt.NDArray[np.bool_]:
        """For every entry and mode, whether the slice was never observed."""
        return np.stack(
            [
                ~known[column]
                for known, column in zip(self._observed, indices.T, strict=True)
            ],
            axis=1,
        )

    def entries(self, indices: Indices) -> Values:
        """The mean of the models."""
        return self._extended.entries(self._places(indices))

    def std(self, indices: Indices) -> Values:
        """Standard deviation of their errors; where a guess, of what is guessed at."""
        found = self._extended.std(self._places(indices))
        patterns, which = np.unique(
            self.unobserved(indices), axis=0, return_inverse=True
        )
        which = which.reshape(-1)
        for number, pattern in enumerate(patterns):
            if pattern.any():
                rows = which == number
                found[rows] = np.maximum(found[rows], self._left(pattern))
        return found

    def interval(self, indices: Indices, level: float) -> tuple[Values, Values]:
        """Bounds between which a share `level` of entries like these should lie."""
        mean, std = self.entries(indices), self.std(indices)
        return self.completion.bounds_about(mean, std, level)

    @ft.cached_property
    def _observed(self) -> list[npt.NDArray[np.bool_]]:
        """For every mode and index, and last for `UNKNOWN`."""
        observations = self.completion.observations
        return [
            np.append(np.bincount(column, minlength=dim) > 0, False)
            for column, dim in zip(
                observations.indices.T, observations.mode_dims, strict=True
            )
        ]

    def _places(self, indices: Indices) -> Indices:
        dims = np.asarray(self.completion.observations.mode_dims)
        return np.where(indices == UNKNOWN, dims, indices)

    @ft.cached_property
    def _extended(self) -> Completion:
        """With one more slice in every mode, of which nothing is known."""
        noise = self.completion.noise
        return replace(
            self.completion,
            members=tuple(map(_extended, self.completion.members)),
            noise=replace(
                noise, factors=tuple(np.append(each, 1.0) for each in noise.factors)
            ),
        )

    def _left(self, unobserved: npt.NDArray[np.bool_]) -> float:
        """Root mean square of what a baseline leaves, without some modes' effects."""
        observations = self.completion.observations
        reference = self.completion.reference
        effects = tuple(
            np.where(unobserved[mode], 0, effect)
            for mode, effect in enumerate(reference.baseline.effects)
        )
        bare = replace(
            reference,
            baseline=replace(reference.baseline, effects=effects),
            factor_matrices=tuple(w[:, :0] for w in reference.factor_matrices),
        )
        predictions = bare.predictions(
            observations.indices, self.completion.completing.loss
        )
        return float(np.sqrt(np.mean((observations.values - predictions) ** 2)))


def _extended(member: Member) -> Member:
    effects = tuple(np.append(each, 0.0) for each in member.baseline.effects)
    return replace(
        member,
        factor_matrices=tuple(
            np.pad(w, ((0, 1), (0, 0))) for w in member.factor_matrices
        ),
        baseline=replace(member.baseline, effects=effects),
    )
