"""The import direction, read from the source of every module."""

import ast
import functools as ft
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = "rankrise"
ROOT = Path(__file__).resolve().parents[1] / "src" / PACKAGE

# A folder imports only from layers above its own; the members of one layer are
# neighbours, who don't import one another. Above them all lie the private modules
# at the top (_typing, _errors, ...), which every folder and each other may use.
LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"tensors", "losses", "runs", "drawing"}),
    frozenset({"synthetic", "tables"}),
    frozenset({"factorizations"}),
    frozenset({"problems"}),
    frozenset({"trajectories"}),
    frozenset({"solvers"}),
    frozenset({"limit"}),
    frozenset({"ensembles", "completion"}),
    frozenset({"theory", "complexity", "estimators"}),
    frozenset({"experiments"}),
    frozenset({"sweeps"}),
    frozenset({"reports"}),
    frozenset({"cli"}),
    frozenset({"__main__"}),
)
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
PRIVATE = -1

PLOTTING = frozenset({"matplotlib", "mpl_toolkits", "pylab", "plotly"})
# All of these import JAX.
JAX = frozenset({"jax", "jaxlib", "equinox", "optax", "diffrax"})
WITHOUT_JAX = frozenset({"tensors", "synthetic", "tables", "losses", "runs", "drawing"})
# Results make their pictures of what `drawing` gives; `reports` writes them to files.
WITH_PLOTTING = frozenset({"drawing", "reports"})

# Imports of another folder's private files, a number that may only fall; 0 elsewhere.
PRIVATE_IMPORTS: dict[str, int] = {}


def layer_violations(root: Path) -> list[str]:
    """One sentence for each breach in the package whose source folder is `root`."""
    found = []
    for path in sorted(p for p in root.rglob("*.py*") if p.suffix in {".py", ".pyi"}):
        parts = path.relative_to(root).with_suffix("").parts
        if parts == ("__init__",) and path.suffix == ".pyi":
            continue  # The list of public names: it imports from everywhere.
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        breaches = _code_at_the_top(tree) if parts == ("__init__",) else []
        breaches += _misplaced_imports(parts, tree)
        found += [f"{path.relative_to(root)}:{breach}" for breach in breaches]
    return found


def _code_at_the_top(tree: ast.Module) -> list[str]:
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
    return [
        f"{node.lineno}: the top of the package holds names, no definitions"
        for node in ast.walk(tree)
        if isinstance(node, definitions)
    ]


def _misplaced_imports(parts: tuple[str, ...], tree: ast.Module) -> list[str]:
    owner = parts[0]
    height = _height(owner)
    if height is None:
        return [f"1: {owner} has no place in the order of layers"]
    found = []
    for line, module in _imported_modules(parts, tree):
        library, *inner = module.split(".")
        if library in PLOTTING and owner not in WITH_PLOTTING:
            found.append(f"{line}: only drawing and reports may import {library}")
        if library in JAX and owner in WITHOUT_JAX:
            found.append(
                f"{line}: {owner} works without JAX, but this imports {library}"
            )
        if library != PACKAGE:
            continue
        if not inner:
            found.append(f"{line}: import from a folder, not from the package's top")
            continue
        target = inner[0]
        target_height = _height(target)
        if target_height is None:
            found.append(f"{line}: {target} has no place in the order of layers")
        elif target != owner and not (target_height < height or target_height < 0):
            found.append(f"{line}: {owner} may not import {target}")
    return found


def _height(name: str) -> int | None:
    if name in HEIGHT:
        return HEIGHT[name]
    if name == "__init__":
        return PRIVATE
    return PRIVATE if name.startswith("_") else None


