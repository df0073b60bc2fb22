"""Tables in files: what is read, and what is refused by name."""

import logging
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest

from rankrise._errors import InputError
from rankrise.tables import TableColumns, load_labelled_set
from rankrise.tables._table_files import read_table_file
from rankrise.tensors.files import _declared

FRAME = pd.DataFrame(
    {
        "colour": ["red", "blue", None, "red"] * 5,
        "code": [101, 205, 101, 333] * 5,
        "size": [0.5, 1.5, 2.5, np.nan] * 5,
        "kind": ["a", "b", "b", "a"] * 5,
    }
)
KIND = TableColumns(target=("kind",))


def written_by(method, library=None, **options):
    def write(path):
        if library:
            pytest.importorskip(library)
        getattr(FRAME, method)(path, **options)

    return write


WRITERS = {
    ".csv": written_by("to_csv", index=False),
    ".tsv": written_by("to_csv", index=False, sep="\t"),
    ".txt": written_by("to_csv", index=False, sep=";"),
    ".csv.gz": written_by("to_csv", index=False),
    ".tsv.xz": written_by("to_csv", index=False, sep="\t"),
    ".parquet": written_by("to_parquet", "pyarrow"),
    ".feather": written_by("to_feather", "pyarrow", compression="uncompressed"),
    ".xlsx": written_by("to_excel", "openpyxl", index=False),
}


