"""Planted ranks: what is drawn has them, and the benchmark runs at a tiny size."""

import io
import json
import math

import numpy as np
import pytest
from rich.console import Console


@pytest.fixture(scope="module")
def planted(benchmarks):
    return benchmarks("_planted")


@pytest.mark.parametrize("seed", range(5))
def test_a_matrix_without_noise_has_the_planted_rank(planted, seed):
    draw = planted.MATRICES.draw(seed)
    left, right = draw.factors
    signal = left @ right.T
    signal /= np.std(signal)
    assert np.linalg.matrix_rank(signal) == draw.rank
    residuals = draw.everywhere - draw.offset - signal
    # The deviation of hundreds of normal numbers is off by a few percent.
    assert np.std(residuals) == pytest.approx(draw.noise, rel=0.15)


@pytest.mark.parametrize("seed", range(5))
def test_there_are_ten_observations_for_each_parameter(planted, seed):
    draw = planted.TENSORS.draw(seed)
    needed = 10 * draw.rank * (sum(draw.mode_dims) - len(draw.mode_dims) + 1)
    # How many are missing is itself drawn, and may be a few more than expected.
    assert draw.mask.sum() > needed - 5 * math.sqrt(draw.mask.size) / 2
    assert np.array_equal(np.isnan(draw.tensor), ~draw.mask)


def test_peers_see_no_entry_that_is_missing(planted):
    draw = planted.TENSORS.draw(0)
    case = draw.case()
    seen = np.concatenate([case.train, case.held_out])
    assert np.array_equal(np.sort(seen), np.flatnonzero(draw.mask))
    assert len(case.held_out) == round(0.1 * len(seen))


def record(seed, rank, offset=0.0, **rest):
    defaults = {"kind": "normal", "mode_dims": [5, 4, 3], "match": None}
    told = {"seed": seed, "planted": 2, "rank": rank, "offset": offset}
    return {**defaults, **told, "cpu_seconds": 1.0, **rest}


def test_a_wrong_rank_is_a_failure(benchmarks):
    records = [record(7, 2, match=0.9), record(8, 3), record(9, 4)]
    summed = benchmarks("planted_rank").summary(records)
    assert summed["failures"] == [8, 9]
    assert summed["groups"]["all"]["right"] == 1
    assert summed["groups"]["all"]["match_least"] == 0.9
    assert summed["above_mode_dims"] == 1


def test_an_offset_may_be_a_component_of_peers(benchmarks):
    module = benchmarks("planted_rank")
    records = [record(7, 2, offset=2.0), record(8, 2)]
    told = {"rank": 3, "cpu_seconds": 1.0}
    peers = [{"seed": seed, **dict.fromkeys(module.PEERS, told)} for seed in (7, 8)]
    for name in module.PEERS:
        row = module.peer_summary(peers, records)[name]
        assert (row["right"], row["right_or_offset_as_component"]) == (0, 1)


def test_the_benchmark_runs(benchmarks, planted, tmp_path, monkeypatch):
    module = benchmarks("planted_rank")
    tiny = planted.Draws(((8, 6, 5),), missing=(0.0, 0.05))
    tasks = {
        "tensors": lambda seed: module.told(tiny.draw(seed)),
        "matrices": lambda seed: module.told(planted.MATRICES.draw(seed)),
        "peers": lambda seed: module.told_by_peers(tiny.draw(seed), most=2),
    }
    monkeypatch.setattr(module, "TASKS", tasks)
    pytest.importorskip("tensorly")
    out = tmp_path / "ranks.json"
    counts = ("--tensors", "2", "--matrices", "1", "--peers", "1")
    module.main([*counts, "--out", str(out), "--seed", "0"])
    first = json.loads(out.read_text(encoding="utf-8"))
    assert [len(first[part]) for part in tasks] == [2, 1, 1]
    assert set(first["peers"][0]) == {"seed", *module.PEERS}
    assert all(first["peers"][0][name]["failure"] is None for name in module.PEERS)
    assert first["tensors"][0]["table"]["heldout_error"]
    # Other parts stay as they are.
    module.main(["--tensors", "0", "--matrices", "0", "--out", str(out)])
    assert json.loads(out.read_text(encoding="utf-8")) == first
    words = io.StringIO()
    Console(file=words, width=150).print(*module.tables(first))
    assert "by peers" in words.getvalue()
