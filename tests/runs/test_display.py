"""Progress as a person sees it."""

import re
import sys
import types
from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np
import pytest

import rankrise as rr
from rankrise.cli._main import run
from rankrise.runs import as_part, showing, time_in_words

# Control characters other than the end of a line.
CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


@dataclass
class At:
    """A report of a run that counts to ten."""

    count: int

    @property
    def words(self):
        return f"round {self.count} of 10"

    @property
    def share(self):
        return self.count / 10


@pytest.fixture
def every_report(monkeypatch):
    """Lines of every report, not of one in half a minute."""
    monkeypatch.setattr("rankrise.runs._display._LINE_SECONDS", 0.0)
    monkeypatch.setattr("rankrise.runs._display._LINE_SHARE", 0.0)


@pytest.fixture
def gaps():
    rows, columns, layers = np.ogrid[1:9, 1:8, 1:7]
    tensor = np.sin(rows) * np.cos(columns) + layers / 3
    tensor[np.random.default_rng(0).random(tensor.shape) < 0.4] = np.nan
    return tensor


def lines(capfd):
    return capfd.readouterr().err.splitlines()


def test_the_estimate_of_what_remains_shrinks_to_nothing(clock, every_report, capfd):
    with showing("log") as report:
        for count in range(1, 11):
            report(At(count))
            clock.now += 60
    told = [re.findall(r"about (\d+) (\w+) left", line) for line in lines(capfd)]
    left = [found[0] for found in told if found]
    # At one round a minute.
    assert left == [
        *((str(8 - k), "minutes") for k in range(7)),
        ("60", "s"),
        ("1", "s"),
    ]


def test_a_resumed_run_is_estimated_by_what_it_did_now(clock, capfd, every_report):
    with showing("log") as report:
        report(At(5))
        clock.now += 20
        report(At(6))
    assert "60% done, 20 s, about 80 s left: round 6 of 10" in lines(capfd)[1]


def test_the_share_that_is_done_never_falls(clock, every_report, capfd):
    with showing("log") as report:
        for count in (1, 4, 3, 5):
            clock.now += 10
            report(At(count))
    shares = re.findall(r"(\d+)% done", capfd.readouterr().err)
    assert shares == ["10", "40", "40", "50"]


def test_parts_of_a_whole_have_their_share_of_it(every_report, capfd):
    with showing("log") as report:
        for place, name in enumerate(("left", "right")):
            with as_part(name, place, 2):
                report(At(5))
    first, second, _ = lines(capfd)
    assert "25% done" in first
    assert "left: round 5 of 10" in first
    assert "75% done" in second
    assert "right: round 5 of 10" in second


def test_lines_come_every_half_minute_and_later_less_often(clock, capfd):
    spoken = []
    with showing("auto") as report:
        for second in range(4000):
            report(At(1))
            if lines(capfd):
                spoken.append(second)
            clock.now += 1
    assert spoken[:4] == [30, 60, 90, 120]
    assert 100 < spoken[-1] - spoken[-2] <= 200
    assert lines(capfd) == ["rankrise: done after 67 minutes: round 1 of 10"]


def test_a_short_run_says_nothing_in_a_log(capfd, gaps):
    # Where nothing is compiled yet, this is not short.
    rr.complete(gaps, models=1)
    capfd.readouterr()
    rr.complete(gaps, models=1, progress=True)
    assert lines(capfd) == []


