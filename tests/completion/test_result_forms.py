"""A completion in other forms: pictures, a Dataset, a file, a notebook, TLViz."""

import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import rankrise as rr
from rankrise.completion import CompletionSettings, complete_tensor


def a_field(noise=0.05):
    rng = np.random.default_rng(3)
    a, b, c = (rng.standard_normal((size, 2)) for size in (9, 8, 12))
    entries = 280 + 3 * np.einsum("ir,jr,kr->ijk", a, b, c)
    entries += noise * rng.standard_normal(entries.shape)
    entries[rng.random(entries.shape) < 0.3] = np.nan
    return xr.DataArray(
        entries,
        dims=("station", "day", "hour"),
        coords={
            "station": [f"S{number}" for number in range(9)],
            "day": pd.date_range("2024-05-01", periods=8),
            "hour": ("hour", np.arange(12), {"units": "h"}),
            "height": ("station", np.linspace(0, 900, 9), {"units": "m"}),
        },
        name="temperature",
        attrs={"units": "K"},
    )


@pytest.fixture(scope="module")
def field():
    return a_field()


@pytest.fixture(scope="module")
def found(field):
    return rr.complete(field, models=2)


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


# Pictures.


def test_the_rank_curve_has_the_numbers_of_the_table(found):
    _, ax = plt.subplots()
    found.plot("rank", ax=ax)
    curve, table = ax.containers[0][0], found.rank_table
    np.testing.assert_array_equal(curve.get_xdata(), table.index)
    np.testing.assert_array_equal(curve.get_ydata(), table["heldout_error"])
    (chosen,) = (
        line for line in ax.lines if str(line.get_label()).startswith("chosen")
    )
    assert list(chosen.get_xdata()) == [found.rank]
    assert list(chosen.get_ydata()) == [table.loc[found.rank, "heldout_error"]]
    assert ax.get_ylabel() == "error (K)"


def test_entries_that_were_not_observed_are_hidden_and_the_others_as_they_came(
    found, field
):
    axes = found.plot("observed")
    shown = axes.images[0].get_array()
    day = axes.get_title().split()[-1]
    there = field.sel(day=day).values
    np.testing.assert_array_equal(np.ma.getmaskarray(shown), np.isnan(there))
    np.testing.assert_array_equal(shown.compressed(), there[~np.isnan(there)])
    completed = found.plot("completed").images[0].get_array()
    expected = found.completed.sel(day=day).values
    np.testing.assert_allclose(completed, expected, rtol=1e-14)
    assert axes.patch.get_hatch()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("hour (h)", "station")


def test_factors_are_drawn_with_how_many_there_are(found):
    axes = found.plot("factors hour")
    assert axes.get_title() == f"2 of {len(found.component_norms)} components"
    drawn = axes.lines[0].get_ydata()
    np.testing.assert_allclose(np.linalg.norm(drawn), 1)


def test_signs_flip_in_pairs_and_leave_the_tensor_unchanged(found):
    tensor = np.einsum("ir,jr,kr->ijk", *found.factors)
    raw = np.einsum("ir,jr,kr->ijk", *(w[:-1] for w in found.reference.factors))
    np.testing.assert_array_equal(tensor, raw)
    for factors in (found.factors, found.rank_factors):
        for matrix in factors[:-1]:
            largest = np.argmax(np.abs(matrix), axis=0)
            assert np.all(matrix[largest, np.arange(matrix.shape[1])] > 0)


def test_a_run_that_was_cut_short_says_so_wherever_it_is_shown(field):
    settings = CompletionSettings(models=4, max_seconds=1e-3)
    cut = complete_tensor(rr.incomplete_tensor(field), settings)
    assert cut.ending == "time limit"
    assert "time limit" in repr(cut)
    assert "Cut short by the time limit" in cut._repr_html_()
    assert "Cut short by the time limit" in cut.figure().get_suptitle()
    assert "Cut short by the time limit" in cut.to_dataset().attrs["warning"]


# A Dataset.


