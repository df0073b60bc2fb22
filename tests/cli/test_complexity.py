"""`rankrise complexity`, from the command to the files."""

import json
import os
import re
import signal

import numpy as np
import pytest

from rankrise.cli._folder import RunFolder
from rankrise.cli._main import run

# What a picture is written as.
FORMS = ("png", "pdf", "svg", "txt")

pytestmark = pytest.mark.usefixtures("blank_figures")

RNG = np.random.default_rng(0)
QUICK = [
    *("--ranks", "1-2", "--optimizer", "adam"),
    *("--epochs", "12", "--learning-rate", "0.01", "--folds", "1"),
]
ROW = {
    "dataset", "control", "rank", "class", "fold", "seed", "train_error", "test_error",
    "epochs", "converged", "result",
}  # fmt: skip


def complexity(*tokens):
    return run(["complexity", *map(str, tokens)])


def table(path, samples=40):
    """Two colours decide the kind, but where the size is large."""
    colours = RNG.choice(["red", "blue"], samples)
    sizes = RNG.integers(0, 3, samples)
    weights = RNG.normal(size=samples)
    rows = [
        f"{colour},{size},{weight:.3f},{'ab'[int(colour == 'red' and size < 2)]}"
        for colour, size, weight in zip(colours, sizes, weights, strict=True)
    ]
    path.write_text("\n".join(["colour,size,weight,kind", *rows]) + "\n")
    return path


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    return table(tmp_path_factory.mktemp("table") / "x.csv")


@pytest.fixture(scope="module")
def study(csv):
    """A command that takes seconds, without its folder."""
    return [csv, "--target", "kind", "--seeds", "3", "--error", "0.2", *QUICK]


@pytest.fixture(scope="module")
def studied(study, tmp_path_factory, blanking):
    folder = tmp_path_factory.mktemp("runs") / "studied"
    with blanking():
        assert complexity(*study, "--quiet", "--out", folder) == 0
    return folder


def refuse_constant(name):
    raise AssertionError(f"{name} is no JSON")


def summary(folder):
    text = (folder / "summary.json").read_text()
    return json.loads(text, parse_constant=refuse_constant)


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_study_leaves_its_summary_and_a_figure(studied):
    files = {"settings.json", "summary.json"}
    files |= {f"complexity.{form}" for form in FORMS}
    assert set(contents(studied)) == files


def test_the_summary_has_a_row_for_every_control_rank_class_and_seed(studied):
    rows = summary(studied)["rows"]
    assert all(set(row) == ROW for row in rows)
    keys = ("control", "rank", "class", "seed")
    found = [tuple(row[key] for key in keys) for row in rows]
    expected = {
        (control, rank, kind, 3)
        for control in ("data", "inputs", "labels")
        for rank in (1, 2)
        for kind in "ab"
    }
    assert set(found) == expected
    assert len(found) == len(expected)
    assert {row["epochs"] for row in rows} == {12}
    assert {row["result"] for row in rows} == {"stopped"}
    assert {row["dataset"] for row in rows} == {"x.csv"}


def test_the_summary_says_what_was_studied(studied, csv):
    found = summary(studied)
    assert found["source"] == str(csv)
    assert found["samples"] == {"train": 32, "test": 8}
    assert (found["features"], found["targets"], found["result"]) == (
        3, "classes", "stopped",
    )  # fmt: skip
    assert set(found["constant_errors"]["train"]) == {"a", "b"}


def test_the_summary_has_the_smallest_rank_of_every_error(studied):
    found = summary(studied)
    smallest = found["smallest_ranks"]
    assert [(each["split"], each["control"]) for each in smallest] == [
        (split, control)
        for split in ("train", "test")
        for control in ("data", "inputs", "labels")
    ]
    for each in smallest:
        assert each["error"] == 0.2
        assert each["spread"] is None
        means = {
            rank: np.mean(
                [
                    row[f"{each['split']}_error"]
                    for row in found["rows"]
                    if (row["control"], row["rank"]) == (each["control"], rank)
                ]
            )
            for rank in (1, 2)
        }
        reached = [rank for rank in (1, 2) if means[rank] <= 0.2]
        assert each["by_seed"] == [reached[0] if reached else None]


