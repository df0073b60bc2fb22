"""A data set beside the same with random inputs or random labels."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rankrise.tables import CategoricalData

Control = Literal["data", "inputs", "labels"]
CONTROLS: tuple[Control, ...] = ("data", "inputs", "labels")
CONTROL_NAMES: dict[Control, str] = {
    "data": "data",
    "inputs": "random inputs",
    "labels": "random labels",
}


def random_inputs(data: CategoricalData, *, seed: int) -> CategoricalData:
    """Samples uniform over each feature's values, independent of one another.

    With the labels left as they are, every class keeps its count (Razin et al. 2021,
    Section 5).

    Examples
    --------
    >>> import rankrise as rr
    >>> digits = rr.tables.load_labelled_set("digits").train
    >>> rr.random_inputs(digits, seed=0).cardinalities == digits.cardinalities
    True
    """
    rng = np.random.default_rng(seed)
    codes = np.empty_like(data.codes)
    counts = np.array(data.cardinalities)
    if len(set(data.cardinalities)) == 1:
        codes = rng.integers(0, counts[0], codes.shape, dtype=np.uint8)
    else:
        for feature, count in enumerate(counts):
            codes[:, feature] = rng.integers(0, count, len(codes), dtype=np.uint8)
    return CategoricalData(codes, data.cardinalities, data.order)


def random_labels(labels: npt.NDArray[Any], *, seed: int) -> npt.NDArray[Any]:
    """The same labels in random order.

    Examples
    --------
    >>> import numpy as np, rankrise as rr
    >>> mixed = rr.random_labels(np.array([0, 0, 1, 1, 2]), seed=0)
    >>> sorted(mixed.tolist())
    [0, 0, 1, 1, 2]
    """
    return np.random.default_rng(seed).permutation(labels)
