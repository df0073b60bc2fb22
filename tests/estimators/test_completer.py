"""Completion of a tensor as an estimator of scikit-learn."""

import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from rankrise import InputError, TensorCompleter
from rankrise.completion import complete_by_alternation
from rankrise.estimators import _completer
from rankrise.losses import IdentityPoissonLoss, LogisticLoss
from rankrise.tensors import read_tensor

DIMS = (8, 6, 5)
RNG = np.random.default_rng(0)
ALL = np.argwhere(np.ones(DIMS))
# Two components about a mean.
FACTORS = [
    RNG.choice([-1, 1], (dim, 2)) * RNG.uniform(0.5, 2, (dim, 2)) for dim in DIMS
]
ROWS = [w[ALL[:, n]] for n, w in enumerate(FACTORS)]
TRUTH = 3 + np.prod(ROWS, axis=0).sum(axis=1)
SEEN = np.sort(RNG.permutation(len(ALL))[:150])
X, Y = ALL[SEEN], TRUTH[SEEN]
LABELS = (
    pd.date_range("2020-01-01", periods=8).to_numpy(),
    np.array(list("abcdef"), dtype=object),
    np.array([-1.5, 0.0, 2.0, 7.25, 1e3]),
)
NAMES = ("day", "place", "dose")
SETTINGS = {
    "n_models": 2,
    "smooth": False,
    "penalties": (1.0, 0.1, 1e-3),
    "max_components": 8,
    "random_state": 0,
}


def frame(indices):
    return pd.DataFrame(
        {
            name: labels[indices[:, n]]
            for n, (name, labels) in enumerate(zip(NAMES, LABELS, strict=True))
        }
    )


@pytest.fixture(scope="module")
def model():
    return TensorCompleter(**SETTINGS).fit(frame(X), Y)


@pytest.fixture(scope="module")
def single():
    settings = SETTINGS | {"n_models": 1, "main_effects": True}
    return TensorCompleter(**settings).fit(X, Y)


def test_gaps_are_filled_without_naming_a_rank(model):
    hidden = np.setdiff1d(np.arange(len(ALL)), SEEN)
    assert model.score(frame(ALL[hidden]), TRUTH[hidden]) > 0.999
    assert model.rank_ >= 1
    assert model.heldout_score_ > 0.99
    assert model.heldout_error_ < 0.1 * np.std(Y)
    assert model.ending_ == "converged"


def test_labels_of_any_kind_are_in_natural_order(model):
    assert model.feature_names_in_.tolist() == list(NAMES)
    for found, labels in zip(model.labels_, LABELS, strict=True):
        np.testing.assert_array_equal(found, labels)
    assert [w.shape for w in model.factors_] == [
        (dim, len(model.component_norms_)) for dim in DIMS
    ]


def test_labels_of_text_have_the_order_that_they_have_in_a_file(tmp_path):
    days = ["31.12.2019", "1.2.2020", "3.1.2021"]
    rows = [(f"trial{n}", day) for n in (10, 1, 7) for day in days[::-1]]
    table = pd.DataFrame(rows, columns=["trial", "day"])
    found = TensorCompleter(**SETTINGS).fit(table, np.ones(9))
    table.assign(value=1).to_csv(tmp_path / "x.csv", index=False)
    file = read_tensor(tmp_path / "x.csv")
    expected = [["trial1", "trial7", "trial10"], days]
    assert [labels.tolist() for labels in found.labels_] == expected
    assert [axis.labels.tolist() for axis in file.layout.axes(2)] == expected


def test_what_labels_are_called_does_not_matter(model):
    plain = TensorCompleter(**SETTINGS).fit(X, Y)
    np.testing.assert_array_equal(plain.predict(ALL), model.predict(frame(ALL)))
    floats = plain.predict(ALL.astype(np.float32))
    np.testing.assert_array_equal(floats, plain.predict(ALL))


def test_predictions_of_one_model_are_those_of_its_factors(single):
    rows = [w[ALL[:, n]] for n, w in enumerate(single.factors_)]
    effects = [e[ALL[:, n]] for n, e in enumerate(single.effects_)]
    expected = single.intercept_ + sum(effects) + np.prod(rows, axis=0).sum(axis=1)
    # Sums are of numbers of size one.
    np.testing.assert_allclose(single.predict(ALL), expected, rtol=1e-12, atol=1e-14)
    norms = np.prod([np.linalg.norm(w, axis=0) for w in single.factors_], axis=0)
    np.testing.assert_allclose(single.component_norms_, norms, rtol=1e-12)
    assert np.isnan(single.reproducibility_).all()


