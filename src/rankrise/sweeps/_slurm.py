"""Workers that are jobs of Slurm, by dask-jobqueue."""

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import field_validator

from rankrise._errors import InputError, reason
from rankrise._optional import imported
from rankrise._settings import Settings


class SlurmSettings(Settings):
    """Jobs of Slurm, each of which is a worker."""

    interface: str
    """Network interface over which workers reach the scheduler, such as ib0. The
    scheduler listens there and nowhere else."""
    memory: str
    """Memory of a job, such as 8GB."""
    cores: int = 1
    """Cores of a job, which has one worker."""
    walltime: str = "01:00:00"
    """Time limit of a job; a sweep goes on in the next."""
    jobs: int = 1
    """How many jobs."""
    queue: str | None = None
    """Partition."""
    account: str | None = None
    """Account that is charged."""
    prologue: tuple[str, ...] = ()
    """Lines before the worker starts, such as module load python."""
    directives: tuple[str, ...] = ()
    """Further options of sbatch, such as --gres=gpu:1."""
    shared_folder: str | None = None
    """Folder that all machines see, for the certificate; by default the home."""
    encrypted: bool = True
    """Let nobody else in: connections by TLS with a certificate of this run's own."""

    @field_validator("prologue", "directives", mode="before")
    @classmethod
    def _lines(cls, given: Any) -> Any:
        return (given,) if isinstance(given, str) else given

    def check(self) -> None:
        self.require_positive("cores", "jobs")

    @classmethod
    def read(cls, path: Path) -> "SlurmSettings":
        """The settings in a TOML file."""
        if not path.is_file():
            raise InputError(f"There is no file {path} with settings for Slurm.")
        try:
            given = tomllib.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError(f"{path} is not TOML ({reason(error)}).") from error
        for name in ("interface", "memory"):
            if name not in given:
                raise InputError(
                    f'{path} has no `{name}`; give such as `interface = "ib0"` and '
                    '`memory = "8GB"`.'
                )
        return cls(**given)


@contextmanager
def open_slurm(path: Path, workers: int | None) -> Iterator[Any]:
    """A client of workers that Slurm starts; `workers` replaces how many jobs."""
    from distributed import Client

    settings = SlurmSettings.read(path)
    with _cluster(settings) as cluster, Client(cluster) as client:
        cluster.scale(jobs=workers or settings.jobs)
        yield client


def slurm_script(path: Path) -> str:
    """The script of a job, as it would be given to sbatch."""
    with _cluster(SlurmSettings.read(path)) as cluster:
        script: str = cluster.job_script()
    return script


@contextmanager
def _cluster(settings: SlurmSettings) -> Iterator[Any]:
    jobqueue = imported("dask_jobqueue", "cluster", "Slurm needs")
    from distributed.utils import get_ip_interface

    try:
        get_ip_interface(settings.interface)
    except ValueError as error:
        raise InputError(
            f"This machine has no network interface {settings.interface!r} "
            f"({reason(error)})."
        ) from error
    secure: dict[str, Any] = {}
    if settings.encrypted:
        shared = settings.shared_folder or str(Path.home())
        secure = {"security": True, "protocol": "tls://"}
        secure["shared_temp_directory"] = shared
    try:
        cluster = jobqueue.SLURMCluster(
            cores=settings.cores,
            processes=1,
            memory=settings.memory,
            walltime=settings.walltime,
            queue=settings.queue,
            account=settings.account,
            interface=settings.interface,
            job_script_prologue=list(settings.prologue),
            job_extra_directives=list(settings.directives),
            scheduler_options={"dashboard_address": "127.0.0.1:0"},
            nanny=True,
            **secure,
        )
    except (ValueError, OSError, RuntimeError, ImportError) as error:
        raise InputError(
            f"Jobs of Slurm cannot be made with these settings ({reason(error)})."
        ) from error
    with cluster:
        yield cluster
