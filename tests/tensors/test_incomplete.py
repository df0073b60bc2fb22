"""Tensors in memory: the same observations from every library, and its form again."""

import datetime
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import xarray as xr
from scipy.io import savemat

from rankrise._errors import InputError
from rankrise.tensors import (
    Observations,
    incomplete_tensor,
    read_tensor,
    write_completed,
)
from rankrise.tensors.files import _declared, _table_form

NAN = float("nan")
DIMS = (3, 4, 2)
NAMES = ["row", "column", "day"]


class Coordinates:
    """A sparse array as pydata/sparse has it."""

    def __init__(self, coords, data, shape):
        self.coords, self.data, self.shape = np.array(coords), np.array(data), shape


@pytest.fixture
def tensor():
    """Order three, every slice observed somewhere, and one entry that is zero."""
    rng = np.random.default_rng(0)
    tensor = rng.normal(size=DIMS)
    tensor[rng.random(DIMS) < 0.35] = np.nan
    tensor[-1, -1, -1], tensor[0, 0, 0] = 1 / 3, 0.0
    return tensor


def coordinates(tensor):
    observed = ~np.isnan(tensor)
    return np.argwhere(observed).T, tensor[observed]


def shuffled_columns(tensor):
    """Columns of a long form, their rows in no order."""
    coords, data = coordinates(tensor)
    order = np.random.default_rng(1).permutation(len(data))
    columns = dict(zip(NAMES, coords[:, order], strict=True))
    return columns | {"value": data[order]}


def as_sparse_coo(tensor):
    coords, data = coordinates(tensor)
    return scipy.sparse.coo_array((data, tuple(coords)), shape=tensor.shape)


def as_arrow(tensor):
    return pytest.importorskip("pyarrow").table(shuffled_columns(tensor))


IN_MEMORY = {
    "numpy": lambda tensor: tensor,
    "list": lambda tensor: tensor.tolist(),
    "masked": lambda tensor: np.ma.masked_invalid(tensor),
    "fortran": np.asfortranarray,
    "xarray": lambda tensor: xr.DataArray(tensor, dims=NAMES),
    "scipy.sparse": as_sparse_coo,
    "coordinates": lambda tensor: Coordinates(*coordinates(tensor), tensor.shape),  # type: ignore[call-arg]
    "observations": Observations.from_array,
    "pandas": lambda tensor: pd.DataFrame(shuffled_columns(tensor)),
    "pandas index": lambda tensor: pd.DataFrame(shuffled_columns(tensor)).set_index(
        NAMES
    ),
    "pyarrow": as_arrow,
}


def all_entries(restored):
    """The numbers of a restored tensor as an array, in its own way for each form."""
    if isinstance(restored, xr.DataArray):
        return restored.values
    if hasattr(restored, "to_pandas"):
        restored = restored.to_pandas()
    if isinstance(restored, pd.DataFrame):
        if restored.index.nlevels == 1:
            restored = restored.set_index(NAMES)
        return restored["value"].to_xarray().values
    return np.asarray(restored)


def in_order(observations):
    ranking = np.lexsort(observations.indices.T[::-1])
    return observations.take(ranking)


def assert_same(observations, tensor):
    expected = Observations.from_array(tensor)
    ordered = in_order(observations)
    assert ordered.mode_dims == expected.mode_dims
    assert ordered.indices.dtype == expected.indices.dtype
    np.testing.assert_array_equal(ordered.indices, expected.indices)
    np.testing.assert_array_equal(ordered.values, expected.values)


@pytest.mark.parametrize("kind", IN_MEMORY)
def test_every_form_in_memory_gives_the_same_observations(kind, tensor):
    assert_same(incomplete_tensor(IN_MEMORY[kind](tensor)).observations, tensor)


