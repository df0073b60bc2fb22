"""What the gradient step's benchmark found, as tables."""

from typing import Any

from rich.table import Table

_MEGABYTE = 1e6


def version_table(result: dict[str, Any]) -> Table:
    """Every version beside rankrise."""
    table = Table(
        title="One step of gradient descent, per run",
        caption="dense: measurement tensors held in full. Broadcast: multiplied with "
        "the end tensor entry by entry, as in the paper's public code.",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("version")
    for heading in ("ms", "fastest", "x rankrise", "MB held", "MB formed"):
        table.add_column(heading, justify="right")
    for row in result["versions"]:
        if not row["installed"]:
            table.add_row(row["name"], "not installed")
            continue
        formed = row["formed_bytes"]
        table.add_row(
            row["name"],
            _milliseconds(row["seconds"]),
            _milliseconds(row["seconds_fastest"]),
            f"{row['times_rankrise']:.1f}",
            f"{row['held_bytes'] / _MEGABYTE:.2f}",
            "-" if formed is None else f"{formed / _MEGABYTE:.2f}",
        )
    return table


def breakdown_table(result: dict[str, Any]) -> Table:
    """Parts of the step, and products of as many operations."""
    table = Table(title="Where the time of a step goes", title_justify="left")
    table.add_column("what")
    table.add_column("ms", justify="right")
    for row in result["parts"]:
        table.add_row(row["name"], _milliseconds(row["seconds"]))
    table.add_section()
    for row in result["floor"]:
        table.add_row(f"floor: {row['name']}", _milliseconds(row["seconds"]))
    return table


def goal(
    name: str, value: float, goal: float, further: float, met: bool
) -> dict[str, Any]:
    """A ratio, what it should be, and what it should be in the end."""
    return {"name": name, "value": value, "goal": goal, "further": further, "met": met}


def goal_table(result: dict[str, Any]) -> Table:
    """Ratios, and what they should be."""
    table = Table(title="Goals", title_justify="left")
    table.add_column("ratio")
    for heading in ("measured", "goal", "further", "met"):
        table.add_column(heading, justify="right")
    for row in result["goals"]:
        sign = ">=" if row["further"] > row["goal"] else "<="
        table.add_row(
            row["name"],
            f"{row['value']:.1f}",
            f"{sign} {row['goal']:g}",
            f"{sign} {row['further']:g}",
            "yes" if row["met"] else "no",
        )
    return table


def _milliseconds(seconds: float) -> str:
    return f"{1e3 * seconds:.3f}"
