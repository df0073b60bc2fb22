"""Tables that packages ship are one tensor: long or wide, by the command or pandas."""

import importlib.util
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rankrise._errors import InputError
from rankrise.cli._main import run
from rankrise.tensors import incomplete_tensor, read_tensor

pytestmark = pytest.mark.usefixtures("blank_figures")

ELECTRICITY = "iowa-electricity.csv"
# Package, file, and the columns of rows, of columns and of values of a long table; of a
# wide one the rows alone.
TABLES = {
    "yields of barley": ("vega_datasets", "barley.json", ["variety", "site"], "year"),
    "prices": ("vega_datasets", "stocks.csv", ["symbol"], "date"),
    "electricity": ("vega_datasets", ELECTRICITY, ["year"], "source"),
    "employment": ("vega_datasets", "us-employment.csv", ["month"], None),
    "investments": ("statsmodels", "grunfeld/grunfeld.csv", ["firm"], "year"),
    "unemployment": ("statsmodels", "macrodata/macrodata.csv", ["year"], "quarter"),
    "ocean": ("statsmodels", "elnino/elnino.csv", ["YEAR"], None),
    "births": ("statsmodels", "fertility/fertility.csv", ["Country Name"], None),
    "crimes": ("statsmodels", "statecrime/statecrime.csv", ["state"], None),
}
VALUES = {"barley.json": "yield", "stocks.csv": "price", ELECTRICITY: "net_generation"}
VALUES |= {"grunfeld.csv": "invest", "macrodata.csv": "unemp"}
# Texts that describe each country.
BESIDE = ["Country Code", "Indicator Name", "Indicator Code"]
QUICK = ["--models", "1", "--max-components", "1", "--no-smooth"]


def shipped(package, name):
    found = importlib.util.find_spec(package)
    if found is None:
        pytest.skip(f"{package}, whose tables are read, is not installed")
    inner = {"vega_datasets": "_data", "statsmodels": "datasets"}[package]
    path = Path(found.origin).parent / inner / name
    if not path.exists():
        pytest.skip(f"this version of {package} ships no {name}")
    return path


@pytest.fixture(params=TABLES.values(), ids=TABLES)
def table(request):
    """The file, the same as a wide frame, and the names to read it by."""
    package, name, rows, columns = request.param
    path = shipped(package, name)
    frame = (pd.read_json if path.suffix == ".json" else pd.read_csv)(path)
    if columns is None:
        return path, frame.drop(columns=BESIDE, errors="ignore").set_index(rows), None
    values = VALUES[path.name]
    wide = frame.pivot(index=rows, columns=columns, values=values)
    return path, wide, (values, [*rows, columns])


def cells(observations, axes):
    """The observed entries by their labels, as text, whatever the order of modes."""
    texts = [[axis.label(n).strip() for n in range(len(axis.labels))] for axis in axes]
    found = {
        frozenset(texts[mode][index] for mode, index in enumerate(row)): value
        for row, value in zip(observations.indices, observations.values, strict=True)
    }
    assert len(found) == len(observations)
    return found


def expected_cells(wide):
    long = wide.melt(ignore_index=False, value_name="the values").reset_index()
    long = long.dropna(subset="the values")
    labels = long.drop(columns="the values").astype(str)
    return {
        frozenset(map(str.strip, row)): value
        for row, value in zip(
            labels.itertuples(index=False), long["the values"], strict=True
        )
    }


def test_every_form_of_a_table_gives_the_same_tensor(table, tmp_path):
    path, wide, names = table
    expected = expected_cells(wide)
    assert len(expected) > 40
    series = wide.stack().rename("value").dropna()
    series.index.names = [*wide.index.names, wide.columns.name or "column"]
    long = series.reset_index()
    wide.to_csv(tmp_path / "wide.csv")
    long.to_csv(tmp_path / "long.tsv", sep="\t", index=False)
    values, modes = names or (None, None)
    ways: dict[str, Any] = {
        "wide frame": incomplete_tensor(wide, layout="wide"),
        "long frame": incomplete_tensor(long),
        "series": incomplete_tensor(series),
        "wide file": read_tensor(tmp_path / "wide.csv", layout="wide"),
        "long file": read_tensor(tmp_path / "long.tsv"),
    }
    if path.suffix == ".csv":
        ways["shipped"] = read_tensor(path, variable=values, modes=modes)
        frame = pd.read_csv(path)
        ways["frame"] = incomplete_tensor(frame, values=values, modes=modes)
    for way, found in ways.items():
        in_file = hasattr(found, "layout")
        axes = found.layout.axes(found.observations.order) if in_file else found.axes
        assert cells(found.observations, axes) == expected, way


def test_the_command_completes_the_same_tensor(table, tmp_path, monkeypatch):
    path, wide, names = table
    monkeypatch.chdir(tmp_path)
    if path.suffix == ".json":
        path = tmp_path / "wide.csv"
        wide.to_csv(path)
        names = None
    named = [] if names is None else ["--variable", names[0], "--modes", *names[1]]
    assert run(["complete", str(path), *named, *QUICK, "--out", "r"]) == 0
    completed = pd.read_csv(tmp_path / "r" / "completed.csv")
    if names is not None:
        completed = completed.pivot(
            index=names[1][:-1], columns=names[1][-1], values=names[0]
        )
    else:
        completed = completed.drop(columns=BESIDE, errors="ignore")
        completed = completed.set_index(list(wide.index.names))
    # Of a year or a country without any observation nothing is known.
    known = completed.dropna(axis=1, how="all").dropna(how="all")
    assert not known.isna().to_numpy().any()
    found, expected = expected_cells(completed), expected_cells(wide)
    assert {key: found[key] for key in expected} == pytest.approx(expected, rel=1e-12)


def test_columns_of_measured_numbers_are_no_modes_without_being_named(tmp_path):
    path = shipped("statsmodels", "grunfeld/grunfeld.csv")
    with pytest.raises(InputError, match=r"'invest', 'value', 'capital' are measured"):
        read_tensor(path)
    with pytest.raises(InputError, match=r"numbers that hardly repeat.*\(`modes`\)"):
        incomplete_tensor(pd.read_csv(path))
