"""The comparison of completion methods: what is hidden, and that each method works."""

import io
import json
import re
import statistics
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console


def low_rank(mode_dims, components=3):
    rng = np.random.default_rng(0)
    factors = [rng.normal(size=(dim, components)) for dim in mode_dims]
    return np.einsum("ir,jr,kr->ijk", *factors)


@pytest.fixture(scope="module")
def synthetic(benchmarks):
    cases = benchmarks("_completion_cases")
    return cases.split_case("synthetic", low_rank((20, 18, 16)), missing=0.7)


# The setting for three components that the search picks; what is under test is the
# method, not the search.
SETTINGS = {
    "ridge ALS": {"components": 3, "penalty": 0.01},
    "TensorLy": {"components": 3, "init": "svd"},
    "pyttb": {"components": 3},
    "Bayesian CP": {"components": 8, "start": "svd", "noise_precision": 100.0},
    "LRTC-TNN": {"theta": 0.2, "rho": 1.0},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_tensor_of_rank_three_is_recovered(benchmarks, synthetic, name):
    peer = benchmarks("_completion_peers").PEERS[name]
    if peer.package is not None:
        pytest.importorskip(peer.package)
    search = benchmarks("_completion_search")
    only = search.Peer(peer.name, peer.fit, lambda training: [SETTINGS[name]])
    record = search.search(synthetic, only, fit_seconds=60)
    # A CP finds it but for where it stops and its ridge. Ranks of unfoldings are only
    # guessed at by LRTC-TNN, so it need not be as near.
    assert record["picked"]["test_error"] < (0.1 if name == "LRTC-TNN" else 0.01)


@pytest.mark.parametrize("fiber_mode", [None, 1])
def test_parts_are_disjoint_and_every_slice_is_trained_on(benchmarks, fiber_mode):
    tensor = low_rank((40, 5, 3))
    tensor[2, :, 1] = np.nan
    split = benchmarks("_completion_cases").split_case
    case = split("sparse", tensor, missing=0.9, fiber_mode=fiber_mode)
    parts = np.concatenate([case.train, case.held_out, case.test])
    # Each known entry once, and none that the data set lacks.
    np.testing.assert_array_equal(
        np.sort(parts), np.flatnonzero(np.isfinite(tensor.reshape(-1)))
    )
    mask = case.training().mask
    assert all(mask.any(axis=axes).all() for axes in [(1, 2), (0, 2), (0, 1)])
    again = split("sparse", tensor, missing=0.9, fiber_mode=fiber_mode)
    np.testing.assert_array_equal(case.test, again.test)


def test_fibers_are_hidden_whole(benchmarks):
    split = benchmarks("_completion_cases").split_case
    case = split("fibers", low_rank((6, 5, 4)), missing=0.5, fiber_mode=2)
    hidden = np.zeros(case.mode_dims, dtype=bool)
    hidden.reshape(-1)[case.test] = True
    assert set(np.unique(hidden.sum(axis=2))) == {0, 4}


def test_contraction_sums_over_observed_entries(benchmarks):
    rng = np.random.default_rng(0)
    tensor = rng.normal(size=(3, 4, 2, 5))
    tables = [rng.normal(size=(dim, 6)) for dim in tensor.shape]
    slow = np.einsum("abcd,aw,bw,dw->cw", tensor, tables[0], tables[1], tables[3])
    fast = benchmarks("_masked_contraction").contract(tensor, tables, 2)
    np.testing.assert_allclose(fast, slow, rtol=1e-10)  # rounding, in another order


def test_a_run_goes_on_where_it_was_interrupted(benchmarks, tmp_path, monkeypatch):
    module, cases = benchmarks("completion"), benchmarks("_completion_cases")
    case = cases.split_case("small", low_rank((6, 5, 4)), missing=0.3)
    monkeypatch.setattr(module, "load_case", lambda name, split: case)
    asked = []
    search = module.search

    def noted(case, peer, *, fit_seconds):
        asked.append(peer.name)
        return search(case, peer, fit_seconds=fit_seconds)

    def failing(case, checkout):
        raise RuntimeError("diverged")

    monkeypatch.setattr(module, "search", noted)
    plug = benchmarks("_completion_rankrise")
    monkeypatch.setattr(plug, "rankrise_complete", failing)
    out = tmp_path / "results.json"
    arguments = ["--cases", "small", "--out", str(out), "--fit-seconds", "5", "--peers"]
    module.main([*arguments, "LRTC-TNN"])
    module.main([*arguments, "LRTC-TNN", "Bayesian CP", "rankrise"])
    assert asked == ["LRTC-TNN", "Bayesian CP"]
    records = json.loads(out.read_text())["cases"]["small"]["0"]
    assert records["LRTC-TNN"]["failure"] is None
    # Whoever fails is in the record and in what is printed.
    assert "diverged" in records["rankrise"]["failure"]
    console = Console(record=True, width=150, file=io.StringIO())
    tables = benchmarks("_completion_table").tables
    console.print(*tables(json.loads(out.read_text())), sep="\n")
    assert "rankrise failed" in console.export_text()
    with pytest.raises(ValueError, match="fits of up to 5 s"):
        module.main(["--cases", "small", "--out", str(out), "--fit-seconds", "6"])
    module.main([*arguments, "LRTC-TNN", "--afresh"])
    assert asked == ["LRTC-TNN", "Bayesian CP", "LRTC-TNN"]


def test_a_case_is_completed_in_a_process_of_its_own(benchmarks, synthetic):
    complete = benchmarks("_completion_rankrise").rankrise_complete
    at_test, at_held_out, found = complete(synthetic)
    # Without noise a CP of three components is found but for the smallest penalty.
    assert synthetic.error(at_test, synthetic.test) < 0.01
    assert len(at_held_out) == len(synthetic.held_out)
    assert found["components"] >= 3
    assert 0 <= found["coverage"] <= 1
    assert found["cpu_seconds"] > 0
    assert found["peak_bytes"] > 0


def test_rankrise_is_shown_beside_that_of_another_checkout(benchmarks):
    def record(error, seconds):
        fit = {
            "test_error": error,
            "setting": {"components": 2},
            "stopped": None,
            "peak_bytes": 1e8,
            "coverage": 0.9,
            "failure": None,
        }
        return {
            "failure": None,
            "picked": {**fit, "seconds": seconds, "cpu_seconds": seconds},
            "oracle": fit,
            "seconds": seconds,
            "cpu_seconds": seconds,
            "fits": [fit],
        }

    split = {
        "rankrise": record(0.2, 3.0),
        "rankrise at abc": record(0.25, 12.0),
        "ridge ALS": record(0.3, 2.0),
    }
    table, words, *_ = benchmarks("_completion_table").tables(
        {"cases": {"il2/entries-80": {"0": split}}}
    )
    console = Console(record=True, width=170, file=io.StringIO())
    console.print(table)
    cells = console.export_text()
    # Errors over the old's, seconds over the old's and over the search's.
    assert all(ratio in cells for ratio in ("0.800", "0.250", "1.500"))
    assert "in 0 of 1 cases; errors more than 2% above the old in 0" in words


def test_a_process_says_what_it_took_and_why_it_failed(benchmarks, tmp_path):
    processes = benchmarks("_processes")
    used = processes.python(processes.HERE, "-c", "print(sum(range(10**6)))")
    assert used.output == "499999500000\n"
    assert used.cpu_seconds > 0
    assert used.peak_bytes > 2**20
    with pytest.raises(processes.ProcessError, match="ended with 1: ValueError: no"):
        processes.python(processes.HERE, "-c", "raise ValueError('no')")
    with pytest.raises(processes.ProcessError, match=r"not done in 0\.3 s"):
        processes.python(
            processes.HERE, "-c", "import time; time.sleep(60)", timeout=0.3
        )
    with pytest.raises(ValueError, match="no src/rankrise"):
        processes.python(tmp_path, "-c", "")


def measured(benchmarks, **changes):
    """What `completion_speed` finds of a small tensor."""
    module, cases = benchmarks("completion_speed"), benchmarks("_speed_cases")
    case = cases.SpeedCase("small", "again", (6, 5, 4), 0.6)
    ours = {module.OURS: benchmarks("_processes").HERE}
    return module.run_case(replace(case, **changes), ours, repeats=1)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"journey": "again", "gaps": "blocks"}, id="again"),
        pytest.param(
            {"journey": "fresh", "mode_dims": (10**9, 3, 2), "observed": 30}
            | {"form": "coordinates"},
            id="fresh",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            {"journey": "command", "observed": 70, "form": "table"},
            id="command",
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_journey_is_measured_as_a_whole(benchmarks, changes):
    module = benchmarks("completion_speed")
    result = measured(benchmarks, **changes)
    assert result["failures"] == {}
    assert module.median(result, module.OURS, "cpu_seconds") > 0
    assert module.median(result, module.OURS, "peak_bytes") > 2**20
    json.dumps(result, allow_nan=False)


def test_a_completion_that_fails_is_in_the_table(benchmarks):
    module = benchmarks("completion_speed")
    result = measured(benchmarks, observed=3)
    (failure,) = result["failures"].values()
    assert "Only 3 of 120 entries are observed" in failure
    console = Console(record=True, width=250, file=io.StringIO())
    console.print(*module.tables({"cases": {"small": result}}), sep="\n")
    assert "Only 3 of 120" in console.export_text()


def test_ratios_are_of_medians_and_of_the_case_beside(benchmarks):
    module, cases = benchmarks("completion_speed"), benchmarks("_speed_cases")
    case = cases.SpeedCase("one", "fresh", (6, 5, 4), 0.6, beside="other")

    def result(case, ours, old):
        def runs(seconds):
            keys = ("seconds", "cpu_seconds", "peak_bytes")
            return [dict.fromkeys(keys, each) for each in seconds]

        both = {module.OURS: runs(ours), "rankrise at abc": runs(old)}
        return {"case": asdict(case), "runs": both, "failures": {}}

    found = {
        "one": result(case, [4.0, 9.0, 3.0], [20.0, 22.0, 40.0]),
        "other": result(replace(case, name="other", beside=None), [2.5], [1.0]),
    }
    console = Console(record=True, width=150, file=io.StringIO())
    console.print(*module.tables({"cases": found}), sep="\n")
    (line,) = [each for each in console.export_text().splitlines() if " one " in each]
    # 22 over 4, and 4 over 2.5.
    assert {"4", "22", "5.5", "1.6"} <= set(line.split())


def test_the_crossing_has_each_way_at_each_density(benchmarks):
    module = benchmarks("_equation_crossing")
    sizes = module.CrossingSizes((6, 5, 4), (2,), (0.4, 0.9), repeats=1, seconds=0.0)
    rows = module.run(sizes)
    assert [row["listed"] for row in rows] == ["observed", "missing"]
    assert all(row[way] > 0 for row in rows for way in ("observed", "missing", "dense"))
    tables = benchmarks("completion_speed").tables({"cases": {}, "crossing": rows})
    assert len(tables) == 2


def test_the_ways_to_normal_equations_agree(benchmarks):
    sweeps = benchmarks("_equation_crossing").sweeps
    rng = np.random.default_rng(0)
    tensor, mask = rng.normal(size=(6, 5, 4)), rng.random((6, 5, 4)) < 0.7
    factors = [rng.normal(size=(dim, 2)) for dim in tensor.shape]
    ways = sweeps(tensor, mask, factors)
    dense = np.einsum("ir,jr,kr->ijk", *ways["dense"]())
    for way in ("observed", "missing"):
        parts = np.split(ways[way]().factors, [6, 11])
        # Norms are shared between modes otherwise; the same but for rounding.
        np.testing.assert_allclose(
            np.einsum("ir,jr,kr->ijk", *parts), dense, rtol=0, atol=1e-10
        )


def test_gaps_of_a_case_are_as_it_says(benchmarks, tmp_path):
    module = benchmarks("_speed_cases")
    case = module.SpeedCase("blocks", "fresh", (12, 8, 8), 0.8, gaps="blocks")
    module.write_file(case, tmp_path)
    missing = np.isnan(np.load(tmp_path / case.file_name))
    # Whole boxes of 3 x 2 x 2 entries, the last of which may go a little beyond.
    assert 0.2 <= missing.mean() <= 0.2 + 12 / missing.size
    module.write_file(replace(case, gaps="random", observed=767), tmp_path)
    assert np.isnan(np.load(tmp_path / case.file_name)).sum() == 1


@pytest.fixture(scope="module")
def large(benchmarks):
    return benchmarks("_large_tensor").LargeSizes(
        mode_dims=(30, 20, 10), observed=3000, width=4, max_seconds=60.0, repeats=1
    )


def test_a_large_tensor_is_completed_and_its_passes_are_timed(benchmarks, large):
    module = benchmarks("large_completion")
    done, passes = module._completed(large), module._timed(large, None)
    assert done["components"] == 3
    # The noise is half the size of the values; fifteen observations a parameter.
    assert done["relative_error"] < 0.3
    assert done["peak_bytes"] >= done["bytes_before"] > 0
    names = {row["name"] for row in passes["cases"]}
    assert {module.PASS, "sparse product, equal width"} <= names
    assert all(row["seconds"] > 0 for row in passes["cases"])
    result = {"sizes": {**asdict(large), "operations": large.operations}}
    result |= {"completion": done, "passes": passes}
    console = Console(record=True, width=150, file=io.StringIO())
    console.print(*module.tables(json.loads(json.dumps(result))), sep="\n")
    assert "bytes an observation" in console.export_text()


@pytest.mark.slow
def test_a_large_completion_is_measured_in_processes_of_its_own(
    benchmarks, large, tmp_path
):
    out = tmp_path / "large.json"
    dims = [str(dim) for dim in large.mode_dims]
    arguments = ["--out", str(out), "--observed", "3000", "--width", "4"]
    benchmarks("large_completion").main(
        [*arguments, "--repeats", "1", "--mode-dims", *dims]
    )
    written = json.loads(out.read_text())
    assert {"environment", "sizes", "completion", "passes"} == set(written)


def test_entries_of_a_large_tensor_are_distinct_and_within_it(benchmarks, monkeypatch):
    module = benchmarks("_large_tensor")
    monkeypatch.setattr(module, "_BLOCK", 100)
    sizes = module.LargeSizes(mode_dims=(30, 20, 10), observed=1000)
    observations = module.LargeTensor(sizes).observations()
    flat = np.ravel_multi_index(tuple(observations.indices.T), sizes.mode_dims)
    assert len(np.unique(flat)) == len(flat) > 900
    # From all of the tensor, though it is made block by block.
    assert flat.min() < 60
    assert flat.max() > 5940


def test_page_beside_other_tools_shows_what_was_measured(benchmarks):
    table = benchmarks("_completion_table")
    root = Path(__file__).parents[1]
    results = json.loads((root / "benchmarks/completion.json").read_text("utf-8"))
    page = (root / "docs/comparison.md").read_text("utf-8")
    row = r"^\| (.+?) \| .*? \| ([\d.]+) \| (.*?) ?\| (\S+) \|$"
    rows = re.findall(row, page, re.MULTILINE)
    tools = [row[0] for row in rows]
    assert tools[0] == "rankrise"
    assert len(tools) == 6
    firsts = [splits["0"] for splits in results["cases"].values()]
    cases = [
        case
        for case in firsts
        if all(tool in case and case[tool]["failure"] is None for tool in tools)
    ]
    assert f"same {len(cases)} cases" in page
    for tool, shown_error, shown_better, shown_seconds in rows:
        own = [case[tool]["picked"]["test_error"] for case in cases]
        least = [table.best_cp(case)["test_error"] for case in cases]
        ours = [case["rankrise"]["picked"]["test_error"] for case in cases]
        error = statistics.geometric_mean(np.divide(own, least))
        seconds = statistics.median(case[tool]["cpu_seconds"] for case in cases)
        better = sum(map(float.__lt__, own, ours))
        assert shown_error == f"{error:.3f}", tool
        assert shown_seconds == f"{seconds:.2g}", tool
        assert shown_better == (f"{better} of {len(cases)}" if tools[0] != tool else "")
