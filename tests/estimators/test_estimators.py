"""Regressor and classifier of low tensor rank."""

import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import optax
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from rankrise import InputError, TensorClassifier, TensorRegressor
from rankrise.ensembles import fit_ensemble
from rankrise.estimators import _fitting

RNG = np.random.default_rng(0)
X = RNG.integers(0, 3, (120, 4)).astype(float)
FACTORS = RNG.uniform(0.5, 2, (4, 3))
# Of rank one.
Y = FACTORS[np.arange(4), X.astype(int)].prod(axis=1)
# Equality of two features with three values: of rank three.
EQUAL = np.where(X[:, 0] == X[:, 1], "same", "different")
FOUR_CLASSES = X[:, 0] + (X[:, 1] == 2)
SETTINGS = {"n_components": 3, "early_stopping": False, "random_state": 0}


@pytest.fixture(scope="module")
def regressor():
    return TensorRegressor(**SETTINGS).fit(X, Y)


@pytest.fixture(scope="module")
def classifier():
    return TensorClassifier(**SETTINGS, loss="logistic", init_std=0.1).fit(X, EQUAL)


@pytest.fixture(scope="module")
def of_four():
    settings = {"n_components": 2, "loss": "logistic", "random_state": 0}
    return TensorClassifier(**settings).fit(X, FOUR_CLASSES)


def test_a_target_of_rank_one_is_fit_exactly():
    # With the shift it is of rank two.
    model = TensorRegressor(**SETTINGS | {"n_components": 2, "max_iter": 80}).fit(X, Y)
    np.testing.assert_allclose(model.predict(X), Y, rtol=1e-9)


def test_predictions_are_those_of_the_factors(regressor):
    rows = [factor[X[:, n].astype(int)] for n, factor in enumerate(regressor.factors_)]
    outputs = np.prod(rows, axis=0).sum(axis=1)
    expected = regressor.intercept_ + regressor.scale_ * outputs
    np.testing.assert_allclose(regressor.predict(X), expected, rtol=1e-9)


def test_factors_are_indexed_by_the_levels_that_samples_are_coded_as(of_four):
    words = np.array(["b", "c", "a"])[X[:, 1].astype(int)]
    table = np.column_stack([X[:, 0], words, X[:, 2:]])
    model = clone(of_four).set_params(max_iter=3).fit(table.tolist(), FOUR_CLASSES)
    indices = model.levels_.encode(table[:9].astype(object)).indices
    rows = [w[:, n] for w, n in zip(model.factors_, indices.T, strict=True)]
    sums = np.prod(rows, axis=0).sum(axis=-1).T + model.intercept_
    np.testing.assert_allclose(sums, model.decision_function(table[:9]), rtol=1e-9)


def test_component_norms_fall_and_are_those_of_the_factors(regressor):
    norms = np.prod([np.sqrt((w**2).mean(axis=0)) for w in regressor.factors_], axis=0)
    np.testing.assert_allclose(regressor.component_norms_, norms, rtol=1e-9)
    assert (np.diff(norms) <= 0).all()


def test_rank_counts_components_above_a_share_of_the_largest(regressor):
    norms = regressor.component_norms_
    assert regressor.rank_ == np.sum(norms > 1e-3 * norms[0])


def test_losses_of_levenberg_marquardt_never_rise(regressor):
    assert len(regressor.loss_curve_) == regressor.n_iter_ == 40
    assert (np.diff(regressor.loss_curve_) <= 0).all()


# With one component and no spread, the start does not tell features apart.
ALIKE = {"early_stopping": False, "n_components": 1, "init_std": 0.0, "max_iter": 5}


def test_the_order_of_features_does_not_matter():
    order = [2, 0, 3, 1]
    plain = TensorRegressor(**ALIKE).fit(X, Y).predict(X)
    permuted = TensorRegressor(**ALIKE).fit(X[:, order], Y).predict(X[:, order])
    np.testing.assert_allclose(permuted, plain, rtol=1e-6)


def test_names_of_levels_do_not_matter():
    names = np.array(["b", "c", "a"], dtype=object)[X.astype(int)]
    plain = TensorRegressor(**ALIKE).fit(X, Y).predict(X)
    renamed = TensorRegressor(**ALIKE).fit(names, Y).predict(names)
    np.testing.assert_allclose(renamed, plain, rtol=1e-6)


def test_units_of_the_target_do_not_matter():
    plain = TensorRegressor(**ALIKE).fit(X, Y).predict(X)
    scaled = TensorRegressor(**ALIKE).fit(X, 1e3 * Y - 1e4).predict(X)
    np.testing.assert_allclose(scaled, 1e3 * plain - 1e4, rtol=1e-6)


