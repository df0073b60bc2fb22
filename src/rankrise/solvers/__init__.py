"""Solvers: a problem, a start and a rule make a trajectory."""

from rankrise.solvers._adaptive_gradient_descent import (
    AdaptiveGradientDescent as AdaptiveGradientDescent,
)
from rankrise.solvers._contract import AbstractSolver as AbstractSolver
from rankrise.solvers._contract import Step as Step
from rankrise.solvers._gradient_descent import GradientDescent as GradientDescent
from rankrise.solvers._gradient_flow import GradientFlow as GradientFlow
from rankrise.solvers._loop import Stop as Stop
from rankrise.solvers._minibatch import Minibatch as Minibatch
from rankrise.solvers._named import make_solver as make_solver
from rankrise.solvers._named import optax_optimizer as optax_optimizer
from rankrise.solvers._optax import OptaxDescent as OptaxDescent
from rankrise.solvers._reference_flow import Crossing as Crossing
from rankrise.solvers._reference_flow import ReferenceFlow as ReferenceFlow
from rankrise.solvers._reference_flow import flow_until as flow_until
from rankrise.solvers._reference_flow import reference_flow as reference_flow
from rankrise.solvers._reference_flow import reference_flows as reference_flows
from rankrise.solvers._reference_flow import velocity as velocity
from rankrise.solvers._solve import RunFailedError as RunFailedError
from rankrise.solvers._solve import solve as solve
from rankrise.solvers._spectral_radius import spectral_radius as spectral_radius
from rankrise.solvers._start_checks import checked_starts as checked_starts
