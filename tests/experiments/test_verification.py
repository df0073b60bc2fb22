"""Claims run together, on one problem; nothing that was done is done again."""

import json
import os
import signal

import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.experiments import (
    VerificationConfig,
    run_verification,
    summarize_verification,
    verification_from_record,
    verification_record,
)
from rankrise.experiments._verification_config import CLAIM_NAMES
from rankrise.runs import keeping_interrupted
from rankrise.tensors import Observations
from rankrise.theory import _growth

QUICK = ("conservation", "growth")
# As large as in tests of the theory, whose programs serve here too.
SIZES = {"mode_dims": (3, 4, 2), "observations": 16, "components": 4}
SMALL = VerificationConfig(**SIZES)


@pytest.fixture(scope="module")
def result():
    return run_verification(SMALL, QUICK)


def test_claims_hold_in_the_order_asked_for(result):
    assert [claim.theorem.name for claim in result.claims] == list(QUICK)
    assert [claim.verdict for claim in result.claims] == ["holds", "holds"]
    assert not result.interrupted
    assert result.violated == []


def test_an_interrupt_is_raised_or_leaves_the_claims_so_far():
    def interrupt(at):
        os.kill(os.getpid(), signal.SIGINT)

    def run():
        return run_verification(SMALL, QUICK, progress=interrupt)

    with pytest.raises(KeyboardInterrupt):
        run()
    with keeping_interrupted():
        cut = run()
    assert [claim.theorem.name for claim in cut.claims] == ["conservation"]
    assert cut.interrupted


@pytest.mark.slow
def test_all_seven_hold_by_default():
    result = run_verification(VerificationConfig())
    verdicts = {claim.theorem.name: claim.verdict for claim in result.claims}
    assert verdicts == dict.fromkeys(CLAIM_NAMES, "holds")
    conservation, growth, bounds, _, rank_one, *_ = result.claims
    assert conservation.error < 1e-10
    assert growth.error < 1e-8
    assert bounds.numbers["component_times"] >= 10_000
    assert rank_one.measured >= 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"task": "sensing", "observations": 60},
        {"task": "sensing-rank-k", "observations": 60},
        {"mode_dims": (4, 5), "observations": 16},
        {"mode_dims": (2, 3, 2, 3), "observations": 26},
    ],
    ids=["sensing", "factored sensing", "order 2", "order 4"],
)
def test_no_claim_is_violated_on_another_problem(options):
    result = run_verification(VerificationConfig(**options))
    assert result.violated == []
    assert [c.verdict for c in result.claims[:3]] == ["holds"] * 3


def test_a_formula_that_is_wrong_is_violated(monkeypatch):
    wrong = _growth.balanced_rate
    monkeypatch.setattr(_growth, "balanced_rate", lambda *a: 1.001 * wrong(*a))
    result = run_verification(SMALL, ("growth",))
    assert result.violated == ["growth"]
    assert summarize_verification(result, {})["result"] == "violated"


def test_a_tolerance_below_the_error_of_measuring_leaves_it_untested(result):
    config = VerificationConfig(**SIZES, tolerance=1e-18)
    untested = run_verification(config, ("growth",))
    assert untested.untested == ["growth"]
    assert untested.claims[0].tolerance == 1e-18
    assert summarize_verification(untested, {})["result"] == "not tested"
    # One claim that was put to the test makes it a verification.
    done = {
        "conservation": (result.claims[0], 1.0),
        "growth": (untested.claims[0], 1.0),
    }
    both = run_verification(config, QUICK, done=done)
    assert summarize_verification(both, {})["result"] == "done"


def test_claims_that_are_done_are_not_repeated(result):
    done = {c.theorem.name: (c, 1.5) for c in result.claims}
    begun, ended = [], []
    again = run_verification(
        VerificationConfig(),
        QUICK,
        done=done,
        progress=begun.append,
        finished=lambda *arguments: ended.append(arguments),
    )
    assert (begun, ended) == ([], [])
    assert again.seconds == dict.fromkeys(QUICK, 1.5)
    assert all(a is b for a, b in zip(again.claims, result.claims, strict=True))


def test_a_claim_comes_back_from_json(result):
    done = {c.theorem.name: (c, 1.5) for c in result.claims}
    text = json.dumps(verification_record(done), allow_nan=False)
    for name, (claim, seconds) in verification_from_record(json.loads(text)).items():
        original = done[name][0]
        assert seconds == 1.5
        assert claim.theorem == original.theorem
        assert (claim.verdict, claim.error) == (original.verdict, original.error)
        assert claim.numbers == original.numbers
        for curve, values in original.curves.items():
            np.testing.assert_array_equal(claim.curves[curve], values)


def test_the_summary_is_strict_json_with_all_that_matters(result):
    summary = summarize_verification(result, {"claims": list(QUICK), "path": None})
    json.dumps(summary, allow_nan=False)
    assert summary["result"] == "done"
    assert summary["seed"] == 2
    assert {"versions", "device", "settings", "seconds_run"} <= summary.keys()
    for claim in summary["claims"]:
        assert {"predicted", "measured", "error", "tolerance", "moved"} <= claim.keys()
        assert claim["measuring_error"] <= claim["tolerance"]
        assert claim["compared"] > 1000
        assert {"source", "statement", "verdict", "explanation"} <= claim.keys()


@pytest.mark.slow
def test_a_user_s_tensor_is_scaled_to_one_root_mean_square():
    tensor = 1e6 * np.einsum("i,j,k->ijk", [1.0, 2, 3], [1.0, -1, 2], [2.0, 1, 1])
    tensor[0, 0, 0] = np.nan
    result = run_verification(
        VerificationConfig(components=4),
        ("conservation", "rank-one"),
        observations=Observations.from_array(tensor),
    )
    assert [claim.verdict for claim in result.claims] == ["holds", "holds"]


def test_a_tensor_too_large_is_refused():
    indices = np.array([[0, 0, 0], [99, 99, 99]])
    observations = Observations.from_coordinates(indices, np.array([1.0, 2.0]))
    with pytest.raises(InputError, match=r"has 1000000 entries; .*100000 at most"):
        run_verification(VerificationConfig(), observations=observations)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order": 1}, "`order` is 1; it must"),
        ({"mode_dims": (4,)}, "`mode_dims` is 4; give two whole numbers or more"),
        ({"observations": 0}, "`observations` is 0; it must be positive"),
        ({"observations": 65}, "65 but a tensor with .* 4 4 4 has 64 entries"),
        ({"order": 9}, "has 262144 entries; verify takes 100000 at most"),
        ({"components": 0}, "`components` is 0; it must be positive"),
        ({"init_scale": 0.0}, r"`init_scale` is 0\.0; it must"),
        ({"tolerance": 0.0}, r"`tolerance` is 0\.0; it must"),
        ({"radius": -1.0}, r"`radius` is -1\.0; it must"),
        ({"horizon": 0.0}, r"`horizon` is 0\.0; it must"),
        ({"alphas": (0.1, 0.2)}, r"`alphas` is 0\.1 0\.2; a slope needs three"),
        ({"alphas": (0.1, 0.2, 0.0)}, r"`alphas` is 0\.0; it must"),
        ({"depths": ()}, "`depths` is empty"),
        ({"depths": (2, 2)}, "`depths` is 2 2; give each once"),
        ({"depths": (0,)}, "`depths` is 0; it must be positive"),
        ({"seed": -1}, "`seed` is -1; it cannot be negative"),
        ({"loss": "logistic"}, "(?s)loss.*'squared'"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        VerificationConfig(**options)
