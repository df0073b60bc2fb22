"""Our curves in the paper's form, with what was read off the paper's as marks."""

import jax.numpy as jnp
import numpy as np
import pytest

from rankrise.complexity import CONTROLS, RankCurve, RankFit
from rankrise.experiments import (
    Comparison,
    ComplexityConfig,
    ComplexityReproductionConfig,
    ComplexityResult,
    DynamicsConfig,
    DynamicsReproductionConfig,
    DynamicsResult,
    ReproductionResult,
)
from rankrise.factorizations import DenseTensor
from rankrise.reports import save_figure
from rankrise.runs import Ending
from rankrise.trajectories import (
    Observable,
    Outcome,
    Recording,
    Trajectory,
    build_dataset,
    reconstruction_error,
)

# Of results only what is drawn is made.
pytestmark = pytest.mark.usefixtures("unchecked")

NOTHING = Comparison(reference="paper", rows=())
STEPS = np.arange(0, 1000, 100, dtype=np.int32)
# What it measures is made up below.
COMPONENT_NORMS = Observable("component_norms", np.asarray, per_component=True)


def together(scales):
    history = {
        "step": STEPS,
        "time": STEPS / 10,
        "component_norms": 1 / (1 + np.exp(-(STEPS[:, None] - [200.0, 500.0]) / 30)),
        "reconstruction_error": np.linspace(1, 0, len(STEPS)),
    }
    dataset = build_dataset(
        [history] * len(scales),
        [COMPONENT_NORMS, reconstruction_error(DenseTensor(jnp.ones((1, 2))))],
        Recording(run_labels={"init_scale": scales, "start_seed": [0] * len(scales)}),
        single=False,
    )
    ended = Outcome(Ending.STOPPED, "", 900, 900)
    return Trajectory(dataset, (), (ended,) * len(scales), _single=False)


def a_curve():
    fits = tuple(
        RankFit(control, rank, target, 0, 0.05, 0.06, 10, Ending.STOPPED)
        for control in CONTROLS
        for rank in (1, 2)
        for target in "ab"
    )
    constant = {"train": np.full(2, 0.09), "test": np.full(2, 0.09)}
    return RankCurve(fits, "classes", constant, {}, 0.0, 0.0)


def dynamics_figure(variants):
    config = DynamicsReproductionConfig()
    outcome = {
        name: DynamicsResult(DynamicsConfig(), together(runs), None)
        for name, runs in variants.items()
    }
    return ReproductionResult(config, outcome, NOTHING).figure()


def complexity_figure(curve, dataset):
    outcome = ComplexityResult(ComplexityConfig(), dataset, None, curve)
    config = ComplexityReproductionConfig()
    return ReproductionResult(config, outcome, NOTHING).figure()


def marks(panel):
    """Points drawn as hollow circles, and where they are."""
    hollow = [
        line for line in panel.get_lines() if line.get_markerfacecolor() == "white"
    ]
    return [line for line in hollow if len(line.get_xdata())]


def test_the_paper_s_iterations_are_marked_where_they_were_read():
    figure = dynamics_figure({"main": [0.01]})
    (mark,) = marks(figure.axes[0])
    assert list(mark.get_xdata()) == [1130, 1690, 2270, 3590, 5750]
    assert figure.axes[0].get_xlim()[1] > 5750


def test_every_variant_has_a_row_and_only_the_paper_s_figure_has_marks():
    variants = {"main": [0.01], "l1": [0.05, 0.01]}
    figure = dynamics_figure(variants)
    assert [axes.get_title() for axes in figure.axes] == [
        "init scale 0.01", "reconstruction error",
        "init scale 0.05", "init scale 0.01", "reconstruction error",
    ]  # fmt: skip
    assert [len(marks(panel)) for panel in figure.axes] == [1, 1, 0, 0, 0]
    rows = [figure.axes[0].get_ylabel(), figure.axes[2].get_ylabel()]
    assert rows == ["main\ncomponent norm", "l1\ncomponent norm"]


def test_an_init_scale_the_paper_does_not_show_has_no_marks(tmp_path):
    figure = dynamics_figure({"main": [0.7]})
    assert marks(figure.axes[0]) == []
    written = save_figure(figure, tmp_path / "x")
    assert all(path.stat().st_size > 5000 for path in written[:3])


@pytest.mark.parametrize(("dataset", "count"), [("mnist", 3), ("fashion-mnist", 0)])
def test_all_ranks_of_the_paper_are_beside_ours(dataset, count):
    figure = complexity_figure(a_curve(), dataset)
    for panel in figure.axes:
        assert [len(mark.get_xdata()) for mark in marks(panel)] == [15] * count
        highest = max((max(mark.get_ydata()) for mark in marks(panel)), default=0)
        assert panel.get_ylim()[1] > highest
