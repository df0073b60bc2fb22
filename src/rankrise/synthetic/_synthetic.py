"""What synthetic data shares: seeds, noise, checked sizes and blocks of rows."""

import enum
import math
from collections.abc import Iterator

import numpy as np

from rankrise._errors import InputError
from rankrise._typing import ModeDims, Values

_BLOCK_NUMBERS = 2**20


@enum.unique
class Stream(enum.IntEnum):
    """What random numbers are for.

    Every purpose has its own stream, so one seed serves a whole experiment: the
    target, the observed entries and the noise it gives are independent of each other.
    """

    # 0 is left out: [seed, 0] seeds the same stream as the bare seed.
    TARGET = 1
    INDICES = 2
    FIBERS = 3
    ENTRY_NOISE = 4
    GAUSSIAN_MEASUREMENTS = 5
    RANK_K_MEASUREMENTS = 6
    MEASUREMENT_NOISE = 7


def generator(seed: int, stream: Stream) -> np.random.Generator:
    """The random numbers of a seed for one purpose."""
    if seed < 0:
        raise InputError(f"The seed is {seed}; use a whole number from 0 upwards.")
    return np.random.default_rng([seed, int(stream)])


def noisy(
    values: Values,
    noise_level: float,
    root_mean_square: float,
    rng: np.random.Generator,
) -> Values:
    """Add Gaussian noise of standard deviation `noise_level * root_mean_square`."""
    if not 0 <= noise_level < math.inf:
        raise InputError(
            f"The noise level is {noise_level}; it is the noise's standard deviation "
            "over the root mean square of the signal, finite and not negative."
        )
    return values + noise_level * root_mean_square * rng.standard_normal(len(values))


def checked_mode_dims(mode_dims: ModeDims) -> ModeDims:
    """The mode dimensions as Python integers, whose products never overflow."""
    dims = tuple(int(dim) for dim in mode_dims)
    if len(dims) < 2:
        raise InputError(
            f"The mode dimensions {dims} make order {len(dims)}; a tensor needs at "
            "least two modes."
        )
    if min(dims) < 1:
        raise InputError(
            f"The mode dimensions are {dims}; each of them must be at least 1."
        )
    return dims


def at_least_one(name: str, number: int) -> int:
    """Pass a size through; `name` is the word for it in the message."""
    if number < 1:
        raise InputError(f"The {name} is {number}; it must be at least 1.")
    return number


def row_blocks(rows: int, numbers_per_row: int) -> Iterator[slice]:
    """Cut rows in blocks of about a million numbers (8 MB), at least a row each."""
    step = max(1, _BLOCK_NUMBERS // numbers_per_row)
    for start in range(0, rows, step):
        yield slice(start, min(start + step, rows))
