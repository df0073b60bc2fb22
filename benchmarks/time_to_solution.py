"""How long descent, flow and limit take until they have found the target.

Order 4, mode dimension 10, a target of CP rank 5, 2000 observed entries, init scale
.005, 1000 components, float32: the paper's runs. Found is a reconstruction error below
.01. Every solver goes twice and the second time counts, so compiling does not; what it
took is reported beside.
"""

import statistics
from dataclasses import asdict, dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from rich.console import RenderableType
from rich.table import Table

from rankrise.factorizations import CPFactorization, near_zero
from rankrise.limit import Limit, solve_limit
from rankrise.problems import CompletionProblem
from rankrise.solvers import (
    AbstractSolver,
    AdaptiveGradientDescent,
    GradientFlow,
    Stop,
    solve,
)
from rankrise.synthetic import observe, random_target, sample_indices
from rankrise.trajectories import (
    Recording,
    SaveAt,
    Trajectory,
    reconstruction_error,
)

FOUND = 0.01
# Of the loss at zero: low enough that what is found is found before, and high enough
# for the adaptive rule, whose loss comes to hover.
_TOLERANCE_SHARE = 1e-5
_SOLVERS: dict[str, AbstractSolver[Any]] = {
    "adaptive descent": AdaptiveGradientDescent(),
    "flow": GradientFlow(),
}
_MOST_STEPS = 60_000
_GOALS = {"flow": (3.0, 3.0), "limit": (30.0, 100.0)}
# Gradients of the flow over those of descent, at most.
_GRADIENT_GOAL = 0.25


@dataclass(frozen=True)
class Sizes:
    """The runs that are timed, and what is varied about the first of them."""

    order: int = 4
    mode_dim: int = 10
    target_rank: int = 5
    observations: int = 2000
    components: int = 1000
    init_scale: float = 0.005
    seeds: tuple[int, ...] = (0, 3, 4)
    varied_seed: int = 4
    varied_components: tuple[int, ...] = (250, 500)
    varied_mode_dims: tuple[int, ...] = (6, 8)
    varied_init_scales: tuple[float, ...] = (0.02, 0.01)


@dataclass(frozen=True)
class Instance:
    """One problem and start."""

    mode_dims: tuple[int, ...]
    target_rank: int
    observations: int
    components: int
    init_scale: float
    seed: int

    def build(self) -> tuple[CompletionProblem, CPFactorization, CPFactorization]:
        """The problem, the start and the target."""
        factors = random_target(
            self.mode_dims, self.target_rank, frobenius_norm=1.0, seed=self.seed
        )
        indices = sample_indices(self.mode_dims, self.observations, seed=self.seed)
        observations = observe(factors, indices, seed=self.seed)
        problem = CompletionProblem.from_observations(observations)
        target = tuple(jnp.asarray(matrix, dtype=float) for matrix in factors)
        start = near_zero(
            self.mode_dims,
            self.components,
            init_scale=self.init_scale,
            key=jax.random.key(self.seed),
        )
        return problem, start, CPFactorization(target)


def run(sizes: Sizes | None = None) -> dict[str, Any]:
    """Time every solver on the paper's size and on variations of it."""
    sizes = sizes or Sizes()
    base = Instance(
        (sizes.mode_dim,) * sizes.order,
        sizes.target_rank,
        sizes.observations,
        sizes.components,
        sizes.init_scale,
        sizes.seeds[0],
    )
    varied_base = replace(base, seed=sizes.varied_seed)
    instances = [replace(base, seed=seed) for seed in sizes.seeds]
    varied = {
        "components": [
            replace(varied_base, components=n) for n in sizes.varied_components
        ],
        "mode dimension": [
            replace(
                varied_base,
                mode_dims=(dim,) * sizes.order,
                # As large a share of the entries, but enough for so small a tensor.
                observations=round(
                    dim**sizes.order
                    * max(0.3, sizes.observations / sizes.mode_dim**sizes.order)
                ),
            )
            for dim in sizes.varied_mode_dims
        ],
        "init scale": [
            replace(varied_base, init_scale=scale) for scale in sizes.varied_init_scales
        ],
    }
    return {
        "sizes": asdict(sizes),
        "found": FOUND,
        "runs": [_timed(instance) for instance in instances],
        "varied": {
            name: [_timed(instance) for instance in members]
            for name, members in varied.items()
        },
    }


def _timed(instance: Instance) -> dict[str, Any]:
    problem, start, target = instance.build()
    recording = Recording(observables=("loss", reconstruction_error(target)))
    tolerance = _TOLERANCE_SHARE * float(jnp.mean(problem.values**2))
    solvers = {
        name: _descent(problem, start, solver, recording, tolerance)
        for name, solver in _SOLVERS.items()
    }

    def limited() -> Trajectory:
        limit = Limit(loss_tolerance=tolerance)
        return solve_limit(problem, start, limit, recording=recording)

    first, second = limited(), limited()
    solvers["limit"] = {
        **_facts(second, second.seconds_run),
        "seconds_compile": first.seconds_compile,
    }
    return {"instance": asdict(instance), "solvers": solvers}


