"""Factorizations on disk."""

import jax
import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.factorizations import DenseTensor, near_zero, near_zero_matrix
from rankrise.trajectories import load_factors, save_factors


def models(count):
    return [near_zero((4, 3, 2), 2, key=jax.random.key(seed)) for seed in range(count)]


def assert_same_factors(loaded, model):
    for ours, theirs in zip(loaded.factor_matrices, model.factor_matrices, strict=True):
        np.testing.assert_array_equal(ours, theirs, strict=True)


def test_the_factors_of_one_run_come_back(tmp_path):
    (model,) = models(1)
    path = save_factors(tmp_path / "factors.npz", [model])
    assert_same_factors(load_factors(path), model)


def test_the_factors_of_each_run_come_back(tmp_path):
    # Eleven, because `run_1_` must not be taken for `run_10_`.
    saved = models(11)
    path = save_factors(tmp_path / "factors.npz", saved)
    for run, model in enumerate(saved):
        assert_same_factors(load_factors(path, run), model)


def test_loaded_factors_are_a_factorization_that_computes(tmp_path):
    (model,) = models(1)
    loaded = load_factors(save_factors(tmp_path / "factors.npz", [model]))
    indices = jax.numpy.array([[3, 2, 1]])
    np.testing.assert_array_equal(loaded.entries(indices), model.entries(indices))


def test_layers_and_labels_are_stored_without_pickle(tmp_path):
    model = near_zero_matrix((4, 3), 2, key=jax.random.key(0))
    path = save_factors(tmp_path / "factors.npz", [model], {"start_seed": [7]})
    with np.load(path, allow_pickle=False) as file:
        stored = {name: file[name] for name in file.files}
    assert sorted(stored) == ["layer_1", "layer_2", "start_seed"]
    np.testing.assert_array_equal(stored["layer_2"], model.layers[1])
    assert stored["start_seed"] == [7]


def test_a_factorization_without_factors_is_refused(tmp_path):
    with pytest.raises(InputError, match="got DenseTensor"):
        save_factors(tmp_path / "factors.npz", [DenseTensor(jax.numpy.ones((2, 2)))])
    assert not any(tmp_path.iterdir())


def other_array(path):
    np.savez(path, other=np.zeros(3))


def single_array(path):
    with path.open("wb") as file:
        np.save(file, np.zeros(3))


def pickled_array(path):
    np.savez(path, mode_1=np.array([{}]), mode_2=np.array([{}]))


def text(path):
    path.write_text("step,loss\n0,1\n")


def cut_off(path):
    save_factors(path, models(1))
    path.write_bytes(path.read_bytes()[:-40])


def missing(path):
    pass


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (other_array, "holds no factor matrices"),
        (single_array, "cannot be read as factors"),
        (pickled_array, "cannot be read as factors"),
        (text, "cannot be read as factors"),
        (cut_off, "cannot be read as factors"),
        (missing, "cannot be read as factors"),
    ],
)
def test_a_file_that_is_not_factors_is_refused(write, words, tmp_path):
    path = tmp_path / "factors.npz"
    write(path)
    with pytest.raises(InputError, match=words):
        load_factors(path)


def test_a_run_must_be_chosen_among_those_stored(tmp_path):
    path = save_factors(tmp_path / "factors.npz", models(2))
    with pytest.raises(InputError, match="choose the run"):
        load_factors(path)
    with pytest.raises(InputError, match="holds no run 2"):
        load_factors(path, run=2)