@pytest.mark.parametrize(
    "optimizer", [pytest.param("adam", marks=pytest.mark.slow), "levenberg-marquardt"]
)
def test_rows_that_pad_change_nothing(optimizer, monkeypatch):
    settings = {**SETTINGS, "optimizer": optimizer, "batch_size": 300, "max_iter": 10}
    padded = TensorRegressor(**settings).fit(X, Y)
    monkeypatch.setattr(_fitting, "_SAMPLES", 0)
    plain = TensorRegressor(**settings, n_levels=3).fit(X, Y)
    monkeypatch.setattr(_fitting, "_SAMPLES", 256)
    # Rounding grows from step to step of conjugate gradients.
    np.testing.assert_allclose(padded.loss_curve_, plain.loss_curve_, rtol=1e-4)


def test_classes_of_rank_three_are_learned(classifier):
    assert classifier.score(X, EQUAL) == 1
    assert classifier.classes_.tolist() == ["different", "same"]


def test_probabilities_are_those_of_the_log_odds(classifier):
    probabilities = classifier.predict_proba(X)
    odds = np.exp(classifier.decision_function(X))
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    np.testing.assert_allclose(probabilities[:, 1], odds / (1 + odds), rtol=1e-9)


def test_there_are_no_probabilities_with_the_squared_loss():
    assert not hasattr(TensorClassifier(), "predict_proba")


@pytest.mark.parametrize("method", ["predict", "predict_proba", "decision_function"])
def test_nothing_is_said_before_a_fit(method):
    with pytest.raises(NotFittedError):
        getattr(TensorClassifier(loss="logistic"), method)(X)


def test_several_classes_are_told_apart_with_probabilities(of_four):
    probabilities = of_four.predict_proba(X)
    assert of_four.score(X, FOUR_CLASSES) == 1
    assert of_four.decision_function(X).shape == probabilities.shape == (120, 4)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    assert of_four.rank_.shape == (4,)


def test_classes_that_are_all_most_unlikely_have_probabilities(of_four, monkeypatch):
    scores = np.array([[-1e3, -1e3, -1e3, -1e3], [-999.0, -1e3, -2e3, -2e3]])
    monkeypatch.setattr(of_four, "decision_function", lambda X: scores)
    odds = np.e / (1 + np.e)
    np.testing.assert_allclose(
        of_four.predict_proba(X[:2]), [[1 / 4] * 4, [odds, 1 - odds, 0, 0]]
    )


def test_a_fit_is_reproduced_by_a_clone_and_by_a_pickle(regressor):
    again = clone(regressor).fit(X, Y)
    np.testing.assert_array_equal(again.predict(X), regressor.predict(X))
    unpickled = pickle.loads(pickle.dumps(regressor))
    np.testing.assert_array_equal(unpickled.predict(X), regressor.predict(X))


def test_columns_of_a_frame_keep_their_names_and_kinds():
    frame = pd.DataFrame(
        {"number": X[:, 0], "word": np.array(list("abc"))[X[:, 1].astype(int)]}
    )
    model = TensorRegressor(**SETTINGS).fit(frame, Y)
    assert model.feature_names_in_.tolist() == ["number", "word"]
    with pytest.raises(ValueError, match="feature names"):
        model.predict(frame[["word", "number"]])
    unseen = frame.assign(word="d")
    with pytest.raises(InputError, match="'d' in column 'word'"):
        model.predict(unseen)


def test_numbers_beside_text_stay_numbers():
    rows = [[float(a), "abc"[int(b)]] for a, b in X[:, :2]]
    model = TensorRegressor(**SETTINGS).fit(rows, Y)
    # Between two levels, and beyond all.
    assert np.isfinite(model.predict([[0.7, "a"], [99, "b"]])).all()


def test_numbers_beyond_those_seen_are_in_the_end_levels(regressor):
    beyond = regressor.predict([[-9, 9, 1, 1]])
    np.testing.assert_array_equal(beyond, regressor.predict([[0, 2, 1, 1]]))


def test_a_grid_search_in_a_pipeline_finds_the_components_it_takes():
    search = GridSearchCV(
        make_pipeline(StandardScaler(), TensorRegressor(random_state=0, max_iter=15)),
        {"tensorregressor__n_components": [1, 3]},
        cv=2,
    ).fit(X, X[:, 0] == X[:, 1])
    assert search.best_params_ == {"tensorregressor__n_components": 3}


def test_early_stopping_takes_the_epoch_of_the_lowest_validation_loss():
    noise = np.random.default_rng(1).normal(size=120)
    model = TensorRegressor(**SETTINGS | {"early_stopping": True}).fit(X, noise)
    assert model.n_iter_ < 40
    assert len(model.loss_curve_) == model.n_iter_
    exact = TensorRegressor(**SETTINGS | {"early_stopping": True}).fit(X, Y)
    assert exact.n_iter_ > 10


