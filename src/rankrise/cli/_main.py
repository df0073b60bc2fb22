"""From the words of a command to an exit status."""

import logging
import sys
import tomllib
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import cyclopts
from cyclopts import App, Parameter
from cyclopts.config import Dict
from pydantic import ValidationError

from rankrise._errors import InputError, printable
from rankrise._version import __version__
from rankrise.cli._folder_lock import release_held
from rankrise.cli._refusal import sentence, with_options
from rankrise.cli._status import BAD_INPUT, DONE, INTERRUPTED
from rankrise.cli._terminal import say

_REFUSED = (
    cyclopts.CycloptsError,
    ValidationError,
    InputError,
    MemoryError,
    OSError,
)

# First lines of their help. Each is loaded when it is called, and waits for no other.
COMMANDS = {
    "dynamics": "Watch components rise one after another on a synthetic target.",
    "complete": "Complete partly observed tensors; there is no rank to choose.",
    "rank": "Estimate the CP rank of a tensor, whole or with gaps.",
    "verify": "Put the paper's theorems to the test: predicted against measured.",
    "agreement": "Compare gradient descent, gradient flow and its limit on one "
    "problem.",
    "complexity": "Measure how low a CP rank suffices for a data set, beside random "
    "controls.",
    "reproduce": "Produce the paper's figures anew, and a table of ours beside the "
    "paper's.",
    "sweep": "Do many runs of one command, on this machine or a cluster.",
    "report": "Show runs in one HTML file: figures to explore, tables, settings.",
}


def _default(value: Any) -> str | None:
    """A default as it would be typed; none for flags that are off and empty lists."""
    if isinstance(value, tuple):
        value = " ".join(map(str, value))
    return None if value is None or value is False else str(value) or None


app = App(
    name="rankrise",
    help="Tensors that complete themselves: components rise one after another, and "
    "the rank is a finding, not a setting.",
    version=__version__,
    result_action="return_value",
    suppress_keyboard_interrupt=False,
    # Lists take all words up to the next option, and no --empty- form.
    default_parameter=Parameter(
        consume_multiple=True, negative_iterable=(), show_default=_default
    ),
)
for _name, _line in COMMANDS.items():
    app.command(f"rankrise.cli._{_name}:{_name}", name=_name, help=_line)


def run(tokens: list[str]) -> int:
    """Exit status of a command.

    0 done, 1 a claim violated or a run of a sweep failed, 2 bad input, 3 no claim
    tested, 130 interrupted.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_Warning("rankrise: %(message)s"))
    logging.basicConfig(handlers=[handler], level=logging.WARNING)
    try:
        app.config = [*_config_files(tokens), _refuse_fractions]
        status = app(tokens, exit_on_error=False, print_error=False)
    except _REFUSED as error:
        return _refuse(error)
    except RuntimeError as error:
        # How JAX says that a device has no memory left.
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return _refuse(MemoryError(str(error)))
    except KeyboardInterrupt:
        say("rankrise: interrupted.", file=sys.stderr)
        return INTERRUPTED
    finally:
        release_held()
    return status if isinstance(status, int) else DONE


class _Warning(logging.Formatter):
    """What the library logs, in words of the command line."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(with_options(super().format(record)))


def _refuse(error: Exception) -> int:
    say(f"rankrise: {sentence(error)}", file=sys.stderr)
    return BAD_INPUT


def _config_files(tokens: list[str]) -> list[Dict]:
    """The file of `--config`, whose settings the flags override."""
    for place, token in enumerate(tokens):
        name, equals, value = token.partition("=")
        if name == "--config":
            given = value if equals else "".join(tokens[place + 1 : place + 2])
            settings = _read_config(given)
            return [Dict(settings, source=given, use_commands_as_keys=False)]
    return []


def _refuse_fractions(
    app: App, commands: tuple[str, ...], arguments: cyclopts.ArgumentCollection
) -> None:
    """Refuse 1.5 for a whole number, which would be rounded."""
    for argument in arguments:
        if int not in (argument.hint, *get_args(argument.hint)):
            continue
        for token in argument.tokens:
            with suppress(ValueError):
                if float(token.value).is_integer():
                    continue
                raise cyclopts.CoercionError(
                    token=token, argument=argument, target_type=argument.hint
                )


def _read_config(path: str) -> dict[str, Any]:
    if not Path(path).is_file():
        raise InputError(
            f"There is no config file '{path}'; --config takes a TOML file of settings."
        )
    try:
        settings = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(
            f"The config file {path} is not TOML ({error}); give lines such as "
            "`steps = 1000`."
        ) from error
    for name, value in settings.items():
        if isinstance(value, dict):
            raise InputError(
                f"The config file {path} has a table [{name}]; give all settings at "
                "the top, without tables."
            )
    return settings