@pytest.mark.parametrize("kind", IN_MEMORY)
def test_every_form_in_memory_is_restored_with_the_same_numbers(kind, tensor):
    source = IN_MEMORY[kind](tensor)
    incomplete = incomplete_tensor(source)
    completed = np.random.default_rng(2).normal(size=DIMS)
    restored = incomplete.restore(completed)
    np.testing.assert_array_equal(all_entries(restored), completed)
    if kind in ("masked", "xarray", "pandas", "pandas index", "pyarrow"):
        assert type(restored) is type(source)
    else:
        assert type(restored) is np.ndarray


def store(path, tensor):
    columns = shuffled_columns(tensor)
    match path.suffix:
        case ".npy":
            np.save(path, tensor)
        case ".npz":
            coords, data = coordinates(tensor)
            np.savez(path, indices=coords.T, values=data)
        case ".mat":
            savemat(path, {"value": tensor})
        case ".nc":
            coords = {"row": [1.5, 2.5, 4.5], "day": ["mon", "tue"]}
            array = xr.DataArray(tensor, coords, NAMES, name="value")
            array.to_netcdf(path, engine="h5netcdf")
        case ".csv":
            pd.DataFrame(columns).to_csv(path, index=False)
        case ".tns":
            coords, data = coordinates(tensor)
            rows = zip(*(coords + 1).tolist(), data.tolist(), strict=True)
            path.write_text("".join(f"{a} {b} {c} {v!r}\n" for a, b, c, v in rows))
        case ".parquet":
            pytest.importorskip("pyarrow")
            pd.DataFrame(columns).to_parquet(path)
    return path


@pytest.mark.parametrize("form", ["npy", "npz", "mat", "nc", "csv", "tns", "parquet"])
def test_every_file_gives_the_same_observations_before_and_after(
    form, tmp_path, tensor
):
    file = read_tensor(store(tmp_path / f"x.{form}", tensor))
    assert_same(file.observations, tensor)
    completed = np.random.default_rng(2).normal(size=DIMS)
    written = write_completed(file, completed, tmp_path)
    assert_same(read_tensor(written).observations, completed)


def test_version_7_3_written_from_one_read_gives_the_same_observations(
    tmp_path, tensor
):
    from rankrise.tensors.files._mat73 import mat73_bytes

    (tmp_path / "x.mat").write_bytes(mat73_bytes("x", tensor))
    file = read_tensor(tmp_path / "x.mat")
    assert_same(file.observations, tensor)
    completed = np.random.default_rng(2).normal(size=DIMS)
    assert_same(
        read_tensor(write_completed(file, completed, tmp_path)).observations, completed
    )


def test_an_array_is_observed_where_the_mask_says():
    mask = np.array([[1, 0], [0, 1]])
    incomplete = incomplete_tensor(np.array([[1, 2], [3, 4]]), mask)
    assert incomplete.observations.values.tolist() == [1, 4]


@pytest.mark.parametrize("dtype", [np.int16, np.bool_, np.float32, np.float16])
def test_values_are_restored_in_the_floating_point_type_of_the_input(dtype):
    restored = incomplete_tensor(np.eye(3).astype(dtype)).restore(np.ones((3, 3)))
    assert restored.dtype == (dtype if np.dtype(dtype).kind == "f" else np.float64)


def test_what_a_mask_hides_is_unobserved_and_restored_unmasked():
    source = np.ma.array([[1.0, 99.0], [3.0, 4.0]], mask=[[0, 1], [0, 0]])
    incomplete = incomplete_tensor(source)
    assert incomplete.observations.values.tolist() == [1, 3, 4]
    assert not np.ma.is_masked(incomplete.restore(np.ones((2, 2))))
    with pytest.raises(InputError, match="masked already"):
        incomplete_tensor(source, np.ones((2, 2)))


