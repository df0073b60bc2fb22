"""A tensor in Parquet parts, and workers of Dask that are threads of this process."""

import numpy as np
import pandas as pd
import pytest

import rankrise as rr


def table_of(mode_dims, observed, components, *, flat=False, seed=0):
    """A long table of some entries of a low-rank tensor with noise.

    Entries of `flat` factors are one or minus one.
    """
    rng = np.random.default_rng(seed)
    entries = int(np.prod(mode_dims, dtype=np.int64))
    if entries < 10 * observed:
        places = rng.permutation(entries)[:observed]
    else:
        places = np.unique(rng.integers(entries, size=2 * observed))
        places = rng.permutation(places)[:observed]
    indices = np.stack(np.unravel_index(places, mode_dims), axis=1)
    factors = [rng.standard_normal((dim, components)) for dim in mode_dims]
    factors = list(map(np.sign, factors)) if flat else factors
    rows = [matrix[own] for matrix, own in zip(factors, indices.T, strict=True)]
    values = np.prod(rows, axis=0).sum(axis=1) + 2
    values += 0.1 * rng.standard_normal(len(values))
    columns = dict(zip(("user", "item", "day"), indices.T, strict=True))
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


def client_of(workers, **options):
    distributed = pytest.importorskip("distributed")
    cluster = distributed.LocalCluster(
        n_workers=workers,
        threads_per_worker=1,
        processes=False,
        dashboard_address="127.0.0.1:0",
        worker_dashboard_address="127.0.0.1:0",
        **options,
    )
    return distributed.Client(cluster)


@pytest.fixture(scope="module")
def client():
    """Two workers."""
    with client_of(2) as client, client.cluster:
        yield client
