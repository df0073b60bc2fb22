"""Tensor rank as a measure of how complex a data set is."""

from rankrise.complexity._complexity import Complexity as Complexity
from rankrise.complexity._controls import CONTROL_NAMES as CONTROL_NAMES
from rankrise.complexity._controls import CONTROLS as CONTROLS
from rankrise.complexity._controls import Control as Control
from rankrise.complexity._controls import random_inputs as random_inputs
from rankrise.complexity._controls import random_labels as random_labels
from rankrise.complexity._curve import SPLITS as SPLITS
from rankrise.complexity._curve import RankCurve as RankCurve
from rankrise.complexity._curve import RankFit as RankFit
from rankrise.complexity._curve import SmallestRank as SmallestRank
from rankrise.complexity._curve import Split as Split
from rankrise.complexity._rank_curve import rank_curve as rank_curve
from rankrise.complexity._rank_curve import rank_curve_of as rank_curve_of
