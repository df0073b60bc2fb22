"""All settings of a completion, side by side: those of its method beside its own."""

from copy import copy
from typing import Any, Literal

from pydantic import create_model

from rankrise._errors import InputError
from rankrise._settings import Settings
from rankrise.completion._settings import CompletionSettings, GradientMethod, LossName

# What a word can say of what Python gives as an object.
_ANNOTATIONS: dict[str, Any] = {
    "method": Literal["alternating", "paper", "flow", "limit"],
    "loss": LossName,
}
_GRADIENT = set(GradientMethod.model_fields) - {"kind"}
_FIELDS = {**CompletionSettings.model_fields, **GradientMethod.model_fields}
# Theirs are the names, the defaults and the words of the help.
_SideBySide: Any = create_model(
    "_SideBySide",
    __config__=Settings.model_config,
    **{  # type: ignore[call-overload]
        name: (_ANNOTATIONS.get(name, field.annotation), copy(field))
        for name, field in _FIELDS.items()
        if name != "kind"
    },
)


class CompletionOptions(_SideBySide):  # type: ignore[misc]
    """What words and numbers say of a completion."""

    def model_post_init(self, context: Any, /) -> None:
        self.settings()

    def settings(self) -> CompletionSettings:
        """The settings that these options say."""
        given = self.model_dump(include=set(_FIELDS), exclude_defaults=True)
        given.pop("method", None)
        own = {name: given.pop(name) for name in _GRADIENT & set(given)}
        if self.method != "alternating":
            method = GradientMethod(kind=self.method, **own)
            return CompletionSettings(method=method, **given)
        if own:
            raise InputError(
                f"`{min(own)}` is for a gradient method, not for `method` alternating; "
                "leave it out or choose another method."
            )
        return CompletionSettings(**given)
