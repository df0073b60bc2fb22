"""Settings of a completion, and what is refused of them."""

import numpy as np
import pytest

import rankrise as rr


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"models": 0}, "`models` is 0; it must be positive"),
        ({"models": "3"}, "`models` is '3'; give a whole number"),
        ({"models": True}, "`models` is True; give a whole number"),
        ({"models": 2.5}, r"`models` is 2.5; give a whole number"),
        ({"max_seconds": -1}, "`max_seconds` is -1.0; it must be positive"),
        ({"max_seconds": "3"}, "`max_seconds` is '3'; give a number"),
        ({"max_seconds": np.nan}, "`max_seconds` is nan; give a finite number"),
        ({"max_components": 0}, "`max_components` is 0; it must be positive"),
        ({"seed": -1}, "`seed` is -1; it cannot be negative"),
        ({"smooth": "yes"}, "`smooth` is 'yes'; give True or False"),
        ({"loss": "absurd"}, "`loss` is 'absurd'; choose 'squared', 'absolute'"),
        ({"loss": 3}, "`loss` is 3; choose 'squared', .* or give an AbstractLoss"),
        ({"loss_threshold": 0}, "`loss_threshold` is 0.0; it must lie between"),
        ({"heldout": "x"}, "`heldout` is 'x'; choose 'auto', 'random' or 'fiber'"),
        ({"heldout_share": 1.5}, "`heldout_share` is 1.5; it is a share between"),
        ({"method": "x"}, "`method` is 'x'; choose 'alternating', 'paper', 'flow'"),
        ({"penalties": ()}, "give positive numbers that fall"),
        ({"penalties": (0.5, 1.0)}, "give positive numbers that fall"),
        ({"penalties": (0.5, 0.0)}, "give positive numbers that fall"),
        ({"penalties": 0.5}, "`penalties` is 0.5; give several numbers"),
        ({"method": "paper", "models": 3}, "`models` is for `method` alternating"),
        ({"method": "flow", "smooth": True}, "`smooth` is for `method` alternating"),
        ({"method": "paper", "loss": "logistic"}, "`loss` logistic is for `method`"),
        ({"method": "limit", "loss": "absolute"}, "has a kink where it fits"),
    ],
)
def test_what_does_not_fit_is_refused_in_the_callers_words(given, words):
    with pytest.raises(rr.InputError, match=words) as refused:
        # In the tests the door checks its annotations, before the settings do.
        rr.CompletionSettings(**given)
    assert "--" not in str(refused.value)
    assert "pydantic" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"kind": "limit", "steps": 5}, "`steps` is for `method` paper or flow"),
        ({"kind": "flow", "batch_size": 5}, "`batch_size` is for `method` paper"),
        ({"init_scales": ()}, "`init_scales` is empty"),
        ({"init_scales": (0.0,)}, "`init_scales` is 0.0; it must lie between"),
        ({"starts": 0}, "`starts` is 0; it must be positive"),
        ({"solver": "flow"}, "`solver` flow is for the dynamics"),
        ({"kind": "x"}, "`kind` is 'x'; choose 'paper', 'flow' or 'limit'"),
        ({"step": 3}, "no setting `step`; the nearest is `steps`"),
    ],
)
def test_a_gradient_method_refuses_what_it_has_no_use_for(given, words):
    with pytest.raises(rr.InputError, match=words):
        rr.GradientMethod(**given)


def test_a_keyword_that_is_not_known_is_a_type_error(gappy):
    with pytest.raises(TypeError, match="unexpected keyword argument 'rank'"):
        rr.complete(gappy, rank=3)


def test_a_setting_that_is_not_known_is_refused_with_the_nearest():
    with pytest.raises(rr.InputError, match="no setting `model`; the nearest is"):
        rr.CompletionSettings(model=3)  # type: ignore[call-arg]


def test_settings_are_not_changed_once_they_are_made():
    settings = rr.CompletionSettings()
    with pytest.raises(ValueError, match="frozen"):
        settings.models = 3


def test_what_differs_from_the_defaults_is_known():
    assert rr.CompletionSettings().changed == set()
    assert rr.CompletionSettings(seed=3, models=None).changed == {"seed"}


def test_numbers_of_numpy_are_numbers():
    settings = rr.CompletionSettings(models=np.int64(3), max_seconds=np.float32(2))
    assert settings.models == 3
    assert settings.max_seconds == 2


def test_a_gradient_method_by_its_name_has_its_defaults():
    assert rr.CompletionSettings(method="flow").method == rr.GradientMethod(kind="flow")
    assert rr.CompletionSettings(method="flow").gradient.kind == "flow"
    assert rr.CompletionSettings().gradient is None


def test_settings_come_back_from_json():
    settings = rr.CompletionSettings(
        method=rr.GradientMethod(kind="flow", starts=2), center=False
    )
    stored = settings.model_dump(mode="json")
    assert rr.CompletionSettings(**stored) == settings


@pytest.mark.parametrize(
    ("observed", "models"), [(100, 8), (100_000, 5), (10**6, 2), (10**8, 1)]
)
def test_fewer_models_are_made_of_many_observations(observed, models):
    assert rr.CompletionSettings().models_for(observed) == models
    assert rr.CompletionSettings(models=3).models_for(observed) == 3
