"""Epochs with samples as bits, held against plain products and the epochs of JAX."""

import jax
import numpy as np
import optax
import pytest

from rankrise.ensembles import Member, Samples, Training, fit_ensemble
from rankrise.ensembles._packed_products import PackedProducts
from rankrise.ensembles._packed_samples import Blocks, PackedSamples
from rankrise.losses import LogisticLoss
from rankrise.tables import CategoricalData

MODELS = [1, 5, 30]  # more columns than a block, and models on both sides of its end
OWNER = np.repeat(np.arange(3), MODELS)
ROWS = np.random.default_rng(0).permutation(300)[:130].astype(np.int32)


def products_and_gradient(codes, table, slopes):
    """By multiplying factors: of the samples of ROWS, in double precision."""
    modes = np.arange(codes.shape[1])
    factors = table.astype("f8")[codes[ROWS], modes]
    sums = np.zeros((len(ROWS), 4))
    np.add.at(sums, (slice(None), OWNER), factors[..., :36].prod(axis=1))
    weights = np.zeros((len(ROWS), table.shape[-1]))
    weights[:, :36] = slopes[:, OWNER]
    gradient = np.zeros(table.shape)
    ones = np.ones((len(ROWS), 1, table.shape[-1]))
    before = np.cumprod(np.concatenate([ones, factors[:, :-1]], axis=1), axis=1)
    after = np.cumprod(np.concatenate([ones, factors[:, :0:-1]], axis=1), axis=1)
    others = before * after[:, ::-1] * weights[:, None]
    np.add.at(gradient, (codes[ROWS], modes[None]), others)
    return sums, gradient


def near_one(rng, shape):
    return rng.normal(1.0, 0.1, shape)


def wide(rng, shape):
    """Products of a word's factors leave the range that numbers have."""
    return np.exp(rng.normal(0.0, 4.0, shape)) * rng.choice([-1, 1], shape)


def far_apart(rng, shape):
    """Products of all factors leave it before they come back."""
    modes = shape[1]
    scales = np.where(np.arange(modes) < modes // 2, 2.0, 0.5)[:, None]
    return scales * near_one(rng, shape)


def there_and_back(rng, shape):
    """Products leave it, or nearly, and come back within one word."""
    scales = np.ones(shape[1])
    scales[:10], scales[10:20] = 2.0 ** rng.integers(8, 16), 2.0**-12
    return scales[:, None] * near_one(rng, shape)


def with_zeros(rng, shape):
    table = near_one(rng, shape)
    # Two zeros in one product, one alone, and one of the most frequent value.
    table[0, 3, 1] = table[1, 5, 1] = table[1, 2, 0] = table[0, 1, 35] = 0.0
    table[1, 0, 2] = 1e-310
    return table


def cancelling(rng, shape):
    """What belongs to the first value is a small difference of large sums."""
    table = near_one(rng, shape)
    table[0, :3] = 1e-9
    return table


def packed_products(codes, models, dtype):
    blocks = Blocks.of(MODELS, dtype)
    return PackedProducts(PackedSamples.of(codes), blocks, models, len(ROWS), dtype)


@pytest.mark.parametrize(
    "values", [2, 7, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 16))]
)
@pytest.mark.parametrize(
    ("make", "modes"),
    [
        (near_one, 100), (wide, 20), (far_apart, 300), (there_and_back, 70),
        (with_zeros, 70), (cancelling, 70),
    ],
)  # fmt: skip
@pytest.mark.parametrize(("dtype", "error"), [("f4", 3e-6), ("f8", 1e-13)])
def test_products_and_derivatives_are_those_of_multiplied_factors(
    make, modes, values, dtype, error
):
    rng = np.random.default_rng(1)
    codes = rng.integers(0, values, (300, modes), dtype=np.uint8)
    table = make(rng, (values, modes, 40)).astype(dtype)
    slopes = rng.normal(size=(len(ROWS), 4)).astype(dtype)
    packed = packed_products(codes, 4, dtype)
    sums, gradient = products_and_gradient(codes, table, slopes)
    np.testing.assert_allclose(
        packed.forward(table, ROWS), sums, rtol=error, atol=error * abs(sums).max()
    )
    found = np.zeros_like(table)
    packed.backward(slopes, found)
    # Rounding is a share of the sum of the terms' sizes, for every factor by itself.
    sizes = products_and_gradient(codes, abs(table), abs(slopes))[1]
    if values == 2:
        # By the first of two values it is a difference from the sum over all samples,
        # unless that would lose more than four bits.
        sizes[0] += 16 * sizes[1]
    off = np.abs(found - gradient)[..., :36]
    assert (off <= 4 * error * sizes[..., :36]).all()


def check_in_double_precision(packed, codes, table, slopes):
    sums, gradient = products_and_gradient(codes, table, slopes)
    found = np.zeros_like(table)
    np.testing.assert_allclose(packed.forward(table, ROWS), sums[:, :3], rtol=1e-9)
    packed.backward(slopes, found)
    np.testing.assert_allclose(found, gradient, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("values", "more"), [(1, 0), (1, 3), (2, 3), (3, 1), (5, 4)])
