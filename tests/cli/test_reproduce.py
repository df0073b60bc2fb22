"""`rankrise reproduce`, from the command to the files, at settings of seconds."""

import csv
import json
import os
import re
import signal
import time
from typing import Literal

import pytest

from rankrise.cli._folder import RunFolder
from rankrise.cli._main import run
from rankrise.experiments import _reproduction_config as presets
from rankrise.experiments import verification_record
from rankrise.experiments._verification_config import CLAIM_NAMES
from rankrise.tables import load_labelled_set
from rankrise.theory import Claim, Theorem
from rankrise.trajectories import Trajectory

# What a picture is written as.
FORMS = ("png", "pdf", "svg", "txt")

pytestmark = pytest.mark.usefixtures("blank_figures")

SMALL_DYNAMICS = {
    "components": 4,
    "mode_dims": (3, 4, 2),
    "observations": 16,
    "target_rank": 2,
    "steps": 60,
    "save_every": 5,
}
SMALL_VARIANT = {
    "order": 3,
    "mode_dim": 3,
    "observations": 12,
    "target_rank": 1,
    "init_scales": (0.05, 0.01),
    "steps": 60,
    "save_every": 5,
}
SMALL_COMPLEXITY = {
    "ranks": ("1-2",),
    "optimizer": "adam",
    "epochs": 12,
    "learning_rate": 0.01,
}


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    """The presets on a small tensor, and on digits instead of MNIST."""
    monkeypatch.setattr(presets, "_DYNAMICS", SMALL_DYNAMICS)
    monkeypatch.setitem(presets._QUICK_DYNAMICS, "steps", 40)
    monkeypatch.setattr(presets, "_COMPLEXITY", SMALL_COMPLEXITY)
    monkeypatch.setattr(presets, "_ORDER_3", SMALL_VARIANT)
    quick = {"ranks": ("1",), "epochs": 6}
    monkeypatch.setattr(presets, "_QUICK_COMPLEXITY", quick)


def reproduce(*tokens, folder):
    return run(["reproduce", *map(str, tokens), "--out", str(folder)])


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def interrupt_the_run(patch):
    """As soon as it has begun."""
    begin = RunFolder.begin

    def interrupted(*arguments):
        begin(*arguments)
        # Called again at every report.
        patch.undo()
        os.kill(os.getpid(), signal.SIGINT)

    patch.setattr(RunFolder, "begin", interrupted)


# Dynamics


@pytest.fixture(scope="module")
def risen(tmp_path_factory, program_environment, blanking):
    """A quick run of dynamics."""
    folder = tmp_path_factory.mktemp("runs") / "risen"
    with blanking(), pytest.MonkeyPatch.context() as patch:
        patch.setattr(presets, "_DYNAMICS", SMALL_DYNAMICS)
        patch.setitem(presets._QUICK_DYNAMICS, "steps", 40)
        assert reproduce("dynamics", "--quick", "--quiet", folder=folder) == 0
    return folder


def test_dynamics_leave_a_comparison_beside_what_every_run_leaves(risen):
    assert set(contents(risen)) == {
        "settings.json", "summary.json", "comparison.md", "comparison.csv",
        "trajectory.nc", "factors.npz", *(f"dynamics.{form}" for form in FORMS),
    }  # fmt: skip


def test_the_summary_has_settings_rows_and_what_was_left_out(risen):
    found = summary(risen)
    assert found["settings"] == {
        "variant": "main", "quick": True, "seed": 0, "kept_components": 10,
    }  # fmt: skip
    assert found["left_out"] == ["init scale 0.005", "iterations after 40"]
    assert found["experiment"]["settings"]["mode_dims"] == [3, 4, 2]
    assert "jax" in found["versions"]
    ends = [row for row in found["rows"] if row["quantity"] == "error at the end"]
    assert [row["paper"] for row in ends] == [0.08, 0.03]
    assert [row["group"] for row in ends] == ["init scale 0.05", "init scale 0.01"]
    for row in ends:
        assert row["difference"] == row["ours"] - row["paper"]


