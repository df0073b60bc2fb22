"""What a sweep can be, and what is refused."""

import json

import pytest

import rankrise as rr

BASE = {"mode_dim": 3, "order": 3, "target_rank": 1, "components": 2}


def made(**fields):
    base = {k: v for k, v in BASE.items() if k not in fields.get("axes", {})}
    return rr.SweepSettings(**{"command": "dynamics", "base": base} | fields)


def values(settings, *names):
    """The settings of all runs, those of one value in a list without the list."""
    rows = [[run.given[name] for name in names] for run in settings.runs()]
    return [[v[0] if isinstance(v, list) else v for v in row] for row in rows]


def test_axes_are_combined_and_the_last_varies_fastest():
    settings = made(axes={"order": [3, 4], "init_scales": [0.1, 0.2]}, seeds=2)
    assert values(settings, "order", "init_scales", "seed") == [
        [order, scale, seed]
        for order in (3, 4)
        for scale in (0.1, 0.2)
        for seed in (0, 1)
    ]
    assert settings.axis_names == ("order", "init_scale", "seed")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"from": 1, "to": 4}, [1, 2, 3, 4]),
        ({"from": 0.1, "to": 0.3, "step": 0.1}, [0.1, 0.2, 0.3]),
        ({"from": 0.0, "to": 1.0, "count": 3}, [0.0, 0.5, 1.0]),
        (
            {"from": 0.001, "to": 1, "count": 4, "spacing": "log"},
            [0.001, 0.01, 0.1, 1.0],
        ),
    ],
)
def test_ranges_hold_both_ends(given, expected):
    settings = made(base={**BASE}, axes={"noise_level": given, "init_scales": [0.1]})
    assert [row[0] for row in values(settings, "noise_level")] == expected


def test_zipped_axes_go_along_together():
    settings = made(
        base={"target_rank": 1, "components": 2},
        axes={"init_scales": [0.1, 0.2]},
        zip=[{"mode_dim": [3, 4], "observations": [10, 20]}],
    )
    assert values(settings, "mode_dim", "observations", "init_scales") == [
        [3, 10, 0.1],
        [4, 20, 0.1],
        [3, 10, 0.2],
        [4, 20, 0.2],
    ]


def test_conditions_leave_runs_out():
    settings = made(
        axes={"target_rank": [1, 2, 3], "init_scales": [0.1, 0.2]},
        where=["target_rank < order", "not (target_rank == 2 and init_scale > 0.15)"],
    )
    found = values(settings, "target_rank", "init_scales")
    assert found == [[1, 0.1], [1, 0.2], [2, 0.1]]


def test_lists_of_which_a_run_has_one_value_are_axes():
    # The default of `dynamics` is three init scales.
    assert len(made().runs()) == 3
    assert len(made(base={**BASE, "start_seeds": [0, 1]}).runs()) == 6


def test_the_limit_has_no_init_scale():
    settings = made(axes={"solver": ["adaptive", "limit"], "init_scales": [0.1, 0.2]})
    found = [run.given.get("init_scales") for run in settings.runs()]
    assert found == [[0.1], [0.2], None]


def test_a_run_is_named_by_its_settings_not_by_its_place():
    few = made(axes={"init_scales": [0.1]}).runs()
    # A default that is said changes nothing.
    more = made(base={**BASE, "depth": 3}, axes={"init_scales": [0.2, 0.1]}).runs()
    assert few[0].key == more[1].key != more[0].key


def test_a_toml_file_says_the_same_as_python(tmp_path):
    path = tmp_path / "sweep.toml"
    path.write_text(
        'command = "dynamics"\nseeds = 2\nwhere = "order < 4"\n'
        "[base]\nmode_dim = 3\ntarget_rank = 1\ncomponents = 2\n"
        "[axes]\norder = { from = 3, to = 4 }\n[[zip]]\ninit_scales = [0.1]\n"
    )
    base = {"mode_dim": 3, "target_rank": 1, "components": 2}
    same = rr.SweepSettings(
        command="dynamics",
        base=base,
        axes={"order": [3, 4]},
        zip=[{"init_scales": [0.1]}],
        where="order < 4",
        seeds=2,
    )
    keys = [run.key for run in rr.SweepSettings.read(path).runs()]
    assert keys == [run.key for run in same.runs()]


