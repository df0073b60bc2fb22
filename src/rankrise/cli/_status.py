"""Exit statuses of the program."""

DONE, BAD_INPUT, INTERRUPTED = 0, 2, 130
