"""`.csv` and `.tns`: delimiters, headers and labels, and errors by line."""

import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.tensors.files import read_tensor


def text_file(path, text):
    path.write_text(text, encoding="utf-8")
    return path


HEADED = "user,item,day,rating\n0,1,0,2.5\n2,0,1,-1e-3\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", " "])
@pytest.mark.parametrize("headed", [True, False])
def test_delimiter_and_header_are_found_and_kept(delimiter, headed, tmp_path, complete):
    text = HEADED.replace(",", delimiter)
    path = text_file(
        tmp_path / "x.csv", text if headed else text.split("\n", maxsplit=1)[1]
    )
    assert read_tensor(path).observations.values.tolist() == [2.5, -1e-3]
    lines = complete(path).read_text().splitlines()
    if headed:
        assert lines.pop(0) == delimiter.join(["user", "item", "day", "rating"])
    assert lines[0] == delimiter.join(["0", "0", "0", "0.5"])
    assert len(lines) == 2 * 2 * 2


@pytest.mark.parametrize(
    "text",
    [
        "# from the lab\n\n  # more\nuser,item,rating\n0,1,2\n\n1,0,3\n",
        "user,item,rating\r\n0,1,2\r\n1,0,3",
        "\ufeffuser,item,rating\n0,1,2\n1,0,3\n",
        "user, item, rating\n 0, 1, 2 \n 1, 0, 3 \n",
        'user,item,rating\n"0","1","2"\n"1","0","3"\n',
        "user,item,rating\n0.0,1.0,2\n1,0,3\n,,\n,,\n",
        "user item  rating\n0  1 2\n 1\t0 3\n",
    ],
)
def test_what_surrounds_the_fields_changes_nothing(text, tmp_path):
    observations = read_tensor(text_file(tmp_path / "x.csv", text)).observations
    np.testing.assert_array_equal(observations.dense(), [[np.nan, 2], [3, np.nan]])


@pytest.mark.parametrize("missing", ["", " ", "nan", "NaN", "NA", "n/a", "None"])
def test_a_row_without_value_only_counts_for_the_mode_dimensions(missing, tmp_path):
    path = text_file(tmp_path / "x.csv", f"0,0,1.5\n1,0,{missing}\n9,6,{missing}\n")
    observations = read_tensor(path).observations
    assert observations.mode_dims == (3, 2)
    assert observations.values.tolist() == [1.5]


YEARS = "station,year,level\n70,2001,1.5\n7,1999,2\n7,2001,-3\n"


def test_whole_numbers_are_labels_in_ascending_order(tmp_path, complete):
    path = text_file(tmp_path / "x.csv", YEARS)
    observations = read_tensor(path).observations
    assert observations.mode_dims == (2, 2)
    assert observations.indices.tolist() == [[1, 1], [0, 0], [0, 1]]
    assert complete(path).read_text().splitlines()[1:] == [
        *("7,1999,2.0", "7,2001,-3.0", "70,1999,0.5", "70,2001,1.5")
    ]


def test_with_mode_dims_whole_numbers_are_indices(tmp_path):
    path = text_file(tmp_path / "x.csv", YEARS)
    observations = read_tensor(path, mode_dims=(80, 2010)).observations
    assert observations.indices.tolist() == [[70, 2001], [7, 1999], [7, 2001]]


def test_indices_are_not_negative(tmp_path):
    path = text_file(tmp_path / "x.csv", "0,1,2\n-1,1,2\n")
    with pytest.raises(InputError, match=r"Line 2 has the index -1 .*count from 0"):
        read_tensor(path, mode_dims=(3, 2))


def test_numbers_left_out_are_told_unless_most_are(tmp_path, caplog):
    read_tensor(text_file(tmp_path / "x.csv", YEARS))
    (record,) = caplog.records  # Not of the stations.
    assert "the labels of 'year', 1999 to 2001, skip 2000;" in record.getMessage()


def test_true_and_false_are_one_and_zero(tmp_path):
    path = text_file(tmp_path / "x.csv", "a,b,True\nc,b,false\na,d,\n")
    assert read_tensor(path).observations.values.tolist() == [1.0, 0.0]


