"""Options of `rankrise complete`: all settings of a completion, side by side."""

from typing import Any

from rankrise._errors import InputError
from rankrise.completion import CompletionOptions


class CompleteOptions(CompletionOptions):
    """What the command line says of a completion, and what it writes of one."""

    interval: float | None = None
    """Also write the bounds between which this share of entries should lie, such as
    0.9."""

    def model_post_init(self, context: Any, /) -> None:
        level = self.interval
        if level is not None and not 0 < level < 1:
            raise InputError(
                f"`interval` is {level}; it is a share between 0 and 1, such as 0.9."
            )
        super().model_post_init(context)
