"""Gradient flow: closed forms, other integrators, and how it ends."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rankrise as rr
from rankrise._errors import InputError
from rankrise.factorizations import CPFactorization, DeepMatrixFactorization, near_zero
from rankrise.losses import AbstractLoss
from rankrise.problems import CompletionProblem, SensingProblem
from rankrise.solvers import GradientFlow, Stop
from rankrise.solvers._chebyshev import coefficients
from rankrise.solvers._gradient_flow import _chebyshev_step, _FlowState
from rankrise.trajectories import Recording, SaveAt

OBSERVED = ("loss", "component_norms", "unbalancedness")


def solve(*arguments, save_at=None, **options):
    recording = Recording(save_at=save_at, observables=OBSERVED)
    return rr.solve(*arguments, recording=recording, **options)


def flow(rtol=3e-3, atol=0.0):
    """One compilation for all tolerances."""
    return GradientFlow(jnp.asarray(rtol), jnp.asarray(atol))


class Cliff(AbstractLoss):
    """Falls where a run starts, and is not finite anywhere else."""

    def __call__(self, predictions, values):
        return jnp.where(predictions == 0, -predictions, jnp.nan)


def linear_problem(rates):
    """A flow in which entry i of a matrix decays to 1 at rate i: depth is one."""
    count = len(rates)
    indices = np.stack([np.arange(count), np.zeros(count, dtype=int)], axis=1)
    observations = rr.Observations.from_coordinates(
        indices, np.ones(count), mode_dims=(count, 1), weights=np.asarray(rates)
    )
    return CompletionProblem.from_observations(observations)


def linear_rates(rates):
    # Of the weighted mean of squares.
    return 2 * np.asarray(rates) / np.sum(rates)


def zeros(count):
    return DeepMatrixFactorization((jnp.zeros((count, 1)),))


@eqx.filter_jit
def reference(problem, model, times, method):
    """Diffrax at tight tolerance: the models at these times."""

    def slope(time, model, problem):
        return jax.tree.map(jnp.negative, jax.grad(problem.loss)(model))

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(slope),
        method,
        0.0,
        times[-1],
        None,
        model,
        problem,
        saveat=diffrax.SaveAt(ts=times),
        stepsize_controller=diffrax.PIDController(rtol=1e-10, atol=1e-12),
        max_steps=100_000,
    )
    return solution.ys


@eqx.filter_jit
def one_step(problem, model, size, row, stages):
    loss, gradient = jax.value_and_grad(problem.loss)(model)
    state = _FlowState(gradient, loss, size, size, size, radius=None)
    moved, *_ = _chebyshev_step(problem, model, state, size, row, stages)
    return jax.tree.map(jnp.add, model, moved)


@pytest.mark.parametrize("stages", [pytest.param(2, marks=pytest.mark.slow), 5, 30])
def test_halving_the_step_quarters_the_error(stages, problem, starts):
    """On the nonlinear flow itself, with fixed steps of so many stages."""
    end, model = 2.0, starts[0]
    exact = reference(problem, model, jnp.array([end]), diffrax.Dopri8())
    row = jnp.asarray(coefficients(30)[stages])
    last = jnp.asarray(stages)

    errors = []
    for count in (40, 80):
        moving, size = model, jnp.asarray(end / count)
        for _ in range(count):
            moving = one_step(problem, moving, size, row, last)
        gaps = jax.tree.map(lambda a, b: jnp.abs(a - b[0]).max(), moving, exact)
        errors.append(max(float(gap) for gap in jax.tree.leaves(gaps)))
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.1)


def test_a_stiff_linear_flow_is_solved_in_few_gradients():
    rates = np.logspace(0, 5, 11)
    problem, times = linear_problem(rates), np.array([1e-2, 0.1, 1.0, 10.0, 100.0])
    end = times / linear_rates(rates)[5]
    trajectory = solve(
        problem,
        zeros(11),
        flow(1e-4, 1e-6),
        end_time=end[-1],
        save_at=SaveAt.times(end),
    )
    decays = np.exp(-np.outer(end, linear_rates(rates)))
    exact = np.linalg.norm(1 - decays, axis=1)
    norms = trajectory.component_norms[1:, 0]
    # The local tolerance, times some for the steps that add up.
    np.testing.assert_allclose(norms, exact, rtol=1e-2)
    # Plain descent is stable for steps up to 2 / (the largest rate): 3,000 of them.
    explicit = end[-1] * linear_rates(rates)[-1] / 2
    assert explicit > 3000
    assert trajectory.outcomes[0].gradient_evaluations < explicit / 2


@pytest.mark.slow
@pytest.mark.parametrize("method", [diffrax.Dopri8(), diffrax.Kvaerno5()])
@pytest.mark.parametrize("rtol", [1e-4, 1e-6])
def test_component_norms_are_those_of_other_integrators(method, rtol, problem, starts):
    times = np.array([1.0, 5.0, 20.0, 30.0, 60.0])
    followed = solve(
        problem,
        starts[1],
        flow(rtol),
        save_at=SaveAt.times(times),
    )
    models = reference(problem, starts[1], jnp.asarray(times), method)
    exact = np.asarray(jax.vmap(lambda model: model.component_norms())(models))
    norms = followed.component_norms[1:, np.argsort(followed.component_index)]
    # About one over the root of third order steps, each wrong by the tolerance.
    np.testing.assert_allclose(norms, exact, rtol=rtol ** (2 / 3), atol=1e-8)


def test_the_error_falls_with_the_tolerance(problem, starts):
    def final(rtol):
        solver = flow(rtol)
        ends = SaveAt.linear(2)
        return solve(problem, starts[1], solver, end_time=30.0, save_at=ends).model

    exact = final(1e-9)

    def error(rtol):
        gaps = jax.tree.map(lambda a, b: jnp.abs(a - b).max(), final(rtol), exact)
        return max(float(gap) for gap in jax.tree.leaves(gaps))

    assert error(1e-6) < error(1e-4) / 10 < error(1e-2) / 100


def test_the_flow_conserves_unbalancedness_while_it_learns(problem, starts):
    trajectory = solve(
        problem,
        starts[1],
        flow(1e-7),
        end_time=60.0,
    )
    # Some hundred steps, each wrong by the tolerance at most.
    assert np.ptp(trajectory.unbalancedness) < 1e-5
    assert trajectory.loss[-1] < 0.1 * trajectory.loss[0]


def test_permuting_components_permutes_the_flow(problem, starts):
    permuted = CPFactorization(tuple(w[:, ::-1] for w in starts[1].factor_matrices))
    solver = flow(1e-5)
    models = [
        solve(problem, start, solver, end_time=20.0).model
        for start in (starts[1], permuted)
    ]
    for ours, theirs in zip(*(m.factor_matrices for m in models), strict=True):
        np.testing.assert_allclose(ours, theirs[:, ::-1], rtol=1e-9)


def test_saves_are_at_the_times_that_were_asked_for(problem, starts):
    times = [0.0, 0.3, 1.0, 7.7, 20.0]
    trajectory = solve(
        problem,
        starts[0],
        flow(),
        save_at=SaveAt.times(times),
    )
    assert trajectory.time.tolist() == times
    assert trajectory.outcomes[0].reason == "end time 20 reached"


@pytest.mark.slow
def test_a_batch_of_flows_is_its_single_flows(problem, starts):
    options = {"save_at": SaveAt.linear(5), "end_time": 30.0}
    solver = flow(1e-5)
    together = solve(problem, starts, solver, together=len(starts), **options)
    for start, part in zip(starts, together.runs(), strict=True):
        alone = solve(problem, start, solver, **options)
        assert part.outcomes == alone.outcomes
        # Batched sums in another order move a step size in its last digits.
        np.testing.assert_allclose(part.loss, alone.loss, rtol=1e-9)


@pytest.mark.slow
def test_the_flow_of_a_deep_matrix_and_of_sensing_is_that_of_diffrax():
    key = jax.random.key(1)
    model = rr.factorizations.near_zero_matrix((4, 3), 3, init_scale=0.5, key=key)
    target = rr.synthetic.random_target((4, 3), 1, frobenius_norm=1.0, seed=0)
    measurements = rr.synthetic.gaussian_measurements((4, 3), 20, seed=0)
    values = rr.synthetic.measure(target, measurements, seed=0)
    problem = SensingProblem.from_dense(measurements, values)
    times = [10.0, 200.0]
    followed = solve(
        problem,
        model,
        flow(1e-6),
        save_at=SaveAt.times(times),
    )
    models = reference(problem, model, jnp.array(times), diffrax.Dopri8())
    exact = np.asarray(jax.vmap(lambda model: model.component_norms())(models))
    np.testing.assert_allclose(
        followed.component_norms[1:], exact, rtol=1e-4, atol=1e-5
    )
    assert followed.loss[-1] < 0.1 * followed.loss[0]


def test_a_flow_in_single_precision_follows_that_in_double():
    def run(enabled):
        with jax.enable_x64(enabled):
            target = rr.synthetic.random_target(
                (4, 3, 2), 1, frobenius_norm=5.0, seed=3
            )
            indices = rr.synthetic.sample_indices((4, 3, 2), 20, seed=1)
            observations = rr.synthetic.observe(target, indices, seed=1)
            problem = CompletionProblem.from_observations(observations)
            rng = np.random.default_rng(0)
            start = CPFactorization(
                tuple(
                    jnp.asarray(rng.normal(scale=0.1, size=(d, 3)), dtype=float)
                    for d in (4, 3, 2)
                )
            )
            solver = flow(1e-4)
            return solve(
                problem, start, solver, end_time=60.0, save_at=SaveAt.linear(7)
            )

    single, double = run(False), run(True)
    assert single.loss.dtype == np.float32
    np.testing.assert_allclose(
        single.component_norms, double.component_norms, rtol=1e-2, atol=1e-4
    )
    assert double.loss[-1] < 0.1 * double.loss[0]


def test_a_flow_ends_where_it_is_stationary(problem, starts):
    stop = Stop(gradient_tolerance=1e-4, patience=1)
    trajectory = solve(problem, starts[0], flow(), max_steps=1000, stop=stop)
    (outcome,) = trajectory.outcomes
    assert outcome.result == "converged"
    assert outcome.reason == "gradient norm below 0.0001 for 1 steps"
    gradient = jax.grad(problem.loss)(trajectory.model)
    square = sum(float(jnp.sum(g * g)) for g in jax.tree.leaves(gradient))
    assert np.sqrt(square) < 1e-4


def test_a_flow_without_a_short_enough_step_says_so():
    observations = rr.Observations.from_coordinates(
        np.array([[0, 0], [1, 0]]), np.ones(2), mode_dims=(2, 1)
    )
    problem = CompletionProblem.from_observations(observations, Cliff())
    trajectory = solve(problem, zeros(2), flow(), end_time=100.0)
    (outcome,) = trajectory.outcomes
    assert outcome.result == "stopped"
    assert "no step is short enough" in outcome.reason
    assert np.isfinite(trajectory.loss).all()


def test_a_zero_factorization_stays_where_it_is(problem):
    zero = CPFactorization(tuple(jnp.zeros((dim, 3)) for dim in (4, 3, 2)))
    trajectory = solve(problem, zero, flow(), end_time=10.0)
    assert trajectory.outcomes[0].reason == "end time 10 reached"
    assert not trajectory.component_norms.any()


def test_rejected_steps_and_all_gradients_are_counted(problem, starts):
    ends = SaveAt.linear(2)
    solver = flow()
    (outcome,) = solve(problem, starts[1], solver, end_time=60.0, save_at=ends).outcomes
    # At least two stages and a Hessian-vector product, which counts as two.
    assert outcome.gradient_evaluations >= 4 * outcome.steps
    assert outcome.rejected_steps > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"rtol": -1.0}, "rtol is -1.0; give a finite number"),
        ({"atol": float("nan")}, "atol is nan"),
        ({"rtol": 0.0}, "rtol and atol are both zero"),
        ({"most_stages": 1}, "most_stages is 1; it must lie between 2 and 1000"),
    ],
)
def test_settings_that_do_not_fit_are_refused(options, words):
    with pytest.raises(InputError, match=words):
        GradientFlow(**options)


def test_a_component_near_zero_is_followed_as_closely_as_a_large_one(problem):
    """One component at the target's size, and others that only begin to grow."""
    model = near_zero((4, 3, 2), 3, init_scale=1.0, key=jax.random.key(2))
    small = CPFactorization(
        tuple(w * jnp.array([1.0, 1e-2, 1e-4]) for w in model.factor_matrices)
    )
    followed = solve(problem, small, flow(1e-5), end_time=30.0)
    exact = reference(problem, small, jnp.array([30.0]), diffrax.Dopri8())
    for ours, theirs in zip(
        followed.model.factor_matrices, exact.factor_matrices, strict=True
    ):
        np.testing.assert_allclose(
            np.linalg.norm(ours - theirs[0], axis=0)
            / np.linalg.norm(theirs[0], axis=0),
            0,
            atol=1e-3,
        )
