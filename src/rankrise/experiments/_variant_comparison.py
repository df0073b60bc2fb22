"""Variants of the paper's dynamics beside what is expected of them."""

import math
from itertools import pairwise

import numpy as np

from rankrise._typing import Values
from rankrise.experiments._comparison import Comparison, Row, Statement
from rankrise.experiments._dynamics import DynamicsResult
from rankrise.experiments._dynamics_comparison import (
    RISEN_NORM,
    Staircase,
    staircases_of,
    statements_across,
    statements_of,
)
from rankrise.synthetic import cp_component_norms

_NOTES = (
    "Nothing was read off the paper's plots of variants. What it says of its main "
    "figure is expected at the smallest init scale: as many components as the target "
    "has rise one after another, and end as the target's.",
    "The time of the first rise, on the clock of gradient flow, is expected to grow "
    "with the init scale to the power 2 - N, N the order or depth (Razin et al. 2021, "
    "Theorem 1; Arora et al. 2019), the better the smaller the init scales.",
)


def compare_variant(result: DynamicsResult) -> Comparison:
    """Each init scale, and what is expected of the smallest."""
    rank = result.config.target_rank
    staircases = staircases_of(result)
    smallest = staircases[-1]
    rows: list[Row] = []
    statements: list[Statement] = []
    for staircase in staircases:
        last = staircase is smallest
        rows += _rows(staircase, _target_norms(result) if last else np.array([]))
        expected = True if last else None
        statements += statements_of(staircase, rank, many=expected, stepped=expected)
    if len(staircases) > 1:
        first_rises = _first_rises(result, staircases)
        rows += first_rises
        statements += statements_across(staircases, nearest=True)
        statements.append(_grows_as_expected(first_rises[-1]))
    return Comparison(
        reference="expected",
        rows=tuple(rows),
        statements=tuple(statements),
        notes=_NOTES,
    )


def _target_norms(result: DynamicsResult) -> Values:
    """Norms of the target's components, largest first; a matrix's singular values."""
    if result.config.factorization == "matrix":
        values: Values = np.linalg.svd(result.target.end_tensor(), compute_uv=False)
        return values[: result.config.target_rank]
    factors = tuple(map(np.asarray, result.target.factor_matrices))
    return np.sort(cp_component_norms(factors))[::-1]


def _rows(staircase: Staircase, target: Values) -> list[Row]:
    """What rose and when; the target's norms are given where they are expected."""
    # Components rise in an order of their own, and are told apart by size.
    places = np.argsort(np.argsort(-staircase.norms[-1]))
    expected = {
        "norm at the end": [target[p] if p < len(target) else math.nan for p in places]
    }
    missing = [math.nan] * len(places)
    known = len(target) > 0
    return [
        *(
            Row(
                group=staircase.group,
                quantity=f"c{place + 1}: {name}",
                ours=float(ours),
                paper=float(theirs),
                note="the target's" if theirs == theirs else "",
            )
            for name, values in staircase.numbers.items()
            for place, (ours, theirs) in enumerate(
                zip(values, expected.get(name, missing), strict=True)
            )
            if not math.isnan(ours)
        ),
        Row(
            group=staircase.group,
            quantity="error at the end",
            ours=staircase.final_error,
            paper=0.0 if known else math.nan,
        ),
        Row(
            group=staircase.group,
            quantity=f"components above {RISEN_NORM:g}",
            ours=float(staircase.risen),
            paper=float(len(target)) if known else math.nan,
        ),
    ]


def _first_rises(result: DynamicsResult, staircases: list[Staircase]) -> list[Row]:
    """How much later the first component rises at the next smaller init scale."""
    config = result.config
    order = config.depth if config.factorization == "matrix" else len(config.dims)
    return [
        Row(
            group=after.group,
            quantity=f"time of the first rise over that at {before.init_scale:g}",
            ours=_ratio(after.first_rise_time, before.first_rise_time),
            paper=(before.init_scale / after.init_scale) ** (order - 2),
            note=f"growth at order or depth {order}",
        )
        for before, after in pairwise(staircases)
    ]


def _grows_as_expected(row: Row) -> Statement:
    return Statement(
        group="all init scales",
        words="the time of the first rise at the smallest init scale, over that at the "
        "next, is within a third of what the growth of components says",
        ours=abs(row.difference) < row.paper / 3,
        paper=True,
        evidence=f"{row.ours:.3g}, expected {row.paper:.3g}",
    )


def _ratio(after: float, before: float) -> float:
    # A component that is large from the start on rises at no time.
    return after / before if before > 0 else math.nan
