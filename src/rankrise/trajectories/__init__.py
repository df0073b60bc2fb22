"""What is measured along runs, when, and the record of it."""

from rankrise.trajectories._factors import load_factors as load_factors
from rankrise.trajectories._factors import save_factors as save_factors
from rankrise.trajectories._observables import Observable as Observable
from rankrise.trajectories._observables import effective_rank as effective_rank
from rankrise.trajectories._observables import heldout_error as heldout_error
from rankrise.trajectories._observables import (
    reconstruction_error as reconstruction_error,
)
from rankrise.trajectories._observables import (
    standard_observables as standard_observables,
)
from rankrise.trajectories._recording import Recording as Recording
from rankrise.trajectories._rises import arrival as arrival
from rankrise.trajectories._rises import crossing as crossing
from rankrise.trajectories._rises import rises as rises
from rankrise.trajectories._save_at import SaveAt as SaveAt
from rankrise.trajectories._save_at import Schedule as Schedule
from rankrise.trajectories._summary import plateau_records as plateau_records
from rankrise.trajectories._summary import summarize_run as summarize_run
from rankrise.trajectories._summary import summarize_trajectory as summarize_trajectory
from rankrise.trajectories._trajectory import Outcome as Outcome
from rankrise.trajectories._trajectory import Trajectory as Trajectory
from rankrise.trajectories._trajectory import build_dataset as build_dataset
from rankrise.trajectories._trajectory import draw_groups as draw_groups

__all__ = [
    "Observable",
    "Outcome",
    "Recording",
    "SaveAt",
    "Trajectory",
    "effective_rank",
    "heldout_error",
    "load_factors",
    "reconstruction_error",
    "save_factors",
    "standard_observables",
]


def __dir__() -> list[str]:
    return __all__
