"""Every command and every block of code in README and docs runs as printed."""

import json
import os
import re
import shlex
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

from rankrise.cli._main import run

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Groups in reading order: later pages of one use what earlier ones made.
QUICK = ("README.md", "docs/results.md", "docs/limit.md", "docs/files.md")
SLOW = (
    "docs/complete.md",
    "docs/dynamics.md",
    "docs/extend.md",
    "docs/verify.md",
    "docs/complexity.md",
    "docs/reproduce.md",
    "docs/scale.md",
    "docs/estimators.md",
)
# Each stands by itself, and takes seconds.
SITE = tuple(
    str(path.relative_to(ROOT))
    for path in [
        ROOT / "docs/index.md",
        ROOT / "docs/gallery.md",
        *sorted((ROOT / "docs/start").glob("*.md")),
        *sorted((ROOT / "docs/howto").glob("*.md")),
    ]
)


def blocks(page: str) -> list[tuple[str, str]]:
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def run_command(line: str) -> None:
    words = shlex.split(line, comments=True)
    assert words[0] == "rankrise", f"{line} is no command of ours"
    assert run(words[1:]) == 0, line


def run_block(language: str, text: str, names: dict[str, object]) -> None:
    if language == "python":
        exec(compile(text, "documentation", "exec"), names)
    elif language == "toml":
        name = text.splitlines()[0].removeprefix("# ")
        Path(name).write_text(text, encoding="utf-8")
    elif language == "bash":
        for line in text.splitlines():
            run_command(line)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("pages", [QUICK, SLOW], ids=["quick", "slow"])
def test_pages_run_as_printed(pages, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Later pages use what earlier ones made.
    for page in pages:
        names: dict[str, object] = {"__name__": "documentation"}
        for language, text in blocks(page):
            run_block(language, text, names)


@pytest.mark.slow
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("page", SITE)
def test_page_of_the_site_runs_by_itself(page, tmp_path, monkeypatch):
    pytest.importorskip("tensorly")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "documentation"}
    for language, text in blocks(page):
        run_block(language, text, names)
    text = (ROOT / page).read_text(encoding="utf-8")
    for picture in re.findall(r"images/(gallery-\w+\.png)", text):
        assert (tmp_path / picture).stat().st_size > 10_000, picture
    plt.close("all")


@pytest.mark.slow
def test_page_on_notebooks_runs_as_a_notebook(tmp_path, monkeypatch):
    client = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    nbformat = pytest.importorskip("nbformat")
    monkeypatch.syspath_prepend(str(ROOT / "docs/_extensions"))
    from notebooks import notebook_of

    page = (ROOT / "docs/howto/notebook.md").read_text(encoding="utf-8")
    # So much that a bar is worth its while.
    page = page.replace("models=3", "models=40")
    notebook = nbformat.reads(json.dumps(notebook_of(page)), as_version=4)
    nbformat.validate(notebook)
    # The kernel has figures in the notebook, and finds the command beside its Python.
    monkeypatch.delenv("MPLBACKEND")
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
    resources = {"metadata": {"path": str(tmp_path)}}
    client.NotebookClient(notebook, timeout=300, resources=resources).execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    shown = [
        {kind for output in cell.outputs for kind in output.get("data", ())}
        for cell in cells
    ]
    assert len(cells) == 12
    assert "<progress" in cells[2].outputs[0]["data"]["text/html"]
    assert [n for n, kinds in enumerate(shown) if "image/png" in kinds] == [5, 6, 7]
    assert "text/html" in shown[3]
    assert (tmp_path / "water.html").stat().st_size > 10**6


# Sizes of the quick pages at which they take seconds.
SHORTER = {
    "[::8, ::8]": "[::32, ::32]",
    "complete photograph.npy": "complete photograph.npy --models 1",
    'rr.complete(np.load("photograph.npy"))': (
        'rr.complete(np.load("photograph.npy"), models=1)'
    ),
    "models=2": "models=1",
    "--models 2": "--models 1",
    # As large as in tests of the theory, whose programs serve here too.
    "verify conservation growth escape": (
        "verify growth --mode-dims 3 4 2 --observations 16 --components 4"
    ),
    "--ranks 1-4 --controls inputs labels": "--ranks 1 --controls labels --classes 0",
    "--seed 1 --out runs/": "--seed 1 --components 12 --steps 200 --out runs/",
    "max_steps=3000": "max_steps=300",
    "rr.Limit(max_components=6)": "rr.Limit(max_components=1)",
}


@pytest.mark.usefixtures("blank_figures")
def test_quick_pages_run_at_smaller_sizes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    unused = set(SHORTER)
    for page in QUICK:
        names: dict[str, object] = {"__name__": "documentation"}
        for language, text in blocks(page):
            for printed in [words for words in SHORTER if words in text]:
                text = text.replace(printed, SHORTER[printed])
                unused.discard(printed)
            run_block(language, text, names)
    assert not unused, "no page prints that any more"
    assert (tmp_path / "runs/photograph/completed.npy").exists()


def test_every_page_is_among_those_that_run():
    with_commands = {
        str(path.relative_to(ROOT))
        for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
        if any(
            language in ("bash", "python")
            for language, _ in BLOCK.findall(path.read_text("utf-8"))
        )
    }
    assert with_commands <= {*QUICK, *SLOW, *SITE}


def test_make_targets_named_in_pages_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(
            r"(?:^|`)make ([a-z-]+)", page.read_text(encoding="utf-8")
        ):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_linked_files_exist():
    for page in (*QUICK, *SLOW, *SITE):
        path = ROOT / page
        links = re.findall(r"\]\(((?!http)[^)#]+)\)", path.read_text(encoding="utf-8"))
        for link in links:
            assert (path.parent / link).exists(), f"{page} links to {link}"


def test_demo_completes_a_photograph(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    import demo

    # The full size takes a minute; what is tested here is the way through.
    whole = demo.load_sample_image
    monkeypatch.setattr(demo, "load_sample_image", lambda name: whole(name)[::4, ::4])
    monkeypatch.setattr(demo, "rankrise", lambda *words: _shortened(words))
    demo.main()
    assert (tmp_path / "runs/demo/complete/completion.png").stat().st_size > 10_000
    assert (tmp_path / "runs/demo/report.html").stat().st_size > 10**6
    assert "completion.png" in capfd.readouterr().out


def _shortened(words: tuple[str, ...]) -> None:
    shorter = {
        "complete": ["--models", "1", "--max-components", "2", "--no-smooth"],
        "dynamics": ["--steps", "40", "--components", "12"],
    }
    assert run([*words, *shorter.get(words[0], [])]) == 0
