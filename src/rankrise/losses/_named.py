"""Losses by the names they have in settings."""

from rankrise._errors import InputError
from rankrise.losses._contract import AbstractLoss
from rankrise.losses._linked import IdentityPoissonLoss, LogisticLoss, PoissonLoss
from rankrise.losses._residual import (
    AbsoluteLoss,
    HuberLoss,
    SmoothL1Loss,
    SquaredLoss,
)


def loss_named(name: str, threshold: float = 1.0) -> AbstractLoss:
    """The loss of that name; the threshold is used where it has one."""
    losses: dict[str, AbstractLoss] = {
        "squared": SquaredLoss(),
        "absolute": AbsoluteLoss(),
        "huber": HuberLoss(threshold),
        "smooth-l1": SmoothL1Loss(threshold),
        "logistic": LogisticLoss(),
        "poisson": PoissonLoss(),
        "poisson-identity": IdentityPoissonLoss(),
    }
    if name not in losses:
        raise InputError(
            f"There is no loss {name!r}; choose one of {', '.join(losses)}."
        )
    return losses[name]