def test_what_is_printed_fits_80_columns(studied, study, tmp_path, capsys):
    assert complexity(*study, "--out", tmp_path / "again") == 0
    out = capsys.readouterr().out
    assert max(map(len, out.replace(str(tmp_path), "").splitlines())) <= 80
    assert "train error (mean over classes ± standard deviation); a con" in out
    numbers = r" +\d\.\d{4} ± \d\.\d{4}"
    assert len(re.findall(rf"^[12]   {numbers}{numbers}{numbers}$", out, re.M)) == 4
    assert "smallest rank with an error of at most 0.2" in out
    assert f"picture: {tmp_path / 'again' / 'complexity.png'}\n" in out
    assert summary(tmp_path / "again")["rows"] == summary(studied)["rows"]


def test_an_interrupted_study_is_resumed_to_the_same_rows(
    studied, study, tmp_path, monkeypatch, capsys
):
    begin = RunFolder.begin

    def interrupted(*arguments):
        begin(*arguments)
        # Called again at every report.
        patch.undo()
        os.kill(os.getpid(), signal.SIGINT)

    folder = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "begin", interrupted)
        assert complexity(*study, "--quiet", "--out", folder) == 130
    assert "interrupted; the state is kept" in capsys.readouterr().err
    cut = summary(folder)
    assert cut["result"] == "interrupted"
    assert {row["control"] for row in cut["rows"]} == {"data"}
    assert (folder / "checkpoint-data-0.npz").exists()
    # No data set is named: the folder knows.
    assert complexity("--resume", "--quiet", "--out", folder) == 0
    assert summary(folder)["rows"] == summary(studied)["rows"]
    assert set(contents(folder)) == set(contents(studied))


def test_a_finished_study_says_so(studied, capsys):
    before = contents(studied)
    assert complexity("--resume", "--out", studied) == 0
    assert capsys.readouterr().out == f"The run in {studied} is finished (stopped).\n"
    assert contents(studied) == before


def test_values_are_predicted_without_controls(csv, tmp_path):
    tokens = [csv, "--target", "weight", "--controls", "none", "--drop", "kind"]
    assert complexity(*tokens, *QUICK, "--quiet", "--out", tmp_path / "run") == 0
    found = summary(tmp_path / "run")
    assert (found["targets"], found["features"]) == ("values", 2)
    assert found["constant_errors"]["train"]["weight"] == pytest.approx(1)
    rows = [(row["control"], row["rank"], row["class"]) for row in found["rows"]]
    assert rows == [("data", 1, "weight"), ("data", 2, "weight")]


def test_a_study_that_is_cut_off_or_diverges_says_so_in_valid_json(
    csv, tmp_path, capsys
):
    tokens = [csv, "--target", "kind", "--controls", "none", "--quiet", *QUICK]
    cut = [*tokens, "--max-seconds", "1e-9", "--out", tmp_path / "cut"]
    assert complexity(*cut) == 0
    assert summary(tmp_path / "cut")["result"] == "time limit"
    # After one epoch nothing has been measured on the samples for testing.
    assert summary(tmp_path / "cut")["rows"][0]["test_error"] is None
    said = capsys.readouterr().err
    assert said == (
        "rankrise: stopped at the time limit; go on with --out "
        f"{tmp_path / 'cut'} --resume.\n"
    )
    again = ["--resume", "--max-seconds", "100", "--out", tmp_path / "cut", "--quiet"]
    assert complexity(*again) == 0
    assert complexity(*tokens, "--out", tmp_path / "whole") == 0
    rows = [summary(tmp_path / name)["rows"] for name in ("cut", "whole")]
    assert rows[0] == rows[1]
    assert not list((tmp_path / "cut").glob("checkpoint*"))
    capsys.readouterr()
    too_fast = ["--optimizer", "sgd", "--learning-rate", "1e9", "--epochs", "12"]
    wild = [*tokens[: -len(QUICK)], "--ranks", "1-2", "--folds", "1", *too_fast]
    wild = [*wild, "--out", tmp_path / "wild"]
    assert complexity(*wild) == 0
    assert summary(tmp_path / "wild")["result"] == "diverged"
    lower = "lower --learning-rate, --init-mean or --init-std"
    said = rf"rankrise: \d of 4 models diverged; {lower}\.\n"
    assert re.fullmatch(said, capsys.readouterr().err)


def test_models_without_a_learning_rate_that_diverge_are_told_of_their_start(
    csv, tmp_path, capsys
):
    tokens = [csv, "--target", "kind", "--controls", "none", "--ranks", "1", "--quiet"]
    tokens += ["--epochs", "2", "--init-mean", "1e20", "--folds", "1"]
    tokens += ["--out", tmp_path / "run"]
    assert complexity(*tokens) == 0
    said = "rankrise: 2 of 2 models diverged; lower --init-mean or --init-std.\n"
    assert capsys.readouterr().err == said


