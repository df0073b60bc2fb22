"""Tables, as the first cells of their rows in docs/files.md name them."""

import gzip
import io
import logging
import lzma
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest

from rankrise._errors import InputError
from rankrise.tensors import incomplete_tensor, read_tensor, write_completed

NAN = float("nan")
# Two sites x three years, and what is there once the gaps are filled by 0.5.
WHOLE = np.array([[1.5, NAN, 3.0], [4.0, 5.0, NAN]])
FILLED = np.nan_to_num(WHOLE, nan=0.5)
LONG = "site,year,level\nb,2001,5\na,2000,1.5\na,2002,3\nb,2000,4\n"
LONG_BACK = (
    "site,year,level\na,2000,1.5\na,2001,0.5\na,2002,3.0\n"
    "b,2000,4.0\nb,2001,5.0\nb,2002,0.5\n"
)
WIDE = "site,2000,2001,2002\nb,4,5,\na,1.5,NA,3\n"
WIDE_BACK = "site,2000,2001,2002\nb,4.0,5.0,0.5\na,1.5,0.5,3.0\n"


def put(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def frame():
    return pd.read_csv(io.StringIO(LONG))


def read(path, expected=WHOLE, **options):
    file = read_tensor(path, **options)
    np.testing.assert_array_equal(file.observations.dense(), expected)
    return file


def back(path, expected=WHOLE, filled=FILLED, **options):
    """What the completed file is, read and completed."""
    out = path.parent / "out"
    out.mkdir(exist_ok=True)
    return write_completed(read(path, expected, **options), filled, out)


def restored(source, expected=WHOLE, filled=FILLED, **options):
    incomplete = incomplete_tensor(source, **options)
    np.testing.assert_array_equal(incomplete.observations.dense(), expected)
    return incomplete.restore(filled)


@contextmanager
def told(words):
    """A warning with these words."""
    records = []
    handler = logging.Handler()
    handler.emit = records.append
    logger = logging.getLogger("rankrise")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)
    assert any(words in record.getMessage() for record in records)


def long_text(folder):
    for suffix, delimiter in (("csv", ";"), ("tsv", "\t"), ("txt", " ")):
        path = put(folder / f"x.{suffix}", LONG.replace(",", delimiter))
        written = back(path)
        assert written.name == f"completed.{suffix}"
        assert written.read_text() == LONG_BACK.replace(",", delimiter)


def decimal_commas(folder):
    for text, result in ((LONG, LONG_BACK), (WIDE, WIDE_BACK)):
        text, result = (x.replace(",", ";").replace(".", ",") for x in (text, result))
        with told("numbers are read with decimal commas, such as 1,5 on line 3"):
            written = back(put(folder / "x.csv", text))
        assert written.read_text() == result


def encodings(folder):
    text, result = (x.replace("b", "für") for x in (LONG, LONG_BACK))
    for encoding in ("utf-16", "utf-8-sig", "cp1252"):
        (folder / "x.csv").write_bytes(text.encode(encoding))
        written = back(folder / "x.csv")
        assert written.read_bytes() == result.encode(encoding)
    with told("read as cp1252 (Western European), with words such as 'für'"):
        read(folder / "x.csv")


def row_names(folder):
    quoted = '"site" "year" "level"\n"1" "New York" 2000 1.5\n"3" "b" 2001 3\n'
    long = [[NAN, 3], [1.5, NAN]][::-1]
    with told("the header has one column fewer than the rows"):
        written = back(
            put(folder / "x.txt", quoted), long, np.nan_to_num(long, nan=0.5)
        )
    assert written.read_text().splitlines()[:2] == [
        "site year level",
        '"New York" 2000 1.5',
    ]
    wide = '"2000" "2001" "2002"\n"b" 4 5 NA\n"a" 1.5 NA 3\n'
    written = back(put(folder / "x.txt", wide))
    assert written.read_text() == "2000 2001 2002\nb 4.0 5.0 0.5\na 1.5 0.5 3.0\n"


def wide_text(folder):
    path = put(folder / "x.csv", WIDE)
    with told("read as a wide table: rows ('site') x 3 columns, '2000' to '2002'"):
        assert back(path).read_text() == WIDE_BACK
    assert back(path, layout="wide").read_text() == WIDE_BACK
    several = "site,sex,2000,2001\nb,f,1,2\nb,m,3,4\na,f,,6\n"
    expected = np.array([[[NAN, 6], [NAN, NAN]], [[1, 2], [3, 4]]])
    written = back(
        put(folder / "y.csv", several), expected, np.nan_to_num(expected, nan=0.5)
    )
    lines = written.read_text().splitlines()
    assert lines[1:] == ["b,f,1.0,2.0", "b,m,3.0,4.0", "a,f,0.5,6.0", "a,m,0.5,0.5"]


