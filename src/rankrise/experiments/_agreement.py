"""Descent, flow and limit on one problem, on one clock."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rankrise._errors import InputError
from rankrise._typing import Values
from rankrise.drawing import Drawing, Plotted
from rankrise.experiments._agreement_config import AgreementConfig
from rankrise.experiments._precision import precision
from rankrise.factorizations import CPFactorization, near_zero
from rankrise.limit import Limit, solve_limit
from rankrise.problems import CompletionProblem
from rankrise.runs import Ending, Progress, ShowProgress, as_part, showing
from rankrise.solvers import (
    AbstractSolver,
    AdaptiveGradientDescent,
    GradientDescent,
    GradientFlow,
    Stop,
    solve,
    spectral_radius,
)
from rankrise.synthetic import observe, random_target, sample_indices
from rankrise.trajectories import (
    Recording,
    SaveAt,
    Trajectory,
    crossing,
    reconstruction_error,
)

_TOLERANCE_SHARE = 1e-4
_HALVINGS = 5
_MOST_STEPS = 2_000_000
_MOST_FLOW_STEPS = 50_000
# A flow is compared with the limit until this many times the last escape.
_AFTERWARDS = 1.5

Tell = Callable[[Progress], None]


@dataclass(frozen=True, eq=False)
class Descent:
    """Gradient descent beside the flow from the same start.

    Attributes
    ----------
    distance
        The largest difference of a component norm, at any of the times compared, over
        the largest component norm.
    """

    name: str
    learning_rate: float
    distance: float
    trajectory: Trajectory


@dataclass(frozen=True, eq=False)
class Flow:
    """The flow at one init scale beside the limit.

    Attributes
    ----------
    plateau_gaps
        At the middle of every plateau of the limit, in scaled time: how far the
        reconstruction errors of flow and limit differ.
    escape_gaps
        For every component the limit learns, in the order of their escapes: how far
        its escape in the flow (at half its final norm) is from that in the limit,
        relative to the latter.
    scaled_time
        Flow time of every save, times the power of the scale that the limit's has.
    """

    init_scale: float
    plateau_gaps: Values
    escape_gaps: Values
    scaled_time: Values
    trajectory: Trajectory

    @property
    def gap(self) -> float:
        """The largest gap of a plateau."""
        return float(np.max(self.plateau_gaps))


@dataclass(frozen=True, eq=False)
class AgreementResult(Plotted):
    """What `run_agreement` compared.

    Attributes
    ----------
    flow
        From the start with which descent is compared.
    descents
        At every learning rate, largest first; the last is the paper's adaptive rule.
    flows
        At every init scale, largest first.
    """

    config: AgreementConfig
    flow: Trajectory
    descents: list[Descent]
    limit: Trajectory
    flows: list[Flow]

    @property
    def convergence_order(self) -> float:
        """Power of the learning rate that the distance falls by, at the last two."""
        fixed = self.descents[:-1]
        if len(fixed) < 2:
            return math.nan
        larger, smaller = fixed[-2:]
        rates = larger.learning_rate / smaller.learning_rate
        return math.log(larger.distance / smaller.distance) / math.log(rates)

    def drawing(self) -> Drawing:
        """Panels `norms`, `learning rates`, `plateaus` and `init scales`."""
        from rankrise.experiments._plot import draw_agreement

        return draw_agreement(self)

    def __repr__(self) -> str:
        distances = ", ".join(f"{each.distance:.2g}" for each in self.descents)
        gaps = ", ".join(f"{each.gap:.2g}" for each in self.flows)
        return (
            f"<AgreementResult: {self.limit.result}\n"
            f" distances of descent to the flow: {distances}\n"
            f" largest gaps of the flow to its limit: {gaps}>"
        )


def run_agreement(
    config: AgreementConfig | None = None, *, progress: ShowProgress | Tell = None
) -> AgreementResult:
    """Compare descent with the flow, and the flow with its limit, on one problem."""
    config = config or AgreementConfig()
    with precision(config.precision), showing(progress) as report:
        study = _Study(config, report)
        flow, descents = study.descents()
        limit, flows = study.flows()
    return AgreementResult(config, flow, descents, limit, flows)


class _Study:
    """The problem, and what is run on it."""

    def __init__(self, config: AgreementConfig, progress: Tell | None) -> None:
        self._config, self._progress, self._done = config, progress, 0
        factors = random_target(
            config.mode_dims, config.target_rank, frobenius_norm=1.0, seed=config.seed
        )
        indices = sample_indices(
            config.mode_dims, config.observations, seed=config.seed
        )
        observations = observe(factors, indices, seed=config.seed)
        self._problem = CompletionProblem.from_observations(observations)
        target = tuple(jnp.asarray(matrix, dtype=float) for matrix in factors)
        self._recording = Recording(
            observables=(
                "loss",
                "component_norms",
                reconstruction_error(CPFactorization(target)),
            ),
            kept_components=config.components,
        )
        zero = float(jnp.mean(self._problem.values**2))
        self._tolerance = _TOLERANCE_SHARE * zero

    def _start(self, init_scale: float) -> CPFactorization:
        config = self._config
        return near_zero(
            config.mode_dims,
            config.components,
            init_scale=init_scale,
            key=jax.random.key(config.seed),
        )

    def _run(
        self,
        start: CPFactorization,
        solver: AbstractSolver[Any],
        save_at: SaveAt,
        stop: Stop | None = None,
        max_steps: int | None = None,
        end_time: float | None = None,
    ) -> Trajectory:
        with self._next_part():
            run = solve(
                self._problem,
                start,
                solver,
                max_steps=max_steps,
                end_time=end_time,
                stop=stop,
                recording=replace(self._recording, save_at=save_at),
                progress=self._progress,
            )
        return _whole(run)

    @contextmanager
    def _next_part(self) -> Iterator[None]:
        """One more of the runs: four beside those at each rate and scale, the limit."""
        rates, scales = self._config.learning_rates, self._config.init_scales
        count = 5 + (_HALVINGS if rates is None else len(rates)) + len(scales)
        with as_part(f"run {self._done + 1} of {count}", self._done, count):
            yield
        self._done += 1

    def descents(self) -> tuple[Trajectory, list[Descent]]:
        """Descent at falling learning rates, beside the flow."""
        config, start = self._config, self._start(self._config.init_scale)
        flow = GradientFlow(rtol=config.rtol)
        whole = self._run(
            start,
            flow,
            SaveAt.every(1),
            Stop(loss_tolerance=self._tolerance, patience=1),
            max_steps=_MOST_FLOW_STEPS,
        )
        if whole.result != Ending.CONVERGED:
            raise InputError(
                f"The flow from init scale {config.init_scale:g} did not learn the "
                f"target ({whole.outcomes[0].reason}); give another `seed`, more "
                "`observations` or a lower `target_rank`."
            )
        interval = float(whole.time[-1]) / config.comparisons
        rates = self._learning_rates(whole.model, interval)
        descents = [self._descent(start, rate, interval) for rate in rates]
        times = descents[0].time
        flowing = self._run(start, flow, SaveAt.times(times))
        compared = [
            Descent("gradient descent", rate, _distance(descent, flowing), descent)
            for rate, descent in zip(rates, descents, strict=True)
        ]
        return whole, [*compared, self._adaptive(start, whole)]

    def _learning_rates(self, model: CPFactorization, interval: float) -> list[float]:
        rates = self._config.learning_rates
        if rates is None:
            # Descent is stable up to two over the largest curvature.
            stable = 2 / float(spectral_radius(self._problem, model).value)
            rates = tuple(stable / 2**k for k in range(1, _HALVINGS + 1))
        fitting = [interval / math.ceil(interval / rate) for rate in rates]
        steps = self._config.comparisons * interval / min(fitting)
        if steps > _MOST_STEPS:
            raise InputError(
                f"At learning rate {min(fitting):.3g} descent would need {steps:.3g} "
                f"steps, and {_MOST_STEPS} is the most; give larger `learning_rates`."
            )
        return sorted(fitting, reverse=True)

    def _descent(
        self, start: CPFactorization, rate: float, interval: float
    ) -> Trajectory:
        between = round(interval / rate)
        steps = between * np.arange(self._config.comparisons + 1)
        solver = GradientDescent(jnp.asarray(rate))
        return self._run(start, solver, SaveAt.at(steps), max_steps=int(steps[-1]))

    def _adaptive(self, start: CPFactorization, whole: Trajectory) -> Descent:
        """The paper's rule, at whatever times it reaches."""
        descent = self._run(
            start,
            AdaptiveGradientDescent(),
            SaveAt.every(10),
            Stop(loss_tolerance=self._tolerance, patience=1),
            max_steps=100_000,
        )
        within = descent.time <= whole.time[-1]
        times = descent.time[within]
        flowing = self._run(
            start, GradientFlow(rtol=self._config.rtol), SaveAt.times(times)
        )
        distance = _distance(descent, flowing)
        return Descent("adaptive", math.nan, distance, descent)

    def flows(self) -> tuple[Trajectory, list[Flow]]:
        """The flow at falling init scales, beside the limit."""
        with self._next_part():
            plateaus = solve_limit(
                self._problem,
                self._start(1.0),
                Limit(loss_tolerance=self._tolerance),
                recording=self._recording,
                progress=self._progress,
            )
        limit = _whole(plateaus)
        if len(limit.time) < 2:
            raise InputError(
                f"The limit learns nothing ({limit.outcomes[0].reason}); give another "
                "`seed` or more `observations`."
            )
        scales = sorted(self._config.init_scales, reverse=True)
        return limit, [self._flow(limit, scale) for scale in scales]

    def _flow(self, limit: Trajectory, init_scale: float) -> Flow:
        start = self._start(init_scale)
        unit = _time_unit(start)
        escapes = limit.time[1:]
        ends = [*escapes[1:], _AFTERWARDS * escapes[-1]]
        flow = self._run(
            start,
            GradientFlow(rtol=self._config.rtol),
            SaveAt.every(1),
            max_steps=_MOST_FLOW_STEPS,
            end_time=ends[-1] * unit,
        )
        if flow.outcomes[0].reason.startswith("step limit"):
            raise InputError(
                f"From init scale {init_scale:g} the flow does not get to the end of "
                f"the limit in {_MOST_FLOW_STEPS} steps; give larger `init_scales` "
                "or a larger `rtol`."
            )
        scaled = flow.time / unit
        middles = (escapes + ends) / 2
        errors = np.interp(middles, scaled, flow.reconstruction_error)
        return Flow(
            init_scale,
            np.abs(errors - limit.reconstruction_error[1:]),
            _escape_gaps(limit, flow, scaled),
            scaled,
            flow,
        )