def test_the_path_begins_with_nothing_and_rests_where_the_held_out_loss_is_least(model):
    first, best = model.path_[0], model.path_[np.argmin(model.path_["heldout_loss"])]
    assert (first["components"], first["penalty"]) == (0, np.inf)
    np.testing.assert_allclose(first["train_loss"], 1, rtol=1e-9)
    assert best["components"] == len(model.component_norms_)


def test_repeated_samples_count_as_their_weight():
    rng = np.random.default_rng(1)
    weights = rng.integers(1, 4, len(X))
    noisy = Y + 0.1 * rng.standard_normal(len(Y))
    rows = rng.permutation(np.repeat(np.arange(len(X)), weights))
    repeated = TensorCompleter(**SETTINGS).fit(X[rows], noisy[rows])
    weighted = TensorCompleter(**SETTINGS).fit(X, noisy, sample_weight=weights)
    np.testing.assert_allclose(repeated.predict(X), weighted.predict(X), rtol=1e-6)


def test_a_sample_without_weight_does_not_count():
    rows, y = np.array([[0, 1], [1, 0], [7, 1]]), np.array([1.0, 2.0, 6.0])
    with pytest.warns(UserWarning, match="Only 2 entries are given"):
        found = TensorCompleter().fit(rows, y, sample_weight=[1, 1, 0])
    assert found.labels_[0].tolist() == [0, 1]
    np.testing.assert_allclose(found.predict(rows[:2]), 1.5)


def test_samples_of_one_entry_are_averaged():
    twice = np.concatenate([X, X])
    apart = np.concatenate([Y - 1, Y + 1])
    plain = TensorCompleter(**SETTINGS).fit(X, Y)
    found = TensorCompleter(**SETTINGS).fit(twice, apart)
    np.testing.assert_allclose(found.predict(X), plain.predict(X), rtol=1e-6)


def test_the_whole_tensor_keeps_what_was_observed(model):
    completed, std = model.completed_, model.std_
    assert completed.shape == std.shape == DIMS
    np.testing.assert_array_equal(completed[tuple(X.T)], Y)
    assert (std[tuple(X.T)] == 0).all()
    np.testing.assert_allclose(completed.reshape(-1), TRUTH, atol=0.1)


def test_standard_deviations_and_intervals_go_with_the_predictions(model):
    mean, std = model.predict(frame(ALL), return_std=True)
    np.testing.assert_array_equal(mean, model.predict(frame(ALL)))
    lower, upper = model.predict_interval(frame(ALL), level=0.5)
    wider = model.predict_interval(frame(ALL), level=0.9)
    assert (std > 0).all()
    np.testing.assert_allclose((lower + upper) / 2, mean, rtol=1e-9)
    assert (wider[1] - wider[0] >= upper - lower).all()
    with pytest.raises(InputError, match="level is 2"):
        model.predict_interval(frame(ALL), level=2.0)


def test_categories_keep_their_order_also_where_one_was_never_observed():
    table = frame(X).assign(
        place=pd.Categorical(frame(X)["place"], categories=list("fedcbaz"))
    )
    found = TensorCompleter(**SETTINGS).fit(table, Y)
    assert found.labels_[1].tolist() == list("fedcbaz")
    assert np.isnan(found.completed_[:, 6]).all()
    assert np.isfinite(found.completed_[:, :6]).all()
    other = table.assign(place=pd.Categorical(["z"] * len(X), categories=["z"]))
    with pytest.warns(UserWarning, match="150 of 150 .* such as 'z' in column 'place'"):
        predicted = found.predict(other)
    # Of each model, the mean of what it was shown.
    np.testing.assert_allclose(predicted, np.mean(Y), rtol=0.02)
    # The categories of a table that is asked about may be others.
    same = table.assign(place=table["place"].astype(object).astype("category"))
    np.testing.assert_array_equal(found.predict(same), found.predict(table))


def test_a_label_never_seen_is_predicted_by_the_rest_with_a_warning(single):
    rows = np.array([[0, 0, 99], X[0]])
    with pytest.warns(
        UserWarning, match="1 of 2 .* such as 99 in feature 2 of sample 0"
    ):
        mean, std = single.predict(rows, return_std=True)
    effects = single.effects_[0][0] + single.effects_[1][0]
    np.testing.assert_allclose(mean[0], single.intercept_ + effects, rtol=1e-12)
    assert std[0] > 10 * std[1]
    assert std[0] == pytest.approx(np.std(Y), rel=0.5)