@pytest.mark.usefixtures("blank_figures")
def test_lines_have_no_control_characters(tmp_path, gaps, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    np.save(tmp_path / "x.npy", gaps)
    assert run(["complete", "x.npy", "--models", "2", "--progress", "log"]) == 0
    told = capfd.readouterr().err
    assert not CONTROL.search(told)
    assert re.search(r"^rankrise: \d+% done, \d+ s.*: 2 models to fit$", told, re.M)
    assert re.search(r"^rankrise: done after \d+ s: ", told, re.M)


@pytest.mark.parametrize(
    ("name", "value"), [("TERM", "dumb"), ("JPY_PARENT_PID", "123")]
)
def test_where_a_bar_would_leave_its_states_behind_there_are_lines(
    name, value, clock, capfd, monkeypatch
):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    monkeypatch.setenv(name, value)
    with showing("auto") as report:
        clock.now += 40
        report(At(1))
    assert lines(capfd)[0] == "rankrise: 10% done, 40 s: round 1 of 10"


def test_a_label_cannot_write_to_the_terminal(capfd):
    with showing("log") as report, as_part("\x1b[2Jvariant", 0, 1):
        report(At(1))
    assert not CONTROL.search(capfd.readouterr().err)


def test_a_completion_is_told_by_models_components_and_error(gaps, every_report, capfd):
    # With noise, paths go on beyond their best point.
    noisy = gaps + 0.3 * np.random.default_rng(1).standard_normal(gaps.shape)
    found = rr.complete(noisy, models=3, progress="log", smooth=False, center=True)
    told = capfd.readouterr().err
    where = r"model (\d) of 3, (\d+) components?, held-out error ([\d.e-]+)"
    assert {int(model) for model, *_ in re.findall(where, told)} == {1, 2, 3}
    errors = [float(error) for *_, error in re.findall(where, told)]
    best = min(model.path.best_point.heldout_loss for model in found.models)
    assert min(errors) == pytest.approx(np.sqrt(best), rel=0.01)
    shares = [int(share) for share in re.findall(r"(\d+)% done", told)]
    assert shares == sorted(shares)
    assert shares[-1] > 80


def test_a_rank_is_told_by_components_tried(gaps, every_report, capfd):
    rr.estimate_rank(gaps, progress="log")
    told = capfd.readouterr().err
    assert "rank: 0 components tried" in told
    assert "rank: 1 component tried, held-out error" in told


def test_a_rank_curve_is_told_by_control_and_epoch(every_report, capfd):
    rng = np.random.default_rng(0)
    X, y = rng.integers(3, size=(40, 3)), rng.integers(2, size=40)
    rr.rank_curve(X, y, [1], classes=[0], progress="log")
    told = capfd.readouterr().err
    for control in ("the data", "random inputs", "random labels"):
        assert re.search(f"{control}: epoch \\d+ of 40, \\d models? in training", told)


@pytest.fixture(scope="module")
def descent():
    observations = rr.synthetic.observe(
        rr.synthetic.random_target((4, 5), 1, seed=0),
        rr.synthetic.sample_indices((4, 5), 15, seed=0),
        seed=0,
    )
    problem = rr.CompletionProblem.from_observations(observations)
    start = rr.factorizations.DenseTensor(jnp.full((4, 5), 0.1))
    return problem, start


def test_results_are_the_same_with_and_without_progress(gaps, descent, capfd):
    silent, told = (rr.complete(gaps, models=2, progress=p) for p in (False, "log"))
    np.testing.assert_array_equal(silent.completed, told.completed)
    np.testing.assert_array_equal(silent.std, told.std)
    rule = rr.GradientDescent(0.1)
    runs = [rr.solve(*descent, rule, max_steps=20, progress=p) for p in (None, "log")]
    np.testing.assert_array_equal(runs[0].loss, runs[1].loss)
    assert "step 20 of 20, loss" in capfd.readouterr().err


def test_a_time_limit_is_said(gaps, capfd):
    rr.complete(gaps, max_seconds=1e-3, progress="log")
    assert "stopped at the time limit after" in lines(capfd)[-1]


@pytest.mark.parametrize(
    ("error", "word"), [(KeyboardInterrupt, "interrupted"), (ValueError, "failed")]
)
def test_an_interrupt_and_a_failure_are_said_and_raised(error, word, capfd):
    def run():
        with showing("log") as report:
            report(At(1))
            raise error

    with pytest.raises(error):
        run()
    assert f"{word} after" in lines(capfd)[-1]


def test_a_function_is_called_as_before(gaps):
    seen = []
    rr.complete(gaps, models=1, progress=seen.append)
    assert seen[0].model == 0
    assert seen[-1].model == 1


@pytest.mark.parametrize("wrong", ["loud", 3])
@pytest.mark.usefixtures("unchecked")
def test_what_is_no_way_to_show_progress_is_refused(gaps, wrong):
    with pytest.raises(rr.InputError, match="give True, 'auto', 'bar', 'log', 'none'"):
        rr.complete(gaps, progress=wrong)


@pytest.mark.parametrize("kind", ["completer", "regressor"])
def test_verbose_estimators_tell_how_far_they_are(kind, every_report, capfd):
    rng = np.random.default_rng(0)
    X, y = rng.integers(4, size=(60, 2)), rng.standard_normal(60)
    make = rr.TensorCompleter if kind == "completer" else rr.TensorRegressor
    silent = make(random_state=0).fit(X, y)
    assert lines(capfd) == []
    told = make(random_state=0, verbose=1).fit(X, y)
    assert ("model 1 of" if kind == "completer" else "epoch") in capfd.readouterr().err
    np.testing.assert_array_equal(silent.predict(X), told.predict(X))


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.1, "1 s"), (42.4, "42 s"), (540.0, "9 minutes"), (108_000.0, "30.0 hours")],
)
def test_a_time_is_said_as_people_say_it(seconds, words):
    assert time_in_words(seconds) == words


