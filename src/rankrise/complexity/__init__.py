"""Tensor rank as a measure of how complex a data set is."""

from rankrise.complexity._controls import CONTROLS as CONTROLS
from rankrise.complexity._controls import Control as Control
from rankrise.complexity._rank_curve import RankCurve as RankCurve
from rankrise.complexity._rank_curve import RankFit as RankFit
from rankrise.complexity._rank_curve import rank_curve as rank_curve