def test_tables_may_be_of_more_values_than_samples_have(values, more):
    rng = np.random.default_rng(4)
    codes = rng.integers(0, values, (300, 70), dtype=np.uint8)
    table = near_one(rng, (values + more, 70, 36))
    table[-1, 3] = 0
    slopes = rng.normal(size=(len(ROWS), 3))
    packed = packed_products(codes, 3, "f8")
    check_in_double_precision(packed, codes, table, slopes)


def test_zeros_come_and_go():
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 2, (300, 70), dtype=np.uint8)
    slopes = rng.normal(size=(len(ROWS), 3))
    packed = packed_products(codes, 3, "f8")
    for make in (near_one, with_zeros, near_one):
        table = make(rng, (2, 70, 36))
        check_in_double_precision(packed, codes, table, slopes)


def test_samples_in_parts_are_as_samples_at_once(monkeypatch):
    rng = np.random.default_rng(2)
    codes = rng.integers(0, 2, (300, 300), dtype=np.uint8)
    table = far_apart(rng, (2, 300, 36)).astype("f4")
    found = []
    for at_once in (1000, 50):
        monkeypatch.setattr("rankrise.ensembles._packed_products._AT_ONCE", at_once)
        packed = packed_products(codes, 3, "f4")
        found.append(packed.forward(table, ROWS).copy())
    np.testing.assert_array_equal(*found)
    assert np.isfinite(found[0]).all()
    assert found[0].any()


def data_and_targets(values, samples=150, modes=9):
    rng = np.random.default_rng(values)
    codes = rng.integers(0, values, (samples, modes))
    targets = (codes[:, :2].sum(axis=1) > values - 1).astype(float)
    return CategoricalData.from_codes(codes, values), np.stack(
        [targets, 1 - targets], axis=1
    )


TRAININGS = {
    "adam": Training(epochs=30, batch_size=64, optimizer=optax.adam(1e-2)),
    "logistic": Training(
        epochs=30,
        batch_size=64,
        optimizer=optax.sgd(1e-2, momentum=0.9),
        loss_function=LogisticLoss(),
    ),
    "one batch": Training(epochs=30, batch_size=500, optimizer=optax.adam(1e-2)),
}


@pytest.mark.parametrize("name", TRAININGS)
@pytest.mark.parametrize("values", [2, pytest.param(5, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("double", "error"),
    # Thirty epochs of steps whose sizes hardly depend on the slopes' own rounding.
    [(True, 1e-10), pytest.param(False, 1e-4, marks=pytest.mark.slow)],
)
def test_epochs_are_those_of_jax(name, values, double, error, monkeypatch):
    data, targets = data_and_targets(values)
    samples = Samples(data, targets)
    members = (Member(1, 0), Member(3, 1), Member(2, 0, seed=1))
    fits = []
    with jax.enable_x64(double):
        for is_packed in (True, False):
            monkeypatch.setattr(
                "rankrise.ensembles._programs.can_be_packed",
                lambda data, answer=is_packed: answer,
            )
            fits.append(fit_ensemble(samples, members, TRAININGS[name], test=samples))
    ours, theirs = fits
    for field in ("train_losses", "test_losses"):
        np.testing.assert_allclose(
            getattr(ours, field), getattr(theirs, field), rtol=error
        )
    for table, expected in zip(ours.tables, theirs.tables, strict=True):
        np.testing.assert_allclose(table, expected, rtol=0, atol=10 * error)


@pytest.mark.parametrize("components", [(7, 12), (20, 1, 30, 25), (40,)])
def test_more_threads_change_no_bit(components, monkeypatch):
    data, targets = data_and_targets(2, samples=300, modes=100)
    monkeypatch.setattr("rankrise.ensembles._packed_products._FEW", 1)
    members = [Member(count, k % 2) for k, count in enumerate(components)]
    fits = []
    for threads in (1, 3):
        monkeypatch.setattr(
            "rankrise.ensembles._packed_products.usable_cores",
            lambda threads=threads: threads,
        )
        training = Training(epochs=3, batch_size=200, optimizer=optax.adam(0.05))
        fits.append(fit_ensemble(Samples(data, targets), members, training))
    for one, other in zip(fits[0].tables, fits[1].tables, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(fits[0].train_losses, fits[1].train_losses)


def test_a_model_that_overflows_changes_no_bit_of_others():
    data, targets = data_and_targets(2, samples=300, modes=100)
    tables = [np.full((2, 100, 1), size) for size in (1.0, 1e9, 1e30)]
    losses = []
    for some in (tables[:1], tables):
        training = Training(epochs=3, optimizer=optax.adam(0.01), start=some)
        members = [Member(1, k % 2) for k in range(len(some))]
        losses.append(fit_ensemble(Samples(data, targets), members, training))
    np.testing.assert_array_equal(losses[0].tables[0], losses[1].tables[0])


def test_features_of_many_values_are_trained_too():
    data, targets = data_and_targets(17)
    fit = fit_ensemble(
        Samples(data, targets),
        (Member(1, 0),),
        Training(epochs=60, optimizer=optax.adam(1e-2)),
    )
    assert fit.train_losses[-1, 0] < 0.9 * fit.train_losses[0, 0]
