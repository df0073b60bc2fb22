"""Errors a user can cause."""


class InputError(ValueError):
    """Input that cannot be used: what came, what fits and what to do, in a sentence.

    The command line prints the message alone and exits with status 2, so whatever
    raises it writes for the person who typed the command.
    """
