"""Errors a user can cause."""

import reprlib


class InputError(ValueError):
    """Input that cannot be used: what came, what fits and what to do, in a sentence.

    The command line prints the message alone and exits with status 2, so whatever
    raises it writes for the person who typed the command.
    """


def shown(text: str) -> str:
    """Text from a file in quotation marks: no line breaks, not too long for a sentence.

    Damaged files hold names of any length with any control characters.
    """
    shortening = reprlib.Repr()
    shortening.maxstring = 80
    return shortening.repr(text)
