"""Practical completion: components enter along a path of falling penalties."""

from rankrise.completion._baseline import Baseline as Baseline
from rankrise.completion._baseline_only import (
    complete_by_baseline as complete_by_baseline,
)
from rankrise.completion._completer import Completing as Completing
from rankrise.completion._completer import CompletingProgress as CompletingProgress
from rankrise.completion._completer import check_enough as check_enough
from rankrise.completion._completer import (
    complete_observations as complete_observations,
)
from rankrise.completion._completer import completion_of as completion_of
from rankrise.completion._completion import Completion as Completion
from rankrise.completion._completion import Member as Member
from rankrise.completion._gaps import Folds as Folds
from rankrise.completion._gaps import HeldOut as HeldOut
from rankrise.completion._gaps import fiber_modes as fiber_modes
from rankrise.completion._gaps import make_folds as make_folds
from rankrise.completion._noise import Noise as Noise
from rankrise.completion._noise import fit_noise as fit_noise
from rankrise.completion._path import Path as Path
from rankrise.completion._path import PathPoint as PathPoint
