"""Descent, flow and limit on one problem."""

import json

import numpy as np
import pytest

from rankrise._errors import InputError
from rankrise.experiments import AgreementConfig, run_agreement, summarize_agreement

# Descent at four learning rates, flow and limit: minutes of compiling.
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def agreement():
    config = AgreementConfig(
        mode_dims=(5, 5, 5),
        target_rank=2,
        observations=110,
        components=6,
        init_scales=(0.1, 0.01, 0.001),
        comparisons=20,
        rtol=1e-6,
        seed=1,
    )
    return run_agreement(config)


def test_descent_is_first_order_in_the_learning_rate(agreement):
    # The next order is a tenth at the two smallest rates; half as much as between
    # the two before, as it should be.
    assert agreement.convergence_order == pytest.approx(1, abs=0.15)
    distances = [descent.distance for descent in agreement.descents[:-1]]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 10 * distances[-1]


def test_all_learning_rates_are_compared_at_the_same_times(agreement):
    times = [descent.trajectory.time for descent in agreement.descents[:-1]]
    for other in times[1:]:
        np.testing.assert_allclose(other, times[0], rtol=1e-9)


def test_the_paper_s_rule_is_compared_on_the_same_clock(agreement):
    adaptive = agreement.descents[-1]
    assert adaptive.name == "adaptive"
    # Its steps are long on so small a problem; it ends at the same components.
    assert 0 < adaptive.distance < 1
    norms = adaptive.trajectory.component_norms[-1, :2]
    np.testing.assert_allclose(norms, agreement.flow.component_norms[-1, :2], atol=0.02)


def test_the_flow_comes_near_its_limit_as_the_init_scale_falls(agreement):
    gaps = [flow.gap for flow in agreement.flows]
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] < 1e-3
    late = [np.max(flow.escape_gaps) for flow in agreement.flows]
    assert late[-1] < late[1] / 2
    assert late[-1] < 0.02


def test_the_summary_is_json_with_every_number(agreement):
    summary = json.loads(json.dumps(summarize_agreement(agreement)))
    assert len(summary["descents"]) == 6
    assert summary["descents"][-1]["learning_rate"] is None
    assert [row["init_scale"] for row in summary["flows"]] == [0.1, 0.01, 0.001]
    assert [row["components"] for row in summary["plateaus"]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode_dims": (3,)}, "`mode_dims` is 3; give two"),
        ({"observations": 1000}, "has 512 entries; ask for fewer"),
        ({"init_scales": (2.0, 0.1)}, "the limit is of scales below 1"),
        ({"learning_rates": ()}, "`learning_rates` is empty"),
        ({"learning_rates": (0.0,)}, "`learning_rates` is 0.0; it must lie"),
    ],
)
def test_settings_that_do_not_fit_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        AgreementConfig(**options)


@pytest.mark.slow
def test_a_learning_rate_that_needs_millions_of_steps_is_refused():
    config = AgreementConfig(
        mode_dims=(5, 5, 5),
        target_rank=2,
        observations=110,
        components=6,
        rtol=1e-4,
        seed=1,
        learning_rates=(1e-6,),
    )
    with pytest.raises(InputError, match="give larger `learning_rates`"):
        run_agreement(config)
