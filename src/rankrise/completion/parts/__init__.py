"""Completion of observations that no one machine holds."""

from rankrise.completion.parts._complete_parts import complete_parts as complete_parts
from rankrise.completion.parts._complete_parts import (
    complete_parts_as_set as complete_parts_as_set,
)
from rankrise.completion.parts._result import CompletionOfParts as CompletionOfParts
