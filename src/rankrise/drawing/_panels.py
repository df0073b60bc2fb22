"""Panels of a picture: drawn alone into axes that are given, or all, with letters."""

import string
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes as Axes
from matplotlib.figure import Figure as Figure

from rankrise._errors import InputError
from rankrise.drawing._plotted import Drawing, Panel
from rankrise.drawing._style import colour, figure_style


class Picture(Figure):
    """A figure that knows its caption."""

    caption: str = ""


def plot_drawing(drawing: Drawing, panel: str | None, ax: Axes | None) -> Any:
    """One panel in `ax`, or all of them in a new figure of pyplot; see `Plotted`."""
    rows, title, note, size = drawing
    if ax is not None and not isinstance(ax, Axes):
        raise InputError(
            f"`ax` is a {type(ax).__name__}; give one matplotlib Axes, or none for a "
            "figure of its own."
        )
    if panel is None and ax is None:
        return np.array(_compose(_new_picture(), drawing), object)
    chosen = _chosen(rows, panel)
    with figure_style():
        if ax is None:
            figure = _new_picture()
            figure.set_size_inches(1.3 * size[0], 1.3 * size[1])
            figure.caption = f"{_sentence(title)} {_sentence(chosen.caption)} {note}"
            ax = figure.subplots()
        chosen.draw(ax)
        _clear_legend(ax)
        if note:
            ax.text(
                *(0.99, 0.01, note),
                transform=ax.transAxes,
                ha="right",
                va="bottom",
                fontsize=7,
                color=colour(1),
                wrap=True,
            )
    return ax


def picture_of(drawing: Drawing) -> Picture:
    """All panels in a figure that no window shows, for a file."""
    picture = Picture(layout="constrained")
    _compose(picture, drawing)
    return picture


def _new_picture() -> Any:
    import matplotlib.pyplot as plt

    return plt.figure(FigureClass=Picture, layout="constrained")


def _compose(picture: Picture, drawing: Drawing) -> list[Axes]:
    rows, title, note, size = drawing
    rows = [row for row in rows if row]
    several = sum(map(len, rows)) > 1
    letters, axes, captions = _letters(), list[Axes](), list[str]()
    with figure_style():
        width = size[0] * max(1.3, *map(len, rows))
        picture.set_size_inches(width, size[1] * len(rows) + 0.3 * bool(title))
        parts = np.ravel(picture.subfigures(len(rows), 1, squeeze=False))
        for part, row in zip(parts, rows, strict=True):
            for panel, own in zip(
                row, np.ravel(part.subplots(1, len(row))), strict=True
            ):
                panel.draw(own)
                _clear_legend(own)
                caption, letter = _sentence(panel.caption), next(letters)
                if several:
                    own.annotate(
                        *(letter, (0, 1), (-22, 6)),
                        xycoords="axes fraction",
                        textcoords="offset points",
                        fontweight="bold",
                        fontsize=10,
                    )
                    caption = f"({letter}) {caption}"
                axes.append(own)
                captions.append(caption)
        if title or note:
            picture.suptitle(
                "\n".join(filter(None, (title, note))),
                fontsize=10,
                color=colour(1) if note else "black",
            )
    picture.caption = " ".join(filter(None, (_sentence(title), *captions, note)))
    return axes


def _clear_legend(panel: Axes) -> None:
    """Room above the lines for a legend that would lie on one of them."""
    legend = panel.get_legend()
    if legend is None:
        return
    # Transforms are those of the limits once these were asked for.
    panel.get_xlim(), panel.get_ylim()
    box = legend.get_window_extent()
    for line in panel.lines:
        # Those through the whole panel cannot be avoided.
        if line.get_transform() is not panel.transData:
            continue
        path = line.get_path().transformed(line.get_transform())
        corners = np.asarray(path.vertices)
        is_drawn = line.get_linestyle() != "None" and len(corners) > 1
        if (is_drawn and path.intersects_bbox(box, filled=False)) or (
            box.count_contains(corners)
        ):
            # All below shrinks as much as the room takes.
            room = min(1.15 * box.height, 0.6 * panel.bbox.height)
            height = panel.bbox.height**2 / (panel.bbox.height - room)
            above = panel.transData.inverted().transform((0, panel.bbox.y0 + height))
            panel.set_ylim(top=above[1])
            return


def _letters() -> Any:
    yield from string.ascii_lowercase
    yield from (a + b for a in string.ascii_lowercase for b in string.ascii_lowercase)


def _sentence(words: str) -> str:
    return f"{words}." if words and not words.endswith((".", "!", "?")) else words


def _chosen(rows: Sequence[Sequence[Panel]], name: str | None) -> Panel:
    panels = {panel.name: panel for row in rows for panel in row}
    if name is None:
        return next(iter(panels.values()))
    if name not in panels:
        raise InputError(
            f"There is no panel {name!r}; choose one of {', '.join(panels)}."
        )
    return panels[name]
