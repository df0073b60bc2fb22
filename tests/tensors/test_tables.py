"""Tables as people have them: wide or long, and which columns are modes."""

import gzip
import io
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import sklearn.datasets

from rankrise._errors import InputError
from rankrise.tensors import (
    Observations,
    incomplete_tensor,
    read_tensor,
    write_completed,
)

SHIPPED = Path(sklearn.datasets.__file__).parent / "data"
NAN = float("nan")


def csv_file(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def both(path, text, **options):
    """The tensor of a file with names of columns, the same as pandas gives."""
    file = read_tensor(csv_file(path, text), **options)
    frame = pd.read_csv(io.StringIO(text))
    incomplete = incomplete_tensor(frame, **options)
    from_file = file.layout.axes(file.observations.order)
    for ours, theirs in zip(from_file, incomplete.axes, strict=True):
        assert list(map(str, ours.labels)) == list(map(str, theirs.labels))
    np.testing.assert_array_equal(
        file.observations.dense(), incomplete.observations.dense()
    )
    return file.observations.dense()


@pytest.mark.parametrize(
    "names",
    [
        "1990,1991,1992",
        "1990 [YR1990],1991 [YR1991],1992 [YR1992]",
        "2020-01-01,2020-01-02,2020-01-03",
        "2020Q1,2020Q2,2020Q3",
        "Jan,Feb,Mar",
        "wk1,wk2,wk3",
        "0.1,0.25,4",
    ],
)
def test_whole_numbers_below_names_of_an_axis_are_a_wide_table(names, tmp_path):
    text = f"country,{names}\nB,5,6,7\nA,1,2,\nC,1,3,9\n"
    dense = both(tmp_path / "x.csv", text)
    file = read_tensor(tmp_path / "x.csv", order="given")
    assert dense.shape == (3, 3)
    assert file.layout.axes(2)[0].name == "country"
    expected = np.array([[5.0, 6, 7], [1, 2, NAN], [1, 3, 9]])
    np.testing.assert_array_equal(file.observations.dense(), expected)


@pytest.mark.parametrize("missing", ["", "NA", "nan", "n/a"])
def test_any_column_of_a_wide_table_may_have_gaps(missing, tmp_path):
    text = f"c,1990,1991\nA,{missing},2\nB,3,{missing}\n"
    dense = both(tmp_path / "x.csv", text)
    np.testing.assert_array_equal(dense, [[NAN, 2], [3, NAN]])


def test_samples_named_without_numbers_are_a_wide_table(tmp_path):
    rows = "".join(
        f"g{n},{n * 0.37 + 0.1},{n * 0.11},{n * 0.7 + 0.01}\n" for n in range(9)
    )
    dense = both(tmp_path / "x.csv", f"gene,ann,bob,cy\n{rows}")
    assert dense.shape == (9, 3)
    assert dense[3].tolist() == [3 * 0.37 + 0.1, 3 * 0.11, 3 * 0.7 + 0.01]


@pytest.mark.parametrize(
    "text",
    [
        "user,item,rating\n1,2,3\n2,1,4\n2,2,4\n",
        "mode_1,mode_2,mode_3\n1,2,3\n2,1,4\n2,2,4\n".replace("mode_3", "ratings"),
        "1,2,3\n2,1,4\n2,2,4\n",
        "zoe,1,3\nadam,2,4\nzoe,2,4\n",
    ],
)
def test_labels_that_repeat_are_a_long_table(text, tmp_path, caplog):
    assert len(read_tensor(csv_file(tmp_path / "x.csv", text)).observations) == 3
    assert "wide" not in caplog.text


@pytest.mark.parametrize(
    "text",
    [
        "zoe,1,5\nadam,2,3\n",
        "1.5,2.5,3.5\n4.5,5.5,6.5\n",
        "g,a,b,c\n" + "".join(f"g{n},{n % 3},{n % 5},{n % 4}\n" for n in range(12)),
        "site,day,temp,rain\n"
        + "".join(f"{'ab'[n % 2]},{n // 2},{n + 0.5},{n / 7}\n" for n in range(20)),
    ],
)
def test_what_may_be_long_or_wide_is_refused_until_it_is_said(text, tmp_path):
    path = csv_file(tmp_path / "x.csv", text)
    with pytest.raises(InputError, match="set `layout` to long or wide"):
        read_tensor(path)
    wide = read_tensor(path, layout="wide").observations
    long = read_tensor(path, layout="long").observations
    assert wide.mode_dims != long.mode_dims


def test_several_rows_may_not_have_the_same_labels_in_a_wide_table(tmp_path):
    path = csv_file(tmp_path / "x.csv", "c,1990,1991\nA,1,2\nB,3,4\nA,5,6\n")
    with pytest.raises(
        InputError, match=r"Lines 2 and 4 both give the entry .'A', 1990"
    ):
        read_tensor(path)
    dense = read_tensor(path, repeats="mean").observations.dense()
    np.testing.assert_array_equal(dense, [[3, 4], [3, 4]])


def test_a_column_beside_the_names_of_rows_goes_with_them(tmp_path):
    text = "code,name,1990,1991\n1,Austria,3,4\n2,Brazil,5,6\n"
    np.testing.assert_array_equal(both(tmp_path / "x.csv", text), [[3, 4], [5, 6]])


def test_values_that_look_like_times_are_not_taken_for_ratings(tmp_path):
    rows = "".join(f"{n % 7},{n % 11},{n % 5},{964982703 + n}\n" for n in range(60))
    path = csv_file(tmp_path / "x.csv", f"userId,movieId,rating,timestamp\n{rows}")
    with pytest.raises(InputError, match=r"'timestamp', seems to hold times; name"):
        read_tensor(path)
    file = read_tensor(path, variable="rating")
    assert file.observations.mode_dims == (7, 11)
    assert (file.variable, file.observations.values[:3].tolist()) == (
        "rating",
        [0, 1, 2],
    )


def test_the_time_of_each_rating_is_no_mode_in_few_rows_too(tmp_path):
    rows = [
        (u, m, 10**9 + 7919 * (11 * u + m), u * m) for u in range(9) for m in range(7)
    ]
    text = "user,item,when,rating\n" + "".join(
        f"{a},{b},{c},{d}\n" for a, b, c, d in rows
    )
    dense = both(tmp_path / "x.csv", text)
    np.testing.assert_array_equal(dense, np.outer(range(9), range(7)))


def rated(when):
    """Rows of user, item and rating, with `when` of the row's number before it."""
    rows = [(u, m, when(11 * u + m), u * m) for u in range(9) for m in range(7)]
    return "user,item,when,rating\n" + "".join(
        f"{a},{b},{c},{d}\n" for a, b, c, d in rows
    )


def test_the_time_of_each_rating_is_no_mode_as_text_either(tmp_path):
    # Two users at the same time now and then: no identifier of the rows.
    text = rated(lambda n: f"2024-01-{n // 24 + 1:02} {n % 24 // 2 * 2:02}:00:00")
    assert len(set(pd.read_csv(io.StringIO(text))["when"])) < 63
    dense = both(tmp_path / "x.csv", text)
    np.testing.assert_array_equal(dense, np.outer(range(9), range(7)))


def test_text_that_differs_from_row_to_row_is_no_mode(tmp_path, caplog):
    dense = both(tmp_path / "x.csv", rated(lambda n: f"S-{n}"))
    np.testing.assert_array_equal(dense, np.outer(range(9), range(7)))
    assert "the column 'when' differs from row to row" in caplog.text


def test_identifiers_of_rows_do_not_hide_entries_given_twice(tmp_path):
    text = rated(lambda n: f"S-{n}")
    path = csv_file(tmp_path / "x.csv", f"{text}3,4,S-again,14\n")
    with pytest.raises(InputError, match=r"Lines 27 and 65 both give the entry \(3, 4"):
        read_tensor(path)
    dense = read_tensor(path, repeats="mean").observations.dense()
    assert (dense.shape, dense[3, 4]) == ((9, 7), 13)


def test_a_constant_column_takes_no_mode_with_it(tmp_path):
    # Both the session and its date tell sessions apart, and all have the subject.
    rows = "".join(
        f"m1,2024-01-{s + 1:02},s{s},{t},{s * t}\n" for s in range(6) for t in range(5)
    )
    text = f"subject,date,session,second,value\n{rows}"
    dense = both(tmp_path / "x.csv", text)
    np.testing.assert_array_equal(dense, np.outer(range(6), range(5)))
    incomplete = incomplete_tensor(pd.read_csv(io.StringIO(text)))
    assert incomplete.restore(dense).columns.tolist() == [
        *("subject", "date", "session", "second", "value")
    ]


def test_times_in_the_last_column_are_refused_without_names_too(tmp_path):
    rows = "".join(f"{n % 7},{n % 11},{n % 5},{881250949 + n}\n" for n in range(60))
    path = csv_file(tmp_path / "x.csv", rows)
    with pytest.raises(InputError, match="'4', seems to hold times; name the column"):
        read_tensor(path)
    file = read_tensor(path, variable="3")
    assert file.observations.mode_dims == (7, 11)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a;1990;1991\nx;;2,500\ny;3,250;\n", "Line 2 has the value '2,500', whose"),
        (
            "a,b,v,by\n0,0,1,me\n0,1,2,you\n",
            "value 'me' in the column 'by'; name the column that holds numbers",
        ),
        ("a,b,v\n0,0,1\n0,1,..\n", "'..' in the column 'v'.* for missing"),
        ("a,b,v\n0,0,1\n0,,2\n", "no label in the column 'b'; .*columns that are mode"),
    ],
)
def test_what_cannot_be_read_is_refused_with_what_to_do(text, message, tmp_path):
    with pytest.raises(InputError, match=message):
        read_tensor(csv_file(tmp_path / "x.csv", text))


