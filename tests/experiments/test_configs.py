"""Settings that mean nothing are refused in one sentence, before anything runs."""

import math

import pytest
from pydantic import ValidationError

from rankrise import InputError
from rankrise.experiments import DynamicsConfig


def test_settings_are_frozen():
    settings = DynamicsConfig()
    with pytest.raises(ValidationError, match="frozen"):
        settings.steps = 5


def test_an_unknown_name_is_refused():
    with pytest.raises(InputError, match="no setting `step_limit`"):
        DynamicsConfig(step_limit=5)  # type: ignore[call-arg]


def test_settings_come_back_from_json():
    settings = DynamicsConfig(steps=77, precision="float64")
    assert DynamicsConfig.model_validate_json(settings.model_dump_json()) == settings


@pytest.mark.parametrize(
    "name",
    [
        "components",
        "learning_rate",
        "batch_size",
        "steps",
        "save_every",
        "kept_components",
        "max_seconds",
    ],
)
def test_what_must_be_positive_is_refused_at_zero_by_its_name(name):
    with pytest.raises(ValueError, match=rf"`{name}` is 0(\.0)?; it must be positive"):
        DynamicsConfig(**{name: 0})


@pytest.mark.parametrize("name", ["loss_threshold", "learning_rate", "max_seconds"])
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_numbers_must_be_finite(name, number):
    with pytest.raises(ValueError, match=rf"(?s){name}.*finite"):
        DynamicsConfig(**{name: number})


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seed": -1}, "`seed` is -1; it cannot be negative"),
        ({"steps": 2**31}, "`steps` is 2147483648; it can be 2147483647 at most"),
        ({"loss": "cubic"}, "(?s)loss.*'squared', 'absolute'"),
        ({"precision": "float16"}, "(?s)precision.*'float32' or 'float64'"),
        ({"steps": "many"}, "steps.*whole number"),
    ],
)
def test_other_values_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        DynamicsConfig(**options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order": 1}, "`order` is 1; it must"),
        ({"mode_dim": 0}, "`mode_dim` is 0; it must be positive"),
        ({"mode_dims": (4,)}, "`mode_dims` is 4; give two whole numbers or more"),
        ({"mode_dims": (4, 0)}, "`mode_dims` is 4 0; give two whole numbers or more"),
        ({"target_rank": 0}, "`target_rank` is 0; it must be positive"),
        ({"target_norm": 0.0}, r"`target_norm` is 0\.0; it must"),
        ({"measurement_rank": 0}, "`measurement_rank` is 0; it must be positive"),
        ({"observations": 0}, "`observations` is 0; it must be positive"),
        ({"depth": 0}, "`depth` is 0; it must be positive"),
        ({"patience": 0}, "`patience` is 0; it must be positive"),
        ({"saves": 0}, "`saves` is 0; it must be positive"),
        ({"noise_level": -0.1}, r"`noise_level` is -0\.1; it cannot be negative"),
        ({"loss_tolerance": -1.0}, r"`loss_tolerance` is -1\.0; it cannot be"),
        ({"init_scales": ()}, "`init_scales` is empty"),
        ({"init_scales": (0.1, 0.0)}, r"`init_scales` is 0\.0; it must"),
        ({"start_seeds": ()}, "`start_seeds` is empty"),
        ({"start_seeds": (1, -1)}, "`start_seeds` is -1; it cannot be negative"),
        ({"factorization": "matrix"}, "is for order 2, not 4; give `order` 2"),
        (
            {"mode_dims": (3, 3), "observations": 10},
            "`observations` is 10 but .* 3 3 has 9 entries; ask for fewer",
        ),
        ({"loss": "logistic"}, "`loss` is logistic, which is for labels 0 and 1"),
        ({"solver": "flow", "batch_size": 5}, "the solver flow has no use for it"),
        ({"solver": "flow", "learning_rate": 1.0}, "`learning_rate` is 1.0 but"),
        ({"solver": "limit", "end_time": 5.0}, "the solver limit has no use for it"),
        ({"solver": "limit", "init_scales": (0.1,)}, "no use for the solver limit"),
        ({"solver": "flow", "weight_decay": 0.1}, "`weight_decay` is 0.1 but"),
        ({"solver": "optax.adam", "weight_decay": 0.1}, "the solver optax.adam has no"),
        ({"weight_decay": -0.1}, r"`weight_decay` is -0\.1; it cannot be negative"),
        ({"solver": "adaptive", "rtol": 1e-3}, "`rtol` is 0.001 but the solver adap"),
        ({"end_time": -1.0}, r"`end_time` is -1\.0; it must be positive"),
    ],
)
def test_dynamics_refuse_what_means_nothing(options, words):
    with pytest.raises(ValueError, match=words):
        DynamicsConfig(**options)


def test_sensing_may_ask_for_more_observations_than_entries():
    config = DynamicsConfig(task="sensing", mode_dims=(3, 3), observations=10)
    assert config.observations == 10


def test_mode_dims_replace_order_and_mode_dim():
    assert DynamicsConfig(order=3, mode_dim=20).dims == (20, 20, 20)
    config = DynamicsConfig(order=3, mode_dims=(4, 5), observations=20)
    assert config.dims == (4, 5)


def test_starts_are_drawn_from_the_seed_unless_others_are_given():
    assert DynamicsConfig(seed=3).run_seeds == (3,)
    assert DynamicsConfig(seed=3, start_seeds=(1, 2)).run_seeds == (1, 2)


def test_the_defaults_of_dynamics_are_the_paper_s_dynamics_experiment():
    config = DynamicsConfig()
    assert config.dims == (10, 10, 10, 10)
    assert (config.target_rank, config.target_norm) == (5, 1.0)
    assert (config.observation_count, config.init_scales) == (2000, (0.05, 0.01, 0.005))


def test_observations_fit_the_tensor_where_their_number_is_not_given():
    assert DynamicsConfig().observation_count == 2000
    assert DynamicsConfig(order=3).observation_count == 500
    assert DynamicsConfig(order=3, observations=900).observation_count == 900