@pytest.fixture
def csv(tmp_path):
    """Write lines to a file."""

    def written(text, name="x.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return written


@pytest.fixture
def npz(tmp_path):
    """Write arrays to a file."""

    def written(**arrays):
        np.savez(tmp_path / "x.npz", **arrays)
        return tmp_path / "x.npz"

    return written


@pytest.mark.parametrize("form", WRITERS)
def test_a_table_is_read_as_it_was_written(form, tmp_path):
    path = tmp_path / f"x{form}"
    WRITERS[form](path)
    table = read_table_file(path, KIND)
    assert list(table.features) == ["colour", "code", "size"]
    assert table.features["colour"].isna().tolist() == [False, False, True, False] * 5
    np.testing.assert_array_equal(table.features["size"], FRAME["size"])
    assert table.targets["kind"].tolist() == FRAME["kind"].tolist()
    assert len(table.content_sha256) == 64


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_csv_may_have_any_usual_delimiter(mark, csv):
    path = csv(f"\ufeffa{mark}b\n1{mark}2\n3{mark}?\n")
    table = read_table_file(path, TableColumns(target=("a",)))
    np.testing.assert_array_equal(table.features["b"], [2, np.nan])


def test_a_name_in_quotation_marks_may_hold_other_delimiters(csv):
    path = csv('"size, in cm";"kind, or ""sort"", or, none"\n1;a\n2;b\n')
    columns = TableColumns(target=('kind, or "sort", or, none',))
    table = read_table_file(path, columns)
    np.testing.assert_array_equal(table.features["size, in cm"], [1, 2])


WORDS = ("NA", "N/A", "NaN", "NULL", "None", "<NA>", "n/a", "nan", "null", "#N/A", "?")


@pytest.mark.parametrize("word", WORDS)
def test_words_for_what_is_missing_are_those_of_the_documentation(word, csv):
    table = read_table_file(csv(f"a,kind\n{word},x\nb,y\n"), KIND)
    assert table.features["a"].isna().tolist() == [True, False]


def test_a_class_of_an_npz_may_be_called_none(npz):
    path = npz(X=np.arange(8) % 3, y=np.array(["None", "NA"] * 4))
    samples = load_labelled_set(path, test_share=0.25)
    assert set(samples.train_labels) == {"None", "NA"}


def test_columns_are_left_out_and_taken_for_categories(tmp_path):
    FRAME.to_csv(tmp_path / "x.csv", index=False)
    columns = TableColumns(target=("kind",), drop=("size",), categories=("code",))
    samples = load_labelled_set(tmp_path / "x.csv", columns=columns, levels=2)
    # Two levels of three numbers, but three categories; a colour may be missing.
    assert samples.train.cardinalities == (3, 3)
    assert (samples.kind, samples.source) == ("classes", str(tmp_path / "x.csv"))


def test_several_columns_are_values(tmp_path):
    FRAME.assign(weight=1.0 * FRAME["code"]).to_csv(tmp_path / "x.csv", index=False)
    columns = TableColumns(target=("code", "weight"))
    samples = load_labelled_set(tmp_path / "x.csv", columns=columns)
    assert (samples.kind, samples.target_names) == ("values", ("code", "weight"))
    assert samples.train_labels.shape == (16, 2)


def test_the_arrays_of_an_npz_are_x_and_y_or_named(npz):
    images, labels = np.arange(60).reshape(5, 3, 4), np.array(list("ababa"))
    table = read_table_file(npz(X=images, y=labels, other=0), TableColumns())
    np.testing.assert_array_equal(table.features, images.reshape(5, 12))
    assert table.targets.tolist() == list("ababa")
    columns = TableColumns(features="pixels", target=("names",))
    table = read_table_file(npz(pixels=np.arange(5), names=labels), columns)
    assert table.features.shape == (5, 1)


def test_comments_before_the_first_line_are_no_rows_and_names_may_begin_as_they_do(csv):
    text = "# made by hand\n{}id,a,kind\n1,2,x\n3,4,y\n"
    plain, marked = (
        read_table_file(csv(text.format(mark)), KIND) for mark in ("", "#")
    )
    assert (list(plain.features), list(marked.features)) == (["id", "a"], ["#id", "a"])
    assert (
        plain.targets["kind"].tolist() == marked.targets["kind"].tolist() == ["x", "y"]
    )


def test_columns_that_only_name_the_rows_are_warned_of(csv, caplog):
    rows = "".join(f"{k},name {k},{k % 3},{k % 2}\n" for k in range(20))
    with caplog.at_level(logging.WARNING):
        read_table_file(csv(f"id,name,b,kind\n{rows}"), KIND)
    assert [record.args[0] for record in caplog.records] == ["'id'", "'name'"]
    assert "only names the rows; it is best left out (name it in `drop`)" in caplog.text


ROWS = "a,b,kind\n1,x,0\n2,y,1\n"
NAMES = "\n".join(f"name {k},{k % 3},{k % 2}" for k in range(300))


@pytest.mark.parametrize(
    ("text", "columns", "words"),
    [
        ("", KIND, "It is empty"),
        ("a,b,kind\n", KIND, "It has no rows"),
        (ROWS, TableColumns(), r"Name the column to predict \(`target`\); .*'kind'"),
        (ROWS, TableColumns(target=("c",)), "no column 'c'; the first line names 'a'"),
        (ROWS, TableColumns(target=("kind",), drop=("c",)), "no column 'c'"),
        (ROWS, TableColumns(target=("kind",), categories=("c",)), "no column 'c'"),
        (ROWS, TableColumns(target=("a", "b", "kind")), "no column beside those"),
        (ROWS, TableColumns(target=("kind",), features="X"), r"arrays of an \.npz"),
        (f"{ROWS}1,2,3,4\n", KIND, r"Line 4 has 4 field\(s\) but line 1 has 3"),
        ('a,"b\nc"\n1,2\n3,4,5\n', KIND, r"Line 4 has 3 field\(s\) but line 1 has 2"),
        ("a,kind\n1,2,3\n4,5,6\n", KIND, r"Line 2 has 3 field\(s\) but line 1 has 2"),
        (f"name,b,kind\n{NAMES}", KIND, r"'name' has 300 different texts.* \(`drop`\)"),
        ("a,kind\n1,x\n2,x\n3,x\n4,x\n", KIND, "All samples for training have x as ta"),
        ("a,kind\n1,x\n1,y\n1,x\n1,y\n", KIND, "No feature differs between samples"),
        ("a,kind\n1,x\n2,\n3,y\n4,x\n", KIND, "Line 3 has nothing to predict"),
        ('a,kind\n\n"1\n",x\n2,\n3,y\n4,x\n', KIND, "Line 5 has nothing to predict"),
        ("a,kind\n1,x\n2,y\n3,y\ninf,x\n", KIND, "Line 5 has an infinite number"),
        ("kind,a\n1.5,x\n\n2.5,y\ninf,y\n", KIND, "Line 5 has an infinite number"),
    ],
)
def test_a_csv_that_cannot_be_used_is_refused_by_name(text, columns, words, csv):
    with pytest.raises(InputError, match=words) as refusal:
        load_labelled_set(csv(text), columns=columns)
    assert str(refusal.value).startswith("x.csv: ")


def test_a_csv_in_no_encoding_is_refused(tmp_path):
    (tmp_path / "x.csv").write_bytes(b"\x00a,b\x81\n")
    with pytest.raises(InputError, match=r"x\.csv: It is not UTF-8 text \(line 1"):
        read_table_file(tmp_path / "x.csv", KIND)


@pytest.mark.parametrize(
    ("arrays", "columns", "words"),
    [
        ({"X": np.ones(3)}, TableColumns(), r"no array 'y'; it holds 'X', so name"),
        ({"X": np.ones(3), "y": np.ones(3)}, KIND, "no array 'kind'"),
        (
            {"X": np.ones(3), "y": np.ones(3)}, TableColumns(drop=("a",)),
            r"columns of an \.npz have no names",
        ),
        ({"X": np.array(3), "y": np.ones(3)}, TableColumns(), "'X' is one number"),
        (
            {"X": np.ones((0, 5)), "y": np.ones(0)}, TableColumns(),
            r"'X' has shape \(0, 5\); give at least one sample",
        ),
        (
            {"X": np.array([{}], dtype=object), "y": np.ones(1)}, TableColumns(),
            "never unpickled",
        ),
    ],
)  # fmt: skip
def test_an_npz_that_cannot_be_used_is_refused(arrays, columns, words, npz):
    with pytest.raises(InputError, match=rf"x\.npz: .*{words}"):
        read_table_file(npz(**arrays), columns)


def test_a_damaged_npz_is_refused(npz):
    path = npz(X=np.ones((9, 9)), y=np.ones(9))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match=r"x\.npz: It cannot be read as a \.npz"):
        read_table_file(path, TableColumns())


