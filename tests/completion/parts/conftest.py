"""A tensor in Parquet parts, and workers of Dask that are threads of this process."""

import numpy as np
import pandas as pd
import pytest

import rankrise as rr


def table_of(mode_dims, observed, components, *, seed=0, names=("user", "item", "day")):
    """A long table of some entries of a low-rank tensor with noise."""
    rng = np.random.default_rng(seed)
    entries = int(np.prod(mode_dims, dtype=np.int64))
    flat = np.unique(rng.integers(entries, size=int(1.1 * observed) + 9))
    flat = rng.permutation(flat)[:observed]
    indices = np.stack(np.unravel_index(flat, mode_dims), axis=1)
    factors = [rng.standard_normal((dim, components)) for dim in mode_dims]
    rows = [matrix[own] for matrix, own in zip(factors, indices.T, strict=True)]
    values = np.prod(rows, axis=0).sum(axis=1) + 2
    values += 0.1 * rng.standard_normal(len(values))
    columns = dict(zip(names, indices.T, strict=True))
    return pd.DataFrame({**columns, "value": values})


def write_parts(table, folder, count):
    """Files of neighbouring rows, in the order in which they came."""
    pytest.importorskip("pyarrow")
    for number, rows in enumerate(np.array_split(np.arange(len(table)), count)):
        table.iloc[rows].to_parquet(folder / f"part-{number}.parquet", index=False)
    return folder


def on_one_machine(table, **settings):
    """The same settings, by `complete`."""
    return rr.complete(
        table,
        models=1,
        heldout="random",
        smooth=False,
        main_effects=False,
        center=True,
        **settings,
    )


def client_of(workers):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=False,
        dashboard_address=None,
        worker_dashboard_address=None,
    )
    return distributed.Client(cluster)


@pytest.fixture(scope="module")
def client():
    """Two workers."""
    with client_of(2) as client, client.cluster:
        yield client
