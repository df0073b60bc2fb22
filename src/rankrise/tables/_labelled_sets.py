"""Labelled data sets by name or from files, as samples of features with few values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError
from rankrise.tables._categories import CategoricalData
from rankrise.tables._image_sets import IMAGE_SETS, load_image_set
from rankrise.tables._split import LabelledSet, TargetKind
from rankrise.tables._table_files import (
    FORMS,
    TableColumns,
    named_lines,
    read_table_file,
)
from rankrise.tables._tables import folds_or_share, labelled_folds
from rankrise.tensors.files import named_refusals

_LARGEST_DIGIT_PIXEL = 16
_LARGEST_PIXEL = 255
_PIXEL_LEVELS = 2


def load_labelled_set(
    name: str | Path,
    *,
    columns: TableColumns | None = None,
    target_kind: TargetKind | None = None,
    levels: int | None = None,
    test_share: float = 0.2,
    seed: int = 0,
) -> LabelledSet:
    """Samples by the name of a set (digits, mnist, fashion-mnist) or of a file.

    Parameters
    ----------
    name
        A set, whose features are the pixels of images; or a table: a `.csv` whose
        first line names the columns, a `.parquet`, or an `.npz` with the arrays `X`
        and `y`.
    columns
        Which columns of a table to predict, leave out or take for categories.
    target_kind
        Whether a table's classes are told apart or values predicted; by default
        floating point is values and all else is classes.
    levels
        How many values of equal width a pixel is rounded to, by default 2, when it
        counts from the middle on as in Razin et al. (2021); or the most intervals that
        a column of numbers is put into, by default as `labelled_table` chooses.
    test_share, seed
        Share of the samples kept for testing where the set does not say which, and the
        seed of choosing them.

    Raises
    ------
    InputError
        If there is no such set or file, or the file cannot be used.

    Examples
    --------
    >>> import rankrise as rr
    >>> digits = rr.tables.load_labelled_set("digits")
    >>> len(digits.train_labels), len(digits.test_labels)
    (1438, 359)
    """
    (samples,) = load_labelled_folds(
        name,
        columns=columns,
        target_kind=target_kind,
        levels=levels,
        folds=1,
        test_share=test_share,
        seed=seed,
    )
    return samples


def load_labelled_folds(
    name: str | Path,
    *,
    columns: TableColumns | None = None,
    target_kind: TargetKind | None = None,
    levels: int | None = None,
    folds: int | None = None,
    test_share: float | None = None,
    seed: int = 0,
) -> tuple[LabelledSet, ...]:
    """The same split several times, so that every sample is tested once.

    Parameters
    ----------
    folds
        How many times; 1 sets aside a share `test_share` (0.2). By default 5 for up to
        10,000 samples; 1 for more, where a share is given, or where the set says which
        are for testing.
    """
    known = str(name) in ("digits", *IMAGE_SETS)
    if known and (columns or target_kind):
        raise InputError(
            f"{name} has labels of its own; columns to predict, to leave out or to "
            "take for categories are those of tables in files."
        )
    if str(name) == "digits":
        return _digits(levels or _PIXEL_LEVELS, folds, test_share, seed)
    if known:
        if folds not in (None, 1):
            raise InputError(
                f"{name} says which samples are for testing, so there are no `folds`; "
                "leave them out."
            )
        return (_images(str(name), levels or _PIXEL_LEVELS),)
    path = Path(name)
    if not path.exists() and not path.suffix:
        raise InputError(
            f"There is no data set {str(name)!r}; choose digits, "
            f"{' or '.join(IMAGE_SETS)}, or name a table "
            f"({', '.join('.' + form for form in FORMS)})."
        )
    table = read_table_file(path, columns or TableColumns())
    with named_refusals(path), named_lines(table):
        found = labelled_folds(
            table.features,
            table.targets,
            folds=folds,
            test_share=test_share,
            seed=seed,
            levels=levels,
            target_kind=target_kind,
        )
    return tuple(samples.of_file(path, table.content_sha256) for samples in found)


def rounded_pixels(
    pixels: npt.NDArray[Any], levels: int, largest: int
) -> npt.NDArray[np.uint8]:
    """Levels of equal width, the lowest 0."""
    thresholds = [-(-(largest + 1) * level // levels) for level in range(1, levels)]
    # One byte an entry at any time: wider products would be the data several times.
    table = np.searchsorted(thresholds, np.arange(largest + 1), side="right")
    return table.astype(np.uint8)[pixels.astype(np.uint8, copy=False)]


def _images(name: str, levels: int) -> LabelledSet:
    images = load_image_set(name)
    train, test = (
        rounded_pixels(pixels, levels, _LARGEST_PIXEL)
        for pixels in (images.train_images, images.test_images)
    )
    data = CategoricalData.from_codes(train, levels)
    return LabelledSet(
        data, images.train_labels, data.encode(test), images.test_labels, images.source
    )


def _digits(
    levels: int, folds: int | None, test_share: float | None, seed: int
) -> tuple[LabelledSet, ...]:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    pixels = rounded_pixels(images, levels, _LARGEST_DIGIT_PIXEL)
    found = []
    for rows, others in folds_or_share(labels, folds, test_share, seed):
        data = CategoricalData.from_codes(pixels[rows], levels)
        test = data.encode(pixels[others])
        found.append(
            LabelledSet(
                data, labels[rows], test, labels[others], "scikit-learn's digits"
            )
        )
    return tuple(found)
