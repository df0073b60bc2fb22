"""`complete`: whatever form a tensor with gaps comes in, the same values come out."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import xarray as xr
from pydantic import ValidationError

import rankrise as rr
from rankrise._errors import InputError
from rankrise.data import read_tensor

QUICK = {"seeds": 2, "smooth": False, "max_components": 3}


@pytest.fixture(scope="module")
def found(gappy):
    return rr.complete(gappy, **QUICK)


@pytest.fixture(scope="module")
def table(gappy):
    """One row an observed entry, in no order."""
    rows = np.random.default_rng(0).permutation(np.argwhere(~np.isnan(gappy)))
    return pd.DataFrame(
        {
            "subject": [f"s{i}" for i in rows[:, 0]],
            "sensor": rows[:, 1],
            "day": pd.Timestamp("2024-05-01") + pd.to_timedelta(rows[:, 2], unit="D"),
            "response": gappy[tuple(rows.T)],
        }
    )


def test_gaps_are_filled_and_what_was_observed_stays(found, gappy, whole):
    observed = ~np.isnan(gappy)
    np.testing.assert_array_equal(found.completed[observed], gappy[observed])
    error = np.linalg.norm((found.completed - whole)[~observed])
    assert error < 0.2 * np.linalg.norm(whole[~observed])
    assert np.all(found.std[observed] == 0)
    assert np.all(found.std[~observed] > 0)


def test_the_interval_is_around_the_completed_entries(found, gappy):
    lower, upper = found.interval(0.8)
    gap = np.isnan(gappy)
    assert np.all(lower[gap] < found.completed[gap])
    assert np.all(found.completed[gap] < upper[gap])
    np.testing.assert_array_equal(lower[~gap], gappy[~gap])
    wider = found.interval(0.95)[1] - found.interval(0.95)[0]
    assert np.all(wider[gap] >= (upper - lower)[gap])


@pytest.mark.parametrize("dtype", [np.int16, np.bool_])
def test_integers_and_booleans_are_completed_as_numbers(dtype, gappy):
    mask = ~np.isnan(gappy)
    values = np.where(mask, np.round(gappy), 0).astype(dtype)
    found = rr.complete(values, mask, **QUICK)
    as_floats = rr.complete(np.where(mask, values.astype(float), np.nan), **QUICK)
    assert found.completed.dtype == np.float64
    np.testing.assert_allclose(found.completed, as_floats.completed, atol=1e-6)


def test_a_masked_array_gives_the_same(found, gappy):
    mask = ~np.isnan(gappy)
    other = rr.complete(np.where(mask, gappy, 0.0), mask, **QUICK)
    np.testing.assert_allclose(other.completed, found.completed, atol=1e-6)


def test_an_xarray_gives_the_same_with_its_coordinates(found, gappy):
    array = xr.DataArray(
        gappy,
        dims=("x", "y", "t"),
        coords={"y": list("abcde"), "t": [0.5, 1.0, 2.0, 4.0]},
        attrs={"units": "mV"},
    )
    completed = rr.complete(array, **QUICK).completed
    np.testing.assert_allclose(completed.values, found.completed, atol=1e-6)
    xr.testing.assert_identical(completed.copy(data=gappy), array)


def test_a_long_table_in_no_order_gives_the_same_rows(found, table):
    completed = rr.complete(table, **QUICK).completed
    assert list(completed.columns) == list(table.columns)
    values = completed.sort_values(["subject", "sensor", "day"])["response"]
    np.testing.assert_allclose(values, found.completed.ravel(), atol=1e-6)


@pytest.mark.slow
def test_coordinates_of_a_sparse_matrix_give_the_same(gappy):
    matrix = gappy.reshape(gappy.shape[0], -1)
    rows, columns = np.nonzero(~np.isnan(matrix))
    sparse = sp.coo_array((matrix[rows, columns], (rows, columns)), matrix.shape)
    dense = rr.complete(matrix, **QUICK).completed
    completed = rr.complete(sparse, **QUICK).completed
    np.testing.assert_allclose(completed, dense, atol=1e-6)


@pytest.mark.parametrize("form", ["npy", "mat", "nc", "csv", "tns", "parquet"])
def test_a_file_holds_the_same_observations(form, gappy, tensor_files):
    observations = read_tensor(tensor_files(form)).observations.in_order()
    expected = rr.Observations.from_array(gappy)
    np.testing.assert_array_equal(observations.indices, expected.indices)
    np.testing.assert_array_equal(observations.values, expected.values)
    assert observations.mode_dims == expected.mode_dims


@pytest.fixture(scope="module")
def tensor_files(gappy, table, tmp_path_factory):
    """Writes the tensor as a file of some form."""
    from scipy.io import savemat

    folder = tmp_path_factory.mktemp("files")
    rows = np.random.default_rng(1).permutation(np.argwhere(~np.isnan(gappy)))
    values = gappy[tuple(rows.T)]

    def write(form):
        path = folder / f"x.{form}"
        if form == "npy":
            np.save(path, gappy)
        elif form == "mat":
            savemat(path, {"x": gappy})
        elif form == "nc":
            xr.DataArray(gappy, name="x").to_netcdf(path, engine="h5netcdf")
        elif form == "parquet":
            pytest.importorskip("pyarrow", reason="the parquet extra is not installed")
            table.to_parquet(path)
        else:
            first = 0 if form == "csv" else 1
            join = ("," if form == "csv" else " ").join
            lines = [
                join([*map(str, row + first), repr(float(value))])
                for row, value in zip(rows, values, strict=True)
            ]
            path.write_text("\n".join(lines) + "\n")
        return path

    return write


def test_a_cp_tensor_of_tensorly_is_the_reference_model(found):
    tensorly = pytest.importorskip("tensorly", reason="TensorLy is not installed")
    tensor = found.cp_tensor()
    reference = found.result.completion.reference
    everywhere = np.argwhere(np.ones(found.completed.shape))
    expected = reference.predictions(everywhere, rr.SquaredLoss())
    np.testing.assert_allclose(
        tensorly.cp_to_tensor(tensor).ravel(), expected, atol=1e-12
    )
    for factor in tensor.factors:
        np.testing.assert_allclose(np.linalg.norm(factor, axis=0), 1)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["flow", "limit"])
def test_gradient_flow_and_its_limit_complete_too(method, gappy, whole):
    settings = {"init_scales": (0.03,)} if method == "flow" else {}
    found = rr.complete(gappy, method=method, components=6, **settings)
    gaps = np.isnan(gappy)
    error = np.linalg.norm((found.completed - whole)[gaps])
    assert error < 0.1 * np.linalg.norm(whole[gaps])
    least = np.argmin(found.result.run.heldout_error)
    assert found.result.completion.reference.path.best == least
    assert np.all(found.std[gaps] > 0)


def test_settings_that_are_not_known_are_refused(gappy):
    with pytest.raises(ValidationError, match=r"(?s)rank.*not permitted"):
        rr.complete(gappy, rank=3)


def test_an_alternating_run_has_no_trajectory(found):
    with pytest.raises(InputError, match="alternating has no trajectory"):
        _ = found.result.run
