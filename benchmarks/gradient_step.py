"""How long one step of gradient descent takes, against other ways to take it.

Order 4, mode dimension 10, 1000 components, 2000 observed entries, squared loss,
float32: the size of the paper's runs. A step is loss, gradient and update. "Dense" is
the way of the paper's public code, with dense measurement tensors.
"""

import statistics
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import jax
from rich.console import RenderableType

from _compiled import (
    GatheredBlocks,
    GatheredRows,
    completion,
    formed_bytes,
    losses_and_gradients,
    part_cases,
    product_cases,
    solver_case,
    start,
    variant,
)
from _dense_measurements import (
    DenseNumPy,
    DensePyTorch,
    one_hot_measurements,
    torch_version,
)
from _instance import FactorMatrices, Instance, Sizes, errors, reference
from _step_tables import breakdown_table, goal, goal_table, version_table
from _timing import Case, Timing, clocked, interleaved, ratio
from rankrise.problems import AbstractProblem

OURS = "rankrise"
DENSE = "dense, NumPy, broadcast"
NUMPY = {
    DENSE: "broadcast",
    "dense, NumPy, kept broadcast": "kept broadcast",
    "dense, NumPy, matrix product": "matrix product",
}
PYTORCH = {
    "dense, PyTorch, broadcast": "broadcast",
    "dense, PyTorch, matrix product": "matrix product",
}
# Sums of thousands of float32 products, each rounded by up to 6e-8 of its size.
_TOLERANCE = 1e-5

Found = tuple[float, FactorMatrices]


@dataclass(frozen=True)
class Version:
    """A way to take the step.

    Attributes
    ----------
    found
        Loss and gradient at each of the starts it works on.
    held_bytes
        The observations, in the form this version reads them in.
    formed_bytes
        Largest memory taken during a step beside that, factors and gradient; None
        where it is not measured.
    """

    name: str
    case: Case
    found: Callable[[], list[Found]]
    held_bytes: int
    formed_bytes: int | None


def run(sizes: Sizes | None = None) -> dict[str, Any]:
    """Check that all versions agree, then time them in turns."""
    sizes = sizes or Sizes()
    with jax.enable_x64(False):
        instance = Instance.random(sizes)
        versions = _versions(instance)
        accuracy = {each.name: _accuracy(each, instance) for each in versions}
        floor, parts = product_cases(instance), part_cases(instance)
        times = interleaved(
            {each.name: each.case for each in versions} | floor | parts,
            repeats=sizes.repeats,
            seconds=sizes.seconds,
        )
    described = [_described(each, times) | accuracy[each.name] for each in versions]
    if not torch_version():
        described += [{"name": name, "installed": False} for name in PYTORCH]
    return {
        "sizes": asdict(sizes),
        "versions": described,
        "floor": [_timed(name, times) for name in floor],
        "parts": _parts(times),
        "goals": _goals(times, versions[:2], list(floor)),
    }


def _versions(instance: Instance) -> list[Version]:
    """All there are on this machine, rankrise first."""
    runs = len(instance.starts)
    batched = f", {runs} runs batched"
    ours = completion(instance)
    rows = variant(GatheredRows, instance)
    blocks = variant(GatheredBlocks, instance)
    versions = [
        _in_solver(OURS, ours, instance, 1),
        _in_solver(OURS + batched, ours, instance, runs),
        _in_solver("gather of rows", rows, instance, 1),
        _in_solver("gather of rows" + batched, rows, instance, runs),
        _in_solver("gather of rows in blocks", blocks, instance, 1),
    ]
    dense = one_hot_measurements(instance)
    for name, way in NUMPY.items():
        versions.append(_dense(name, DenseNumPy(instance, dense, way), instance))
    if torch_version():
        for name, way in PYTORCH.items():
            versions.append(_dense(name, DensePyTorch(instance, dense, way), instance))
    return versions


