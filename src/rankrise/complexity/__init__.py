"""Tensor rank as a measure of how complex a data set is."""

from rankrise.complexity._controls import CONTROLS as CONTROLS
from rankrise.complexity._controls import Control as Control
from rankrise.complexity._ensemble import Member as Member
from rankrise.complexity._fit import EnsembleFit as EnsembleFit
from rankrise.complexity._fit import FitProgress as FitProgress
from rankrise.complexity._fit import Samples as Samples
from rankrise.complexity._fit import fit_ensemble as fit_ensemble
from rankrise.complexity._rank_curve import RankCurve as RankCurve
from rankrise.complexity._rank_curve import RankFit as RankFit
from rankrise.complexity._rank_curve import rank_curve as rank_curve
from rankrise.complexity._training import Training as Training
