"""The figure shows the means and spreads of a curve, and the error of a constant."""

import numpy as np
import pytest

import rankrise as rr
from rankrise.complexity import CONTROLS, RankCurve, RankFit
from rankrise.runs import Ending


def a_curve(controls=CONTROLS, kind="classes", seeds=(0, 1)) -> RankCurve:
    fits = [
        RankFit(
            *(control, rank, target, seed, 1 / rank + shift, 2 / rank, 9),
            Ending.CONVERGED,
        )
        for control in controls
        for rank in (1, 2, 3)
        for target, shift in (("a", 0.0), ("b", 0.2))
        for seed in seeds
    ]
    constant = {"train": np.array([0.1, 0.2]), "test": np.array([0.3, 0.4])}
    return RankCurve(tuple(fits), kind, constant, {}, 0.0, 0.0)


def test_each_split_has_a_panel_with_a_curve_a_control():
    figure = a_curve().figure()
    assert len(figure.axes) == 2
    for panel in figure.axes:
        names = [each.get_label() for each in panel.containers]
        assert names == ["data", "random inputs", "random labels"]


def test_points_are_means_and_bars_are_spreads():
    line, _, (bars,) = a_curve().figure().axes[0].containers[0]
    assert list(line.get_xdata()) == [1, 2, 3]
    np.testing.assert_allclose(list(line.get_ydata()), [1.1, 0.6, 0.1 + 1 / 3])
    heights = [np.ptp(bar[:, 1]) for bar in bars.get_segments()]
    np.testing.assert_allclose(heights, [0.2, 0.2, 0.2])


@pytest.mark.parametrize(("panel", "height"), [(0, 0.15), (1, 0.35)])
def test_a_dotted_line_is_the_error_of_a_constant(panel, height):
    axes = a_curve().figure().axes[panel]
    (line,) = [each for each in axes.lines if each.get_label() == "constant"]
    np.testing.assert_allclose(list(line.get_ydata()), height)


def test_a_curve_of_one_target_and_seed_has_no_bars(tmp_path):
    fits = tuple(f for f in a_curve(("data",)).fits if (f.target, f.seed) == ("a", 0))
    constant = {"train": np.array([0.1]), "test": np.array([0.3])}
    curve = RankCurve(fits, "values", constant, {}, 0.0, 0.0)
    figure = curve.figure()
    figure.savefig(tmp_path / "x.png")
    assert "share of the variance" in figure.axes[0].get_ylabel()


def test_a_saved_curve_comes_back_as_it_was(tmp_path):
    whole = a_curve()
    losses = {"data": np.array([[0.5, np.nan] * 6, [0.1, 0.2] * 6])}
    curve = RankCurve(
        whole.fits,
        "classes",
        whole.constant_errors,
        losses,
        1.5,
        2.5,
        Ending.TIME_LIMIT,
    )
    back = rr.load(curve.save(tmp_path / "curve.npz"))
    assert back.fits == curve.fits
    assert (back.cut_off, back.seconds_run) == (Ending.TIME_LIMIT, 2.5)
    np.testing.assert_array_equal(back.train_losses["data"], losses["data"])
    assert back.to_dataset().identical(curve.to_dataset())
    errors = curve.to_dataset()["train_error"].sel(control="labels", rank=2)
    np.testing.assert_array_equal(errors[..., 0], curve.errors("labels", 2))
    assert "Cut short by the time limit" in back._repr_html_()
    assert "time limit" in repr(back)