# Notebooks


@pytest.fixture
def cell(monkeypatch):
    """What a notebook's cell shows, one after another."""
    shown = []
    handle = types.SimpleNamespace(update=lambda content, raw: shown.append(content))

    def display(content, *, raw, display_id):
        assert raw
        assert display_id
        shown.append(content)
        return handle

    shell = types.SimpleNamespace(kernel=object())
    python = types.ModuleType("IPython")
    python.get_ipython = lambda: shell  # type: ignore[attr-defined]
    python.display = types.ModuleType("IPython.display")  # type: ignore[attr-defined]
    python.display.display = display
    monkeypatch.setitem(sys.modules, "IPython", python)
    monkeypatch.setitem(sys.modules, "IPython.display", python.display)
    return shown


def test_a_notebook_shows_one_bar_and_how_it_ended(cell, clock, capfd):
    with showing(True) as report:
        for count in range(1, 4):
            clock.now += 10
            report(At(count))
    texts = [each["text/plain"] for each in cell]
    assert texts[0] == "beginning"
    assert texts[2] == "round 2 of 10, 20 s, about 80 s left"
    assert 'value="0.200"' in cell[2]["text/html"]
    assert texts[-1] == "round 3 of 10, done after 30 s"
    assert capfd.readouterr() == ("", "")


def test_a_notebook_is_not_flooded(cell, clock):
    with showing(True) as report:
        for _ in range(1000):
            report(At(1))
            clock.now += 0.001
    assert len(cell) <= 7


def test_a_label_is_no_markup_in_a_notebook(cell):
    with showing(True) as report, as_part("<script>alert(1)</script>", 0, 1):
        report(At(1))
    assert all("<script>" not in each["text/html"] for each in cell)
    assert "&lt;script&gt;" in cell[-1]["text/html"]


def test_a_notebook_shows_what_takes_longer_than_a_moment_unasked(cell, clock):
    with showing(None) as report:
        report(At(1))
        assert cell == []
        clock.now += 2
        report(At(2))
    assert [each["text/plain"] for each in cell] == [
        "round 2 of 10, 2 s, about 16 s left",
        "round 2 of 10, done after 2 s",
    ]


@pytest.mark.parametrize("outer", [False, "none", lambda at: None])
def test_a_notebook_shows_nothing_where_another_way_was_chosen(cell, clock, outer):
    with showing(outer), showing(None) as report:
        clock.now += 2
        assert report is None
    assert cell == []


def test_a_rank_that_is_asked_for_in_a_notebook_shows_progress(cell, gaps, monkeypatch):
    found = rr.complete(gaps, models=1, progress=False)
    assert cell == []
    monkeypatch.setattr("rankrise.runs._display._MOMENT", 1e-9)
    _ = found.rank
    assert "rank: 3 components tried" in cell[-1]["text/plain"]


def test_nothing_is_shown_unasked_outside_of_notebooks(clock, capfd):
    with showing(None) as report:
        assert report is None
    assert capfd.readouterr() == ("", "")


def test_a_cell_of_a_real_notebook_shows_progress():
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    nbformat = pytest.importorskip("nbformat")
    code = """
import numpy as np, rankrise as rr
rows, columns, layers = np.ogrid[1:9, 1:8, 1:7]
tensor = np.sin(rows) * np.cos(columns) + layers / 3
tensor[np.random.default_rng(0).random(tensor.shape) < 0.4] = np.nan
found = rr.complete(tensor, models=2, progress=True)
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, timeout=120).execute()
    (shown,) = notebook.cells[0].outputs
    assert "<progress" in shown["data"]["text/html"]
    assert re.search(r"model \d of 2, .* done after", shown["data"]["text/plain"])
