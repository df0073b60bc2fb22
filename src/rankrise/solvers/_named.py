"""From names in settings to solvers."""

import inspect
from typing import Any

from rankrise._errors import InputError
from rankrise.solvers._adaptive_gradient_descent import AdaptiveGradientDescent
from rankrise.solvers._contract import AbstractSolver
from rankrise.solvers._gradient_descent import GradientDescent
from rankrise.solvers._gradient_flow import GradientFlow
from rankrise.solvers._minibatch import Minibatch
from rankrise.solvers._optax import OptaxDescent

# Plain gradient descent is given the rate at which the paper's rule starts a step of
# unit gradient; any problem with another curvature needs its own.
_LEARNING_RATE = 0.01
_OPTAX_LEARNING_RATE = 0.001


def make_solver(
    name: str,
    learning_rate: float | None,
    batch_size: int | None,
    seed: int,
    *,
    rtol: float | None = None,
    weight_decay: float | None = None,
) -> AbstractSolver[Any]:
    """The solver of that name, on minibatches if a batch size is given."""
    solver: AbstractSolver[Any]
    if name == "flow":
        return GradientFlow() if rtol is None else GradientFlow(rtol=rtol)
    if name == "adaptive":
        solver = AdaptiveGradientDescent(
            learning_rate or _LEARNING_RATE, weight_decay=weight_decay or 0.0
        )
    elif name == "gradient-descent":
        solver = GradientDescent(learning_rate or _LEARNING_RATE)
    elif name.startswith("optax."):
        optimizer = optax_optimizer(name.removeprefix("optax."))
        solver = OptaxDescent(optimizer(learning_rate or _OPTAX_LEARNING_RATE))
    else:
        raise InputError(
            f"There is no solver {name!r}; choose adaptive, gradient-descent, flow, "
            "limit or an optax optimizer such as optax.adam."
        )
    return solver if batch_size is None else Minibatch(solver, batch_size, seed)


def optax_optimizer(name: str) -> Any:
    """The optax function of that name, which takes a learning rate."""
    import optax

    maker = getattr(optax, name, None)
    if not callable(maker) or name.startswith("_"):
        raise InputError(
            f"optax has no optimizer {name!r}; see its documentation for names such "
            "as adam, sgd or rmsprop."
        )
    parameters = inspect.signature(maker).parameters
    required = [
        key
        for key, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty
    ]
    if required != ["learning_rate"]:
        raise InputError(
            f"optax.{name} is not an optimizer that needs just a learning rate; choose "
            "one such as adam, sgd or rmsprop, or build a solver in Python."
        )
    return maker
