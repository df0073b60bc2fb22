"""Solvers by name."""

import pytest

from rankrise._errors import InputError
from rankrise.solvers import (
    AdaptiveGradientDescent,
    GradientDescent,
    Minibatch,
    OptaxDescent,
    make_solver,
)


@pytest.mark.parametrize(
    ("name", "learning_rate", "solver"),
    [
        ("adaptive", None, AdaptiveGradientDescent(0.01)),
        ("adaptive", 0.5, AdaptiveGradientDescent(0.5)),
        ("gradient-descent", None, GradientDescent(0.01)),
        ("gradient-descent", 0.5, GradientDescent(0.5)),
    ],
)
def test_a_name_makes_a_solver_with_its_learning_rate(name, learning_rate, solver):
    assert make_solver(name, learning_rate, None, seed=0) == solver
    assert make_solver(name, learning_rate, 7, seed=3) == Minibatch(solver, 7, 3)


@pytest.mark.parametrize("name", ["optax.adam", "optax.sgd", "optax.rmsprop"])
def test_an_optimizer_of_optax_is_found_by_name(name):
    assert isinstance(make_solver(name, None, None, seed=0), OptaxDescent)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("newton", "There is no solver 'newton'; choose adaptive"),
        ("optax.newton", "optax has no optimizer 'newton'"),
        ("optax.__init__", "optax has no optimizer '__init__'"),
        ("optax.chain", "optax.chain is not an optimizer that needs just a learning"),
        ("optax.apply_updates", "is not an optimizer that needs just a learning rate"),
    ],
)
def test_a_name_of_no_solver_is_refused(name, words):
    with pytest.raises(InputError, match=words):
        make_solver(name, None, None, seed=0)
