"""The benchmarks run, at sizes that take no time, and no time is asserted."""

import io
import itertools
import json
import math

import jax
import numpy as np
import pytest
from rich.console import Console

from rankrise.experiments import VerificationConfig, run_verification


@pytest.fixture(scope="module")
def step(benchmarks):
    return benchmarks("gradient_step")


@pytest.fixture(scope="module")
def tiny(benchmarks):
    return benchmarks("_instance").Sizes(
        mode_dims=(3, 4, 2, 3),
        components=5,
        observations=20,
        runs=2,
        repeats=1,
        seconds=0.0,
    )


@pytest.fixture(scope="module")
def result(step, tiny):
    return step.run(tiny)


def row(rows, name):
    (found,) = [each for each in rows if each["name"] == name]
    return found


def test_our_step_and_dense_ones_compute_the_same(step, benchmarks, tiny):
    parts, dense = benchmarks("_instance"), benchmarks("_dense_measurements")
    compiled = benchmarks("_compiled")
    instance = parts.Instance.random(tiny)
    matrices = instance.starts[0]
    measurements = dense.one_hot_measurements(instance)
    found = [
        dense.DenseNumPy(instance, measurements, way).loss_and_gradient(matrices)
        for way in step.NUMPY.values()
    ]
    with jax.enable_x64(False):
        ours = compiled.completion(instance)
        found += compiled.losses_and_gradients(ours, instance.starts[:1])
    true = parts.reference(instance, matrices)
    # As below.
    assert max(max(parts.errors(each, true)) for each in found) < 1e-6


# Each of the versions is compiled, which takes most of a minute in all.
@pytest.mark.slow
def test_every_version_computes_the_same_loss_and_gradient(result):
    installed = [each for each in result["versions"] if each["installed"]]
    assert len(installed) >= 8
    # Float32 rounds by 6e-8; sums of five products of four factors add up a few.
    assert max(each["loss_error"] for each in installed) < 1e-6
    assert max(each["gradient_error"] for each in installed) < 1e-6


def test_a_version_that_computes_something_else_is_refused(step, benchmarks, tiny):
    parts = benchmarks("_instance")
    instance = parts.Instance.random(tiny)
    loss, gradient = parts.reference(instance, instance.starts[0])
    # As a loss with a factor of one half would have it.
    halved = tuple(slope / 2 for slope in gradient)
    version = step.Version("half", None, lambda: [(loss, halved)], 0, None)
    with pytest.raises(RuntimeError, match=r"half computes something else.* 0\.5 in"):
        step._accuracy(version, instance)


def test_reference_gradient_is_the_slope_of_the_reference_loss(benchmarks, tiny):
    parts = benchmarks("_instance")
    instance = parts.Instance.random(tiny)
    start = [matrix.astype("f8") for matrix in instance.starts[0]]
    _, gradient = parts.reference(instance, start)
    for mode, place in [(0, (1, 2)), (2, (0, 4)), (3, (2, 0))]:
        losses = []
        for change in (1e-5, -1e-5):
            moved = [matrix.copy() for matrix in start]
            moved[mode][place] += change
            losses.append(parts.reference(instance, moved)[0])
        slope = (losses[0] - losses[1]) / 2e-5
        # Central differences: off by about 1e-5 squared, and by rounding over 1e-5.
        assert slope == pytest.approx(gradient[mode][place], rel=1e-7, abs=1e-9)


@pytest.mark.slow
def test_dense_measurements_hold_a_tensor_per_observation(result, tiny):
    entries = math.prod(tiny.mode_dims)
    dense = row(result["versions"], "dense, NumPy, broadcast")
    assert dense["held_bytes"] == 4 * tiny.observations * (entries + 1)
    assert dense["formed_bytes"] > 4 * tiny.observations * entries


@pytest.mark.slow
def test_pytorch_has_a_row_where_it_is_not_installed_too(step, result):
    for name in step.PYTORCH:
        installed = row(result["versions"], name)["installed"]
        assert installed == (step.torch_version() is not None)


