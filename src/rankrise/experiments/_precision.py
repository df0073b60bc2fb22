"""Floating-point precision for the length of a run."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from rankrise.experiments._options import Precision


@contextmanager
def precision(name: Precision) -> Iterator[None]:
    """JAX's default floating-point type inside the block."""
    with jax.enable_x64(name == "float64"):
        yield
