"""A partly observed tensor completes itself."""

import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.data import ModeAxis, Observations
from rankrise.experiments import CompletionConfig, run_completion


@pytest.fixture(scope="module")
def completed(completion):
    return completion.completed()


def test_missing_entries_of_a_tensor_of_low_rank_are_recovered(completed, gappy, whole):
    missing = np.isnan(gappy)
    error = np.linalg.norm((completed - whole)[missing])
    # A guess of the mean has an error of one; the run was cut off while it still fell.
    assert error < 0.02 * np.linalg.norm(whole[missing])


def test_observed_entries_come_back_exactly(completed, gappy):
    observed = ~np.isnan(gappy)
    assert observed.sum() > 50
    np.testing.assert_array_equal(completed[observed], gappy[observed])


def test_missing_entries_are_what_the_factorization_says(completion, completed, gappy):
    missing = np.argwhere(np.isnan(gappy))
    expected = completion.offset + np.einsum(
        "ir,jr,kr->ijk", *completion.factor_matrices
    )
    # The same sums of eight products in other orders.
    for entries in (completed[tuple(missing.T)], completion.entries(missing)):
        np.testing.assert_allclose(entries, expected[tuple(missing.T)], atol=1e-12)


def test_another_unit_of_the_data_changes_nothing_but_the_unit(gappy):
    # Few steps, because standardized values differ by rounding, which steps amplify.
    config = CompletionConfig(
        method="paper",
        components=8,
        steps=600,
        init_scales=(0.01,),
        precision="float64",
    )
    observations = Observations.from_array(gappy)
    result = run_completion(observations, config)
    assert result.component_norms[0] > 1  # it has left the start
    in_other_unit = Observations.from_array(1.8 * gappy + 32.0)
    np.testing.assert_allclose(
        run_completion(in_other_unit, config).completed(),
        1.8 * result.completed() + 32.0,
        atol=1e-6,
    )


def test_without_centering_there_is_no_offset(completion_config, completion, gappy):
    config = completion_config.model_copy(update={"center": False, "steps": 1})
    assert completion.offset != 0
    assert run_completion(Observations.from_array(gappy), config).offset == 0


def parts(completion):
    """Observations trained on, and held out."""
    inner = completion.completion
    shown = inner.folds.part != 0
    return {
        "train": inner.observations.take(np.flatnonzero(shown)),
        "heldout": inner.observations.take(np.flatnonzero(~shown)),
    }


def test_the_factors_of_least_held_out_error_are_chosen(completion):
    trajectory = completion.run
    best = np.argmin(trajectory.heldout_error)
    assert trajectory.outcomes[0].best_step == trajectory.step[best]
    # In the units of the standardized values.
    heldout = parts(completion)["heldout"]
    predictions = completion.entries(heldout.indices) - completion.offset
    values = heldout.values - completion.offset
    error = np.linalg.norm(predictions - values) / np.linalg.norm(values)
    assert trajectory.heldout_error[best] == pytest.approx(error, rel=1e-9)


def test_a_tenth_of_the_observed_entries_is_held_out(completion, gappy):
    count = np.sum(~np.isnan(gappy))
    assert len(parts(completion)["heldout"]) == round(0.1 * count)


@pytest.mark.parametrize("name", ["train", "heldout"])
def test_errors_are_relative_to_the_values_and_to_their_spread(name, completion):
    part = parts(completion)[name]
    tensor = completion.offset + np.einsum("ir,jr,kr->ijk", *completion.factor_matrices)
    residual = np.linalg.norm(tensor[tuple(part.indices.T)] - part.values)
    centered = part.values - completion.completion.observations.values.mean()
    expected = {
        f"{name}_error": residual / np.sqrt(len(part)),
        f"{name}_relative_error": residual / np.linalg.norm(part.values),
        f"{name}_centered_error": residual / np.linalg.norm(centered),
    }
    errors = {key: completion.errors()[key] for key in expected}
    assert errors == pytest.approx(expected, rel=1e-9)


def test_rank_counts_components_above_a_hundredth_of_the_largest(completion):
    norms = np.prod(
        [np.linalg.norm(matrix, axis=0) for matrix in completion.factor_matrices],
        axis=0,
    )
    np.testing.assert_allclose(completion.component_norms, np.sort(norms)[::-1])
    assert completion.rank == np.sum(norms > 0.01 * norms.max())
    # The two of the tensor, and one that takes back the offset.
    assert completion.rank == 3


