"""A loss, a factorization, a step rule, an order and observables of one's own."""

import dataclasses
import functools as ft

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import rankrise as rr

MODE_DIMS = (4, 3, 2)


class Tucker(rr.factorizations.AbstractFactorization):
    core: jax.Array
    factor_matrices: tuple[jax.Array, ...]

    def end_tensor(self):
        return jnp.einsum("abc,ia,jb,kc->ijk", self.core, *self.factor_matrices)


@pytest.fixture(scope="module")
def tucker():
    draw = np.random.default_rng(0).standard_normal
    shapes = zip(MODE_DIMS, (2, 2, 2), strict=True)
    return Tucker(draw((2, 2, 2)), tuple(0.5 * draw(shape) for shape in shapes))


def singular_values(problem, model):
    return jnp.linalg.svd(model.end_tensor().reshape(4, -1), compute_uv=False)


def largest_factors(problem, model):
    return jnp.stack([jnp.abs(w).max(axis=0) for w in model.factor_matrices], axis=1)


SPECTRUM = rr.trajectories.Observable(
    "spectrum", singular_values, dims={"singular_value": 4}
)
LARGEST = rr.trajectories.Observable(
    "largest_factors", largest_factors, per_component=True, dims={"mode": 3}
)
OBSERVED = ("loss", "component_norms", SPECTRUM, LARGEST)


def spectrum_of(model):
    unfolded = np.einsum("ir,jr,kr->ijk", *model.factor_matrices).reshape(4, -1)
    return np.linalg.svd(unfolded, compute_uv=False)


@pytest.fixture(scope="module")
def recorded(run, starts):
    """Two runs, of which the first converges and is padded."""
    return run(
        starts[:2],
        max_steps=250,
        observables=OBSERVED,
        save_at=rr.trajectories.SaveAt.every(50),
    )


def test_a_vector_is_recorded_as_numpy_computes_it(recorded, starts):
    for start, model, run in zip(
        starts[:2], recorded.models, recorded.runs(), strict=True
    ):
        assert run.dataset["spectrum"].dims == ("save", "singular_value")
        for save, expected in ((0, start), (-1, model)):
            # Rounding of numbers of order 1, by another routine of LAPACK.
            np.testing.assert_allclose(
                run.spectrum[save], spectrum_of(expected), atol=1e-13
            )


def test_axes_beside_that_of_components_follow_their_columns(recorded):
    dims = ("run", "save", "component", "mode")
    assert recorded.dataset["largest_factors"].dims == dims
    for model, run in zip(recorded.models, recorded.runs(), strict=True):
        columns = np.stack([np.abs(w).max(axis=0) for w in model.factor_matrices], 1)
        np.testing.assert_array_equal(
            run.largest_factors[-1], columns[run.component_index]
        )


def test_a_vector_comes_back_from_its_file(recorded, tmp_path):
    again = rr.trajectories.Trajectory.load(recorded.save(tmp_path / "trajectory.nc"))
    np.testing.assert_array_equal(again.spectrum, recorded.spectrum)
    assert again.dataset["spectrum"].dims == ("run", "save", "singular_value")


def test_a_vector_survives_a_checkpoint(recorded, run, starts, tmp_path, chunks_of):
    chunks_of(70)

    def kill(progress):
        if progress.step > 100:
            raise RuntimeError

    options = {"max_steps": 250, "observables": OBSERVED}
    options["save_at"] = rr.trajectories.SaveAt.every(50)
    path = tmp_path / "checkpoint.npz"
    with pytest.raises(RuntimeError):
        run(starts[:2], **options, checkpoint=rr.Checkpoint(path, 0.0), progress=kill)
    again = run(starts[:2], **options, checkpoint=rr.Checkpoint(path, resume=True))
    assert again.dataset.identical(recorded.dataset)


