"""Options of every command."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Group, Parameter

_OUTPUT = Group("Output", sort_key=2)

Devices = Annotated[int | Literal["all"], Parameter(group=_OUTPUT)]


@Parameter(name="*", group=_OUTPUT)
@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Where results go, and how a run is shown and continued."""

    out: Path | None = None
    """Folder for the results; runs/COMMAND by default."""
    force: Annotated[bool, Parameter(negative=())] = False
    """Replace the results in the folder."""
    resume: Annotated[bool, Parameter(negative=())] = False
    """Go on with the run in the folder, with its settings."""
    quiet: Annotated[bool, Parameter(negative=())] = False
    """Print nothing but warnings and errors."""
    progress: Literal["auto", "bar", "log", "none"] = "auto"
    """How progress is shown on stderr: as a bar at a terminal and elsewhere as a line
    every so often (auto), or always as one of them."""
    config: Path | None = None
    """A TOML file with settings under the names of the options; flags override it."""
    checkpoint_seconds: float = 30.0
    """Minimum time between two checkpoints, in seconds."""

    @property
    def shown(self) -> Literal["auto", "bar", "log", "none"]:
        """How progress is shown, if anything is."""
        return "none" if self.quiet else self.progress
