"""One start on its way from plateau to plateau."""

import logging
import math
import time
from dataclasses import asdict, dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np

from rankrise._checks import check_whole
from rankrise._compiling import compile_together
from rankrise._errors import InputError
from rankrise.factorizations import (
    AbstractFactorization,
    CPFactorization,
    DeepMatrixFactorization,
)
from rankrise.limit._escape import GrowthStalledError
from rankrise.limit._learned_set import LearnedComponents, LearnedLayers, LearnedSet
from rankrise.limit._plateau import entry, lowered_plateau, next_plateau
from rankrise.limit._risers import (
    AbstractPool,
    EscapingComponents,
    Riser,
    SingularPairs,
)
from rankrise.problems import AbstractProblem, problem_scale
from rankrise.runs import Ending, Progress
from rankrise.trajectories import Observable, Outcome

logger = logging.getLogger("rankrise")

# A component that joins with less could not be told from rounding.
_SMALLEST_SHARE = 1e-9
_UNDECIDED = "direction undecided, near a saddle of the pull"


@dataclass(frozen=True, kw_only=True)
class Limit:
    r"""Gradient flow from $\alpha a_r^n$ as $\alpha \to 0$, plateau by plateau.

    While nothing is learned the loss gradient is constant, and every component evolves
    alone. The first to escape joins the learned set, which moves to a stationary point
    in no time on the scale of the escapes; there the gradient is constant again, and
    the others continue from where they are (Razin et al. 2021, Section 4; Li, Luo and
    Lyu 2021 for matrices).

    Attributes
    ----------
    max_components
        Stop when this many components are learned; by default only when all are.
    loss_tolerance
        Stop when the loss is below.
    pull_tolerance
        Stop when the loss gradient is below this share of what it is at zero; by
        default about the square root of the precision.
    least_improvement
        Stop when the loss fell by less than this share from one plateau to the next.
    flat_plateaus
        Stop when the selected observable (`Recording.select`) had no new minimum at
        this many plateaus.
    max_seconds
        Stop after this many seconds, over all starts and with compiling; what that cuts
        off depends on the machine.
    accuracy
        Error of a step of growth over a component's size, and of an escape time over
        the time; rounding limits it.
    tie_tolerance
        Two escapes closer than this share of their time are a tie: a run from any
        scale may see them in another order, which is said in a note.
    entry_share
        A component joins with this share of the norm it is drawn to.
    """

    max_components: int | None = None
    loss_tolerance: float | None = None
    pull_tolerance: float | None = None
    least_improvement: float | None = None
    flat_plateaus: int | None = None
    max_seconds: float | None = None
    accuracy: float = 1e-6
    tie_tolerance: float = 1e-3
    entry_share: float = 1e-3

    def __post_init__(self) -> None:
        for name in ("max_components", "flat_plateaus"):
            if getattr(self, name) is not None:
                check_whole(name, getattr(self, name), 1)
        for name, value in asdict(self).items():
            if value is not None and not (value >= 0 and math.isfinite(value)):
                raise InputError(
                    f"{name} is {value}; give a finite number, at least 0."
                )
        for name in ("accuracy", "entry_share"):
            if not _SMALLEST_SHARE <= getattr(self, name) < 0.1:
                raise InputError(
                    f"{name} is {getattr(self, name)}; it must lie between "
                    f"{_SMALLEST_SHARE:g} and 0.1."
                )


