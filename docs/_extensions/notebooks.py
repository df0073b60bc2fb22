"""The page on notebooks as a notebook: a cell for each block of code."""

import json
import re
import textwrap
from pathlib import Path
from typing import Any

_BLOCK = re.compile(r"^```(python|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_ROLE = re.compile(r"\{\w+\}`([^<`]*?)( <[^>]*>)?`")


def notebook_of(page: str) -> dict[str, Any]:
    """A page of Markdown as a notebook; commands get the exclamation mark they need."""
    cells = []
    # Text, language and code, one after another, and the text after the last.
    words = _BLOCK.split(page)
    for text, language, code in zip(words[::3], words[1::3], words[2::3], strict=False):
        cells.append(_cell("markdown", _ROLE.sub(r"\1", text)))
        if language == "bash":
            code = textwrap.indent(code, "!")
        cells.append(_cell("code", code) | {"outputs": [], "execution_count": None})
    cells.append(_cell("markdown", words[-1]))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return {
        "cells": [cell | {"id": f"cell-{n}"} for n, cell in enumerate(cells)],
        "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def _cell(kind: str, text: str) -> dict[str, Any]:
    return {"cell_type": kind, "metadata": {}, "source": text.strip()}


def write_notebook(app: Any) -> None:
    page = Path(app.srcdir) / "howto/notebook.md"
    folder = Path(app.srcdir) / "api"
    folder.mkdir(exist_ok=True)
    content = json.dumps(notebook_of(page.read_text(encoding="utf-8")), indent=1)
    (folder / "notebook.ipynb").write_text(content + "\n", encoding="utf-8")


def setup(app: Any) -> dict[str, Any]:
    app.connect("builder-inited", write_notebook)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