def test_the_limit_records_a_vector(problem, starts):
    limit = rr.Limit(max_components=1)
    recording = rr.trajectories.Recording(observables=[SPECTRUM])
    found = rr.solve_limit(problem, starts[0], limit, recording=recording)
    assert not found.spectrum[0].any()
    np.testing.assert_allclose(found.spectrum[-1], spectrum_of(found.model), atol=1e-13)


def test_whole_numbers_are_recorded_in_the_precision_of_the_problem(run, starts):
    rises = rr.trajectories.Observable(
        "rises", lambda _, w: jnp.sum(w.component_norms() > 0.1)
    )
    found = run(starts[:2], max_steps=250, observables=[rises])
    assert found.rises.dtype == np.float64
    norms = np.asarray(found.models[1].component_norms())
    assert found.run(1).rises[-1] == np.sum(norms > 0.1) > 0


scalar = ft.partial(
    rr.trajectories.Observable, measure=lambda problem, model: jnp.zeros(())
)


@pytest.mark.parametrize(
    ("observables", "words"),
    [
        (
            [rr.trajectories.Observable("spectrum", singular_values)],
            r"\(4,\) .* shape \(\)",
        ),
        (
            [
                rr.trajectories.Observable(
                    "spectrum", singular_values, per_component=True
                )
            ],
            r"shape \(4,\) \(float64\) where real numbers of shape \(3,\)",
        ),
        (
            [
                rr.trajectories.Observable(
                    "on_host", lambda _, w: np.linalg.svd(w.end_tensor())[1]
                )
            ],
            "'on_host' cannot be compiled",
        ),
        (["los"], "no observable 'los' .* among loss, train_error"),
        (
            [rr.trajectories.Observable("nothing", lambda problem, model: None)],
            r"'nothing' measures None where real numbers of shape \(\)",
        ),
        ([scalar("step")], "'step' of an observable"),
        ([scalar("no name")], "'no name' of an observable"),
        ([scalar("twice"), scalar("twice")], "'twice' of an observable"),
        ([scalar("singular_value"), SPECTRUM], "'singular_value' of an observable"),
        (
            [SPECTRUM, scalar("other", dims={"singular_value": 3})],
            "length 4 in one observable and 3 in 'other'",
        ),
    ],
)
def test_observables_that_cannot_be_recorded_are_refused(
    observables, words, run, starts
):
    with pytest.raises(rr.InputError, match=words):
        run(starts[0], max_steps=1, observables=observables)


def test_an_axis_without_length_is_refused():
    with pytest.raises(rr.InputError, match="The length of mode is 0"):
        scalar("modes", dims={"mode": 0})


def test_a_recording_is_checked(problem, starts):
    at_steps = rr.trajectories.Recording(save_at=rr.trajectories.SaveAt.every(1))
    with pytest.raises(rr.InputError, match="leave out `save_at`"):
        rr.solve_limit(problem, starts[0], recording=at_steps)


def test_settings_that_cannot_be_written_are_refused_before_a_run():
    with pytest.raises(rr.InputError, match="`settings` cannot be stored as JSON"):
        rr.trajectories.Recording(settings={"rule": print})


def test_a_factorization_of_its_end_tensor_alone_is_trained(problem, tucker):
    found = rr.solve(problem, tucker, rr.GradientFlow(), end_time=200.0)
    assert found.loss[-1] < 1e-3 * found.loss[0]
    assert isinstance(found.model, Tucker)
    whole = np.einsum(
        "abc,ia,jb,kc->ijk", found.model.core, *found.model.factor_matrices
    )
    residual = whole[tuple(np.asarray(problem.indices).T)] - problem.values
    expected = float(np.mean(residual**2))
    assert found.loss[-1] == pytest.approx(expected, rel=1e-10)
    norm = np.linalg.norm(whole)
    assert found.frobenius_norm[-1] == pytest.approx(norm, rel=1e-12)
    assert "component_norms" not in found.dataset


