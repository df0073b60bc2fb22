"""A program that `test_devices.py` runs, where the CPU is eight devices.

It writes what it found as JSON.
"""

import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

import rankrise as rr
from rankrise.ensembles import (
    LevenbergMarquardt,
    Member,
    Samples,
    Training,
    fit_ensemble,
)
from rankrise.tables import CategoricalData

DIMS, COMPONENTS = (40, 30, 30), 5
# Neither 2 nor 8 divides it.
OBSERVATIONS = 301


def completion(dims: tuple[int, ...] = DIMS, count: int = OBSERVATIONS) -> Any:
    target = rr.synthetic.random_target(dims, cp_rank=2, seed=0)
    indices = rr.synthetic.sample_indices(dims, count, seed=0)
    values = rr.synthetic.observe(target, indices, seed=0).values
    weights = np.random.default_rng(0).uniform(0.5, 2, count)
    return rr.CompletionProblem.from_observations(
        rr.Observations(indices, values, dims, weights)
    )


def starts(dims: tuple[int, ...] = DIMS, count: int = 1) -> list[Any]:
    return [
        rr.factorizations.near_zero(
            dims, COMPONENTS, init_scale=0.3, key=jax.random.key(seed)
        )
        for seed in range(count)
    ]


def measured(found: rr.trajectories.Trajectory) -> dict[str, Any]:
    names = ("loss", "train_error", "component_norms", "pull", "frobenius_norm")
    data = {name: found.dataset[name].to_numpy().tolist() for name in names}
    return {**data, "steps": found.dataset["step"].to_numpy().tolist()}


def solved(devices: Any, **options: Any) -> dict[str, Any]:
    recording = rr.trajectories.Recording(save_at=rr.trajectories.SaveAt.linear(4))
    options = {"max_steps": 60, "recording": recording, **options}
    problem, model = options.pop("problem", None), options.pop("model", None)
    problem, model = problem or completion(), model or starts()[0]
    solver = options.pop("solver", None)
    found = rr.solve(problem, model, solver, devices=devices, **options)
    assert all(
        len(leaf.sharding.device_set) == 1 for leaf in jax.tree.leaves(found.models)
    )
    return measured(found)


def resumed(folder: Path) -> dict[str, Any]:
    """A run on eight devices, cut off, and resumed on one."""

    def cut_off(progress: Any) -> None:
        if progress.step >= 20:
            raise KeyboardInterrupt

    path = folder / "state.npz"
    with contextlib.suppress(KeyboardInterrupt):
        solved(8, checkpoint=rr.Checkpoint(path, 0.0), progress=cut_off)
    kinds = state_kinds(path)
    steps = []
    checkpoint = rr.Checkpoint(path, 0.0, resume=True)
    found = solved(
        1, checkpoint=checkpoint, progress=lambda now: steps.append(now.step)
    )
    other = folder / "one.npz"
    solved(1, checkpoint=rr.Checkpoint(other))
    return {
        "found": found,
        "first_step": steps[0],
        "kinds": kinds,
        "kinds_of_one": state_kinds(other),
    }


def state_kinds(path: Path) -> dict[str, str]:
    with np.load(path) as file:
        return {
            name: f"{file[name].dtype}{file[name].shape[1:]}"
            for name in file.files
            if name != "meta"
        }


def shares() -> list[int]:
    """How many rows of the observed values are on each device during a run."""
    rows: set[int] = set()

    def look(progress: Any) -> None:
        for array in jax.live_arrays():
            if array.ndim == 1 and array.shape[0] >= OBSERVATIONS:
                rows.update(
                    shard.data.shape[0]
                    for shard in array.addressable_shards
                    if len(array.sharding.device_set) == 8
                )

    solved(8, progress=look)
    return sorted(rows)