def test_early_stopping_trains_once_and_leaves_the_models_of_its_epoch(monkeypatch):
    runs = []

    def counted(*args, **settings):
        runs.append(fit_ensemble(*args, **settings))
        return runs[-1]

    monkeypatch.setattr(_fitting, "fit_ensemble", counted)
    noise = np.random.default_rng(1).normal(size=120)
    settings = SETTINGS | {"early_stopping": True}
    model = TensorRegressor(**settings).fit(X, noise)
    (run,) = runs
    assert run.test_epochs[np.argmin(run.test_losses)] == model.n_iter_
    shorter = TensorRegressor(**settings, max_iter=model.n_iter_).fit(X, noise)
    np.testing.assert_array_equal(shorter.predict(X), model.predict(X))


def test_divergence_is_warned_of_and_leaves_no_nan():
    model = TensorRegressor(
        **SETTINGS, optimizer=optax.sgd(50.0), max_iter=30, batch_size=300
    )
    with pytest.warns(ConvergenceWarning, match=r"diverged; .* learning rate, as in"):
        model.fit(X, Y)
    assert model.n_iter_ < 30
    assert np.isfinite(model.predict(X)).all()


def test_an_optimizer_without_a_learning_rate_is_told_of_its_start():
    model = TensorRegressor(**SETTINGS, init_mean=1e50, max_iter=2)
    words = "diverged; .* from a smaller init_mean or init_std"
    with pytest.warns(ConvergenceWarning, match=words):
        model.fit(X, Y)


@pytest.mark.parametrize("early_stopping", [True, False])
def test_an_interrupt_leaves_no_model_that_was_trained_in_part(
    early_stopping, monkeypatch
):
    def interrupted(*args, progress, **settings):
        return fit_ensemble(*args, progress=interrupt, **settings)

    def interrupt(progress):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(_fitting, "fit_ensemble", interrupted)
    model = TensorRegressor(**SETTINGS | {"early_stopping": early_stopping})
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert not hasattr(model, "n_iter_")


def test_a_constant_column_and_a_constant_target_are_learned():
    constant = np.column_stack([X[:, :3], np.full(120, 7.0)])
    model = TensorRegressor(**SETTINGS).fit(constant, np.full(120, 1e-9))
    np.testing.assert_allclose(model.predict(constant), 1e-9, rtol=1e-15)
    assert model.scale_ == 0


def test_one_sample_is_learned():
    model = TensorRegressor(**SETTINGS).fit(X[:1], Y[:1])
    np.testing.assert_allclose(model.predict(X[:1]), Y[:1], rtol=1e-6)


def test_a_fit_goes_on_from_the_factors_of_another(regressor, of_four):
    # At a learning rate of zero factors stay where they began.
    still = {"optimizer": optax.sgd(0.0), "max_iter": 1}
    model = TensorRegressor(**SETTINGS, **still).fit(X, Y, start=regressor.factors_)
    np.testing.assert_allclose(model.predict(X), regressor.predict(X), rtol=1e-12)
    model = TensorClassifier(**of_four.get_params() | still)
    model.fit(X, FOUR_CLASSES, start=of_four.factors_)
    np.testing.assert_allclose(
        model.predict_proba(X), of_four.predict_proba(X), rtol=1e-12
    )


def test_given_batches_are_the_samples_of_each_step(regressor):
    settings = SETTINGS | {"optimizer": optax.sgd(0.01), "max_iter": 2}
    batches = [[5, 5, 7], [7, 5, 5]]
    model = TensorRegressor(**settings, batch_size=120)
    scaled = 1 + (Y - Y.mean()) / (10 * Y.std())
    factors = regressor.factors_
    model.fit(X, Y, start=factors, batches=iter(batches))
    by_hand = [factor.copy() for factor in factors]
    for rows in batches:
        steps = [np.zeros_like(factor) for factor in by_hand]
        for row in rows:
            levels = X[row].astype(int)
            taken = np.array([f[v] for f, v in zip(by_hand, levels, strict=True)])
            slope = 2 * (taken.prod(axis=0).sum() - scaled[row]) / len(rows)
            for mode, level in enumerate(levels):
                others = np.delete(taken, mode, axis=0).prod(axis=0)
                steps[mode][level] += slope * others
        by_hand = [f - 0.01 * step for f, step in zip(by_hand, steps, strict=True)]
    order = np.argsort(-np.prod([np.sqrt((f**2).mean(0)) for f in by_hand], axis=0))
    for found, wanted in zip(model.factors_, by_hand, strict=True):
        np.testing.assert_allclose(found, wanted[:, order], rtol=1e-9)