def _whole(run: Trajectory) -> Trajectory:
    """The run, unless it diverged: then nothing can be compared."""
    outcome = run.outcomes[0]
    if outcome.result == Ending.DIVERGED:
        raise InputError(
            f"A run diverged ({outcome.reason}); give smaller `learning_rates` or "
            "another `seed`."
        )
    return run


def _distance(descent: Trajectory, flow: Trajectory) -> float:
    """Largest difference of a component norm, over the largest norm."""
    saves = len(flow.time)
    ours = _by_component(descent)[:saves]
    theirs = _by_component(flow)
    return float(np.max(np.abs(ours - theirs)) / np.max(theirs))


def _by_component(trajectory: Trajectory) -> Values:
    """Component norms in the order of the factor matrices' columns."""
    norms: Values = trajectory.component_norms
    return norms[:, np.argsort(trajectory.component_index)]


def _time_unit(start: CPFactorization) -> float:
    r"""Flow time that is one unit of the limit's: $\alpha^{2-N}$, from order three on.

    $\alpha$ is the root mean square of the start's parameters.
    """
    squares = [np.asarray(matrix).ravel() ** 2 for matrix in start.factor_matrices]
    scale = math.sqrt(float(np.mean(np.concatenate(squares))))
    return scale ** (2 - len(start.mode_dims))


def _escape_gaps(limit: Trajectory, flow: Trajectory, scaled: Values) -> Values:
    final = _by_component(limit)[-1]
    norms = _by_component(flow)
    learned = np.flatnonzero(final > 0)
    joined = np.argmax(_by_component(limit)[:, learned] > 0, axis=0)
    # In the order in which they escape.
    learned, joined = learned[np.argsort(joined)], np.sort(joined)
    predicted = limit.time[joined]
    measured = [
        crossing(scaled, norms[:, component], final[component] / 2)
        for component in learned
    ]
    gaps: Values = np.abs(measured - predicted) / predicted
    return gaps
