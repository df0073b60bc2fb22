"""The rows of "Arrays and archives" in docs/files.md."""

import numpy as np
import scipy.sparse as sp

from rankrise.tensors import incomplete_tensor, read_tensor, write_completed

NAN = np.nan
GAPPY = np.array([[[1, NAN], [3, 4], [5, 6]], [[NAN, 8], [9, 10], [11, 12.5]]])
WHOLE = np.where(np.isnan(GAPPY), 7, GAPPY)
STORED = sp.random_array((4, 6), density=0.4, rng=np.random.default_rng(0))


def completed(path, expected, whole, **options):
    """What comes back of a file that must hold `expected`."""
    file = read_tensor(path, **options)
    np.testing.assert_array_equal(file.observations.dense(), expected)
    assert incomplete_tensor(file).observations is file.observations
    (path.parent / "out").mkdir(exist_ok=True)
    return write_completed(file, whole.astype(np.float64), path.parent / "out")


def npy(folder):
    for kind in (np.float32, np.float64, np.float16):
        np.save(folder / "x.npy", GAPPY.astype(kind))
        found = np.load(completed(folder / "x.npy", GAPPY, WHOLE))
        assert found.dtype == kind
        np.testing.assert_array_equal(found, WHOLE)


def npz(folder):
    np.savez(folder / "x.npz", a=np.eye(2), b=GAPPY)
    with np.load(completed(folder / "x.npz", GAPPY, WHOLE, variable="b")) as found:
        assert found.files == ["b"]
        np.testing.assert_array_equal(found["b"], WHOLE)


def masked(folder):
    mask = ~np.isnan(GAPPY)
    np.savez_compressed(folder / "x.npz", x=np.nan_to_num(GAPPY), mask=mask)
    with np.load(completed(folder / "x.npz", GAPPY, WHOLE)) as found:
        assert found.files == ["x"]


def coordinates(folder):
    indices = np.argwhere(~np.isnan(GAPPY))
    values = GAPPY[tuple(indices.T)]
    arrays = {"indices": indices, "values": values, "mode_dims": (2, 3, 3)}
    np.savez(folder / "x.npz", **arrays)
    padded = [(0, 0), (0, 0), (0, 1)]
    gappy = np.pad(GAPPY, padded, constant_values=NAN)
    whole = np.pad(WHOLE, padded, constant_values=0.5)
    with np.load(completed(folder / "x.npz", gappy, whole)) as found:
        assert found["mode_dims"].tolist() == [2, 3, 3]
        np.testing.assert_array_equal(found["indices"], list(np.ndindex(2, 3, 3)))
        np.testing.assert_array_equal(found["values"], whole.reshape(-1))


def dense(array):
    """NaN where a sparse array stores nothing."""
    array = array.tocoo()
    filled = np.full(array.shape, NAN)
    filled[array.coords] = array.data
    return filled


def scipy_sparse(folder):
    arrays = [STORED.asformat(form) for form in ("coo", "csr", "csc", "dia")]
    arrays += [STORED.tobsr((2, 3)), sp.csr_matrix(STORED)]
    arrays += [sp.random_array((3, 4, 2), density=0.5, rng=np.random.default_rng(1))]
    zeros = sp.csr_array(STORED)
    zeros.data[0] = 0
    for array in (*arrays, zeros):
        for compressed in (True, False):
            sp.save_npz(folder / "x.npz", array, compressed)
            gappy = dense(array)
            whole = np.nan_to_num(gappy, nan=0.5)
            with np.load(completed(folder / "x.npz", gappy, whole)) as found:
                assert found.files == ["data"]
                np.testing.assert_array_equal(found["data"], whole)


def pydata_sparse(folder):
    # As sparse 0.18 has it, in `sparse.save_npz`.
    coords = np.argwhere(~np.isnan(GAPPY)).T
    arrays = {"data": GAPPY[tuple(coords)], "coords": coords, "fill_value": 0.0}
    np.savez_compressed(folder / "x.npz", shape=GAPPY.shape, **arrays)
    with np.load(completed(folder / "x.npz", GAPPY, WHOLE)) as found:
        np.testing.assert_array_equal(found["data"], WHOLE)
    # GCXS: the rows of a matrix are the last mode, its columns the other two.
    rows = np.moveaxis(GAPPY, 2, 0).reshape(2, -1)
    row, column = np.nonzero(~np.isnan(rows))
    arrays = {"data": rows[row, column], "indices": column, "fill_value": 0.0}
    starts = [0, *np.cumsum(np.bincount(row))]
    arrays |= {"indptr": starts, "compressed_axes": [2], "shape": GAPPY.shape}
    np.savez(folder / "x.npz", **arrays)
    with np.load(completed(folder / "x.npz", GAPPY, WHOLE)) as found:
        np.testing.assert_array_equal(found["data"], WHOLE)


FORMS = {
    "`.npy`": npy,
    "`.npz` of an array": npz,
    "`.npz` of an array and `mask`": masked,
    "`.npz` of `indices` and `values`": coordinates,
    "`.npz` of `scipy.sparse.save_npz`": scipy_sparse,
    "`.npz` of pydata/sparse": pydata_sparse,
}
