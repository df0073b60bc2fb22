"""Parquet files: labels of any kind, their types, and what is refused by name."""

import datetime
import decimal
import sys

import numpy as np
import pandas as pd
import pytest

from rankrise._errors import InputError
from rankrise.tensors.files import _declared, _table_form, read_tensor

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

DAYS = [datetime.date(2024, 3, day) for day in (2, 1, 5)]


def table_file(path, columns):
    parquet.write_table(pa.table(columns), path)
    return path


def diary(path):
    """Labels of many kinds, each out of order, and an entry without value."""
    columns = {
        "day": pa.array([DAYS[0], DAYS[1], DAYS[2]]),
        "who": pa.array(["zoe", "adam", "zoe"]),
        "size": pa.DictionaryArray.from_arrays(
            pa.array([1, 0, 0], pa.int8()), ["small", "large", "huge"], ordered=True
        ),
        "awake": pa.array([True, False, False]),
        "price": pa.array([decimal.Decimal("2.50"), decimal.Decimal("0.75")] * 2)[:3],
        "mood": pa.array([0.5, None, -1.0], pa.float32()),
    }
    return table_file(path, columns)


def test_labels_are_ascending_and_categories_in_their_order(tmp_path):
    observations = read_tensor(diary(tmp_path / "x.parquet")).observations
    assert observations.mode_dims == (3, 2, 3, 2, 2)
    assert observations.indices.tolist() == [[1, 1, 1, 1, 1], [2, 1, 0, 0, 1]]
    assert observations.values.tolist() == [0.5, -1.0]


def test_the_completed_table_has_the_types_of_the_input(tmp_path, complete):
    path = diary(tmp_path / "x.parquet")
    before, after = parquet.read_table(path), parquet.read_table(complete(path))
    assert after.schema.equals(before.schema)
    assert after.num_rows == 3 * 2 * 3 * 2 * 2
    rows = after.to_pylist()
    expected = {**before.to_pylist()[1], "mood": 0.5}  # as `fill` says
    assert rows.count(expected) == 1
    assert rows.count(before.to_pylist()[2]) == 1
    assert [row["day"] for row in rows] == sorted(row["day"] for row in rows)


def test_a_table_is_written_some_rows_at_a_time(tmp_path, monkeypatch, complete):
    path = diary(tmp_path / "x.parquet")
    whole = parquet.read_table(complete(path))
    monkeypatch.setattr(_table_form, "_BLOCK_ROWS", 7)
    written = complete(path)
    assert parquet.read_metadata(written).num_row_groups == 11  # 72 rows
    assert parquet.read_table(written).equals(whole)


def test_whole_numbers_are_indices_where_mode_dims_are_given(tmp_path, complete):
    columns = {
        "a": pa.array([7, 2], pa.int8()),
        "b": ["x", "y"],
        "value": [1.0, 2.0],
    }
    path = table_file(tmp_path / "x.parquet", columns)
    assert read_tensor(path).observations.mode_dims == (2, 2)
    file = read_tensor(path, mode_dims=(9, 2))
    assert file.observations.indices.tolist() == [[7, 0], [2, 1]]
    with pytest.raises(
        InputError, match=r"Row 0 has the index 7 .*'a'; .* dimension 7"
    ):
        read_tensor(path, mode_dims=(7, 2))
    with pytest.raises(InputError, match=r"'b' has 2 labels but .* dimension 3"):
        read_tensor(path, mode_dims=(9, 3))
    with pytest.raises(InputError, match=r"2 columns besides the values .* 3 modes"):
        read_tensor(path, mode_dims=(9, 3, 1))


def test_the_variable_is_the_column_of_values(tmp_path):
    path = table_file(
        tmp_path / "x.parquet", {"value": [1.5, 2], "a": ["p", "q"], "b": [3, 4]}
    )
    file = read_tensor(path, variable="value")
    assert (file.variable, file.observations.values.tolist()) == ("value", [1.5, 2])
    with pytest.raises(InputError, match=r"no column 'c' .*'value', 'a', 'b'"):
        read_tensor(path, variable="c")


