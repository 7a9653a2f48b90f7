"""The toolbox in a browser: what a page computes is what Python computes, and a reader can use it.

Needs Debian's chromium and TensorFlow.js, which `make toolbox` fetches; without them it is skipped and says so:

    apt-get install chromium
    make toolbox
    python -m pytest -n 0 tests/test_toolbox_pages.py

XAI_SCREENSHOTS names a folder for a picture of each page.
"""

import os
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

import xai_utils as xu
from heatproof.data.phantom_faces import NUISANCES
from tools.toolbox import building, library, networks
from tools.toolbox.data import save
from tools.toolbox.sources import network

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make environment")
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
BUNDLED = building.CACHE / f"tf-{library.VERSION}.min.js"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="chromium is not installed: apt-get install chromium"),
    pytest.mark.skipif(not BUNDLED.is_file(), reason="TensorFlow.js is not there: make toolbox fetches it"),
]
SETTLED = "() => live.settled && live.settled === live.changes"
READY = "() => live.refresh && live.prediction && live.maps && live.maps['grad-cam']"
MAPS = """async ([label, layer, windows]) => {
    const {net} = live, x = live.pixels;
    const occlusion = await net.occlusion(x, label, windows || net.patch());
    const maps = {saliency: net.saliency(x, label), cam: net.gradCam(x, label), inner: net.gradCam(x, label, layer)};
    const lists = Object.entries({...maps, occlusion, x}).map(([name, values]) => [name, [...values]]);
    const {probabilities} = net.predict(x);
    const units = net.activations(x).map(({name, shape, values}) => [name, {shape, values: [...values]}]);
    return {...Object.fromEntries(lists), probabilities: [...probabilities], units: Object.fromEntries(units)};
}"""


def tiny():
    """Strides, windows that leave a rest, both kinds of pooling, and equal largest values side by side."""
    keras.utils.set_random_seed(1)
    L = keras.layers
    layers = [
        L.Conv2D(4, (3, 2), strides=(2, 1), padding="same", activation="relu", name="conv", use_bias=False),
        L.MaxPooling2D((2, 3), name="largest"),
        L.Conv2D(5, 2, padding="valid", name="linear"),
        L.AveragePooling2D((1, 2), name="mean"),
        L.Flatten(),
        L.Dense(6, activation="relu"),
        L.Dense(3, activation="softmax"),
    ]
    model = keras.Sequential([keras.Input((17, 14, 2)), *layers])
    model.input_range, model.class_names = (-1.0, 1.0), ("a", "b", "c")
    return model


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A small toolbox: three networks run, two layers are listed."""
    folder, cache = tmp_path_factory.mktemp("toolbox") / "site", tmp_path_factory.mktemp("cache")
    shutil.copy(BUNDLED, cache)
    layers = {"schematic_faces": {"conv3": 6}, "mnist1d_gap": {"conv1": None}}
    live = ("schematic_faces", "mnist1d", "mnist1d_gap")
    building.build(folder, cache, live, tuple(layers), layers)
    save(folder, "networks/tiny", networks.exported(tiny()))
    return folder


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as play:
        window = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield window
        window.close()


class Watched:
    """A page, what it asked for, and what it complained of."""

    def __init__(self, browser, site, address):
        self.page = browser.new_page(viewport={"width": 1280, "height": 900})
        self.page.set_default_timeout(60_000)
        self.asked, self.wrong = [], []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("console", lambda said: self.wrong.append(said.text) if said.type == "error" else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.goto(f"{site.as_uri()}/{address}")


@pytest.fixture
def opened(browser, site):
    """(address, ...) -> the page; at its end nothing was asked for from elsewhere and nothing went wrong."""
    made = []

    def open_page(address):
        made.append(Watched(browser, site, address))
        return made[-1].page

    yield open_page
    for each in made:
        strangers = [url for url in each.asked if not url.startswith((site.as_uri(), "data:", "blob:"))]
        each.page.close()
        assert (strangers, each.wrong) == ([], [])


def live(opened, name):
    page = opened(f"live.html?backend=cpu#{name}")
    page.wait_for_function(READY)
    return page


def close(given, expected, relative):
    """Equal to a share of the largest value, which is not 0."""
    expected = np.asarray(expected).reshape(-1)
    assert np.abs(expected).max() > 0
    np.testing.assert_allclose(given, expected, atol=relative * np.abs(expected).max(), rtol=0)


def compare(page, model, label, inner, windows):
    """All that the page says of its input is what Python says of it."""
    said = page.evaluate(MAPS, [label, inner, windows and {"patch": windows[0], "stride": windows[1]}])
    x = np.array(said["x"], np.float32).reshape(1, *model.input_shape[1:])
    np.testing.assert_allclose(said["probabilities"], model.predict(x, verbose=0)[0], atol=1e-5)
    for layer in model.layers[:-1]:
        if layer.name in said["units"]:
            close(said["units"][layer.name]["values"], xu.activations(model, x, layer.name), 1e-5)
    close(said["saliency"], xu.saliency(model, x, [label]).sum(-1), 1e-4)
    close(said["cam"], xu.grad_cam(model, x, [label]), 1e-4)
    close(said["inner"], xu.grad_cam(model, x, [label], layer=inner), 1e-4)
    options = {} if windows is None else dict(zip(("patch", "stride"), windows, strict=True))
    close(said["occlusion"], xu.occlusion(model, x, [label], **options), 1e-4)


@pytest.mark.parametrize("name", ["mnist1d", "mnist1d_gap", "schematic_faces"])
def test_prediction_and_maps_are_those_of_python(name, opened):
    windows = ([16, 12], [16, 12]) if name == "schematic_faces" else None
    page, model = live(opened, name), network(name)
    compare(page, model, 3, "conv2", windows)
    if name != "schematic_faces":  # without a graphics card a pass takes its time
        compare(page, model, 0, "conv1", windows)


def test_every_kind_of_layer_is_that_of_python(opened):
    page = live(opened, "mnist1d")
    page.wait_for_function(SETTLED)  # no map of the network before is on its way
    x = np.random.default_rng(3).integers(-1, 2, (17, 14, 2)).astype(np.float32)  # many equal values
    x[4:10, 3:12] = 0
    page.evaluate(
        """async (x) => {
            Object.assign(live, {net: new Network(await toolbox.load('networks/tiny')), pixels: Float32Array.from(x)});
        }""",
        x.reshape(-1).tolist(),
    )
    for label, inner in ((0, "conv"), (1, "largest"), (2, "mean")):
        compare(page, tiny(), label, inner, ([5, 4], [3, 2]))


def test_a_face_of_the_page_is_that_of_the_generator(opened):
    page = live(opened, "schematic_faces")
    random = np.random.default_rng(0)
    for item in range(15):
        fixed = {
            name: int(random.integers(low, high + 1)) if isinstance(low, int) else float(random.uniform(low, high))
            for name, (low, high, _) in NUISANCES.items()
        } | {"hair": item % 5, "pattern": item % 3, "glasses": 2 * (item % 2)}
        label, is_marked = item % 7, item % 4 == 1
        drawn = xu.schematic_faces(1, labels=[label], fixed=fixed, confounded=1.0 if is_marked else None).images
        given = [label, fixed, label if is_marked else -1]
        pixels = page.evaluate("([label, set, mark]) => [...Face.draw(live.faces, label, set, mark)]", given)
        np.testing.assert_allclose(pixels, drawn.reshape(-1), atol=1e-6)


def score(page):
    """The page's probability of the class that it explains, and its input."""
    return page.evaluate("() => [live.prediction.probabilities[live.target], [...live.pixels]]")