def test_a_dataset_has_all_results_with_names_units_and_coordinates(found, field):
    dataset = found.to_dataset()
    xr.testing.assert_identical(dataset["completed"].coords["height"], field["height"])
    for name, own in (("completed", found.completed), ("std", found.std)):
        np.testing.assert_array_equal(dataset[name], own)
        assert dataset[name].dims == field.dims
        assert dataset[name].attrs["units"] == "K"
    lower, upper = found.interval(0.9)
    np.testing.assert_array_equal(dataset["lower"], lower)
    np.testing.assert_array_equal(dataset["upper"], upper)
    np.testing.assert_array_equal(dataset["observed"], ~np.isnan(field))
    np.testing.assert_array_equal(dataset["factors_hour"], found.factors[2])
    table = dataset["rank_heldout_error"].to_pandas()
    np.testing.assert_array_equal(table, found.rank_table["heldout_error"])
    assert dataset.attrs["rank"] == found.rank
    assert json.loads(dataset.attrs["settings"])["models"] == 2


def test_a_dataset_goes_through_netcdf(found, tmp_path):
    dataset = found.to_dataset()
    dataset.to_netcdf(tmp_path / "found.nc", engine="h5netcdf")
    with xr.open_dataset(tmp_path / "found.nc", engine="h5netcdf") as back:
        xr.testing.assert_equal(back, dataset)


def test_modes_without_names_and_with_those_of_results_have_dimensions():
    array = np.add.outer(np.arange(6.0), np.arange(5.0) ** 2)
    array[1, 2] = np.nan
    plain = rr.complete(array, models=2).to_dataset()
    assert plain["completed"].dims == ("mode_1", "mode_2")
    named = xr.DataArray(array, dims=("component", "components"))
    dataset = rr.complete(named, models=2).to_dataset()
    assert dataset["factors_component"].dims == ("component", "component_")


# A file.


def inputs():
    field = a_field()
    table = field.to_series().dropna().reset_index()
    counts = xr.DataArray(
        np.random.default_rng(0).poisson(np.exp(a_field().fillna(280).values / 100)),
        dims=field.dims,
    ).astype(float)
    return {
        "xarray": (field, {}),
        "array": (field.values, {}),
        "table": (table, {"values": "temperature"}),
        "effects": (field, {"main_effects": True}),
        "counts": (counts.where(field.notnull()), {"loss": "counts"}),
        "block": (field.where(~((field.day < field.day[4]) & (field.hour > 7))), {}),
        "flow": (field, {"method": "flow"}),
    }


@pytest.mark.parametrize(
    "name",
    [
        # Which compiles for longer than all others take.
        pytest.param(name, marks=pytest.mark.slow) if name == "flow" else name
        for name in inputs()
    ],
)
def test_what_is_saved_comes_back_bit_for_bit(name, tmp_path):
    source, options = inputs()[name]
    options |= {} if name == "flow" else {"models": 2}
    found = rr.complete(source, **options)
    rank = found.rank
    back = rr.load(found.save(tmp_path / "found.npz"))
    assert isinstance(back, rr.Completion)
    for one, other in zip(
        (*found.completed_arrays(), *found.interval_arrays()),
        (*back.completed_arrays(), *back.interval_arrays()),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    pd.testing.assert_frame_equal(found.rank_table, back.rank_table)
    assert (back.rank, repr(back)) == (rank, repr(found))
    np.testing.assert_equal(back.errors(), found.errors())
    xr.testing.assert_identical(back.to_dataset(), found.to_dataset())
    if name in ("xarray", "flow"):
        xr.testing.assert_identical(back.completed, found.completed)
    if name == "array":
        assert isinstance(back.completed, np.ndarray)


@pytest.fixture
def saved(found, tmp_path):
    return found.save(tmp_path / "found.npz")


def changed(path, **arrays):
    with np.load(path) as file:
        content = {**file, **arrays}
    np.savez(path, **content)


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("model_0_0", np.zeros((3, 2)), r"model_0_0 has shape \(3, 2\)"),
        ("part", np.zeros(4, np.int8), r"part has shape"),
        ("values", np.zeros((4, 2)), r"values has shape"),
        ("rank_0", np.zeros((9, 9)), r"rank_0 has shape"),
        ("model_0_0", np.zeros((10, 1), "U3"), r"type <U3"),
        ("facts", np.frombuffer(b"{}", np.uint8), "no result that rankrise saved"),
        ("facts", np.frombuffer(b'{"a', np.uint8), "no result that rankrise saved"),
    ],
)
def test_files_with_other_shapes_are_refused(saved, name, array, words):
    changed(saved, **{name: array})
    with pytest.raises(rr.InputError, match=words) as refused:
        rr.load(saved)
    assert str(refused.value).startswith("found.npz: ")
    assert "\n" not in str(refused.value)