def test_decimal_numbers_and_very_long_ones_are_labels(tmp_path, complete):
    text = "dose,id,level\n10.5,99999999999999999999,2\n0.25,1,3\n9,1,4\n"
    path = text_file(tmp_path / "x.csv", text)
    assert read_tensor(path).observations.indices[:, 0].tolist() == [2, 0, 1]
    lines = complete(path).read_text().splitlines()
    assert "10.5,99999999999999999999,2.0" in lines


def test_labels_get_indices_in_ascending_order(tmp_path):
    text = "user,item,rating\nzoe,7,1\nadam,0,2\nzoe,1,3\nNA,0,\n"
    observations = read_tensor(text_file(tmp_path / "x.csv", text)).observations
    # NA, adam, zoe; NA was never observed.
    assert observations.indices.tolist() == [[2, 2], [1, 0], [2, 1]]
    assert observations.mode_dims == (3, 3)


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("who,what,n\nzoe,pen,1\nadam,ink,2\n", "adam,pen,0.5"),
        ('"zoe, jr",pen,1\nadam,ink,2\n', '"zoe, jr",ink,0.5'),
        ('"#1",pen,1\nadam,ink,2\n', '"#1","ink",0.5'),
        ("zoe pen 1\nadam 5'6\" 2\n", "zoe 5'6\" 0.5"),
        ("zoe\tred pen\t1\nadam\tink\t2\n", "adam\tred pen\t0.5"),
        ("a_1,1_0,1\na_2,2_0,2\n", "a_2,1_0,0.5"),
        ("True,pen,1\nFALSE,ink,2\n", "FALSE,pen,0.5"),
    ],
)
def test_labels_are_written_back(text, row, tmp_path, fill, complete):
    path = text_file(tmp_path / "x.csv", text)
    written = complete(path)
    assert row in written.read_text().splitlines()
    np.testing.assert_array_equal(
        read_tensor(written).observations.dense(), fill(read_tensor(path).observations)
    )


@pytest.mark.parametrize("value", [0.1, 1 / 3, 5e-324, 1.7976931348623157e308])
def test_values_survive_text_to_the_last_bit(value, tmp_path, complete):
    path = text_file(tmp_path / "x.csv", f"0,0,{value!r}\n1,1,1\n")
    assert read_tensor(path).observations.values[0] == value
    assert read_tensor(complete(path)).observations.values[0] == value


@pytest.mark.parametrize("form", ["csv", "tns"])
def test_mode_dims_may_exceed_what_the_entries_show(form, tmp_path):
    path = text_file(tmp_path / f"x.{form}", "1 1 2.0\n2 1 3.0\n")
    huge = (10**12, 10**12)  # more entries than int64 counts: nothing dense is formed
    assert read_tensor(path, mode_dims=huge).observations.mode_dims == huge