def described():
    """An array with coordinates of several kinds, attributes and a name."""
    days = np.array(["2024-01-02", "2024-01-01"], "datetime64[ns]")
    return xr.DataArray(
        [[1.0, NAN, 3.0], [4.0, 5.0, NAN]],
        {"day": days, "height": ("site", [1.5, 2.5, 3.5])},
        ["day", "site"],
        name="rain",
        attrs={"units": "mm"},
    )


def test_an_xarray_keeps_all_that_describes_it():
    source = described()
    incomplete = incomplete_tensor(source)
    xr.testing.assert_identical(
        incomplete.restore(source.fillna(0.5).values), source.fillna(0.5)
    )
    assert incomplete.mode_names == ("day", "site")
    np.testing.assert_array_equal(incomplete.labels[0], source["day"])
    assert incomplete.labels[1] is None


def test_an_xarray_mask_is_matched_by_its_dimensions():
    source = described().fillna(0.5)
    mask = described().notnull()
    observations = incomplete_tensor(source, mask.T).observations
    assert_same(observations, described().values)
    with pytest.raises(InputError, match="coordinates differ"):
        incomplete_tensor(source, mask.isel(day=[0]))
    with pytest.raises(InputError, match=r"mask has dimensions \('day', 'place'\)"):
        incomplete_tensor(source, mask.rename(site="place"))


@pytest.mark.parametrize("form", ["coo", "csr", "csc", "bsr", "dok", "lil"])
def test_all_that_a_sparse_matrix_stores_is_observed(form):
    coo = scipy.sparse.coo_array(([2.0, 3.0], ([0, 1], [2, 0])), shape=(2, 4))
    observations = incomplete_tensor(coo.asformat(form)).observations
    assert observations.mode_dims == (2, 4)
    assert {(0, 2, 2.0), (1, 0, 3.0)} <= {
        (*index, value)
        for index, value in zip(
            observations.indices.tolist(), observations.values.tolist(), strict=True
        )
    }


def test_a_zero_that_is_stored_is_observed():
    stored = scipy.sparse.csr_matrix(([0.0, 1.0], ([0, 1], [1, 1])), shape=(2, 2))
    observations = incomplete_tensor(stored).observations
    assert in_order(observations).values.tolist() == [0, 1]


@pytest.mark.parametrize(
    "source",
    [
        scipy.sparse.coo_array(([1.0, 2.0], ([1, 1], [0, 0])), shape=(2, 2)),
        scipy.sparse.csr_matrix(([1.0, 2.0], [0, 0], [0, 0, 2]), shape=(2, 2)),
        Coordinates([[1, 1], [0, 0]], [1.0, 2.0], (2, 2)),
    ],
    ids=["coo", "csr", "coordinates"],
)
def test_an_entry_that_is_stored_twice_is_refused(source):
    with pytest.raises(InputError, match=r"both give the entry \(1, 0\)"):
        incomplete_tensor(source)


def test_a_huge_sparse_shape_takes_no_memory():
    dims = (10**9, 10**9, 10**9)
    source = Coordinates([[5], [6], [7]], [1.0], dims)
    assert incomplete_tensor(source).observations.mode_dims == dims


def labelled():
    """A long form with labels of many kinds, out of order, and a row without value."""
    zone = "Europe/Vienna"
    return pd.DataFrame(
        {
            "who": ["zoe", "adam", "zoe", "adam"],
            "id": np.array([205, 101, 101, 333], np.int16),
            "reading": pd.array([1, 3, None, 0], "Int64"),
            "day": pd.to_datetime(
                ["2024-03-02", "2024-03-01", "2024-03-01", "2024-03-02"]
            ).tz_localize(zone),
            "size": pd.Categorical(
                ["large", "small", "small", "small"], ["small", "large", "huge"]
            ),
            "awake": [True, False, True, True],
            "date": [datetime.date(2024, 1, day) for day in (2, 1, 2, 1)],
        }
    )


