"""The experiment behind `rankrise complexity`."""

from rankrise.experiments._complexity import _optimizer


def test_runs_with_the_same_settings_share_an_optimizer_and_so_its_programs():
    assert _optimizer("adam", 0.01) is _optimizer("adam", 0.01)
    assert _optimizer("adam", 0.01) is not _optimizer("adam", 0.02)
