"""Packages that only some of the work needs."""

import importlib
from typing import Any

from rankrise._errors import InputError


def imported(module: str, extra: str, needs: str, otherwise: str = "") -> Any:
    """A module, refused with how to install it, and what to do without it.

    Parameters
    ----------
    needs
        Words before the name of the package, such as "Parquet files need".
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.partition(".")[0].replace("_", "-")
        raise InputError(
            f"{needs} {package}, which is not installed; run pip install "
            f"'rankrise[{extra}]'{otherwise and f', or {otherwise}'}."
        ) from error
