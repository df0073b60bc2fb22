"""Completion in processes of their own: signals, forks, pools, what is imported."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import pytest

# Longer than any of this takes on a busy machine; a hang ends here.
PATIENCE = 120

TENSOR = """
import sys
import numpy as np
import rankrise as rr

def tensor(dims, seed=0):
    rng = np.random.default_rng(seed)
    parts = [rng.standard_normal((dim, 3)) for dim in dims]
    whole = np.einsum("ir,jr,kr->ijk", *parts)
    return np.where(rng.random(dims) < 0.5, np.nan, whole)

small = tensor((7, 6, 5))
QUICK = {"models": 2, "smooth": False, "max_components": 2}
"""


def script(body):
    return [sys.executable, "-c", TENSOR + textwrap.dedent(body)]


def said_by(body):
    """What a program prints; its errors are ours."""
    done = subprocess.run(
        script(body), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def signalled(body, number):
    """A program that gets a signal once it prints, and the seconds to its end."""
    with subprocess.Popen(
        script(body), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip() == "under way"
            time.sleep(0.3)
            begin = time.monotonic()
            process.send_signal(number)
            out, err = process.communicate(timeout=PATIENCE)
            return process.returncode, out, err, time.monotonic() - begin
        finally:
            process.kill()


LONG = """
told = False
def tell(at):
    global told
    if not told:
        told = True
        print("under way", flush=True)
"""


@pytest.mark.parametrize(
    ("dims", "models"),
    [((60, 50, 40), 8), ((120, 110, 100), 1)],
    ids=["small-models", "one-large-model"],
)
def test_an_interrupt_comes_out_of_a_call_soon(dims, models):
    # More than half a million observations are fitted by all cores together.
    code, out, err, seconds = signalled(
        LONG
        + f"""
large = tensor({dims}) + np.random.default_rng(1).standard_normal({dims})
try:
    rr.complete(large, models={models}, progress=tell)
except KeyboardInterrupt:
    print("interrupted", flush=True)
""",
        signal.SIGINT,
    )
    assert out.strip() == "interrupted", err
    assert code == 0
    # About a second on an idle machine; tests may share theirs.
    assert seconds < 5


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")
def test_sigterm_ends_the_process_as_it_always_does():
    code, _, _, seconds = signalled(
        LONG
        + """
rr.complete(tensor((60, 50, 40)) + 1, progress=tell)
print("done")
""",
        signal.SIGTERM,
    )
    assert code == -signal.SIGTERM
    assert seconds < 5


def test_nothing_of_it_loads_jax_nor_what_draws_or_reads_tables(tmp_path):
    loaded = said_by(
        f"""
        import pathlib
        checkpoint = rr.Checkpoint("{tmp_path / "state.npz"}", seconds=0.0)
        found = rr.complete(small, **QUICK, checkpoint=checkpoint, progress=str)
        found.completed, found.std, found.interval(), found.errors(), repr(found)
        found.rank, found._repr_html_()
        found.entries(np.array([[0, 0, 0]])), found.reproducibility
        found.save_factors(pathlib.Path("{tmp_path}"))
        labels = np.where(np.isnan(small), np.nan, small > 0)
        for loss in ("huber", "absolute", "logistic", "poisson"):
            rr.complete(labels, loss=loss, **QUICK)
        heavy = {{"jax", "matplotlib", "pandas", "xarray"}}
        print(*sorted(heavy & set(sys.modules)))
        """
    )
    assert loaded == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_fork_after_a_completion_completes_too():
    same = said_by(
        """
        import os, warnings
        warnings.simplefilter("ignore")
        expected = rr.complete(small, **QUICK).completed
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            found = rr.complete(small, **QUICK).completed
            os.write(write, b"same" if np.array_equal(found, expected) else b"other")
            os._exit(0)
        os.waitpid(child, 0)
        print(os.read(read, 10).decode())
        # And the parent still does.
        print(np.array_equal(rr.complete(small, **QUICK).completed, expected))
        """
    )
    assert same == ["same", "True"]


POOL = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

def one(seed):
    return rr.complete(tensor((7, 6, 5), seed), **QUICK).completed

if __name__ == "__main__":
    expected = [one(seed) for seed in range(3)]
    context = multiprocessing.get_context("{context}")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        found = list(pool.map(one, range(3)))
    print(all(map(np.array_equal, found, expected)))
"""


# Of a process that was forked, the test above.
@pytest.mark.slow
@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_processes_of_a_pool_complete_too(context, tmp_path):
    # What a pool spawns imports the program, so it has to be a file.
    program = tmp_path / "program.py"
    program.write_text(TENSOR + POOL.format(context=context))
    done = subprocess.run(
        [sys.executable, "-W", "ignore", program],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout.split() == ["True"], done.stderr


def test_wrong_calls_are_refused_in_the_callers_words():
    # Without the checks of annotations that tests have.
    words = said_by(
        """
        for wrong in ({"models": "3"}, {"checkpoint": "state.npz"}, {"loss": 3}):
            try:
                rr.complete(small, **wrong)
            except rr.InputError as error:
                print(str(error).replace(" ", "_"))
        """
    )
    assert words[0] == "`models`_is_'3';_give_a_whole_number."
    assert words[1] == "`checkpoint`_is_'state.npz';_give_a_Checkpoint(path)."
    assert "AbstractLoss" in words[2]
