"""What all results with a picture have in common; matplotlib waits for the first."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Panel(NamedTuple):
    """One panel.

    Attributes
    ----------
    name
        What it is asked for by.
    caption
        What it shows, in a sentence that defines its symbols.
    draw
        Draws it into the Axes that it is given.
    """

    name: str
    caption: str
    draw: Callable[[Any], None]


class Drawing(NamedTuple):
    """All panels of a picture.

    Attributes
    ----------
    title
        What the picture is of.
    note
        What cut the run, if anything: said in every picture of it.
    size
        Of a panel, in inches.
    """

    rows: Sequence[Sequence[Panel]]
    title: str = ""
    note: str = ""
    size: tuple[float, float] = (3.4, 3.0)


class Plotted(ABC):
    """A result that has a picture."""

    @abstractmethod
    def drawing(self) -> Drawing:
        """The panels of its picture, for pictures of several results."""

    def plot(self, panel: str | None = None, *, ax: Any = None) -> Any:
        """Plot the result.

        Parameters
        ----------
        panel
            The name of one panel. All of them, in a new figure, where neither this nor
            `ax` is given.
        ax
            Matplotlib Axes for one panel, by default the first.

        Returns
        -------
        axes
            The Axes of the panel, or an array of those of all.

        Raises
        ------
        InputError
            If there is no such panel (the message lists those there are), or `ax` is
            something else.
        """
        from rankrise.drawing import plot_drawing

        return plot_drawing(self.drawing(), panel, ax)

    def figure(self) -> Any:
        """All panels in a matplotlib Figure that no window shows, for a file.

        Its `caption` says what each of them shows.
        """
        from rankrise.drawing import picture_of

        return picture_of(self.drawing())
