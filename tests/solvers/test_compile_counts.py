"""Other numbers, and rules built anew, need no new program."""

import functools as ft
import math
from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rankrise as rr
from rankrise.losses import AbstractLoss
from rankrise.solvers import AbstractSolver, Step

_PROGRAM = "/jax/core/compile/backend_compile_duration"
_programs: list[str] = []
jax.monitoring.register_event_duration_secs_listener(
    lambda event, seconds, **facts: _programs.append(event)
)


def programs(run) -> int:
    """How many programs were compiled, or read from a cache, for a call."""
    before = len(_programs)
    run()
    return _programs[before:].count(_PROGRAM)


def problem(loss=None):
    indices = np.argwhere(np.ones((4, 3, 2)))
    values = np.sin(np.arange(24.0))
    observed = rr.Observations(indices, values, (4, 3, 2))
    return rr.CompletionProblem.from_observations(observed, loss)


def losses(solver, loss=None, max_steps=30):
    start = rr.factorizations.near_zero(
        (4, 3, 2), 5, init_scale=0.3, key=jax.random.key(0)
    )
    trajectory = rr.solve(
        problem(loss),
        start,
        solver,
        max_steps=max_steps,
        recording=rr.trajectories.Recording(save_at=rr.trajectories.SaveAt.every(3)),
    )
    return np.asarray(trajectory.loss)


RULES = {
    "learning rate": (rr.GradientDescent(0.1), rr.GradientDescent(0.05)),
    "adaptive": (
        rr.AdaptiveGradientDescent(0.01, 0.99),
        rr.AdaptiveGradientDescent(0.02, 0.9),
    ),
    "flow": (rr.GradientFlow(3e-3), rr.GradientFlow(1e-3, 1e-9)),
    "minibatch": (
        rr.Minibatch(rr.GradientDescent(0.1), 8, 0),
        rr.Minibatch(rr.GradientDescent(0.2), 8, 2**40),
    ),
    "adam": (
        rr.OptaxDescent(optax.adam(1e-2)),
        rr.OptaxDescent(optax.adam(2e-2, b1=0.8)),
    ),
    "momentum": (
        rr.OptaxDescent(optax.sgd(0.1, momentum=0.9)),
        rr.OptaxDescent(optax.sgd(0.1, momentum=0.8)),
    ),
    "schedule": (
        rr.OptaxDescent(optax.sgd(optax.cosine_decay_schedule(0.1, 50))),
        rr.OptaxDescent(optax.sgd(optax.cosine_decay_schedule(0.2, 50))),
    ),
    "injected": (
        rr.OptaxDescent(optax.inject_hyperparams(optax.rmsprop)(1e-2)),
        rr.OptaxDescent(optax.inject_hyperparams(optax.rmsprop)(2e-2)),
    ),
    "partial": (
        rr.OptaxDescent(optax.sgd(ft.partial(jnp.multiply, 0.1))),
        rr.OptaxDescent(optax.sgd(ft.partial(jnp.multiply, 0.2))),
    ),
}


# Fields of a rule, the flow's own loop, and optax's closures and partial functions.
KINDS = ("learning rate", "flow", "adam", "schedule", "partial")


@pytest.mark.parametrize(
    "name",
    [
        name if name in KINDS else pytest.param(name, marks=pytest.mark.slow)
        for name in RULES
    ],
)
def test_other_numbers_of_a_rule_compile_nothing_and_change_the_run(name):
    one, other = RULES[name]
    first = losses(one)
    found = []
    assert programs(lambda: found.append(losses(other))) == 0
    assert not np.array_equal(first, found[0])


def test_a_rule_of_another_structure_is_compiled():
    losses(rr.OptaxDescent(optax.sgd(0.1)))
    other = rr.OptaxDescent(optax.sgd(0.1, momentum=0.9, nesterov=True))
    assert programs(lambda: losses(other)) > 0


@pytest.mark.parametrize(
    "loss",
    [
        rr.losses.HuberLoss,
        pytest.param(rr.losses.SmoothL1Loss, marks=pytest.mark.slow),
    ],
)
def test_another_threshold_of_a_loss_compiles_nothing_and_changes_the_run(loss):
    first = losses(rr.GradientDescent(0.1), loss(0.2))
    found = []

    def again():
        found.append(losses(rr.GradientDescent(0.1), loss(0.3)))

    assert programs(again) == 0
    assert not np.array_equal(first, found[0])