def test_a_seed_fixes_the_result(completion_config, completion, gappy):
    again = run_completion(Observations.from_array(gappy), completion_config)
    for ours, theirs in zip(
        again.factor_matrices, completion.factor_matrices, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def full():
    return np.arange(24.0).reshape(2, 3, 4)


def few():
    array = np.full((4, 4), np.nan)
    array.flat[:9] = np.arange(9.0)
    return array


def constant():
    array = np.full((4, 4), 2.5)
    array[0, 0] = np.nan
    return array


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (full(), "All 24 entries are observed, so there is nothing to complete"),
        (few(), "Only 9 of 16 entries are observed; at least 10"),
        (constant(), "All observed values equal 2.5, so there is nothing to learn"),
    ],
)
def test_data_with_nothing_to_complete_or_to_learn_is_refused(array, words):
    with pytest.raises(InputError, match=words):
        run_completion(Observations.from_array(array), CompletionConfig())


def test_the_run_of_least_held_out_error_is_chosen(completion):
    runs = completion.trajectory.runs()
    assert len(runs) == len(completion.config.init_scales) > 1
    errors = [run.heldout_error.min() for run in runs]
    assert completion.chosen == np.argmin(errors)
    chosen = completion.trajectory.models[completion.chosen]
    # One of unit root mean square, one in the units of the data.
    ratio = completion.component_norms[0] / float(chosen.component_norms().max())
    whole = parts(completion)["train"].values
    assert ratio == pytest.approx(np.std(whole), rel=1e-9)


def test_slices_without_an_observed_entry_are_named_and_warned_of(gappy, caplog):
    holed = gappy.copy()
    holed[3] = np.nan
    holed[:, 1] = np.nan
    config = CompletionConfig(
        method="paper", components=2, steps=20, init_scales=(0.1,)
    )
    with caplog.at_level("WARNING", logger="rankrise"):
        result = run_completion(Observations.from_array(holed), config)
    assert result.completion.unobserved_slices == [(0, 3), (1, 1)]
    assert "index 3 (counted from 0) of mode 1 (and in 1 other slice)" in caplog.text


def test_warnings_use_the_names_and_labels_of_the_data(gappy, caplog):
    holed = gappy.copy()
    holed[0] = np.nan
    holed[1, 1, 1] = 1e9
    axes = tuple(
        ModeAxis(name, np.array([f"{name}-{k}" for k in range(dim)]))
        for name, dim in zip("abc", gappy.shape, strict=True)
    )
    config = CompletionConfig(
        method="paper", components=2, steps=20, init_scales=(0.1,)
    )
    with caplog.at_level("WARNING", logger="rankrise"):
        run_completion(Observations.from_array(holed), config, axes=axes)
    assert "no entry is observed at a-0 of a;" in caplog.text
    assert "the value 1e+09 at (a-1, b-1, c-1)" in caplog.text


def test_a_marker_beside_gaps_is_warned_of(gappy, caplog):
    config = CompletionConfig(
        method="paper", components=2, steps=20, init_scales=(0.1,)
    )
    marked = gappy.copy()
    marked[tuple(np.argwhere(~np.isnan(gappy))[:5].T)] = -999
    with caplog.at_level("WARNING", logger="rankrise"):
        run_completion(Observations.from_array(gappy), config)
        assert "occurs" not in caplog.text
        run_completion(Observations.from_array(marked), config)
    assert "the value -999 occurs 5 times, far from all others" in caplog.text


def test_a_poor_fit_is_warned_of(gappy, caplog):
    config = CompletionConfig(
        method="paper", components=2, steps=1, init_scales=(0.001,)
    )
    with caplog.at_level("WARNING", logger="rankrise"):
        result = run_completion(Observations.from_array(gappy), config)
    assert result.errors()["heldout_centered_error"] > 0.5
    assert "little was learned" in caplog.text


def test_a_marker_that_stands_for_missing_is_suspected(gappy):
    marked = np.where(np.isnan(gappy), -999.0, gappy)
    with pytest.raises(InputError, match=r"\(-999 occurs \d+ times\); unobserved"):
        run_completion(Observations.from_array(marked))
