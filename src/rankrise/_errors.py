"""Errors a user can cause, and text that is safe to show."""

import reprlib


class InputError(ValueError):
    """Input that cannot be used: what came, what fits and what to do, in a sentence.

    The command line prints the message alone and exits with status 2, so whatever
    raises it writes for the person who typed the command.

    Examples
    --------
    >>> import rankrise as rr
    >>> try:
    ...     rr.complete([[1.0, 2.0], [3.0, 4.0]], models=0)
    ... except rr.InputError as error:
    ...     print(type(error).__name__)
    InputError
    """


_LONGEST_REASON = 160


def reason(error: Exception) -> str:
    """The message of another library's error, shortened, in one line."""
    words = printable(" ".join(str(error).split())) or type(error).__name__
    return words if len(words) <= _LONGEST_REASON else f"{words[:_LONGEST_REASON]}..."


def printable(text: str) -> str:
    """Text with control characters, which a terminal would obey, spelled out."""
    return "".join(x if x.isprintable() else ascii(x)[1:-1] for x in text)


def shown(text: str) -> str:
    """Text from a file in quotation marks, short enough for a sentence.

    Damaged files hold names of any length, with any control characters.
    """
    shortening = reprlib.Repr()
    shortening.maxstring = 80
    return shortening.repr(text)