def test_parameters_of_whole_numbers_are_refused(problem, tucker):
    whole = Tucker(np.ones((2, 2, 2), int), tucker.factor_matrices)
    with pytest.raises(rr.InputError, match=r"an array of int64 .* so convert it"):
        rr.solve(problem, whole, max_steps=1)


def test_inner_products_are_those_of_the_end_tensor(tucker):
    model = jax.tree.map(jnp.asarray, tucker)
    rng = np.random.default_rng(1)
    measurements = [rng.standard_normal((5, dim, 2)) for dim in MODE_DIMS]
    expected = np.einsum("mak,mbk,mck,abc->m", *measurements, model.end_tensor())
    found = model.inner_products(tuple(map(jnp.asarray, measurements)))
    np.testing.assert_allclose(found, expected, rtol=1e-12)


class Counted(Tucker):
    count: int = 3


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (lambda p, t: t.component_norms(), "Tucker defines no `component_norms`"),
        (lambda p, t: t.components, "Tucker defines no `components`"),
        (lambda p, t: rr.solve_limit(p, t), "got Tucker"),
        (lambda p, t: rr.theory.check_conservation(p, t), "not Tucker"),
        (
            lambda p, t: rr.solve(p, Counted(t.core, t.factor_matrices), max_steps=1),
            r"Counted has a field with 3.*static=True",
        ),
        (
            lambda p, t: rr.solve(
                p,
                t,
                max_steps=1,
                recording=rr.trajectories.Recording(observables=["component_norms"]),
            ),
            "'component_norms' of this start; .* loss, train_error, frobenius_norm",
        ),
    ],
)
def test_what_needs_components_is_refused_without_them(attempt, words, problem, tucker):
    with pytest.raises(rr.InputError, match=words):
        attempt(problem, tucker)


class Rule(rr.AbstractSolver):
    """A step of descent as others write it; `result` makes of it what a test wants."""

    result: object = eqx.field(static=True, default=rr.Step)

    def step(self, problem, model, state, remaining):
        loss, slope = jax.value_and_grad(problem.loss)(model)
        moved = jax.tree.map(lambda w, g: w - 0.1 * g, model, slope)
        return self.result(moved, state, loss)


def test_a_rule_of_a_step_alone_descends(run, starts):
    own = run(starts[0], solver=Rule(), max_steps=50)
    ours = run(starts[0], max_steps=50)
    np.testing.assert_allclose(own.loss, ours.loss, rtol=1e-12)
    assert np.isnan(own.time[1:]).all()


def single(model):
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float32), model)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (lambda model, state, loss: (model, state), "let it give a `Step`"),
        (
            lambda model, state, loss: rr.Step(single(model), state, loss),
            r"of a model .*float64\(4, 3\).* one with .*float32\(4, 3\)",
        ),
        (
            lambda model, state, loss: rr.Step(model, loss, loss),
            r"of a state with arrays \[\] one with \['float64\(\)'\]",
        ),
        (
            lambda model, state, loss: rr.Step(model, state, float(loss)),
            "The step of Rule cannot be compiled",
        ),
    ],
)
def test_a_step_that_the_loop_cannot_take_is_refused(result, words, run, starts):
    with pytest.raises(rr.InputError, match=words):
        run(starts[0], solver=Rule(result), max_steps=5)


def alternating(key, problem):
    """The first four observations in every epoch, and no other."""
    return jnp.arange(4)


def test_an_order_of_ones_own_is_what_steps_see(run, starts, problem):
    solver = rr.Minibatch(rr.GradientDescent(0.1), 4, order=alternating)
    found = run(starts[0], solver=solver, max_steps=20, stop=rr.Stop())
    some = problem.take(jnp.arange(4))
    of_four = rr.solve(some, starts[0], rr.GradientDescent(0.1), max_steps=20)
    np.testing.assert_allclose(
        found.model.factor_matrices[0], of_four.model.factor_matrices[0], rtol=1e-12
    )