def test_ratios_are_taken_within_rounds(benchmarks):
    timing = benchmarks("_timing")
    slow = timing.Timing((10.0, 40.0, 20.0), 1)
    fast = timing.Timing((1.0, 4.0, 1.0), 1)
    assert timing.ratio(slow, fast) == 10.0


def test_times_are_per_step_and_run(benchmarks):
    timing = benchmarks("_timing")
    case = timing.Case(lambda steps: 0.3 * steps, runs=3)
    times = timing.interleaved({"case": case}, repeats=2, seconds=3.0)
    assert times["case"].samples == pytest.approx((0.1, 0.1))
    assert 5 <= times["case"].steps <= 10


@pytest.fixture(scope="module")
def solution(benchmarks):
    module = benchmarks("time_to_solution")
    sizes = module.Sizes(
        order=3,
        mode_dim=5,
        target_rank=2,
        observations=110,
        components=6,
        init_scale=0.05,
        seeds=(1,),
        varied_components=(),
        varied_mode_dims=(),
        varied_init_scales=(0.1,),
    )
    return json.loads(json.dumps(module.run(sizes)))


@pytest.fixture(scope="module")
def epoch(benchmarks):
    module = benchmarks("ensemble_epoch")
    sizes = module.Sizes(
        samples=50, features=7, batch_size=20, ranks=(1, 3), repeats=1, seconds=0.0
    )
    return json.loads(json.dumps(module.run(sizes)))


@pytest.mark.slow
def test_an_epoch_is_compared_for_every_component(benchmarks, epoch):
    module = benchmarks("ensemble_epoch")
    assert epoch["sizes"]["components"] == 12
    installed = [each for each in epoch["versions"] if each["installed"]]
    checked = [each["errors"] for each in installed if each["errors"]]
    # Float32 rounds by 6e-8; products of seven factors add up a few.
    assert max(max(each.values()) for each in checked) < 1e-6
    assert all(each["seconds_an_epoch_and_component"] > 0 for each in installed)
    text = shown(module.tables(epoch))
    assert all(each["name"] in text for each in epoch["versions"])


def test_a_plain_batch_stands_for_all_batches_and_classes(benchmarks):
    module, timing = benchmarks("ensemble_epoch"), benchmarks("_timing")
    sizes = module.Sizes(samples=50, batch_size=20, ranks=(1, 3))
    seconds = {module.OURS: 3.0, module.FLOOR: 1.5, module.PLAIN: 2.0}
    times = {name: timing.Timing((each,), 1) for name, each in seconds.items()}
    floor, plain = module._goals(times, sizes)
    assert floor["value"] == 2.0
    # Three batches an epoch, three classes: 18 s against 3 s.
    assert plain["value"] == pytest.approx(6.0)


def test_an_ensemble_that_computes_something_else_is_refused(benchmarks):
    module = benchmarks("ensemble_epoch")
    sizes = module.Sizes(samples=50, features=7, batch_size=20, ranks=(1, 3))
    instance = module.Instance.random(sizes)
    found = module.Ensemble(instance).losses_and_gradients()
    halved = [(loss, gradient / 2) for loss, gradient in found]
    with pytest.raises(RuntimeError, match=r"half computes something else.* 0\.5 in"):
        module._checked("half", halved, instance)


def test_results_file_has_what_the_numbers_depend_on(benchmarks, tmp_path, monkeypatch):
    for name, module in benchmarks("run").BENCHMARKS.items():
        monkeypatch.setattr(module, "run", lambda name=name: {"of": name})
        monkeypatch.setattr(module, "tables", lambda result: [result["of"]])
    out = tmp_path / "results.json"
    benchmarks("run").main(["--out", str(out)])
    written = json.loads(out.read_text())
    assert set(written) == {"environment", *benchmarks("run").BENCHMARKS}
    assert set(written["environment"]) == {"versions", "device", "cores"}
    assert {"jax", "numpy", "blas", "torch"} <= set(written["environment"]["versions"])
    assert written["gradient_step"] == {"of": "gradient_step"}
    # Nothing of this machine but what is asked for, and nothing that dates it.
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
    assert str(tmp_path) not in out.read_text()


