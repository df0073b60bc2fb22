"""The main job: a partly observed tensor completes itself."""

from rankrise.completion._accuracy import Noise as Noise
from rankrise.completion._arrangement import unseen_entries as unseen_entries
from rankrise.completion._checks import check_enough as check_enough
from rankrise.completion._compiled import load_kernels as load_kernels
from rankrise.completion._complete import complete as complete
from rankrise.completion._complete import (
    complete_by_alternation as complete_by_alternation,
)
from rankrise.completion._complete import (
    complete_by_constants as complete_by_constants,
)
from rankrise.completion._complete import complete_tensor as complete_tensor
from rankrise.completion._estimate_rank import estimate_rank as estimate_rank
from rankrise.completion._estimate_rank import (
    estimate_tensor_rank as estimate_tensor_rank,
)
from rankrise.completion._holdout import Folds as Folds
from rankrise.completion._holdout import HeldOut as HeldOut
from rankrise.completion._holdout import fiber_modes as fiber_modes
from rankrise.completion._holdout import make_folds as make_folds
from rankrise.completion._model import Model as Model
from rankrise.completion._model import signed as signed
from rankrise.completion._model_runs import CompletionProgress as CompletionProgress
from rankrise.completion._options import CompletionOptions as CompletionOptions
from rankrise.completion._path import Path as Path
from rankrise.completion._path import PathPoint as PathPoint
from rankrise.completion._plain_fit import PlainFits as PlainFits
from rankrise.completion._rank_table import RankEstimate as RankEstimate
from rankrise.completion._rank_table import RankProgress as RankProgress
from rankrise.completion._rank_table import RankRow as RankRow
from rankrise.completion._result import Completion as Completion
from rankrise.completion._settings import CompletionSettings as CompletionSettings
from rankrise.completion._settings import GradientMethod as GradientMethod
from rankrise.completion._settings import LossName as LossName
from rankrise.completion._settings import SingleLossName as SingleLossName
from rankrise.completion._summary import summarize_completion as summarize_completion
from rankrise.completion.parts import CompletionOfParts as CompletionOfParts
from rankrise.completion.parts import complete_parts as complete_parts
from rankrise.completion.parts import complete_parts_as_set as complete_parts_as_set
