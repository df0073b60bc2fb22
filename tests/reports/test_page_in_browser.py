"""Reports of every command in Chromium, headless and offline."""

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

import rankrise as rr
from rankrise.cli._main import run

sync_api = pytest.importorskip(
    "playwright.sync_api", reason="pip install playwright to open reports in a browser"
)
pytest.importorskip("plotly", reason="a report needs the extra [report]")
CHROMIUM = os.environ.get("RANKRISE_CHROMIUM") or shutil.which("chromium")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
]
ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update"),
    "--disable-sync",
)
BAD = "</script><script>window.broken=1</script>"
SMALL = ["--order", "3", "--mode-dim", "6", "--target-rank", "2"]
COMMANDS = {
    "complete": ["complete", "labels.csv", "--models", "2", "--interval", "0.9"],
    "climate": ["complete", "climate.nc", "--models", "2"],
    "image": ["complete", "image.npy", "--models", "1", "--max-components", "4"],
    "paper": [
        *("complete", "labels.csv", "--method", "paper", "--components", "6"),
        *("--steps", "300"),
    ],
    "rank": ["rank", "labels.csv"],
    "dynamics": ["dynamics", *SMALL, "--observations", "120", "--steps", "400"],
    "agreement": ["agreement"],
    "verify": ["verify", "growth", "escape"],
    "complexity": ["complexity", "digits", "--ranks", "1-2", "--classes", "0"],
    "reproduce": ["reproduce", "dynamics", "--quick"],
}
LEAST_FIGURES = {"complete": 5, "image": 6, "verify": 4, "dynamics": 3, "rank": 1}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    import xarray as xr

    folder = tmp_path_factory.mktemp("inputs")
    rng = np.random.default_rng(0)
    words = ["<script>window.broken=2</script>", BAD, "<img src=x onerror=broken=3>"]
    words += ["a&b", "%{y}", '<a href="javascript:broken=4">x</a>']
    tensor = np.einsum("ir,jr,kr->ijk", *(rng.gamma(2, 1, (d, 2)) for d in (6, 7, 5)))
    lines = [f'"{BAD}",drug,week,response']
    for i, j, k in np.argwhere(rng.random(tensor.shape) < 0.7):
        label = words[i].replace('"', '""')
        lines.append(f'"{label}",d{j},{k},{tensor[i, j, k]}')
    (folder / "labels.csv").write_text("\n".join(lines), encoding="utf-8")
    climate = np.einsum("i,j,k->ijk", *(1 + rng.gamma(2, 1, d) for d in (12, 8, 10)))
    climate[rng.random(climate.shape) < 0.4] = np.nan
    days = np.datetime64("2024-01-01") + np.arange(12) * np.timedelta64(30, "D")
    coordinates = {"time": days, "lat": np.linspace(40, 60, 8), "lon": np.arange(10.0)}
    xr.DataArray(climate, coordinates, name="t", attrs={"units": "K"}).to_netcdf(
        folder / "climate.nc", engine="h5netcdf"
    )
    image = np.add.outer(np.add.outer(np.arange(20.0), np.arange(30.0)), [0, 20, 40.0])
    image[rng.random(image.shape[:2]) < 0.5] = np.nan
    np.save(folder / "image.npy", image)
    return folder


@pytest.fixture(scope="module")
def folders(inputs, tmp_path_factory):
    """The folders of finished runs, each made when it is first asked for."""
    out, made = tmp_path_factory.mktemp("runs"), {}

    def folder(name):
        if name not in made:
            made[name] = out / name
            words = [
                str(inputs / x) if (inputs / x).is_file() else x for x in COMMANDS[name]
            ]
            assert run([*words, "--out", str(made[name]), "--quiet"]) == 0
        return made[name]

    return folder


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=list(ARGUMENTS)
        )
        yield browser
        browser.close()


def wait_until(page, expression):
    """Playwright's own waiting evaluates text in the page, whose policy forbids it."""
    for _ in range(600):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"after 30 s not: {expression}")


