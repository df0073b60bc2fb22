"""Any result's picture: one panel in given axes, or all of them with letters."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import rankrise as rr
from rankrise.drawing import (
    Drawing,
    Panel,
    Plotted,
    colour,
    label_indices,
    log_axis,
    look,
    number_ticks,
    value_ticks,
)


class Curves(Plotted):
    """Two panels of one line each."""

    def __init__(self, note: str = "") -> None:
        self.note = note

    def drawing(self) -> Drawing:
        panels = [
            Panel(name, f"The line {name}", lambda ax, p=p: ax.plot([0, 1], [0, p]))
            for p, name in enumerate(("flat", "rising"))
        ]
        return Drawing([panels], "Lines", self.note)


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_a_panel_is_drawn_into_the_axes_that_are_given():
    _, ax = plt.subplots()
    assert Curves().plot("rising", ax=ax) is ax
    assert list(ax.lines[0].get_ydata()) == [0, 1]
    # Without a name it is the first.
    _, other = plt.subplots()
    assert list(Curves().plot(ax=other).lines[0].get_ydata()) == [0, 0]


def test_without_axes_all_panels_stand_in_one_figure_with_letters():
    axes = Curves().plot()
    assert [list(ax.lines[0].get_ydata()) for ax in axes] == [[0, 0], [0, 1]]
    assert [ax.texts[0].get_text() for ax in axes] == ["a", "b"]
    picture = axes[0].get_figure(root=True)
    assert picture.caption == "Lines. (a) The line flat. (b) The line rising."


def test_what_cut_a_run_is_said_in_every_picture_of_it():
    note = rr.Ending.TIME_LIMIT.warning
    whole = Curves(note).figure()
    assert note in whole.get_suptitle()
    assert whole.caption.endswith(note)
    _, ax = plt.subplots()
    Curves(note).plot(ax=ax)
    assert note in [text.get_text() for text in ax.texts]
    assert rr.Ending.CONVERGED.warning == ""


@pytest.mark.usefixtures("unchecked")
def test_axes_and_panels_that_are_none_are_refused():
    with pytest.raises(rr.InputError, match="no panel 'x'; choose one of flat, rising"):
        Curves().plot("x")
    with pytest.raises(rr.InputError, match="`ax` is a Figure; give one matplotlib"):
        Curves().plot(ax=plt.figure())


def test_a_figure_for_a_file_opens_no_window_and_leaves_settings_alone():
    before = dict(plt.rcParams)
    Curves().figure()
    assert plt.get_fignums() == []
    assert dict(plt.rcParams) == before


def test_curves_differ_in_colour_and_in_line():
    looks = [look(place) for place in range(7)]
    assert len({each["color"] for each in looks}) == 7
    assert len({str(each["linestyle"]) for each in looks}) == 7


def test_colours_are_told_apart_with_deuteranopia():
    # Viénot et al. (1999): what is left of colours without the middle cones.
    seen = np.array([[0.293, 0.707, 0.0], [0.293, 0.707, 0.0], [-0.022, 0.022, 1.0]])
    rgb = np.array(
        [[int(colour(p)[i : i + 2], 16) for i in (1, 3, 5)] for p in range(7)]
    )
    linear = (rgb / 255) ** 2.2 @ seen.T
    gaps = np.linalg.norm(linear[:, None] - linear[None], axis=-1)
    assert np.min(gaps[~np.eye(7, dtype=bool)]) > 0.05


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((0, 2000), ["0", "500", "1000", "1500", "2000"]),
        ((0, 0.0005), ["0", "0.0001", "0.0002", "0.0003", "0.0004", "0.0005"]),
        ((1000.001, 1000.005), []),
    ],
)
def test_ticks_have_three_digits_and_more_where_they_would_read_alike(ends, words):
    _, ax = plt.subplots()
    ax.plot(ends, ends)
    ax.margins(0)
    number_ticks(ax.xaxis)
    ax.figure.canvas.draw()
    found = [tick.get_text() for tick in ax.get_xticklabels()]
    assert set(words) <= set(found)
    assert len(found) == len(set(found)) > 3


def written_along(axis):
    axis.figure.canvas.draw()
    low, high = axis.get_view_interval()
    ticks = zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=True)
    return [label.get_text() for at, label in ticks if low <= at <= high]


@pytest.mark.parametrize(
    ("ends", "words"),
    [
        ((1e-12, 1), ["$10^{-12}$", "$10^{-6}$", "1"]),
        ((0.4, 30), ["0.5", "1", "2", "5", "10", "20"]),
        ((1e-6, 3e-5), ["$10^{-6}$", r"$2 \times 10^{-6}$", "$10^{-5}$"]),
    ],
)
def test_a_logarithmic_axis_has_some_numbers_however_long_it_is(ends, words):
    _, ax = plt.subplots()
    log_axis(ax, "y")
    # What is drawn later counts as well.
    ax.plot(ends, ends)
    found = written_along(ax.yaxis)
    assert set(words) <= set(found)
    assert len(found) <= 9


def test_values_that_lie_close_share_a_tick():
    _, ax = plt.subplots()
    values = [0.01, 0.0101, 0.1, 1.0]
    ax.plot(values, values)
    log_axis(ax, "x")
    value_ticks(ax.xaxis, values)
    assert written_along(ax.xaxis) == ["0.01", "0.1", "1"]


@pytest.mark.parametrize(("word", "turned"), [("{}", 0), ("customer {}", 30)])
def test_only_long_labels_are_turned(word, turned):
    _, ax = plt.subplots()
    ax.plot(range(20))
    label_indices(ax.xaxis, word.format, 20)
    assert word.format(0) in written_along(ax.xaxis)
    assert {label.get_rotation() for label in ax.get_xticklabels()} == {turned}


class Full(Plotted):
    """A panel whose lines leave no room for a legend."""

    def __init__(self, scale):
        self.scale = scale

    def drawing(self) -> Drawing:
        def draw(ax):
            across = np.linspace(0, 1, 60)
            for part in range(1, 8):
                ax.plot(across, 10 ** (part / 2 + np.sin(40 * across) / 2), label="x")
            ax.set_yscale(self.scale)
            ax.legend(loc="best")

        return Drawing([[Panel("full", "Full", draw)]])


@pytest.mark.parametrize("scale", ["linear", "log"])
def test_no_legend_lies_on_a_line(scale):
    [ax] = Full(scale).plot()
    figure = ax.get_figure(root=True)
    figure.canvas.draw()
    box = ax.get_legend().get_window_extent()
    for line in ax.lines:
        path = line.get_path().transformed(line.get_transform())
        assert not path.intersects_bbox(box, filled=False)