class Scaled(AbstractSolver[None]):
    scale: Callable[[jax.Array], jax.Array]

    def init(self, problem, model):
        return None

    def step(self, problem, model, state, remaining):
        loss, slope = jax.value_and_grad(problem.loss)(model)
        moved = jax.tree.map(lambda w, g: w - self.scale(g), model, slope)
        return Step(moved, state, loss)


rate, rates = 0.1, {"first": 0.1}


def doubled():
    return 2 * rate


@pytest.mark.parametrize(
    "scaled",
    [
        pytest.param(
            lambda: lambda slope: rate * slope, id="number", marks=pytest.mark.slow
        ),
        pytest.param(lambda: lambda slope: doubled() / 2 * slope, id="function"),
        pytest.param(
            lambda: lambda slope: jax.tree.map(lambda each: rate * each, slope),
            id="lambda",
            marks=pytest.mark.slow,
        ),
        pytest.param(lambda: lambda slope: rates["first"] * slope, id="dict"),
    ],
)
def test_functions_built_anew_see_their_globals_as_they_are(scaled, monkeypatch):
    plain = losses(rr.GradientDescent(0.1)), losses(rr.GradientDescent(0.05))
    first = losses(Scaled(scaled()))
    np.testing.assert_allclose(first, plain[0], rtol=1e-12)
    monkeypatch.setitem(globals(), "rate", 0.05)
    monkeypatch.setitem(rates, "first", 0.05)
    # Compiled or not rounds differently, 30 steps long.
    np.testing.assert_allclose(losses(Scaled(scaled())), plain[1], rtol=1e-12)


def test_functions_built_anew_with_globals_that_stay_compile_nothing():
    def run():
        losses(Scaled(lambda slope: doubled() * slope))

    run()
    assert programs(run) == 0


def test_optax_rules_go_as_optax_by_hand():
    optimizer = optax.adam(0.01, b1=0.8)
    model = rr.factorizations.near_zero(
        (4, 3, 2), 5, init_scale=0.3, key=jax.random.key(0)
    )
    state, wanted = optimizer.init(model), []
    with jax.numpy_dtype_promotion("standard"):
        for step in range(31):
            loss, gradient = jax.value_and_grad(problem().loss)(model)
            if step % 3 == 0:
                wanted.append(loss)
            updates, state = optimizer.update(gradient, state, model)
            model = optax.apply_updates(model, updates)
    found = losses(rr.OptaxDescent(optimizer))
    # Compiled or not rounds differently, 30 steps long.
    np.testing.assert_allclose(found, wanted, rtol=1e-12)


class Halving(AbstractSolver[None]):
    """Asks Python for its number."""

    learning_rate: float

    def init(self, problem, model):
        return None

    def step(self, problem, model, state, remaining):
        rate = math.sqrt(self.learning_rate) ** 2 if self.learning_rate > 0 else 0.0
        loss, slope = jax.value_and_grad(problem.loss)(model)
        moved = jax.tree.map(lambda w, g: w - rate * g, model, slope)
        return Step(moved, state, loss, jnp.asarray(rate, loss.dtype))


@dataclass(frozen=True)
class Power(AbstractLoss):
    """Asks Python for its number, too."""

    power: float = 2.0

    def __call__(self, predictions, values):
        return (predictions - values) ** int(self.power)


def test_rules_and_losses_that_ask_python_for_their_numbers_get_them():
    plain = losses(rr.GradientDescent(0.1))
    # The square of a root is rounded.
    np.testing.assert_allclose(losses(Halving(0.1)), plain, rtol=1e-12)
    np.testing.assert_allclose(
        losses(rr.GradientDescent(0.1), Power(2.0)), plain, rtol=1e-12
    )
    assert not np.allclose(losses(Halving(0.2)), plain)


def test_a_resumed_optax_run_ends_with_the_same_bits(tmp_path):
    start = rr.factorizations.near_zero(
        (4, 3, 2), 5, init_scale=0.3, key=jax.random.key(0)
    )

    def run(max_steps, **kept):
        return rr.solve(
            problem(),
            start,
            rr.OptaxDescent(optax.adam(0.01)),
            max_steps=max_steps,
            recording=rr.trajectories.Recording(
                save_at=rr.trajectories.SaveAt.every(3)
            ),
            **kept,
        )

    whole = run(60)
    run(60, checkpoint=rr.Checkpoint(tmp_path / "state.npz", 0.0), max_seconds=1e-9)
    resumed = run(
        60, checkpoint=rr.Checkpoint(tmp_path / "state.npz", 0.0, resume=True)
    )
    for one, other in zip(
        jax.tree.leaves(whole.model), jax.tree.leaves(resumed.model), strict=True
    ):
        np.testing.assert_array_equal(one, other)
