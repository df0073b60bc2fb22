"""Entry point: from tokens to an exit status."""

import logging
import sys
from pathlib import Path
from typing import NoReturn

import cyclopts
from cyclopts import App, Parameter
from pydantic import ValidationError

from rankrise._errors import InputError
from rankrise._version import __version__
from rankrise.cli._complete import complete
from rankrise.cli._dynamics import dynamics

DONE, BAD_INPUT, INTERRUPTED = 0, 2, 130

app = App(
    name="rankrise",
    help="Tensors that complete themselves: components rise one after another, and "
    "the rank is a finding, not a setting.",
    version=__version__,
    result_action="return_value",
    # Lists take all words up to the next option, and have no --empty- twin.
    default_parameter=Parameter(consume_multiple=True, negative_iterable=()),
)
app.command(dynamics)
app.command(complete)


def main(tokens: list[str] | None = None) -> NoReturn:
    """Run the command line and exit with its status."""
    sys.exit(run(sys.argv[1:] if tokens is None else tokens))


def run(tokens: list[str]) -> int:
    """Exit status of a command: 0 done, 2 bad input, 130 interrupted."""
    logging.basicConfig(format="rankrise: %(message)s", level=logging.WARNING)
    try:
        app.config = _config_files(tokens)
        status = app(tokens, exit_on_error=False, print_error=False)
    except (cyclopts.CycloptsError, ValidationError, InputError) as error:
        return _refuse(_sentence(error))
    except MemoryError as error:
        return _refuse(
            f"There is not enough memory for this ({error or 'no details'})."
        )
    except OSError as error:
        place = f" {error.filename}" if error.filename else ""
        return _refuse(
            f"Cannot read or write{place}: {error.strerror or error}; what was "
            "finished before is kept."
        )
    except KeyboardInterrupt:
        print("rankrise: interrupted.", file=sys.stderr)
        return INTERRUPTED
    return status if isinstance(status, int) else DONE


def _refuse(sentence: str) -> int:
    print(f"rankrise: {sentence}", file=sys.stderr)
    return BAD_INPUT


def _sentence(error: Exception) -> str:
    """What was wrong, in one line."""
    cause = error.__cause__
    if isinstance(cause, ValidationError):
        error = cause
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        inner = first.get("ctx", {}).get("error")
        if isinstance(inner, InputError):
            return str(inner)
        option = "--" + str(first["loc"][0]).replace("_", "-") if first["loc"] else ""
        return f"{option} is {first['input']!r}: {first['msg']}."
    return " ".join(str(error).split())


def _config_files(tokens: list[str]) -> list[cyclopts.config.Toml]:
    """The file of `--config`, whose settings the flags override."""
    for place, token in enumerate(tokens):
        name, equals, value = token.partition("=")
        if name == "--config":
            given = value if equals else "".join(tokens[place + 1 : place + 2])
            if not Path(given).is_file():
                raise InputError(
                    f"There is no config file {given!r}; --config takes a TOML file "
                    "of settings."
                )
            return [cyclopts.config.Toml(given, use_commands_as_keys=False)]
    return []
