"""Exit statuses of the program."""

DONE, VIOLATED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
