"""What a run tells of itself while it is under way."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """How far the runs are; given to `solve`'s `progress` between chunks.

    Attributes
    ----------
    time, end_time
        Time of the run that is furthest behind, on the clock of gradient flow;
        `end_time` is None where only steps limit the runs.
    unit
        What is counted: steps, or components for the limit.
    """

    step: int
    max_steps: int
    running: int
    losses: tuple[float, ...]
    time: float = 0.0
    end_time: float | None = None
    unit: str = "step"

    @property
    def share(self) -> float:
        """What is done of the steps or the time, whichever ends the runs first."""
        shares = [self.step / self.max_steps] if self.max_steps else [1.0]
        if self.end_time:
            shares.append(self.time / self.end_time)
        return min(max(shares), 1.0)

    @property
    def words(self) -> str:
        """Where the runs are, for a person to read."""
        at = f"{self.unit} {self.step} of {self.max_steps}"
        if self.end_time is not None:
            at = f"time {self.time:.3g} of {self.end_time:.3g}"
        runs = f"{self.running} runs, " if self.running > 1 else ""
        # Runs that wait have not lost anything yet.
        losses = [loss for loss in self.losses if loss != math.inf] or self.losses
        told = " ".join(f"{loss:.3g}" for loss in losses[:4])
        return f"{runs}{at}, loss {told}"
