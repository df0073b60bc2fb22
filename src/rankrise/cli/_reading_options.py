"""Options that say how a tensor is read, for every command that takes a file of one."""

from copy import copy
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Group, Parameter
from pydantic import AfterValidator, create_model

from rankrise._settings import Settings
from rankrise.cli._source import Source, Word
from rankrise.experiments import require_mode_dims
from rankrise.tensors import Reading

if TYPE_CHECKING:
    from rankrise.tensors import TensorFile

_READING = Group("Reading", sort_key=1)
# What a word on the command line can say of what Python gives as an object.
_ANNOTATIONS: dict[str, Any] = {
    "variable": str | None,
    "modes": tuple[str, ...] | None,
    "missing": tuple[str, ...],
    "domain": Path | None,
    "leave_empty": tuple[str, ...],
}
# Theirs are the names, the defaults and the words of the help.
_AsWords: Any = create_model(
    "_AsWords",
    __config__=Settings.model_config,
    **{  # type: ignore[call-overload]
        name: (_ANNOTATIONS.get(name, field.annotation), copy(field))
        for name, field in Reading.model_fields.items()
    },
)


@Parameter(name="*", group=_READING)
class ReadingOptions(_AsWords):  # type: ignore[misc]
    """What the command line says of how a tensor is read."""

    def model_post_init(self, context: Any, /) -> None:
        self.reading()

    def reading(self) -> Reading:
        """The same as settings."""
        return Reading(**self.model_dump(exclude_unset=True))

    def read(self, path: Path) -> "TensorFile":
        """Read a file so."""
        from rankrise.tensors import read_tensor

        return read_tensor(path, **self.model_dump(exclude_unset=True))


def _fitting(reading: dict[str, Any]) -> dict[str, Any]:
    require_mode_dims(ReadingOptions(**reading).mode_dims)
    return reading


class TensorSource(Source):
    """The file of a tensor to complete."""

    path: Word
    reading: Annotated[dict[str, Any], AfterValidator(_fitting)]
