"""Plateaus of the limit beside those of gradient descent from a small init scale.

Both start from the same key, so the same components should rise. With `--flow` and a
smaller init scale it shows whether a difference is the limit's or the scale's.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from rankrise.factorizations import CPFactorization, near_zero
from rankrise.limit import Limit, solve_limit
from rankrise.problems import CompletionProblem
from rankrise.solvers import AdaptiveGradientDescent, GradientFlow, Stop, solve
from rankrise.synthetic import observe, random_target, sample_indices
from rankrise.trajectories import (
    Recording,
    SaveAt,
    Trajectory,
    standard_observables,
)

FloatArray = npt.NDArray[np.floating]

# A component has risen when its norm is above this share of the target's.
_RISEN = 0.02
# The loss at which both are done, as a share of the loss at zero.
_DONE = 1e-8


@dataclass(frozen=True)
class Draw:
    """A target, what is observed of it, and a start."""

    mode_dims: tuple[int, ...]
    rank: int
    observations: int
    components: int
    seed: int


DRAWS = (
    Draw((12, 12, 12), 3, 700, 144, 1),
    Draw((12, 12, 12), 4, 900, 144, 2),
    Draw((12, 12, 12), 6, 1200, 144, 3),
    Draw((8, 8, 8, 8), 4, 1500, 256, 4),
    Draw((8, 8, 8, 8), 5, 1500, 256, 5),
)


@dataclass(frozen=True)
class Comparison:
    """Reconstruction errors of the plateaus, and columns in the order they rose."""

    limit: FloatArray
    limit_order: list[int]
    descent: FloatArray
    descent_order: list[int]
    limit_seconds: float
    descent_seconds: float
    reason: str


def compare(
    draw: Draw, init_scale: float, max_steps: int, *, flow: bool = False
) -> Comparison:
    """Both trajectories of one draw."""
    factors = random_target(draw.mode_dims, draw.rank, seed=draw.seed)
    indices = sample_indices(draw.mode_dims, draw.observations, seed=draw.seed)
    problem = CompletionProblem.from_observations(
        observe(factors, indices, seed=draw.seed)
    )
    start = near_zero(
        draw.mode_dims,
        draw.components,
        init_scale=init_scale,
        key=jax.random.key(draw.seed),
    )
    target = CPFactorization(tuple(jnp.asarray(matrix) for matrix in factors))
    recording = Recording(observables=standard_observables(problem, target=target))
    done = _DONE * float(jnp.mean(problem.values**2))
    for _ in range(2):  # the first compiles
        limit = solve_limit(
            problem, start, Limit(loss_tolerance=done), recording=recording
        )
    began = time.monotonic()
    descent = solve(
        problem,
        start,
        GradientFlow() if flow else AdaptiveGradientDescent(),
        max_steps=max_steps,
        recording=replace(recording, save_at=SaveAt.every(max(1, max_steps // 4000))),
        stop=Stop(loss_tolerance=done),
    )
    ranks = len(limit.reconstruction_error) - 1
    return Comparison(
        limit=limit.reconstruction_error[1:],
        limit_order=risen(limit, 0.0),
        descent=plateaus(descent, ranks),
        descent_order=risen(descent, _RISEN),
        limit_seconds=limit.seconds_run,
        descent_seconds=time.monotonic() - began,
        reason=limit.outcomes[0].reason,
    )


def plateaus(descent: Trajectory, ranks: int) -> FloatArray:
    """Reconstruction error with 1, 2, ... risen components: median over time.

    Most of that time is spent on the plateau. Where the error is flattest will not do:
    on its way from plateau to plateau it can pass an extremum, where it is flat too.
    """
    errors = descent.reconstruction_error
    durations = np.diff(descent.time, append=descent.time[-1])
    counts = np.sum(descent.component_norms > _RISEN, axis=1)
    found = []
    for rank in range(1, ranks + 1):
        there = counts == rank
        order = np.argsort(errors[there])
        spent = np.cumsum(durations[there][order])
        if not there.any():
            found.append(np.nan)
        elif rank == ranks:
            found.append(errors[-1])
        else:
            middle = np.searchsorted(spent, spent[-1] / 2)
            found.append(errors[there][order][middle])
    return np.array(found)


def risen(trajectory: Trajectory, threshold: float) -> list[int]:
    """Columns of the components that rose, first to last."""
    above = trajectory.component_norms > threshold
    columns = trajectory.dataset["component_index"].to_numpy()
    rose = above.any(axis=0)
    order = np.argsort(np.argmax(above, axis=0)[rose], kind="stable")
    return [int(column) for column in columns[rose][order]]


def table(draw: Draw, comparison: Comparison) -> Table:
    """One row a plateau."""
    same = "same" if comparison.limit_order == comparison.descent_order else "other"
    shown = Table(
        "rank",
        "limit",
        "descent",
        "difference",
        title=(
            f"{'x'.join(map(str, draw.mode_dims))}, target rank {draw.rank}, seed "
            f"{draw.seed}: {same} components ({comparison.limit_order} and "
            f"{comparison.descent_order}); {comparison.limit_seconds:.2f} s and "
            f"{comparison.descent_seconds:.1f} s; {comparison.reason}"
        ),
    )
    pairs = zip(comparison.limit, comparison.descent, strict=True)
    for rank, (ours, theirs) in enumerate(pairs, start=1):
        shown.add_row(
            str(rank), f"{ours:.5f}", f"{theirs:.5f}", f"{abs(ours - theirs):.1e}"
        )
    return shown


def main(arguments: Sequence[str] | None = None) -> None:
    """Compare and print, draw by draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--init-scale", type=float, default=0.005)
    parser.add_argument("--steps", type=int, default=60_000)
    parser.add_argument("--flow", action="store_true", help="instead of descent")
    parser.add_argument("--draws", type=int, nargs="*", default=range(len(DRAWS)))
    options = parser.parse_args(arguments)
    jax.config.update("jax_enable_x64", True)
    console = Console(width=110)
    for number in options.draws:
        draw = DRAWS[number]
        comparison = compare(draw, options.init_scale, options.steps, flow=options.flow)
        console.print(table(draw, comparison))


if __name__ == "__main__":
    main()
