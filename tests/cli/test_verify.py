"""`rankrise verify`, from the command to the files."""

import json

import numpy as np
import pytest

from rankrise.cli._main import run
from rankrise.experiments import _verification
from rankrise.theory import _growth

# What a picture is written as.
FORMS = ("png", "pdf", "svg", "txt")

pytestmark = pytest.mark.usefixtures("blank_figures")

QUICK = ["conservation", "growth"]
# As large as in tests of the theory, whose programs serve here too.
SMALL = ["--mode-dims", "3", "4", "2", "--observations", "16", "--components", "4"]


def verify(*tokens, folder):
    return run(["verify", *map(str, tokens), "--out", str(folder)])


@pytest.fixture(scope="module")
def verified(tmp_path_factory, blanking):
    folder = tmp_path_factory.mktemp("runs") / "verified"
    with blanking():
        assert verify(*QUICK, *SMALL, "--quiet", folder=folder) == 0
    return folder


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def test_a_run_leaves_its_summary_claims_and_figures(verified):
    figures = {f"{name}.{form}" for name in QUICK for form in FORMS}
    files = {"settings.json", "summary.json", "claims.json", *figures}
    assert {path.name for path in verified.iterdir()} == files
    assert [claim["verdict"] for claim in summary(verified)["claims"]] == ["holds"] * 2


def test_the_table_shows_claims_and_verdicts(verified, capsys):
    (verified / "summary.json").rename(verified / "away.json")
    try:
        # All claims are done, so they are only shown again.
        assert verify("--resume", folder=verified) == 0
    finally:
        (verified / "away.json").unlink()
    out = capsys.readouterr().out
    words = ("conservation", "Lemma 1", "Theorem 1", "1e-10", "holds", "loss to")
    for each in (*words, "measuring", "time", "compared"):
        assert each in out
    # Every entry of the row is whole: cut ones end in an ellipsis.
    assert "…" not in out


def test_a_violated_claim_is_exit_status_one(tmp_path, capsys, monkeypatch):
    formula = _growth.balanced_rate
    monkeypatch.setattr(_growth, "balanced_rate", lambda *a: 1.001 * formula(*a))
    assert verify("growth", *SMALL, folder=tmp_path / "run") == 1
    assert "violated" in capsys.readouterr().out
    assert summary(tmp_path / "run")["violated"] == ["growth"]
    # A finished run says so, with the same status.
    assert verify("--resume", folder=tmp_path / "run") == 1
    assert "is finished (violated)" in capsys.readouterr().out


def test_nothing_tested_is_exit_status_three_unless_allowed(tmp_path, capsys):
    # Finer than rounding, so that no verdict can be given.
    tokens = ["conservation", *SMALL, "--tolerance", "1e-18"]
    assert verify(*tokens, folder=tmp_path / "run") == 3
    assert "The error of measuring" in capsys.readouterr().out
    assert summary(tmp_path / "run")["not_tested"] == ["conservation"]
    assert verify("--resume", folder=tmp_path / "run") == 3
    assert "is finished (not tested)" in capsys.readouterr().out
    assert verify("--resume", "--allow-untested", folder=tmp_path / "run") == 0


def test_an_interrupted_run_keeps_its_claims_and_goes_on(tmp_path, monkeypatch, capsys):
    whole = _verification.check_growth

    def interrupting(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(_verification, "check_growth", interrupting)
    assert verify(*QUICK, *SMALL, "--quiet", folder=tmp_path / "run") == 130
    kept = json.loads((tmp_path / "run" / "claims.json").read_text())
    assert list(kept) == ["conservation"]
    assert not (tmp_path / "run" / "summary.json").exists()

    def unneeded(*arguments, **options):
        raise AssertionError("conservation was done")

    monkeypatch.setattr(_verification, "check_growth", whole)
    monkeypatch.setattr(_verification, "check_conservation", unneeded)
    assert verify("--resume", "--quiet", folder=tmp_path / "run") == 0
    names = [claim["name"] for claim in summary(tmp_path / "run")["claims"]]
    assert names == QUICK


@pytest.mark.slow
def test_a_tensor_from_a_file_is_verified(tmp_path):
    rng = np.random.default_rng(0)
    tensor = np.einsum("ir,jr,kr->ijk", *(rng.normal(size=(4, 2)) for _ in range(3)))
    tensor[rng.random(tensor.shape) < 0.3] = np.nan
    np.save(tmp_path / "x.npy", tensor)
    tokens = ["conservation", "--problem", tmp_path / "x.npy", "--quiet"]
    assert verify(*tokens, folder=tmp_path / "run") == 0
    source = summary(tmp_path / "run")["source"]
    assert source["path"].endswith("x.npy")
    assert len(source["sha256"]) == 64


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (
            "verify gravity",
            "no claim gravity; choose conservation, .* or matrix-growth",
        ),
        ("verify --problem none.npy", "none.npy"),
        ("verify --problem x.npy --order 4", "--order is 4 but has no use for a prob"),
        ("verify --center", "--center is True but has no use for a synthetic problem"),
        ("verify --variable x", "--variable is of a file; name it with --problem"),
        ("verify --tolerance 0", r"--tolerance is 0\.0; it must"),
        ("verify --alphas 0.1 0.2", "a slope needs three"),
        ("verify --observations 65", "has 64 entries; ask for fewer"),
        ("verify --task guess", "--task is guess; choose completion, sensing or"),
        ("verify --depth 3", "no option --depth; the nearest is --depths"),
    ],
)
def test_a_command_that_makes_no_sense_is_refused(
    line, words, assert_refused, tmp_path
):
    assert_refused(line.split(), words)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ("--seed 1", "has --seed 2, not 1"),
        ("escape", "is of the claims conservation, growth; resume it without naming"),
    ],
)
def test_a_run_is_not_resumed_with_other_settings(
    flags, words, assert_refused, verified
):
    assert_refused(["verify", *flags.split(), "--resume", "--out", verified], words)


def test_damaged_claims_are_refused(assert_refused, tmp_path, verified):
    folder = tmp_path / "run"
    folder.mkdir()
    for name in ("settings.json", "claims.json"):
        (folder / name).write_bytes((verified / name).read_bytes())
    (folder / "claims.json").write_text('{"growth": 3}')
    words = "claims.json does not hold the claims of a run; start it anew"
    assert_refused(["verify", "--resume", "--out", folder], words)
