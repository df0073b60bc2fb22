"""Which variant of models held-out entries ask for."""

import numpy as np
import pytest

from rankrise.completion import CompletionSettings, load_kernels, make_folds
from rankrise.completion import _choice as choice
from rankrise.completion._model import Variant
from rankrise.completion._model_runs import ModelRuns
from rankrise.completion._settings import Centering
from rankrise.runs import Watch
from rankrise.tensors import incomplete_tensor


@pytest.fixture
def observations():
    rng = np.random.default_rng(0)
    waves = (np.sin(np.linspace(0, 3, dim)) for dim in (20, 18, 16))
    tensor = np.einsum("i,j,k", *waves) + 0.5 * rng.normal(size=(20, 18, 16))
    tensor[rng.random(tensor.shape) < 0.8] = np.nan
    return incomplete_tensor(tensor).observations.in_order()


def test_models_from_before_a_resume_do_not_change_the_choice(
    observations, monkeypatch
):
    load_kernels()
    # Differences of all sizes are left to the standard error.
    monkeypatch.setattr(choice, "_MOST_GAIN", 1.0)
    monkeypatch.setattr(choice, "_MUCH", 1.0)
    settings = CompletionSettings(models=5)
    folds = make_folds(observations, 5, share=None, heldout="random", seed=0)
    chosen = []
    for before in (0, 5):
        run = observations, folds, settings
        with Watch() as watch, ModelRuns(*run, watch, None) as runs:
            runs.run(range(before), Variant(False, "squared", Centering.MEAN))
            chosen.append(choice.choose(runs))
    assert chosen[0] == chosen[1]