@pytest.mark.parametrize(
    ("order", "words"),
    [
        (lambda key, problem: problem.values, "float64.*; give one list of whole"),
        (lambda key, problem: jnp.arange(3), "batch size is 4 for 3 observations"),
        (
            lambda key, problem: np.asarray(problem.values).argsort(),
            "order of a minibatch cannot be compiled",
        ),
    ],
)
def test_an_order_that_gives_no_batches_is_refused(order, words, run, starts):
    solver = rr.Minibatch(rr.GradientDescent(0.1), 4, order=order)
    with pytest.raises(rr.InputError, match=words):
        run(starts[0], solver=solver, max_steps=5)


@dataclasses.dataclass(frozen=True)
class LogCosh(rr.losses.AbstractLoss):
    smoothness = 2

    def __call__(self, predictions, values):
        z = predictions - values
        return rr.losses.array_namespace(z).logaddexp(z, -z) - np.log(2)

    def slopes(self, distances):
        return np.tanh(distances)


class Distance(rr.losses.AbstractLoss):
    def __call__(self, predictions, values):
        return abs(predictions - values)


@dataclasses.dataclass
class Unhashable(Distance):
    width: float = 1.0


class Mean(rr.losses.AbstractLoss):
    def __call__(self, predictions, values):
        return ((predictions - values) ** 2).mean()


class Branches(rr.losses.AbstractLoss):
    def __call__(self, predictions, values):
        if abs(predictions - values) < 1:
            return (predictions - values) ** 2
        return abs(predictions - values)


class Over(rr.losses.AbstractLoss):
    def __call__(self, predictions, values):
        return predictions > values


class ForThree(rr.losses.AbstractLoss):
    def __call__(self, predictions, values):
        return jnp.ones(3) * (predictions - values) ** 2


class OnHost(rr.losses.AbstractLoss):
    def __call__(self, predictions, values):
        return np.cosh(np.asarray(predictions - values))


@pytest.fixture(scope="module")
def observations():
    target = rr.synthetic.random_target(MODE_DIMS, 1, frobenius_norm=5.0, seed=3)
    indices = rr.synthetic.sample_indices(MODE_DIMS, 20, seed=1)
    return rr.synthetic.observe(target, indices, seed=1)


def test_a_loss_of_ones_own_is_minimized(observations, starts):
    problem = rr.CompletionProblem.from_observations(observations, LogCosh())
    found = rr.solve(problem, starts[0], rr.GradientDescent(0.1), max_steps=300)
    rows = [w[i] for w, i in zip(found.model.factor_matrices, problem.indices.T)]  # noqa: B905
    residuals = np.sum(rows[0] * rows[1] * rows[2], axis=1) - problem.values
    expected = np.mean(np.log(np.cosh(residuals)))
    assert found.loss[-1] == pytest.approx(expected, rel=1e-9, abs=1e-15)
    assert found.loss[-1] < 0.1 * found.loss[0]


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (Unhashable(), "frozen dataclass"),
        (Mean(), r"one loss of each prediction"),
        (Over(), r"one loss of each prediction, a real number"),
        (OnHost(), "The loss OnHost cannot be compiled"),
        (Branches(), "Branches cannot be compiled .*`jnp.where` instead of `if`"),
        (ForThree(), "ForThree fails on two predictions .*any equal length"),
    ],
)
def test_a_loss_that_no_problem_can_take_is_refused(loss, words, observations):
    with pytest.raises(rr.InputError, match=words):
        rr.CompletionProblem.from_observations(observations, loss)


def test_the_limit_finds_a_kink_that_a_loss_does_not_tell_of(observations, starts):
    problem = rr.CompletionProblem.from_observations(observations, Distance())
    with pytest.raises(rr.InputError, match="Distance has a kink where it fits"):
        rr.solve_limit(problem, starts[0])
