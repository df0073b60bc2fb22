"""How models are trained, and what of it is refused."""

from rankrise.ensembles import Training


def test_the_default_optimizer_is_one_object_and_so_compiled_once():
    assert Training().method is Training().method