@pytest.mark.parametrize("policy", ["ignore", "nan", "error"])
def test_what_becomes_of_labels_never_seen_can_be_chosen(policy, single):
    chosen = clone(single)
    vars(chosen).update(vars(single) | {"handle_unknown": policy})
    rows = np.array([[0, 0, 99], X[0]])
    if policy == "error":
        with pytest.raises(InputError, match="99 in feature 2 of sample 0; leave"):
            chosen.predict(rows)
        return
    found = chosen.predict(rows)
    assert np.isnan(found[0]) == (policy == "nan")
    assert np.isfinite(found[1])
    lower, _ = chosen.predict_interval(rows)
    np.testing.assert_array_equal(np.isnan(lower), np.isnan(found))


def test_a_fit_is_reproduced_by_a_clone_and_by_a_pickle(single):
    again = clone(single).fit(X, Y)
    np.testing.assert_array_equal(again.predict(X), single.predict(X))
    unpickled = pickle.loads(pickle.dumps(single))
    np.testing.assert_array_equal(unpickled.predict(X), single.predict(X))
    np.testing.assert_array_equal(unpickled.completed_, single.completed_)


FOLDS = KFold(2, shuffle=True, random_state=0)
ONE = SETTINGS | {"n_models": 1, "handle_unknown": "ignore"}


def test_a_grid_search_in_a_pipeline_finds_that_one_component_is_too_few():
    search = GridSearchCV(
        make_pipeline(FunctionTransformer(), TensorCompleter(**ONE)),
        {"tensorcompleter__max_components": np.array([1, 8])},
        cv=FOLDS,
    ).fit(X, Y)
    assert search.best_params_ == {"tensorcompleter__max_components": 8}


def test_cross_validation_goes_by_samples():
    scores = cross_val_score(TensorCompleter(**ONE), frame(X), Y, cv=FOLDS)
    assert scores.min() > 0.5


def test_probabilities_of_labels_are_predicted():
    y = (TRUTH > 3)[SEEN].astype(int)
    settings = SETTINGS | {"penalties": (1.0, 0.3)}
    found = TensorCompleter(**settings, loss="logistic").fit(X, y)
    probabilities = found.predict(ALL)
    assert ((probabilities > 0) & (probabilities < 1)).all()
    assert np.mean((probabilities > 0.5) == (TRUTH > 3)) > 0.9
    with pytest.raises(InputError, match="one entry have the label 0 and others 1"):
        found.fit(np.concatenate([X, X]), np.concatenate([y, 1 - y]))


def test_of_a_few_entries_the_mean_is_learned_with_a_warning():
    rows, y = np.array([[0, 1], [1, 0], [1, 1]]), np.array([1.0, 2.0, 6.0])
    with pytest.warns(UserWarning, match="Only 3 entries .* mean, which is predicted"):
        found = TensorCompleter().fit(rows, y)
    np.testing.assert_allclose(found.predict([[0, 0], [1, 1]]), 3)
    assert found.rank_ == 0
    # Every sample by the mean of the others: off by 3, 1.5 and 4.5.
    np.testing.assert_allclose(found.heldout_error_, np.sqrt(31.5 / 3))


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"non_negative": True},
        *({"loss": loss} for loss in ("poisson", "poisson-identity", "counts")),
    ],
)
def test_a_constant_is_learned(settings):
    found = TensorCompleter(**settings).fit(X, np.full(len(X), 3.0))
    mean, std = found.predict(X, return_std=True)
    # Half a count is added to those of a Poisson model.
    np.testing.assert_allclose(mean, 3, rtol=0.01)
    assert (std < 0.01).all()


def test_the_better_loss_of_counts_is_kept():
    rng = np.random.default_rng(0)
    rates = 4 * np.einsum("ir,jr->ij", *(rng.gamma(0.5, 1, (d, 2)) for d in (30, 25)))
    rows = np.argwhere(rng.random(rates.shape) < 0.8)
    found = TensorCompleter(loss="counts", n_models=2, smooth=False, random_state=0)
    found.fit(rows, rng.poisson(rates[tuple(rows.T)]))
    assert found.loss_ == IdentityPoissonLoss()
    assert all(matrix.min() >= 0 for matrix in found.factors_)
    assert found.intercept_ > 0
    assert found.noise_error_ < found.heldout_error_


