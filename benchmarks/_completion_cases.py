"""Tensors that packages ship, with entries hidden: the same ones from everyone.

A case is named `data/gap-missing`: `il2/entries-80` hides 80% of the entries one by
one, `il2/fibers-50` half of the fibers along the mode of its data set. Of what is left,
a tenth is held out to choose settings by; the rest is trained on.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.integer[Any]]

HELD_OUT_SHARE = 0.1
_TRAIN, _HELD_OUT, _TEST = range(3)


@dataclass(frozen=True)
class DataSet:
    """A tensor to be had from a package.

    Attributes
    ----------
    load
        The tensor; NaN where the data set itself lacks an entry.
    fiber_mode
        The mode along which whole fibers go missing: all bands of a pixel, say.
    """

    load: Callable[[], Floats]
    fiber_mode: int


@dataclass(frozen=True, eq=False)
class Training:
    """What a peer may see.

    Attributes
    ----------
    values
        Zero where `mask` is False; root mean square one where it is True.
    """

    values: Floats
    mask: npt.NDArray[np.bool_]
    seed: int


@dataclass(frozen=True, eq=False)
class Case:
    """A tensor whose known entries are for training, choosing settings or testing.

    Attributes
    ----------
    tensor
        Divided by `scale`, the root mean square of the entries for training; NaN where
        the data set has no entry, and these are in no part.
    train, held_out, test
        Places in the flattened tensor, ascending.
    """

    name: str
    split: int
    tensor: Floats = field(repr=False)
    scale: float
    train: Integers = field(repr=False)
    held_out: Integers = field(repr=False)
    test: Integers = field(repr=False)

    @property
    def mode_dims(self) -> tuple[int, ...]:
        return self.tensor.shape

    def training(self) -> Training:
        """The entries for training, and no other."""
        mask = np.zeros(self.tensor.size, dtype=bool)
        mask[self.train] = True
        mask = mask.reshape(self.mode_dims)
        return Training(np.where(mask, self.tensor, 0.0), mask, self.split)

    def indices(self, places: Integers) -> Integers:
        """Rows of mode indices, one a place."""
        return np.stack(np.unravel_index(places, self.mode_dims), axis=-1)

    def values(self, places: Integers) -> Floats:
        return self.tensor.reshape(-1)[places]

    def error(self, predictions: Floats, places: Integers) -> float:
        """Norm of what is off, over the norm of the values."""
        values = self.values(places)
        return float(np.linalg.norm(predictions - values) / np.linalg.norm(values))


def _tensorly(loader: str) -> Floats:
    from tensorly import datasets

    return np.asarray(getattr(datasets, loader)().tensor, dtype=float)


def _photograph(name: str) -> Floats:
    from sklearn.datasets import load_sample_image

    return load_sample_image(f"{name}.jpg")[::4, ::4].astype(float)


def _skimage(name: str) -> Floats:
    from skimage import data

    return getattr(data, name)()[::4, ::4].astype(float)


@cache
def _digits() -> Floats:
    from sklearn.datasets import load_digits

    return load_digits().images.astype(float)


DATA_SETS = {
    # Ligand, time, dose, cell type: doses that were not tried.
    "il2": DataSet(lambda: _tensorly("load_IL2data"), 2),
    # Sample, antigen, receptor: antigens that were not tried on a sample.
    "covid": DataSet(lambda: _tensorly("load_covid19_serology"), 2),
    # Concentration, emission, excitation, time: decays that were not followed.
    "kinetic": DataSet(lambda: _tensorly("load_kinetic"), 3),
    "kinetic_coarse": DataSet(lambda: _tensorly("load_kinetic")[::2, :, :, ::4], 3),
    # Row, column, band: pixels that were not seen.
    "pines": DataSet(lambda: _tensorly("load_indian_pines"), 2),
    "pines_coarse": DataSet(lambda: _tensorly("load_indian_pines")[::3, ::3, ::4], 2),
    # Row, column, colour: pixels that were not seen.
    "china": DataSet(lambda: _photograph("china"), 2),
    "flower": DataSet(lambda: _photograph("flower"), 2),
    "astronaut": DataSet(lambda: _skimage("astronaut"), 2),
    "coffee": DataSet(lambda: _skimage("coffee"), 2),
    # Image, row, column: rows of images that were not seen.
    "digits": DataSet(_digits, 2),
    "digits_600": DataSet(lambda: _digits()[:600], 2),
}
ALL = (
    *("il2/entries-50", "il2/entries-80", "il2/entries-95", "il2/fibers-50"),
    *("covid/entries-50", "covid/entries-80", "covid/fibers-50"),
    *("kinetic/entries-80", "kinetic/entries-95", "kinetic/entries-98"),
    *("kinetic/fibers-80", "kinetic_coarse/entries-95"),
    *("pines/entries-80", "pines/entries-98", "pines/fibers-80"),
    *("pines_coarse/entries-50", "pines_coarse/entries-95", "pines_coarse/fibers-80"),
    *("china/entries-80", "china/fibers-50", "flower/entries-50", "flower/entries-95"),
    *("astronaut/entries-80", "coffee/entries-95"),
    *("digits/entries-50", "digits/entries-80", "digits_600/entries-50"),
    "digits_600/fibers-50",
)
# Those of docs/complete.md, and how many splits of each it has.
DOCUMENTED = {
    name: 1
    if name.startswith(("kinetic/", "pines/"))
    or name in ("pines_coarse/entries-50", "digits/entries-50")
    else 3
    for name in ALL
    if name not in ("kinetic/entries-80", "pines/entries-80")
}
FAST = (
    "il2/entries-80",
    "covid/fibers-50",
    "kinetic_coarse/entries-95",
    "pines_coarse/fibers-80",
    "china/entries-80",
    "digits_600/entries-50",
)


@cache
def _loaded(data: str) -> Floats:
    return DATA_SETS[data].load()


def load_case(name: str, split: int) -> Case:
    """The case of that name; `split` is the seed of what is hidden."""
    data, gap, missing = _parts_of(name)
    mode = DATA_SETS[data].fiber_mode if gap == "fibers" else None
    seed = (zlib.crc32(name.encode()), split)
    return split_case(
        name, _loaded(data), missing=missing, fiber_mode=mode, split=split, seed=seed
    )


def _parts_of(name: str) -> tuple[str, Literal["entries", "fibers"], float]:
    data, _, rest = name.partition("/")
    gap, _, percent = rest.partition("-")
    if data not in DATA_SETS or gap not in ("entries", "fibers") or not percent:
        raise ValueError(
            f"There is no case {name!r}; name one as data/gap-percent, of the data "
            f"{', '.join(DATA_SETS)} and the gaps entries and fibers: {FAST[0]}."
        )
    if not percent.isdecimal() or not 0 < int(percent) < 100:
        raise ValueError(
            f"{name!r} would hide {percent}%; name a whole number from 1 to 99."
        )
    return data, "entries" if gap == "entries" else "fibers", int(percent) / 100


def split_case(
    name: str,
    tensor: Floats,
    *,
    missing: float,
    fiber_mode: int | None = None,
    split: int = 0,
    seed: int | tuple[int, ...] = 0,
) -> Case:
    """Hide entries, or whole fibers along a mode; the same seed hides the same."""
    units = _units(tensor.shape, fiber_mode)
    units[np.isnan(tensor)] = -1
    units = units.reshape(-1)
    order = np.random.default_rng(seed).permutation(np.unique(units[units >= 0]))
    hidden = round(missing * len(order))
    held_out = round(HELD_OUT_SHARE * (len(order) - hidden))
    role_of_unit = np.full(tensor.size, _TRAIN)
    role_of_unit[order[:hidden]] = _TEST
    role_of_unit[order[hidden : hidden + held_out]] = _HELD_OUT
    _cover(role_of_unit, units, tensor.shape, order)
    roles = np.where(units >= 0, role_of_unit[units], -1)
    train, choose, test = (np.flatnonzero(roles == role) for role in range(3))
    scale = float(np.sqrt(np.mean(tensor.reshape(-1)[train] ** 2)))
    return Case(name, split, tensor / scale, scale, train, choose, test)


def _units(shape: tuple[int, ...], fiber_mode: int | None) -> Integers:
    """Numbers of what goes missing as one: entries, or fibers."""
    if fiber_mode is None:
        return np.arange(np.prod(shape)).reshape(shape)
    rest = tuple(1 if mode == fiber_mode else dim for mode, dim in enumerate(shape))
    fibers = np.arange(np.prod(rest)).reshape(rest)
    return np.broadcast_to(fibers, shape).copy()


def _cover(
    role_of_unit: Integers, units: Integers, shape: tuple[int, ...], order: Integers
) -> None:
    """Move units to training until every slice that has an entry has one there.

    No method can say anything of a slice it has seen nothing of.
    """
    place_in_order = np.empty(len(role_of_unit), dtype=int)
    place_in_order[order] = np.arange(len(order))
    grid = units.reshape(shape)
    trained = (grid >= 0) & (role_of_unit[grid] == _TRAIN)
    for mode in range(len(shape)):
        others = tuple(k for k in range(len(shape)) if k != mode)
        for index in np.flatnonzero(~trained.any(axis=others)):
            within = np.unique(np.take(grid, index, axis=mode))
            within = within[within >= 0]
            # One that was moved for another slice may lie in this one, too.
            if len(within) and not np.any(role_of_unit[within] == _TRAIN):
                # Those to test come first in the order; of them there are plenty.
                first = within[np.argmin(place_in_order[within])]
                role_of_unit[first] = _TRAIN
