"""Two notebooks in JupyterLab itself, as a reader sees them: run all cells, see the figures, meet no error.

Needs Debian's chromium; without it, it is skipped:

    apt-get install chromium
    python -m pytest -n 0 tests/test_browser.py

XAI_SCREENSHOTS names a folder for a picture of each page.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make environment")
CHROMIUM = shutil.which("chromium") or "/usr/bin/chromium"
ROOT = Path(__file__).resolve().parent.parent
START = "/lab/tree/README.md?file-browser-path=/notebooks"  # as tools/__main__.py has it
PAGES = ("06_integrated_gradients", "05_cam_gradcam")
MINUTES = 10  # at most, for one page
EVERYTHING_SHOWN = '{"windowingMode": "none"}'  # JupyterLab otherwise draws only the cells in sight
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(CHROMIUM).exists(), reason="chromium is not installed: apt-get install chromium"),
]
# in place of a source that is hidden stands a line whose prompt is empty
DONE = """() => {
    const there = document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputPrompt:not(.jp-Placeholder-prompt)');
    const prompts = [...there].map(prompt => prompt.innerText);
    return prompts.length > 0 && prompts.every(text => /\\[\\d+\\]/.test(text));
}"""
READY = "() => document.body.innerText.includes('Python 3 (ipykernel) | Idle')"  # the line at the foot of the window
STARTED = """() => [...document.querySelectorAll('.jp-Notebook .jp-CodeCell .jp-InputPrompt')].some(
    prompt => /\\[(\\*|\\d+)\\]/.test(prompt.innerText))"""
ERRORS = "() => [...document.querySelectorAll('[data-mime-type*=error]')].map(output => output.innerText)"
PICTURES = """() => [...document.querySelectorAll('.jp-OutputArea-output img')].map(
    picture => [picture.naturalWidth, picture.alt])"""


def stored(name):
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def figures(notebook):
    """The texts of the stored figures, in order."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", []) if "data" in output]
    kinds = [(output, kind) for output in outputs for kind in ("image/png", "image/jpeg") if kind in output.data]
    return [output.metadata.get(kind, {}).get("alt") for output, kind in kinds]


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A copy of the course whose two notebooks have no outputs."""
    folder = tmp_path_factory.mktemp("lab") / "course"
    (folder / "notebooks").mkdir(parents=True)
    (folder / "data").mkdir()
    for name in ("heatproof", "models", "results", "report/figures"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (*ROOT.glob("*_utils.py"), ROOT / "pyproject.toml", ROOT / "README.md", ROOT / "data/MNIST1D.pkl"):
        shutil.copy(path, folder / path.relative_to(ROOT))
    for name in PAGES:
        page = stored(name)
        for cell in page.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        nbformat.write(page, folder / "notebooks" / f"{name}.ipynb")
    return folder


@pytest.fixture(scope="module")
def address(course):
    """The address of a JupyterLab of its own, with the settings that `make lab` gives it."""
    settings = course.parent / "settings" / "@jupyterlab" / "notebook-extension"
    settings.mkdir(parents=True)
    (settings / "tracker.jupyterlab-settings").write_text(EVERYTHING_SHOWN)
    own = ("CONFIG_DIR", "RUNTIME_DIR", "DATA_DIR")
    environ = {**os.environ, **{f"JUPYTER_{name}": str(course.parent / name) for name in own}}
    environ |= {"JUPYTERLAB_SETTINGS_DIR": str(course.parent / "settings"), "XAI_PROGRESS": "0"}
    environ |= {"JUPYTER_CONFIG_PATH": str(ROOT / "tools" / "lab")}
    environ.pop("MPLBACKEND", None)
    options = ["--no-browser", "--allow-root", "--port=0", "--ServerApp.port_retries=0", "--LabApp.news_url="]
    options += [f"--ServerApp.root_dir={course}", "--IdentityProvider.token=", "--ServerApp.password="]
    log = course.parent / "log.txt"
    with open(log, "wb") as out:
        server = subprocess.Popen(
            [sys.executable, "-m", "jupyterlab", *options], cwd=course, env=environ, stdout=out, stderr=out
        )
    try:
        for _ in range(240):
            found = re.search(r"http://(?:localhost|127\.0\.0\.1):[1-9]\d*/", log.read_text(errors="replace"))
            if found or server.poll() is not None:
                break
            time.sleep(0.5)
        assert found and server.poll() is None, log.read_text(errors="replace")[-2000:]
        yield found[0]
    finally:
        server.terminate()
        server.wait(60)


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as play:
        window = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield window
        window.close()


def run_all_cells(page):
    """Choose it in the menu; again, should the kernel not have been ready to listen."""
    page.wait_for_function(READY)
    for _ in range(5):
        page.locator(".lm-MenuBar-itemLabel", has_text=re.compile("^Run$")).click()
        page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Run All Cells$")).click()
        with contextlib.suppress(playwright.TimeoutError):
            page.wait_for_function(STARTED, timeout=20_000)
            return
    pytest.fail("JupyterLab did not start to run the cells")


def test_the_start_page_is_read_beside_the_list_of_the_chapters(address, browser):
    """At the address that `make lab` opens: README.md as a page, and in the list no plumbing."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(120_000)
    page.goto(f"{address.rstrip('/')}{START}")
    page.wait_for_selector(".jp-RenderedMarkdown h1")
    assert page.locator(".jp-RenderedMarkdown h1").first.inner_text().startswith("What a convolutional network sees")
    names = page.locator(".jp-DirListing-itemName")
    page.wait_for_function("() => document.querySelectorAll('.jp-DirListing-itemName').length > 0")
    assert names.all_inner_texts() == [f"{name}.ipynb" for name in sorted(PAGES)]
    page.locator(".jp-BreadCrumbs-home").click()
    page.wait_for_function("() => document.body.querySelector('.jp-DirListing-content').innerText.includes('models')")
    assert names.all_inner_texts() == ["data", "models", "notebooks", "report", "README.md"]
    if os.environ.get("XAI_SCREENSHOTS"):
        page.screenshot(path=Path(os.environ["XAI_SCREENSHOTS"]) / "start.png")
    page.close()


@pytest.mark.parametrize("name", PAGES)
def test_a_notebook_runs_in_jupyterlab_and_shows_its_figures_without_an_error(name, course, address, browser):
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(120_000)
    page.goto(f"{address}lab/tree/notebooks/{name}.ipynb?reset")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    run_all_cells(page)
    page.wait_for_function(DONE, timeout=MINUTES * 60_000)
    wanted = figures(stored(name))
    page.wait_for_function(f"() => ({PICTURES})().length >= {len(wanted)}", timeout=60_000)
    shown = page.evaluate(PICTURES)
    if os.environ.get("XAI_SCREENSHOTS"):
        page.locator(".jp-OutputArea-output img").nth(len(shown) // 2).scroll_into_view_if_needed()
        page.screenshot(path=Path(os.environ["XAI_SCREENSHOTS"]) / f"{name}.png")
    assert page.evaluate(ERRORS) == []
    assert len(shown) >= len(wanted) >= 3
    assert all(width > 100 for width, _ in shown)
    page.keyboard.press("Control+s")
    path = course / "notebooks" / f"{name}.ipynb"
    for _ in range(60):
        saved = nbformat.read(path, as_version=4)
        if len(figures(saved)) == len(wanted):
            break
        time.sleep(0.5)
    assert figures(saved) == wanted
    page.close()
