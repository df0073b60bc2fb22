"""Columns of a table and whose they are."""

import jax
import numpy as np

from rankrise.ensembles._ensemble import side_by_side


def test_sums_over_columns_keep_single_precision_on_matrix_units():
    tables = [np.ones((2, 5, 3), np.float32), np.ones((2, 5, 4), np.float32)]
    models, table = side_by_side(tables, [0, 1])
    products = jax.ShapeDtypeStruct((20, table.shape[-1]), np.float32)
    program = jax.export.export(
        jax.jit(lambda products: models.sums(products)), platforms=["cuda"]
    )(products)
    assert "HIGHEST" in program.mlir_module()
