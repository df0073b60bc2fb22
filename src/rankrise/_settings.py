"""The base of all classes of settings: frozen, with no room for a misspelled name."""

import difflib
from collections.abc import Sequence
from typing import Any, ClassVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator

from rankrise._errors import InputError

# Steps and components are counted, and random keys made, in 32 bits.
LARGEST_WHOLE = 2**31 - 1
# Beyond these, squares leave the range of single precision.
SMALLEST, LARGEST = 1e-30, 1e15

_FITTING = {
    "int_parsing": "give a whole number",
    "int_parsing_size": "give a smaller whole number",
    "int_type": "give a whole number",
    "int_from_float": "give a whole number",
    "float_parsing": "give a number",
    "float_type": "give a number",
    "finite_number": "give a finite number",
    "bool_parsing": "give True or False",
    "bool_type": "give True or False",
    "tuple_type": "give several numbers",
    "model_type": "give its settings",
    "string_type": "give a name",
}


def option(name: str) -> str:
    """A setting's name as it is typed on the command line."""
    return "--" + name.replace("_", "-")


class Settings(BaseModel):
    """Settings that are checked when they are made.

    Raises
    ------
    InputError
        If a setting is not known, or does not fit. Names stand in backticks, so that
        the command line can give them as options.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        arbitrary_types_allowed=True,
    )

    # Whether numbers may come as text, as from a command line.
    _from_text: ClassVar[bool] = False

    def __init__(self, **given: Any) -> None:
        try:
            super().__init__(**given)
        except ValidationError as error:
            raise InputError(refused(error, list(type(self).model_fields))) from None

    @field_validator("*", mode="before")
    @classmethod
    def _not_read_into(cls, given: Any, info: Any) -> Any:
        """Refuse text for a number or a truth value, and a truth value for a number."""
        if cls._from_text and isinstance(given, str):
            return given
        name = str(info.field_name)
        annotation = cls.model_fields[name].annotation
        kinds = {*(get_args(annotation) or (annotation,))} - {type(None)}
        numbers = kinds <= {int, float}
        is_text = isinstance(given, str) and kinds <= {int, float, bool}
        if is_text or (isinstance(given, bool) and numbers):
            whole = "int_type" if int in kinds else "float_type"
            fitting = _FITTING[whole if numbers else "bool_type"]
            raise InputError(f"`{name}` is {given!r}; {fitting}.")
        return given

    def model_post_init(self, context: Any, /) -> None:
        self.check()

    def check(self) -> None:
        """Refuse what types cannot say."""

    @property
    def changed(self) -> set[str]:
        """Names of settings that differ from their defaults."""
        fields = type(self).model_fields
        return {name for name in fields if getattr(self, name) != fields[name].default}

    def require_positive(self, *names: str) -> None:
        """Refuse numbers that are given and not positive, or too large."""
        for name in names:
            number = getattr(self, name)
            if number is not None and not number > 0:
                raise InputError(f"`{name}` is {number}; it must be positive.")
            self._require_bounded(name, number)

    def require_not_negative(self, *names: str) -> None:
        """Refuse numbers that are given and negative, or too large."""
        for name in names:
            number = getattr(self, name)
            if number is not None and number < 0:
                raise InputError(f"`{name}` is {number}; it cannot be negative.")
            self._require_bounded(name, number)

    def require_moderate(self, name: str, number: float | None) -> None:
        """Refuse a size that no run could compute with."""
        if number is not None and not SMALLEST <= number <= LARGEST:
            raise InputError(
                f"`{name}` is {number}; it must lie between {SMALLEST:g} and "
                f"{LARGEST:g}."
            )

    def _require_bounded(self, name: str, number: int | float | None) -> None:
        limit = LARGEST_WHOLE if isinstance(number, int) else LARGEST
        if number is not None and number > limit:
            raise InputError(f"`{name}` is {number}; it can be {limit} at most.")


def refused(error: ValidationError, known: Sequence[str] = ()) -> str:
    """What pydantic refuses, in a sentence."""
    first = error.errors()[0]
    inner = first.get("ctx", {}).get("error")
    if isinstance(inner, InputError) or not first["loc"]:
        return str(inner or first["msg"])
    name = str(first["loc"][0])
    if first["type"] == "missing":
        return f"The setting `{name}` is missing; give it."
    if first["type"] == "extra_forbidden":
        nearest = difflib.get_close_matches(name, known, n=1)
        hint = f"the nearest is `{nearest[0]}`" if nearest else "see the documentation"
        return f"There is no setting `{name}`; {hint}."
    return f"`{name}` is {first['input']!r}; {_fitting(error, name)}."


def _fitting(error: ValidationError, name: str) -> str:
    """What fits, of all alternatives that a setting has."""
    words = []
    for each in error.errors():
        if each["loc"][0] != name:
            continue
        if each["type"] == "literal_error":
            words.append(f"choose {each['ctx']['expected']}")
        elif each["type"] == "is_instance_of":
            words.append(f"give an {each['ctx']['class']}")
        else:
            message = each["msg"]
            words.append(_FITTING.get(each["type"], message[:1].lower() + message[1:]))
    return ", or ".join(dict.fromkeys(words))
