"""Numbers drawn for each entry of a tensor, wherever it is stored.

They depend on the entry's indices and a seed alone: not on the order of the entries,
nor on which of them lie in the same file. So the same entries are held out, and get
the same signs, on one machine and on many.
"""

import numpy as np
import numpy.typing as npt

from rankrise._typing import Indices

Drawn = npt.NDArray[np.uint64]

# Of SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number
# generators").
_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
# Entries that are drawn for at once.
_BLOCK = 2**16


def drawn_numbers(indices: Indices, seed: int, *, purpose: int) -> Drawn:
    """A number of 64 bits for each row of indices, all of them equally likely.

    Parameters
    ----------
    purpose
        Numbers of another purpose are independent of these.
    """
    start = np.random.SeedSequence((seed, purpose)).generate_state(1, np.uint64)[0]
    out = np.empty(len(indices), np.uint64)
    for begin in range(0, len(indices), _BLOCK):
        block = slice(begin, begin + _BLOCK)
        numbers = np.full(len(out[block]), start)
        for column in indices[block].T:
            numbers = _mixed((numbers ^ column.astype(np.uint64)) + _STEP)
        out[block] = numbers
    return out


def _mixed(numbers: Drawn) -> Drawn:
    numbers = (numbers ^ (numbers >> np.uint64(30))) * _FIRST
    numbers = (numbers ^ (numbers >> np.uint64(27))) * _SECOND
    return numbers ^ (numbers >> np.uint64(31))


def drawn_signs(indices: Indices, seed: int) -> npt.NDArray[np.int8]:
    """One or minus one for each row of indices."""
    numbers = drawn_numbers(indices, seed, purpose=SIGNS)
    return (numbers >> np.uint64(63)).astype(np.int8) * np.int8(2) - np.int8(1)


HELD_OUT, SIGNS = 0, 1
