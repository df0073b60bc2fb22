"""Text as programs of other places and times save it: encodings and decimal commas."""

from __future__ import annotations

import codecs
import logging
import re

from rankrise._errors import InputError, shown

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_WORD_OF_BYTES = re.compile(rb"[^\s,;\"]*[\x80-\xff][^\s,;\"]*")
# Accented letters, degrees, micro and powers. What else cp1252 has are letters of other
# encodings, whose words also have more than two letters beyond ASCII in a row.
_WESTERN = re.compile(r"(?:[\x00-\x7fÀ-ÖØ-öø-ÿ°µ]|[²³](?![A-Za-z]))+")
_FOREIGN = re.compile(r"[^\x00-\x7f]{3}")
_SHOWN_WORDS = 3
_logger = logging.getLogger(__name__)


def as_utf8(content: bytes) -> tuple[bytes, str]:
    """The text as UTF-8 without a byte order mark, and the encoding to write it in.

    UTF-16 needs its byte order mark. Other bytes are read as cp1252 if all of them are
    letters or signs there that tables have, and a warning shows some of the words.
    """
    if content.startswith(_UTF16):
        try:
            return content.decode("utf-16").encode(), "utf-16"
        except UnicodeDecodeError as error:
            raise InputError(
                f"It begins as UTF-16 but byte {error.start} is not; save it as UTF-8."
            ) from error
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        _tell_western(content)
        return content.decode("cp1252").encode(), "cp1252"
    has_mark = content.startswith(codecs.BOM_UTF8)
    return content.removeprefix(codecs.BOM_UTF8), "utf-8-sig" if has_mark else "utf-8"


def _tell_western(content: bytes) -> None:
    """Warn that bytes are read as cp1252, or refuse the first word that is not."""
    told = dict[str, None]()
    for found in _WORD_OF_BYTES.finditer(content):
        word = found[0].decode("cp1252", "replace")
        if not _WESTERN.fullmatch(word) or _FOREIGN.search(word):
            line = content.count(b"\n", 0, found.start()) + 1
            raise InputError(
                f"It is not UTF-8 text (line {line}, {shown(word)} if it were cp1252); "
                "save it as UTF-8, or give it the extension that its content has."
            )
        if len(told) < _SHOWN_WORDS:
            told[word] = None
    _logger.warning(
        "it is not UTF-8, so it is read as cp1252 (Western European), with words such "
        "as %s; if they are wrong, save it as UTF-8.",
        ", ".join(map(shown, told)),
    )


def with_points(rows: bytes, delimiter: bytes, line: int) -> bytes | None:
    """Rows with points for decimal commas, and without points between thousands.

    None where commas are not decimal for certain: if a number has more than one, other
    numbers have a point, or all may stand between thousands, as in 1,234.

    Parameters
    ----------
    line
        Number of the first line.
    """
    if b"," not in rows:
        return None
    rows = b"\n" + rows + b"\n"

    def cells(form: bytes) -> re.Pattern[bytes]:
        """Whole cells that are numbers of this form, or limits such as <0,05."""
        ends = b"[\r\n" + delimiter + b"]"
        after = rb'(?=(?:[eE][-+]?\d+)?[ "]*%b)' % ends
        return re.compile(rb'(%b[ "<>=+\-]*)' % ends + form + after)

    grouped = rb"\d{1,3}(?:\.\d{3})+"
    sure = cells(rb"(?![1-9]\d?\d?,\d{3}\D)(?:%b|\d*),\d+" % grouped).search(rows)
    if sure is None:
        return None
    if re.search(rb",\d+,\d", rows) and cells(rb"\d+(?:,\d+){2,}").search(rows):
        return None
    if b"." in rows:
        point = rb"[\d,]*\.\d+"
        if cells(grouped + rb",\d+").search(rows):
            point = rb"(?!%b[^\d.])" % grouped + point
        if cells(point).search(rows):
            return None
        thousands = cells(rb"(%b)(?:,\d+)?" % grouped)
        rows = thousands.sub(lambda cell: cell[0].replace(b".", b""), rows)
    _logger.warning(
        "numbers are read with decimal commas, such as %s on line %d.",
        sure[0][1:].strip(b' "').decode(),
        line + rows.count(b"\n", 1, sure.start() + 1),
    )
    return cells(rb"(\d*),(\d+)").sub(rb"\1\2.\3", rows)[1:-1]
