"""The matrix analogue: singular values of a balanced product."""

import itertools

import jax
import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.factorizations import DenseTensor, near_zero
from rankrise.theory import balanced_matrix, check_matrix_growth
from rankrise.theory._unfolding import unfolded

from .conftest import completion, sensing


@pytest.mark.slow
def test_matrix_growth_holds_on_a_matrix():
    claim = check_matrix_growth(completion((4, 5), 0.8), depths=(3,))
    assert claim.verdict == "holds", claim.explanation
    assert claim.moved["loss_ratio"] <= 0.1
    assert claim.numbers["compared"] > 500


@pytest.mark.slow
def test_matrix_growth_holds_at_every_depth_and_of_unfolded_tensors(problem):
    claim = check_matrix_growth(problem, depths=(1, 2, 3, 4))
    assert claim.verdict == "holds", claim.explanation


@pytest.mark.parametrize("mode_dims", [(4, 5), (5, 3), (3, 3)])
@pytest.mark.parametrize("depth", [1, 2, 4])
def test_the_balanced_start_is_balanced_with_values_apart(mode_dims, depth, key):
    start = balanced_matrix(mode_dims, depth, init_scale=0.5, key=key)
    assert start.mode_dims == mode_dims
    assert start.depth == depth
    for inner, outer in itertools.pairwise(start.layers):
        np.testing.assert_allclose(outer.T @ outer, inner @ inner.T, atol=1e-15)
    values = start.component_norms()
    np.testing.assert_allclose(values[0], 0.5**depth, rtol=1e-12)
    assert np.all(np.diff(values) < -0.01 * values[-1])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (((3, 3, 3), 2, 0.1), "has two modes"),
        (((3, 3), 0, 0.1), "depth is 0"),
        (((3, 3), 2, 0.0), "init scale is 0"),
    ],
)
def test_a_start_that_makes_no_sense_is_refused(arguments, words, key):
    mode_dims, depth, init_scale = arguments
    with pytest.raises(InputError, match=words):
        balanced_matrix(mode_dims, depth, init_scale=init_scale, key=key)


@pytest.mark.slow
def test_what_rounding_hides_at_depth_ten_is_no_violation():
    problem = completion((4, 16), 0.65)
    claim = check_matrix_growth(problem, depths=(10,))
    # Its smallest singular values are a millionth of the largest, so that rates are
    # rounded by more than the tolerance, and say nothing.
    assert claim.verdict != "violated", claim.explanation
    assert claim.numbers["left_out"] > 0


@pytest.mark.parametrize(
    "make",
    [
        lambda: completion((2, 3, 2, 3), 0.7),
        lambda: sensing((3, 4, 2), 6, "dense"),
        lambda: sensing((3, 4, 2), 6, "factored"),
        lambda: completion((4, 5), 0.8),
    ],
    ids=["completion", "dense", "factored", "matrix"],
)
def test_an_unfolded_problem_observes_the_same(make):
    problem = make()
    model = near_zero(problem.mode_dims, 3, init_scale=1.0, key=jax.random.key(0))
    matrix = unfolded(problem)
    folded = DenseTensor(model.end_tensor().reshape(matrix.mode_dims))
    np.testing.assert_allclose(
        matrix.predictions(folded), problem.predictions(model), rtol=1e-10, atol=1e-12
    )
    np.testing.assert_allclose(matrix.loss(folded), problem.loss(model), rtol=1e-10)