def test_the_table_has_a_line_for_every_row(risen):
    with (risen / "comparison.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(summary(risen)["rows"])
    page = (risen / "comparison.md").read_text()
    assert "- init scale 0.005" in page


def test_what_is_left_out_and_the_time_are_said_before_it_starts(
    tmp_path, monkeypatch, capsys
):
    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "begin", stop)
    assert reproduce("dynamics", "--quick", folder=tmp_path / "run") == 130
    out = capsys.readouterr().out
    assert out.startswith("left out: init scale 0.005\nleft out: iterations after 40\n")
    assert "expected time: 1 s (at most 40 iterations, by the pace of 200)" in out
    assert not (tmp_path / "run").exists()


def test_interrupted_dynamics_are_resumed_to_the_same_rows(
    risen, tmp_path, monkeypatch, capsys
):
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_the_run(patch)
        assert reproduce("dynamics", "--quick", "--quiet", folder=folder) == 130
    assert "interrupted; the state is kept" in capsys.readouterr().err
    assert summary(folder)["result"] == "interrupted"
    # The folder knows that the run is a quick one.
    assert reproduce("dynamics", "--resume", folder=folder) == 0
    assert "for the whole of it, of which some is done" in capsys.readouterr().out
    assert summary(folder)["rows"] == summary(risen)["rows"]
    assert set(contents(folder)) == set(contents(risen))


def test_a_finished_run_says_so(risen, capsys):
    before = contents(risen)
    assert reproduce("dynamics", "--resume", folder=risen) == 0
    assert "is finished (stopped)" in capsys.readouterr().out
    assert contents(risen) == before


# Variants


@pytest.fixture
def two_variants(monkeypatch):
    """All are two, for each compiles anew."""
    monkeypatch.setattr(presets, "Variant", Literal["main", "order-3"])


@pytest.mark.usefixtures("two_variants")
def test_all_variants_are_run_one_after_another_and_resumed(tmp_path, capsys):
    folder = tmp_path / "run"
    assert reproduce("dynamics", "--variant", "all", folder=folder) == 0
    out = capsys.readouterr().out
    assert re.search(r"(?s)main, 1 of 2\nexpected.*order-3, 2 of 2\nexpected", out)
    assert re.search(r"variant +init scale .*\n(main .*\n){3}(order-3 .*\n){2}", out)
    assert set(contents(folder)) == {
        "settings.json", "summary.json", "comparison.md", "comparison.csv",
        "trajectory-main.nc", "factors-main.npz",
        *(f"dynamics.{form}" for form in FORMS),
        "trajectory-order-3.nc", "factors-order-3.npz",
    }  # fmt: skip
    found = summary(folder)
    assert found["reference"] == "paper or expected"
    variants = [run["variant"] for run in found["experiment"]["runs"]]
    assert variants == ["main"] * 3 + ["order-3"] * 2
    groups = {each["group"] for each in found["rows"]}
    assert {"main: init scale 0.05", "order-3: init scale 0.01"} <= groups

    (folder / "summary.json").unlink()
    # Another variant's results are cleared away with those of the run before.
    assert reproduce("dynamics", "--resume", "--quiet", folder=folder) == 0
    assert summary(folder)["rows"] == found["rows"]


@pytest.mark.usefixtures("two_variants")
def test_variants_that_are_interrupted_go_on_where_they_were(
    tmp_path, monkeypatch, capsys
):
    whole, folder = tmp_path / "whole", tmp_path / "part"
    line = ("dynamics", "--variant", "all", "--quiet")
    assert reproduce(*line, folder=whole) == 0
    begin = RunFolder.begin

    def interrupted(self, *arguments):
        begin(self, *arguments)
        if (self.path / "checkpoint-order-3.npz").exists():
            # Called again at every report.
            patch.undo()
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "begin", interrupted)
        patch.setattr("rankrise.solvers._session._CHUNK_SECONDS", 1e-6)
        line += ("--checkpoint-seconds", "0")
        assert reproduce(*line, folder=folder) == 130
    assert "interrupted; the state is kept" in capsys.readouterr().err
    assert (folder / "checkpoint-main.npz").exists()
    ends = [run["result"] for run in summary(folder)["experiment"]["runs"]]
    assert ends == ["stopped"] * 3 + ["interrupted"] * 2
    said = {
        (each["group"].startswith("order-3"), each["ours"])
        for each in summary(folder)["statements"]
    }
    assert {ours for is_cut_off, ours in said if is_cut_off} == {None}
    assert {ours for is_cut_off, ours in said if not is_cut_off} <= {True, False}
    assert reproduce("dynamics", "--resume", "--quiet", folder=folder) == 0
    assert summary(folder)["rows"] == summary(whole)["rows"]
    assert set(contents(folder)) == set(contents(whole))