REFUSED = {
    "unknown axis": ({"axes": {"init_scale": [1]}}, "nearest is `init_scales`"),
    "unknown setting": ({"base": {"mode_dimm": 3}}, "nearest is `mode_dim`"),
    "unknown key": ({"axis": {}}, "There is no setting `axis`; the nearest is `axes`"),
    "unknown command": ({"command": "agreement"}, "choose 'dynamics'"),
    "empty axis": ({"axes": {"init_scales": []}}, "init_scales is empty"),
    "no list": ({"axes": {"init_scales": 0.1}}, "give a list of values"),
    "twice in an axis": ({"axes": {"init_scales": [0.1, 0.1]}}, "has 0.1 twice"),
    "in base and axes": ({"axes": {"init_scales": [1]}, "base": {"init_scales": [1]}},
                         "is in \\[base\\] and in \\[axes\\]"),
    "seed twice": ({"axes": {"seed": [1]}, "seeds": 2}, "name it once"),
    "no seeds": ({"seeds": 0}, "must be positive"),
    "unequal zip": ({"zip": [{"target_rank": [1, 2], "components": [3]}],
                     "base": {}}, "has 2, components has 1"),
    "falling range": ({"axes": {"noise_level": {"from": 2, "to": 1}}}, "let it rise"),
    "range of text": ({"axes": {"noise_level": {"from": "a", "to": 1}}}, "no finite"),
    "logarithm of zero": ({"axes": {"noise_level": {
        "from": 0, "to": 1, "count": 2, "spacing": "log"}}}, "give positive"),
    "one value of two ends": ({"axes": {"noise_level": {
        "from": 0, "to": 1, "count": 1}}}, "has one value, and goes from 0 to 1"),
    "range without end": ({"axes": {"noise_level": {"from": 0}}}, "needs from and to"),
    "endless range": ({"axes": {"noise_level": {"from": 0, "to": 1e9}}}, "give fewer"),
    "condition that runs code": ({"where": "__import__('os')"}, "holds a Call"),
    "condition with a power": ({"where": "order ** 9 > 1"}, "cannot|holds"),
    "condition of nothing": ({"where": "order <"}, "cannot be read"),
    "condition of no setting": ({"where": "ordre > 2"}, "nearest is `order`"),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_sweep_is_refused_in_one_sentence(fields, words):
    with pytest.raises(rr.InputError, match=words) as refused:
        made(**fields)
    assert "\n" not in str(refused.value)


RUNS_REFUSED = {
    "a run that cannot be": (
        {"axes": {"observations": [10, 999], "init_scales": [0.1]}},
        "observations 999.*has 27 entries",
    ),
    "no run at all": ({"where": "order > 9"}, "leave no run"),
    "two that are the same": (
        {"axes": {"loss_threshold": [1.0, 1]}},
        "twice",
    ),
    "more than are allowed": ({"seeds": 20_000}, "more than 10000 runs"),
    "more than can be looked at": (
        {"seeds": 2000, "axes": {"start_seeds": list(range(2000))}},
        "4000000 combinations|12000000",
    ),
    "a comparison of unlike things": ({"where": "order > 'a'"}, "cannot be told"),
}


@pytest.mark.parametrize(("fields", "words"), RUNS_REFUSED.values(), ids=RUNS_REFUSED)
def test_what_has_no_runs_is_refused(fields, words):
    with pytest.raises(rr.InputError, match=words):
        made(**fields).runs()


def test_more_runs_are_there_when_asked_for():
    assert len(made(axes={"init_scales": [0.1]}, seeds=101).runs(most=101)) == 101
    with pytest.raises(rr.InputError, match="more than 100 runs"):
        made(axes={"init_scales": [0.1]}, seeds=101).runs(most=100)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"command = ", "is not TOML"),
        (b"\xff\xfe", "is not TOML"),
        (b"#" * (1 << 20) + b"##", "more than a megabyte"),
        (b"[" * 100_000, "is not TOML"),
        (b"", "^The setting `command` is missing; give it.$"),
    ],
)
def test_a_file_of_something_else_is_refused(tmp_path, content, words):
    path = tmp_path / "sweep.toml"
    path.write_bytes(content)
    with pytest.raises(rr.InputError, match=words):
        rr.SweepSettings.read(path)


@pytest.mark.parametrize("most", [-1, 0, 1.5, "2", True])
@pytest.mark.usefixtures("unchecked")
def test_how_many_runs_are_allowed_is_a_whole_number(most):
    with pytest.raises(rr.InputError, match=r"`max_runs` is .*; give a whole number"):
        made(seeds=2).runs(most)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"command": "dynamics", 2: 3}, "There is no setting `2`"),
        (3, "A sweep is given by SweepSettings, a mapping .*, not int"),
        (None, "not NoneType"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_settings_of_another_kind_are_refused(tmp_path, given, words):
    with pytest.raises(rr.InputError, match=words):
        rr.sweep(given, tmp_path, workers=0)


def test_settings_go_through_json():
    settings = made(axes={"order": {"from": 3, "to": 4}}, seeds=[3, 5], where="order<4")
    again = rr.SweepSettings(**json.loads(settings.model_dump_json()))
    assert [run.key for run in again.runs()] == [run.key for run in settings.runs()]


def test_a_changed_file_makes_another_run(tmp_path):
    import numpy as np

    def key(seed):
        path = tmp_path / f"{seed}.npy"
        np.save(path, np.random.default_rng(seed).normal(size=(4, 5)))
        path = path.rename(tmp_path / "tensor.npy")
        settings = rr.SweepSettings(command="complete", base={"file": str(path)})
        return settings.runs()[0].key

    assert key(0) != key(1)


@pytest.mark.parametrize(
    ("command", "base", "words"),
    [
        ("complete", {}, "needs a `file`"),
        ("complete", {"file": "missing.npy"}, "cannot be read"),
        ("complete", {"file": "a", "penaltys": [1]}, "nearest is `penalties`"),
        ("complexity", {}, "needs a `dataset`"),
        ("complexity", {"dataset": "digits", "levels": 1}, "between 2 and 256"),
        ("verify", {"claims": ["growht"]}, "There is no claim"),
        ("verify", {"center": True}, "no use for a synthetic"),
    ],
)
def test_every_command_checks_its_settings(command, base, words):
    with pytest.raises(rr.InputError, match=words):
        rr.SweepSettings(command=command, base=base).runs()
