"""The report in headless Chromium: quiet, offline, sortable, legible on any screen.

Chromium is driven through the DevTools protocol over a pipe, which needs no package.
"""

import base64
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fmnist.compare import main as compare
from fmnist.report import main
from fmnist.runs.run import Run
from tests.conftest import CHECKOUT, without_png
from tests.reporting.test_report import put_sweep, trained

__all__ = ["trained"]  # a fixture

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--hide-scrollbars", "--remote-debugging-pipe",
)  # fmt: skip
# Chromium reads commands from descriptor 3 and writes to 4.
START = "import os, sys; r, w = map(int, sys.argv[1:3]); os.dup2(r, 13); os.dup2(w, 14); " \
    "os.dup2(13, 3); os.dup2(14, 4); os.execv(sys.argv[3], sys.argv[3:])"  # fmt: skip


class Chromium:
    """One page. Everything that the browser reports is kept in `events`."""

    def __init__(self, program: str, profile: str) -> None:
        read, self.commands = os.pipe()
        self.messages, write = os.pipe()
        arguments = [sys.executable, "-c", START, str(read), str(write), program, *FLAGS]
        self.process = subprocess.Popen(
            [*arguments, f"--user-data-dir={profile}", "about:blank"],
            pass_fds=(read, write), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(read)
        os.close(write)
        self.buffer, self.count, self.session = b"", 0, ""
        self.events: list[dict[str, Any]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self.count += 1
        message = {"id": self.count, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.commands, json.dumps(message).encode() + b"\0")
        while (answer := self.read()).get("id") != self.count:
            self.events.append(answer)
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    def read(self) -> dict[str, Any]:
        while b"\0" not in self.buffer:
            chunk = os.read(self.messages, 1 << 20)
            assert chunk, "Chromium ended"
            self.buffer += chunk
        message, _, self.buffer = self.buffer.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer

    def open(self, path: Path) -> None:
        self.events.clear()
        self.call("Page.navigate", url=path.as_uri())
        while not any(event["method"] == "Page.loadEventFired" for event in self.events):
            self.events.append(self.read())

    def evaluate(self, script: str) -> Any:
        answer = self.call("Runtime.evaluate", expression=script, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def screen(self, width: int, height: int, dark: bool = False) -> None:
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height,
                  deviceScaleFactor=1, mobile=width < 500)  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self) -> bytes:
        return base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.commands)
        os.close(self.messages)


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("Chromium is not here: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        chromium = Chromium(program, profile)
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def sweep_page(trained: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = put_sweep(trained, tmp_path_factory.mktemp("browser") / "study")
    with without_png():
        assert main([str(folder), "--no-latency"]) == 0
    return folder / "report" / "report.html"


@pytest.fixture(scope="module")
def pages(sweep_page: Path, trained: Run) -> list[Path]:
    """A sweep's report, a run's, and settings beside each other."""
    compared = sweep_page.with_name("compare.html")
    sides = [str(sweep_page.parents[1] / name) for name in ("c0", "c3", "c6")]
    assert compare([*sides, "--html", str(compared)]) == 0
    return [sweep_page, trained.dir / "report" / "report.html", compared]


def column(browser: Chromium, index: int) -> list[str]:
    """The texts of one column of the table of runs, top to bottom, without hidden rows."""
    script = (
        "[...document.querySelectorAll('#run-table tbody tr')].filter(r => !r.hidden)"
        f".map(r => r.cells[{index}].firstChild?.textContent.trim() ?? '')"
    )
    texts: list[str] = browser.evaluate(script)
    return texts


def test_no_error_no_request_and_a_script_in_a_name_does_nothing(
    browser: Chromium, pages: list[Path]
) -> None:
    for page in pages:
        browser.screen(1280, 900)
        browser.open(page)
        requests = [
            event["params"]["request"]["url"]
            for event in browser.events
            if event["method"] == "Network.requestWillBeSent"
        ]
        assert [url for url in requests if not url.startswith("data:")] == [page.as_uri()]
        bad = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        assert [event for event in browser.events if event["method"] in bad] == []
        kind = "compare" if page.stem == "compare" else "report"
        assert browser.evaluate("document.title").endswith(f"fmnist {kind}")


def test_columns_sort_as_numbers_both_ways_and_gaps_stay_last(
    browser: Chromium, sweep_page: Path
) -> None:
    browser.open(sweep_page)
    heads = browser.evaluate(
        "[...document.querySelectorAll('#run-table th')].map(th => th.textContent)"
    )
    index = heads.index("test accuracy (%)")
    click = f"document.querySelectorAll('#run-table th button')[{index}].click()"
    browser.evaluate(click)
    rising = [float(text) for text in column(browser, index) if text]
    assert len(rising) == 12
    assert rising == sorted(rising)
    assert rising[0] < rising[-1]
    assert column(browser, index)[12:] == [""] * 4
    browser.evaluate(click)
    assert [float(text) for text in column(browser, index)[:12]] == rising[::-1]
    assert column(browser, index)[12:] == [""] * 4


def test_the_filter_keeps_the_rows_with_all_words(browser: Chromium, sweep_page: Path) -> None:
    browser.open(sweep_page)
    browser.evaluate(
        "const input = document.querySelector('.filter input'); input.value = 'ADAM finished';"
        "input.dispatchEvent(new Event('input'))"
    )
    assert len(column(browser, 0)) == 6
    assert browser.evaluate("document.querySelector('.filter span').textContent") == "6 of 16"


@pytest.mark.parametrize("width", [360, 768, 1280])
def test_no_screen_has_to_be_moved_sideways(
    browser: Chromium, pages: list[Path], width: int
) -> None:
    for page in pages:
        browser.screen(width, 800)
        browser.open(page)
        assert browser.evaluate("document.documentElement.scrollWidth") <= width


def test_light_and_dark_have_contrast(browser: Chromium, trained: Run) -> None:
    levels = []
    for dark in (False, True):
        browser.screen(1280, 900, dark)
        browser.open(trained.dir / "report" / "report.html")
        image = Image.open(BytesIO(browser.screenshot())).convert("L")
        pixels = np.asarray(image)
        levels.append(np.median(pixels))
        assert not dark or (pixels > 235).mean() < 0.03  # no white boxes behind figures
        # Text and lines stand out from the ground in either.
        assert (np.abs(pixels - np.median(pixels)) > 100).mean() > 0.01
        ink = browser.evaluate("getComputedStyle(document.querySelector('figure svg text')).fill")
        assert (sum(map(int, ink[4:-1].split(","))) > 3 * 128) == dark
    assert levels[0] > 240
    assert levels[1] < 60


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe-core, which finds what keeps somebody from reading a page."""
    path = CHECKOUT / "node_modules/axe-core/axe.min.js"
    if not path.exists():
        pytest.skip("axe-core is not here: npm install --no-save axe-core")
    return path.read_text()


@pytest.mark.parametrize(
    "where",
    [
        "light",
        "dark",
        *(pytest.param(where, marks=pytest.mark.long) for where in ("phone", "print")),
    ],
)
def test_axe_finds_nothing_that_keeps_somebody_from_reading_it(
    browser: Chromium, axe: str, pages: list[Path], where: str
) -> None:
    run = (
        "axe.run().then(found => JSON.stringify(found.violations.map("
        "each => each.id + ': ' + each.nodes.map(node => node.target).join(', '))))"
    )
    for page in pages:
        browser.screen(390 if where == "phone" else 1400, 900, where == "dark")
        if where == "print":
            browser.call("Emulation.setEmulatedMedia", media="print")
        browser.open(page)
        browser.evaluate(axe)
        answer = browser.call(
            "Runtime.evaluate", expression=run, awaitPromise=True, returnByValue=True
        )
        browser.call("Emulation.setEmulatedMedia", media="")
        assert json.loads(answer["result"]["value"]) == []


def test_columns_are_sorted_and_tables_filtered_by_the_keyboard(
    browser: Chromium, sweep_page: Path
) -> None:
    browser.screen(1280, 900)
    browser.open(sweep_page)

    def press(key: str) -> None:
        for kind in ("keyDown", "keyUp"):
            browser.call("Input.dispatchKeyEvent", type=kind, key=key, code=key,
                         windowsVirtualKeyCode={"Enter": 13, "Tab": 9}[key],
                         text="\r" if key == "Enter" and kind == "keyDown" else "")  # fmt: skip

    browser.evaluate("document.querySelector('#run-table th button').focus()")
    press("Enter")
    assert browser.evaluate("document.querySelector('#run-table th').ariaSort") == "ascending"
    press("Tab")
    assert browser.evaluate("document.activeElement.parentElement.textContent") == "status"
    browser.evaluate("document.querySelector('#runs .filter input').focus()")
    browser.call("Input.insertText", text="failed")
    assert len(column(browser, 0)) == 1


def test_it_reads_without_javascript(browser: Chromium, sweep_page: Path) -> None:
    browser.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(sweep_page)
        document = browser.call("DOM.getDocument", depth=-1)["root"]["nodeId"]
        html = browser.call("DOM.getOuterHTML", nodeId=document)["outerHTML"]
    finally:
        browser.call("Emulation.setScriptExecutionDisabled", value=False)
    assert "<button" not in html  # nothing that would do nothing
    assert "<input" not in html
    assert html.count("<svg") >= 10
    assert "adam beats sgd" in html


def test_it_prints(browser: Chromium, trained: Run) -> None:
    browser.open(trained.dir / "report" / "report.html")
    pdf = base64.b64decode(browser.call("Page.printToPDF")["data"])
    assert pdf.startswith(b"%PDF")
    assert 3 <= pdf.count(b"/Type /Page\n") + pdf.count(b"/Type /Page/") <= 15