def test_modes_that_share_few_rows_are_not_doubted(tmp_path):
    # By chance labels go together in so few rows; nothing is left out.
    for seed in range(20):
        rng = np.random.default_rng(seed)
        flat = rng.choice(4 * 3 * 2, 9, replace=False)
        columns = np.stack(np.unravel_index(flat, (4, 3, 2)), axis=1)
        frame = pd.DataFrame(columns, columns=["a", "b", "c"]).assign(
            v=rng.normal(size=9)
        )
        assert incomplete_tensor(frame).observations.order == 3


def test_what_a_line_says_wrong_is_told_also_behind_lines_without_rows(tmp_path):
    text = "# lab\n\na,b,v\n\nx,1,2\n,,\nx,2,3\n\ny,1,none at all\n"
    path = csv_file(tmp_path / "x.csv", text)
    with pytest.raises(InputError, match="Line 9 has the value 'none at all'"):
        read_tensor(path)


def test_sentinel_values_in_words_and_numbers_are_missing(tmp_path):
    path = csv_file(tmp_path / "x.csv", "c,1990,1991\nA,-999,2\nB,3,..\n")
    dense = read_tensor(path, missing=(-999, "..")).observations.dense()
    np.testing.assert_array_equal(dense, [[NAN, 2], [3, NAN]])


