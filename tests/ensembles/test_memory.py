"""More components than memory are refused before any is taken."""

import numpy as np
import optax
import pytest

from rankrise import _memory
from rankrise._errors import InputError
from rankrise.ensembles import Member, Training
from rankrise.ensembles._memory import check_memory, needed_memory
from rankrise.tables import CategoricalData

DATA = CategoricalData.from_codes(np.zeros((50, 30), int), 2)
MEMBERS = (Member(3, 0), Member(5, 1))


def test_components_that_do_not_fit_are_refused(monkeypatch):
    members = 1000 * MEMBERS
    need = needed_memory(DATA, DATA, members, Training())
    monkeypatch.setattr("rankrise.ensembles._memory.free_memory", lambda: need)
    check_memory(DATA, DATA, members, Training())
    monkeypatch.setattr("rankrise.ensembles._memory.free_memory", lambda: need - 1)
    words = (
        r"8000 components \(2000 models\) of 30 features .* need about \d\d+ MiB .* "
        r"and \d\d+ MiB are free; fit fewer or lower ranks"
    )
    with pytest.raises(InputError, match=words):
        check_memory(DATA, DATA, members, Training())


def test_a_machine_that_does_not_say_is_taken_to_have_enough(monkeypatch):
    monkeypatch.setattr("rankrise.ensembles._memory.free_memory", lambda: None)
    check_memory(DATA, DATA, (Member(10**9, 0),), Training())


@pytest.mark.parametrize(
    ("more", "less"),
    [
        ({"members": 100 * MEMBERS}, {}),
        ({"training": Training(optimizer=optax.adam(0.1))},
         {"training": Training(optimizer=optax.sgd(0.1))}),
        ({"training": Training(batch_size=50)}, {"training": Training(batch_size=5)}),
        ({"training": Training(epochs=10**6)}, {}),
    ],
)  # fmt: skip
def test_what_takes_more_memory_is_known(more, less):
    def needed(members=MEMBERS, training=None):
        return needed_memory(DATA, None, members, training or Training())

    assert needed(**more) > needed(**less)


def test_many_samples_for_testing_are_measured_in_blocks():
    """Ranks 1 to 15 of ten classes: 1200 columns, and far fewer features."""
    members = [Member(rank, task) for task in range(10) for rank in range(1, 16)]
    train, test = (
        CategoricalData.from_codes(np.zeros((samples, 10), int), 2)
        for samples in (1000, 200_000)
    )
    needed = needed_memory(train, test, members, Training(batch_size=1000))
    # All of the 200,000 at once would be 5.8 GiB even in single precision.
    assert needed < 2**30


def test_what_a_machine_and_its_container_say_is_read(tmp_path, monkeypatch):
    machine, container = tmp_path / "meminfo", tmp_path / "memory.max"
    monkeypatch.setattr(_memory, "_MEMINFO", machine)
    monkeypatch.setattr(_memory, "_LIMITS", (container,))
    assert _memory.free_memory() is None
    machine.write_text("MemTotal: 9 kB\nMemAvailable:    3000 kB\n")
    assert _memory.free_memory() == 3000 * 1024
    container.write_text("max\n")
    assert _memory.free_memory() == 3000 * 1024
    container.write_text("5000\n")
    assert _memory.free_memory() == 5000
