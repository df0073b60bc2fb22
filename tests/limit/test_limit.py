"""Plateaus of gradient flow as the init scale goes to zero."""

import logging
import os
import re
import signal
from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rankrise.factorizations import (
    CPFactorization,
    DeepMatrixFactorization,
    DenseTensor,
    near_zero,
    near_zero_matrix,
)
from rankrise.limit import Limit, solve_limit
from rankrise.losses import AbsoluteLoss, SquaredLoss
from rankrise.problems import CompletionProblem, SensingProblem
from rankrise.runs import Ending, keeping_interrupted
from rankrise.solvers import GradientFlow, solve
from rankrise.synthetic import (
    gaussian_measurements,
    measure,
    observe,
    random_target,
    rank_k_measurements,
    sample_indices,
)
from rankrise.trajectories import (
    Recording,
    SaveAt,
    Trajectory,
    reconstruction_error,
)

DIMS = (5, 4, 3)
RECORDING = Recording(observables=("loss", "component_norms", "unbalancedness"))


def full_problem(tensor):
    """Every entry of a tensor observed once: the gradient is 2 (W - T) / entries."""
    indices = np.stack([axis.reshape(-1) for axis in np.indices(tensor.shape)], axis=1)
    values = np.asarray(tensor).reshape(-1)
    return CompletionProblem(
        indices=jnp.asarray(indices),
        values=jnp.asarray(values),
        mode_dims=tensor.shape,
        loss_function=SquaredLoss(),
        weights=None,
    )


def orthogonal_tensor(sizes, dims=DIMS, seed=0):
    """A sum of components that are orthogonal in every mode, and their vectors."""
    rng = np.random.default_rng(seed)
    bases = [
        np.linalg.qr(rng.standard_normal((d, d)))[0][:, : len(sizes)] for d in dims
    ]
    model = CPFactorization(
        tuple(
            jnp.asarray(b * (np.array(sizes) if n == 0 else 1))
            for n, b in enumerate(bases)
        )
    )
    return np.asarray(model.end_tensor()), bases


@pytest.fixture(scope="module")
def completion():
    target = random_target(DIMS, 2, seed=0)
    indices = sample_indices(DIMS, 45, seed=0)
    return CompletionProblem.from_observations(observe(target, indices, seed=0))


@pytest.fixture(scope="module")
def start():
    return near_zero(DIMS, 12, key=jax.random.key(3))


@pytest.fixture(scope="module")
def trajectory(completion, start):
    return solve_limit(completion, start, recording=RECORDING)


def scaled_gradient(problem, model):
    """Norm of the gradient over the components that are learned."""
    slopes = jax.grad(problem.loss)(model).factor_matrices
    learned = np.asarray(model.component_norms()) > 0
    return max(float(np.abs(np.asarray(s)[:, learned]).max()) for s in slopes)


def test_saves_are_zero_and_then_a_plateau_for_every_component(trajectory):
    np.testing.assert_array_equal(trajectory.step, [0, 1, 2])
    np.testing.assert_array_equal(trajectory.rank, [0, 1, 2])
    np.testing.assert_array_equal((trajectory.component_norms > 0).sum(1), [0, 1, 2])
    assert (np.diff(trajectory.loss) < 0).all()
    assert (np.diff(trajectory.time) > 0).all()
    assert trajectory.time[0] == 0


def test_final_factorization_has_the_start_s_columns_and_is_zero_elsewhere(
    trajectory, start
):
    norms = np.asarray(trajectory.model.component_norms())
    assert norms.shape == (start.components,)
    columns = trajectory.dataset["component_index"].to_numpy()
    np.testing.assert_allclose(norms[columns], trajectory.component_norms[-1])
    assert (np.delete(norms, columns) == 0).all()


