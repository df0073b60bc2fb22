"""A clock for tests of long runs."""

import pytest


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("rankrise.runs._display.time", clock)
    monkeypatch.setattr("rankrise.runs._watch.time", clock)
    return clock