def test_a_named_index_of_pandas_is_modes_and_row_numbers_are_none(tmp_path):
    frame = pd.DataFrame({"a": ["p", "q", "r"], "b": [3, 4, 4], "v": [1.0, 2.0, 3.0]})
    frame.iloc[[2, 0]].to_parquet(tmp_path / "filtered.parquet")
    frame.set_index(["a", "b"]).to_parquet(tmp_path / "indexed.parquet")
    filtered = read_tensor(tmp_path / "filtered.parquet").observations
    assert (filtered.indices.tolist(), filtered.values.tolist()) == (
        [[1, 1], [0, 0]],
        [3, 1],
    )
    indexed = read_tensor(tmp_path / "indexed.parquet").observations
    assert indexed.indices.tolist() == [[0, 0], [1, 1], [2, 1]]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"v": [1.0, 2.0, 3.0], "b": [4, 4, 5]}, r"Rows 0 and 1 both .*\('p', 4\)"),
        ({"v": [1.0, 2.0, float("inf")]}, r"Row 2 gives the entry \('q', 5\) .*inf"),
        ({"v": ["1", "2", "3"]}, "'v', cannot have data type string; real"),
        ({"v": DAYS}, "data type date32"),
        ({"v": [None] * 3}, "entries is observed"),
        ({"v": pa.nulls(3, pa.float64())}, "entries is observed"),
        ({"a": ["p", None, "q"]}, "Row 1 has no label in the column 'a'"),
        ({"b": pa.array([4, None, 5])}, "Row 1 has no label in the column 'b';"),
        ({"a": [None, *DAYS[1:]]}, "Row 0 has no label in the column 'a';"),
        ({"b": [1.0, 2.0, float("nan")]}, "Row 2 has no label in the column 'b'"),
        ({"b": [[1], [2], [3]]}, "'b' of data type list.* cannot be labels"),
        ({"a": pa.array([], pa.string()), "b": [], "v": []}, "It has no rows"),
    ],
)
def test_what_is_no_long_form_is_refused_by_name(change, message, tmp_path):
    columns = {"a": ["p", "p", "q"], "b": [4, 6, 5], "v": [1.0, 2.0, 3.0]}
    path = table_file(tmp_path / "x.parquet", columns | change)
    with pytest.raises(InputError, match=rf"^x\.parquet: .*{message}"):
        read_tensor(path)


def test_too_few_columns_are_refused(tmp_path):
    path = table_file(tmp_path / "x.parquet", {"a": [1, 2], "v": [1.0, 2.0]})
    with pytest.raises(InputError, match=r"2 column\(s\), 'a', 'v'; a long table"):
        read_tensor(path)


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_parquet_file_is_refused(kept, tmp_path):
    path = diary(tmp_path / "x.parquet")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(InputError, match=r"^x\.parquet: It cannot be read"):
        read_tensor(path)


def test_a_table_too_large_for_memory_is_refused(tmp_path, monkeypatch):
    path = diary(tmp_path / "x.parquet")
    monkeypatch.setattr(_declared, "MAX_DENSE_BYTES", 8 * 3 * 6 - 1)
    with pytest.raises(InputError, match="Its table needs more than"):
        read_tensor(path)


def test_long_text_that_repeats_takes_memory_once(tmp_path):
    rows, text = 2000, "x" * 10**6  # 2 GB of plain text, and a file of a few KB
    columns = {
        "a": pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), [text]),
        "b": np.arange(rows),
        "v": np.ones(rows),
    }
    path = tmp_path / "x.parquet"
    parquet.write_table(pa.table(columns), path, store_schema=False)
    assert pa.types.is_string(parquet.read_schema(path).field("a").type)
    most = pa.default_memory_pool().max_memory()
    assert read_tensor(path).observations.mode_dims == (1, rows)
    assert pa.default_memory_pool().max_memory() - most < 10**8


def test_parquet_without_pyarrow_is_one_sentence(tmp_path, monkeypatch):
    path = diary(tmp_path / "x.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InputError, match=r"need pyarrow.* 'rankrise\[parquet\]'"):
        read_tensor(path)