def frostt(folder):
    rows = "1 1 1.5\n2 1 4\n1 3 3\n2 2 5\n"
    for text, head in (
        (rows, ""),
        (f"# FROSTT\n{rows}", ""),
        (f"2\n2 3\n{rows}", "2\n2 3\n"),
        (f"sptensor\n2\n2 3\n4\n{rows}", "sptensor\n2\n2 3\n6\n"),
    ):
        written = back(put(folder / "x.tns", text)).read_text()
        assert written.startswith(f"{head}1 1 1.5\n1 2 0.5\n")
        assert len(written.splitlines()) == len(head.splitlines()) + 6


def compressed(folder):
    pa = pytest.importorskip("pyarrow")
    packings = {
        "gz": (gzip.compress, gzip.decompress),
        "xz": (lzma.compress, lzma.decompress),
        "zst": (
            lambda data: pa.compress(data, "zstd", asbytes=True),
            lambda data: pa.input_stream(io.BytesIO(data), compression="zstd").read(),
        ),
    }
    for suffix, (pack, unpack) in packings.items():
        path = folder / f"x.csv.{suffix}"
        path.write_bytes(pack(LONG.encode()))
        written = back(path)
        assert written.name == f"completed.csv.{suffix}"
        assert unpack(written.read_bytes()).decode() == LONG_BACK
    (folder / "y.csv.gz").write_bytes(gzip.compress(LONG.encode())[:-9])
    with pytest.raises(InputError, match=r"cannot be read as \.gz of text"):
        read_tensor(folder / "y.csv.gz")


def parquet(folder):
    pytest.importorskip("pyarrow")
    source = frame().astype({"site": "category", "year": "int16", "level": "float32"})
    source.to_parquet(folder / "x.parquet")
    written = pd.read_parquet(back(folder / "x.parquet"))
    pd.testing.assert_series_equal(written.dtypes, source.dtypes)
    assert written["level"].tolist() == FILLED.ravel().tolist()
    wide = source.pivot(index="site", columns="year", values="level")
    wide.columns = wide.columns.map(str)
    wide.to_parquet(folder / "y.parquet")
    written = pd.read_parquet(back(folder / "y.parquet"))
    assert list(written) == ["site", "2000", "2001", "2002"]


def feather(folder):
    pytest.importorskip("pyarrow")
    frame().to_feather(folder / "x.feather")
    written = pd.read_feather(back(folder / "x.feather"))
    pd.testing.assert_series_equal(written.dtypes, frame().dtypes)
    assert written["level"].tolist() == FILLED.ravel().tolist()


def excel(folder):
    pytest.importorskip("openpyxl")
    for source in (frame(), pd.read_csv(io.StringIO(WIDE))):
        source.to_excel(folder / "x.xlsx", index=False)
        written = pd.read_excel(back(folder / "x.xlsx"))
        assert list(map(str, written)) == list(source)
        assert np.nansum(written.iloc[:, -1]) == {3: 14.5, 4: 3.5}[len(source.columns)]


def long_frame(_):
    source = frame().astype({"year": "int16", "level": "float32"})
    found = restored(source)
    pd.testing.assert_series_equal(found.dtypes, source.dtypes)
    assert found["level"].tolist() == FILLED.ravel().tolist()
    indexed = restored(source.set_index(["site", "year"]))
    assert indexed.index.names == ["site", "year"]
    pd.testing.assert_frame_equal(indexed.reset_index(), found)


def wide_frame(_):
    source = frame().pivot(index="site", columns="year", values="level")
    found = restored(source)
    pd.testing.assert_frame_equal(found, source.fillna(0.5))
    assert found.columns.name == "year"
    assert incomplete_tensor(source).mode_names == ("site", "year")
    # Without labels, with gaps anywhere or in the last column alone.
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 3))
    for gaps in ((slice(None), 2), (slice(None, None, 2), slice(None))):
        gappy = values.copy()
        gappy[3:9][gaps] = NAN
        found = restored(pd.DataFrame(gappy), gappy, values)
        pd.testing.assert_frame_equal(found, pd.DataFrame(values))


def levels_of_columns(_):
    columns = pd.MultiIndex.from_product([["in", "out"], [1, 2]], names=["way", "hour"])
    source = pd.DataFrame([[1, 2, NAN, 4], [5, 6, 7, 8]], ["p", "q"], columns)
    expected = np.array([[[1, 2], [NAN, 4]], [[5, 6], [7, 8]]])
    found = restored(source, expected, np.nan_to_num(expected, nan=0.5))
    pd.testing.assert_frame_equal(found, source.fillna(0.5).astype(float))


def series(_):
    source = frame().set_index(["site", "year"])["level"]
    found = restored(source)
    assert isinstance(found, pd.Series)
    assert found.name == "level"
    assert found[("b", 2002)] == 0.5


def arrow(_):
    pa = pytest.importorskip("pyarrow")
    source = pa.Table.from_pandas(frame(), preserve_index=False)
    found = restored(source)
    assert found.schema.equals(source.schema, check_metadata=False)
    assert found["level"].to_pylist() == FILLED.ravel().tolist()


