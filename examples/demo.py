"""The main job on real data: a photograph with most pixels hidden completes itself.

Writes a file with gaps, runs `rankrise complete` on the file as anyone would, then
`rankrise dynamics` at a small size, then `rankrise report` on both, and says where the
pictures are.
"""

import subprocess
import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_sample_image

FOLDER = Path("runs/demo")
HIDDEN_SHARE = 0.7


def hide_pixels(path: Path) -> None:
    """Write scikit-learn's photograph, every fourth pixel, with most pixels as NaN."""
    photograph = load_sample_image("china.jpg")[::4, ::4].astype(float)
    hidden = np.random.default_rng(0).random(photograph.shape[:2]) < HIDDEN_SHARE
    photograph[hidden] = np.nan
    np.save(path, photograph)


def rankrise(*arguments: str) -> None:
    """Run a command as it would be typed."""
    print("$ rankrise", *arguments, flush=True)
    subprocess.run([sys.executable, "-m", "rankrise", *arguments], check=True)
    print()


def main() -> None:
    """Complete a photograph, watch a staircase."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    photograph = FOLDER / "photograph.npy"
    hide_pixels(photograph)
    print(f"wrote {photograph}: {HIDDEN_SHARE:.0%} of its pixels are NaN\n")
    completed, watched = FOLDER / "complete", FOLDER / "dynamics"
    rankrise("complete", str(photograph), "--out", str(completed), "--force")
    small = ["--order", "3", "--mode-dim", "8", "--target-rank", "3"]
    rankrise(
        *["dynamics", *small, "--observations", "300"],
        *["--init-scales", "0.05", "0.01", "0.001"],
        *["--out", str(watched), "--force"],
    )
    report = FOLDER / "report.html"
    rankrise("report", str(completed), str(watched), "--out", str(report))
    print("Look at")
    print(f"  {report}  both, to explore in a browser")
    print(f"  {completed / 'completion.png'}  the photograph, before and after")
    print(f"  {watched / 'dynamics.png'}  components rising one after another")


if __name__ == "__main__":
    main()
