"""Ours beside the paper's as text: Markdown to read, CSV to compute with."""

import csv
import io
import math
from pathlib import Path

from rankrise._atomic import atomic_path
from rankrise.experiments import Comparison, Row

_COLUMNS = (
    "group",
    "quantity",
    "ours",
    "ours_spread",
    "paper",
    "paper_spread",
    "difference",
    "note",
)


def format_number(number: float, spread: float = math.nan) -> str:
    """A few digits, with the deviation where there is one; empty for NaN."""
    if math.isnan(number):
        return ""
    # Infinity is the error of a model that diverged, and no integer.
    whole = math.isfinite(number) and (number == round(number) or abs(number) >= 1000)
    words = f"{number:.0f}" if whole else f"{number:.4g}"
    return words if math.isnan(spread) else f"{words} ± {spread:.2g}"


def format_answer(answer: bool | None) -> str:
    """Yes, no, or empty where it is not known."""
    return "" if answer is None else ("yes" if answer else "no")


def comparison_markdown(
    comparison: Comparison, title: str, left_out: tuple[str, ...] = ()
) -> str:
    """The comparison as a page: what was left out, statements, then numbers."""
    reference = comparison.reference
    lines = [f"# {title}", ""]
    if left_out:
        lines += ["Left out by `--quick`:", "", *(f"- {each}" for each in left_out), ""]
    lines += [line for note in comparison.notes for line in (note, "")]
    if comparison.statements:
        lines += [
            f"| of | statement | ours | {reference} | by |",
            "|---|---|---|---|---|",
            *(
                _line(
                    each.group,
                    each.words,
                    format_answer(each.ours),
                    format_answer(each.paper),
                    each.evidence,
                )
                for each in comparison.statements
            ),
            "",
        ]
    lines += [
        f"| of | number | ours | {reference} | difference | |",
        "|---|---|---:|---:|---:|---|",
        *map(_row_line, comparison.rows),
    ]
    return "\n".join(lines) + "\n"


def _row_line(row: Row) -> str:
    return _line(
        row.group,
        row.quantity,
        format_number(row.ours, row.ours_spread),
        format_number(row.paper, row.paper_spread),
        format_number(row.difference),
        row.note,
    )


def _line(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |"


def comparison_csv(comparison: Comparison) -> str:
    """One line a number, to full precision; what there is not is empty."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in comparison.rows:
        values = (getattr(row, column) for column in _COLUMNS)
        writer.writerow("" if value != value else value for value in values)
    return text.getvalue()


def save_comparison(
    comparison: Comparison, folder: Path, title: str, left_out: tuple[str, ...] = ()
) -> Path:
    """Write comparison.md and comparison.csv; the path of the first."""
    texts = {
        "comparison.csv": comparison_csv(comparison),
        "comparison.md": comparison_markdown(comparison, title, left_out),
    }
    for name, text in texts.items():
        with atomic_path(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return folder / "comparison.md"
