"""Run the code of the gallery and keep the pictures that it makes; `make pictures`."""

import re
import shutil
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

DOCS = Path(__file__).resolve().parent
_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def make_pictures(folder: Path) -> list[Path]:
    """Run each block in `folder`; the pictures that are there afterwards."""
    page = (DOCS / "gallery.md").read_text(encoding="utf-8")
    with chdir(folder):
        for block in _BLOCK.findall(page):
            exec(compile(block, "gallery.md", "exec"), {"__name__": "gallery"})
    return sorted(folder.glob("gallery-*.png"))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for picture in make_pictures(Path(folder)):
            shutil.copy(picture, DOCS / "images")
            print(f"docs/images/{picture.name}", file=sys.stderr)


if __name__ == "__main__":
    main()