def test_labels_are_ascending_and_categories_in_their_order():
    incomplete = incomplete_tensor(labelled(), values="reading")
    assert incomplete.mode_names == ("who", "id", "day", "size", "awake", "date")
    assert incomplete.observations.mode_dims == (2, 3, 2, 3, 2, 2)
    assert incomplete.observations.indices[0].tolist() == [1, 1, 1, 1, 1, 1]
    assert incomplete.observations.values.tolist() == [1, 3, 0]
    assert incomplete.labels[0].tolist() == ["adam", "zoe"]
    assert incomplete.labels[3].tolist() == ["small", "large", "huge"]


def test_a_data_frame_is_restored_with_its_columns_and_types():
    source = labelled()
    incomplete = incomplete_tensor(source, values="reading")
    completed = np.arange(2.0 * 3 * 2 * 3 * 2 * 2).reshape((2, 3, 2, 3, 2, 2))
    restored = incomplete.restore(completed)
    assert list(restored) == list(source)
    modes = restored.drop(columns="reading")
    pd.testing.assert_series_equal(modes.dtypes, source.drop(columns="reading").dtypes)
    assert not modes.duplicated().any()
    # The first row of the source, found by its labels.
    first = (modes == source.drop(columns="reading").iloc[0]).all(axis=1)
    assert restored["reading"][first].tolist() == [completed[1, 1, 1, 1, 1, 1]]
    again = incomplete_tensor(restored, values="reading")
    np.testing.assert_array_equal(again.observations.dense(), completed)


def test_names_of_an_index_are_restored():
    frame = pd.DataFrame(
        {"v": [1.0, 2.0]},
        pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["who", None]),
    )
    restored = incomplete_tensor(frame).restore(np.ones((2, 2)))
    assert list(restored.index.names) == ["who", None]
    assert restored.index.tolist() == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]


def test_blocks_of_a_restored_table_are_joined(monkeypatch):
    incomplete = incomplete_tensor(labelled(), values="reading")
    completed = np.random.default_rng(0).normal(size=(2, 3, 2, 3, 2, 2))
    whole = incomplete.restore(completed)
    monkeypatch.setattr(_table_form, "_BLOCK_ROWS", 7)
    pd.testing.assert_frame_equal(incomplete.restore(completed), whole)


def test_whole_numbers_are_indices_where_mode_dims_are_given():
    frame = pd.DataFrame({"a": [7, 2], "b": ["x", "y"], "v": [1.0, 2.0]})
    incomplete = incomplete_tensor(frame, mode_dims=(9, 2))
    assert incomplete.observations.indices.tolist() == [[7, 0], [2, 1]]
    restored = incomplete.restore(np.ones((9, 2)))
    assert restored["a"].tolist() == [place // 2 for place in range(18)]


@pytest.mark.parametrize(("dim", "dtype"), [(128, "int8"), (129, "int64")])
def test_indices_keep_their_type_where_all_have_room_in_it(dim, dtype):
    frame = pd.DataFrame({"a": np.array([7], np.int8), "b": ["x"], "v": [1.0]})
    restored = incomplete_tensor(frame, mode_dims=(dim, 1)).restore(np.ones((dim, 1)))
    assert restored["a"].dtype == dtype
    assert restored["a"].tolist() == list(range(dim))


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": ["p", "p"], "b": [3, 3], "v": [1, 2]}, r"Rows 0 and 1 .*\('p', 3\)"),
        ({"a": [1, 2], "b": [3, 4], "v": ["x", "y"]}, "'v', .* type (str|object);"),
        ({"a": [1, 2], "b": [3, 4], "v": [1j, 2j]}, "data type complex128"),
        ({"a": [1, 2], "b": [3, 4], "v": [1, None]}, None),
        ({"a": [1, 2], "b": [3, 4], "v": [[1], [2]]}, "data type object"),
        ({"a": [[1], [2]], "b": [3, 4], "v": [1, 2]}, "'a' .* cannot be labels"),
        ({"a": ["p", None], "b": [3, 4], "v": [1, 2]}, "Row 1 has no label in .*'a'"),
        ({"a": [1, 2], "v": [1, 2]}, r"2 column\(s\), 'a', 'v'"),
        ({"a": [], "b": [], "v": []}, "It has no rows"),
        ({"a": [1, 2], "b": [3, 4], "v": [1, np.inf]}, r"Row 1 .*\(2, 4\) the value"),
    ],
)
def test_a_table_that_is_no_long_form_is_refused_by_name(columns, message):
    frame = pd.DataFrame(columns)
    if message is None:
        assert len(incomplete_tensor(frame).observations) == 1
        return
    with pytest.raises(InputError, match=message):
        incomplete_tensor(frame)


