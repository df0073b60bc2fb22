"""Arrays as a file declares them, checked before memory is taken for them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from rankrise._errors import InputError, reason
from rankrise._errors import shown as shown
from rankrise._memory import MAX_DENSE_BYTES, free_host_memory
from rankrise._typing import ModeDims
from rankrise.tensors._input_checks import LEAST_ORDER, check_order

_REAL_KINDS = "fiub"
_LISTED_ARRAYS = 8
_SHARE_OF_FREE_MEMORY = 0.5
FEWER_ENTRIES = "give fewer entries, or the observed ones as coordinates (.csv, .tns)"
FEWER_ROWS = "give fewer rows or columns"


@dataclass(frozen=True)
class Declared:
    """An array as its file announces it.

    Attributes
    ----------
    type_name
        The data type, as the file's form calls it.
    fits
        Whether it could be the tensor, if the caller names none.
    """

    name: str
    shape: tuple[int, ...]
    type_name: str
    fits: bool

    def __str__(self) -> str:
        return f"{shown(self.name)} {self.shape} {self.type_name}"


def choose(arrays: list[Declared], variable: str | None) -> Declared:
    """The array named by `variable`, or else the only one that fits."""
    arrays = sorted(arrays, key=lambda array: not array.fits)
    listed = ", ".join(str(array) for array in arrays[:_LISTED_ARRAYS])
    if len(arrays) > _LISTED_ARRAYS:
        listed += f" and {len(arrays) - _LISTED_ARRAYS} more"
    if not arrays:
        raise InputError("It holds no array; a tensor of order two or more is needed.")
    if variable is not None:
        named = [array for array in arrays if array.name == variable]
        if not named:
            raise InputError(
                f"It has no variable {shown(variable)}; it holds {listed}."
            )
        return named[0]
    if len(arrays) == 1:
        return arrays[0]
    fitting = [array for array in arrays if array.fits]
    if not fitting:
        raise InputError(
            f"It holds {listed}, none of them an array of real numbers of order two or "
            "more; save such an array."
        )
    if len(fitting) > 1:
        raise InputError(
            f"It holds several arrays: {listed}; name the one to read (`variable`)."
        )
    return fitting[0]


def check_tensor(
    shape: tuple[int, ...], dtype: np.dtype[Any], mode_dims: ModeDims | None
) -> None:
    """Refuse an array that is no tensor of real numbers, or not of `mode_dims`."""
    check_real(dtype)
    check_order(shape)
    check_same_dims(shape, mode_dims)
    # Indices of the observed entries are made twice, beside the array and float64.
    entry_bytes = 16 * len(shape) + 9 + dtype.itemsize
    check_memory(
        math.prod(shape) * max(dtype.itemsize, 8),
        f"An array of shape {shape}",
        copies=entry_bytes / max(dtype.itemsize, 8),
    )


def check_same_dims(shape: ModeDims, mode_dims: ModeDims | None) -> None:
    """Refuse other mode dimensions than an array has."""
    if mode_dims is not None and mode_dims != shape:
        raise InputError(
            f"The array has shape {shape} but `mode_dims` says {mode_dims}; leave "
            "`mode_dims` out, it is for coordinates."
        )


def could_be_tensor(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether an array has real numbers and enough modes."""
    return dtype.kind in _REAL_KINDS and len(shape) >= LEAST_ORDER.get()


def check_real(dtype: np.dtype[Any]) -> None:
    """Refuse what is not a plain real number, Python objects first of all."""
    if dtype.hasobject:
        raise InputError(
            "The array holds Python objects, which are never unpickled because that "
            "can run code; save an array of real numbers."
        )
    if dtype.kind not in _REAL_KINDS:
        raise InputError(f"The array has data type {dtype}; real numbers are needed.")


def check_memory(
    byte_count: int, what: str, *, copies: float = 4.0, advice: str = FEWER_ENTRIES
) -> None:
    """Refuse what takes more memory than one file may ask for.

    Parameters
    ----------
    byte_count
        Memory of the unpacked values, at eight bytes each or more.
    copies
        Peak memory of reading, as a multiple of that; at most half of the free memory
        may be taken.
    """
    free, limit, whose = free_host_memory(), MAX_DENSE_BYTES, "the most that is read"
    if free is not None and _SHARE_OF_FREE_MEMORY * free / copies < limit:
        limit = int(_SHARE_OF_FREE_MEMORY * free / copies)
        whose = f"and reading takes {copies:.3g} times that, over half of what is free"
    if byte_count > limit:
        raise InputError(
            f"{what} needs more than {limit / 2**30:.3g} GiB of memory, {whose}; "
            f"{advice}."
        )


@contextmanager
def refuse_damaged(form: str) -> Iterator[None]:
    """Turn whatever a reader of `form` raises on a damaged file into one sentence."""
    try:
        yield
    except (InputError, ImportError):
        raise
    except MemoryError as error:
        raise InputError(
            "It takes more memory than there is; close other programs, or give fewer "
            "entries."
        ) from error
    # A damaged file can fail anywhere inside a reader, with any exception.
    except Exception as error:
        raise InputError(
            f"It cannot be read as {form} ({reason(error)}); it is damaged, or its "
            "extension is not that of its content."
        ) from error