@pytest.mark.slow
def test_a_step_has_its_times_parts_and_goals(result):
    found = json.loads(json.dumps(result))
    assert set(found) == {"sizes", "versions", "floor", "parts", "goals"}
    ours = row(found["versions"], "rankrise")
    assert ours["times_rankrise"] == 1.0
    assert ours["seconds"] >= ours["seconds_fastest"] > 0
    assert {"name", "value", "goal", "further", "met"} == set(found["goals"][0])


def shown(tables):
    console = Console(record=True, width=100, file=io.StringIO())
    console.print(*tables)
    return console.export_text()


@pytest.mark.slow
def test_tables_name_every_version(step, result):
    text = shown(step.tables(result))
    assert all(each["name"] in text for each in result["versions"])


def test_gradient_of_the_update_alone_is_the_parameters(benchmarks, tiny):
    compiled = benchmarks("_compiled")
    instance = benchmarks("_instance").Instance.random(tiny)
    update = compiled.variant(compiled.UpdateOnly, instance)
    ((_, gradient),) = compiled.losses_and_gradients(update, instance.starts[:1])
    for slope, matrix in zip(gradient, instance.starts[0], strict=True):
        np.testing.assert_array_equal(slope, matrix)


@pytest.mark.slow
def test_the_time_to_solution_is_measured_for_every_solver_and_variation(
    benchmarks, solution
):
    module = benchmarks("time_to_solution")
    (row,) = solution["runs"]
    for solver in row["solvers"].values():
        assert solver["found"] == (solver["reconstruction_error"] < module.FOUND)
        assert solver["gradient_evaluations"] >= solver["steps"] > 0
    assert [len(rows) for rows in solution["varied"].values()] == [0, 0, 1]
    assert "adaptive descent" in shown(module.tables(solution))


@pytest.fixture(scope="module")
def verified_problems(benchmarks):
    return benchmarks("verify_problems")


def test_thirty_problems_are_verified_and_none_is_the_default(verified_problems):
    groups = {
        group: list(verified_problems.problems(group, 10))
        for group in ("noisy", "other", "sensing")
    }
    assert [len(problems) for problems in groups.values()] == [10, 10, 10]
    orders = {data.indices.shape[1] for _, _, data, _ in groups["noisy"]}
    assert orders == {2, 3, 4, 5}
    for _, settings, data, _ in itertools.chain(*groups.values()):
        config = VerificationConfig(**settings)
        config.check_source(from_file=data is not None)
        assert data is not None or config != VerificationConfig()


@pytest.mark.slow
@pytest.mark.parametrize("group", ["noisy", "other", "sensing"])
def test_growth_is_not_violated_on_another_problem(group, verified_problems):
    for _, settings, data, _ in verified_problems.problems(group, 2):
        config = VerificationConfig(**settings)
        result = run_verification(config, ("growth",), observations=data)
        assert result.violated == []
        assert result.untested == []


def test_a_sweep_on_workers_is_measured_against_one_process(benchmarks):
    usage = benchmarks("sweep_workers").Usage
    one = [usage(20.0, 10.0), usage(12.0, 10.0)]
    several = [usage(10.0, 1.0, (5.0, 5.5)), usage(6.0, 1.0, (5.5, 6.0))]
    found = benchmarks("sweep_workers").figures(one, several, runs=100)
    assert found["seconds_a_run"] == pytest.approx(0.1)
    assert found["ratio_clock"] == pytest.approx(2.0)
    assert found["ratio_busiest"] == pytest.approx((10 / 5.5 + 10 / 6) / 2)
    # Medians of .5 and 1.5 seconds beyond those of one process, for a hundred runs.
    assert found["overhead_a_run_workers"] == pytest.approx(0.01)
    assert found["overhead_a_run_starting"] == pytest.approx(0.01)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_sweep_is_timed_on_workers_and_in_one_process(benchmarks):
    pytest.importorskip("distributed")
    workers = benchmarks("sweep_workers")
    tiny = workers.Sizes(seeds=1, steps=20, mode_dim=2, components=2, rounds=1)
    result = workers.run(tiny)
    assert result["runs"] == 20
    assert len(result["rounds"]["workers"][0]["workers"]) == 2
    assert result["seconds_a_run"] > 0
