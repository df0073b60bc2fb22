"""Random targets, sampled entries and measurements of known tensors."""

from rankrise.synthetic._measurements import (
    gaussian_measurements as gaussian_measurements,
)
from rankrise.synthetic._measurements import measure as measure
from rankrise.synthetic._measurements import rank_k_measurements as rank_k_measurements
from rankrise.synthetic._sampling import missing_fibers as missing_fibers
from rankrise.synthetic._sampling import observe as observe
from rankrise.synthetic._sampling import sample_indices as sample_indices
from rankrise.synthetic._targets import cp_component_norms as cp_component_norms
from rankrise.synthetic._targets import cp_entries as cp_entries
from rankrise.synthetic._targets import cp_frobenius_norm as cp_frobenius_norm
from rankrise.synthetic._targets import khatri_rao as khatri_rao
from rankrise.synthetic._targets import random_target as random_target

__all__ = [
    "cp_entries",
    "cp_frobenius_norm",
    "gaussian_measurements",
    "measure",
    "missing_fibers",
    "observe",
    "random_target",
    "rank_k_measurements",
    "sample_indices",
]


def __dir__() -> list[str]:
    return __all__
