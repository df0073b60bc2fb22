"""The order of labels: natural where it is certain, with a warning where two are."""

import datetime
import itertools
import random
import time

import numpy as np
import pandas as pd
import pytest

import rankrise as rr
from rankrise.tensors import label_order

CERTAIN = {
    "decimals": "-2, -1.5, 0, 0.1, 0.25, 1, 10, 40.25",
    "powers": "1e-3, 0.01, 1e0",
    "beyond 64 bits": "12345678901234567890, 12345678901234567891",
    "leading zeros": "007, 8, 09, 10",
    "names that end in numbers": "trial7, trial10, trial100",
    "names that hold numbers": "a1b2, a1b10, a2b1",
    "versions": "1.2.3, 1.2.10, 1.10.0",
    "sections": "v1.9, v1.10, v1.11",
    "units": "-10.5 mV, -5 mV, 0 mV, 5 mV",
    "signs": "lag-2, lag-1, lag0, lag+1",
    "dashes": "sub-1, sub-2, sub-10",
    "a word among numbers": "9, 10, total",
    "months": "Jan, Feb, March, Apr, May, June, July, August, Sept, Oct, Nov, December",
    "months in capitals": "JAN, MAR, DEC",
    "weekdays": "Mon, Tuesday, Wed, Thurs, Fri, Saturday, Sun",
    "weekdays and hours": "Mon 8, Mon 10, Tue 1",
    "ISO dates": "2019-12-31, 2020-01-01",
    "ISO months": "2019-12, 2020-01",
    "slashes": "2019/9/30, 2019/10/1",
    "ISO times": "2020-01-01, 2020-01-01 05:00, 2020-01-02T00:30:10.5",
    "time zones": "2020-10-25T02:30:00+02:00, 2020-10-25T02:10:00+01:00",
    "m/d/Y": "12/31/2019, 1/2/2020, 1/13/2020, 2/1/2020",
    "d/m/Y": "31/12/2019, 2/1/2020, 13/1/2020, 1/2/2020",
    "d.m.Y": "3.12.2019, 1.1.2020, 2.1.2020, 1.2.2020",
    "m-d-Y": "12-31-2019, 01-02-2020",
    "m/d/y": "10/1/99, 1/22/20, 1/23/20, 2/1/20",
    "m/d/Y with times": "1/13/2020 8:30, 1/13/2020 10:30, 1/14/2020 9:00:05",
    "m/d/Y with halves": "1/13/2020 12:15 AM, 1/13/2020 8:30 AM, 1/13/2020 1:00 PM",
    "m/Y": "01/2019, 02/2019, 01/2020",
    "month and year": "Nov 2018, Jan 2019, Feb 2019, January 2020",
    "month and short year": "Dec-18, Jan-19, Feb-19, Jan-20",
    "year and month": "2018 Dec, 2019 Jan",
    "day, month and year": "3 Jan 2019, 1 Feb 2019, 02-Jan-2020",
    "month, day and year": "Jan 3, 2019; February 1, 2019",
    "day and month": "30-Jan, 1-Feb",
    "month and day": "Jan 3, Jan 10, Feb 2",
    "quarters": "2019-Q3, 2019-Q4, 2020-Q1",
    "quarters first": "Q3 2019, Q4 2019, Q1 2020",
    "months by number": "1990M05, 1990M10, 1991M1",
    "times": "8:30, 10:15",
    "halves of a day": "8:30 AM, 12:15 PM, 1:00 PM",
    "dates of three forms": "Mar 3 2020; 2020-03-04; 5 March 2020",
    "text": "Alice, Bob, alice",
    "text like months": "Mark, May",
    "text like numbers": "inf, nan",
    "blanks": "a b, a c",
}


def ordered(labels, order=None):
    found = label_order(labels, order, name="'when'")
    return [labels[place] for place in found]


def split(words):
    return words.split("; " if ";" in words else ", ")


def shuffled(labels):
    labels = list(labels)
    random.Random(1).shuffle(labels)
    return labels


@pytest.mark.parametrize("words", CERTAIN.values(), ids=CERTAIN)
def test_the_natural_order_is_taken_without_a_word_where_it_is_certain(words, caplog):
    assert ordered(shuffled(split(words))) == split(words)
    assert ordered(pd.Index(split(words)[::-1])) == split(words)
    assert not caplog.records


def test_dates_that_may_begin_with_the_day_or_the_month_are_warned_of(caplog):
    labels = ["3/4/2020", "5/6/2020", "4/3/2020"]
    assert ordered(labels) == ["3/4/2020", "4/3/2020", "5/6/2020"]
    assert len(caplog.records) == 1
    assert "'when' may have the month or the day first" in caplog.text
    assert "the month is taken to be first (if that" in caplog.text
    caplog.clear()
    assert ordered(labels, "day-first") == ["4/3/2020", "3/4/2020", "5/6/2020"]
    assert ordered(labels, "month-first") == ["3/4/2020", "4/3/2020", "5/6/2020"]
    assert not caplog.records


def test_dates_that_rise_by_the_day_alone_are_taken_so(caplog):
    labels = ["9/1/2020", "10/1/2020", "1/2/2020", "2/3/2020"]
    assert ordered(labels) == labels
    assert "the day is taken to be first (if that" in caplog.text


def test_dates_in_one_order_either_way_need_no_warning(caplog):
    labels = ["1/1/2020", "2/2/2020", "3/3/2020"]
    assert ordered(labels[::-1]) == labels
    assert not caplog.records


