"""Rising components of ours beside those of the paper's plots."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from rankrise._typing import Values
from rankrise.experiments._comparison import Comparison, Row, Statement
from rankrise.experiments._dynamics import DynamicsResult
from rankrise.experiments._readings import DynamicsReading, dynamics_readings
from rankrise.trajectories import Trajectory, arrival, crossing

# In the paper's plots what does not rise stays below this.
RISEN_NORM = 0.005
_LOW, _HIGH = 0.1, 0.9
_NOTES = (
    "The target and the start of the paper's runs are not known, and other draws rise "
    "at other iterations: what must agree is the shape, which the statements say.",
    "The paper's norms at the end are those at iteration 12,000.",
)


def compare_dynamics(result: DynamicsResult) -> Comparison:
    """Each init scale beside the paper's, and whether the shape is the same."""
    readings = dynamics_readings()
    rank = result.config.target_rank
    staircases = staircases_of(result)
    rows: list[Row] = []
    statements: list[Statement] = []
    for staircase in staircases:
        reading = readings.get(staircase.init_scale)
        rows += _rows(staircase, reading)
        statements += _statements(staircase, reading, rank)
    if len(staircases) > 1:
        read = [readings.get(each.init_scale) for each in staircases]
        theirs = [each.final_error for each in read if each is not None]
        nearest = min(theirs[:-1]) > theirs[-1] if len(theirs) == len(read) else None
        statements += statements_across(staircases, nearest=nearest)
    return Comparison(
        reference="paper",
        rows=tuple(rows),
        statements=tuple(statements),
        notes=_NOTES,
    )


def staircases_of(result: DynamicsResult) -> list["Staircase"]:
    """One for every run, largest init scale first."""
    rank = result.config.target_rank
    staircases = [Staircase(run, rank) for run in result.trajectory.runs()]
    return sorted(staircases, key=lambda staircase: -staircase.init_scale)


@dataclass(frozen=True, eq=False)
class Staircase:
    """One run: which components rose and stayed, in what order.

    Attributes
    ----------
    steps
        The most components counted as steps: the largest, where they rose.
    """

    run: Trajectory
    steps: int

    @property
    def init_scale(self) -> float:
        """Init scale of the start."""
        return float(self.run.init_scale)

    @property
    def group(self) -> str:
        """Its name in the rows."""
        return f"init scale {self.init_scale:g}"

    @cached_property
    def norms(self) -> Values:
        """Norms of the components that are its steps, in the order they rose."""
        norms: Values = self.run.component_norms
        half = [self._reaches(norms[:, each], 0.5) for each in self._risen]
        return norms[:, self._risen[np.argsort(half)]]

    @cached_property
    def half_heights(self) -> Values:
        """Iterations at which they pass half their final norms."""
        return np.array([self._reaches(norm, 0.5) for norm in self.norms.T])

    @property
    def first_rise_time(self) -> float:
        """On the clock of gradient flow; NaN where nothing rose."""
        if self.norms.shape[1] == 0:
            return math.nan
        norm = self.norms[:, 0]
        return crossing(self.run.time, norm, float(norm[-1]) / 2)

    @property
    def arrival_norms(self) -> Values:
        """Norms where they come to rest; NaN for one that never does."""
        saves = [arrival(self.run.step, norm) for norm in self.norms.T]
        return np.array(
            [
                math.nan if save is None else norm[save]
                for save, norm in zip(saves, self.norms.T, strict=True)
            ]
        )

    @property
    def plateau_errors(self) -> Values:
        """Reconstruction error midway to the next one's rise; of the last, the end."""
        errors: Values = self.run.reconstruction_error
        ends = [*self.half_heights[1:], math.nan]
        middles = (self.half_heights + ends) / 2
        between = np.interp(middles, self.run.step, errors)
        return np.where(np.isnan(middles), errors[-1], between)

    @property
    def final_error(self) -> float:
        """Reconstruction error at the end."""
        return float(self.run.reconstruction_error[-1])

    @property
    def risen(self) -> int:
        """How many of all components end above the paper's bound."""
        return int(np.sum(np.asarray(self.run.model.component_norms()) > RISEN_NORM))

    @property
    def highest_other(self) -> float:
        """The largest norm, at any save, of the components that are no steps."""
        norms: Values = self.run.component_norms
        return float(np.max(np.delete(norms, self._risen, axis=1), initial=0.0))

    @property
    def overlap(self) -> float:
        """The largest share of its final norm that one has as that before is half up.

        Near zero for a staircase.
        """
        shares = [
            np.interp(half, self.run.step, norm) / norm[-1]
            for half, norm in zip(self.half_heights, self.norms.T[1:], strict=False)
        ]
        return float(max(shares, default=0.0))

    @property
    def bluntness(self) -> float:
        """Iterations of a rise from a tenth to nine tenths, over those till its middle.

        The mean over components; NaN without any.
        """
        if self.norms.shape[1] == 0:
            return math.nan
        widths = [
            self._reaches(norm, _HIGH) - self._reaches(norm, _LOW)
            for norm in self.norms.T
        ]
        # A component that is large from the first save on has no time before it.
        return float(np.mean(widths / np.maximum(self.half_heights, 1.0)))

    @property
    def numbers(self) -> dict[str, Values]:
        """What is said of every component that rose, in order."""
        return {
            "iteration at half height": self.half_heights,
            "norm on arrival": self.arrival_norms,
            "norm at the end": self.norms[-1],
            "error after its rise": self.plateau_errors,
        }

    @property
    def _risen(self) -> npt.NDArray[np.int64]:
        """Columns of the steps, largest at the end first."""
        final = self.run.component_norms[-1]
        largest = np.argsort(-final)[: self.steps]
        return largest[final[largest] > RISEN_NORM]

    def _reaches(self, norm: Values, share: float) -> float:
        return crossing(self.run.step, norm, share * float(norm[-1]))