def test_pickles_and_other_files_are_refused(saved, tmp_path):
    saved.with_name("other.npz").write_bytes(saved.read_bytes())
    changed(saved, values=np.array([{}], object))
    with pytest.raises(rr.InputError, match=r"found\.npz"):
        rr.load(saved)
    with pytest.raises(rr.InputError, match="no such file"):
        rr.load(tmp_path / "none.npz")
    (tmp_path / "text.npz").write_text("text")
    with pytest.raises(rr.InputError, match=r"text\.npz: It cannot be read"):
        rr.load(tmp_path / "text.npz")
    with pytest.raises(rr.InputError, match="There is no folder"):
        rr.load(saved.with_name("other.npz")).save(tmp_path / "no" / "x.npz")


# Notebooks, TensorLy, TLViz.


def test_a_notebook_shows_the_ending_and_the_rank_table_and_escapes_names(field):
    found = rr.complete(field.rename("<script>x</script>"), models=2)
    assert "not estimated yet" in found._repr_html_()
    assert found.rank == 2
    shown = found._repr_html_()
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown
    assert "converged" in shown
    assert shown.count("<td>") == 5 * len(found.rank_table)


def test_a_labelled_decomposition_has_the_labels_and_gives_the_same_tensor(
    found, field
):
    tensorly = pytest.importorskip("tensorly")
    weights, factors = found.cp_tensor(labelled=True)
    for dim, factor in zip(field.dims, factors, strict=True):
        assert factor.index.name == dim
        assert list(factor.index) == list(field.indexes[dim])
    plain = tensorly.cp_to_tensor(found.cp_tensor())
    arrays = [factor.to_numpy() for factor in factors]
    tensor = np.einsum("r,ir,jr,kr->ijk", weights, *arrays)
    np.testing.assert_allclose(tensor, plain, rtol=1e-12)


def test_rows_of_a_table_are_looked_up_by_their_labels():
    days = pd.date_range("2024-03-01", periods=9)
    rows = [
        (day, city, float(n * m))
        for n, day in enumerate(days)
        for m, city in enumerate("dbca")
    ]
    table = pd.DataFrame(rows, columns=["day", "city", "value"]).drop(index=[5, 22])
    found = rr.complete(table, models=1, seed=0)
    wanted = pd.DataFrame(
        {"city": ["c", "zz", "a"], "day": [days[8], days[0], days[1]]}
    )
    indices = found.indices_of(wanted)
    np.testing.assert_array_equal(indices, [[8, 2], [0, -1], [1, 0]])
    completed = found.completed.set_index(["day", "city"])["value"]
    expected = [completed[days[8], "c"], completed[days[1], "a"]]
    np.testing.assert_allclose(found.entries(indices)[[0, 2]], expected, atol=0.5)
    with pytest.raises(rr.InputError, match="no column 'city'"):
        found.indices_of(wanted[["day"]])
    unnamed = rr.complete(
        np.where(np.eye(6, 5) > 0, np.nan, np.ones((6, 5)) + np.eye(6, 5, 1)), models=1
    )
    with pytest.raises(rr.InputError, match="no column 'mode 1'"):
        unnamed.indices_of(wanted)
