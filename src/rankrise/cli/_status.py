"""Exit statuses of the program."""

DONE, VIOLATED, BAD_INPUT, UNTESTED, INTERRUPTED = 0, 1, 2, 3, 130
