"""Options for reading a tensor, of every command that takes the file of one."""

from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter
from pydantic import AfterValidator, create_model

from rankrise._errors import InputError
from rankrise._settings import Settings
from rankrise.cli._source import Source, Word
from rankrise.experiments import require_mode_dims
from rankrise.tensors import Reading

if TYPE_CHECKING:
    from rankrise.tensors import TensorFile

_READING = Group("Reading", sort_key=1)
# Types of words on the command line, where Python takes any object.
_ANNOTATIONS: dict[str, Any] = {
    "variable": str | None,
    "modes": tuple[str, ...] | None,
    "missing": tuple[str, ...] | None,
    "domain": Path | None,
    "leave_empty": tuple[str, ...] | None,
}
_LISTS = ("modes", "mode_dims", "missing", "leave_empty")


def _field(name: str, field: Any) -> Any:
    """A field of `Reading` as an option; a list is left out rather than empty."""
    option = copy(field)
    if name in _LISTS:
        option.default = None
    return _ANNOTATIONS.get(name, field.annotation), option


# Names, defaults and help come from `Reading`.
_AsWords: Any = create_model(
    "_AsWords",
    __config__=Settings.model_config,
    **{name: _field(name, field) for name, field in Reading.model_fields.items()},
)


@Parameter(name="*", group=_READING)
class ReadingFlags(_AsWords):  # type: ignore[misc]
    """Options for reading a tensor."""

    def model_post_init(self, context: Any, /) -> None:
        for name in _LISTS:
            if getattr(self, name) == ():
                raise InputError(
                    f"`{name}` is empty; give at least one or leave it out."
                )
        self.reading()

    def reading(self) -> Reading:
        """The settings that these options say."""
        return Reading(**self.model_dump(exclude_unset=True))

    def read(self, path: Path) -> "TensorFile":
        """Read a file with these options."""
        from rankrise.tensors import read_tensor

        return read_tensor(path, **self.model_dump(exclude_unset=True))


def _fitting(reading: dict[str, Any]) -> dict[str, Any]:
    require_mode_dims(ReadingFlags(**reading).mode_dims)
    return reading


class TensorSource(Source):
    """The file of a tensor to complete."""

    path: Word
    reading: Annotated[dict[str, Any], AfterValidator(_fitting)]
