"""Many predictors on shared data, trained as columns of one table."""

from rankrise.ensembles._ensemble import Member as Member
from rankrise.ensembles._fit import EnsembleFit as EnsembleFit
from rankrise.ensembles._fit import FitProgress as FitProgress
from rankrise.ensembles._fit import Samples as Samples
from rankrise.ensembles._fit import fit_ensemble as fit_ensemble
from rankrise.ensembles._levenberg_marquardt import (
    LevenbergMarquardt as LevenbergMarquardt,
)
from rankrise.ensembles._memory import check_memory as check_memory
from rankrise.ensembles._training import Training as Training
from rankrise.ensembles._training import quick_training as quick_training
from rankrise.ensembles._training import (
    suits_quick_training as suits_quick_training,
)
from rankrise.ensembles._training import usual_training as usual_training

__all__ = [
    "EnsembleFit",
    "LevenbergMarquardt",
    "Member",
    "Samples",
    "Training",
    "fit_ensemble",
    "quick_training",
    "suits_quick_training",
    "usual_training",
]


def __dir__() -> list[str]:
    return __all__