def test_the_size_of_a_table_is_known_before_it_is_read(csv, tmp_path, monkeypatch):
    monkeypatch.setattr(_declared, "MAX_DENSE_BYTES", 20)
    monkeypatch.setattr(pd, "read_csv", None)
    with pytest.raises(InputError, match=r"needs more than .* fewer rows or columns"):
        read_table_file(csv(ROWS), KIND)


def test_an_npz_that_declares_more_than_it_has_takes_no_memory(tmp_path):
    header = "{'descr': '<f8', 'fortran_order': False, 'shape': (1000000, 1000000), }"
    magic = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little")
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for name in ("X.npy", "y.npy"):
            archive.writestr(name, magic + header.encode().ljust(117) + b"\n")
    with pytest.raises(InputError, match=r"'X' and 'y' needs more than .* GiB"):
        read_table_file(tmp_path / "x.npz", TableColumns())


def test_parquet_without_pyarrow_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    words = (
        r"x\.parquet: Parquet files need pyarrow.* pip install 'rankrise\[parquet\]'"
    )
    with pytest.raises(InputError, match=words):
        read_table_file(tmp_path / "x.parquet", KIND)


def test_a_damaged_parquet_file_is_refused(tmp_path):
    pytest.importorskip("pyarrow")
    (tmp_path / "x.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(InputError, match=r"cannot be read as a \.parquet table"):
        read_table_file(tmp_path / "x.parquet", KIND)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "nonsense",
            "no data set 'nonsense'; choose digits, mnist or fashion",
        ),
        ("none.csv", r"none\.csv: There is no such file in"),
        ("x.mat", r"x\.mat: The extension '\.mat' is not known; use"),
        ("none.mat", r"none\.mat: The extension '\.mat' is not known; use"),
        ("folder.csv", r"folder\.csv: It is a directory"),
    ],
)
def test_what_is_neither_a_set_nor_a_table_is_refused(name, words, csv, tmp_path):
    csv("1", "x.mat")
    (tmp_path / "folder.csv").mkdir()
    given = name if name == "nonsense" else tmp_path / name
    with pytest.raises(InputError, match=words):
        load_labelled_set(given)
