"""The HTML file of `rankrise report`, as text; `test_page_in_browser.py` opens it."""

import base64
import json
import re
import shutil
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

import rankrise as rr
from rankrise.cli._main import run

pytest.importorskip("jinja2", reason="a report needs the extra [report]")
pytest.importorskip("plotly", reason="a report needs the extra [report]")

BAD = "</script><script>alert(1)</script>"
WORDS = [
    "<script>alert(2)</script>",
    BAD,
    "<img src=x onerror=alert(3)>",
    "a&b",
    "%{y}",
]


class Page(HTMLParser):
    """Tags with their attributes, text of cells, and contents of scripts by id."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, str] = {}
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, words):
        tag, attributes = self.tags[-1] if self.tags else ("", {})
        if tag == "script":
            name = attributes.get("id") or "program"
            self.scripts[name] = self.scripts.get(name, "") + words
        elif tag != "style":
            self.words.append(words.strip())

    @property
    def data(self):
        return json.loads(self.scripts["data"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory, blanking):
    """A completed table whose labels, and whose column, are parts of programs."""
    folder = tmp_path_factory.mktemp("table")
    rng = np.random.default_rng(0)
    tensor = np.einsum("ir,jr,kr->ijk", *(rng.gamma(2, 1, (d, 2)) for d in (5, 6, 4)))
    lines = [f'"{BAD}",drug,week,response']
    for i, j, k in np.argwhere(rng.random(tensor.shape) < 0.7):
        lines.append(f'"{WORDS[i]}",d{j},{k},{tensor[i, j, k]}')
    (folder / "table.csv").write_text("\n".join(lines), encoding="utf-8")
    words = ["--models", "2", "--max-components", "3", "--interval", "0.9", "--quiet"]
    out = folder / "run"
    with blanking():
        assert (
            run(["complete", str(folder / "table.csv"), "--out", str(out), *words]) == 0
        )
    return out


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    assert rr.write_report([folder], path) is True
    return Page(path.read_text(encoding="utf-8"))


def panel(page, kind):
    return next(x for x in page.data["runs"][0]["panels"] if x["kind"] == kind)


def test_a_page_loads_nothing_from_elsewhere(page):
    places = [a.get(x) or "" for _, a in page.tags for x in ("src", "href", "srcset")]
    assert [x for x in places if x and not x.startswith(("#", "data:"))] == []
    assert "default-src 'none'" in next(
        a["content"] for t, a in page.tags if a.get("http-equiv")
    )
    style = "".join(re.findall(r"@import|url\(", str(page.scripts)))
    assert style == ""


def test_labels_are_no_part_of_the_page(page):
    scripts = [a for tag, a in page.tags if tag == "script"]
    assert [a.get("id") for a in scripts] == ["data", "plotly", None]
    assert not any("onerror" in a for _, a in page.tags)
    # They are there nonetheless, as the labels that they are.
    axes = panel(page, "slices")["axes"]
    assert axes[0]["title"] == BAD
    assert set(axes[0]["labels"]) == set(WORDS)
    assert "<" not in page.scripts["data"]


def test_a_page_is_below_three_megabytes_without_its_data(page, folder, tmp_path):
    size = len(page.scripts["plotly"]) + len(page.scripts["program"])
    assert size < 2.5e6
    rr.write_report([folder], tmp_path / "report.html")
    assert (tmp_path / "report.html").stat().st_size - len(page.scripts["data"]) < 3e6


def test_numbers_of_a_page_are_those_of_the_summary(page, folder):
    summary = json.loads((folder / "summary.json").read_text())
    titles = {a.get("title") for _, a in page.tags} - {None}
    for name in ("heldout_relative_error", "heldout_error", "train_error"):
        assert repr(summary[name]) in titles
    assert f"{summary['heldout_relative_error']:.4g}" in page.words
    assert "converged" in page.words
    curve = next(
        x for x in page.data["runs"][0]["panels"] if x["title"].startswith("Rank ")
    )
    errors = [row["heldout_error"] for row in summary["rank_table"]]
    # Six digits, which is what a figure holds.
    np.testing.assert_allclose(curve["traces"][0]["y"], errors, rtol=1e-5)


def test_slices_hold_observed_and_completed_entries(page, folder):
    shown = panel(page, "slices")
    arrays = {
        name: np.frombuffer(base64.b64decode(text), "<f4").reshape(shown["dims"])
        for name, text in shown["arrays"].items()
    }
    table = rr.read_tensor(folder / "completed.csv").observations.dense()
    np.testing.assert_allclose(arrays["completed"], table, rtol=1e-6)
    seen = ~np.isnan(arrays["observed"])
    assert 0.5 < seen.mean() < 0.9
    np.testing.assert_array_equal(np.isnan(arrays["residual"]), ~seen)
    low, high = arrays["lower bound"], arrays["upper bound"]
    assert np.all(low <= high)


def test_factors_have_norm_one_and_the_signs_of_all_pictures(page):
    shown = panel(page, "factors")
    model = shown["models"][0]
    count = len(model["norms"])
    *first, _ = [
        np.frombuffer(base64.b64decode(each), "<f4").reshape(count, -1)
        for each in model["columns"]
    ]
    for columns in first:
        np.testing.assert_allclose(np.linalg.norm(columns, axis=1), 1, rtol=1e-5)
        largest = np.argmax(np.abs(columns), axis=1)
        assert np.all(columns[np.arange(count), largest] > 0)


def test_a_complexity_and_its_controls_are_named(tmp_path):
    words = ["complexity", "digits", "--ranks", "1-2", "--classes", "0", "--folds", "1"]
    words += ["--controls", "labels", "--epochs", "2", "--quiet"]
    assert run([*words, "--out", str(tmp_path / "run")]) == 0
    rr.write_report([tmp_path / "run"], tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    summary = json.loads((tmp_path / "run/summary.json").read_text(encoding="utf-8"))
    assert summary["complexity"]["words"].removeprefix("complexity ") in text
    curve = panel(Page(text), "curves")
    assert [each["name"] for each in curve["traces"]] == ["data", "random labels"]


def test_a_sweep_is_shown_as_curves_and_a_row_for_each_run(tmp_path):
    pytest.importorskip("pyarrow", reason="a sweep needs the extra [cluster]")
    base = "order = 3\nmode_dim = 3\ntarget_rank = 1\ncomponents = 2\nsteps = 60\n"
    file = tmp_path / "sweep.toml"
    axes = "init_scales = [0.3, 0.1]\nobservations = [20, 27]\n"
    text = f'command = "dynamics"\n[base]\n{base}[axes]\n{axes}'
    file.write_text(text, encoding="utf-8")
    words = ["--workers", "0", "--out", str(tmp_path / "out"), "--quiet"]
    assert run(["sweep", str(file), *words]) == 0
    assert rr.write_report([tmp_path / "out"], tmp_path / "report.html") is True
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    found = rr.load_sweep(tmp_path / "out")
    # As many figures of merit as are shown, those that matter most first.
    error, *_ = (
        x
        for x in page.data["runs"][0]["panels"]
        if x["title"].startswith("Reconstruction error")
    )
    curves = found.curves("reconstruction_error")
    drawn = [y for trace in error["traces"] for y in trace["y"]]
    np.testing.assert_allclose(sorted(drawn), sorted(curves.table["median"]), rtol=1e-4)
    assert {"0.3", "0.1", "20", "27", "ending"} <= set(page.words)


def test_residuals_are_those_a_claim_is_judged_by(tmp_path):
    record = {"title": "Growth", "verdict": "holds", "explanation": "It does."}
    record |= {"tolerance": 1e-3, "numbers": {}}
    judged = [2e-4, 1e-5, 0.0]
    curves = {"time": [0, 1], "norms": [[1], [2]], "residuals": judged}
    # The second was not told apart from its error of measuring.
    curves |= {"predicted": [1.0, 0.5], "measured": [1.0002, 0.6]}
    texts = {
        "settings": {"command": "verify", "settings": {}},
        "summary": {"result": "holds"},
        "claims": {"growth": {"record": record, "curves": curves}},
    }
    for name, content in texts.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    rr.write_report([tmp_path], tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    shown = page.data["runs"][0]["panels"][-1]
    assert shown["title"].endswith("rates, residuals")
    assert shown["traces"][0]["y"] == [*judged[:2], 1e-18]
    assert shown["marks"] == [{"y": 1e-3, "label": "tolerance"}]


def test_one_model_alone_found_nothing_again(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run")
    path = tmp_path / "run" / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    # As of observations in parts.
    del summary["reproducibility"], summary["models"]
    path.write_text(json.dumps(summary), encoding="utf-8")
    rr.write_report([tmp_path / "run"], tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    sizes = page.data["runs"][0]["panels"][-1]
    assert [x["name"] for x in sizes["traces"]] == ["component norm"]
    assert sizes["caption"] == "The norm of each component."


def test_a_changed_input_is_not_shown(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    settings = json.loads((copy / "summary.json").read_text())
    settings["source"]["sha256"] = "0" * 64
    stored = json.loads((copy / "settings.json").read_text())
    stored["source"]["sha256"] = "0" * 64
    (copy / "settings.json").write_text(json.dumps(stored))
    rr.write_report([copy], tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "observed" not in panel(page, "slices")["arrays"]
    assert any("has changed" in words for words in page.words)


@pytest.mark.usefixtures("blank_figures")
def test_large_tensors_are_thinned_out_and_the_page_says_so(tmp_path):
    rng = np.random.default_rng(1)
    tensor = np.einsum("i,j,k->ijk", *(rng.gamma(2, 1, d) for d in (60, 55, 50)))
    tensor[rng.random(tensor.shape) < 0.5] = np.nan
    np.save(tmp_path / "large.npy", tensor)
    out = tmp_path / "run"
    words = ["--models", "1", "--max-components", "1", "--no-smooth", "--quiet"]
    assert (
        run(["complete", str(tmp_path / "large.npy"), "--out", str(out), *words]) == 0
    )
    rr.write_report([out], tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    shown = panel(page, "slices")
    assert np.prod(shown["dims"]) <= 120_000
    labels = [axis["labels"] for axis in shown["axes"]]
    assert [(each[0], each[-1]) for each in labels] == [(0, 59), (0, 54), (0, 49)]
    assert any("60 x 55 x 50 entries, slices show" in words for words in page.words)
    assert (tmp_path / "report.html").stat().st_size < 6e6


def test_runs_stand_side_by_side_with_the_settings_that_differ(folder, tmp_path):
    again = tmp_path / "several" / "again"
    shutil.copytree(folder, again)
    stored = json.loads((again / "settings.json").read_text())
    stored["settings"]["seed"] = 7
    (again / "settings.json").write_text(json.dumps(stored))
    # A folder of folders stands for them.
    rr.write_report([folder, tmp_path / "several"], tmp_path / "report.html")
    page = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert [x["name"] for x in page.data["runs"]] == ["run", "again"]
    start = page.words.index("Settings that differ")
    below = [words for words in page.words[start : start + 40] if words]
    assert {"seed", "0", "7"} <= set(below)


def test_an_unfinished_run_is_shown_and_loaded_anew(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "summary.json").unlink()
    path = tmp_path / "report.html"
    assert rr.write_report([copy], path, refresh=3) is False
    page = Page(path.read_text(encoding="utf-8"))
    assert page.data["refresh"] == 3
    assert "not finished" in page.words
    # One that has ended stays as it is.
    assert rr.write_report([folder], path, refresh=3) is True
    assert Page(path.read_text(encoding="utf-8")).data["refresh"] is None


def damaged(name, content):
    def change(folder):
        (folder / name).write_bytes(content)

    return change


@pytest.mark.parametrize(
    "change",
    [
        damaged("settings.json", b"[1, 2"),
        damaged("settings.json", b"{}"),
        damaged("settings.json", b'{"command": 3, "settings": {}}'),
        damaged("summary.json", b"[]"),
        damaged("summary.json", b"\xff\xfe"),
        damaged("summary.json", b"[" * 100_000),
        damaged("summary.json", b'{"result": "converged", "path": [3]}'),
        damaged("summary.json", b'{"result": "converged", "mode_dims": "many"}'),
        damaged("factors.npz", b"PK\x03\x04 and no more"),
        damaged("completed.csv", b"a,b\n1,2,3\n"),
        damaged("trajectory.nc", b"\x89HDF\r\n\x1a\n"),
    ],
)
def test_a_damaged_folder_is_refused_in_a_sentence(folder, tmp_path, capfd, change):
    copy = shutil.copytree(folder, tmp_path / "copy")
    change(copy)
    capfd.readouterr()
    out = tmp_path / "report.html"
    assert run(["report", str(copy), "--out", str(out)]) == 2
    printed = capfd.readouterr()
    assert re.fullmatch(r"rankrise: [^\n]*\.\n", printed.err), printed.err
    assert printed.out == ""
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        ([], "needs the folder"),
        (["missing"], "not there"),
        (["."], "of no run"),
        ([".", "--every", "0"], "seconds from 1"),
        ([".", "--out", "no/such/report.html"], "not there"),
    ],
)
def test_foreign_folders_are_refused(words, refusal, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert run(["report", *words]) == 2
    error = capfd.readouterr().err
    assert re.fullmatch(r"rankrise: [^\n]*\.\n", error), error
    assert refusal in error


def test_without_what_draws_a_report_says_how_to_install_it(
    folder, tmp_path, monkeypatch, capfd
):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert run(["report", str(folder), "--out", str(tmp_path / "x.html")]) == 2
    assert "pip install 'rankrise[report]'" in capfd.readouterr().err


def test_a_live_report_ends_with_its_run(folder, tmp_path, monkeypatch):
    copy = shutil.copytree(folder, tmp_path / "copy")
    summary = (copy / "summary.json").read_bytes()
    (copy / "summary.json").unlink()
    written = []
    out = tmp_path / "report.html"

    def wait(seconds):
        written.append(Page(out.read_text(encoding="utf-8")).data["refresh"])
        (copy / "summary.json").write_bytes(summary)

    monkeypatch.setattr("rankrise.cli._report.time.sleep", wait)
    assert run(["report", str(copy), "--live", "--every", "2", "--out", str(out)]) == 0
    assert written == [2]
    assert Page(out.read_text(encoding="utf-8")).data["refresh"] is None


def test_a_live_report_that_is_stopped_is_not_loaded_anew(
    folder, tmp_path, monkeypatch
):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "summary.json").unlink()
    out = tmp_path / "report.html"

    def stop(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr("rankrise.cli._report.time.sleep", stop)
    assert run(["report", str(copy), "--live", "--out", str(out)]) == 130
    assert Page(out.read_text(encoding="utf-8")).data["refresh"] is None
