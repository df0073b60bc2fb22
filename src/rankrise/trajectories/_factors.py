"""Final factorizations beside a trajectory, as an .npz without pickle."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from rankrise._atomic import atomic_path
from rankrise._errors import InputError
from rankrise.factorizations import (
    AbstractFactorization,
    CPFactorization,
    DeepMatrixFactorization,
    ProductPoolingNetwork,
)


def save_factors(
    path: Path | str,
    models: Sequence[AbstractFactorization],
    labels: Mapping[str, Sequence[Any]] | None = None,
) -> Path:
    """Write the arrays of factorizations, atomically.

    Parameters
    ----------
    labels
        One value per run under each name (seeds, init scales), stored beside them.

    Notes
    -----
    A single CP factorization is stored under `mode_1`, `mode_2`, ...; run `i` of
    several under `run_i_mode_1`, ... Layers of a deep matrix under `layer_1`, ...

    Examples
    --------
    >>> import tempfile, jax, rankrise as rr
    >>> start = rr.factorizations.near_zero((4, 5), 3, key=jax.random.key(0))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = rr.trajectories.save_factors(f"{folder}/factors.npz", [start])
    ...     again = rr.trajectories.load_factors(path)
    >>> again.mode_dims
    (4, 5)
    """
    arrays: dict[str, Any] = {}
    for index, model in enumerate(models):
        prefix = "" if len(models) == 1 else f"run_{index}_"
        word, matrices = _named_matrices(model)
        for number, matrix in enumerate(matrices, start=1):
            arrays[f"{prefix}{word}_{number}"] = np.asarray(matrix)
    for name, values in (labels or {}).items():
        arrays[name] = np.asarray(values)
    path = Path(path)
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)
    return path


def load_factors(path: Path | str, run: int | None = None) -> CPFactorization:
    """Read one CP factorization that `save_factors` wrote, in JAX's precision.

    Parameters
    ----------
    run
        Which, where the file holds several runs.
    """
    path = Path(path)
    prefix = "" if run is None else f"run_{run}_"
    try:
        # Opened here, because np.load forgets to close a file it fails on.
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            order = sum(name.startswith(f"{prefix}mode_") for name in file.files)
            matrices = [file[f"{prefix}mode_{n}"] for n in range(1, order + 1)]
    # A damaged file can fail anywhere inside a reader, with any exception.
    except Exception as error:
        raise InputError(
            f"{path} cannot be read as factors ({error}); give a factors.npz that a "
            "run wrote."
        ) from error
    if not matrices:
        raise InputError(
            f"{path} holds no factor matrices under {prefix}mode_1, ...; choose the "
            "run with `run=0`, `run=1`, ..."
            if run is None
            else f"{path} holds no run {run}."
        )
    return CPFactorization(tuple(jnp.asarray(matrix) for matrix in matrices))


def _named_matrices(model: AbstractFactorization) -> tuple[str, Sequence[Any]]:
    if isinstance(model, CPFactorization):
        return "mode", model.factor_matrices
    if isinstance(model, ProductPoolingNetwork):
        return "mode", model.factorization.factor_matrices
    if isinstance(model, DeepMatrixFactorization):
        return "layer", model.layers
    raise InputError(
        f"Only CP and deep matrix factorizations are stored; got "
        f"{type(model).__name__}."
    )
