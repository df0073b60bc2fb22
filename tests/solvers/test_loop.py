"""The compiled loop: when runs are measured and when they end."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array, Float

import rankrise as rr
from rankrise._errors import InputError
from rankrise.factorizations import near_zero
from rankrise.solvers import (
    AbstractSolver,
    GradientDescent,
    GradientFlow,
    Step,
    Stop,
    _loop,
    _runs,
)
from rankrise.trajectories import SaveAt

EVERY_STEP = SaveAt.every(1)


class Scripted(AbstractSolver):
    """Scales every parameter; losses and durations are read off a script."""

    losses: Float[Array, " n"]
    durations: Float[Array, " n"]
    growth: Float[Array, ""]

    def init(self, problem, model):
        return jnp.zeros((), jnp.int32)

    def step(self, problem, model, state, remaining):
        moved = jax.tree.map(lambda leaf: leaf * self.growth, model)
        return Step(moved, state + 1, self.losses[state], self.durations[state])


def scripted(run, starts, *, losses=None, durations=None, growth=1.0, stop=None):
    length = len(losses if durations is None else durations)
    solver = Scripted(
        jnp.zeros(length) if losses is None else jnp.asarray(losses),
        jnp.ones(length) if durations is None else jnp.asarray(durations),
        jnp.asarray(growth),
    )
    stop = stop or Stop()
    return run(starts[0], solver=solver, max_steps=length, stop=stop)


def distance(problem, model):
    """How far the norm of the first component is from 1: it falls, then rises."""
    return jnp.abs(model.component_norms()[0] - 1)


@pytest.fixture(scope="module")
def together(run, starts):
    """Four runs, of which three converge one after the other."""
    return run(starts, max_steps=600, save_at=SaveAt.every(5))


def factors(model):
    return model.factor_matrices


def assert_near(first, second):
    for ours, theirs in zip(factors(first), factors(second), strict=True):
        # Batched sums in another order, over at most 600 steps that contract.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    "save_at", [SaveAt.at([3, 40, 41]), SaveAt.every(1), SaveAt.logarithmic(7)]
)
def test_saves_are_at_the_scheduled_steps(save_at, run, starts):
    trajectory = run(starts[0], max_steps=50, save_at=save_at)
    np.testing.assert_array_equal(trajectory.step, save_at.steps(50))


def test_what_is_saved_is_the_state_at_that_step(run, starts, problem):
    trajectory = run(starts[0], max_steps=50, save_at=SaveAt.at([20]))
    for place, steps in enumerate([None, 20, 50]):
        model = starts[0] if steps is None else run(starts[0], max_steps=steps).model
        loss = float(problem.loss(model))
        # Compiled alone, the loss may round differently.
        assert trajectory.loss[place] == pytest.approx(loss, rel=1e-12)


def test_a_batch_of_runs_is_its_single_runs(together, run, starts):
    for start, part in zip(starts, together.runs(), strict=True):
        alone = run(start, max_steps=600, save_at=SaveAt.every(5))
        assert part.outcomes == alone.outcomes
        np.testing.assert_array_equal(part.step, alone.step)
        np.testing.assert_allclose(part.loss, alone.loss, rtol=1e-8)
        assert_near(part.model, alone.model)


def test_a_list_of_one_start_is_a_batch_of_one(run, starts):
    listed, alone = run(starts[:1], max_steps=50), run(starts[0], max_steps=50)
    assert listed.loss.shape == (1, *alone.loss.shape)
    assert listed.run(0).dataset.identical(alone.dataset)


def test_a_run_that_ended_stays_where_it_was(together, run, starts):
    ended = together.outcomes[0]
    assert ended.result == "converged"
    assert ended.steps < together.outcomes[3].steps
    assert together.run(0).step[-1] == ended.steps
    exactly = run(starts[0], max_steps=ended.steps).model
    assert_near(together.models[0], exactly)


@pytest.mark.parametrize("steps", [1, 7, 1000])
def test_runs_that_ended_leave_the_batch_wherever_chunks_end(
    steps, chunks_of, monkeypatch, run, starts
):
    since, advance = {}, _runs.advance

    def watched(plan, states, *rest):
        since.setdefault(states.step.size, int(states.step.max()))
        return advance(plan, states, *rest)

    chunks_of(steps)
    monkeypatch.setattr(_runs, "advance", watched)
    run(starts, max_steps=600, save_at=SaveAt.every(5))
    # Two have ended after 373 steps and three after 501; every 16 saves it is looked.
    assert since == {4: 0, 2: (5 * 16 - 1) * 5, 1: (7 * 16 - 1) * 5}


def test_a_run_converges_when_the_loss_stayed_below_the_tolerance(run, starts):
    converged = run(starts[0], max_steps=600, save_at=EVERY_STEP)
    first_below = int(np.argmax(converged.loss < 1e-3))
    (outcome,) = converged.outcomes
    assert outcome.result == "converged"
    assert outcome.reason == "loss below 0.001 for 10 steps"
    assert outcome.steps == first_below + 9


def test_only_steps_in_a_row_below_the_tolerance_count(run, starts):
    losses = [9, 0, 0, 9, 0, 0, 0, 9, 9.0]
    stop = Stop(loss_tolerance=1.0, patience=3)
    (outcome,) = scripted(run, starts, losses=losses, stop=stop).outcomes
    assert (outcome.result, outcome.steps) == ("converged", 6)


def test_gradients_are_counted_with_the_one_that_found_the_end(together):
    for outcome in together.outcomes:
        ending = outcome.result == "converged"
        assert outcome.gradient_evaluations == outcome.steps + ending


def test_a_step_limit_stops_a_run(together):
    outcome = together.outcomes[3]
    assert (outcome.result, outcome.steps) == ("stopped", 600)
    assert outcome.reason == "step limit of 600 reached"


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_loss_that_is_not_finite_is_divergence(bad, run, starts):
    trajectory = scripted(run, starts, losses=[1.0, 2.0, bad, 1.0])
    (outcome,) = trajectory.outcomes
    assert (outcome.result, outcome.steps) == ("diverged", 2)
    assert outcome.reason == "no longer finite after step 2; lower the learning rate"


def test_parameters_that_are_not_finite_are_divergence(run, starts):
    # Parameters below 1 stay finite at the first step, and overflow at the second.
    (outcome,) = scripted(run, starts, losses=[0.0] * 4, growth=1e200).outcomes
    assert (outcome.result, outcome.steps) == ("diverged", 1)


def test_a_diverged_run_keeps_its_last_finite_factors(run, starts):
    # A start so large that the first steps overflow, beside one that goes well.
    large = near_zero(starts[0].mode_dims, 3, init_scale=30.0, key=jax.random.key(0))
    good, bad = run([starts[0], large], max_steps=300).runs()
    assert (good.result, bad.result) == ("converged", "diverged")
    assert 0 < bad.outcomes[0].steps < 20
    assert bad.step[-1] == bad.outcomes[0].steps
    assert all(np.isfinite(matrix).all() for matrix in factors(bad.model))


def test_short_durations_are_not_lost_on_a_long_time(run, starts):
    durations = np.full(1000, 1e-17)
    durations[0] = 1.0
    assert 1.0 + 1e-17 == 1.0
    time = scripted(run, starts, durations=durations).time[-1]
    assert time == pytest.approx(1 + 999e-17, abs=2.3e-16)  # One rounding.
    assert time > 1.0


@pytest.fixture(scope="module")
def selected(run, starts):
    return run(
        starts[0],
        max_steps=600,
        save_at=SaveAt.every(5),
        observables=(
            "loss",
            "component_norms",
            rr.trajectories.Observable("distance", distance),
        ),
        select="distance",
        stop=Stop(flat_steps=40),
    )


def test_the_factors_with_the_smallest_selected_value_are_kept(selected, run, starts):
    (outcome,) = selected.outcomes
    best = selected.step[np.argmin(selected.distance)]
    assert outcome.best_step == best
    assert 0 < best < selected.step[-1]
    assert_near(selected.model, run(starts[0], max_steps=int(best)).model)


def test_a_selected_value_without_a_new_minimum_stops_the_run(selected):
    (outcome,) = selected.outcomes
    assert outcome.result == "stopped"
    assert outcome.reason == "distance had no new minimum for 40 steps"
    assert outcome.steps == outcome.best_step + 40


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss_tolerance": -1e-3}, "must be finite and not negative"),
        ({"loss_tolerance": np.inf}, "must be finite and not negative"),
        ({"loss_tolerance": np.nan}, "must be finite and not negative"),
        ({"patience": 0}, "patience is 0; it must be at least 1"),
        ({"flat_steps": 0}, "flat_steps is 0; it must be at least 1"),
    ],
)
def test_a_stop_rule_that_means_nothing_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        Stop(**options)


def test_a_solver_of_other_settings_is_not_taken_for_the_one_compiled(run, starts):
    slow = run(starts[0], solver=GradientDescent(0.05), max_steps=50)
    assert slow.time[-1] == pytest.approx(2.5)
    assert not eqx.tree_equal(slow.model, run(starts[0], max_steps=50).model)


def test_other_data_of_the_same_shapes_need_no_compilation(key):
    traces = []

    def count(problem, model):
        traces.append(1)
        return jnp.zeros(())

    for seed, tolerance in ((0, 1e-3), (1, 1e-4)):
        target = rr.synthetic.random_target((3, 4, 5), 2, seed=seed)
        indices = rr.synthetic.sample_indices((3, 4, 5), 30, seed=seed)
        observations = rr.synthetic.observe(target, indices, seed=seed)
        problem = rr.CompletionProblem.from_observations(observations)
        standard = rr.trajectories.standard_observables(problem)
        start = rr.factorizations.near_zero((3, 4, 5), 4, init_scale=0.1, key=key)
        rr.solve(
            problem,
            start,
            max_steps=3,
            recording=rr.trajectories.Recording(
                observables=[*standard, rr.trajectories.Observable("count", count)]
            ),
            stop=rr.Stop(loss_tolerance=tolerance),
        )
        if seed == 0:
            compiled = len(traces)
    assert len(traces) == compiled


@pytest.mark.parametrize("solver", [GradientDescent(0.1), GradientFlow()])
def test_the_state_at_the_start_is_of_the_types_of_later_ones(solver, problem, starts):
    """Else the loop is compiled twice, the second time within the run."""
    observables = rr.trajectories.standard_observables(problem)
    plan = _loop.make_plan(problem, solver, observables, Stop(), None)
    begun = _loop.begin(plan, starts[0])
    none = _loop.Targets(
        jnp.zeros(16, jnp.int32), jnp.zeros(16), jnp.zeros((), jnp.int32)
    )
    later, _ = _loop.advance(plan, begun, none, jnp.zeros((), jnp.int32))
    types = [[leaf.aval for leaf in jax.tree.leaves(state)] for state in (begun, later)]
    assert types[0] == types[1]