def wide_and_long(matrix, names, tmp_path):
    """A wide frame and its long form, each from a file and from pandas."""
    wide = pd.DataFrame(matrix, columns=pd.Index(names, name="column"))
    wide.index.name = "row"
    long = wide.stack().rename("value").reset_index()
    wide.to_csv(tmp_path / "wide.csv")
    long.to_csv(tmp_path / "long.csv", index=False)
    yield incomplete_tensor(wide, layout="wide").observations
    yield incomplete_tensor(long).observations
    yield read_tensor(tmp_path / "wide.csv", layout="wide").observations
    yield read_tensor(tmp_path / "long.csv").observations


@pytest.mark.parametrize(
    ("name", "skipped", "separator"),
    [
        ("linnerud_exercise.csv", 0, " "),
        ("linnerud_physiological.csv", 0, " "),
        ("diabetes_data_raw.csv.gz", None, " "),
        ("digits.csv.gz", None, ","),
    ],
)
def test_tables_that_scikit_learn_ships_are_the_same_by_every_way(
    name, skipped, separator, tmp_path
):
    frame = pd.read_csv(SHIPPED / name, sep=separator, header=skipped, index_col=False)
    matrix = frame.to_numpy(np.float64)
    names = [f"c{n:02}" for n in range(matrix.shape[1])]
    ways = list(wide_and_long(matrix, names, tmp_path))
    ways.append(read_tensor(SHIPPED / name, layout="wide", order="given").observations)
    for found in ways:
        np.testing.assert_array_equal(found.dense(), matrix)


