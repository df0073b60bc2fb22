"""What tests of the command line share: a small tensor, and ways to run commands."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import rankrise
from rankrise.cli._main import run

SOURCE = Path(rankrise.__file__).parents[1]


@pytest.fixture(scope="session", autouse=True)
def program_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Programs that tests start find this package, and leave the user's cache alone."""
    with pytest.MonkeyPatch.context() as patch:
        if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
            cache = tmp_path_factory.mktemp("jax-cache")
            patch.setenv("JAX_COMPILATION_CACHE_DIR", str(cache))
        patch.setenv("PYTHONPATH", str(SOURCE))
        yield


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.fixture(scope="session")
def tensor() -> np.ndarray:
    """Order 3, CP rank 2, about a third unobserved; its last entry is observed."""
    rng = np.random.default_rng(0)
    factors = [rng.normal(size=(dim, 2)) for dim in (6, 7, 5)]
    tensor = np.einsum("ir,jr,kr->ijk", *factors)
    tensor[rng.random(tensor.shape) < 0.35] = np.nan
    tensor[-1, -1, -1] = 1 / 3
    return tensor


@pytest.fixture(scope="session")
def tensor_file(tensor: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tensor as a .npy file."""
    path = tmp_path_factory.mktemp("tensor") / "tensor.npy"
    np.save(path, tensor)
    return path


@pytest.fixture(scope="session")
def start(program_environment: None) -> Callable[..., subprocess.Popen[str]]:
    """Start `python -m rankrise` as a process, its output in pipes."""

    def started(*tokens: object, **options: object) -> subprocess.Popen[str]:
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        command = [sys.executable, "-m", "rankrise", *map(str, tokens)]
        return subprocess.Popen(command, **{**pipes, **options})

    return started


@pytest.fixture(scope="session")
def check_refusal() -> Callable[[int, str, str, str], None]:
    """One sentence that has these words, nothing else, and exit status 2."""

    def check(status: int, out: str, err: str, words: str) -> None:
        assert status == 2
        assert out == ""
        assert re.fullmatch(r"rankrise: [^\n]*\.\n", err), err
        assert "Traceback" not in err
        assert re.search(words, err), err

    return check


@pytest.fixture
def assert_refused(
    capfd: pytest.CaptureFixture[str], check_refusal: Callable[..., None]
) -> Callable[[list[object], str], None]:
    """Run a command here that must be refused with these words."""

    def check(tokens: list[object], words: str) -> None:
        capfd.readouterr()
        status = run([str(token) for token in tokens])
        check_refusal(status, *capfd.readouterr(), words)

    return check
