"""`complete`: from an array with gaps to one without, in one call."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import ModeDims, Values
from rankrise.completion import CompletingProgress, PathPoint
from rankrise.data import IncompleteTensor, incomplete_tensor
from rankrise.experiments._completion import CompletionResult, run_completion
from rankrise.experiments._completion_config import CompletionConfig
from rankrise.runs import Checkpoint, Progress


@dataclass(frozen=True, eq=False)
class CompletedTensor:
    """What `complete` found, in the form of its input.

    Attributes
    ----------
    input
        The observed entries, and the names and labels of their modes.
    result
        All that was found, in arrays.
    """

    input: IncompleteTensor
    result: CompletionResult

    @cached_property
    def completed(self) -> Any:
        """The whole tensor: observed entries as they came, the others completed.

        NaN in slices without any observation.
        """
        return self.input.restore(self.result.completed())

    @cached_property
    def std(self) -> Any:
        """Standard deviation of every completed entry; zero where observed."""
        return self.input.restore(self.result.completion.completed_std())

    def interval(self, level: float = 0.9) -> tuple[Any, Any]:
        """Bounds between which a share `level` of the completed entries should lie."""
        lower, upper = self.result.completion.bounds(level)
        return self.input.restore(lower), self.input.restore(upper)

    @property
    def rank(self) -> int:
        """Components above a hundredth of the largest."""
        return self.result.rank

    @property
    def factors(self) -> tuple[Values, ...]:
        """Of the reference model, in units of the data: a column a component."""
        return self.result.factor_matrices

    @property
    def component_norms(self) -> Values:
        """Of the reference model, in units of the data, largest first."""
        return self.result.component_norms

    @property
    def reproducibility(self) -> Values:
        """Of each component: mean factor match score over the other models."""
        return self.result.completion.reproducibility

    @property
    def path(self) -> list[PathPoint]:
        """Where the reference model came to rest, in standardized units."""
        return self.result.completion.reference.path.points

    @property
    def heldout_error(self) -> float:
        """Root mean square error of single models on entries they were not shown."""
        return self.result.errors()["heldout_error"]

    @property
    def heldout_relative_error(self) -> float:
        """The same over the root mean square of the values."""
        return self.result.errors()["heldout_relative_error"]

    def cp_tensor(self) -> Any:
        """The reference model as a `tensorly.cp_tensor.CPTensor`.

        Its weights are component norms, its factors have columns of norm one. An
        offset is one more component, whose columns are constant. The model is one of
        those whose mean completes the tensor.
        """
        try:
            from tensorly.cp_tensor import CPTensor
        except ImportError as error:
            raise InputError(
                "cp_tensor() needs TensorLy; install it with pip install tensorly."
            ) from error
        reference = self.result.completion.reference
        if reference.baseline.effects:
            raise InputError(
                "A CPTensor has no main effects; complete with main_effects=False."
            )
        offset, factors = reference.baseline.offset, list(reference.factor_matrices)
        if offset:
            ones = [np.ones((len(matrix), 1)) for matrix in factors]
            ones[0] = offset * ones[0]
            factors = [np.hstack(pair) for pair in zip(factors, ones, strict=True)]
        norms = [np.linalg.norm(matrix, axis=0) for matrix in factors]
        units = [
            matrix / np.where(norm > 0, norm, 1)
            for matrix, norm in zip(factors, norms, strict=True)
        ]
        return CPTensor((np.prod(norms, axis=0), units))

    def __repr__(self) -> str:
        dims = " x ".join(map(str, self.input.observations.mode_dims))
        error = self.result.errors()["heldout_centered_error"]
        return (
            f"CompletedTensor({dims}, rank {self.rank}, held-out error about the mean "
            f"{error:.3g})"
        )


def complete(
    source: Any,
    mask: Any = None,
    *,
    values: Hashable | None = None,
    mode_dims: ModeDims | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Callable[[Progress | CompletingProgress], None] | None = None,
    **settings: Any,
) -> CompletedTensor:
    """Fill the gaps of a tensor; there is no rank to choose.

    Parameters
    ----------
    source, mask, values, mode_dims
        The tensor with its gaps, as for `incomplete_tensor`: an array with NaN or a
        mask, an xarray.DataArray, a sparse array, or a long-form table.
    checkpoint
        Where the state is kept, for a run that may be cut off.
    progress
        Called at every point of a path, or chunk of steps.
    **settings
        Those of `CompletionConfig`: `method="paper"`, `seeds=3`, `seed=1`, ...

    Raises
    ------
    InputError
        If the input cannot be used, or nothing can be learned from it.
    pydantic.ValidationError
        If a setting is not known, or has another type.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> rows, columns, layers = np.ogrid[1:9, 1:8, 1:7]
    >>> tensor = np.sin(rows) * np.cos(columns) + layers / 3
    >>> tensor[np.random.default_rng(0).random(tensor.shape) < 0.4] = np.nan
    >>> found = rr.complete(tensor, seeds=2)
    >>> bool(np.isnan(found.completed).any())
    False
    """
    incomplete = incomplete_tensor(source, mask, values=values, mode_dims=mode_dims)
    result = run_completion(
        incomplete.observations,
        CompletionConfig(**settings),
        axes=incomplete.axes,
        checkpoint=checkpoint,
        progress=progress,
    )
    return CompletedTensor(incomplete, result)
