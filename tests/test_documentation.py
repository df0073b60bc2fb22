"""Every command and every block of code in README and docs runs as printed."""

import re
import shlex
from pathlib import Path

import pytest

from rankrise.cli._main import run

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Groups in reading order: later pages of one use what earlier ones made.
QUICK_GROUPS = (("README.md", "docs/results.md"), ("docs/limit.md",))
QUICK = tuple(page for group in QUICK_GROUPS for page in group)
SLOW = (
    "docs/complete.md",
    "docs/dynamics.md",
    "docs/verify.md",
    "docs/complexity.md",
    "docs/reproduce.md",
    "docs/estimators.md",
)


def blocks(page: str) -> list[tuple[str, str]]:
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def run_command(line: str) -> None:
    words = shlex.split(line, comments=True)
    assert words[0] == "rankrise", f"{line} is no command of ours"
    assert run(words[1:]) == 0, line


def run_block(language: str, text: str) -> None:
    if language == "python":
        exec(compile(text, "documentation", "exec"), {"__name__": "documentation"})
    elif language == "toml":
        name = text.splitlines()[0].removeprefix("# ")
        Path(name).write_text(text, encoding="utf-8")
    elif language == "bash":
        for line in text.splitlines():
            run_command(line)


def run_pages(pages: tuple[str, ...]) -> None:
    for page in pages:
        for language, text in blocks(page):
            run_block(language, text)


@pytest.mark.parametrize("pages", QUICK_GROUPS, ids=" ".join)
def test_quick_pages_run_as_printed(pages, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_pages(pages)
    if "README.md" in pages:
        assert (tmp_path / "runs/photograph/completed.npy").exists()


@pytest.mark.slow
def test_slow_pages_run_as_printed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run_pages(SLOW)


def test_every_page_is_among_those_that_run():
    with_commands = {
        str(path.relative_to(ROOT))
        for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
        if any(
            language in ("bash", "python")
            for language, _ in BLOCK.findall(path.read_text("utf-8"))
        )
    }
    assert with_commands <= {*QUICK, *SLOW}


def test_make_targets_named_in_pages_exist():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        for target in re.findall(
            r"(?:^|`)make ([a-z-]+)", page.read_text(encoding="utf-8")
        ):
            assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_linked_files_exist():
    for page in (*QUICK, *SLOW):
        path = ROOT / page
        links = re.findall(r"\]\(((?!http)[^)#]+)\)", path.read_text(encoding="utf-8"))
        for link in links:
            assert (path.parent / link).exists(), f"{page} links to {link}"


def test_demo_completes_a_photograph(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    import demo

    # The full size takes a minute; what is tested here is the way through.
    monkeypatch.setattr(demo, "rankrise", lambda *words: _shortened(words))
    demo.main()
    assert (tmp_path / "runs/demo/complete/completion.png").stat().st_size > 10_000
    assert "completion.png" in capfd.readouterr().out


def _shortened(words: tuple[str, ...]) -> None:
    shorter = {
        "complete": ["--models", "1", "--max-components", "2", "--no-smooth"],
        "dynamics": ["--steps", "40"],
    }
    assert run([*words, *shorter[words[0]]]) == 0
