"""Values that stand for missing: named ones are taken out, others are asked about."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn.datasets
import xarray as xr

import rankrise as rr
from rankrise.tensors import incomplete_tensor, read_tensor

COUNT = 4000


def marked(values, sentinel, share, rng):
    """With a share of the values replaced."""
    values = np.array(values, float)
    values[rng.random(values.shape) < share] = sentinel
    return values


# Each is drawn by a generator of random numbers. The rule was chosen on the first eight
# of these and the first ten of the ordinary ones; the others only check it.
SUSPECTED = {
    "NDVI": lambda r: marked(np.round(r.beta(4, 2, COUNT) * 9000 - 300), -3000, 0.1, r),
    "flows": lambda r: marked(r.lognormal(3, 1, COUNT).round(1), -999, 0.02, r),
    "rain": lambda r: marked(rain(r), -99.9, 0.05, r),
    "counts": lambda r: marked(r.poisson(4, COUNT), -1, 0.03, r),
    "speeds": lambda r: marked(r.normal(60, 8, COUNT).clip(5).round(1), 0, 0.1, r),
    "parking": lambda r: marked(r.integers(92, 4300, COUNT), 0, 0.15, r),
    "answers": lambda r: marked(r.integers(1, 6, COUNT), 99, 0.05, r),
    "scores": lambda r: marked(r.integers(0, 11, COUNT), -9, 0.02, r),
    "jokes": lambda r: marked(r.uniform(-10, 10, COUNT).round(2), 99, 0.3, r),
    "heart rates": lambda r: marked(r.normal(75, 10, COUNT).round(), 0, 0.02, r),
    "fill of netCDF": lambda r: marked(r.normal(15, 5, COUNT), 9.96921e36, 0.3, r),
    "lowest of int16": lambda r: marked(r.normal(280, 10, COUNT), -32768, 0.2, r),
    "years": lambda r: marked(r.integers(1900, 2020, COUNT), 9999, 0.01, r),
    "large counts": lambda r: marked(r.poisson(30, COUNT), -1, 0.01, r),
    "few values": lambda r: marked(r.normal(5, 2, 60), -999, 0.15, r),
    "distances": lambda r: marked(r.gamma(3, 2, COUNT), -1, 0.05, r),
    "pressures": lambda r: marked(r.normal(1013, 8, COUNT).round(1), 0, 0.01, r),
    "float32": lambda r: marked(r.normal(5, 2, COUNT), np.float32(-99.9), 0.05, r),
    "ages": lambda r: marked(r.integers(18, 88, COUNT), 99, 0.03, r),
    "temperatures": lambda r: marked(r.normal(10, 9, COUNT).round(1), -99, 0.02, r),
}
ORDINARY = {
    "counts": lambda r: r.poisson(0.7, COUNT),
    "overdispersed counts": lambda r: r.negative_binomial(0.3, 0.01, COUNT),
    "rain": lambda r: rain(r),
    "rain, not rounded": lambda r: np.where(
        r.random(COUNT) < 0.4, 0, r.gamma(0.7, 5, COUNT)
    ),
    "a sensor at its limit": lambda r: np.minimum(r.normal(90, 10, COUNT), 100),
    "a converter at its limit": lambda r: np.minimum(
        r.normal(3500, 500, COUNT).round(), 4095
    ),
    "ratings": lambda r: r.integers(1, 6, COUNT),
    "one-hot": lambda r: np.eye(60),
    "whole degrees": lambda r: r.normal(12, 5, COUNT).round(),
    "correlations": lambda r: np.corrcoef(r.normal(size=(40, 20)) + r.normal(size=20)),
    "degrees from -1": lambda r: above_freezing(r.normal(10, 4, COUNT).round()),
    "heavy tails": lambda r: r.zipf(1.7, COUNT).clip(0, 10**6),
    "sales": lambda r: np.where(
        r.random(COUNT) < 0.3, 0, r.lognormal(3, 1, COUNT).round(2)
    ),
    "sunshine": lambda r: np.maximum(0, np.sin(np.arange(COUNT) / 50) * 800).round(1),
    "half stars": lambda r: r.integers(1, 11, COUNT) / 2,
    "shares": lambda r: r.beta(0.3, 0.3, COUNT).round(2) * 100,
    "humidity": lambda r: np.minimum(100, r.normal(85, 15, COUNT)).round(),
    "distances": lambda r: 3 * (1 - np.eye(30)) + distances(30),
    "expression": lambda r: np.where(
        r.random(COUNT) < 0.45, 0, r.lognormal(1, 2, COUNT)
    ),
    "half a limit of detection": lambda r: detected(r.lognormal(-1, 1, COUNT).round(2)),
    "a floor": lambda r: np.maximum(r.normal(0, 1, COUNT), -1),
    "outliers": lambda r: r.standard_cauchy(COUNT).round(),
    "pictures": lambda r: r.normal(60, 90, COUNT).clip(0, 255).round(),
    "steps": lambda r: np.repeat(np.arange(20), 200),
    "digits": lambda r: r.integers(0, 10, COUNT),
    "few counts": lambda r: r.poisson(1.0, 80),
    "little rain": lambda r: rain(r)[:100],
    "signs": lambda r: r.choice([-1, 1], COUNT),
    "the same value": lambda r: np.repeat([3.0, 4.0], 50),
}


def rain(rng):
    return np.where(rng.random(COUNT) < 0.4, 0, rng.exponential(5, COUNT).round(1))


def above_freezing(degrees):
    return degrees[degrees >= -1][: COUNT - 50]


def detected(values):
    return np.where(values < 0.1, 0.05, values)


def distances(count):
    return np.abs(np.subtract.outer(np.arange(count), np.arange(count)))


def matrix(values):
    return values if values.ndim == 2 else values.reshape(10, -1)


@pytest.mark.parametrize("draw", SUSPECTED.values(), ids=SUSPECTED)
def test_an_extreme_value_that_repeats_away_from_others_is_asked_about(draw, caplog):
    values = matrix(draw(np.random.default_rng(0)))
    incomplete_tensor(values)
    (record,) = caplog.records
    value, count = record.args
    assert value in (values.min(), values.max())
    assert count == np.sum(values == value)
    assert "far from all others; if it stands for missing entries, name it in" in (
        record.getMessage()
    )
    caplog.clear()
    incomplete_tensor(values, missing=value)
    assert not caplog.records


@pytest.mark.parametrize("draw", ORDINARY.values(), ids=ORDINARY)
def test_ordinary_data_are_not_asked_about(draw, caplog):
    incomplete_tensor(matrix(draw(np.random.default_rng(0))))
    assert not caplog.records


@pytest.mark.parametrize(
    "load",
    ["load_iris", "load_wine", "load_breast_cancer", "load_diabetes", "load_digits"],
)
def test_tables_of_scikit_learn_are_not_asked_about(load, caplog):
    incomplete_tensor(getattr(sklearn.datasets, load)().data)
    assert not caplog.records


def test_pictures_with_black_pixels_are_not_asked_about(caplog):
    pictures = sklearn.datasets.load_digits().images
    for each in (pictures, *pictures[:200]):
        incomplete_tensor(each)
    assert not caplog.records


TENSOR = np.arange(24.0).reshape(2, 3, 4)
GAPS = [(0, 0, 1), (1, 2, 3)]


def with_gaps(sentinel, dtype=np.float64):
    values = TENSOR.astype(dtype)
    for gap in GAPS:
        values[gap] = sentinel
    return values


def is_right(observations):
    expected = with_gaps(np.nan)
    np.testing.assert_array_equal(observations.dense(), expected)
    return True


@pytest.mark.parametrize("missing", [-99.9, "-99.9", [-99.9], (7e5, "-99.9", "NA")])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_named_values_are_missing_as_the_type_rounds_them(missing, dtype):
    values = with_gaps(-99.9, dtype)
    if dtype == np.float16:
        missing = float(np.float16(-99.9))
    assert is_right(incomplete_tensor(values, missing=missing).observations)


def test_whole_numbers_are_missing_only_where_they_are_equal():
    values = np.array([[1e7, 1e7 + 1], [1e7 + 2, 3.0]])
    observations = incomplete_tensor(values, missing=1e7 + 1).observations
    assert len(observations) == 3
    values = np.float32(values)
    assert len(incomplete_tensor(values, missing=1e7 + 1).observations) == 3


def test_values_unpacked_by_a_scale_are_found():
    values = np.array([-3000, 5, 7, 9], np.int16).reshape(2, 2)
    for scale in (0.0001, np.float32(0.0001)):
        assert len(incomplete_tensor(values * scale, missing=-0.3).observations) == 3


def frame_of(values):
    return xr.DataArray(values, dims=list("abc"), name="v").to_dataframe().reset_index()


def test_named_values_are_missing_in_every_kind_of_source(tmp_path):
    values = with_gaps(-999)
    table = frame_of(values).assign(a=lambda t: "a" + t["a"].astype(str))
    sources = [
        values,
        values.astype(int),
        values.tolist(),
        values.astype(object),
        np.ma.array(values),
        xr.DataArray(values, dims=list("abc")),
        rr.Observations.from_array(values),
        scipy.sparse.coo_array(values[0] + 1),
        table,
    ]
    for source in sources[:-2]:
        assert is_right(incomplete_tensor(source, missing=-999).observations)
    sparse = incomplete_tensor(sources[-2], missing=-998).observations
    assert sparse.dense()[0, 1] != -998
    assert is_right(incomplete_tensor(table, missing=-999).observations)
    np.save(tmp_path / "x.npy", values)
    np.savez(tmp_path / "x.npz", x=values)
    xr.DataArray(values, dims=list("abc"), name="v").to_netcdf(
        tmp_path / "x.nc", engine="h5netcdf"
    )
    table.to_csv(tmp_path / "x.csv", index=False)
    table.to_parquet(tmp_path / "x.parquet", index=False)
    for name in ("x.npy", "x.npz", "x.nc", "x.csv", "x.parquet"):
        assert is_right(read_tensor(tmp_path / name, missing="-999").observations)


@pytest.mark.parametrize("word", ["-", ".", "missing", "no data"])
def test_words_are_missing_in_tables_where_they_are_named(word, tmp_path):
    table = frame_of(TENSOR).astype({"v": object})
    for gap in GAPS:
        table.loc[np.ravel_multi_index(gap, TENSOR.shape), "v"] = word
    table.to_csv(tmp_path / "x.csv", index=False)
    with pytest.raises(rr.InputError, match="has the value"):
        read_tensor(tmp_path / "x.csv")
    assert is_right(read_tensor(tmp_path / "x.csv", missing=word).observations)
    assert is_right(incomplete_tensor(table, missing=word).observations)


def test_none_and_na_within_lists_and_objects_are_missing():
    values = TENSOR.tolist()
    values[0][0][1] = values[1][2][3] = None
    assert is_right(incomplete_tensor(values).observations)
    objects = np.array(values, object)
    assert is_right(incomplete_tensor(objects).observations)
    assert is_right(incomplete_tensor(xr.DataArray(objects)).observations)
    objects[0, 0, 1], objects[1, 2, 3] = pd.NA, "n/a"
    assert is_right(incomplete_tensor(objects, missing="n/a").observations)
    table = frame_of(TENSOR).astype({"v": object})
    table.loc[[1, 23], "v"] = None
    assert is_right(incomplete_tensor(table).observations)
    completed = incomplete_tensor(np.array(values, object)).restore(TENSOR)
    assert completed.dtype == np.float64


def test_words_within_objects_are_refused_unless_they_are_named():
    with pytest.raises(rr.InputError, match="holds '-', which is not a number; if"):
        incomplete_tensor(np.array([[1.0, "-"], [2.0, 3.0]], object))


def test_a_tensor_of_nothing_but_sentinel_values_is_refused():
    with pytest.raises(rr.InputError, match="All observed values are sentinel val"):
        incomplete_tensor(np.ones((3, 4)), missing=1)
