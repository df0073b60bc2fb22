"""Numbers that JSON has."""

import math
from typing import Any

import numpy as np


def strict(summary: dict[Any, Any]) -> dict[Any, Any]:
    """The same with None for numbers JSON does not have (NaN and infinities)."""
    return {name: _strict_value(value) for name, value in summary.items()}


def _strict_value(value: Any) -> Any:
    if isinstance(value, dict):
        return strict(value)
    if isinstance(value, (list, tuple)):
        return [_strict_value(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if math.isfinite(value) else None
    return value