def wait_for_another(page, pixels):
    page.wait_for_function("(before) => live.pixels.some((value, at) => value !== before[at])", arg=pixels)
    page.wait_for_function("() => !Object.keys(live.maps).length || live.maps.saliency")


def test_a_slider_moves_the_face_and_the_prediction(opened):
    page = live(opened, "schematic_faces")
    before, pixels = score(page)
    page.locator("input[name=strength]").focus()
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    wait_for_another(page, pixels)
    page.wait_for_function("(before) => live.prediction.probabilities[live.target] !== before", arg=before)
    after, pixels = score(page)
    model = network("schematic_faces")
    assert after == pytest.approx(model.predict(np.reshape(pixels, (1, 48, 48, 1)), verbose=0)[0].max(), abs=1e-5)
    assert after != pytest.approx(before, abs=1e-4)


def test_covering_the_mouth_with_the_mouse_lowers_the_score(opened):
    page = live(opened, "schematic_faces")
    before, pixels = score(page)
    box = page.locator("#picture").bounding_box()

    def at(column, row):
        return box["x"] + box["width"] * (column + 0.5) / 48, box["y"] + box["height"] * (row + 0.5) / 48

    page.mouse.move(*at(16, 35))
    page.mouse.down()
    page.mouse.move(*at(31, 35), steps=6)
    page.mouse.up()
    page.wait_for_function("(before) => live.prediction.probabilities[3] < before / 2", arg=before)
    covered = np.reshape(score(page)[1], (48, 48))
    assert (covered[33:38, 15:32] == 0.5).all() and not (covered[:30] == 0.5).any()
    assert np.array_equal(covered[:30].reshape(-1), pixels[: 30 * 48])
    assert "with nothing covered" in page.locator("#fall").inner_text()
    page.locator("#uncover").click()
    page.wait_for_function("(before) => live.prediction.probabilities[3] === before", arg=before)
    assert score(page)[1] == pixels