def no_modes(folder):
    """A condition of each trial, a time of each row."""
    rows = [
        (
            trial,
            "xy"[trial % 2],
            second,
            10**9 + 7 * trial + 91 * second,
            trial * second,
        )
        for trial in range(6)
        for second in range(5)
    ]
    names = ["trial", "condition", "second", "stamp", "value"]
    source = pd.DataFrame(rows, columns=names)
    path = folder / "x.csv"
    source.to_csv(path, index=False)
    expected = np.outer(range(6), range(5)).astype(float)
    with told("'stamp' differs from row to row, so it is not a mode and is left out"):
        written = back(path, expected, expected)
    with told("'condition' is constant within 'trial', so it is not a mode"):
        read(path, expected)
    kept = source.drop(columns="stamp").astype({"value": float})
    pd.testing.assert_frame_equal(pd.read_csv(written), kept)
    pd.testing.assert_frame_equal(restored(source, expected, expected), kept)


def by_name(folder):
    text = "when,item,rating,user\n" + "".join(
        f"{n},{n % 2},{n + 1},{n // 2}\n" for n in range(4)
    )
    path = put(folder / "x.csv", text)
    expected = np.array([[1.0, 2], [3, 4]])
    options = {"variable": "rating", "modes": ("user", "item")}
    written = back(path, expected, expected, **options).read_text()
    assert written.splitlines()[:2] == ["item,rating,user", "0,1.0,0"]
    restored(
        pd.read_csv(path), expected, expected, values="rating", modes=("user", "item")
    )
    with pytest.raises(InputError, match="no column 'stars' for the values; the col"):
        read_tensor(path, variable="stars")


def comments(folder):
    text = "# of a lab\n# in spring\ntag\tday\tn\n#a\t1\t2\nb\t1\t3\n#b\t2\t4\n"
    path = put(folder / "x.tsv", text)
    expected = np.array([[2, NAN], [NAN, 4], [3, NAN]])
    with told("2 comment line(s) before the first row are skipped"):
        written = back(path, expected, np.nan_to_num(expected, nan=0.5))
    assert written.read_text().startswith("tag\tday\tn\n#a\t1\t2.0\n")
    text = "# Constructed\n#SampleID\tS1\tS2\nb\t4\t5\na\t1.5\t\n"
    path = put(folder / "y.txt", text)
    written = back(path, [[1.5, NAN], [4, 5]], np.ones((2, 2)))
    assert written.read_text() == "#SampleID\tS1\tS2\nb\t1.0\t1.0\na\t1.0\t1.0\n"
    put(path, "a,b,n\nx,y,1\n# late\n")
    with pytest.raises(InputError, match=r"Line 3 has 1 field\(s\) but line 1 has 3"):
        read_tensor(path)


def censored(folder):
    path = put(folder / "x.csv", LONG.replace(",4\n", ",<0.05\n"))
    with pytest.raises(InputError, match=r"Line 5 .* '<0\.05' in .*; set `cens"):
        read_tensor(path)
    for choice, value in (("half", 0.025), ("limit", 0.05)):
        expected = np.where(WHOLE == 4, value, WHOLE)
        read(path, expected, censored=choice)
        read(
            put(folder / "y.csv", WIDE.replace("4", "<0.05")), expected, censored=choice
        )


def repeats(folder):
    path = put(folder / "x.csv", LONG + "b,2000,6\n")
    with pytest.raises(
        InputError, match=r"Lines 5 and 6 both give the entry \('b', 2000"
    ):
        read_tensor(path)
    for choice, value in (("mean", 5), ("last", 6)):
        expected = np.where(WHOLE == 4, value, WHOLE)
        read(path, expected, repeats=choice)
        restored(pd.read_csv(path), expected, repeats=choice)


FORMS = {
    "`.csv`, `.tsv`, `.txt`, long": long_text,
    "`.csv`, `.tsv`, `.txt`, wide": wide_text,
    "decimal commas, such as `3,14`": decimal_commas,
    "UTF-16 and cp1252": encodings,
    "row names of R's `write.table`": row_names,
    "`.tns` (FROSTT)": frostt,
    "compressed text: `.gz`, `.zst`, `.xz`": compressed,
    "`.parquet`": parquet,
    "`.feather`": feather,
    "`.xlsx`": excel,
    "`pandas.DataFrame`, long": long_frame,
    "`pandas.DataFrame`, wide": wide_frame,
    "`pandas.DataFrame` with several levels of columns": levels_of_columns,
    "`pandas.Series` with a MultiIndex": series,
    "`pyarrow.Table`": arrow,
    "columns that are not modes": no_modes,
    "columns by name": by_name,
    "comments, and labels with #": comments,
    "values below a limit, such as `<0.05`": censored,
    "entries given more than once": repeats,
}