def _rows(staircase: Staircase, reading: DynamicsReading | None) -> list[Row]:
    ours = staircase.numbers
    theirs: dict[str, Sequence[float]] = {}
    if reading is not None:
        theirs = {
            "iteration at half height": reading.half_heights,
            "norm on arrival": reading.arrival_norms,
            "norm at the end": reading.final_norms,
            "error after its rise": reading.plateau_errors,
        }
    rows = [
        Row(
            group=staircase.group,
            quantity=f"c{place + 1}: {name}",
            ours=_at(values, place),
            paper=_at(theirs.get(name, ()), place),
        )
        for place in range(staircase.steps)
        for name, values in ours.items()
    ]
    risen = None if reading is None else reading.risen
    return [
        *(row for row in rows if not math.isnan(row.ours) or not math.isnan(row.paper)),
        Row(
            group=staircase.group,
            quantity="error at the end",
            ours=staircase.final_error,
            paper=math.nan if reading is None else reading.final_error,
        ),
        Row(
            group=staircase.group,
            quantity=f"components above {RISEN_NORM:g}",
            ours=float(staircase.risen),
            paper=math.nan if risen is None else float(risen),
        ),
    ]


def _at(values: Values | Sequence[float], place: int) -> float:
    return float(values[place]) if place < len(values) else math.nan


def _statements(
    staircase: Staircase, reading: DynamicsReading | None, rank: int
) -> list[Statement]:
    known = None if reading is None else reading.risen
    many = None if known is None else known == rank
    # Where the paper's plot is smooth, fewer steps can be told apart.
    stepped = None if reading is None else len(reading.half_heights) >= rank
    return statements_of(staircase, rank, many=many, stepped=stepped)


def statements_of(
    staircase: Staircase, rank: int, *, many: bool | None, stepped: bool | None
) -> list[Statement]:
    """What is said of one init scale, and whether the number and steps are known."""
    highest, overlap = staircase.highest_other, staircase.overlap
    return [
        Statement(
            group=staircase.group,
            words=f"as many components rise as the target has ({rank})",
            ours=staircase.risen == rank,
            paper=many,
            evidence=f"{staircase.risen}",
        ),
        Statement(
            group=staircase.group,
            words=f"all others stay below {RISEN_NORM:g}",
            ours=highest < RISEN_NORM,
            paper=many,
            evidence=f"highest {highest:.1e}",
        ),
        Statement(
            group=staircase.group,
            words="they rise one after another: as one is half up, the next is below a "
            "tenth",
            ours=staircase.risen > 1 and overlap < _LOW,
            paper=stepped,
            evidence=f"at most {overlap:.2g}",
        ),
    ]


def statements_across(
    staircases: Sequence[Staircase], *, nearest: bool | None
) -> list[Statement]:
    """What is said of all init scales, which come largest first."""
    bluntness = [staircase.bluntness for staircase in staircases]
    errors = [staircase.final_error for staircase in staircases]
    return [
        Statement(
            group="all init scales",
            words="the smaller the init scale, the sharper the staircase (duration of "
            "a rise over the time till it)",
            ours=_falls(bluntness),
            paper=True,
            evidence=" ".join(f"{each:.2g}" for each in bluntness),
        ),
        Statement(
            group="all init scales",
            words="the smallest init scale ends nearest to the target",
            ours=min(errors[:-1]) > errors[-1],
            paper=nearest,
            evidence=" ".join(f"{each:.3g}" for each in errors),
        ),
    ]


def _falls(values: Sequence[float]) -> bool:
    return all(after < before for before, after in itertools.pairwise(values))
