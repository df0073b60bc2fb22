import json

import numpy as np
import pytest

from rankrise.cli._main import run


@pytest.fixture
def planted(tmp_path):
    rng = np.random.default_rng(0)
    factors = [rng.standard_normal((dim, 2)) for dim in (10, 9, 8)]
    tensor = np.einsum("ir,jr,kr->ijk", *factors)
    tensor += 0.1 * rng.standard_normal(tensor.shape)
    tensor[rng.random(tensor.shape) < 0.3] = np.nan
    path = tmp_path / "planted.npy"
    np.save(path, tensor)
    return path


def test_the_rank_of_a_file_is_printed_with_its_table(planted, capsys):
    assert run(["rank", str(planted), "--out", "found", "--seed", "3"]) == 0
    out = capsys.readouterr().out
    assert "tensor: 10x9x8" in out
    assert "held-out error" in out
    assert "\nrank 2\n" in out
    with open("found/summary.json") as file:
        summary = json.load(file)
    assert (summary["rank"], summary["needed_components"]) == (2, 2)
    assert summary["settings"]["seed"] == 3
    assert [row["components"] for row in summary["rank_table"]][:3] == [0, 1, 2]
    with open("found/rank.csv") as file:
        assert file.readline().startswith("components,heldout_error,standard_error")
    with open("found/rank.png", "rb") as file:
        assert file.read().startswith(b"\x89PNG")


def test_a_tensor_without_gaps_has_a_rank(planted, capsys):
    tensor = np.load(planted)
    np.save(planted, np.where(np.isnan(tensor), 0.0, tensor) + 1.0)
    assert run(["rank", str(planted), "--out", "found"]) == 0
    assert "100.0% observed" in capsys.readouterr().out


@pytest.mark.usefixtures("blank_figures")
def test_nothing_is_replaced_unless_asked(planted, capsys, check_refusal):
    assert run(["rank", str(planted), "--out", "found", "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    status = run(["rank", str(planted), "--out", "found"])
    check_refusal(status, *capsys.readouterr(), "not empty")
    assert run(["rank", "--out", "found", "--resume"]) == 0
    assert "is finished" in capsys.readouterr().out
    assert run(["rank", str(planted), "--out", "found", "--force", "--quiet"]) == 0


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        ([], "rank needs a file"),
        (["absent.npy"], "no such file"),
        (["{file}", "--max-components", "0"], "--max-components"),
        (["{file}", "--seed", "-1"], "--seed"),
        (["{file}", "--loss", "logistic"], "labels are 0 and 1"),
        (["{file}", "--loss", "poisson"], "has the value -.* counts are not negative"),
        (["{file}", "--loss", "cubic"], "--loss"),
        (["{file}", "--loss", "counts"], "--loss.*smooth-l1"),
        (["{file}", "--mode-dims", "3", "3"], "mode"),
    ],
)
def test_what_cannot_be_used_is_refused_in_a_sentence(
    planted, tokens, words, capsys, check_refusal
):
    given = [token.format(file=planted) for token in tokens]
    status = run(["rank", *given, "--out", "found"])
    check_refusal(status, *capsys.readouterr(), words)


def test_a_constant_has_nothing_to_tell(planted, capsys, check_refusal):
    np.save(planted, np.ones((4, 4, 4)))
    status = run(["rank", str(planted), "--out", "found"])
    check_refusal(status, *capsys.readouterr(), "equal 1")


@pytest.mark.usefixtures("blank_figures")
def test_complete_says_rank_and_components(planted, capsys):
    assert run(["complete", str(planted), "--models", "2", "--out", "found"]) == 0
    out = capsys.readouterr().out
    assert "rank: 2" in out
    with open("found/summary.json") as file:
        summary = json.load(file)
    assert summary["rank"] == 2
    assert summary["components"] >= 2
    if summary["components"] > 2:
        assert f"predictions use {summary['components']} components" in out
