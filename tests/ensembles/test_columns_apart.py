"""Optimizers under which the models of a table would not be alone are refused."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rankrise._errors import InputError
from rankrise.ensembles import Member, Samples, Training, fit_ensemble
from rankrise.ensembles._columns_apart import check_columns_apart
from rankrise.tables import CategoricalData


def check(optimizer):
    table = jnp.ones((2, 5, 4))
    with jax.numpy_dtype_promotion("standard"):
        state = optimizer.init(table)
    check_columns_apart(optimizer, table, state)


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.adam(1e-2),
        optax.adamw(optax.cosine_decay_schedule(1e-2, 100)),
        optax.sgd(1e-2, momentum=0.9, nesterov=True),
        optax.rmsprop(1e-2),
        optax.lion(1e-3),
        optax.adadelta(1e-2),
        optax.chain(optax.clip(1.0), optax.adam(1e-2)),
        optax.inject_hyperparams(optax.adam)(learning_rate=1e-2),
        optax.contrib.schedule_free_adamw(1e-2),
        optax.MultiSteps(optax.adam(1e-2), 2).gradient_transformation(),
    ],
)
def test_optimizers_that_go_entry_by_entry_are_taken(optimizer):
    check(optimizer)


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.lamb(1e-2),
        optax.lars(1e-2),
        optax.novograd(1e-2),
        optax.fromage(1e-2),
        optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2)),
        optax.chain(optax.clip_by_global_norm(1e9), optax.sgd(1e-2)),
        optax.apply_if_finite(optax.adam(1e-2), 5),
    ],
)
def test_optimizers_that_couple_models_are_refused(optimizer):
    with pytest.raises(InputError, match="updates of one model depend on the others"):
        check(optimizer)


@pytest.mark.parametrize(
    "optimizer",
    [
        optax.sm3(1e-2),
        optax.adafactor(1e-2),
        optax.noisy_sgd(1e-2, key=jax.random.key(0)),
    ],
)
def test_states_whose_columns_cannot_be_told_are_refused(optimizer):
    with pytest.raises(InputError, match=r"keeps numbers of shape \(.*\), neither one"):
        check(optimizer)


def test_an_ensemble_is_not_trained_by_a_coupled_optimizer():
    data = CategoricalData.from_codes([[0, 1], [1, 1]], 2)
    train = Samples(data, np.ones((2, 1)))
    with pytest.raises(InputError, match="depend on the others"):
        fit_ensemble(train, (Member(1, 0),), Training(optimizer=optax.lamb(1e-2)))