def test_the_responses_to_il2_are_the_same_as_a_table(tmp_path):
    datasets = pytest.importorskip("tensorly.datasets")
    tensor = np.asarray(datasets.load_IL2data().tensor)
    observed = np.argwhere(~np.isnan(tensor))
    columns = dict(zip(["ligand", "time", "dose", "cell"], observed.T, strict=True))
    frame = pd.DataFrame(columns).assign(response=tensor[tuple(observed.T)])
    frame.to_csv(tmp_path / "long.csv.gz", index=False)
    wide = frame.pivot(
        index=["ligand", "time", "dose"], columns="cell", values="response"
    )
    wide.to_csv(tmp_path / "wide.csv")
    expected = Observations.from_array(tensor).dense()
    sources = (frame, wide, frame.set_index(list(columns))["response"])
    found = [incomplete_tensor(source).observations for source in sources]
    found += [
        read_tensor(tmp_path / n).observations for n in ("long.csv.gz", "wide.csv")
    ]
    for observations in found:
        # A dose at which nothing was observed is no label.
        kept = tuple(np.unique(column) for column in observed.T)
        np.testing.assert_array_equal(observations.dense(), expected[np.ix_(*kept)])


@pytest.mark.parametrize(
    ("dims", "count"),
    [
        ((5_000, 500), 200_000),
        pytest.param((50_000, 5_000), 2_000_000, marks=pytest.mark.slow),
    ],
)
def test_the_time_of_many_ratings_is_no_mode(dims, count, tmp_path):
    # Each is at a time of its own.
    rng = np.random.default_rng(0)
    flat = rng.choice(np.prod(dims), count, replace=False)
    users, items = np.unravel_index(flat, dims)
    columns = {
        "user": users,
        "item": items,
        "timestamp": rng.integers(8 * 10**8, 12 * 10**8, len(flat)),
        "rating": rng.integers(1, 11, len(flat)) / 2,
    }
    pd.DataFrame(columns).to_csv(tmp_path / "ratings.csv", index=False)
    assert read_tensor(tmp_path / "ratings.csv").observations.mode_dims == dims


def test_one_long_line_is_refused_at_once(tmp_path):
    path = csv_file(tmp_path / "x.csv", ",".join(["0.123456789"] * 3_300_000))
    start = time.process_time()
    with pytest.raises(InputError, match="3300000 fields, and at most 100000"):
        read_tensor(path)
    assert time.process_time() - start < 20  # about two seconds


def test_what_text_unpacks_to_is_bounded(tmp_path, monkeypatch):
    from rankrise.tensors.files import _declared

    monkeypatch.setattr(_declared, "MAX_DENSE_BYTES", 2**22)
    (tmp_path / "x.csv.gz").write_bytes(gzip.compress(b"0,1,2\n" * 10**6))
    with pytest.raises(InputError, match=r"Its text needs more than .* GiB"):
        read_tensor(tmp_path / "x.csv.gz")


GENES = ("ACTB", "BRCA1", "EGFR", "GAPDH", "MYC", "TP53", "ZZ6", "ZZ8")


@pytest.mark.parametrize("options", [{}, {"layout": "wide", "modes": ["sample"]}])
@pytest.mark.parametrize("gappy", ["ZZ6", "EGFR"])
def test_two_names_of_one_pattern_are_not_the_only_values(gappy, options, tmp_path):
    levels = np.round(np.random.default_rng(0).gamma(2.0, 3.0, (40, len(GENES))), 3)
    samples = pd.Index([f"s{k}" for k in range(40)], name="sample")
    frame = pd.DataFrame(levels, index=samples, columns=GENES)
    frame.loc[frame.index[:4], gappy] = np.nan
    frame.to_csv(tmp_path / "x.csv")
    for found in (
        read_tensor(tmp_path / "x.csv", **options).observations,
        incomplete_tensor(frame, **options).observations,
    ):
        np.testing.assert_array_equal(found.dense(), frame.to_numpy())


@pytest.mark.parametrize("header", ["r,1,2,2", "r,1,2.0,2", "r,1,01,2"])
def test_a_header_that_names_two_columns_alike_is_no_row(header, tmp_path):
    path = csv_file(tmp_path / "x.csv", f"{header}\na,1.5,2,3\nb,2,3.5,4\n")
    with pytest.raises(InputError, match="holds a number twice"):
        read_tensor(path, layout="wide")


def test_an_index_beyond_int64_is_refused_by_its_number():
    frame = pd.DataFrame({"a": np.array([0, 2**63 + 5], "u8"), "b": [0, 1], "v": 1.0})
    with pytest.raises(InputError, match="Row 1 has the index 9223372036854775813 in"):
        incomplete_tensor(frame, mode_dims=(2, 2))