def _in_solver(
    name: str, problem: AbstractProblem, instance: Instance, runs: int
) -> Version:
    starts = instance.starts[:runs]
    models = [start(matrices) for matrices in starts]
    return Version(
        name,
        solver_case(problem, models),
        lambda: losses_and_gradients(problem, starts),
        held_bytes=instance.indices.nbytes + instance.values.nbytes,
        formed_bytes=formed_bytes(problem, models),
    )


def _dense(name: str, dense: DenseNumPy | DensePyTorch, instance: Instance) -> Version:
    matrices = instance.starts[0]
    formed = None
    if isinstance(dense, DenseNumPy):
        # PyTorch's memory is out of this tracer's sight.
        tracemalloc.start()
        dense.loss_and_gradient(matrices)
        formed = tracemalloc.get_traced_memory()[1] + dense.kept_bytes
        tracemalloc.stop()
    return Version(
        name,
        Case(clocked(dense.steps)),
        lambda: [dense.loss_and_gradient(matrices)],
        held_bytes=dense.held_bytes,
        formed_bytes=formed,
    )


def _accuracy(version: Version, instance: Instance) -> dict[str, float]:
    """Its largest relative errors against float64; a wrong version is not timed."""
    pairs = [
        errors(found, reference(instance, matrices))
        for found, matrices in zip(version.found(), instance.starts, strict=False)
    ]
    loss_error, gradient_error = (max(column) for column in zip(*pairs, strict=True))
    if not max(loss_error, gradient_error) < _TOLERANCE:
        raise RuntimeError(
            f"{version.name} computes something else: relative error {loss_error:.1g} "
            f"in the loss, {gradient_error:.1g} in the gradient."
        )
    return {"loss_error": loss_error, "gradient_error": gradient_error}


def _described(version: Version, times: dict[str, Timing]) -> dict[str, Any]:
    return {
        **_timed(version.name, times),
        "installed": True,
        "times_rankrise": ratio(times[version.name], times[OURS]),
        "held_bytes": version.held_bytes,
        "formed_bytes": version.formed_bytes,
    }


def _timed(name: str, times: dict[str, Timing]) -> dict[str, Any]:
    timing = times[name]
    return {
        "name": name,
        "seconds": timing.median,
        "seconds_fastest": timing.fastest,
        "steps": timing.steps,
    }


def _parts(times: dict[str, Timing]) -> list[dict[str, Any]]:
    """Where the time of a step goes; each part was timed in a loop of its own.

    Parts overlap in a real step and share what they read, so what is left for the
    rest can be negative.
    """

    def spent(name: str, but: str | None = None) -> float:
        less = times[but].samples if but else [0.0] * len(times[name].samples)
        pairs = zip(times[name].samples, less, strict=True)
        return statistics.median(a - b for a, b in pairs)

    parts = {
        "matrix products": spent("three products, JAX"),
        "Khatri-Rao products": spent("Khatri-Rao and update", "update"),
        "gather, loss, scatter": spent("gather and tensor update", "tensor update"),
        "update and checks": spent("update"),
    }
    parts["rest"] = times[OURS].median - sum(parts.values())
    return [{"name": name, "seconds": seconds} for name, seconds in parts.items()]


def _goals(
    times: dict[str, Timing], ours: list[Version], floor: list[str]
) -> list[dict[str, Any]]:
    """How far ahead of dense measurements, and how far from the fastest products."""
    lowest = min(floor, key=lambda name: times[name].median)
    goals = []
    for version in ours:
        step = times[version.name]
        ahead, above = ratio(times[DENSE], step), ratio(step, times[lowest])
        goals += [
            goal(f"{DENSE} / {version.name}", ahead, 80, 100, ahead >= 80),
            goal(f"{version.name} / {lowest}", above, 5, 3, above <= 5),
        ]
    return goals


def tables(result: dict[str, Any]) -> list[RenderableType]:
    """The result for people to read."""
    return [version_table(result), breakdown_table(result), goal_table(result)]


if __name__ == "__main__":
    from run import main

    main(["gradient_step"])
