"""Figures show what they are given; how they look is for eyes."""

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.figure import Figure

from rankrise import CompletionProblem, Observations
from rankrise.completion import (
    Completion,
    CompletionSettings,
    Folds,
    Model,
    Noise,
    Path,
    PathPoint,
)
from rankrise.completion._arrangement import Rows
from rankrise.completion._model import Baseline
from rankrise.drawing import picture_of
from rankrise.factorizations import DenseTensor
from rankrise.losses import SquaredLoss
from rankrise.reports import FORMS, save_figure
from rankrise.runs import Ending
from rankrise.tensors import ModeAxis, incomplete_tensor
from rankrise.trajectories import (
    Outcome,
    Recording,
    Trajectory,
    build_dataset,
    draw_groups,
    standard_observables,
)

ENTRIES = ("observed", "completed", "standard deviation")
STEPS = np.arange(0, 1000, 100, dtype=np.int32)


def a_run(init_scale: float, **extra: np.ndarray) -> Trajectory:
    rising = 1 / (1 + np.exp(-(STEPS[:, None] - [200.0, 500.0, 5000.0]) / 30))
    history = {
        "step": STEPS,
        "time": STEPS / 10,
        "component_norms": rising,
        "train_error": np.linspace(1, 0.1, len(STEPS)),
        **extra,
    }
    problem = CompletionProblem.from_observations(
        Observations.from_array(np.array([[1.0, np.nan]]))
    )
    measurable = standard_observables(
        problem, heldout=problem, target=DenseTensor(jnp.ones((1, 2)))
    )
    dataset = build_dataset(
        [history],
        [observable for observable in measurable if observable.name in history],
        Recording(
            kept_components="all",
            run_labels={"init_scale": [init_scale], "start_seed": [0]},
        ),
        single=True,
    )
    return Trajectory(dataset, (), (Outcome(Ending.STOPPED, "", 900, 900, 600),))


def dynamics_figure(runs):
    return picture_of(draw_groups({"": runs}))


@pytest.fixture
def dynamics_runs() -> list[Trajectory]:
    error = {"reconstruction_error": np.linspace(1, 0, len(STEPS))}
    return [a_run(scale, **error) for scale in (0.05, 0.01)]


@pytest.fixture
def completion_run() -> Trajectory:
    return a_run(0.005, heldout_error=np.linspace(1, 0.2, len(STEPS)))


def test_dynamics_has_a_panel_per_init_scale_and_one_of_errors(dynamics_runs):
    figure = dynamics_figure(dynamics_runs)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["init scale 0.05", "init scale 0.01", "reconstruction error"]


def test_dynamics_plots_every_component_over_the_saved_steps(dynamics_runs):
    panel = dynamics_figure(dynamics_runs).axes[0]
    lines = [line for line in panel.lines if len(line.get_xdata())]
    assert len(lines) == 3
    np.testing.assert_array_equal(lines[0].get_xdata(), STEPS)
    np.testing.assert_array_equal(
        lines[0].get_ydata(), dynamics_runs[0].component_norms[:, 0]
    )


def test_components_beyond_the_ten_largest_are_thin_and_grey():
    size = np.linspace(1, 0.1, 30)
    many = {"component_norms": size * STEPS[:, None] / STEPS[-1]}
    error = {"reconstruction_error": np.linspace(1, 0, len(STEPS))}
    panel = dynamics_figure([a_run(0.05, **many, **error)]).axes[0]
    thin = [line for line in panel.lines if line.get_linewidth() < 0.5]
    assert (len(panel.lines), len(thin)) == (30, 20)
    assert {line.get_color() for line in thin} == {"0.7"}


def test_dynamics_axis_ends_some_while_after_the_last_rise(dynamics_runs):
    panel = dynamics_figure(dynamics_runs).axes[0]
    # The second component is at half its height at step 500; the third never rises.
    assert 500 < panel.get_xlim()[1] < STEPS[-1]


