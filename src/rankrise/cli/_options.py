"""Options of every command."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Group, Parameter

if TYPE_CHECKING:
    from rankrise.runs import Pool

_OUTPUT = Group("Output", sort_key=2)
_CLUSTER = Group("Several processes", sort_key=1)

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


@Parameter(name="*", group=_CLUSTER)
@dataclass(frozen=True, kw_only=True)
class ClusterOptions:
    """Which processes do the parts of a study."""

    scheduler: str | None = None
    """Address of a scheduler of Dask such as tcp://10.0.0.5:8786, or local, which
    starts workers on this machine. By default all is done in this process."""
    workers: int | None = None
    """How many workers are started on this machine, by default one for every core."""

    @contextmanager
    def pool(self) -> Iterator["Pool | None"]:
        """The processes, as long as the block lasts; none where none are asked for."""
        if self.scheduler is None and self.workers is None:
            yield None
            return
        from rankrise.sweeps import open_pool

        with open_pool(self.scheduler or "local", workers=self.workers) as pool:
            yield pool
