"""Pages of the reference, written from the public names as the package has them.

A page for each namespace, and for the names at the top one for each folder that
defines them.
"""

import ast
import dataclasses
import inspect
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import rankrise

# The page of names at the top that no folder of their own defines.
_REST = "general"


@dataclasses.dataclass(frozen=True)
class Page:
    """A page of the reference.

    Attributes
    ----------
    name
        Of its file.
    module
        Where users find its names.
    about
        The docstring of the folder that defines them.
    """

    name: str
    module: str
    about: str
    names: tuple[str, ...]


def public_names() -> Iterator[tuple[str, str, Any]]:
    """Module, name and value of all that is public."""
    spaces: list[ModuleType] = [rankrise]
    for space in spaces:
        for name in space.__all__:
            value = getattr(space, name)
            if isinstance(value, ModuleType):
                spaces.append(value)
            elif not name.startswith("__"):
                yield space.__name__, name, value


def api_pages() -> list[Page]:
    """All pages, those of names at the top first."""
    groups: dict[tuple[str, str], list[str]] = {}
    for module, name, value in public_names():
        folder = module.rpartition(".")[2]
        if module == "rankrise":
            folder = inspect.unwrap(value).__module__.split(".")[1]
            if folder in rankrise.__all__ or folder.startswith("_"):
                folder = _REST
        groups.setdefault((module, folder), []).append(name)
    return [
        Page(folder, module, _about(folder), tuple(names))
        for (module, folder), names in sorted(groups.items())
    ]


def _about(folder: str) -> str:
    if folder == _REST:
        return "What belongs to all of them."
    text = inspect.getdoc(sys.modules[f"rankrise.{folder}"]) or ""
    return text.partition("\n\n")[0]


def text_of(page: Page) -> str:
    """The page in reStructuredText: a table of the names, then each of them."""
    is_top = page.module == "rankrise"
    title = page.name if is_top else f"rr.{page.name}"
    parts = [
        f"{title}\n{'=' * len(title)}",
        page.about,
        f".. currentmodule:: {page.module}",
        ".. autosummary::\n\n" + textwrap.indent("\n".join(page.names), "   "),
    ]
    module = sys.modules[page.module]
    parts += [f".. auto{_kind(getattr(module, name))}:: {name}" for name in page.names]
    return "\n\n".join(parts) + "\n"


def _kind(value: Any) -> str:
    if not inspect.isclass(value):
        return "function" if callable(value) else "data"
    return "exception" if issubclass(value, Exception) else "class"


def index_of(pages: list[Page]) -> str:
    """The first page: which name lies where."""
    parts = [
        "Reference\n=========",
        "Every public name, with ``import rankrise as rr``. All of it stands in the\n"
        "docstrings, so ``help(rr.complete)`` says it too. Tests run the examples.",
        ".. toctree::\n   :hidden:\n\n"
        + textwrap.indent("\n".join(page.name for page in pages), "   "),
    ]
    for page in pages:
        prefix = page.module.replace("rankrise", "rr", 1)
        title = page.name if page.module == "rankrise" else prefix
        links = ", ".join(
            f":py:obj:`{prefix}.{name} <{page.module}.{name}>`" for name in page.names
        )
        parts += [f":doc:`{title} <{page.name}>`\n   {page.about}\n\n   {links}"]
    return "\n\n".join(parts) + "\n"


def write_pages(folder: Path) -> None:
    """Write all pages; what has not changed stays, so that Sphinx need not read it."""
    pages = api_pages()
    texts = {page.name: text_of(page) for page in pages} | {"index": index_of(pages)}
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.rst"):
        if path.stem not in texts:
            path.unlink()
    for name, text in texts.items():
        path = folder / f"{name}.rst"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


