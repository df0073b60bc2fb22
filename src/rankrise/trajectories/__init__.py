"""What is measured along runs, when, and the record of it."""

from rankrise.trajectories._factors import load_factors as load_factors
from rankrise.trajectories._factors import save_factors as save_factors
from rankrise.trajectories._observables import AbstractObservable as AbstractObservable
from rankrise.trajectories._observables import ComponentNorms as ComponentNorms
from rankrise.trajectories._observables import EffectiveRank as EffectiveRank
from rankrise.trajectories._observables import EntropyRank as EntropyRank
from rankrise.trajectories._observables import FrobeniusNorm as FrobeniusNorm
from rankrise.trajectories._observables import HeldOutError as HeldOutError
from rankrise.trajectories._observables import Pull as Pull
from rankrise.trajectories._observables import (
    ReconstructionError as ReconstructionError,
)
from rankrise.trajectories._observables import TrainError as TrainError
from rankrise.trajectories._observables import TrainLoss as TrainLoss
from rankrise.trajectories._observables import Unbalancedness as Unbalancedness
from rankrise.trajectories._observables import problem_scale as problem_scale
from rankrise.trajectories._observables import (
    standard_observables as standard_observables,
)
from rankrise.trajectories._rises import arrival as arrival
from rankrise.trajectories._rises import crossing as crossing
from rankrise.trajectories._rises import rises as rises
from rankrise.trajectories._save_at import SaveAt as SaveAt
from rankrise.trajectories._save_at import Schedule as Schedule
from rankrise.trajectories._summary import plateau_records as plateau_records
from rankrise.trajectories._summary import summarize_run as summarize_run
from rankrise.trajectories._summary import summarize_trajectory as summarize_trajectory
from rankrise.trajectories._trajectory import KeptComponents as KeptComponents
from rankrise.trajectories._trajectory import Outcome as Outcome
from rankrise.trajectories._trajectory import Trajectory as Trajectory
from rankrise.trajectories._trajectory import build_dataset as build_dataset
from rankrise.trajectories._trajectory import (
    check_kept_components as check_kept_components,
)
