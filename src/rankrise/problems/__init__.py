"""Problems: observations with a loss."""

from rankrise.problems._completion import CompletionProblem as CompletionProblem
from rankrise.problems._contract import AbstractProblem as AbstractProblem
from rankrise.problems._losses import AbsoluteLoss as AbsoluteLoss
from rankrise.problems._losses import AbstractLoss as AbstractLoss
from rankrise.problems._losses import HuberLoss as HuberLoss
from rankrise.problems._losses import LogisticLoss as LogisticLoss
from rankrise.problems._losses import PoissonLoss as PoissonLoss
from rankrise.problems._losses import SmoothL1Loss as SmoothL1Loss
from rankrise.problems._losses import SquaredLoss as SquaredLoss
from rankrise.problems._sensing import SensingProblem as SensingProblem