def fitted(devices: Any, training: Training | None = None, **options: Any) -> Any:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 2, (50, 9)).astype(np.uint8)
    samples = Samples(CategoricalData.from_codes(codes, 2), rng.normal(size=(50, 2)))
    found = fit_ensemble(
        samples,
        [Member(1, 0), Member(2, 1), Member(4, 0)],
        training or Training(epochs=20, batch_size=16),
        test=samples,
        devices=devices,
        **options,
    )
    return {
        "tables": [table.tolist() for table in found.tables],
        "train_losses": found.train_losses.tolist(),
        "test_losses": found.test_losses.tolist(),
    }


def resumed_fit(folder: Path) -> Any:
    path = folder / "fit.npz"

    def cut_off(progress: Any) -> None:
        if progress.epoch >= 10:
            raise KeyboardInterrupt

    with contextlib.suppress(KeyboardInterrupt):
        fitted(8, checkpoint=rr.Checkpoint(path, 0.0), progress=cut_off)
    return fitted(1, checkpoint=rr.Checkpoint(path, resume=True))


def quick(folder: Path) -> dict[str, Any]:
    return {
        "solve": {str(n): solved(n) for n in (1, 2, 8)},
        "shares": shares(),
        "resumed": resumed(folder),
        "fit": {str(n): fitted(n) for n in (1, 8)},
        "resumed_fit": resumed_fit(folder),
    }


def thorough(folder: Path) -> dict[str, Any]:
    """Other problems, solvers and starts, each on one device and on several."""
    dims = (6, 5, 4)
    few = completion(dims, 83)
    target = rr.synthetic.random_target(dims, cp_rank=2, seed=0)
    dense = rr.synthetic.gaussian_measurements(dims, 41, seed=0)
    factored = rr.synthetic.rank_k_measurements(dims, 41, cp_rank=2, seed=0)

    def sensing(measurements: Any, build: Callable[..., Any]) -> Any:
        values = rr.synthetic.measure(target, measurements, seed=0)
        return build(measurements, values)

    (start,) = starts(dims)
    matrix = rr.factorizations.near_zero_matrix(
        (6, 7), 3, init_scale=0.3, key=jax.random.key(0)
    )
    heldout = rr.trajectories.Recording(
        observables=rr.trajectories.standard_observables(
            few, start, heldout=completion(dims, 37)
        ),
        save_at=rr.trajectories.SaveAt.linear(3),
    )
    timed = {"max_steps": None, "end_time": 20.0}
    cases: dict[str, dict[str, Any]] = {
        "grid": {"problem": few, "model": start},
        "dense": {
            "problem": sensing(dense, rr.SensingProblem.from_dense),
            "model": start,
        },
        "factored": {
            "problem": sensing(factored, rr.SensingProblem.from_factored),
            "model": start,
        },
        "matrix": {"problem": completion((6, 7), 31), "model": matrix},
        "held out": {"problem": few, "model": start, "recording": heldout},
        "several starts": {"model": starts(count=3)},
        "flow": {"solver": rr.GradientFlow(rtol=1e-7), **timed},
        "minibatch": {"solver": rr.Minibatch(rr.GradientDescent(1.0), 16)},
    }
    second_order = Training(optimizer=LevenbergMarquardt(), epochs=3, batch_size=16)
    return {
        **{
            name: {str(n): solved(n, **case) for n in (1, "all")}
            for name, case in cases.items()
        },
        "second order": {str(n): fitted(n, second_order) for n in (1, "all")},
    }


def one_of_two(process: str, port: str) -> dict[str, Any]:
    """A run of two processes, of which this is one, beside one of its own."""
    jax.distributed.initialize(f"127.0.0.1:{port}", 2, int(process))
    folder = Path.cwd() / process
    folder.mkdir()
    checkpoint = rr.Checkpoint(folder / "state.npz", 0.0)
    return {
        "together": solved("all", checkpoint=checkpoint),
        "alone": solved(None),
        "fit_together": fitted("all"),
        "fit_alone": fitted(None),
        "written": (folder / "state.npz").exists(),
    }


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    if name == "one_of_two":
        result = one_of_two(*arguments)
    else:
        result = {"quick": quick, "thorough": thorough}[name](Path.cwd())
    Path(f"{'-'.join(sys.argv[1:])}.json").write_text(json.dumps(result))
