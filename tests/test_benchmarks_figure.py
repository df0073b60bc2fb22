"""Parts of the complexity figure add up, and the documentation has all of them."""

import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def figure(benchmarks):
    return benchmarks("full_figure")


def test_parts_add_up_and_a_repeated_one_takes_the_old_one_s_place(
    figure, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(figure, "_EPOCHS", 2)
    monkeypatch.setattr(figure, "_CLASSES", 2)
    out = tmp_path / "figure.json"
    of = ["--dataset", "digits", "--classes", "0", "1", "--out", str(out)]
    for rank, epochs in (("1", "1"), ("2", "2"), ("1", "2"), ("1", "1")):
        assert figure.main([*of, "--ranks", rank, "--epochs", epochs]) == 0
    points = json.loads(out.read_text())["points"]
    assert len(points) == 18
    assert {(p["rank"], p["epochs"]) for p in points} == {(1, 1), (1, 2), (2, 2)}
    assert all(len(point["by_class"]) == 2 for point in points)
    some = points[0]
    assert some["error"] == pytest.approx(sum(some["by_class"]) / 2, abs=1e-6)
    # The state of a part is gone with its end.
    assert [path.name for path in tmp_path.iterdir()] == ["figure.json"]
    last = capsys.readouterr().out.split("| data | 1 |")[-1]
    assert last.count("random labels") == 2
    # A trial is not of the figure.
    assert len(figure.in_full(points, "digits")) == 12


@pytest.mark.parametrize("content", ["{", "[]", '{"points": [{"rank": 1}]}'])
def test_results_of_something_else_are_left_alone(figure, tmp_path, capsys, content):
    out = tmp_path / "other.json"
    out.write_text(content)
    assert figure.main(["--table", "--out", str(out)]) == 2
    assert "holds no results of this program" in capsys.readouterr().err
    assert out.read_text() == content


def test_a_part_that_its_limit_ends_goes_on(figure, tmp_path, capsys):
    out = tmp_path / "figure.json"
    of = ["--dataset", "digits", "--classes", "0", "--ranks", "1", "--epochs", "70"]
    assert figure.main([*of, "--out", str(out), "--max-seconds", "1e-9"]) == 1
    assert "give the same call again" in capsys.readouterr().out
    assert not out.exists()
    assert figure.main([*of, "--out", str(out)]) == 0
    whole = tmp_path / "whole.json"
    assert figure.main([*of, "--out", str(whole)]) == 0
    ours, theirs = (
        [point["by_class"] for point in json.loads(path.read_text())["points"]]
        for path in (out, whole)
    )
    assert ours == theirs


def test_the_documentation_has_the_points_that_there_are(figure):
    points = json.loads(figure.RESULTS.read_text())["points"]
    page = (ROOT / "docs" / "reproduce.md").read_text()
    assert figure.table(points, "mnist") in page
    assert len(figure.in_full(points, "mnist")) == len(points)