@pytest.mark.parametrize("name", ["__row_labels__", "index"])
def test_a_column_may_have_any_name_beside_row_labels(name, caplog):
    index = ["p", "q"]
    frame = pd.DataFrame({name: [1, 2.5], "y": [NAN, 3]}, index)
    incomplete = incomplete_tensor(frame, layout="wide")
    labels = [each.tolist() for each in incomplete.labels]
    assert labels == [index, sorted([name, "y"])]
    restored = incomplete.restore([[1, 7], [2.5, 3]])
    pd.testing.assert_frame_equal(restored, frame.fillna(7))
    frame = pd.DataFrame({name: ["u", "w"], "1990": [1, NAN], "1991": [2.0, 3]}, index)
    restored = incomplete_tensor(frame).restore([[1, 2], [7, 3]])
    pd.testing.assert_frame_equal(restored, frame.fillna(7))
    assert "is constant within 'index'" in caplog.text


def test_an_unnamed_column_that_differs_from_row_to_row_is_left_out(tmp_path, caplog):
    # As pandas and R write a table of which some rows were taken.
    path = tmp_path / "x.csv"
    path.write_text(",user,item,rating\n1,0,0,1\n5,0,1,2\n9,1,1,3\n")
    assert read_tensor(path).observations.mode_dims == (2, 2)
    assert "the first column has no name and differs from row to row" in caplog.text


def test_a_result_too_long_for_a_sheet_is_kept_as_an_array(tmp_path, caplog):
    pytest.importorskip("openpyxl")
    places = np.arange(1100)
    source = pd.DataFrame({"site": places, "year": places, "level": places / 8})
    source.to_excel(tmp_path / "x.xlsx", index=False)
    file = read_tensor(tmp_path / "x.xlsx", layout="long")
    dims = file.observations.mode_dims
    (tmp_path / "out").mkdir()
    written = write_completed(file, np.ones(dims), tmp_path / "out")
    assert written.name == "completed.npy"
    assert "completed.xlsx cannot be written (This sheet is too large!" in caplog.text
    assert np.load(written).shape == dims


YEARS = range(1960, 1966)
BANK = '"Country Name","Country Code",' + "".join(f'"{year}",' for year in YEARS) + "\n"
BANK += "".join(
    f'"Land {n}","L{n}",' + "".join(f'"{n + y / 8}",' for y in YEARS) + "\n"
    for n in range(9)
)


@pytest.mark.parametrize("about", ["", '"Data Source","WDI",\n\n"Updated","2024",\n\n'])
def test_tables_of_the_world_bank_are_wide(about, tmp_path, caplog):
    # Every line ends with a delimiter.
    file = read_tensor(csv_file(tmp_path / "x.csv", about + BANK))
    rows, columns = file.layout.axes(2)
    assert (rows.name, rows.labels[1]) == ("Country Name", "Land 1")
    assert columns.labels.tolist() == [*YEARS]
    assert file.observations.dense()[1, 2] == 1 + 1962 / 8
    assert ("2 comment line(s) before the first row are skipped" in caplog.text) == (
        about != ""
    )


@pytest.mark.parametrize("about", ["", '"Data Source","WDI",\n\n'])
@pytest.mark.parametrize("behind", ["{0}\n{1}\n", "{0},,,,\n{1},,,,\n", '"{0}"\n'])
@pytest.mark.parametrize("gap", ["\n\n", ",,,,\n,,,,\n,,,,\n", "\r\n"])
def test_lines_about_a_table_may_stand_behind_it(tmp_path, caplog, about, behind, gap):
    rows = "".join(f"c{n},C{n},{n},,{n / 7}\n" for n in range(12))
    footer = behind.format("Data from database: WDI", "Last Updated: 06/28/2024")
    text = f"{about}Country,Code,1990,1991,1992\n{rows}{gap}{footer}"
    observations = read_tensor(csv_file(tmp_path / "x.csv", text)).observations
    assert (observations.mode_dims, len(observations)) == ((12, 3), 24)
    assert f"{len(footer.split(chr(10))) - 1} line(s) after the last row" in caplog.text


def test_rows_after_an_empty_line_are_rows(tmp_path):
    rows = "".join(f"c{n},C{n},{n},,{n / 7}\n" for n in range(12))
    text = f"Country,Code,1990,1991,1992\n{rows}\nd,D,,,1\n"
    path = csv_file(tmp_path / "x.csv", text)
    assert read_tensor(path).observations.mode_dims == (13, 3)