@pytest.mark.usefixtures("two_variants")
def test_files_of_variants_are_replaced_by_those_of_another_run(tmp_path):
    folder = tmp_path / "run"
    assert reproduce("dynamics", "--variant", "all", "--quiet", folder=folder) == 0
    line = ("dynamics", "--variant", "order-3", "--quiet", "--force")
    assert reproduce(*line, folder=folder) == 0
    assert "trajectory.nc" in contents(folder)
    assert not list(folder.glob("*-order-3.*"))
    assert summary(folder)["reference"] == "expected"


def test_all_components_are_kept_where_asked(tmp_path):
    line = ("dynamics", "--variant", "order-3", "--kept-components", "all", "--quiet")
    assert reproduce(*line, folder=tmp_path / "run") == 0
    trajectory = Trajectory.load(tmp_path / "run" / "trajectory.nc")
    # By default as many as any tensor of 3 x 3 x 3 needs.
    assert trajectory.component_norms.shape[-1] == 9
    assert sorted(trajectory.component_index[0]) == list(range(9))


@pytest.mark.slow
def test_quick_variants_are_as_expected_at_their_smallest_init_scale(
    tmp_path, monkeypatch
):
    monkeypatch.undo()
    began = time.process_time()
    line = ("dynamics", "--variant", "all", "--quick", "--quiet")
    assert reproduce(*line, folder=tmp_path / "run") == 0
    # Ten minutes of two cores.
    assert time.process_time() - began < 1200
    found = summary(tmp_path / "run")
    contradicted = [
        (each["group"], each["words"])
        for each in found["statements"]
        if each["paper"] is True and each["ours"] is not True
    ]
    assert contradicted == []


# Complexity


def digits(monkeypatch):
    samples = load_labelled_set("digits")
    monkeypatch.setattr(
        "rankrise.experiments._complexity.load_labelled_folds",
        lambda dataset, **how: (samples,),
    )


def test_complexity_is_compared_rank_by_rank_and_resumed(tmp_path, monkeypatch, capsys):
    digits(monkeypatch)
    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_the_run(patch)
        assert reproduce("complexity", "--quick", "--quiet", folder=folder) == 130
    assert (folder / "checkpoint-data-0.npz").exists()
    capsys.readouterr()
    assert reproduce("complexity", "--resume", folder=folder) == 0
    out = capsys.readouterr().out
    assert out.startswith("left out: ranks 2\nleft out: epochs after 6 of 12")
    # How many are tried depends on the machine.
    assert re.search(r"\(18 epochs, by the pace of \d\)", out)
    rows = summary(folder)["rows"]
    assert len(rows) == 3 * 2
    assert (rows[0]["group"], rows[0]["paper"]) == ("data, train error", 0.0228)
    assert set(contents(folder)) == {
        "settings.json", "summary.json", "comparison.md", "comparison.csv",
        *(f"complexity.{form}" for form in FORMS),
    }  # fmt: skip


def test_complexity_whose_models_diverge_is_compared(tmp_path, monkeypatch, capsys):
    digits(monkeypatch)
    wild = {"optimizer": "sgd", "learning_rate": 1e9}
    monkeypatch.setattr(presets, "_COMPLEXITY", SMALL_COMPLEXITY | wild)
    assert reproduce("complexity", "--quick", folder=tmp_path / "run") == 0
    said = capsys.readouterr()
    assert said.err == "rankrise: some models diverged.\n"
    assert "table: " in said.out
    assert summary(tmp_path / "run")["result"] == "diverged"