def test_keys_cover_and_bend(opened):
    page = live(opened, "mnist1d")
    before = score(page)[1]
    page.locator("#picture").focus()
    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "ArrowRight", " "):
        page.keyboard.press(key)
    page.wait_for_function(SETTLED)
    after = np.array(score(page)[1])
    assert after[2] == pytest.approx(before[2] + 12 / 60, abs=1e-6) and after[3] == 0
    assert np.array_equal(np.delete(after, [2, 3]), np.delete(before, [2, 3]))


def test_a_picture_of_the_readers_becomes_the_input(opened, tmp_path):
    page = live(opened, "schematic_faces")
    grey = np.random.default_rng(0).integers(0, 256, (48, 48), dtype=np.uint8)
    Image.fromarray(grey).save(tmp_path / "mine.png")
    before = score(page)[1]
    page.locator("#file").set_input_files(tmp_path / "mine.png")
    wait_for_another(page, before)
    np.testing.assert_allclose(score(page)[1], grey.reshape(-1) / 255, atol=1e-6)
    (tmp_path / "no.png").write_text("no picture")
    page.locator("#file").set_input_files(tmp_path / "no.png")
    page.wait_for_function("() => document.getElementById('state').textContent.startsWith('no.png is no picture')")


def test_the_unit_of_the_mouth_is_found_with_the_keyboard_alone(opened):
    page = opened("browse.html")
    page.wait_for_selector("#cards a")
    page.keyboard.press("/")
    page.keyboard.type("mouth")
    page.wait_for_function("() => document.querySelectorAll('#cards a').length <= 6")
    assert "mouth" in page.locator("#cards a").first.inner_text()
    assert "q=mouth" in page.url
    page.locator("#cards a").first.focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("#unit h1")
    assert "mouth (part): IoU 0." in page.locator("#unit").inner_text()
    first = page.url
    page.keyboard.press("ArrowRight")
    page.wait_for_function("(first) => location.href !== first", arg=first)
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("(first) => location.href === first", arg=first)


def test_an_address_that_leads_nowhere_says_so(opened):
    page = opened("browse.html#faces/conv9/1")
    page.wait_for_function("() => document.getElementById('count').textContent.includes('no unit faces/conv9/1')")


NAMELESS = """() => [...document.querySelectorAll('img:not([alt]), img[alt=""], canvas:not([aria-label])')].map(
    each => each.outerHTML).concat([...document.querySelectorAll('svg')].filter(
    each => !each.querySelector('title')?.textContent).map(each => each.outerHTML))"""
BROKEN = "() => [...document.images].filter(each => each.complete && !each.naturalWidth).map(each => each.src)"
UNLABELLED = "() => [...document.querySelectorAll('select, input')].filter(each => !each.labels.length).length"


def addresses(site):
    unit = sorted((site / "units/schematic_faces/conv3").glob("*-made.webp"))[0].name.removesuffix("-made.webp")
    return {
        "index": "index.html",
        "browse": "browse.html",
        "unit": f"browse.html#schematic_faces/conv3/{unit}",
        "signal": "browse.html#mnist1d_gap/conv1/4",
        "live": "live.html?backend=cpu#mnist1d",
        "drawn": "live.html?backend=cpu#schematic_faces",
    }


@pytest.mark.parametrize("name", ["index", "browse", "unit", "signal", "live", "drawn"])
def test_a_page_fits_its_window_and_every_picture_has_a_text(name, site, opened):
    page = opened(addresses(site)[name])
    wanted = {"index": "#credits li", "browse": "#cards a", "unit": "#unit .strip img", "signal": "#unit svg"}
    page.wait_for_selector(wanted[name]) if name in wanted else page.wait_for_function(READY)
    for width, scheme in ((1280, "light"), (390, "dark")):
        page.set_viewport_size({"width": width, "height": 900})
        page.emulate_media(color_scheme=scheme)
        if os.environ.get("XAI_SCREENSHOTS"):
            page.screenshot(path=Path(os.environ["XAI_SCREENSHOTS"]) / f"toolbox-{name}-{width}.png", full_page=True)
        assert page.evaluate("() => document.documentElement.scrollWidth") <= width
        assert (page.evaluate(NAMELESS), page.evaluate(BROKEN), page.evaluate(UNLABELLED)) == ([], [], 0)
        ground = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
        assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 26)"}[scheme]
    page.locator("#theme").click()
    assert page.evaluate("() => getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_without_tensorflow_js_the_page_says_what_is_missing(browser, tmp_path):
    for page in building.PAGES.iterdir():
        shutil.copy(page, tmp_path)
    save(tmp_path, "live", {"missing": "npm is not installed", "networks": [], "browse": []})
    save(tmp_path, "colours", {})
    save(tmp_path, "faces", {})
    watched = Watched(browser, tmp_path, "live.html")
    watched.page.wait_for_function(
        "() => document.getElementById('state').textContent.includes('npm is not installed')"
    )
    assert watched.wrong == []
    watched.page.close()