@pytest.mark.parametrize(
    ("settings", "course", "words"),
    [
        ({}, {"start": [np.ones((3, 3))]}, "start has 1 arrays and X 4 features"),
        (
            {"n_components": 2},
            {"start": [np.ones((3, 3))] * 4},
            r"start of feature 0 .* shape \(3, 2\) \(level, component\)",
        ),
        ({}, {"start": [np.full((3, 3), np.nan)] * 4}, "give finite numbers"),
        ({}, {"batches": [[0, 1]]}, "takes its steps on all samples"),
        ({"early_stopping": True}, {"batches": [[0, 1]]}, "early_stopping=False"),
        (
            {"optimizer": "adam", "max_iter": 1},
            {"batches": [[0, 120]]},
            "names row 120; there are 120",
        ),
    ],
)
def test_starts_and_batches_that_do_not_fit_are_refused(settings, course, words):
    with pytest.raises(InputError, match=words):
        TensorRegressor(**SETTINGS | settings).fit(X, Y, **course)


@pytest.mark.parametrize(
    ("model", "inputs", "target", "words"),
    [
        (TensorClassifier(), X, np.ones(120), "one class, 1.0"),
        (TensorRegressor(), np.where(X == 2, np.nan, X), Y, "NaN"),
        (TensorRegressor(), pd.DataFrame(np.where(X == 2, np.nan, X)), Y, "NaN"),
        (TensorRegressor(), pd.DataFrame({"a": []}), Y[:0], "at least one sample"),
        (TensorRegressor(), X[:2], [1, [2, 3]], "target has rows of different lengths"),
        (TensorRegressor(init_std=-1.0), X, Y, r"init_std is -1\.0; it must be at"),
        (TensorRegressor(n_components=0), X, Y, "n_components is 0"),
        (TensorRegressor().set_params(max_iter=0.5), X, Y, "max_iter is 0.5"),
        (TensorRegressor(n_levels=1), X, Y, "number of levels is 1"),
        (TensorRegressor(optimizer="lbfgs"), X, Y, "optimizer is 'lbfgs'"),
        (TensorClassifier().set_params(loss="hinge"), X, EQUAL, "loss is 'hinge'"),
        (
            TensorRegressor(early_stopping=True, validation_fraction=1.0),
            X,
            Y,
            "validation_fraction is 1.0",
        ),
    ],
)
def test_bad_input_is_refused(model, inputs, target, words):
    with pytest.raises(ValueError, match=words):
        model.fit(inputs, target)


def test_more_components_than_memory_are_refused_with_what_an_estimator_has(
    monkeypatch,
):
    monkeypatch.setattr("rankrise.ensembles._memory.free_memory", lambda: 10**5)
    words = "are free; lower n_components, n_levels or batch_size"
    with pytest.raises(InputError, match=words):
        TensorRegressor().fit(X, Y)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        ({"number": [0.0], "word": ["d"]}, r"has; replace it or remove the row\."),
        (
            {"number": [np.nan], "word": ["a"]},
            "'number'; fill it in or remove the row",
        ),
    ],
)
def test_advice_is_nothing_that_an_estimator_lacks(frame, words):
    learned = pd.DataFrame({"number": X[:9, 0], "word": list("abcabcabc")})
    model = TensorRegressor(**SETTINGS, max_iter=1).fit(learned, Y[:9])
    with pytest.raises(InputError, match=words):
        model.predict(pd.DataFrame(frame))


@pytest.mark.slow
@pytest.mark.parametrize(
    "estimator",
    ["TensorRegressor()", "TensorClassifier()", "TensorClassifier(loss='logistic')"],
)
def test_scikit_learn_finds_nothing_amiss(estimator):
    # In a process of its own: it sets parameters to what their annotations forbid, as
    # estimators must bear until they are fitted, and the tests check annotations.
    lines = (
        "from sklearn.utils.estimator_checks import check_estimator",
        "from rankrise import TensorClassifier, TensorRegressor",
        f"found = check_estimator({estimator})",
        "assert len(found) > 40",
        "assert not any(each['expected_to_fail'] for each in found)",
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", "\n".join(lines)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "load", "least"),
    [
        (TensorRegressor(random_state=0), load_diabetes, 0.3),
        (TensorClassifier(random_state=0), load_breast_cancer, 0.92),
    ],
)
def test_defaults_predict_well_what_was_not_seen(model, load, least):
    rows = train_test_split(*load(return_X_y=True), test_size=0.25, random_state=0)
    inputs, others, target, wanted = rows
    assert model.fit(inputs, target).score(others, wanted) > least
