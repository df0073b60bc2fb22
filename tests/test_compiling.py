"""Programs are kept on disk, and a process that was forked is refused."""

import os
import subprocess
import sys

import pytest

_RUN = """
import multiprocessing, sys, warnings
import jax, numpy as np, rankrise as rr

hits = []
jax.monitoring.register_event_listener(lambda event, **facts: hits.append(event))
observed = rr.Observations(np.argwhere(np.ones((4, 3))), np.arange(12.0), (4, 3))
problem = rr.CompletionProblem.from_observations(observed)
start = rr.factorizations.near_zero((4, 3), 2, init_scale=0.1, key=jax.random.key(0))

def run():
    rr.solve(problem, start, rr.GradientDescent(0.01), max_steps=5)
"""
_COUNT = """
run()
print(hits.count("/jax/compilation_cache/cache_hits"))
"""
_FORK = """
def child():
    for call in (run, lambda: rr.solve_limit(problem, start)):
        try:
            call()
        except RuntimeError as error:
            print(error, flush=True)

run()
warnings.simplefilter("ignore")
process = multiprocessing.get_context("fork").Process(target=child)
process.start()
process.join(60)
process.kill()
"""


def said(program: str, home, **environment: str) -> str:
    kept = {k: v for k, v in os.environ.items() if "COMPIL" not in k}
    done = subprocess.run(
        [sys.executable, "-c", _RUN + program],
        env={**kept, "XDG_CACHE_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=200,
        check=True,
    )
    assert "rror" not in done.stderr
    return done.stdout


def test_programs_are_kept_for_the_next_process(tmp_path):
    # However fast this machine compiles.
    every = {"JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}
    assert int(said(_COUNT, tmp_path, **every)) == 0
    assert int(said(_COUNT, tmp_path, **every)) > 0


def test_a_folder_that_jax_is_configured_for_stays(tmp_path):
    own, home = tmp_path / "own", tmp_path / "home"
    said(
        _COUNT,
        home,
        JAX_COMPILATION_CACHE_DIR=str(own),
        JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS="0",
    )
    assert list(own.iterdir())
    assert not home.exists()


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    assert int(said(_COUNT, blocked)) == 0


@pytest.fixture(scope="module")
def forked(tmp_path_factory):
    """What a forked process says, and the home of one that keeps no programs."""
    if not hasattr(os, "fork"):
        pytest.skip("the system does not fork")
    home = tmp_path_factory.mktemp("home")
    return said(_FORK, home, RANKRISE_COMPILE_CACHE="0").splitlines(), home


def test_a_process_forked_after_a_run_is_refused_in_one_sentence(forked):
    sentences, _ = forked
    assert len(sentences) == 2
    assert all("forked" in sentence for sentence in sentences)


def test_none_are_kept_where_that_is_turned_off(forked):
    _, home = forked
    assert not list(home.iterdir())
