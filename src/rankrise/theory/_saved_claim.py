"""Claims as Datasets, and in files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from rankrise.tensors.files import save_result

if TYPE_CHECKING:
    from rankrise.theory._claim import Claim

KIND = "a claim"
_NUMBERS = ("predicted", "measured", "error", "tolerance", "measuring_error")


def claim_dataset(claim: Claim) -> Any:
    """Curves as variables, each along dimensions of its own, and the verdict."""
    import xarray as xr

    curves = {name: np.asarray(curve) for name, curve in claim.curves.items()}
    variables = {
        name: ([f"{name}_{axis}" for axis in range(curve.ndim)], curve)
        for name, curve in curves.items()
    }
    attributes = {
        **claim.theorem._asdict(),
        "verdict": claim.verdict,
        "explanation": claim.explanation,
        "numbers": json.dumps(dict(claim.numbers)),
        "moved": json.dumps(dict(claim.moved)),
    }
    told = {name: getattr(claim, name) for name in (*_NUMBERS, "compared")}
    attributes |= {name: value for name, value in told.items() if value is not None}
    return xr.Dataset(variables, attrs=attributes)


def save_claim(claim: Claim, record: Any, path: Path | str) -> Path:
    """Write a claim by its record."""
    arrays = {
        f"curve_{name}": np.asarray(curve, np.float64)
        for name, curve in claim.curves.items()
    }
    facts = {
        "record": record,
        "curves": [[n, np.ndim(c)] for n, c in claim.curves.items()],
    }
    return save_result(path, KIND, facts, arrays)
