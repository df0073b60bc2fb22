"""The examples of public docstrings run and print what they show."""

import doctest
import importlib.util
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import jax
import pytest

import rankrise

ROOT = Path(__file__).parents[1]
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def public_examples() -> Iterator[tuple[str, str, object]]:
    """Route, name and value of all public names whose docstring has an example."""
    spaces = [rankrise]
    for space in spaces:
        for name in space.__all__:
            value = getattr(space, name)
            if isinstance(value, ModuleType):
                spaces.append(value)
            elif ">>>" in (inspect.getdoc(value) or ""):
                yield space.__name__, name, value


# What takes seconds to compile where nothing is kept.
COMPILED = ("rr.solve", "rr.theory.", "rr.rank_curve", "rr.TensorC", "rr.TensorR")
EXAMPLES = {f"{route}.{name}": value for route, name, value in public_examples()}


def is_compiled(value: object) -> bool:
    text = inspect.getdoc(value)
    return any(f">>> {name}" in text or f"= {name}" in text for name in COMPILED)


@pytest.mark.parametrize(
    "route",
    [
        pytest.param(route, marks=[pytest.mark.slow] * is_compiled(value))
        for route, value in EXAMPLES.items()
    ],
)
def test_example_prints_what_it_shows(route, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # Some write files.
    value = EXAMPLES[route]
    parsed = doctest.DocTestParser().get_doctest(
        inspect.getdoc(value), {}, route, None, None
    )
    runner = doctest.DocTestRunner(verbose=False, optionflags=_FLAGS)
    said: list[str] = []
    precise = jax.config.jax_enable_x64  # type: ignore[attr-defined]
    try:
        runner.run(parsed, out=said.append)
    finally:
        jax.config.update("jax_enable_x64", precise)
    assert runner.tries > 0
    assert runner.failures == 0, "".join(said)


def test_at_least_forty_names_have_an_example():
    assert len(EXAMPLES) >= 40


def api_pages() -> ModuleType:
    path = ROOT / "docs/_extensions/api_pages.py"
    spec = importlib.util.spec_from_file_location("api_pages", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_reference_lists_every_public_name_once():
    pages = api_pages().api_pages()
    listed = [f"{page.module}.{name}" for page in pages for name in page.names]
    every = {"rankrise"} | {
        f"rankrise.{name}"
        for name in rankrise.__all__  # type: ignore[attr-defined]
        if isinstance(getattr(rankrise, name), ModuleType)
    }
    expected = [
        f"{space}.{name}"
        for space in every
        for name in importlib.import_module(space).__all__
        if f"{space}.{name}" not in every and not name.startswith("__")
    ]
    assert sorted(listed) == sorted(expected)
    assert len({page.name for page in pages}) == len(pages)


def test_signatures_are_those_of_the_source():
    written = api_pages().signature_in_source
    assert written(rankrise.Minibatch).startswith(
        "(solver: AbstractSolver[Any], batch_size: int, seed: int"
    )
    assert "init_scale: float = 0.005" in written(rankrise.factorizations.near_zero)
    assert "'levenberg-marquardt'" in written(rankrise.TensorRegressor)