def test_a_time_limit_is_warned_of():
    model = TensorCompleter(**SETTINGS, max_seconds=1e-9)
    with pytest.warns(ConvergenceWarning, match=r"1 model\(s\) of 2; allow more"):
        model.fit(X, Y)
    assert model.ending_ == "time limit"
    assert model.n_models_ == 1


def test_an_interrupt_leaves_no_model_that_was_learned_in_part(monkeypatch):
    def interrupted(*args, progress):
        def interrupt(at):
            os.kill(os.getpid(), signal.SIGINT)

        return complete_by_alternation(*args, progress=interrupt)

    monkeypatch.setattr(_completer, "complete_by_alternation", interrupted)
    model = TensorCompleter(**SETTINGS)
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, Y)
    assert not hasattr(model, "rank_")


def test_a_tensor_too_large_to_make_is_still_predicted(model, monkeypatch):
    monkeypatch.setattr(_completer, "MAX_DENSE_BYTES", 1000)
    assert not hasattr(model, "completed_")
    with pytest.raises(AttributeError, match=r"std_ would take .* \(8, 6, 5\)"):
        _ = model.std_
    assert np.isfinite(model.predict(frame(ALL))).all()


@pytest.mark.parametrize("name", ["predict", "predict_interval", "completed_", "std_"])
def test_nothing_is_said_before_a_fit(name):
    with pytest.raises(NotFittedError):
        getattr(TensorCompleter(), name)(X)


@pytest.mark.parametrize(
    ("settings", "inputs", "target", "words"),
    [
        ({}, X[:, :1], Y, r"1 feature\(s\), each of which is a mode"),
        ({}, X[:1], Y[:1], "1 sample"),
        ({}, np.where(X == 2, np.nan, X), Y, "NaN"),
        (
            {},
            frame(X).assign(place=["a"] * 149 + [None]),
            Y,
            "Sample 149 has no label .* 'place'",
        ),
        (
            {},
            frame(X).assign(place=[{}] * 150),
            Y,
            "cannot be labels of a mode .unhashable",
        ),
        ({}, frame(X), np.where(Y > 3, np.inf, Y), "infinity"),
        ({"loss": "hinge"}, X, Y, "`loss` is 'hinge'; choose 'squared'"),
        ({"loss": LogisticLoss()}, X, Y, "labels are 0 and 1"),
        ({"heldout": "fibre"}, X, Y, "`heldout` is 'fibre'; choose 'auto'"),
        ({"handle_unknown": "raise"}, X, Y, "handle_unknown is 'raise'"),
        ({"n_models": 0}, X, Y, "`models` is 0; it must be positive"),
        ({"penalties": (1.0, 2.0)}, X, Y, "positive numbers that fall"),
    ],
)
def test_bad_input_is_refused(settings, inputs, target, words):
    with pytest.raises(ValueError, match=words):
        TensorCompleter().set_params(**settings).fit(inputs, target)


@pytest.mark.parametrize(
    "settings",
    [
        "n_models=2, max_components=2, penalties=(1.0, 0.1, 1e-3)",
        pytest.param("", marks=pytest.mark.slow),
    ],
)
def test_scikit_learn_finds_nothing_amiss(settings):
    # In a process of its own: it sets parameters to what their annotations forbid, as
    # estimators must bear until they are fitted, and the tests check annotations.
    lines = (
        "from sklearn.utils.estimator_checks import check_estimator",
        "from rankrise import TensorCompleter",
        f"found = check_estimator(TensorCompleter({settings}))",
        "assert len(found) > 40",
        "assert not any(each['expected_to_fail'] for each in found)",
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", "\n".join(lines)], check=True)


def test_learning_and_predicting_leave_jax_alone():
    lines = (
        "import sys, numpy as np",
        "from rankrise.estimators import TensorCompleter",
        "X = np.argwhere(np.ones((5, 4)))",
        "TensorCompleter(n_models=1).fit(X, X[:, 0] * X[:, 1]).predict(X)",
        "print('jax' in sys.modules)",
    )
    program = [sys.executable, "-W", "ignore", "-c", "\n".join(lines)]
    ended = subprocess.run(program, capture_output=True, text=True, check=True)
    assert ended.stdout == "False\n"