def test_a_row_of_an_arrow_table_without_a_label_is_named():
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": ["p", None], "b": [3, 4], "v": [1.0, 2.0]})
    with pytest.raises(InputError, match=r"Row 1 has no label in the column 'a'; give"):
        incomplete_tensor(table)


def test_columns_of_one_name_are_refused():
    frame = pd.DataFrame(np.ones((2, 3)), columns=["a", "a", "v"])
    with pytest.raises(InputError, match="Two columns are called 'a'"):
        incomplete_tensor(frame)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (np.ones((2, 2)) * 1j, "complex128; real numbers are needed"),
        (np.array([["a", None]], object), "holds .a., which is not a number; if it"),
        (np.array([["2024-01-01"]], "datetime64[D]"), "datetime64"),
        (np.ones(3), "order 1; a tensor needs at least two modes"),
        (5.0, "order 0"),
        ([[1.0, 2.0], [3.0]], "A list cannot be made an array"),
        (["text"], "real numbers are needed"),
        (xr.DataArray(np.ones((2, 2)) * 1j), "complex128"),
        (xr.DataArray(np.ones(2)), "order 1"),
        (xr.Dataset({"x": ("a", [1.0])}), "order 1"),
        (xr.Dataset(), "holds no array"),
        (scipy.sparse.coo_array(np.eye(2) * 1j), "complex128"),
        (scipy.sparse.coo_array(np.ones(3)), "order 1"),
        (np.full((2, 2), NAN), "None of the 4 entries"),
        (np.broadcast_to(1.0, (10**6, 10**6)), "GiB of memory"),
    ],
)
def test_what_is_no_tensor_is_refused(source, message):
    with pytest.raises(InputError, match=message):
        incomplete_tensor(source)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (np.eye(2), {"values": "v"}, "`values` names a column of a table"),
        (np.eye(2), {"mode_dims": (2, 2)}, "`mode_dims` is for tables"),
        (scipy.sparse.eye_array(2), {"mask": np.eye(2)}, "A `mask` is for arrays"),
        (labelled(), {"mask": np.eye(2)}, "A `mask` is for arrays"),
        (labelled(), {"values": "w"}, "no column 'w' .*'who', 'id'"),
    ],
)
def test_an_option_that_does_not_fit_is_refused(source, options, message):
    with pytest.raises(InputError, match=message):
        incomplete_tensor(source, **options)


def test_a_completed_tensor_of_another_shape_is_refused():
    incomplete = incomplete_tensor(np.eye(2))
    with pytest.raises(InputError, match=r"shape \(2, 3\) but the mode dimensions"):
        incomplete.restore(np.ones((2, 3)))


def test_a_restored_table_too_large_for_memory_is_refused(monkeypatch):
    incomplete = incomplete_tensor(labelled(), values="reading")
    monkeypatch.setattr(_table_form, "MAX_DENSE_BYTES", 144 * 8 * 2)
    with pytest.raises(InputError, match="A table of all 144 entries"):
        incomplete.restore(np.ones((2, 3, 2, 3, 2, 2)))