def _descent(
    problem: CompletionProblem,
    start: CPFactorization,
    solver: AbstractSolver[Any],
    recording: Recording,
    tolerance: float,
) -> dict[str, Any]:
    between = 1 if isinstance(solver, GradientFlow) else 25

    def solved(max_steps: int) -> Trajectory:
        return solve(
            problem,
            start,
            solver,
            max_steps=max_steps,
            recording=replace(recording, save_at=SaveAt.every(between)),
            stop=Stop(loss_tolerance=tolerance, patience=1),
        )

    whole = solved(_MOST_STEPS)
    found = np.flatnonzero(whole.reconstruction_error < FOUND)
    if not len(found):
        return {**_facts(whole, whole.seconds_run), "found": False}
    again = solved(int(whole.step[found[0]]))
    return {
        **_facts(again, again.seconds_run),
        "seconds_compile": whole.seconds_compile,
    }


def _facts(trajectory: Trajectory, seconds: float) -> dict[str, Any]:
    error = float(trajectory.reconstruction_error[-1])
    return {
        "found": error < FOUND,
        "seconds": seconds,
        "gradient_evaluations": trajectory.outcomes[0].gradient_evaluations,
        "steps": trajectory.outcomes[0].steps,
        "reconstruction_error": error,
    }


def tables(result: dict[str, Any]) -> list[RenderableType]:
    """The result for people to read."""
    return [_time_table(result), _growth_table(result), _goal_table(result)]


def _time_table(result: dict[str, Any]) -> Table:
    table = Table(title=f"Time to a reconstruction error of {FOUND:g}")
    columns = ("seed", "solver", "s", "times faster", "gradients", "s compiling")
    for column in columns:
        table.add_column(column, justify="left" if column == "solver" else "right")
    for row in result["runs"]:
        for name in row["solvers"]:
            table.add_row(str(row["instance"]["seed"]), name, *_cells(row, name))
    return table


def _cells(row: dict[str, Any], name: str) -> list[str]:
    solver, descent = row["solvers"][name], row["solvers"]["adaptive descent"]
    if not solver["found"]:
        return ["not found", "", str(solver["gradient_evaluations"]), ""]
    faster = descent["seconds"] / solver["seconds"]
    return [
        f"{solver['seconds']:.2f}",
        f"{faster:.1f}",
        str(solver["gradient_evaluations"]),
        f"{solver['seconds_compile']:.1f}",
    ]


def _growth_table(result: dict[str, Any]) -> Table:
    table = Table(title="Growth with the number of components, dimension, init scale")
    for column in ("varied", "value", *result["runs"][0]["solvers"]):
        table.add_column(column, justify="left" if column == "varied" else "right")
    values = {
        "components": lambda instance: instance["components"],
        "mode dimension": lambda instance: instance["mode_dims"][0],
        "init scale": lambda instance: instance["init_scale"],
    }
    seed = result["sizes"]["varied_seed"]
    unvaried = [row for row in result["runs"] if row["instance"]["seed"] == seed]
    for name, rows in result["varied"].items():
        for row in [*rows, *unvaried]:
            cells = [
                f"{solver['seconds']:.2f} s" if solver["found"] else "not found"
                for solver in row["solvers"].values()
            ]
            table.add_row(name, f"{values[name](row['instance']):g}", *cells)
    return table


def _goal_table(result: dict[str, Any]) -> Table:
    table = Table(title="Goals, medians over the seeds")
    for column in ("ratio", "measured", "goal", "further", "met"):
        table.add_column(column, justify="left" if column == "ratio" else "right")
    all_found = all(
        solver["found"] for row in result["runs"] for solver in row["solvers"].values()
    )
    for name, (goal, further) in _GOALS.items():
        ratio = _median_ratio(result, "adaptive descent", name, "seconds")
        met = "yes" if ratio >= goal and all_found else "no"
        label = f"time of adaptive descent / {name}"
        table.add_row(label, f"{ratio:.1f}", f">= {goal:g}", f">= {further:g}", met)
    ratio = _median_ratio(result, "flow", "adaptive descent", "gradient_evaluations")
    met = "yes" if ratio <= _GRADIENT_GOAL and all_found else "no"
    label = "gradients of flow / adaptive descent"
    table.add_row(label, f"{ratio:.2f}", f"<= {_GRADIENT_GOAL:g}", "", met)
    return table


def _median_ratio(result: dict[str, Any], above: str, below: str, what: str) -> float:
    return statistics.median(
        row["solvers"][above][what] / row["solvers"][below][what]
        for row in result["runs"]
    )


if __name__ == "__main__":
    from run import main

    main(["time_to_solution"])
