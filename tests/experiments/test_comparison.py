"""Ours beside the paper's, on curves and errors known in closed form."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rankrise.complexity import CONTROLS, RankCurve, RankFit
from rankrise.experiments._comparison import Row
from rankrise.experiments._complexity import ComplexityResult
from rankrise.experiments._complexity_comparison import compare_complexity
from rankrise.experiments._complexity_config import ComplexityConfig
from rankrise.experiments._dynamics import DynamicsResult
from rankrise.experiments._dynamics_comparison import compare_dynamics
from rankrise.experiments._dynamics_config import DynamicsConfig
from rankrise.experiments._theory_comparison import compare_theory
from rankrise.experiments._variant_comparison import compare_variant
from rankrise.experiments._verification import VerificationResult
from rankrise.experiments._verification_config import VerificationConfig
from rankrise.factorizations import CPFactorization, near_zero_matrix
from rankrise.runs import Ending
from rankrise.tables import labelled_table
from rankrise.theory import Claim, Theorem
from rankrise.trajectories import (
    Observable,
    Outcome,
    Recording,
    Trajectory,
    build_dataset,
    reconstruction_error,
)

STEPS = np.arange(0, 20_001, 25)
# What it measures is made up below.
COMPONENT_NORMS = Observable("component_norms", np.asarray, per_component=True)
HALF = (4000.0, 5500.0, 7000.0, 10_000.0, 11_500.0)
FINAL = (0.6, 0.55, 0.4, 0.3, 0.2)
TARGET = CPFactorization((jnp.ones((1, 1)), jnp.ones((1, 1))))


def test_a_difference_is_ours_less_the_paper_s():
    row = Row(group="", quantity="", ours=0.25, paper=1.0)
    assert row.difference == -0.75


@pytest.mark.parametrize("known", [{"ours": 1.0}, {"paper": 1.0}])
def test_a_difference_to_nothing_is_missing_and_not_zero(known):
    assert math.isnan(Row(group="", quantity="", **known).difference)


# Dynamics


def a_history(half=HALF, *, width=30.0, other=1e-6, error=0.01):
    """Logistic rises; the error falls by as much with each, to `error`."""
    rising = np.array(FINAL) / (1 + np.exp(-(STEPS[:, None] - half) / width))
    norms = np.hstack([rising, np.full((len(STEPS), 3), other)])
    passed = (STEPS[:, None] > np.array(half)).sum(axis=1)
    return {
        "step": STEPS,
        "time": STEPS / 10,
        "component_norms": norms,
        "reconstruction_error": 1 - passed * (1 - error) / 5,
    }


def result_of(config=None, target=TARGET, **runs):
    """Histories by init scale, such as s_0_005."""
    scales = [float(name.removeprefix("s_").replace("_", ".")) for name in runs]
    dataset = build_dataset(
        list(runs.values()),
        [COMPONENT_NORMS, reconstruction_error(TARGET)],
        Recording(run_labels={"init_scale": scales, "start_seed": [0] * len(scales)}),
        single=False,
    )
    models = tuple(
        CPFactorization((jnp.asarray(run["component_norms"][-1:]), jnp.ones((1, 8))))
        for run in runs.values()
    )
    outcomes = (Outcome(Ending.STOPPED, "", 1, 1),) * len(runs)
    trajectory = Trajectory(dataset, models, outcomes, _single=False)
    return DynamicsResult(config or DynamicsConfig(), trajectory, target)


def compared(**runs):
    """The comparison of histories by init scale, such as s_0_005."""
    return compare_dynamics(result_of(**runs))


def numbers(comparison, quantity):
    """Ours and the paper's, of the only row of that name."""
    (row,) = [row for row in comparison.rows if row.quantity == quantity]
    return row.ours, row.paper


def answers(comparison):
    """Of every statement, in order: ours."""
    return [statement.ours for statement in comparison.statements]


@pytest.fixture(scope="module")
def steep():
    return compared(s_0_005=a_history())


@pytest.mark.parametrize("place", range(5))
def test_components_are_listed_as_they_rise(steep, place):
    ours, paper = numbers(steep, f"c{place + 1}: iteration at half height")
    # Between two saves a line stands for the curve.
    assert ours == pytest.approx(HALF[place], abs=1)
    assert paper == (4200, 5300, 7000, 9810, 11240)[place]


def test_norms_on_arrival_and_errors_after_a_rise_are_those_of_the_curve(steep):
    arrived, read = numbers(steep, "c2: norm on arrival")
    assert (arrived, read) == (pytest.approx(0.55, rel=0.01), 0.589)
    assert numbers(steep, "c2: error after its rise") == (
        pytest.approx(1 - 2 * 0.99 / 5), 0.559,
    )  # fmt: skip