class LimitRun:
    """One start on its way from plateau to plateau."""

    def __init__(
        self,
        problem: AbstractProblem,
        start: AbstractFactorization,
        limit: Limit,
        observables: tuple[Observable, ...],
        select: str | None = None,
    ) -> None:
        self.start = start
        self.learned, self._pool = _nothing_learned(start, limit)
        # Where the selected observable was least, and at which plateau; else the last.
        self.best, self._best_plateau, self._select = self.learned, 0, select
        self.outcome: Outcome | None = None
        self.seconds = 0.0
        self.seconds_compile = 0.0
        self.notes: list[str] = []
        self._problem, self._limit = problem, limit
        self._observables = observables
        self._records: list[dict[str, Any]] = []
        self._time = 0.0
        self._joined = 0
        self._compiled: set[object] = set()
        self._evaluations = 0.0
        self._first_strength = 0.0
        self._scale = 0.0
        precision = float(np.finfo(problem.values.dtype).eps)
        self._tolerance = max(1e-10, 2e3 * precision)
        given = limit.pull_tolerance
        self._pull_tolerance = precision**0.5 if given is None else given

    @property
    def is_over(self) -> bool:
        """Whether there is no further plateau."""
        return self.outcome is not None

    @property
    def learned_in_words(self) -> str:
        """How many components are learned."""
        count = self.learned.count
        return f"{count} component{'' if count == 1 else 's'} learned"

    def advance(self) -> None:
        """Record where the run is; go on to the next plateau, or say why not."""
        began, compiled = time.monotonic(), self.seconds_compile
        self._try_to_advance()
        self.seconds += time.monotonic() - began - (self.seconds_compile - compiled)

    def _try_to_advance(self) -> None:
        self._compile()
        if not self._records:
            self._record(())
        self._pool.look(self._problem, self.learned.model)
        if self._joined == 0:
            self._first_strength = self._pool.strength
        reason = self._reason_to_stop()
        if reason is not None:
            self.end(*reason)
            return
        try:
            riser = self._pool.next()
        except GrowthStalledError as error:
            self.end(Ending.STOPPED, f"no escape found: {error}")
            return
        if riser is None:
            self.end(Ending.STOPPED, "no component is pulled away from zero")
            return
        joins = entry(
            self._problem,
            self.learned,
            riser,
            share=self._limit.entry_share,
            largest=problem_scale(self._problem),
        )
        if self._scale == 0:
            self._scale = joins.pull * joins.optimum
        plateau = next_plateau(
            self._problem,
            self.learned,
            riser,
            joins,
            scale=self._scale,
            tolerance=self._tolerance,
        )
        self._evaluations += plateau.evaluations
        if np.isnan(plateau.residual):
            self.end(Ending.DIVERGED, f"no longer finite after {riser.name} joined")
            return
        self.learned = plateau.learned
        self._time += riser.wait
        self._joined += 1
        self._record((*_doubts(riser), *plateau.notes))
        if not plateau.at_rest:
            # What rises next depends on where the others are pulled from.
            self.end(
                Ending.STOPPED,
                f"the learned set did not come to rest with {self.learned_in_words} "
                f"(residual {plateau.residual:.2g}, largest component norm "
                f"{self.learned.norms().max():.2g}): the loss may have no minimum",
            )

    def _compile(self) -> None:
        """Compile what a learned set with room for one more needs, if it is new."""
        roomy = self.learned.with_room()
        shapes = tuple(leaf.shape for leaf in jax.tree.leaves(roomy.model))
        if shapes in self._compiled:
            return
        began = time.monotonic()
        if not self._compiled:
            _measure(self._problem, self._observables, self.start)
        compile_together(
            [
                *lowered_plateau(self._problem, roomy),
                *self._pool.lowered(self._problem, self.learned.model, roomy.model),
            ]
        )
        self._compiled.add(shapes)
        self.seconds_compile += time.monotonic() - began

    def _reason_to_stop(self) -> tuple[Ending, str] | None:
        limit, learned = self._limit, self.learned_in_words
        losses = [record["training loss"] for record in self._records]
        if limit.loss_tolerance is not None and losses[-1] < limit.loss_tolerance:
            return (
                Ending.CONVERGED,
                f"loss below {limit.loss_tolerance:g} with {learned}",
            )
        if self._pool.strength <= self._pull_tolerance * self._first_strength:
            share = self._pull_tolerance
            return (
                Ending.CONVERGED,
                f"loss gradient below {share:.2g} of its first with {learned}",
            )
        if (
            limit.max_components is not None
            and self.learned.count >= limit.max_components
        ):
            return Ending.STOPPED, f"component limit of {limit.max_components} reached"
        least = limit.least_improvement
        if (
            least is not None
            and len(losses) > 1
            and losses[-1] > (1 - least) * losses[-2]
        ):
            return (
                Ending.STOPPED,
                f"loss fell by less than {least:g} of itself with {learned}",
            )
        flat = limit.flat_plateaus
        if flat is not None and self._joined - self._best_plateau >= flat:
            return (
                Ending.STOPPED,
                f"{self._select} had no new minimum at {flat} plateaus with {learned}",
            )
        return None

    def cut_off(self, ending: Ending) -> None:
        """End it here, unless it is over."""
        if self.is_over:
            return
        if not self._records:
            self._record(())
        cause = "time limit reached" if ending == Ending.TIME_LIMIT else ending
        self.end(ending, f"{cause} with {self.learned_in_words}")

    def end(self, result: Ending, reason: str) -> None:
        """No further plateau."""
        evaluations = round(self._evaluations + self._pool.evaluations)
        best = None if self._select is None else self._best_plateau
        self.outcome = Outcome(
            result, reason, self._joined, evaluations, best_step=best
        )

    def progress(self, running: int) -> Progress:
        """Where the run is."""
        most = self._limit.max_components or self.start.components
        loss = float(self._records[-1]["training loss"])
        return Progress(
            self._joined, most, running, (loss,), self._time, unit="component"
        )

    def history(self) -> dict[str, Any]:
        """What was measured, plateau by plateau."""
        return {
            name: np.stack([record[name] for record in self._records])
            for name in self._records[0]
        }

    def _record(self, notes: tuple[str, ...]) -> None:
        measured = _measure(
            self._problem, self._observables, self.learned.whole(self.start)
        )
        for note in notes:
            # So escape most components, in practice: no cause for alarm.
            level = logging.INFO if _UNDECIDED in note else logging.WARNING
            logger.log(level, "Plateau %d: %s.", self._joined, note)
        self.notes.append("; ".join(notes))
        self._records.append(
            {
                **{name: np.asarray(value) for name, value in measured.items()},
                "step": np.asarray(self._joined),
                "time": np.asarray(self._time, self._problem.values.dtype),
                "rank": np.asarray(self.learned.count),
            }
        )
        name = self._select
        values = [record[name] for record in self._records] if name else []
        if not values or values[-1] <= min(values):
            self.best, self._best_plateau = self.learned, self._joined


