"""Kills without warning lose nothing: the resumed run ends with the same bits.

Run as a program, this file is the run that is killed.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

STEPS = 30_000
SMALL_DYNAMICS = {
    "mode-dims": "4 4 4",
    "target-rank": "2",
    "observations": "40",
    "components": "8",
    "init-scales": "0.1 0.05",
    "steps": "60000",
    "loss-tolerance": "0",
    "save-every": "100",
}


def run_to_the_end(folder):
    """Solve in chunks, with a checkpoint after each."""
    import jax.numpy as jnp

    from rankrise.factorizations import CPFactorization
    from rankrise.problems import CompletionProblem
    from rankrise.runs import Checkpoint
    from rankrise.solvers import solve
    from rankrise.synthetic import observe, random_target, sample_indices
    from rankrise.trajectories import Recording, SaveAt, save_factors

    target = random_target((4, 3, 2), 2, seed=0)
    indices = sample_indices((4, 3, 2), 20, seed=0)
    # Not `near_zero`, because jax.random takes seconds to compile.
    rng = np.random.default_rng(0)
    start = tuple(jnp.asarray(rng.normal(scale=0.1, size=(d, 3))) for d in (4, 3, 2))
    trajectory = solve(
        CompletionProblem.from_observations(observe(target, indices, seed=0)),
        CPFactorization(start),
        max_steps=STEPS,
        recording=Recording(save_at=SaveAt.every(100), observables=["loss"]),
        checkpoint=Checkpoint(folder / "checkpoint.npz", seconds=0.0, resume=True),
    )
    save_factors(folder / "factors.npz", trajectory.models)


class Victim:
    """A program in a folder, killed and started again until it ends by itself."""

    def __init__(self, command, folder, seed):
        self.command = command
        self.folder = folder
        self.random = random.Random(seed)

    def kill_once(self, longest_delay):
        """Kill at a random moment after the first checkpoint of this process."""
        checkpoint, started = self.folder / "checkpoint.npz", time.time()
        with subprocess.Popen(self.command(self.folder), env=environment()) as process:
            while not checkpoint.exists() or checkpoint.stat().st_mtime < started:
                assert process.poll() is None, "it ended before its first checkpoint"
                time.sleep(0.002)
            time.sleep(self.random.uniform(0, longest_delay))
            process.send_signal(signal.SIGKILL)
        # Otherwise it ended before the kill, and the test would prove nothing.
        assert process.returncode == -signal.SIGKILL
        assert not (self.folder / "factors.npz").exists()

    def finish(self):
        subprocess.run(self.command(self.folder), env=environment(), check=True)
        return (self.folder / "factors.npz").read_bytes()


def environment():
    return {**os.environ, "JAX_ENABLE_X64": "1"}


def solve_command(folder):
    return [sys.executable, str(Path(__file__).resolve()), str(folder)]


def dynamics_command(folder):
    options = [
        token
        for name, values in SMALL_DYNAMICS.items()
        for token in (f"--{name}", *values.split())
    ]
    started = (folder / "settings.json").exists()
    return [
        *(sys.executable, "-m", "rankrise", "dynamics"),
        *("--out", str(folder), "--quiet", "--checkpoint-seconds", "0"),
        *(["--resume"] if started else options),
    ]


@pytest.mark.parametrize("kills", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_run_that_was_killed_ends_with_the_same_factors(kills, tmp_path):
    unbroken, killed = tmp_path / "unbroken", tmp_path / "killed"
    unbroken.mkdir()
    killed.mkdir()
    run_to_the_end(unbroken)
    victim = Victim(solve_command, killed, seed=0)
    for _ in range(kills):
        victim.kill_once(longest_delay=0.3)
    assert victim.finish() == (unbroken / "factors.npz").read_bytes()


@pytest.mark.slow
def test_a_command_killed_five_times_ends_with_the_same_factors(tmp_path):
    unbroken = Victim(dynamics_command, tmp_path / "unbroken", seed=0).finish()
    victim = Victim(dynamics_command, tmp_path / "killed", seed=1)
    for _ in range(5):
        victim.kill_once(longest_delay=0.5)
    assert victim.finish() == unbroken
    summary = json.loads((tmp_path / "killed" / "summary.json").read_text())
    assert summary["steps"] == 60_000
    with np.load(tmp_path / "killed" / "factors.npz") as factors:
        assert {"run_0_mode_1", "run_1_mode_3"} <= set(factors.files)


if __name__ == "__main__":
    from rankrise.solvers import _session

    # Killed between any of many chunks; where they end changes no bit.
    _session._CHUNK_SECONDS = 0.005
    run_to_the_end(Path(sys.argv[1]))
