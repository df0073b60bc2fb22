"""In full the settings are the paper's, and a quick run says what it lacks."""

import pytest

from rankrise.experiments import (
    ComplexityReproductionConfig,
    DynamicsReproductionConfig,
    TheoryReproductionConfig,
)

each = pytest.mark.parametrize(
    "config",
    [
        DynamicsReproductionConfig,
        ComplexityReproductionConfig,
        TheoryReproductionConfig,
    ],
)


def test_dynamics_in_full_are_at_the_paper_s_settings():
    (experiment,) = DynamicsReproductionConfig(seed=3).experiments.values()
    assert (experiment.dims, experiment.target_rank) == ((10,) * 4, 5)
    assert (experiment.observation_count, experiment.components) == (2000, 1000)
    assert experiment.init_scales == (0.05, 0.01, 0.005)
    assert (experiment.solver, experiment.loss) == ("adaptive", "squared")
    assert experiment.seed == 3


def test_complexity_in_full_is_at_the_paper_s_settings():
    experiment = ComplexityReproductionConfig(seed=3).experiment
    assert experiment.rank_list == tuple(range(1, 16))
    assert experiment.control_list == ("data", "inputs", "labels")
    assert (experiment.epochs, experiment.batch_size) == (10_000, 5000)
    assert (experiment.optimizer, experiment.init_std) == ("adam", 1e-3)
    assert experiment.classes is None
    assert (experiment.seed, experiment.seeds) == (3, (3,))


@each
def test_in_full_nothing_is_left_out(config):
    assert config().left_out == ()


def test_quick_dynamics_say_which_init_scale_and_iterations_they_lack():
    config = DynamicsReproductionConfig(quick=True)
    assert config.left_out == ("init scale 0.005", "iterations after 8000")
    (experiment,) = config.experiments.values()
    assert 0.005 not in experiment.init_scales
    assert experiment.steps == 8000


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("order-3", {"dims": (10, 10, 10)}),
        ("sensing", {"task": "sensing", "dims": (10, 10, 10)}),
        ("huber", {"loss": "huber", "dims": (10,) * 4, "components": 1000}),
        ("l1", {"loss": "absolute"}),
        ("matrix", {"factorization": "matrix", "depth": 3, "dims": (30, 30)}),
        ("unequal", {"dims": (7, 10, 14)}),
    ],
)  # fmt: skip
def test_a_variant_changes_what_its_name_says(variant, expected):
    config = DynamicsReproductionConfig(variant=variant, kept_components="all")
    ((name, experiment),) = config.experiments.items()
    assert name == variant
    assert {key: getattr(experiment, key) for key in expected} == expected
    assert experiment.kept_components == "all"


def test_all_variants_are_run_and_say_what_each_lacks():
    config = DynamicsReproductionConfig(variant="all", quick=True)
    assert config.variants == (
        "main", "order-3", "sensing", "huber", "l1", "matrix", "unequal",
    )  # fmt: skip
    assert tuple(config.experiments) == config.variants
    assert config.left_out == (
        "main: init scale 0.005",
        "main: iterations after 8000",
        "huber: order 4, for which order 3 is run",
    )


def test_quick_complexity_says_which_ranks_and_epochs_it_lacks():
    config = ComplexityReproductionConfig(quick=True)
    ranks, epochs = config.left_out
    assert ranks == "ranks 3 to 15"
    assert epochs.startswith("epochs after 1000 of 10000")
    assert config.experiment.rank_list == (1, 2)
    assert config.experiment.epochs == 1000


def test_quick_theory_says_which_init_scales_and_depth_it_lacks():
    scales, depth = TheoryReproductionConfig(quick=True).left_out
    assert scales.endswith("all init scales but 0.05, 0.025 and 0.0125")
    assert depth == "of matrix-growth, depth 4"


@each
def test_the_seed_reaches_the_experiment(config):
    settings = config(seed=7)
    if isinstance(settings, DynamicsReproductionConfig):
        assert {each.seed for each in settings.experiments.values()} == {7}
    else:
        assert settings.experiment.seed == 7


@each
def test_a_negative_seed_is_refused(config):
    with pytest.raises(ValueError, match="`seed` is -1; it cannot be negative"):
        config(seed=-1)