def test_training_errors_that_rise_with_rank_are_warned_of(csv, tmp_path, capsys):
    # Next to untrained, a model of rank R says R for targets of 0 and 2.
    tokens = [csv, "--target", "kind", "--controls", "none", "--ranks", "1-2"]
    tokens += ["--optimizer", "sgd", "--learning-rate", "1e-9", "--epochs", "2"]
    assert complexity(*tokens, "--quiet", "--out", tmp_path / "run") == 0
    assert capsys.readouterr().err == (
        "rankrise: the training error rises with rank (data from 1 to 2), so training "
        "was too short or unstable; give more --epochs, another --learning-rate or "
        "another --optimizer.\n"
    )


# What is refused


BAD_COMMANDS = {
    "": "complexity needs a data set: rankrise complexity DATASET",
    "nonsense": "no data set 'nonsense'; choose digits, mnist or fashion-mnist, or",
    "none.csv --target kind": r"none\.csv: There is no such file",
    "{csv}": r"x\.csv: Name the column to predict \(--target\)",
    "{csv} --target kind --classes c": "no class c; the data have a, b",
    "{csv} --target kind --classes a a": "The classes are a, a; give some, each once",
    "{csv} --target weight --classes a": "no classes to choose among",
    "{csv} --target kind --target-kind values": "holds text or categories",
    "{csv} --target kind --target-kind both": "--target-kind is both; choose",
    "{csv} --target kind --optimizer lion9": "no optimizer 'lion9'",
    "digits --target kind": "digits has labels of its own",
    "digits --ranks 0-3": "--ranks has 0-3; give whole numbers from 1 to 1000",
    "digits --ranks 1 4-2": "--ranks has 4-2, a range in reverse; give 2-4",
    "digits --ranks": "--ranks is empty",
    "digits --controls noise": "--controls is noise; choose inputs, labels or none",
    "digits --controls none labels": "--controls is none labels; give none alone",
    "digits --classes": "--classes is empty",
    "digits --levels 1": "--levels is 1; it must lie between 2 and 256",
    "digits --error 0": r"--error is 0\.0; it must be positive",
    "digits --epochs 0": "--epochs is 0; it must be positive",
    "digits --seeds 1 1": "--seeds is 1 1; give some, each once",
    "digits --test-share 1": r"--test-share is 1\.0; it must lie between 0 and 1",
    "digits --test-share 0.0001": r"a share of 0\.0001 for testing is 0",
}


@pytest.fixture
def assert_harmless(assert_refused, tmp_path):
    """A command is refused, with --force too, and no results come or go."""
    old = tmp_path / "old"
    old.mkdir()
    (old / "summary.json").write_text("{}")

    def check(tokens, words):
        assert_refused(["complexity", *tokens, "--out", tmp_path / "new"], words)
        assert not (tmp_path / "new").exists()
        assert_refused(["complexity", *tokens, "--out", old, "--force"], words)
        assert contents(old) == {"summary.json": b"{}"}

    return check


@pytest.mark.parametrize("line", BAD_COMMANDS)
def test_a_study_that_makes_no_sense_is_refused(line, assert_harmless, csv):
    tokens = [str(csv) if word == "{csv}" else word for word in line.split()]
    assert_harmless(tokens, BAD_COMMANDS[line])


def test_more_components_than_memory_are_refused(assert_harmless, monkeypatch):
    monkeypatch.setattr("rankrise.ensembles._memory.free_memory", lambda: 10**7)
    assert_harmless(
        ["digits", "--ranks", "1-15"],
        r"1200 components \(150 models\) .* 10 MiB are free; fit",
    )


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["digits"], r"is of .*x\.csv, not digits; resume it without naming"),
        (["--epochs", "13"], "has --epochs 12, not 13"),
        (["--target", "colour"], r"has --target \['kind'\], not \['colour'\]"),
    ],
)
def test_a_study_is_not_resumed_with_other_input(
    tokens, words, assert_refused, studied
):
    before = contents(studied)
    assert_refused(["complexity", *tokens, "--resume", "--out", studied], words)
    assert contents(studied) == before


def test_a_table_that_has_changed_is_not_resumed(studied, assert_refused, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    settings = json.loads((studied / "settings.json").read_text())
    settings["source"]["dataset"] = str(table(tmp_path / "x.csv"))
    (folder / "settings.json").write_text(json.dumps(settings))
    words = "has changed since the run began; start again"
    assert_refused(["complexity", "--resume", "--out", folder], words)