@pytest.fixture
def opened(browser, tmp_path):
    """Open a report of some folders; nothing may be wrong when the test is over."""
    wrong, contexts = [], []

    def open_report(folders, width=1280, **options):
        path = tmp_path / "report.html"
        rr.write_report(folders, path)
        context = browser.new_context(
            offline=True, viewport={"width": width, "height": 900}, **options
        )
        contexts.append(context)
        page = context.new_page()
        page.on(
            "console",
            lambda said: wrong.append(said.text) if said.type == "error" else None,
        )
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("dialog", lambda dialog: wrong.append(dialog.message))
        page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("file:", "data:", "blob:"))
                else wrong.append(request.url)
            ),
        )
        page.goto(path.as_uri())
        wait_until(page, "window.Plotly !== undefined")
        for figure in page.query_selector_all("figure"):
            figure.scroll_into_view_if_needed()
        wait_until(
            page, "[...document.querySelectorAll('figure')].every(x => x.dataset.drawn)"
        )
        return page

    yield open_report
    for context in contexts:
        for page in context.pages:
            assert page.evaluate("window.broken") is None
        context.close()
    assert wrong == []


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("name", COMMANDS)
def test_figures_of_every_command_are_drawn(name, width, folders, opened):
    page = opened([folders(name)], width)
    assert len(page.query_selector_all("figure")) >= LEAST_FIGURES.get(name, 2)
    empty = "[...document.querySelectorAll('figure')].filter(x => !x.querySelector("
    empty += "'.main-svg .trace, .main-svg .hm image, .main-svg .im image')).length"
    assert page.evaluate(empty) == 0
    # Nothing is wider than the screen.
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def values(page, selector, expression):
    return page.eval_on_selector(selector, f"plot => {expression}")


def test_the_slider_of_a_staircase_moves_through_the_run(folders, opened):
    page = opened([folders("dynamics")])
    bars = ".staircase .plot:nth-child(2) .js-plotly-plot"
    last = values(page, bars, "plot.data[0].y")
    page.fill(".staircase input[type=range]", "0")
    first = values(page, bars, "plot.data[0].y")
    assert max(first) < 0.2 * max(last)
    trajectory = rr.trajectories.Trajectory.load(
        folders("dynamics") / "trajectory.nc"
    ).runs()[-1]
    ended = np.sort(trajectory.component_norms[-1])[::-1]
    np.testing.assert_allclose(np.sort(last)[::-1], ended[: len(last)], rtol=1e-5)


def test_no_button_sends_a_figure_elsewhere(folders, opened):
    page = opened([folders("rank")])
    titles = "[...document.querySelectorAll('.modebar-btn')].map(x => x.dataset.title)"
    assert "Zoom" in page.evaluate(titles)
    assert [x for x in page.evaluate(titles) if "hare" in x or "loud" in x] == []


def test_the_pointer_shows_labels_and_values(folders, opened):
    page = opened([folders("complete")])
    place = ".slices .plot:nth-child(2)"
    page.query_selector(place).scroll_into_view_if_needed()
    box = page.query_selector(f"{place} .hm image").bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.wait_for_selector(f"{place} .hovertext")
    said = page.text_content(f"{place} .hoverlayer")
    assert "completed: " in said
    assert "drug: d0" in said
    # The name of a mode is shown as it is, and is no part of the page.
    assert "</script><script>" in said


HEAT = "document.querySelector('.slices .plot:nth-child(2) .js-plotly-plot')"
FIBER = (
    "document.querySelector('.slices .plot.full .js-plotly-plot').data"
    ".find(x => x.name === 'completed')"
)