def test_tns_counts_from_one_in_and_out(tmp_path, complete):
    path = text_file(tmp_path / "x.tns", "# FROSTT\n1 1 1.5\n2\t3   4\n")
    file = read_tensor(path)
    assert file.observations.indices.tolist() == [[0, 0], [1, 2]]
    lines = complete(path).read_text().splitlines()
    assert lines[0] == "1 1 1.5"
    assert lines[-1] == "2 3 4.0"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# only\n\n", "holds no rows"),
        ("user,item,rating\n", "a header but no rows"),
        (",user,rating\n0,1,2\n", "Column 1 of the header has no name"),
        ("0,1\n1,2\n", "Line 1 has 2 field"),
        ("nonsense\n", "Line 1 has 1 field"),
        ("0,1,2\n\n1,2\n", "Line 3 has 2 field.s. but line 1 has 3"),
        ("0,1,2\n1,2,3,4\n", "Line 2 has 4 field"),
        ('u,v,x\n"0,1,2\n', "Line 2 has quotation marks that do not match"),
        (
            "1.5,2.5,3.5\n4.5,5.5,6.5\n",
            "may be a long table, with all values in column 3, or",
        ),
        ("0,1,2\n3,,4\n", "Line 2 has no label in column 2"),
        ("0,1,2\n3,nan,4\n", "Line 2 has no label in column 2 .'nan'.;"),
        ("0,1,2\ninf,1,4\n", "Line 2 has no label in column 1 .'inf'.;"),
        ("u,v,x\n0,1,2\n# more\n", "Line 3 has 1 field"),
        ("0,1,2\n0,2,abc\n", "Line 2 has the value 'abc'"),
        ("0,1,abc\n0,2,3\n", "Line 1 has the value 'abc'"),
        ("0,1,2\n0,2,1_000\n", "Line 2 has the value '1_000'"),
        (
            "0;1;2,500\n0;2;3,125\n",
            "Line 1 has the value '2,500', whose comma may stand between thousands;",
        ),
        ("0,1,2\n0,2,1+2j\n", r"Line 2 has the value '1\+2j'"),
        ("0,1,2\n0,2,inf\n", "Line 2 .* the value inf"),
        ("0,1,2\n0,2,1e999\n", "Line 2 .* the value inf"),
        ("0,1,\n0,2,nan\n", "entries is observed"),
        ("u,v,x\n0,1,2\n\n5,5,1\n0,1,3\n", r"Lines 2 and 5 both give the entry \(0, 1"),
        ("a,b,2\nc,d,\nc,d,1\na,b,3\n", r"Lines 1 and 4 both .* \('a', 'b'\)"),
    ],
)
def test_a_csv_that_cannot_be_used_is_refused_by_line(text, message, tmp_path):
    with pytest.raises(InputError, match=rf"^x\.csv: .*{message}"):
        read_tensor(text_file(tmp_path / "x.csv", text))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 1 2\n1 0 3\n", "Line 2 has the index 0 in column 2; indices count from 1"),
        ("1,1,2\n", "Line 1 has 1 field"),
        ("a b c\n1 1 2\n", "Line 1 has the index 'a' in column 1; indices are whole"),
        (
            "1 1 2\n1 1.5 2\n",
            r"Line 2 has the index 1\.5 in column 2; indices are whole",
        ),
        ("1 1 2\n1 2\n", "Line 2 has 2 field"),
        ("3\n2 2\n1 1 1 2\n", "Line 1 has 1 field"),
        ("²\n2 2\n1 1 2\n", "Line 1 has 1 field"),
        ("# two\n1 2 2\n1 2 3\n", r"Lines 2 and 3 both give the entry \(1, 2\)"),
    ],
)
def test_a_tns_that_cannot_be_used_is_refused_by_line(text, message, tmp_path):
    with pytest.raises(InputError, match=rf"^x\.tns: {message}"):
        read_tensor(text_file(tmp_path / "x.tns", text))


@pytest.mark.parametrize(
    ("form", "text", "mode_dims", "message"),
    [
        (
            "csv",
            "0,1,2\n0,3,4\n",
            (2, 3),
            "Line 2 has the index 3 in column 2; .*from 0",
        ),
        (
            "tns",
            "1 1 2\n1 4 4\n",
            (2, 3),
            "Line 2 has the index 4 in column 2; .*from 1",
        ),
        (
            "csv",
            "0,1,2\n",
            (2, 3, 4),
            "2 columns besides the values but `mode_dims` names 3",
        ),
        (
            "csv",
            "0,1.5,2\n",
            (2, 3),
            r"Line 1 has the index 1\.5 in column 2",
        ),
        ("csv", "a,1,2\n", (2, 3), "Column 1 has 1 labels but .* dimension 2"),
    ],
)
def test_mode_dims_that_do_not_fit_are_refused(
    form, text, mode_dims, message, tmp_path
):
    path = text_file(tmp_path / f"x.{form}", text)
    with pytest.raises(InputError, match=message):
        read_tensor(path, mode_dims=mode_dims)


