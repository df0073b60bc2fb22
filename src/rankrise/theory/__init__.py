"""Theory: claims of the paper, predicted against measured."""

from rankrise.theory._claim import Claim as Claim
from rankrise.theory._claim import Theorem as Theorem
from rankrise.theory._claim import Verdict as Verdict
from rankrise.theory._claim import claim_curves as claim_curves
from rankrise.theory._claim import claim_from_record as claim_from_record
from rankrise.theory._claim import claim_record as claim_record
from rankrise.theory._conservation import check_conservation as check_conservation
from rankrise.theory._corollary import check_corollary as check_corollary
from rankrise.theory._escape import check_escape as check_escape
from rankrise.theory._growth import check_growth as check_growth
from rankrise.theory._growth_bounds import check_growth_bounds as check_growth_bounds
from rankrise.theory._matrix_growth import check_matrix_growth as check_matrix_growth
from rankrise.theory._matrix_start import balanced_matrix as balanced_matrix
from rankrise.theory._rank_one import (
    check_rank_one_trajectory as check_rank_one_trajectory,
)

__all__ = [
    "Claim",
    "Theorem",
    "balanced_matrix",
    "check_conservation",
    "check_corollary",
    "check_escape",
    "check_growth",
    "check_growth_bounds",
    "check_matrix_growth",
    "check_rank_one_trajectory",
]


def __dir__() -> list[str]:
    return __all__