def _imported_modules(
    parts: tuple[str, ...], tree: ast.Module
) -> Iterator[tuple[int, str]]:
    """Absolute names of all that is imported, inside functions and `if`s as well."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                # One dot is the folder of the module, whatever the module's name.
                base = (PACKAGE, *parts)[: len(parts) + 1 - node.level]
                module = ".".join((*base, module)) if module else ".".join(base)
            if module == PACKAGE:
                yield from (
                    (node.lineno, _name_at_the_top(alias.name)) for alias in node.names
                )
            else:
                yield node.lineno, module


@ft.cache
def modules(root: Path) -> dict[tuple[str, ...], ast.Module]:
    """Every module in the package, by its place."""
    return {
        path.relative_to(root).with_suffix("").parts: ast.parse(
            path.read_text(encoding="utf-8"), filename=str(path)
        )
        for path in sorted(root.rglob("*.py"))
    }


def private_imports(root: Path) -> list[str]:
    """Imports from the private files of another folder, one sentence each."""
    return [
        f"{'/'.join(parts)}:{line}: {module}"
        for parts, tree in modules(root).items()
        for line, module in _imported_modules(parts, tree)
        if module.startswith(f"{PACKAGE}.")
        and module.split(".")[1] != parts[0]
        and any(part.startswith("_") for part in module.split(".")[2:])
    ]


def import_graph(root: Path, *, folders: bool) -> dict[str, set[str]]:
    """Which file imports which, or which folder which, in functions as well.

    Names under `if TYPE_CHECKING` are never imported.
    """
    graph: dict[str, set[str]] = {}
    found = modules(root)
    known = {".".join((PACKAGE, *parts)) for parts in found}
    for parts, tree in found.items():
        own = ".".join((PACKAGE, *parts))
        if folders and len(parts) == 1:
            continue
        source = parts[0] if folders else own
        for _, module in _imported_modules(parts, _without_types(tree)):
            target = module if module in known else f"{module}.__init__"
            if folders:
                inner = module.split(".")
                target = inner[1] if inner[0] == PACKAGE and len(inner) > 1 else ""
            if target != source and (folders or target in known):
                graph.setdefault(source, set()).add(target)
    return graph


def _without_types(tree: ast.Module) -> ast.Module:
    def is_for_types(node: ast.stmt) -> bool:
        return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"

    return ast.Module([node for node in tree.body if not is_for_types(node)], [])


def cycles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Names that lead back to themselves, each with a way."""
    found = []
    for start in graph:
        ways, seen = [[start]], {start}
        while ways:
            way = ways.pop()
            for target in graph.get(way[-1], ()):
                if target == start:
                    found.append(way)
                    ways, seen = [], seen | {target}
                    break
                if target not in seen:
                    seen.add(target)
                    ways.append([*way, target])
    return found


def _name_at_the_top(name: str) -> str:
    # `from rankrise import tensors` names a folder; `from rankrise import solve` is a
    # public name, which says nothing of where it comes from.
    is_module = name in HEIGHT or name.startswith("_")
    return f"{PACKAGE}.{name}" if is_module else PACKAGE


def write_package(root: Path, sources: dict[str, str]) -> Path:
    for name, source in sources.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source, encoding="utf-8")
    return root


def test_source_keeps_the_import_direction():
    assert ROOT.is_dir()
    assert layer_violations(ROOT) == []


def test_folders_take_from_each_other_what_their_faces_show():
    counts = Counter(found.split("/")[0] for found in private_imports(ROOT))
    assert counts == PRIVATE_IMPORTS, private_imports(ROOT)


@pytest.mark.parametrize("folders", [False, True])
def test_no_import_leads_back_to_where_it_came_from(folders):
    assert cycles(import_graph(ROOT, folders=folders)) == []


def test_checker_finds_private_imports_and_cycles(tmp_path):
    sources = {
        "runs/__init__.py": "from rankrise.runs._a import x",
        "runs/_a.py": "def f():\n    from rankrise.runs._b import y",
        "runs/_b.py": "from rankrise.runs._a import x\nfrom rankrise.cli import main",
        "cli/__init__.py": "from rankrise.runs._a import x",
        "cli/_a.py": "if TYPE_CHECKING:\n    from rankrise.cli._b import x",
        "cli/_b.py": "from rankrise.cli._a import x\nfrom rankrise._errors import y",
    }
    root = write_package(tmp_path, sources)
    assert private_imports(root) == ["cli/__init__:1: rankrise.runs._a"]
    of_files = cycles(import_graph(root, folders=False))
    assert ["rankrise.runs._a", "rankrise.runs._b"] in of_files
    assert not any("rankrise.cli._b" in way for way in of_files)
    assert sorted(cycles(import_graph(root, folders=True))) == [
        ["cli", "runs"],
        ["runs", "cli"],
    ]


def test_importing_leaves_jax_and_matplotlib_alone():
    folders = "tensors synthetic tables losses runs completion estimators drawing"
    modules = ["rankrise", *(f"rankrise.{folder}" for folder in folders.split())]
    # A fresh interpreter, since this one has long imported both. They are imported one
    # after another, so the first that brings one of both along is named.
    lines = (
        "import importlib, sys",
        f"for module in {modules}:",
        "    importlib.import_module(module)",
        "    print(module, *sorted({'jax', 'matplotlib'} & set(sys.modules)))",
    )
    program = [sys.executable, "-c", "\n".join(lines)]
    run = subprocess.run(program, capture_output=True, text=True, check=True)
    assert run.stdout.splitlines() == modules


