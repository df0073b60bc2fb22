"""Labelled data sets by name, as samples of features with few values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.data._categories import CategoricalData
from rankrise.data._image_sets import IMAGE_SETS, load_image_set

_LARGEST_DIGIT_PIXEL = 16
_LARGEST_PIXEL = 255


@dataclass(frozen=True, eq=False)
class LabelledSet:
    """Samples and labels for training and testing.

    Attributes
    ----------
    source
        Where it is from, for the record.
    """

    train: CategoricalData
    train_labels: npt.NDArray[Any]
    test: CategoricalData
    test_labels: npt.NDArray[Any]
    source: str


def load_labelled_set(
    name: str, *, levels: int = 2, test_share: float = 0.2, seed: int = 0
) -> LabelledSet:
    """Images with pixels rounded to some levels: digits, mnist or fashion-mnist.

    Parameters
    ----------
    levels
        Of equal width; with two, a pixel counts from the middle on, as in Razin et al.
        (2021).
    test_share, seed
        Share of the samples kept for testing where the set does not say which, and the
        seed of choosing them.
    """
    if name == "digits":
        return _digits(levels, test_share, seed)
    if name not in IMAGE_SETS:
        raise InputError(
            f"There is no data set {name!r}; choose digits, {' or '.join(IMAGE_SETS)}."
        )
    images = load_image_set(name)
    train = CategoricalData.from_codes(
        rounded_pixels(images.train_images, levels, _LARGEST_PIXEL), levels
    )
    test = train.encode(rounded_pixels(images.test_images, levels, _LARGEST_PIXEL))
    return LabelledSet(
        train, images.train_labels, test, images.test_labels, images.source
    )


def rounded_pixels(
    pixels: npt.NDArray[Any], levels: int, largest: int
) -> npt.NDArray[np.uint8]:
    """Levels of equal width, the lowest 0."""
    thresholds = [-(-(largest + 1) * level // levels) for level in range(1, levels)]
    # One byte an entry at any time: wider products would be the data several times.
    table = np.searchsorted(thresholds, np.arange(largest + 1), side="right")
    return table.astype(np.uint8)[pixels.astype(np.uint8, copy=False)]


def _digits(levels: int, test_share: float, seed: int) -> LabelledSet:
    from sklearn.datasets import load_digits

    digits = load_digits()
    pixels = rounded_pixels(digits.data, levels, _LARGEST_DIGIT_PIXEL)
    order = np.random.default_rng(seed).permutation(len(pixels))
    kept = round(test_share * len(pixels))
    testing, training = order[:kept], order[kept:]
    train = CategoricalData.from_codes(pixels[training], levels)
    return LabelledSet(
        train,
        digits.target[training],
        train.encode(pixels[testing]),
        digits.target[testing],
        "scikit-learn's digits",
    )
