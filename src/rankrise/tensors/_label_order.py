"""The order of the labels of a mode: by the numbers, dates and names in them."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from rankrise._errors import InputError, shown

LabelOrder = Literal["natural", "text", "given", "day-first", "month-first"]
Ranking = npt.NDArray[np.intp]
Keys = npt.NDArray[np.floating]

_logger = logging.getLogger(__name__)

_MONTHS = (
    "january february march april may june july august september october november"
    " december"
)
_WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday"


def _numbered(names: str, *further: str) -> dict[str, int]:
    """Numbers from 1 for every name, spelled out and in three letters."""
    split = enumerate(names.split(), start=1)
    places = {name[:k]: place for place, name in split for k in (3, len(name))}
    return places | {each: places[each[:3]] for each in further}


def _either(names: Iterable[str]) -> str:
    return "|".join(sorted(names, key=len, reverse=True))


_MONTH = _numbered(_MONTHS, "sept")
_WEEKDAY = _numbered(_WEEKDAYS, "tues", "thur", "thurs")
# A name alone, or with a number or a time after it.
_NAMED = tuple(
    (re.compile(rf"({_either(names)})\.?(?![a-z])([\s_:.\-\d]*)", re.IGNORECASE), names)
    for names in (_MONTH, _WEEKDAY)
)

_NAME = rf"(?P<month>{_either(_MONTH)})\.?"
_DAY = rf"(?:(?:{_either(_WEEKDAY)})\.?,?[ ]+)?(?P<day>\d\d?)(?:st|nd|rd|th)?"
_CLOCK = (
    r"(?P<hour>\d\d?)(?::(?P<minute>\d\d))?(?::(?P<second>\d\d(?:\.\d+)?))?"
    r"(?:[ ]*(?P<half>[ap])\.?m\.?)?"
)
_TIME = rf"(?:(?:T|,?[ ]+){_CLOCK}[ ]*(?P<zone>Z|UTC|GMT|[+-]\d\d:?\d\d)?)?"
_DATES = tuple(
    re.compile(form, re.IGNORECASE | re.ASCII)
    for form in (
        # 2020-01-31 12:00, 2020/1: the only ones that sort alike as text.
        rf"(?P<year>\d{{4}})([-/.])(?P<month>\d\d?)(?:\2(?P<day>\d\d?){_TIME})?",
        # 3/4/2020, 03-04-2020, 3.4.2020; 3/4/20. All together tell which is the month.
        rf"(?P<first>\d\d?)(?P<mark>[-/.])(?P<then>\d\d?)\2(?P<year>\d{{4}}){_TIME}",
        rf"(?P<first>\d\d?)(?P<mark>/)(?P<then>\d\d?)/(?P<year>\d\d){_TIME}",
        # 01/2020; Jan 2020, Jan-20; 2020 Jan, 2020-Jan-31
        r"(?P<month>\d\d?)[-/](?P<year>\d{4})",
        rf"{_NAME}[- ,/']*(?P<year>\d{{4}}|(?<=[-'])\d\d)",
        rf"(?P<year>\d{{4}})[- ,/]*{_NAME}(?:[- /](?P<day>\d\d?){_TIME})?",
        # 3 Jan 2020, Fri 03-Jan-20; Jan 3, 2020; 3 Jan; Jan 3
        rf"{_DAY}[- /.]*{_NAME}[- ,/]+(?P<year>\d{{4}}|\d\d){_TIME}",
        rf"{_NAME}[ ]+{_DAY},?[ ]+(?P<year>\d{{4}}){_TIME}",
        rf"{_DAY}[- ]*{_NAME}",
        rf"{_NAME}[ ]+{_DAY}",
        # Q1 2020, 1Q2020, H2 2020 (2020-Q1 and 1990M05 have the order of their numbers)
        r"(?P<month>[QH][1-4]|[1-4][QH])[- /]*(?P<year>\d{4})",
        # 8:30 AM
        r"(?P<hour>\d\d?)(?::(?P<minute>\d\d))?(?::(?P<second>\d\d))?"
        r"[ ]*(?P<half>[ap])\.?m\.?",
    )
)
_NUMBER, _HAS_NUMBER = re.compile(r"\d+", re.ASCII), re.compile(r"\d", re.ASCII)
# Whole numbers: what follows a point is no number of its own, but in 1.2.3.
_WHOLE = re.compile(r"(?<![\d])(?<!\d\.)\d+", re.ASCII)
_HAS_FRACTION = re.compile(r"\d\.\d", re.ASCII)
_IS_VERSION = re.compile(r"\d\.\d+\.\d|\d\.\d*0(?!\d)", re.ASCII)
_ONE_NUMBER = re.compile(r"(\D*)(\d+(?:\.\d+)?)(\D*)", re.ASCII)
# With more labels that are not dates, a mode is not one of dates.
_MOST_ODD = 3


def label_order(
    labels: Any, order: LabelOrder | None = None, *, name: object
) -> Ranking:
    """Places of labels in ascending order.

    By default, and as `natural`, numbers are sorted by size, dates and times by time,
    months and weekdays (from Monday) by the calendar, and other text by its letters and
    the numbers in it (trial7 before trial10). Categories keep their own order, unless
    it is alphabetical. A warning says where two orders are possible.

    Parameters
    ----------
    labels
        Distinct ones in order of first occurrence: an array, list or pandas Index.
    order
        `given` keeps the labels as they are.
    name
        What sentences call the mode.

    Raises
    ------
    InputError
        If `order` says day-first or month-first, and dates are not so.
    """
    if order == "given":
        return np.arange(len(labels))
    codes = getattr(labels, "codes", None)
    if codes is not None and order != "text":
        own = labels.categories.tolist()
        are_sorted = all(isinstance(each, str) for each in own) and own == sorted(own)
        if labels.ordered or not are_sorted:
            return np.argsort(np.asarray(codes), kind="stable")
    plain = np.asarray(labels)
    if order != "text":
        if plain.dtype.kind not in "OUS":
            return np.argsort(plain, kind="stable")
        if not any(isinstance(each, str | bytes) for each in plain.tolist()):
            try:
                return _sorted(plain.tolist())
            except TypeError:
                pass  # Of several kinds: sorted as text.
    text = [str(each).strip() for each in plain.tolist()]
    if order == "text":
        return _sorted(text)
    ranking = _by_number(text)
    if ranking is None:
        ranking = _by_date(text, order, name)
    if ranking is None:
        ranking = _by_name(text, name)
    return _by_text(text, name) if ranking is None else ranking


def are_dates(labels: Iterable[Any]) -> bool:
    """Whether all labels are text that says a date, or a date and time."""
    return all(
        isinstance(label, str) and any(form.fullmatch(label.strip()) for form in _DATES)
        for label in labels
    )


def _sorted(keys: Sequence[Any]) -> Ranking:
    return np.array(sorted(range(len(keys)), key=keys.__getitem__), np.intp)


def _ranking(keys: npt.NDArray[Any], text: list[str]) -> Ranking:
    """Ascending keys; text decides between equal ones, such as 1 and 01."""
    ranking = np.argsort(keys, kind="stable")
    ranked = keys[ranking]
    if (ranked[1:] == ranked[:-1]).any():
        places = np.empty(len(text), np.intp)
        places[_sorted(text)] = np.arange(len(text))
        ranking = np.lexsort((places, keys))
    return ranking


def _by_number(text: list[str]) -> Ranking | None:
    # Python reads 1_000 as a number, which no other program does.
    if not (text and _HAS_NUMBER.search(text[0])) or any("_" in each for each in text):
        return None
    try:
        return _ranking(np.fromiter(map(int, text), np.int64, len(text)), text)
    except (ValueError, OverflowError):
        pass
    try:
        numbers = np.fromiter(map(float, text), float, len(text))
    except ValueError:
        return None
    return _ranking(numbers, text) if np.isfinite(numbers).all() else None


def _by_name(text: list[str], name: object) -> Ranking | None:
    """Months and weekdays, alone or with a number or a time after them."""
    for pattern, names in _NAMED:
        if not pattern.fullmatch(text[0]):
            continue
        found = list(map(pattern.fullmatch, text))
        if all(found):
            numbered = [f"{names[m[1].lower()]:02}{m[2]}" for m in found if m]
            return _by_text(numbered, name)
    return None


def _by_text(text: list[str], name: object) -> Ranking:
    """Text with the numbers in it by their size."""
    if not any(map(_HAS_NUMBER.search, text)):
        return _sorted(text)
    alike = _by_one_number(text)
    if alike is not None:
        return alike
    width = max(len(run) for each in text for run in _NUMBER.findall(each))

    def padded(pattern: re.Pattern[str]) -> Ranking:
        keys = [pattern.sub(lambda run: run[0].zfill(width), each) for each in text]
        return _sorted(keys)

    ranking = padded(_NUMBER)
    if any(map(_HAS_FRACTION.search, text)):
        fractions = padded(_WHOLE)
        versions = any(map(_IS_VERSION.search, text))
        if not versions and not np.array_equal(ranking, fractions):
            place = int(np.argmax(ranking != fractions))
            _logger.warning(
                "numbers such as the one in %s, of %s, are read as decimal fractions "
                "(0.25 before 0.5), not as versions (0.5 before 0.25); if that is "
                "wrong, set `order` to given or text.",
                shown(text[fractions[place]]),
                name,
            )
            return fractions
    return ranking


def _by_one_number(text: list[str]) -> Ranking | None:
    """Numbers between what all labels have in common, with signs where some have one.

    What stands between the numbers of sub-1 and sub-2 is no sign.
    """
    first = _ONE_NUMBER.fullmatch(text[0])
    if first is None:
        return None
    before, after = first[1], first[3]
    if before.strip("+-") and any(map(_HAS_FRACTION.search, text)):
        return None
    if before.endswith(("-", "+")):
        unsigned = before[:-1]
        if not unsigned or not all(each.startswith(before) for each in text):
            before = unsigned
    ends = all(each.startswith(before) and each.endswith(after) for each in text)
    if not ends:
        return None
    stop = -len(after) or None
    return _by_number([each[len(before) : stop] for each in text])


def _by_date(text: list[str], order: LabelOrder | None, name: object) -> Ranking | None:
    keys, left, odd = np.empty(len(text)), list(range(len(text))), list[int]()
    is_sure = True
    while left and len(odd) <= _MOST_ODD:
        form = next((f for f in _DATES if f.fullmatch(text[left[0]])), None)
        if form is None:
            odd.append(left.pop(0))
            continue
        found = [(place, form.fullmatch(text[place])) for place in left]
        left = [place for place, match in found if match is None]
        own = [place for place, match in found if match is not None]
        matches = [match for _, match in found if match is not None]
        if form is _DATES[0] and len(own) == len(text) and _are_alike(matches):
            return _sorted(text)
        columns = _columns(matches)
        if "first" in columns:
            moments = _day_or_month_first(matches, columns, order, name)
        else:
            moments = _moments(columns)
        if moments is None:
            return None
        is_sure &= form is _DATES[0]
        keys[own] = moments
    if not left and not odd:
        return _ranking(keys, text)
    if not is_sure and not left and len(text) > 2 * len(odd):
        _logger.warning(
            "most labels of %s are dates, but %s is not, so they are sorted as text.",
            name,
            shown(text[odd[0]]),
        )
        return _sorted(text)
    return None


def _day_or_month_first(
    matches: list[re.Match[str]],
    columns: dict[str, Keys],
    order: LabelOrder | None,
    name: object,
) -> Keys | None:
    """Times of dates such as 3/4/2020, read alike: all of them together decide how."""
    day_first = _moments(columns | {"month": columns["then"], "day": columns["first"]})
    month_first = _moments(
        columns | {"month": columns["first"], "day": columns["then"]}
    )
    if order in ("day-first", "month-first"):
        asked = day_first if order == "day-first" else month_first
        if asked is None and (day_first is not None or month_first is not None):
            first = order.removesuffix("-first")
            raise InputError(
                f"The labels of {name}, such as "
                f"{shown(_telling(matches))}, are not dates with the {first} first; "
                "choose another `order`, or leave it out."
            )
        return asked
    if day_first is None or month_first is None:
        return month_first if day_first is None else day_first
    if np.array_equal(_ranks(day_first), _ranks(month_first)):
        return month_first
    if matches[0]["mark"] == ".":
        return day_first
    # Rows are mostly sorted by time.
    rises = (np.diff(day_first) > 0).all() and not (np.diff(month_first) > 0).all()
    _logger.warning(
        "dates such as %s in %s may have the month or the day first; the %s is taken "
        "to be first (if that is wrong, set `order` to %s).",
        shown(matches[0][0]),
        name,
        *(("day", "month-first") if rises else ("month", "day-first")),
    )
    return day_first if rises else month_first


def _ranks(keys: Keys) -> npt.NDArray[np.integer]:
    return np.unique(keys, return_inverse=True)[1]


def _telling(matches: list[re.Match[str]]) -> str:
    """A date with a number above 12, or else the first date."""
    above = (m[0] for m in matches if max(int(m["first"]), int(m["then"])) > 12)
    return next(above, matches[0][0])


def _are_alike(matches: list[re.Match[str]]) -> bool:
    """Whether ISO dates are written alike, without time zones, in the order of text."""
    forms = {(len(m[0]), m[2], m.end("month"), m.end("hour")) for m in matches}
    return len(forms) == 1 and not any(m["zone"] or m["half"] for m in matches)


def _columns(matches: list[re.Match[str]]) -> dict[str, Keys]:
    """The numbers that dates of one form give, group by group."""
    columns = {}
    for group in matches[0].re.groupindex:
        if group != "mark":
            read, default = _READ.get(group, (int, 1 if group == "day" else 0))
            found = (match[group] for match in matches)
            numbers = (default if each is None else read(each) for each in found)
            columns[group] = np.fromiter(numbers, float, len(matches))
    return columns


def _moments(columns: dict[str, Keys]) -> Keys | None:
    """Seconds since 1970, None if one is not a date."""
    zeros = np.zeros(len(next(iter(columns.values()))))
    years = columns.get("year", zeros + 2000)
    years = years + np.where(years < 69, 2000, np.where(years < 100, 1900, 0))
    months, days = columns.get("month", zeros + 1), columns.get("day", zeros + 1)
    hours, half = columns.get("hour", zeros), columns.get("half", zeros - 1)
    minutes, seconds = columns.get("minute", zeros), columns.get("second", zeros)
    in_half = half >= 0
    wrong = in_half & ((hours < 1) | (hours > 12))
    wrong |= (months < 1) | (months > 12) | (days < 1) | (hours > 24)
    if (wrong | (minutes > 59) | (seconds >= 61)).any():
        return None
    hours = np.where(in_half, hours % 12 + 12 * half, hours)
    number = ((years - 1970) * 12 + months - 1).astype(np.int64)
    first = number.astype("datetime64[M]").astype("datetime64[D]")
    dates = first + (days - 1).astype("timedelta64[D]")
    if (dates.astype("datetime64[M]").astype(np.int64) != number).any():
        return None
    clock = hours * 3600 + minutes * 60 + seconds - columns.get("zone", zeros)
    return np.asarray(dates.astype(np.int64) * 86400.0 + clock)


def _month(text: str) -> int:
    """The number of a month, or of the first of a quarter or half of a year."""
    if text.isdigit():
        return int(text)
    part = text.strip("qhQH")
    if part.isdigit():
        return (int(part) - 1) * (3 if "q" in text.lower() else 6) + 1
    return _MONTH[text.lower()]


def _offset(zone: str) -> float:
    """Seconds of a time zone such as +01:00."""
    if zone[0] not in "+-":
        return 0.0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    return (1 if zone[0] == "+" else -1) * (3600.0 * hours + 60 * minutes)


# How groups that are not whole numbers are read, and what an absent one stands for.
_READ: dict[str, tuple[Callable[[str], float], float]] = {
    "month": (_month, 1),
    "second": (float, 0),
    "half": (lambda each: each in "pP", -1),
    "zone": (_offset, 0),
}