def _nothing_learned(
    start: AbstractFactorization, limit: Limit
) -> tuple[LearnedSet, AbstractPool]:
    if isinstance(start, CPFactorization):
        dtype = start.factor_matrices[0].dtype
        none = LearnedComponents.none(start.mode_dims, dtype)
        if len(start.mode_dims) == 2:
            return none, SingularPairs(start, limit.tie_tolerance)
        return none, EscapingComponents(start, limit.accuracy, limit.tie_tolerance)
    if isinstance(start, DeepMatrixFactorization) and start.depth >= 2:
        return LearnedLayers.none(start), SingularPairs(start, limit.tie_tolerance)
    raise InputError(
        "The limit of a vanishing init scale is known for CP factorizations and deep "
        f"matrices of two layers or more; got {type(start).__name__}."
    )


def _doubts(riser: Riser) -> list[str]:
    """What makes it doubtful that a run from a finite scale sees the same."""
    doubts = []
    if riser.rivals:
        doubts.append(f"{riser.name} tied with {', '.join(riser.rivals)}")
    if riser.undecided:
        doubts.append(f"{riser.name} escaped with its {_UNDECIDED}")
    return doubts


@eqx.filter_jit
def _measure(
    problem: AbstractProblem,
    observables: tuple[Observable, ...],
    model: AbstractFactorization,
) -> dict[str, Any]:
    measured = {each.name: each(problem, model) for each in observables}
    return {**measured, "training loss": problem.loss(model)}
