"""Draw all pictures of the site and the README anew; `make pictures`.

Those of the gallery are made by its code, the others by commands that the README has.
"""

import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

# By the picture's name.
COMMANDS = {
    "dynamics": "dynamics",
    "complexity": "complexity digits --ranks 1-4 --controls inputs labels",
}
DOCS = Path(__file__).resolve().parent
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def make_pictures(folder: Path) -> list[Path]:
    """Run each block in `folder`; the pictures that are there afterwards."""
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    with chdir(folder):
        for block in _BLOCK.findall(page):
            exec(compile(block, "gallery.md", "exec"), {"__name__": "gallery"})
    return sorted(folder.glob("gallery-*.png"))


def run_commands(folder: Path) -> list[Path]:
    """Run the commands in `folder`, the demo among them; their pictures."""
    with chdir(folder):
        runpy.run_path(str(DOCS.parent / "examples/demo.py"), run_name="__main__")
        for name, options in COMMANDS.items():
            command = [sys.executable, "-m", "rankrise", *options.split()]
            subprocess.run([*command, "--out", name], check=True)
    made = [folder / name / f"{name}.png" for name in COMMANDS]
    return [folder / "runs/demo/complete/completion.png", *made]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for picture in [*make_pictures(folder), *run_commands(folder)]:
            shutil.copy(picture, DOCS / "images")
            print(f"docs/images/{picture.name}", file=sys.stderr)


if __name__ == "__main__":
    main()
