"""Losses of one prediction against one observed value; they work without JAX."""

from rankrise._array_namespace import array_namespace as array_namespace
from rankrise.losses._contract import AbstractLoss as AbstractLoss
from rankrise.losses._linked import IdentityPoissonLoss as IdentityPoissonLoss
from rankrise.losses._linked import LogisticLoss as LogisticLoss
from rankrise.losses._linked import PoissonLoss as PoissonLoss
from rankrise.losses._linked import negative_log_likelihood as negative_log_likelihood
from rankrise.losses._named import loss_named as loss_named
from rankrise.losses._residual import AbsoluteLoss as AbsoluteLoss
from rankrise.losses._residual import HuberLoss as HuberLoss
from rankrise.losses._residual import SmoothL1Loss as SmoothL1Loss
from rankrise.losses._residual import SquaredLoss as SquaredLoss

__all__ = [
    "AbsoluteLoss",
    "AbstractLoss",
    "HuberLoss",
    "IdentityPoissonLoss",
    "LogisticLoss",
    "PoissonLoss",
    "SmoothL1Loss",
    "SquaredLoss",
    "array_namespace",
]


def __dir__() -> list[str]:
    return __all__