def test_the_end_is_compared_by_error_and_number_of_components(steep):
    assert numbers(steep, "error at the end") == (pytest.approx(0.01), 0.005)
    assert numbers(steep, "components above 0.005") == (5, 5)


def test_what_was_not_read_is_missing():
    comparison = compared(s_0_01=a_history())
    ours, paper = numbers(comparison, "c1: norm on arrival")
    assert math.isfinite(ours)
    assert math.isnan(paper)


def test_an_init_scale_the_paper_does_not_show_has_no_numbers_of_it():
    comparison = compared(s_0_5=a_history())
    assert all(math.isnan(row.paper) for row in comparison.rows)
    assert {statement.paper for statement in comparison.statements} == {None}


def test_a_staircase_of_five_has_the_shape(steep):
    assert answers(steep) == [True, True, True]


def test_rises_at_once_are_no_staircase():
    together = a_history((4000.0, 4010.0, 7000.0, 10_000.0, 11_500.0))
    assert answers(compared(s_0_005=together)) == [True, True, False]


def test_another_component_that_stays_large_breaks_the_shape():
    assert answers(compared(s_0_005=a_history(other=0.02))) == [False, False, True]


def test_a_smaller_init_scale_must_be_sharper_and_nearer():
    blurred = a_history(width=100.0, error=0.1)
    right = compared(s_0_05=blurred, s_0_005=a_history())
    wrong = compared(s_0_005=blurred, s_0_05=a_history())
    assert answers(right)[-2:] == [True, True]
    assert answers(wrong)[-2:] == [False, False]


# Variants

# Components in another order than they rise, and one of them .01 off.
TARGET_NORMS = (0.2, 0.3, 0.4, 0.56, 0.6)
FIVE = CPFactorization((jnp.array([TARGET_NORMS]), jnp.ones((1, 5))))


def later(history, factor):
    """The same on a clock on which it takes longer."""
    return history | {"time": history["time"] * factor}


def test_of_a_variant_only_the_smallest_init_scale_is_expected_to_be_a_staircase():
    result = result_of(target=FIVE, s_0_05=a_history(width=100.0), s_0_01=a_history())
    comparison = compare_variant(result)
    assert comparison.reference == "expected"
    expected = {
        scale: {each.paper for each in comparison.statements if each.group == scale}
        for scale in ("init scale 0.05", "init scale 0.01")
    }
    assert expected == {"init scale 0.05": {None}, "init scale 0.01": {True}}
    # Sharper; but both end at the same error, and rise at the same time.
    assert answers(comparison)[-3:] == [True, False, False]


def test_norms_at_the_end_are_beside_the_target_s_of_the_same_place_by_size():
    comparison = compare_variant(result_of(target=FIVE, s_0_01=a_history()))
    ends = [row for row in comparison.rows if row.quantity.endswith("norm at the end")]
    assert [row.paper for row in ends] == pytest.approx(sorted(TARGET_NORMS)[::-1])
    differences = [row.difference for row in ends]
    assert differences == pytest.approx([0, -0.01, 0, 0, 0], abs=1e-6)


@pytest.mark.parametrize(("order", "ratio"), [(3, 5.0), (4, 25.0)])
def test_a_first_rise_is_expected_later_by_a_power_of_the_init_scale(order, ratio):
    config = DynamicsConfig(order=order, observations=500)
    runs = {"s_0_05": a_history(), "s_0_01": later(a_history(), 7.0)}
    comparison = compare_variant(result_of(config, FIVE, **runs))
    measured, expected = numbers(comparison, "time of the first rise over that at 0.05")
    assert (measured, expected) == (pytest.approx(7.0), pytest.approx(ratio))
    # Seven is more than a third from five.
    assert answers(comparison)[-1] is False


@pytest.mark.parametrize(("factor", "answer"), [(4.0, True), (6.5, True), (3.0, False)])
def test_a_first_rise_within_a_third_of_what_is_expected_agrees(factor, answer):
    config = DynamicsConfig(order=3, observations=500)
    runs = {"s_0_05": a_history(), "s_0_01": later(a_history(), factor)}
    assert answers(compare_variant(result_of(config, FIVE, **runs)))[-1] is answer


def test_a_deep_matrix_is_held_against_the_singular_values_of_its_target():
    config = DynamicsConfig(
        order=2, factorization="matrix", depth=3, target_rank=3, observations=50
    )
    factors = near_zero_matrix((6, 5), 2, init_scale=1.0, key=jax.random.key(0))
    target = CPFactorization((factors.layers[0].T, factors.layers[1]))
    comparison = compare_variant(result_of(config, target, s_0_01=a_history()))
    ends = [row for row in comparison.rows if row.quantity.endswith("norm at the end")]
    values = np.linalg.svd(np.asarray(target.end_tensor()), compute_uv=False)
    # In single precision.
    assert [row.paper for row in ends] == pytest.approx(values[:3], rel=1e-5)


