"""How a run can end."""

import json

import pytest

from rankrise.runs import Ending


@pytest.mark.parametrize("ending", Ending)
def test_every_ending_but_convergence_has_a_remedy_in_a_sentence(ending):
    sentence = ending.remedy.endswith(".") and "--" not in ending.remedy
    assert sentence == (ending != Ending.CONVERGED)


def test_an_ending_is_its_word_in_json():
    assert json.loads(json.dumps(Ending.TIME_LIMIT)) == "time limit"


@pytest.mark.parametrize(
    ("endings", "worst"),
    [
        (["converged", "stopped", "converged"], "stopped"),
        (["stopped", "time limit"], "time limit"),
        (["diverged", "time limit"], "diverged"),
        (["failed", "diverged"], "failed"),
        (["interrupted", "failed"], "interrupted"),
    ],
)
def test_the_worst_ending_stands_for_all(endings, worst):
    assert Ending.worst(map(Ending, endings)) is Ending(worst)