@pytest.mark.parametrize("countries", [5, 40])
def test_a_broken_last_row_is_named_below_lines_about_the_table(tmp_path, countries):
    rows = "".join(f"c{n},C{n},{n},{n / 7},1\n" for n in range(countries))
    text = f'"Data Source","WDI",\n\nCountry,Code,1990,1991,1992\n{rows}c99,C'
    path = csv_file(tmp_path / "x.csv", text)
    words = rf"Line {4 + countries} has 2 field\(s\) but line 3 has 5"
    with pytest.raises(InputError, match=words):
        read_tensor(path)


def test_a_field_behind_the_delimiter_that_ends_all_other_lines_is_refused(tmp_path):
    rows = "".join(f"{n % 5},{n // 5},{n / 8},\n" for n in range(25))
    path = csv_file(tmp_path / "x.csv", rows)
    assert read_tensor(path).observations.mode_dims == (5, 5)
    path = csv_file(tmp_path / "x.csv", rows + "5,5,5,5\n")
    with pytest.raises(InputError, match="Line 26 has a field more than the lines"):
        read_tensor(path)


def test_dates_as_column_names_are_an_axis_beside_measured_columns(tmp_path):
    # As the Johns Hopkins University published cases of Covid-19.
    text = "Country,Lat,Long,1/22/20,1/23/20,2/1/20\n" + "".join(
        f"c{n},{n / 7},{n / 9},{n},{n + 1},{n + 3}\n" for n in range(12)
    )
    assert both(tmp_path / "x.csv", text).shape == (12, 3)


def test_labels_may_lack_in_a_column_that_goes_with_another(tmp_path):
    # As in Our World in Data: continents have no code.
    text = "Entity,Code,Year,GDP\n" + "".join(
        f"e{n},{'' if n % 3 else f'c{n}'},{year},{n * year % 17}\n"
        for n in range(9)
        for year in range(1990, 2000)
    )
    assert both(tmp_path / "x.csv", text).shape == (9, 10)
    file = read_tensor(tmp_path / "x.csv")
    written = write_completed(file, np.ones((9, 10)), tmp_path)
    codes = pd.read_csv(written)["Code"]
    assert codes.isna().sum() == 60
    rows = "".join(f"e,{n},{n % 4},1\n" for n in range(12))
    path = csv_file(tmp_path / "y.csv", "a,b,c,v\n" + rows + "f,,1,2\n")
    with pytest.raises(InputError, match="Line 14 has no label in the column 'b'"):
        read_tensor(path)


def test_years_with_flags_among_their_numbers_are_no_labels(tmp_path):
    # As Eurostat marks breaks and gaps.
    text = "geo\t2019\t2020\t2021\n" + "".join(
        f"{geo}\t{n}{' b' if n == 1 else ''}\t:\t{n * 2}\n"
        for n, geo in enumerate(["AT", "BE", "BG", "CZ"])
    )
    path = csv_file(tmp_path / "x.tsv", text)
    with pytest.raises(InputError, match="Line 3 has the value '1 b' in the column '2"):
        read_tensor(path, missing=":")
    path = csv_file(tmp_path / "x.tsv", text.replace(" b", ""))
    observations = read_tensor(path, missing=":").observations
    assert observations.mode_dims == (4, 3)
    assert len(observations) == 8


def test_a_last_column_that_describes_a_mode_is_warned_of(tmp_path, caplog):
    # The diet of each chick, of whom the weight was observed.
    text = "weight,Time,Chick,Diet\n" + "".join(
        f"{40 + 3 * time + chick % 7},{time},{chick},{chick % 4}\n"
        for chick in range(20)
        for time in range(10)
    )
    path = csv_file(tmp_path / "x.csv", text)
    read_tensor(path)
    assert "'Diet', are the same in all rows of a label of 'Chick'" in caplog.text
    caplog.clear()
    file = read_tensor(path, variable="weight", modes=("Time", "Chick"))
    assert file.observations.mode_dims == (10, 20)
    assert not caplog.records


def test_measured_numbers_that_never_repeat_are_no_labels(tmp_path):
    # Reaction times of subjects on days without sleep: the values stand first.
    text = "Reaction,Days,Subject\n" + "".join(
        f"{250 + n**1.5},{n % 10},{308 + n // 10}\n" for n in range(80)
    )
    path = csv_file(tmp_path / "x.csv", text)
    with pytest.raises(InputError, match="In 'Reaction' are measured numbers"):
        read_tensor(path, layout="long")
    file = read_tensor(path, variable="Reaction", modes=("Days", "Subject"))
    assert file.observations.mode_dims == (10, 8)
