"""How models are trained, and what of it is refused."""

import math

import pytest

from rankrise._checks import check_whole
from rankrise._errors import InputError
from rankrise.ensembles import LevenbergMarquardt, Member, Training


def test_the_default_optimizer_is_one_object_and_so_compiled_once():
    assert Training().method is Training().method


@pytest.mark.parametrize(
    ("make", "words"),
    [
        # Under the tests' type checks no fraction comes as far as a member.
        (lambda: check_whole("epochs", 2.5, 1), r"epochs is 2\.5; give a whole number"),
        (lambda: Training(batch_size=0), "batch_size is 0; give a whole number from 1"),
        (lambda: Training(seed=-1), "seed is -1; give a whole number from 0"),
        (lambda: Member(0, 0), "components is 0; give a whole number from 1"),
        (lambda: Member(1, -1), "task is -1; give a whole number from 0"),
        (lambda: Member(1, 0, seed=-1), "seed is -1; give a whole number from 0"),
        (
            lambda: LevenbergMarquardt(damping=math.nan),
            "damping is nan .* must be positive and finite",
        ),
        (
            lambda: LevenbergMarquardt(inner_tolerance=math.nan),
            "inner_tolerance nan; .* the second from 0 to below 1",
        ),
        (
            lambda: LevenbergMarquardt(inner_passes=0),
            "inner_passes is 0; give a whole number from 1",
        ),
    ],
)
def test_what_cannot_train_is_refused(make, words):
    with pytest.raises(InputError, match=words):
        make()
