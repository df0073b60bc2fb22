"""Gradient flow as the init scale vanishes, plateau by plateau."""

from rankrise.limit._run import Limit as Limit
from rankrise.limit._solve_limit import solve_limit as solve_limit