class _Source:
    """An annotation or a default as the source has it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


def signature_in_source(value: Any) -> str | None:
    """The signature with annotations and defaults as they are written.

    Those of arrays name shapes, which their evaluated forms hide behind long paths.
    """
    try:
        signature = inspect.signature(value)
        written = dict(_written(value))
    except (OSError, TypeError, ValueError):
        return None
    parameters = []
    for name, parameter in signature.parameters.items():
        annotation, default = written.get(name, (None, None))
        if annotation is not None:
            parameter = parameter.replace(annotation=_Source(annotation))
        elif not isinstance(parameter.annotation, str):
            parameter = parameter.replace(annotation=parameter.empty)
        if default is not None and parameter.default is not parameter.empty:
            parameter = parameter.replace(default=_Source(default))
        parameters.append(parameter)
    returns = written.get("return", (None, None))[0]
    return str(
        signature.replace(
            parameters=parameters,
            return_annotation=_Source(returns) if returns else signature.empty,
        )
    )


def _written(value: Any) -> Iterator[tuple[str, tuple[str | None, str | None]]]:
    """Names of parameters with annotation and default."""
    if inspect.isclass(value):
        own = "__init__" in vars(value) and not dataclasses.is_dataclass(value)
        if own:
            yield from _written(value.__init__)
            return
        for each in reversed(value.__mro__):
            if each.__module__.startswith("rankrise"):
                yield from _written_fields(each)
        return
    (function,) = ast.parse(
        textwrap.dedent(inspect.getsource(inspect.unwrap(value)))
    ).body
    assert isinstance(function, ast.FunctionDef)
    arguments = function.args
    places = [*arguments.posonlyargs, *arguments.args]
    defaults: list[ast.expr | None] = [None] * len(places)
    defaults[len(places) - len(arguments.defaults) :] = arguments.defaults
    pairs = [
        *zip(places, defaults, strict=True),
        *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
    ]
    for argument, default in pairs:
        text = None if default is None else ast.unparse(default)
        yield argument.arg, (_text(argument.annotation), text)
    for rest in (arguments.vararg, arguments.kwarg):
        if rest is not None:
            yield rest.arg, (_text(rest.annotation), None)
    if not isinstance(function.returns, ast.Constant) or function.returns.value:
        yield "return", (_text(function.returns), None)


def _written_fields(
    value: type,
) -> Iterator[tuple[str, tuple[str | None, str | None]]]:
    (body,) = ast.parse(textwrap.dedent(inspect.getsource(value))).body
    assert isinstance(body, ast.ClassDef)
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            default = None if node.value is None else ast.unparse(node.value)
            if default and "field(" in default:
                default = "..."
            yield node.target.id, (_text(node.annotation), default)


def _text(node: ast.AST | None) -> str | None:
    if node is None:
        return None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        node = ast.parse(node.value, mode="eval")  # An annotation between quotes.
    # A number is a number to who calls, as an array without axes or not.
    return ast.unparse(node).replace(" | Float[Array, '']", "")


def _process_signature(
    app: Any, what: str, name: str, obj: Any, *rest: Any
) -> tuple[str, str] | None:
    if what not in ("function", "class", "method", "exception"):
        return None
    written = signature_in_source(obj)
    if written is None:
        return None
    arguments, _, returns = written.partition(") -> ")
    if returns:
        arguments += ")"
    if what == "method":
        first, _, others = arguments[1:-1].partition(", ")
        if first in ("self", "cls"):
            arguments = f"({others})"
    return arguments, returns


def _skip_members(
    app: Any, what: str, name: str, obj: Any, skip: bool, options: Any
) -> bool | None:
    """Methods that come from other libraries are described by these."""
    function = inspect.unwrap(getattr(obj, "fget", None) or obj)
    module = getattr(function, "__module__", None)
    return True if module and not module.startswith("rankrise") else None


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", lambda app: write_pages(Path(app.srcdir) / "api"))
    app.connect("autodoc-process-signature", _process_signature)
    app.connect("autodoc-skip-member", _skip_members)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