def test_a_lazy_array_too_large_for_memory_is_not_read(monkeypatch):
    class Lazy:
        shape, dtype = (4, 4), np.dtype(np.float64)

        def __array__(self, *_, **__):
            raise AssertionError("it was read")

    monkeypatch.setattr(_declared, "MAX_DENSE_BYTES", 4 * 4 * 8 - 1)
    with pytest.raises(InputError, match="GiB of memory"):
        incomplete_tensor(Lazy())


def test_a_tensor_of_torch_is_restored_as_one(monkeypatch):
    class Tensor:
        def __init__(self, array):
            self.array = array

        def __array__(self, *_, **__):
            return self.array

    torch = types.SimpleNamespace(Tensor=Tensor, from_numpy=Tensor)
    monkeypatch.setitem(sys.modules, "torch", torch)
    incomplete = incomplete_tensor(Tensor(np.array([[1, NAN], [3, 4]], np.float32)))
    assert len(incomplete.observations) == 3
    restored = incomplete.restore(np.ones((2, 2)))
    assert isinstance(restored, Tensor)
    assert restored.array.dtype == np.float32


def test_an_arrow_table_is_restored_with_its_schema():
    pa = pytest.importorskip("pyarrow")
    columns = {
        "day": pa.array([datetime.date(2024, 1, 2), datetime.date(2024, 1, 1)]),
        "who": pa.array(["zoe", "adam"]).dictionary_encode(),
        "value": pa.array([1.5, None], pa.float32()),
    }
    table = pa.table(columns)
    incomplete = incomplete_tensor(table)
    assert incomplete.labels[1].tolist() == ["zoe", "adam"]
    restored = incomplete.restore(np.array([[1, 2], [3, 4]]))
    assert restored.schema.equals(table.schema)
    assert restored["value"].to_pylist() == [1, 2, 3, 4]
    assert restored["who"].to_pylist() == ["zoe", "adam"] * 2


ROWS = pd.DataFrame(
    {
        "year": [2004, 2003, 2002] * 4,
        "site": [2, 1] * 6,
        "kind": ["b"] * 6 + ["a"] * 6,
        "value": np.arange(12.0),
    }
)
PIVOTS = {
    "numbers over levels of columns": ("year", ["kind", "site"]),
    "text over levels of columns": ("kind", ["site", "year"]),
    "numbers over text": ("year", "kind"),
    "two levels over numbers": (["kind", "year"], "site"),
    "two levels of numbers over text": (["site", "year"], "kind"),
}


@pytest.mark.parametrize("layout", [None, "wide"])
@pytest.mark.parametrize("case", PIVOTS)
def test_the_index_of_a_pivoted_frame_holds_labels_alone(case, layout):
    index, columns = PIVOTS[case]
    wide = ROWS.pivot_table(index=index, columns=columns, values="value")
    read = incomplete_tensor(wide, layout=layout)
    modes = np.concatenate([np.atleast_1d(index), np.atleast_1d(columns)])
    assert read.mode_names == tuple(modes)
    means = ROWS.groupby(list(modes))["value"].mean()
    np.testing.assert_array_equal(read.observations.values, means)
    pd.testing.assert_frame_equal(read.restore(read.observations.dense()), wide)


LEVELS = pd.MultiIndex.from_tuples([("a", 1), ("b", 2)], names=["x", "x"])
BAD_FRAMES = {
    "a column without a label": (
        pd.DataFrame(np.eye(3), list("abc"), [1, np.nan, 2]),
        {"layout": "wide"},
        "column 'nan' has no label",
    ),
    "levels of columns without a label": (
        pd.DataFrame(
            np.eye(2),
            list("ab"),
            pd.MultiIndex.from_tuples([("u", 1), ("u", None)], names=["p", "q"]),
        ),
        {},
        "has no label in 'q'",
    ),
    "levels of columns over text": (
        pd.DataFrame([["a", "b"]], columns=LEVELS),
        {},
        "holds no numbers",
    ),
    "two levels of one name": (
        pd.Series([1.0, 2.0], LEVELS),
        {},
        "Two columns are called 'x'",
    ),
    "no columns": (pd.DataFrame(index=[1, 2]), {}, "It has no columns"),
}