def test_a_slice_and_its_fiber_follow_slider_click_and_keys(folders, opened):
    page = opened([folders("complete")])
    heat = ".slices .plot:nth-child(2) .js-plotly-plot"
    page.fill(".slices .slider:not([style*=none]) input", "0")
    completed = rr.read_tensor(folders("complete") / "completed.csv")
    tensor = completed.observations.dense()
    np.testing.assert_allclose(
        values(page, heat, "plot.data[0].z"), tensor[:, :, 0], rtol=1e-6
    )
    page.query_selector(heat).scroll_into_view_if_needed()
    box = page.query_selector(f"{heat} .hm image").bounding_box()
    page.mouse.click(box["x"] + 5, box["y"] + 5)
    fiber = ".slices .plot.full .js-plotly-plot"
    wait_until(page, f"{FIBER}.y[0] === {HEAT}.data[0].z[0][0]")
    shown = values(page, fiber, "plot.data.find(x => x.name === 'completed').y")
    np.testing.assert_allclose(shown, tensor[0, 0, :], rtol=1e-6)
    page.focus(heat)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    wait_until(page, f"{FIBER}.y[0] === {HEAT}.data[0].z[1][1]")


def test_factors_are_maps_where_coordinates_are_on_the_globe(folders, opened):
    page = opened([folders("climate")])
    maps = "[...document.querySelectorAll('.factors .plot')].filter(x => "
    maps += "x.innerText.startsWith('map') && x.style.display !== 'none').length"
    count = page.evaluate(maps)
    assert count >= 1
    page.click(".factors .picks label:nth-of-type(1)")
    assert page.evaluate(maps) == count - 1
    page.select_option(".factors label:has-text('as') select", label="bars")
    assert page.evaluate(maps) == 0
    kinds = "[...document.querySelectorAll('.factors .js-plotly-plot')].flatMap("
    kinds += "x => (x.data || []).map(y => y.type)).filter(x => x === 'bar').length"
    page.click(".factors .picks label:nth-of-type(1)")
    assert page.evaluate(kinds) >= 3
    dates = values(page, ".factors .plot:nth-child(1) .js-plotly-plot", "plot.data[0]")
    assert dates["x"][0].startswith("2024-01-01")


def test_what_is_shown_is_saved_as_csv(folders, opened, tmp_path):
    page = opened([folders("complete")])
    with page.expect_download() as download:
        page.click(".slices button.csv")
    path = tmp_path / "slice.csv"
    download.value.save_as(path)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    tensor = rr.read_tensor(folders("complete") / "completed.csv").observations.dense()
    assert len(rows) == 6 * 7
    np.testing.assert_allclose(
        [float(row["completed"]) for row in rows], tensor[:, :, 2].ravel(), rtol=1e-6
    )
    assert rows[0]["drug"] == "d0"


def test_a_table_is_sorted_by_the_column_that_is_clicked(folders, opened):
    page = opened([folders("rank")])
    page.click("summary:has-text('Rank table')")
    header = "details[open] th:nth-child(2) button"
    cells = "[...document.querySelectorAll('details[open] td:nth-child(2)')]"
    cells += ".map(x => Number(x.dataset.value))"
    page.click(header)
    assert page.evaluate(cells) == sorted(page.evaluate(cells))
    page.click(header)
    assert page.evaluate(cells) == sorted(page.evaluate(cells), reverse=True)


def test_a_page_is_dark_where_the_system_is_and_can_be_changed(folders, opened):
    page = opened([folders("rank")], color_scheme="dark")
    ground = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(ground)
    page.click("#theme")
    light = page.evaluate(ground)
    assert sum(eval(dark.removeprefix("rgb"))) < 150
    assert sum(eval(light.removeprefix("rgb"))) > 600


@pytest.mark.parametrize("width", [1280, 390])
def test_several_runs_stand_beside_each_other(width, folders, opened):
    page = opened([folders("complete"), folders("dynamics"), folders("rank")], width)
    lefts = page.evaluate(
        "[...document.querySelectorAll('.run')].map(x => x.getBoundingClientRect().x)"
    )
    assert len(lefts) == 3
    assert (len(set(lefts)) > 1) == (width > 1000)
    assert page.query_selector("#beside table") is not None
    if pictures := os.environ.get("RANKRISE_PICTURES"):
        page.screenshot(path=Path(pictures) / f"beside-{width}.png", full_page=True)