def test_fractions_in_names_that_could_be_versions_are_warned_of(caplog):
    labels = ["dose0.1", "dose0.25", "dose0.5"]
    assert ordered(labels[::-1]) == labels
    assert "decimal fractions (0.25 before 0.5)" in caplog.text


def test_dates_among_which_one_is_none_fall_back_to_text_with_a_warning(caplog):
    labels = ["2/13/2020", "unknown", "10/1/2020", "1/22/2020"]
    assert ordered(labels) == ["1/22/2020", "10/1/2020", "2/13/2020", "unknown"]
    assert "most labels of 'when' are dates, but 'unknown' is not" in caplog.text


@pytest.mark.parametrize(
    "labels",
    [
        ["31/12/2019", "12/31/2019"],
        ["31/2/2020", "1/1/2020"],
        ["99/99/2020", "1/1/2020"],
    ],
)
def test_what_is_no_date_in_one_order_is_text(labels):
    assert ordered(shuffled(labels)) == [
        *sorted(labels, key=lambda x: int(x[: x.find("/")]))
    ]


def test_an_order_asked_for_that_does_not_fit_is_refused():
    labels = ["1/2/2020", "12/31/2019"]
    with pytest.raises(
        rr.InputError, match="'when', such as '12/31/2019', are not dates"
    ):
        label_order(labels, "day-first", name="'when'")
    assert ordered(["b2", "b10"], "day-first") == ["b2", "b10"]


def test_text_and_given_orders_are_as_they_say():
    labels = ["trial10", "trial9", "Trial1"]
    assert ordered(labels, "text") == ["Trial1", "trial10", "trial9"]
    assert ordered(labels, "given") == labels
    assert ordered(np.array([10, 9]), "text") == [10, 9]
    assert ordered(np.array([10, 9]), "given") == [10, 9]


@pytest.mark.parametrize(
    "labels",
    [
        np.array([-1.5, 2, 10]),
        np.array([False, True]),
        pd.date_range("2019-12-31", periods=3),
        pd.date_range("2019-12-31", periods=3, tz="Europe/Paris"),
        pd.period_range("2019Q4", periods=3, freq="Q"),
        pd.timedelta_range("9h", periods=3, freq="h"),
        pd.interval_range(8, 11),
        pd.Index(pd.array([9, 10], dtype="Int64")),
        np.array([datetime.date(2019, 12, 31), datetime.date(2020, 1, 1)]),
        np.array([9, 10, "total"], dtype=object),
        np.array([b"t9", b"t10"]),
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_typed_labels_are_in_the_order_of_their_type(labels):
    assert list(label_order(labels[::-1], name="x")) == [*range(len(labels))][::-1]


def test_categories_are_in_their_own_order_unless_that_is_the_alphabets():
    sizes = pd.CategoricalIndex(["low", "high", "mid"], ["low", "mid", "high"])
    assert ordered(sizes) == ["low", "mid", "high"]
    # What astype("category") makes of text.
    trials = pd.Series(["t10", "t9"]).astype("category")
    assert ordered(pd.CategoricalIndex(trials)) == ["t9", "t10"]
    given = pd.CategoricalIndex(trials, ordered=True)
    assert ordered(given) == ["t10", "t9"]
    assert ordered(pd.CategoricalIndex(["b", "a"], ["b", "a"]), "text") == ["a", "b"]


def test_many_labels_take_a_few_times_what_sorting_text_takes():
    labels = shuffled(f"user{number}" for number in range(200_000))
    began = time.process_time()
    ranking = label_order(labels, name="user")
    middle = time.process_time()
    sorted(labels)
    assert [labels[place] for place in ranking[:11:5]] == ["user0", "user5", "user10"]
    # About 2.5 times.
    assert middle - began < 8 * (time.process_time() - middle)


def test_the_order_does_not_depend_on_how_labels_come():
    labels = ["1", "01", "1.0", "2"]
    found = {tuple(ordered(list(each))) for each in itertools.permutations(labels)}
    assert found == {("01", "1", "1.0", "2")}


@pytest.mark.parametrize("order", [None, "text", "given"])
@pytest.mark.parametrize(
    ("words", "is_dates"),
    [
        ("trial7, trial10, trial100", False),
        ("0.1, 0.25, 40.25", False),
        ("1/13/2020, 2/1/2020, 10/1/2020", True),
    ],
)
def test_files_and_frames_of_text_or_types_have_one_order(
    words, is_dates, order, tmp_path
):
    labels = shuffled(split(words) + split(words))
    frame = pd.DataFrame({"at": labels, "b": [*"xyyxxy"], "v": np.arange(6.0)})
    frame = frame.drop_duplicates(["at", "b"])
    frame.to_csv(tmp_path / "x.csv", index=False)
    file = rr.read_tensor(tmp_path / "x.csv", order=order)
    dense = rr.incomplete_tensor(frame, order=order).observations.dense()
    np.testing.assert_array_equal(file.observations.dense(), dense)
    if order is None:
        found = rr.incomplete_tensor(frame)
        assert found.labels[0].tolist() == split(words)
        typed = frame["at"]
        typed = pd.to_datetime(typed, format="%m/%d/%Y") if is_dates else typed
        typed = frame.assign(at=typed)
        np.testing.assert_array_equal(
            rr.incomplete_tensor(typed).observations.dense(), dense
        )