@pytest.mark.parametrize("case", BAD_FRAMES)
def test_a_frame_that_is_no_tensor_is_refused(case):
    frame, options, words = BAD_FRAMES[case]
    with pytest.raises(InputError, match=words):
        incomplete_tensor(frame, **options)


def test_a_column_of_lists_is_refused():
    pa = pytest.importorskip("pyarrow")
    table = pa.table({"a": [["x"], ["y"]], "b": [1, 2], "v": [1.0, 2.0]})
    with pytest.raises(InputError, match="The column 'a' of data type list"):
        incomplete_tensor(table)


def test_no_library_is_imported_for_an_array_of_numpy():
    program = (
        "import sys, numpy as np; from rankrise.tensors import incomplete_tensor; "
        "incomplete_tensor(np.eye(2)).restore(np.eye(2)); "
        "print(*{'jax', 'pandas', 'pyarrow', 'scipy', 'xarray'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == []


@pytest.mark.parametrize("source", ["levels.csv", Path("levels.csv")])
def test_the_name_of_a_file_is_refused(source):
    with pytest.raises(InputError, match=r"name of a file came, 'levels.csv'; give"):
        incomplete_tensor(source)


@pytest.mark.parametrize(
    "options",
    [
        {"modes": ["a", "b"]},
        {"layout": "wide"},
        {"order": "text"},
        {"repeats": "mean"},
        {"censored": "half"},
    ],
)
def test_what_is_for_tables_is_refused_of_an_array(options, tmp_path):
    (name,) = options
    np.save(tmp_path / "x.npy", np.eye(3))
    with pytest.raises(InputError, match=f"`{name}` is for tables"):
        incomplete_tensor(np.eye(3), **options)
    with pytest.raises(InputError, match=f"`{name}` is for tables"):
        read_tensor(tmp_path / "x.npy", **options)


@pytest.mark.parametrize("domain", [True, [[True, True]], [[True], [True]], [True]])
def test_a_flag_of_a_domain_is_not_repeated(domain):
    with pytest.raises(InputError, match="a flag for every entry"):
        incomplete_tensor(np.eye(2), domain=domain)


@pytest.mark.parametrize("form", ["npy", "npz", "nc", "csv", "parquet", "frame"])
def test_a_domain_may_have_one_mode(form, tmp_path):
    values = np.arange(12.0).reshape(2, 2, 3)
    values[..., 1] = NAN
    dims, labels = ["day", "row", "site"], {"site": ["a", "b", "c"]}
    xr.DataArray(values, labels, dims, "x").to_netcdf(tmp_path / "x.nc")
    flags = np.array([True, False, True])
    path = tmp_path / f"mask.{form}"
    table = pd.DataFrame({"site": ["c", "b", "a"], "exists": [1, 0, 1]})
    match form:
        case "npy":
            np.save(path, flags)
        case "npz":
            np.savez(path, flags)
        case "nc":
            xr.DataArray(flags.astype("i1"), labels, ["site"], "m").to_netcdf(path)
        case "csv":
            table.to_csv(path, index=False)
        case "parquet":
            table.to_parquet(path)
        case "frame":
            path = table.set_index("site")
    observations = read_tensor(tmp_path / "x.nc", domain=path).observations
    np.testing.assert_array_equal(
        observations.exists, np.broadcast_to(flags, values.shape)
    )


def test_only_a_domain_may_have_one_mode(tmp_path):
    np.save(tmp_path / "x.npy", np.ones(3))
    incomplete_tensor(np.ones((2, 3)), domain=tmp_path / "x.npy")
    with pytest.raises(InputError, match="at least two modes"):
        read_tensor(tmp_path / "x.npy")