def completed_by(
    array: np.ndarray, *, models: int = 2, run: Trajectory | None = None
) -> Completion:
    """Each model says `array`, in two components of norms 3 and 1."""
    source = incomplete_tensor(array)
    observations = source.observations
    count = len(observations)
    rows = Rows.of(np.argwhere(np.ones(array.shape)), array.shape)
    still = (0.0,) * array.ndim
    points = [
        PathPoint(1.0, number, 1 / (number + 1), 0.5, still) for number in range(3)
    ]
    factors = np.concatenate(
        [np.array([3.0, 1.0]) ** (1 / array.ndim) * np.eye(d, 2) for d in array.shape]
    )
    path = Path(points, 2, factors)
    return Completion(
        source,
        observations,
        CompletionSettings(),
        Ending.CONVERGED,
        tuple(
            Model.at_best(rows, path, Baseline(0.0, 1.0), number, smooth=False)
            for number in range(models)
        ),
        Folds(np.arange(count) % models, models, ()),
        Noise(1.0, tuple(np.ones(dim + 1) for dim in array.shape), np.ones(3)),
        observations.values + 0.1,
        SquaredLoss(),
        trajectory=run,
    )


def titles(figure: Figure) -> list[str]:
    return [axes.get_title() for axes in figure.axes if axes.get_title()]


def test_a_completion_shows_how_it_was_chosen_and_its_factors_mode_by_mode():
    array = np.full((2, 3, 4), np.nan)
    array[0] = np.arange(12.0).reshape(3, 4)
    figure = completed_by(array).figure()
    assert titles(figure) == [
        *("rank 1: held-out error", "match of halves, explained", "models"),
        *("norms: 2 of 2 components", "held-out entries"),
        *(f"{name}\nmode 1 0" for name in ENTRIES),
        *3 * ["2 of 2 components"],
    ]
    panel = {axes.get_title(): axes for axes in figure.axes}
    bars = panel["norms: 2 of 2 components"].patches
    np.testing.assert_allclose([bar.get_height() for bar in bars], [3, 1])
    points = panel["held-out entries"].lines[0]
    np.testing.assert_allclose(points.get_ydata() - points.get_xdata(), 0.1)
    # And a line at zero.
    factors = [axes for axes in figure.axes if axes.get_xlabel() == "mode 3"][-1]
    assert len(factors.lines) == 3


def test_a_completion_names_modes_and_labels_as_the_data_do():
    array = np.full((2, 3), np.nan)
    array[0] = [1.0, 2.0, 3.0]
    days = np.array(["2024-05-01", "2024-05-02", "2024-05-03"])
    found = completed_by(array)
    named = replace(found.input, axes=(ModeAxis("site"), ModeAxis("day", days)))
    figure = replace(found, input=named).figure()
    figure.canvas.draw()
    site, day = (a for a in figure.axes if a.get_title() == "2 of 2 components")
    assert (site.get_xlabel(), day.get_xlabel()) == ("site", "day")
    for panel, labels in ((site, ["0", "1"]), (day, days.tolist())):
        texts = [tick.get_text() for tick in panel.get_xticklabels()]
        assert [text for text in texts if text] == labels


def test_completion_of_an_image_shows_it_before_and_after():
    array = np.arange(24.0).reshape(2, 4, 3)
    array[0, 0] = np.nan
    figure = completed_by(array).figure()
    panel = {axes.get_title(): axes for axes in figure.axes}
    before, after = panel["observed"].images[0], panel["completed"].images[0]
    np.testing.assert_array_equal(
        before.get_array()[0, 0], [0.75, 0.75, 0.75]
    )  # a grey gap
    np.testing.assert_array_equal(after.get_array()[1, 3], [0.9, 0.95, 1.0])


def test_completion_by_descent_marks_the_chosen_step(completion_run):
    array = np.array([[1.0, 2.0], [np.nan, 3.0]])
    figure = completed_by(array, run=completion_run).figure()
    (panel,) = (a for a in figure.axes if "relative error" in a.get_title())
    marked = [x for x in panel.lines if x.get_label() == "chosen"]
    assert list(marked[0].get_xdata()) == [600, 600]


def test_a_saved_figure_has_the_same_bytes_each_time(dynamics_runs, tmp_path):
    for name in ("first", "second"):
        figure = dynamics_figure(dynamics_runs)
        save_figure(figure, tmp_path / name)
    for form in FORMS:
        first = (tmp_path / f"first.{form}").read_bytes()
        assert first == (tmp_path / f"second.{form}").read_bytes()
        assert len(first) > 1000
