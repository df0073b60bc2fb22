"""Entries that do not exist are never filled, and fibers without observations told."""

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import rankrise as rr
from rankrise.cli._main import run
from rankrise.completion import summarize_completion

TIMES, LATITUDES, LONGITUDES = 20, 9, 8
LAND = np.zeros((LATITUDES, LONGITUDES), bool)
LAND[2:5, 2:6] = True
OCEAN = ~LAND
QUICK: dict[str, Any] = {"models": 2, "seed": 0}


def make_field():
    rng = np.random.default_rng(0)
    modes = (TIMES, LATITUDES, LONGITUDES)
    factors = [rng.standard_normal((dim, 2)) for dim in modes]
    whole = np.einsum("ar,br,cr->abc", *factors) + 4
    whole += 0.05 * rng.standard_normal(whole.shape)
    return np.where(LAND | (rng.random(whole.shape) < 0.3), np.nan, whole), whole


FIELD, WHOLE = make_field()


def array_of(values):
    return xr.DataArray(
        values,
        dims=["time", "lat", "lon"],
        coords={
            "time": pd.date_range("2020-01-01", periods=TIMES),
            "lat": 1.5 * np.arange(LATITUDES),
            "lon": 2.0 * np.arange(LONGITUDES),
        },
        name="sst",
    )


MASK = array_of(np.broadcast_to(OCEAN, FIELD.shape))[0].drop_vars("time")


def table_of(values):
    return array_of(values).to_dataframe().reset_index().dropna(ignore_index=True)


def is_empty_on_land(values):
    np.testing.assert_array_equal(
        np.isnan(np.asarray(values)), np.broadcast_to(LAND, FIELD.shape)
    )
    return True


DOMAINS = {
    "an array of all modes": np.broadcast_to(OCEAN, FIELD.shape),
    "an array of the last modes": OCEAN,
    "zeros and ones": OCEAN.astype(int),
    "NaN where there is none": np.where(OCEAN, 1.0, np.nan),
}


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=DOMAINS)
def test_entries_outside_the_domain_are_empty_in_all_that_comes_out(domain):
    found = rr.complete(FIELD, domain=domain, **QUICK)
    for each in (found.completed, found.std, *found.interval(0.9)):
        assert is_empty_on_land(each)
    at = [[0, 3, 3], [0, 0, 0], [-1, 3, 3]]
    for each in (
        found.entries(at),
        found.entries_std(at),
        found.entries_interval(at)[0],
    ):
        np.testing.assert_array_equal(np.isnan(each), [True, False, False])
    assert summarize_completion(found, None)["entries"] == OCEAN.sum() * TIMES
    assert found.observations.entry_count == OCEAN.sum() * TIMES


def test_what_does_not_exist_is_no_gap_and_costs_no_accuracy():
    gaps = np.isnan(FIELD) & OCEAN
    found = rr.complete(FIELD, domain=OCEAN, **QUICK)
    assert found.gaps == "single entries"
    plain = rr.complete(FIELD, **QUICK)
    assert plain.gaps != "single entries"
    errors = [
        np.sqrt(np.mean((each.completed - WHOLE)[gaps] ** 2)) for each in (found, plain)
    ]
    # The noise is 0.05, and both see the same entries.
    assert max(errors) < 0.07
    lower, upper = (each[gaps] for each in found.interval(0.9))
    assert 0.85 < np.mean((lower <= WHOLE[gaps]) & (WHOLE[gaps] <= upper)) < 0.97


def test_whole_fibers_are_held_out_among_those_that_exist():
    rng = np.random.default_rng(1)
    missing = rng.random(OCEAN.shape) < 0.3
    fibers = np.where(missing | LAND, np.nan, WHOLE)
    found = rr.complete(fibers, domain=OCEAN, **QUICK)
    assert found.gaps == "whole fibers along mode 1"
    # Where no fiber that exists is missing, none is held out.
    found = rr.complete(np.where(LAND, np.nan, WHOLE), domain=OCEAN, **QUICK)
    assert found.gaps == ""