@pytest.mark.parametrize("encoding", ["mac_roman", "cp437", "cp1250", "cp1251", "gbk"])
def test_text_in_an_encoding_that_cannot_be_told_is_refused(encoding, tmp_path):
    name = {"cp1250": "Łódź", "cp1251": "Тверь", "gbk": "北京"}.get(encoding, "Zürich")
    path = tmp_path / "x.csv"
    path.write_bytes(f"who,what,n\nzoe,pen,1\n{name},pen,1\n".encode(encoding))
    with pytest.raises(InputError, match=r"not UTF-8 text \(line 3, '.*; save it as"):
        read_tensor(path)


def test_words_of_cp1252_are_shown_to_who_may_know_better(tmp_path, caplog):
    text = "Ort,°C,µg/m³\nZürich,1,2\nGenève,3,4\n"
    (tmp_path / "x.csv").write_bytes(text.encode("cp1252"))
    layout = read_tensor(tmp_path / "x.csv").layout
    assert layout.axes(2)[0].labels.tolist() == ["Zürich", "Genève"][::-1]
    assert "read as cp1252" in caplog.text
    assert "'°C', 'µg/m³', 'Zürich'; if they are wrong" in caplog.text


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a;1;3,14\na;2;\nb;1;-0,5E3\nb;2;NA\n", [3.14, -500]),
        ("a;1;1.234,5\na;2;1.000\nb;1;2.345.678\n", [1234.5, 1000, 2345678]),
        ('"a";"31.12.2020";"0,125"\n"Paris, F";"1.1.2021";"1,5"\n', [0.125, 1.5]),
        ("a;b;c\n1,2-diol;1,5;7\n1,2-diol;2,5;8\nwater;1,5;9\n", [7, 8, 9]),
    ],
)
@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_decimal_commas_are_read_where_they_are_certain(
    text, values, delimiter, tmp_path, caplog
):
    path = text_file(tmp_path / "x.csv", text.replace(";", delimiter))
    assert read_tensor(path).observations.values.tolist() == values
    assert "numbers are read with decimal commas, such as" in caplog.text


def test_decimal_commas_of_labels_are_those_of_numbers(tmp_path):
    path = text_file(tmp_path / "x.csv", "dose;1,5;10,25\n0,25;1;2\n10,5;3;4\n")
    rows, columns = read_tensor(path).layout.axes(2)
    assert rows.labels.tolist() == [0.25, 10.5]
    assert columns.labels.tolist() == [1.5, 10.25]


@pytest.mark.parametrize(
    "text",
    [
        "a;1;3,14\na;2;2.5\n",  # Points as well.
        "a;1;1,234,567\na;2;2,5\n",  # More than one comma.
        "a;1;1,234.5\na;2;2,5\n",
    ],
)
def test_numbers_with_commas_and_points_are_refused(text, tmp_path):
    path = text_file(tmp_path / "x.csv", text)
    with pytest.raises(InputError, match=r"Line 1 .*with a point, not a comma"):
        read_tensor(path)


@pytest.mark.parametrize(
    "text",
    [
        "a,b,v\n1,2,3,\n4,5,6,\n",  # A delimiter at the end of rows.
        "user,item\na,x,3\na,y,4\n",  # Row names never repeat in R.
        "0,1,2\n1,2,3,4\n",
    ],
)
def test_rows_longer_than_the_header_alone_have_no_row_names(text, tmp_path):
    with pytest.raises(InputError, match="field"):
        read_tensor(text_file(tmp_path / "x.csv", text))


def test_columns_may_change_their_look_far_down_the_file(tmp_path):
    # Further down than the blocks in which columns are converted.
    rows = [f"{i},0,1" for i in range(40_000)]
    path = text_file(tmp_path / "x.csv", "\n".join([*rows, "late,1.0,2.5"]))
    observations = read_tensor(path).observations
    assert observations.mode_dims == (40_001, 2)
    assert observations.values[-1] == 2.5


def test_long_or_unprintable_fields_are_shown_in_short(tmp_path):
    path = text_file(tmp_path / "x.csv", f"0,1,2\n0,2,\x1b[31m{'y' * 10**5}\n")
    with pytest.raises(InputError) as caught:
        read_tensor(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 250
