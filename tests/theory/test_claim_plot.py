"""Figures of claims show what was predicted beside what was measured."""

import dataclasses

import matplotlib.pyplot as plt
import numpy as np
import pytest

import rankrise as rr
from rankrise.theory import Claim, Theorem

NUMBERS = np.linspace(0.1, 1.0, 12)
CURVES = {
    "conservation": ["time", "drift", "predicted", "measured"],
    "growth": ["time", "norms", "predicted", "measured"],
    "growth-bounds": ["measured", "lower", "upper"],
    "escape": ["time_order_3", "predicted_order_3", "measured_order_3"],
    "rank-one": ["alpha", "distance", "escape_time", "earliest", "latest"],
    "corollary": ["alpha", "distance", "time", "rank_one_distances"],
    "matrix-growth": ["predicted_depth_2", "measured_depth_2"],
}
PANELS = dict(zip(CURVES, (2, 2, 1, 1, 2, 2, 1), strict=True))


def a_claim(name, leave_out=()):
    return Claim(
        theorem=Theorem(name, f"On {name}", "Source", "statement"),
        verdict="holds",
        explanation="",
        tolerance=0.1,
        numbers={"escape_time_order_3": 2.0},
        curves={
            curve: np.tile(NUMBERS, (3, 1)) if "rank_one" in curve else NUMBERS
            for curve in CURVES[name]
            if curve not in leave_out
        },
    )


@pytest.mark.parametrize("name", CURVES)
def test_each_claim_has_its_figure(name):
    figure = a_claim(name).figure()
    assert len(figure.axes) == PANELS[name]
    assert figure.get_suptitle() == f"On {name}: holds"
    assert all(panel.lines or panel.collections for panel in figure.axes)


def test_distance_is_shown_against_alpha_on_logarithmic_axes():
    panel = a_claim("rank-one").figure().axes[0]
    assert (panel.get_xscale(), panel.get_yscale()) == ("log", "log")
    np.testing.assert_array_equal(panel.lines[0].get_ydata(), NUMBERS)


def test_a_premise_that_failed_is_shown_alone():
    figure = a_claim("corollary", leave_out=("alpha", "distance")).figure()
    assert [panel.get_title() for panel in figure.axes] == [
        "rank-one trajectories to W*"
    ]


@pytest.mark.parametrize("name", CURVES)
def test_a_saved_claim_comes_back_as_it_was(name, tmp_path):
    claim = a_claim(name)
    back = rr.load(claim.save(tmp_path / "claim.npz"))
    assert back.to_dataset().identical(claim.to_dataset())
    assert repr(back) == repr(claim)


def test_residuals_fall_to_the_right_with_the_tolerance_labelled():
    claim = a_claim("growth")
    curves = {**claim.curves, "residuals": np.array([1e-9, 1e-12, 0.0])}
    axes = dataclasses.replace(claim, curves=curves).plot("residuals")
    assert axes.get_yscale() == "log"
    np.testing.assert_array_equal(axes.lines[0].get_ydata()[:2], [1e-9, 1e-12])
    assert [text.get_text() for text in axes.texts] == ["tolerance 0.1"]
    plt.close(axes.figure)