def test_images_that_cannot_be_found_are_refused(tmp_path, monkeypatch, assert_refused):
    from rankrise import InputError

    def missing(dataset, **how):
        raise InputError(f"{dataset} is nowhere; set RANKRISE_DATA.")

    place = "rankrise.experiments._complexity.load_labelled_folds"
    monkeypatch.setattr(place, missing)
    tokens = ["reproduce", "complexity", "--out", tmp_path / "new"]
    assert_refused(tokens, "mnist is nowhere")
    assert not (tmp_path / "new").exists()


# Theory


def claims(verdict):
    """All claims, as an earlier run found them."""
    return {
        name: (
            Claim(
                theorem=Theorem(name, name, "a theorem", "it holds"),
                verdict=verdict,
                explanation="",
                tolerance=1e-8,
                predicted=1.0,
                measured=1.5,
                error=0.0,
            ),
            2.0,
        )
        for name in CLAIM_NAMES
    }


@pytest.mark.parametrize(("verdict", "status"), [("holds", 0), ("violated", 1)])
def test_theory_keeps_the_claims_that_were_done(verdict, status, tmp_path, capsys):
    folder = tmp_path / "run"
    folder.mkdir()
    begun = {
        "command": "reproduce theory",
        "settings": {"quick": False, "seed": 2},
        "source": {},
    }
    (folder / "settings.json").write_text(json.dumps(begun))
    record = verification_record(claims(verdict))
    (folder / "claims.json").write_text(json.dumps(record))
    assert reproduce("theory", "--resume", folder=folder) == status
    assert "(0 claims, as long as two cores took once)" in capsys.readouterr().out
    found = summary(folder)
    assert [row["group"] for row in found["rows"]] == list(CLAIM_NAMES)
    assert {row["difference"] for row in found["rows"]} == {0.5}
    assert reproduce("theory", "--resume", "--quiet", folder=folder) == status


@pytest.mark.slow
@pytest.mark.parametrize("quick", [True, False])
def test_all_claims_hold(quick, tmp_path):
    tokens = ["theory", *["--quick"] * quick, "--quiet"]
    assert reproduce(*tokens, folder=tmp_path / "run") == 0
    assert {each["ours"] for each in summary(tmp_path / "run")["statements"]} == {True}


# What is refused


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("complete", "no command complete; choose dynamics, complexity or theory"),
        ("dynamics --seed -1", "--seed is -1; it cannot be negative"),
        (
            "dynamics --variant order-5",
            "--variant is order-5; choose main, order-3, se",
        ),
        ("dynamics --kept-components 0", "--kept-components is 0; it must be posi"),
        ("dynamics --kept-components x", "is x; give a whole number, or choose all"),
        ("dynamics --seed x", "--seed is x; give a whole number"),
        ("dynamics --dataset mnist", "There is no option --dataset"),
        ("complexity --dataset digits", "choose mnist or fashion-mnist"),
        ("theory --force --resume", "give one of them"),
        ("theory --resume", "There is no run to resume"),
    ],
)
def test_a_reproduction_that_makes_no_sense_is_refused(
    line, words, assert_refused, tmp_path
):
    tokens = ["reproduce", *line.split(), "--out", tmp_path / "new"]
    assert_refused(tokens, words)
    assert not (tmp_path / "new").exists()


def test_a_full_run_is_not_resumed_as_a_quick_one(risen, assert_refused):
    tokens = ["reproduce", "dynamics", "--no-quick", "--resume", "--out", risen]
    assert_refused(tokens, "has --quick True, not False")


def test_a_run_of_another_experiment_is_not_resumed(risen, assert_refused):
    tokens = ["reproduce", "theory", "--resume", "--out", risen]
    assert_refused(tokens, "is of `rankrise reproduce dynamics`")


def test_by_default_each_has_a_folder_of_its_own(assert_refused):
    assert_refused(
        ["reproduce", "theory", "--resume"],
        "no run to resume in runs/reproduce-theory",
    )
