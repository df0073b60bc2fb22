"""Settings and fixtures shared by all tests."""

import gc
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path

import hypothesis
import jax
import jaxtyping
import pytest

# The environment is for the programs that tests start; JAX has read its own already.
os.environ.setdefault("RANKRISE_COMPILE_CACHE", "0")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("MPLBACKEND", "Agg")
jax.config.update("jax_platforms", os.environ["JAX_PLATFORMS"])

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_dtype_promotion", "strict")


class _Unchecked(MetaPathFinder):
    """Finds modules whose functions Numba compiles: it takes none that is wrapped."""

    def find_spec(self, fullname, path=None, target=None):
        if fullname.startswith("rankrise.") and fullname.endswith("_kernels"):
            return PathFinder.find_spec(fullname, path, target)
        return None


# Before that of jaxtyping, which has all other modules check their arguments.
sys.meta_path.insert(0, _Unchecked())

# The first example of a test compiles, so a deadline would measure the compiler.
hypothesis.settings.register_profile("rankrise", deadline=None, derandomize=True)
hypothesis.settings.load_profile("rankrise")


def pytest_configure(config: pytest.Config) -> None:
    # JAX writes cache entries in place: one that another worker is still writing (or
    # that a killed run left half written) reads as damaged. JAX then compiles anew.
    config.addinivalue_line(
        "filterwarnings",
        "ignore:Error (reading|writing) persistent compilation cache entry:UserWarning",
    )


def pytest_collection_finish() -> None:
    # What is imported by now stays, and compiling makes little garbage: looking for it
    # took a twenty-fifth of the time.
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)


@pytest.fixture(scope="module", autouse=True)
def _few_programs() -> Iterator[None]:
    """Linux allows a process 65,530 mapped areas, and each compiled program takes some:
    all tests together would end in an abort."""
    yield
    areas = Path("/proc/self/maps")
    if areas.exists() and areas.read_bytes().count(b"\n") > 20_000:
        jax.clear_caches()
        gc.collect()


@pytest.fixture
def unchecked() -> Iterator[None]:
    """Arguments meet our own checks only, as they do where types are not checked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        yield


@pytest.fixture
def key() -> jax.Array:
    """A fixed random key; tests that need several split it."""
    return jax.random.key(0)


@pytest.fixture(scope="session")
def blanking() -> Callable[[], AbstractContextManager[None]]:
    """Within it, figures are made but saved without what is in them: that takes most
    of a run."""
    # The checks of annotations are installed by now.
    from rankrise import reports
    from rankrise.drawing import Picture

    save = reports.save_figure

    def empty(figure: Picture) -> Picture:
        picture = Picture((1, 1))
        picture.caption = figure.caption
        return picture

    @contextmanager
    def blank() -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                reports, "save_figure", lambda figure, path: save(empty(figure), path)
            )
            yield

    return blank


@pytest.fixture
def blank_figures(
    blanking: Callable[[], AbstractContextManager[None]],
) -> Iterator[None]:
    """The same for a test; fixtures that last longer have been made by then."""
    with blanking():
        yield


@pytest.fixture(scope="module")
def benchmarks():
    """Gives the benchmarks' modules by name; they import one another as scripts do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
        yield importlib.import_module
