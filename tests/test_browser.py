"""Notebook 08 in JupyterLab, in a real browser, used as a student would use it."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytest.importorskip("jupyterlab", reason="jupyterlab is not installed")

ROOT = Path(__file__).parents[1]
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
SCREENSHOTS = ROOT / "runs" / "browser"
NASTY = "<img src=x onerror=alert(1)>"
TOKEN = "a-token-for-this-test"
MINUTES = 60_000  # milliseconds
# every text in sight within outputs: how much lighter or darker it is than what is behind it (WCAG)
CONTRASTS = """() => {
  const numbers = (text) => {
    const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
  const behind = (element) => {
    if (!element) return [255, 255, 255];
    const own = numbers(getComputedStyle(element).backgroundColor);
    return own[3] === 1 ? own : over(own, behind(element.parentElement));
  };
  const light = (colour) => {
    const [r, g, b] = colour.map(x => x / 255).map(
      x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const found = [];
  for (const output of document.querySelectorAll(".jp-OutputArea-output")) {
    const walker = document.createTreeWalker(output, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
      const element = walker.currentNode.parentElement;
      if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
      if (["STYLE", "OPTION", "SCRIPT"].includes(element.tagName)) continue;
      const below = behind(element);
      const above = over(numbers(getComputedStyle(element).color), below);
      const [dark, bright] = [light(above), light(below)].sort((a, b) => a - b);
      found.push([(bright + 0.05) / (dark + 0.05), walker.currentNode.data.trim().slice(0, 40)]);
    }
  }
  return found;
}"""

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on this machine")


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """JupyterLab over a copy of notebook 08, so that autosaving changes nothing of ours."""
    root = tmp_path_factory.mktemp("lab")
    (root / "notebooks").mkdir()
    [notebook] = (ROOT / "notebooks").glob("08_*.ipynb")
    shutil.copy(notebook, root / "notebooks")
    (root / "runs").mkdir()
    (ROOT / "runs" / "notebooks").mkdir(parents=True, exist_ok=True)
    (root / "runs" / "notebooks").symlink_to(ROOT / "runs" / "notebooks")  # trained once
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = root / "s" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    news = settings / "notification.jupyterlab-settings"
    news.write_text('{"fetchNews": "false"}')  # it would ask, and lie over the page
    home = {"JUPYTER_CONFIG_DIR": str(root / "config"), "JUPYTERLAB_SETTINGS_DIR": str(root / "s")}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += [f"--ServerApp.port={port}", f"--IdentityProvider.token={TOKEN}"]
    with (root / "server.log").open("w") as log:
        server = subprocess.Popen(
            command, cwd=root / "notebooks", stdout=log, stderr=log, env={**os.environ, **home}
        )
        address = f"http://127.0.0.1:{port}"
        _wait_for(f"{address}/api/status?token={TOKEN}", root / "server.log")
        yield f"{address}/lab/tree/{notebook.name}?token={TOKEN}"
        server.terminate()
        server.wait(30)


def _wait_for(url: str, log: Path) -> None:
    for _ in range(120):
        try:
            with urllib.request.urlopen(url) as answer:
                json.load(answer)
                return
        except OSError:
            time.sleep(0.5)
    raise AssertionError("JupyterLab does not start:\n" + log.read_text()[-2000:])


@pytest.fixture(scope="module")
def page(lab):
    """The notebook, opened and run from top to bottom; `page.dialogs` holds what popped up."""
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1366, "height": 768})
        page.dialogs = []
        page.on("dialog", lambda dialog: (page.dialogs.append(dialog.message), dialog.dismiss()))
        page.goto(lab, timeout=2 * MINUTES)
        page.get_by_text("| Idle").wait_for(timeout=2 * MINUTES)  # the kernel is there
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_text("Run All Cells", exact=True).click()
        page.get_by_text("| Busy").wait_for(timeout=MINUTES)
        page.get_by_text("| Idle").wait_for(timeout=5 * MINUTES)
        find_explorer(page)
        yield page
        browser.close()


def find_explorer(page) -> None:
    """Scroll until the explorer is there: JupyterLab renders what can be seen."""
    explorer = page.locator(".widget-dropdown").first
    for step in range(400):  # cells may still be running: down, and from the top again
        if explorer.count() and explorer.is_visible():
            explorer.scroll_into_view_if_needed()
            page.get_by_text("| Idle").wait_for(timeout=5 * MINUTES)
            return
        failed = page.locator("[data-mime-type='application/vnd.jupyter.error']")
        assert not failed.count(), failed.first.inner_text()
        page.locator(".jp-WindowedPanel-outer").first.hover()
        page.mouse.wheel(0, 600 if step % 40 < 39 else -60_000)
        page.wait_for_timeout(500)
    keep(page, "no-explorer")
    raise AssertionError("no explorer in the notebook; see runs/browser/no-explorer.png")


def text_of(page) -> str:
    """What the explorer says, history and picture and ranking."""
    return page.locator(".jp-OutputArea-output:has(.widget-dropdown)").inner_text()


def until(page, act, expected: str = "") -> str:
    """Do something, and wait until the explorer shows something else that holds `expected`."""
    before = text_of(page)
    act()
    for _ in range(200):
        page.wait_for_timeout(100)
        if text_of(page) != before and expected in text_of(page):
            page.wait_for_timeout(500)  # all of it
            return text_of(page)
    raise AssertionError(f"{expected!r} did not come:\n{text_of(page)}")


def keep(page, name: str) -> None:
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def test_the_notebook_ran_without_an_error(page):
    assert page.locator("[data-mime-type='application/vnd.jupyter.error']").count() == 0
    assert page.locator("[data-mime-type='application/vnd.jupyter.stderr']").count() == 0
    keep(page, "explorer")


def test_another_user_changes_what_is_shown(page):
    user = page.locator(".widget-dropdown select").first
    names = user.locator("option").all_inner_texts()
    text = until(page, lambda: user.select_option(index=len(names) - 1), "of the history")
    assert "%" in text
    assert page.locator(".jp-OutputArea-output:has(.widget-dropdown) img").count() >= 2


def test_the_next_photo_has_one_more_in_its_history(page):
    def length(text: str) -> int:
        return int(text.split(" photos of the history")[0].rsplit(" ", 1)[1])

    before = length(text_of(page))
    text = until(page, page.get_by_role("button", name="next ▶").click)
    assert length(text) == before + 1
    text = until(page, page.get_by_role("button", name="◀ before").click)
    assert length(text) == before


def test_somebody_elses_eyes_change_the_ranking(page):
    reader = page.locator(".widget-dropdown select").nth(1)
    nobody = until(page, lambda: reader.select_option(index=1), "no history")
    owner = until(page, lambda: reader.select_option(index=0), "of the history")
    assert nobody.split("hashtags")[-1] != owner.split("hashtags")[-1]


def test_an_added_hashtag_gets_a_rank(page):
    def add() -> None:
        field = page.get_by_placeholder("any word, then Enter")
        field.fill("watermelon sugar")
        field.press("Enter")

    until(page, add, "added: watermelon sugar, rank")
    keep(page, "explorer-hashtag")


def test_a_hashtag_that_is_markup_is_shown_as_text(page):
    def add() -> None:
        field = page.get_by_placeholder("any word, then Enter")
        field.fill(NASTY)
        field.press("Enter")

    until(page, add, f"added: {NASTY}, rank")
    assert page.dialogs == []
    assert page.locator("img[src='x']").count() == 0


def test_a_picture_of_ones_own_is_read_and_given_back(page, tmp_path):
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (200, 200), "white")
    ImageDraw.Draw(image).ellipse((30, 30, 170, 170), fill="red")
    image.save(tmp_path / "ball.png")

    def upload(path: Path) -> None:
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="a picture of your own").click()
        chooser.value.set_files(path)

    until(page, lambda: upload(tmp_path / "ball.png"), "your own picture")
    keep(page, "explorer-upload")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    text = until(page, lambda: upload(tmp_path / "broken.png"), "not a picture")
    assert "posted with" in text  # it goes on with the user's photo
    until(page, lambda: upload(tmp_path / "ball.png"), "your own picture")
    back = page.get_by_role("button", name="back to the photos")
    assert "not a picture" not in until(page, back.click, "posted with")


@pytest.mark.parametrize("theme", ["JupyterLab Dark", "JupyterLab Light"])
def test_every_word_can_be_read_in_both_themes(page, theme):
    """4.5 is what WCAG asks of text (AA)."""
    page.get_by_role("menuitem", name="Settings", exact=True).click()
    page.get_by_text("Theme", exact=True).first.hover()
    page.get_by_role("menuitem", name=theme, exact=True).click()
    light = str(theme.endswith("Light")).lower()
    page.locator(f"body[data-jp-theme-light='{light}']").wait_for(state="attached")
    page.locator(".widget-dropdown").first.scroll_into_view_if_needed()
    page.wait_for_timeout(1000)
    contrasts = page.evaluate(CONTRASTS)
    keep(page, f"explorer-{theme.split()[1].lower()}")
    texts = " ".join(text for _, text in contrasts)
    assert "of the history" in texts and "%" in texts and "#" in texts
    assert [(round(c, 1), text) for c, text in contrasts if c < 4.5] == []


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_every_word_that_a_notebook_puts_out_can_be_read_in_both_themes(page, theme, tmp_path):
    """What is committed, as pages with the colours of JupyterLab's themes."""
    nbformat = pytest.importorskip("nbformat")
    exporter = pytest.importorskip("nbconvert").HTMLExporter(theme=theme, embed_images=True)
    other = page.context.browser.new_page(viewport={"width": 1366, "height": 768})
    for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")):
        body, _ = exporter.from_notebook_node(nbformat.read(path, as_version=4))
        html = tmp_path / f"{path.stem}.html"
        html.write_text(body, encoding="utf-8")
        other.goto(html.as_uri())
        contrasts = other.evaluate(CONTRASTS)
        assert len(contrasts) > 10, path.stem
        words = [(c, text) for c, text in contrasts if text != "●"]  # the dots of a legend
        faint = [(round(c, 1), text) for c, text in words if c < 4.5]
        assert faint == [], f"{path.stem}, {theme}"
    other.close()