def test_where_nothing_rises_there_is_no_time_of_a_rise():
    flat = a_history() | {"component_norms": np.full((len(STEPS), 8), 1e-6)}
    runs = {"s_0_05": flat, "s_0_01": a_history()}
    measured, _ = numbers(
        compare_variant(result_of(target=FIVE, **runs)),
        "time of the first rise over that at 0.05",
    )
    assert math.isnan(measured)


# Complexity


def a_study(error_of, dataset="mnist", ranks=(1, 2)):
    """A result of two classes whose errors lie .01 to either side of their mean."""
    fits = tuple(
        RankFit(
            control,
            rank,
            target,
            0,
            error_of(control, rank, "train") + side,
            error_of(control, rank, "test") + side,
            10,
            Ending.STOPPED,
        )
        for control, rank in itertools.product(CONTROLS, ranks)
        for target, side in (("a", -0.01), ("b", 0.01))
    )
    constant = {"train": np.full(2, 0.09), "test": np.full(2, 0.09)}
    curve = RankCurve(fits, "classes", constant, {}, 0.0, 0.0)
    config = ComplexityConfig()
    return ComplexityResult(
        config, dataset, labelled_table(np.eye(4, dtype=int), np.arange(4) % 2), curve
    )


def as_expected(control, rank, split):
    """The data are learned, their twins only by heart."""
    if control == "data":
        return 0.03 / rank
    return 0.09 - 0.005 * rank if split == "train" else 0.09 + 0.005 * rank


def test_errors_are_means_and_deviations_over_classes_beside_the_paper_s():
    comparison = compare_complexity(a_study(as_expected))
    row = comparison.rows[0]
    assert (row.group, row.quantity) == ("data, train error", "rank 1")
    assert (row.ours, row.paper) == (pytest.approx(0.03), 0.0228)
    # Over these classes, which are all there are.
    assert row.ours_spread == pytest.approx(0.01)
    assert row.paper_spread == 0.0093
    assert len(comparison.rows) == 3 * 2 * 2


def test_data_and_twins_as_expected_agree_with_the_paper_in_every_statement():
    comparison = compare_complexity(a_study(as_expected))
    assert set(answers(comparison)) == {True}
    assert {statement.paper for statement in comparison.statements} == {True}


def test_a_twin_that_is_learned_contradicts_the_paper():
    def error_of(control, rank, split):
        return 0.02 if control == "labels" else as_expected(control, rank, split)

    disagreed = [
        (statement.group, statement.words[:14])
        for statement in compare_complexity(a_study(error_of)).statements
        if statement.ours is False
    ]
    assert ("data", "training error") in disagreed
    assert ("random labels", "test error no ") in disagreed
    assert ("random inputs", "test error no ") not in disagreed


def test_a_data_set_that_was_not_read_has_no_numbers_of_the_paper():
    comparison = compare_complexity(a_study(as_expected, "fashion-mnist"))
    assert all(math.isnan(row.paper) for row in comparison.rows)
    assert {statement.paper for statement in comparison.statements} == {None}
    assert "was not read" in comparison.notes[0]


# Theory


def a_claim(verdict, **numbers):
    theorem = Theorem("growth", "Growth", "Theorem 1", "norms grow")
    return Claim(
        theorem=theorem, verdict=verdict, explanation="", tolerance=1e-8, **numbers
    )


@pytest.mark.parametrize(
    ("verdict", "answer"), [("holds", True), ("violated", False), ("not tested", None)]
)
def test_a_claim_is_measured_beside_predicted_with_its_verdict(verdict, answer):
    claim = a_claim(verdict, predicted=2.0, measured=2.5, error=0.1)
    comparison = compare_theory(
        VerificationResult(VerificationConfig(), (claim,), {"growth": 1.0}, False)
    )
    (row,), (statement,) = comparison.rows, comparison.statements
    assert (row.ours, row.paper, row.difference) == (2.5, 2.0, 0.5)
    assert verdict in row.note
    assert statement.ours is answer


def test_a_claim_without_numbers_leaves_them_out():
    result = VerificationResult(
        VerificationConfig(), (a_claim("not tested"),), {"growth": 1.0}, False
    )
    (row,) = compare_theory(result).rows
    assert math.isnan(row.ours)
    assert math.isnan(row.difference)