def test_plateaus_are_stationary_and_balanced(completion, start, trajectory):
    for rank in (1, 2):
        plateau = solve_limit(
            completion, start, Limit(max_components=rank), recording=RECORDING
        )
        # The gradient by a parameter was of order 0.01 on the way.
        assert scaled_gradient(completion, plateau.model) < 1e-10
        assert plateau.unbalancedness[-1] < 1e-3
        assert plateau.loss[-1] == trajectory.loss[rank]


def test_scale_of_the_start_changes_nothing(completion, start, trajectory):
    larger = jax.tree.map(lambda w: 1024.0 * w, start)  # exact in floating point
    other = solve_limit(completion, larger, recording=RECORDING)
    assert other.dataset.equals(trajectory.dataset)


def test_permuting_components_permutes_the_result(completion, start, trajectory):
    order = np.random.default_rng(0).permutation(start.components)
    permuted = jax.tree.map(lambda w: w[:, order], start)
    other = solve_limit(completion, permuted, recording=RECORDING)
    # Batches sum in another order: rounding, amplified by growth to an escape.
    np.testing.assert_allclose(other.time, trajectory.time, rtol=1e-6)
    np.testing.assert_allclose(other.loss, trajectory.loss, rtol=1e-6, atol=1e-15)
    for ours, theirs in zip(
        other.model.factor_matrices, trajectory.model.factor_matrices, strict=True
    ):
        np.testing.assert_allclose(ours, theirs[:, order], atol=1e-5)


@pytest.mark.slow
def test_a_small_init_scale_sees_the_same_plateaus(completion, start, trajectory):
    scale = 0.003
    unit = np.sqrt(np.mean(np.concatenate(start.factor_matrices) ** 2))
    small = jax.tree.map(lambda w: (scale / unit) * w, start)
    flow = solve(
        completion,
        small,
        GradientFlow(),
        end_time=1.5 * float(trajectory.time[-1]) / scale,
        recording=replace(RECORDING, save_at=SaveAt.linear(1500)),
    )
    risen = flow.component_norms > 0.05
    counts = risen.sum(axis=1)
    assert counts.max() == 2
    columns = flow.dataset["component_index"].to_numpy()
    first = [int(columns[risen[counts == rank][-1]][0]) for rank in (1,)]
    order = [int(c) for c in trajectory.dataset["component_index"].to_numpy()]
    rises = np.argmax(trajectory.component_norms > 0, axis=0)
    assert first == [order[int(np.argmin(np.where(rises > 0, rises, 99)))]]
    one = flow.loss[counts == 1]
    nearest = np.min(np.abs(one / trajectory.loss[1] - 1))
    assert nearest < 1e-3
    # Scaled times agree as the scale falls; at this one to a few percent.
    entered = flow.time[np.argmax(counts >= 1)] * scale
    assert entered == pytest.approx(float(trajectory.time[1]), rel=0.1)


@pytest.mark.parametrize(
    "dims",
    [
        (4, 3, 2),
        pytest.param((3, 2, 4, 2), marks=pytest.mark.slow),
        pytest.param((2, 3, 2, 2, 2), marks=pytest.mark.slow),
    ],
)
def test_aligned_starts_rise_one_by_one_when_the_closed_form_says(dims):
    # Components aligned with those of an orthogonal target: u' = g u^(N-1) each, with
    # g = 2 size / entries, which the others' being learned does not change.
    order, sizes, begin = len(dims), [1.0, 0.6], [0.5, 0.7]
    tensor, bases = orthogonal_tensor(sizes, dims)
    start = CPFactorization(tuple(jnp.asarray(b * np.array(begin)) for b in bases))
    found = solve_limit(full_problem(tensor), start, recording=RECORDING)
    unit = np.sqrt(
        np.mean(np.concatenate([np.asarray(w) for w in start.factor_matrices]) ** 2)
    )
    pulls = 2 * np.array(sizes) / tensor.size
    times = 1 / ((order - 2) * pulls * (np.array(begin) / unit) ** (order - 2))
    np.testing.assert_allclose(found.time[1:], np.sort(times), rtol=1e-5)
    np.testing.assert_allclose(found.model.component_norms(), sizes, rtol=1e-8)
    assert found.outcomes[0].result == "converged"


