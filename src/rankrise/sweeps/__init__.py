"""Many runs of one command, on this machine or a cluster, and what they found."""

from rankrise.sweeps._curves import Curves as Curves
from rankrise.sweeps._expected import expected_sweep_time as expected_sweep_time
from rankrise.sweeps._plan import MOST_RUNS as MOST_RUNS
from rankrise.sweeps._plan import Run as Run
from rankrise.sweeps._pool import check_cluster as check_cluster
from rankrise.sweeps._pool import open_pool as open_pool
from rankrise.sweeps._result import SweepResult as SweepResult
from rankrise.sweeps._result import load_sweep as load_sweep
from rankrise.sweeps._result import read_settings as read_settings
from rankrise.sweeps._result import summarize_sweep as summarize_sweep
from rankrise.sweeps._run_folder import clear_runs as clear_runs
from rankrise.sweeps._run_folder import runs_left as runs_left
from rankrise.sweeps._settings import SweepSettings as SweepSettings
from rankrise.sweeps._slurm import slurm_script as slurm_script
from rankrise.sweeps._staircases import Staircases as Staircases
from rankrise.sweeps._sweep import SweepProgress as SweepProgress
from rankrise.sweeps._sweep import sweep as sweep
