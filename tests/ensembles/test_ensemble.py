"""Columns of a table and whose they are."""

import jax
import jax.numpy as jnp
import numpy as np

from rankrise.ensembles._ensemble import mean_losses, measured_at_once, side_by_side
from rankrise.losses import SquaredLoss


def test_sums_over_columns_keep_single_precision_on_matrix_units():
    tables = [np.ones((2, 5, 3), np.float32), np.ones((2, 5, 4), np.float32)]
    models, table = side_by_side(tables, [0, 1])
    products = jax.ShapeDtypeStruct((20, table.shape[-1]), np.float32)
    program = jax.export.export(
        jax.jit(lambda products: models.sums(products)), platforms=["cuda"]
    )(products)
    assert "HIGHEST" in program.mlir_module()


def test_samples_are_measured_block_by_block(monkeypatch):
    """Blocks are as small as the wider of features and columns asks for."""
    monkeypatch.setattr("rankrise.ensembles._ensemble._BLOCK_NUMBERS", 70)
    rng = np.random.default_rng(0)
    models, table = side_by_side([rng.normal(size=(3, 5, 7)) for _ in "ab"], [0, 1])
    assert (table.shape[-1], measured_at_once(101, 5, 14)) == (14, 5)
    codes = rng.integers(0, 3, (101, 5), dtype=np.uint8)
    targets = rng.normal(size=(101, 2))
    cap = 4.0
    found = mean_losses(
        (jnp.asarray(codes), jnp.asarray(targets)),
        models,
        table,
        SquaredLoss(),
        jnp.asarray(cap),
    )
    for place in (0, 1):
        factors = np.asarray(table)[..., 7 * place : 7 * (place + 1)]
        predictions = factors[codes, np.arange(5)].prod(axis=1).sum(axis=1)
        losses = np.minimum((predictions - targets[:, place]) ** 2, cap)
        np.testing.assert_allclose(found[place], losses.mean(), rtol=1e-12)