@pytest.mark.slow
def test_matrix_plateaus_are_truncated_singular_value_decompositions():
    tensor = np.random.default_rng(1).standard_normal((5, 4))
    values = np.linalg.svd(tensor, compute_uv=False)
    problem = full_problem(tensor)
    found = solve_limit(problem, near_zero((5, 4), 7, key=jax.random.key(0)))
    rests = np.array([np.sum(values[k:] ** 2) for k in range(5)]) / tensor.size
    np.testing.assert_allclose(found.loss, rests, rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(found.model.end_tensor(), tensor, atol=1e-8)
    # Everything is alpha^(-x): pair k rises when x_k = -1 + s_k t passes zero, since
    # the gradient's other singular values stay as they are.
    np.testing.assert_allclose(found.time[1:], tensor.size / (2 * values), rtol=1e-8)


@pytest.mark.slow
def test_matrix_components_lie_along_the_directions_that_grow():
    tensor = np.random.default_rng(1).standard_normal((4, 3))
    start = near_zero((4, 3), 6, init_scale=1e-6, key=jax.random.key(2))
    problem = full_problem(tensor)
    limit = solve_limit(problem, start, Limit(max_components=1))
    rates = 2 * np.linalg.svd(tensor, compute_uv=False) / tensor.size
    # A plateau that the second component leaves long after the first has reached it.
    flow = solve(
        problem,
        start,
        GradientFlow(rtol=1e-4),
        end_time=0.5 * np.log(1e6) * (1 / rates[0] + 1 / rates[1]),
        recording=Recording(save_at=SaveAt.linear(2)),
    )
    for ours, theirs in zip(
        limit.model.factor_matrices, flow.model.factor_matrices, strict=True
    ):
        np.testing.assert_allclose(ours, theirs, atol=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("depth", [2, 3])
def test_deep_matrix_plateaus_are_truncated_singular_value_decompositions(depth):
    tensor = np.random.default_rng(1).standard_normal((5, 4))
    values = np.linalg.svd(tensor, compute_uv=False)
    start = near_zero_matrix((5, 4), depth, key=jax.random.key(0))
    found = solve_limit(full_problem(tensor), start, Limit(max_components=3))
    rests = np.array([np.sum(values[k:] ** 2) for k in range(4)]) / tensor.size
    np.testing.assert_allclose(found.loss, rests, rtol=1e-9)
    norms = np.linalg.svd(found.model.end_tensor(), compute_uv=False)
    np.testing.assert_allclose(norms[:3], values[:3], rtol=1e-8)
    assert found.unbalancedness[-1] < 1e-3
    # Deeper ones escape in an order of magnitude of time, but when is not known.
    assert np.isnan(found.time[1:]).all() == (depth == 3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["dense", "factored"])
def test_sensing_problems_are_solved(kind):
    target = random_target(DIMS, 2, seed=2)
    if kind == "dense":
        tensors = gaussian_measurements(DIMS, 50, seed=2)
        problem = SensingProblem.from_dense(tensors, measure(target, tensors, seed=2))
    else:
        tensors = rank_k_measurements(DIMS, 50, cp_rank=2, seed=2)
        problem = SensingProblem.from_factored(
            tensors, measure(target, tensors, seed=2)
        )
    known = CPFactorization(tuple(map(jnp.asarray, target)))
    found = solve_limit(
        problem,
        near_zero(DIMS, 12, key=jax.random.key(1)),
        recording=Recording(observables=("loss", reconstruction_error(known))),
    )
    assert found.result == "converged"
    assert found.rank[-1] == 2
    assert found.reconstruction_error[-1] < 1e-6


@pytest.mark.slow
def test_a_tie_is_said(caplog):
    # Two aligned components that escape at nearly the same time.
    tensor, bases = orthogonal_tensor([1.0, 1.0])
    sizes = np.array([0.5, 0.5 * (1 - 2e-4)])
    start = CPFactorization(tuple(jnp.asarray(b * sizes) for b in bases))
    with caplog.at_level(logging.WARNING):
        found = solve_limit(full_problem(tensor), start, recording=RECORDING)
    assert found.note[1] == "component 0 tied with component 1"
    assert "component 0 tied with component 1" in caplog.text
    strict = Limit(tie_tolerance=1e-5)
    found = solve_limit(full_problem(tensor), start, strict, recording=RECORDING)
    assert found.note[1] == ""


@pytest.mark.slow
def test_an_escape_along_a_saddle_of_the_pull_is_said():
    # Between two equal components of the target the pull has a saddle.
    tensor, bases = orthogonal_tensor([1.0, 1.0])
    between = [b @ np.array([1.0, 1.0 + 1e-12 * n]) for n, b in enumerate(bases)]
    start = CPFactorization(tuple(jnp.asarray(w)[:, None] for w in between))
    found = solve_limit(
        full_problem(tensor), start, Limit(max_components=1), recording=RECORDING
    )
    assert "component 0 escaped with its direction undecided" in found.note[1]
    # The learned set comes to a saddle there, too, and that one is left.
    assert "came to a saddle" in found.note[1]
    assert found.component_norms[-1, 0] == pytest.approx(1.0)


@pytest.mark.slow
def test_equal_singular_values_are_a_tie():
    found = solve_limit(
        full_problem(np.diag([2.0, 2.0, 1.0])),
        near_zero((3, 3), key=jax.random.key(0)),
        Limit(max_components=3),
        recording=RECORDING,
    )
    assert "tied" in found.note[1]
    assert found.note[2] == found.note[3] == ""


@pytest.mark.parametrize(
    ("limit", "result", "words"),
    [
        (Limit(max_components=1), "stopped", "component limit of 1 reached"),
        (Limit(loss_tolerance=1e9), "converged", r"loss below 1e\+09 with 0 comp"),
        (
            Limit(max_seconds=0.0),
            "time limit",
            "time limit reached with 1 component learned",
        ),
        (Limit(), "converged", "gradient below .* with 2 components"),
        (
            Limit(pull_tolerance=0.99),
            "converged",
            "gradient below 0.99 .* 1 component learned",
        ),
        (Limit(least_improvement=0.99), "stopped", "fell by less than 0.99 .* 1 comp"),
    ],
)
def test_reasons_to_stop(completion, start, limit, result, words):
    (outcome,) = solve_limit(completion, start, limit, recording=RECORDING).outcomes
    assert outcome.result == result
    assert re.search(words, outcome.reason), outcome.reason


def test_an_interrupt_is_raised_or_leaves_the_plateaus_so_far(completion, start):
    def interrupt(progress):
        os.kill(os.getpid(), signal.SIGINT)

    options = {"recording": RECORDING, "progress": interrupt}
    with pytest.raises(KeyboardInterrupt):
        solve_limit(completion, start, **options)
    with keeping_interrupted():
        found = solve_limit(completion, [start, start], **options)
    assert [outcome.result for outcome in found.outcomes] == [Ending.INTERRUPTED] * 2
    assert [outcome.reason for outcome in found.outcomes] == [
        "interrupted with 1 component learned",
        "interrupted with 0 components learned",
    ]


def test_a_start_that_is_not_pulled_stays_at_zero():
    # Along the axes, where no rounding turns the component to where it is pulled.
    first, second, third = (jnp.eye(dim, 1) for dim in DIMS)
    tensor = CPFactorization((first, second, third)).end_tensor()
    start = CPFactorization((first, second, -third))
    found = solve_limit(full_problem(tensor), start, recording=RECORDING)
    assert found.outcomes[0].reason == "no component is pulled away from zero"
    assert found.rank[-1] == 0


def test_components_that_are_all_learned_end_the_run():
    tensor, bases = orthogonal_tensor([1.0, 0.5])
    start = CPFactorization(tuple(jnp.asarray(b[:, :1]) for b in bases))
    found = solve_limit(full_problem(tensor), start, recording=RECORDING)
    assert found.rank[-1] == 1
    assert found.outcomes[0].reason == "no component is pulled away from zero"


@pytest.mark.slow
def test_a_loss_without_a_minimum_is_said_and_ends_the_run():
    # The best tensors of rank two near a tensor of rank three and border rank two have
    # components that grow without bound (de Silva and Lim 2008).
    a, b = np.eye(2)
    tensor = sum(
        np.einsum("i,j,k->ijk", *(b if n == m else a for n in range(3)))
        for m in range(3)
    )
    found = solve_limit(
        full_problem(tensor),
        near_zero((2, 2, 2), 6, key=jax.random.key(4)),
        Limit(max_components=2),
        recording=RECORDING,
    )
    assert found.outcomes[0].result == "stopped"
    assert "did not come to rest with 2 components learned" in found.outcomes[0].reason


def test_runs_are_the_same_alone_and_together(completion, start, trajectory, tmp_path):
    other = near_zero(DIMS, 12, key=jax.random.key(8))
    both = solve_limit(
        completion,
        [start, other],
        Limit(),
        recording=replace(RECORDING, run_labels={"start_seed": [3, 8]}),
    )
    alone = both.run(0)
    for name in ("step", "time", "loss", "component_norms", "rank"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(trajectory, name))
    assert len(both.models) == 2
    loaded = Trajectory.load(both.save(tmp_path / "limit.nc"))
    np.testing.assert_array_equal(loaded.rank, both.rank)
    assert loaded.dataset["note"].dims == ("run", "save")


def filled(dims, value):
    return CPFactorization(tuple(jnp.full((dim, 2), value) for dim in dims))


def test_progress_is_called_at_every_plateau(completion, start):
    calls = []
    solve_limit(completion, start, recording=RECORDING, progress=calls.append)
    assert [call.step for call in calls] == [1, 2, 2]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DenseTensor(jnp.zeros(DIMS)), "CP factorizations and deep matrices"),
        (lambda: filled((5, 4, 2), 1.0), "mode dimensions"),
        (lambda: filled(DIMS, jnp.nan), "not finite"),
    ],
)
def test_starts_without_a_limit_are_refused(completion, make, words):
    with pytest.raises(ValueError, match=words):
        solve_limit(completion, make())


def test_a_matrix_of_one_layer_is_refused():
    start = DeepMatrixFactorization((jnp.ones((3, 2)),))
    with pytest.raises(ValueError, match="two layers or more"):
        solve_limit(full_problem(np.ones((3, 2))), start)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_components", 0),
        ("loss_tolerance", -1.0),
        ("accuracy", 0.5),
        ("entry_share", 0.0),
        ("entry_share", 1e-20),
        ("max_seconds", float("nan")),
    ],
)
def test_settings_out_of_range_are_refused(name, value):
    with pytest.raises(ValueError, match=name):
        Limit(**{name: value})


def test_losses_without_a_hessian_are_refused(completion, start):
    kinked = replace(completion, loss_function=AbsoluteLoss())
    with pytest.raises(ValueError, match="has a kink where it fits"):
        solve_limit(kinked, start)


@pytest.mark.slow
def test_plateaus_in_single_precision_are_as_exact_as_it_allows(completion, start):
    def single(tree):
        return jax.tree.map(
            lambda x: x.astype(jnp.float32) if eqx.is_inexact_array(x) else x, tree
        )

    found = solve_limit(single(completion), single(start))
    # Entries of order one are off by some roundings of 6e-8, squared.
    assert found.loss[-1] < 1e-11