def test_checker_accepts_imports_from_above(tmp_path):
    sources = {
        "__init__.py": "import lazy_loader\nfrom rankrise._version import __version__",
        "__init__.pyi": "from rankrise.cli import main as main",
        "__main__.py": "from rankrise.cli import main",
        "_errors.py": "from rankrise._typing import Values",
        "_typing.py": "import jax",
        "runs/__init__.py": "from rankrise.runs._files import read",
        "runs/_files.py": "import numpy\nfrom rankrise._errors import InputError",
        "solvers/_flow.py": "import jax\nfrom ..runs import Observations",
        "theory/_growth.py": "from rankrise import _algebra, solvers",
        "reports/_figures.py": "def draw():\n    import matplotlib.pyplot",
        "cli.py": "from rankrise.reports import draw",
    }
    assert layer_violations(write_package(tmp_path, sources)) == []


@pytest.mark.parametrize(
    ("name", "source", "breach"),
    [
        (
            "runs/a.py",
            "from rankrise.solvers import solve",
            "runs may not import",
        ),
        ("runs/a.py", "import rankrise.solvers", "runs may not import solvers"),
        (
            "runs/a.py",
            "from rankrise import solvers",
            "runs may not import solvers",
        ),
        ("runs/a.py", "from .. import solvers", "runs may not import solvers"),
        (
            "runs/a.py",
            "from ..solvers.flow import x",
            "runs may not import solvers",
        ),
        ("runs/deep/a.py", "from ...cli import main", "runs may not import cli"),
        (
            "problems/a.py",
            "def f():\n    from rankrise.solvers import solve",
            "2: problems may not import solvers",
        ),
        (
            "problems/a.py",
            "if TYPE_CHECKING:\n    from rankrise.trajectories import Trajectory",
            "2: problems may not import trajectories",
        ),
        ("problems/a.pyi", "from rankrise.solvers import x", "problems may not import"),
        ("theory/a.py", "from rankrise.complexity import x", "may not import complex"),
        ("complexity/a.py", "from rankrise.estimators import x", "may not import est"),
        ("estimators/a.py", "from rankrise.theory import x", "may not import theory"),
        ("reports/a.py", "from rankrise.cli import main", "reports may not import cli"),
        (
            "_algebra.py",
            "from rankrise.runs import x",
            "_algebra may not import runs",
        ),
        (
            "__init__.py",
            "from rankrise.runs import x",
            "__init__ may not import runs",
        ),
        ("solvers/a.py", "import rankrise as rr", "not from the package's top"),
        ("solvers/a.py", "from rankrise import solve", "not from the package's top"),
        ("cli.py", "import matplotlib.pyplot as plt", "only drawing and reports may"),
        ("theory/a.py", "from matplotlib import cm", "only drawing and reports may"),
        ("runs/a.py", "import jax.numpy as jnp", "runs works without JAX"),
        (
            "runs/a.py",
            "def f():\n    from jax import vmap",
            "2: runs works without",
        ),
        ("runs/a.py", "import equinox", "runs works without JAX"),
        ("helpers/a.py", "", "helpers has no place in the order"),
        ("helpers.py", "", "helpers has no place in the order"),
        ("cli.py", "from rankrise.helpers import x", "helpers has no place"),
        ("__init__.py", "def f(): ...", "no definitions"),
        ("__init__.py", "if True:\n    class A: ...", "2: the top of the package"),
        ("__init__.py", "async def f(): ...", "no definitions"),
        ("__init__.py", "f = lambda: 1", "no definitions"),
    ],
)
def test_checker_finds_each_kind_of_breach(tmp_path, name, source, breach):
    (found,) = layer_violations(write_package(tmp_path, {name: source}))
    assert found.startswith(f"{name}:")
    assert breach in found


def test_design_page_shows_the_layers():
    page = (ROOT.parents[1] / "docs/design.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", page, re.MULTILINE)
    shown = tuple(frozenset(re.findall(r"`(\w+)`", row)) for row in rows)
    # The last layer is the module that starts the program.
    assert shown == LAYERS[:-1]
    (without_jax,) = re.findall(r"work without JAX: ([^.]*)\.", page)
    assert set(re.findall(r"`(\w+)`", without_jax)) == WITHOUT_JAX
