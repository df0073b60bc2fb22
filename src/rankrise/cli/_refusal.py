"""From an error to the one sentence that a person reads."""

import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import cyclopts
from pydantic import ValidationError

from rankrise._errors import InputError
from rankrise._settings import option, refused

# What is said of where runs are done.
OF_CLUSTERS = ("max_runs", "parts", "scheduler", "slurm", "workers")
_TYPES: dict[Any, str] = {
    int: "a whole number",
    int | None: "a whole number",
    float: "a number",
    bool: "true or false",
    int | Literal["all"]: "a whole number or all",
}


def sentence(error: Exception) -> str:
    """What was wrong and what to do, in one line that ends with a period."""
    words = " ".join(_words(error).split()).removesuffix(".")
    return with_options(words) + "."


def with_options(words: str) -> str:
    """The same with options in place of the names that settings have in Python."""
    if "`" not in words:
        return words
    # Whatever speaks of settings has loaded their classes.
    from rankrise.cli._complete_options import CompleteOptions
    from rankrise.experiments import (
        AgreementConfig,
        ComplexityConfig,
        DynamicsConfig,
        DynamicsReproductionConfig,
        VerificationConfig,
    )
    from rankrise.tensors import Reading

    options = {
        f"`{name}`": option(name)
        for kind in (
            *(CompleteOptions, Reading, AgreementConfig),
            *(ComplexityConfig, DynamicsConfig, VerificationConfig),
            DynamicsReproductionConfig,
        )
        for name in kind.model_fields
    }
    options |= {f"`{name}`": option(name) for name in OF_CLUSTERS}
    options["`rank_k_measurements`"] = "--task sensing-rank-k"
    return re.sub("`[^`]*`", lambda name: options.get(name[0], name[0]), words)


def _words(error: Exception) -> str:
    match error:
        case ValidationError():
            return _refused_setting(error)
        case cyclopts.CycloptsError():
            return _refused_tokens(error)
        case MemoryError():
            return f"There is not enough memory for this ({error or 'no details'})"
        case FileNotFoundError(filename=str(name)) if not Path(name).parent.exists():
            return (
                f"Cannot write to {Path(name).parent}: the folder was removed during "
                "the run, with all that was in it; start again"
            )
        case OSError() if error.errno is not None:
            place = f" {error.filename}" if error.filename else ""
            return _unwritten(f"{place}: {os.strerror(error.errno)}")
        case OSError():
            # NumPy only says how much it could not write.
            return _unwritten(f" all data, perhaps as a disk is full ({error})")
    return str(error)


def _unwritten(reason: str) -> str:
    return (
        f"Cannot read or write{reason}; what was written before is kept, so fix that "
        "and start again, with --resume if the run had begun"
    )


def _refused_setting(error: ValidationError) -> str:
    # Nobody types quotes.
    return refused(error).replace("'", "")


def _refused_tokens(error: cyclopts.CycloptsError) -> str:
    match error.__cause__:
        case ValidationError() as cause:
            return _refused_setting(cause)
        case InputError() as cause:
            return str(cause)
    help_command = " ".join(["rankrise", *(error.command_chain or ()), "--help"])
    match error:
        case cyclopts.UnknownOptionError():
            known = [name for each in error.argument_collection for name in each.names]
            return _unknown(error.token, known, help_command)
        case cyclopts.UnknownCommandError():
            commands = _listed([n for n in error.app or () if not n.startswith("-")])
            given = (error.unused_tokens or [""])[0]
            return f"There is no command {given}; choose {commands}"
        case cyclopts.UnusedCliTokensError():
            surplus = " ".join(error.unused_tokens or ())
            return f"There is no use for '{surplus}' here; see {help_command}"
        case cyclopts.MissingArgumentError():
            name = error.keyword or (error.argument and error.argument.name)
            return f"{name} needs a value; see {help_command}"
        case cyclopts.RepeatArgumentError():
            return f"{_name(error.token)} is given twice; give it once"
        case cyclopts.CoercionError(token=cyclopts.Token() as token):
            fitting = _TYPES.get(error.target_type or str, "another value")
            return f"{_name(token)} is {token.value}; give {fitting}"
    return str(error)


def _unknown(token: cyclopts.Token, known: Sequence[str], help_command: str) -> str:
    name = _name(token)
    place = "" if token.source == "cli" else f" that the file {token.source} could set"
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    hint = f"the nearest is {nearest[0]}" if nearest else f"see {help_command}"
    return f"There is no option {name}{place}; {hint}"


def _name(token: cyclopts.Token) -> str:
    """What the token sets; a setting in a file has its name in brackets."""
    name = token.keyword or token.value
    return option(name.strip("[]")) if name.startswith("[") else name


def _listed(names: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(names[:-1]), *names[-1:]]))
