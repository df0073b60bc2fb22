"""What a run tells of itself while it is under way."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far the runs are; given to `solve`'s `progress` between chunks.

    Attributes
    ----------
    time, end_time
        Time of the run that is furthest behind, on the clock of gradient flow;
        `end_time` is None where only steps limit the runs.
    """

    step: int
    max_steps: int
    running: int
    losses: tuple[float, ...]
    time: float = 0.0
    end_time: float | None = None
