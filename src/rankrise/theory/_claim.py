"""What checking a claim gives: predicted beside measured, and a verdict."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, get_args

import numpy as np

from rankrise._errors import InputError
from rankrise._html import html_of
from rankrise._typing import Values
from rankrise.drawing import Drawing, Plotted
from rankrise.tensors.files import loaded_result

Verdict = Literal["holds", "violated", "not tested"]


class Theorem(NamedTuple):
    """What is claimed, and where."""

    name: str
    title: str
    source: str
    statement: str


@dataclass(frozen=True, eq=False, kw_only=True)
class Claim(Plotted):
    """A theorem put to the test.

    Attributes
    ----------
    predicted, measured
        The numbers that say most, one each; None where nothing was measured.
    error, tolerance
        The claim holds where the error, as the explanation defines it, is at most
        the tolerance.
    measuring_error
        By how much the integrator and rounding may have changed the error; an excess
        within it is no violation.
    compared
        How many values were compared: component-times, times or init scales.
    moved
        How far the run moved: a run at rest would satisfy everything.
    numbers
        What else was measured.
    curves
        Arrays for the figure.
    """

    theorem: Theorem
    verdict: Verdict
    explanation: str
    tolerance: float
    predicted: float | None = None
    measured: float | None = None
    error: float | None = None
    measuring_error: float | None = None
    compared: int | None = None
    moved: Mapping[str, float] = field(default_factory=dict)
    numbers: Mapping[str, float] = field(default_factory=dict)
    curves: Mapping[str, Values] = field(default_factory=dict)

    def drawing(self) -> Drawing:
        """Predicted beside measured, and `residuals` against the tolerance.

        Raises
        ------
        InputError
            If nothing was measured.
        """
        from rankrise.theory._plot import draw_claim

        if not self.curves:
            raise InputError(
                f"The claim {self.theorem.name} was not measured, so it has no "
                f"picture: {self.explanation}"
            )
        return draw_claim(self)

    def to_dataset(self) -> Any:
        """Its curves as an xarray.Dataset, whose attributes are all that is said."""
        from rankrise.theory._saved_claim import claim_dataset

        return claim_dataset(self)

    def save(self, path: Path | str) -> Path:
        """Write one `.npz` file, atomically, that `rankrise.load` reads."""
        from rankrise.theory._saved_claim import save_claim

        return save_claim(self, claim_record(self), path)

    @classmethod
    def load(cls, path: Path | str) -> "Claim":
        """Read what `save` wrote.

        Raises
        ------
        InputError
            If the file is something else, or damaged.
        """
        with loaded_result(path, "a claim") as (_, facts, arrays):
            record = facts["record"]
            if record["verdict"] not in get_args(Verdict):
                raise ValueError(f"{record['verdict']!r} is no verdict")
            curves = {
                name: arrays.get(f"curve_{name}", [None] * ndim)
                for name, ndim in facts["curves"]
            }
            return claim_from_record(record, curves)

    def _repr_html_(self) -> str:
        numbers = {
            name: getattr(self, name)
            for name in ("predicted", "measured", "error", "tolerance")
        }
        facts = {
            "verdict": self.verdict,
            "claim": self.theorem.statement,
            "source": self.theorem.source,
            "found": self.explanation,
            **{k: f"{v:.3g}" for k, v in numbers.items() if v is not None},
        }
        return html_of(self.theorem.title, facts)

    def __repr__(self) -> str:
        return f"<Claim {self.theorem.name}: {self.verdict}. {self.explanation}>"


def claim_record(claim: Claim) -> dict[str, Any]:
    """The claim in numbers, words and lists, without its curves."""
    return {
        **claim.theorem._asdict(),
        "verdict": claim.verdict,
        "explanation": claim.explanation,
        "predicted": claim.predicted,
        "measured": claim.measured,
        "error": claim.error,
        "tolerance": claim.tolerance,
        "measuring_error": claim.measuring_error,
        "compared": claim.compared,
        "moved": dict(claim.moved),
        "numbers": dict(claim.numbers),
    }


def claim_curves(claim: Claim) -> dict[str, Any]:
    """The claim's curves as lists."""
    return {name: np.asarray(curve).tolist() for name, curve in claim.curves.items()}


def claim_from_record(record: Mapping[str, Any], curves: Mapping[str, Any]) -> Claim:
    """The claim that `claim_record` and `claim_curves` wrote."""
    fields = dict(record)
    theorem = Theorem(*(fields.pop(name) for name in Theorem._fields))
    arrays = {name: np.array(curve, dtype=np.float64) for name, curve in curves.items()}
    return Claim(theorem=theorem, curves=arrays, **fields)


def check_tolerance(tolerance: float) -> None:
    """Refuse a tolerance that every error, or none, would be within."""
    if not 0 < tolerance < float("inf"):
        raise InputError(
            f"The tolerance is {tolerance}; give a positive, finite number."
        )