def frame_and_mask():
    """A wide frame whose labels are in no order, and what exists of it."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.random((9, 8)), list("ihgfedcba"), list("zyxwvuts"))
    mask = pd.DataFrame(OCEAN, frame.index, frame.columns)
    return frame.where(mask), mask


DOMAINS_OF_FRAMES = {
    "truth values": lambda mask: mask,
    "zeros and ones": lambda mask: mask.astype(int),
    "rows in another order": lambda mask: mask.sort_index(),
    "a Series": lambda mask: mask.stack(),
}


@pytest.mark.parametrize("form", DOMAINS_OF_FRAMES.values(), ids=DOMAINS_OF_FRAMES)
def test_a_domain_of_pandas_is_aligned_by_its_labels(form):
    frame, mask = frame_and_mask()
    whole = frame.rename_axis(index="row", columns="column")
    for source in (frame, whole.stack().rename("value").reset_index()):
        read = rr.incomplete_tensor(source, domain=form(mask))
        expected = mask.sort_index().sort_index(axis=1)
        np.testing.assert_array_equal(read.observations.exists, expected)


def test_a_domain_of_pandas_without_labels_is_an_array(tmp_path):
    np.save(tmp_path / "x.npy", FIELD[0])
    found = rr.read_tensor(tmp_path / "x.npy", domain=pd.DataFrame(OCEAN))
    np.testing.assert_array_equal(found.observations.exists, OCEAN)


BAD_DOMAINS = {
    "rows of several lengths": ([[True, True], [True]], "cannot be made an array"),
    "two columns of one name": (
        pd.DataFrame(OCEAN, columns=list("aabcdefg")),
        "Two columns are called 'a'",
    ),
    "no columns": (pd.DataFrame(index=range(9)), "It has no columns"),
}


@pytest.mark.parametrize("case", BAD_DOMAINS)
def test_a_domain_of_no_shape_is_refused(case):
    domain, words = BAD_DOMAINS[case]
    with pytest.raises(rr.InputError, match=words):
        rr.incomplete_tensor(FIELD[0], domain=domain)


def test_a_superscript_is_no_number_of_a_mode():
    with pytest.raises(rr.InputError, match="names '²', which is not a mode"):
        rr.incomplete_tensor(FIELD, leave_empty="²")


def test_an_xarray_domain_is_aligned_by_its_coordinates():
    mask = MASK.isel(lat=slice(None, None, -1)).transpose("lon", "lat")
    found = rr.complete(array_of(FIELD), domain=mask, **QUICK)
    assert is_empty_on_land(found.completed)
    found = rr.complete(table_of(FIELD), domain=mask, **QUICK)
    assert len(found.completed) == OCEAN.sum() * TIMES


@pytest.mark.parametrize("domain", [OCEAN, MASK], ids=["array", "xarray"])
def test_rows_of_a_table_outside_the_domain_are_absent(domain):
    completed = rr.complete(table_of(FIELD), domain=domain, **QUICK).completed
    pd.testing.assert_frame_equal(
        completed[["time", "lat", "lon"]],
        table_of(np.where(LAND, np.nan, WHOLE))[["time", "lat", "lon"]],
    )
    assert not completed["sst"].isna().any()


def test_fibers_without_an_observation_stay_empty_where_that_is_asked_for():
    for mode in (1, "1"):
        found = rr.complete(FIELD, leave_empty=mode, **QUICK)
        assert is_empty_on_land(found.completed)
    found = rr.complete(array_of(FIELD), leave_empty=["time"], **QUICK)
    assert is_empty_on_land(found.completed)
    assert is_empty_on_land(found.std)


def test_fibers_of_any_of_the_modes_stay_empty():
    field = FIELD.copy()
    field[4, :, 0] = np.nan
    found = rr.complete(field, leave_empty=[1, 2], **QUICK)
    missing = np.isnan(field)
    empty = missing.all(axis=0, keepdims=True) | missing.all(axis=1, keepdims=True)
    assert empty[4, 0, 0]
    np.testing.assert_array_equal(
        np.isnan(found.completed), np.broadcast_to(empty, field.shape)
    )


def test_fibers_without_an_observation_are_told_of_once(caplog):
    rr.complete(array_of(FIELD), **QUICK)
    assert caplog.text.count("have no observation") == 1
    assert "12 of 72 fibers along time have no observation, the first at (3, 4)" in (
        caplog.text
    )
    caplog.clear()
    rr.complete(array_of(FIELD), leave_empty="time", **QUICK)
    rr.complete(array_of(FIELD), domain=MASK, **QUICK)
    assert "have no observation" not in caplog.text


def test_fibers_that_chance_or_sparsity_leaves_empty_are_not_told_of(caplog):
    rng = np.random.default_rng(0)
    for share in (0.2, 0.7):
        rr.complete(np.where(rng.random(WHOLE.shape) < share, WHOLE, np.nan), **QUICK)
    assert "have no observation" not in caplog.text


@pytest.mark.parametrize("form", [np.asarray, array_of, table_of])
def test_observed_entries_outside_the_domain_are_left_out(form, caplog):
    expected = rr.complete(form(FIELD), domain=MASK, **QUICK)
    polluted = FIELD.copy()
    polluted[3:, 2, 2] = 1e6  # On land.
    found = rr.complete(form(polluted), domain=MASK, **QUICK)
    np.testing.assert_array_equal(found.completed, expected.completed)
    words = "17 of 852 observed entries lie outside the `domain`"
    assert words in caplog.text
    assert "they are left out, such as 1e+06 at" in caplog.text


REFUSED = {
    "observed outside": ({"domain": LAND}, "All observed entries lie outside"),
    "shape": ({"domain": np.ones((3, 3))}, r"has shape \(3, 3\) but the mode dim"),
    "values": ({"domain": 2 * OCEAN}, r"holds 2 at \(0, 0\); use 1 or True"),
    "text": ({"domain": OCEAN.astype(str)}, "has data type <U5; use True"),
    "labels": ({"domain": MASK[:3]}, "has no flag for '4.5' of lat"),
    "no file": ({"domain": "nowhere.npy"}, "nowhere.npy: There is no such file"),
    "name": (
        {"leave_empty": "height"},
        "'height', which is not a mode; the modes are time",
    ),
    "number": ({"leave_empty": 4}, "'4', which is not a mode"),
}


@pytest.mark.parametrize(("options", "words"), REFUSED.values(), ids=REFUSED)
def test_a_domain_that_does_not_fit_is_refused(options, words):
    with pytest.raises(rr.InputError, match=words):
        rr.incomplete_tensor(array_of(FIELD), **options)


@pytest.mark.usefixtures("blank_figures")
def test_the_command_leaves_entries_outside_a_domain_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", np.where(np.isnan(FIELD), -99.9, FIELD).astype(np.float32))
    np.save("ocean.npy", OCEAN)
    words = (
        "complete x.npy --missing -99.9 --domain ocean.npy --models 2 --interval 0.9"
    )
    assert run([*words.split(), "--out", "out", "--quiet"]) == 0
    for name in ("", "-std", "-lower", "-upper"):
        written = np.load(f"out/completed{name}.npy")
        assert written.dtype == np.float32
        assert is_empty_on_land(written)
    words = (
        "complete x.npy --missing -99.9 --leave-empty 1 --models 2 --quiet --out all"
    )
    assert run(words.split()) == 0
    np.testing.assert_array_equal(
        np.load("all/completed.npy"), np.load("out/completed.npy")
    )


@pytest.mark.usefixtures("blank_figures")
def test_the_command_leaves_rows_outside_a_domain_out(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    days = [f"day {1 + time}" for time in range(TIMES)]
    with open("x.csv", "w") as file:
        file.write("day,lat,lon,value\n")
        for at in itertools.product(*map(range, FIELD.shape)):
            value = "missing" if np.isnan(FIELD[at]) else FIELD[at]
            file.write(f"{days[at[0]]},{at[1]},{at[2]},{value}\n")
    with open("ocean.csv", "w") as file:
        file.write("lon,lat,is_ocean\n")
        # In an order of its own.
        for lat, lon in itertools.product(
            range(LATITUDES), range(LONGITUDES - 1, -1, -1)
        ):
            file.write(f"{lon},{lat},{int(OCEAN[lat, lon])}\n")
    words = "complete x.csv --missing missing --domain ocean.csv --models 2 --out out"
    assert run([*words.split(), "--quiet"]) == 0
    written = pd.read_csv("out/completed.csv")
    assert len(written) == OCEAN.sum() * TIMES
    assert OCEAN[written["lat"], written["lon"]].all()
    assert list(written["day"].unique()) == days


def test_values_near_a_large_mean_are_completed():
    whole = 1e12 + 2 * (WHOLE - WHOLE.mean())
    gappy = np.where(np.random.default_rng(0).random(whole.shape) < 0.3, np.nan, whole)
    found = rr.complete(gappy, **QUICK)
    error = np.sqrt(np.mean((found.completed - whole)[np.isnan(gappy)] ** 2))
    assert error < 0.15  # Noise of 0.1, of values that deviate by 3.


def test_slices_without_an_entry_are_not_told_of_as_unobserved(caplog):
    ocean = OCEAN.copy()
    ocean[0] = False
    field = np.where(ocean, FIELD, np.nan)
    field[3] = np.nan
    found = rr.complete(field, domain=ocean, **QUICK)
    assert list(found.unobserved_slices()) == [(0, 3)]
    assert found.unobserved_slice_count == 1
    assert "no entry is observed at index 3 (counted from 0) of mode 1;" in caplog.text


@pytest.mark.slow
def test_gradient_methods_leave_them_empty():
    found = rr.complete(FIELD, domain=OCEAN, method="paper", max_seconds=0.5)
    assert is_empty_on_land(found.completed)


def test_the_rank_is_told_within_a_domain():
    assert rr.estimate_rank(FIELD, domain=OCEAN).rank == 2
