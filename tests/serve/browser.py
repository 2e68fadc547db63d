"""A headless Chromium that looks at a reading room, and what a test does with its page."""

import shutil
from contextlib import contextmanager

import numpy as np
import pytest

# WebGL without a graphics card, and no sandbox in a container that runs as root.
FLAGS = ("--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
FLAGS = (*FLAGS, "--ignore-gpu-blocklist", "--mute-audio", "--disable-dev-shm-usage")
# Drawing without a graphics card takes its time by the pixel.
SIZE = {"width": 1000, "height": 560}
# What must happen is waited for so long; how long it takes says something of the machine.
MILLISECONDS = 300_000
VIEW = "document.querySelector('.case').view"


@contextmanager
def chromium():
    """The browser; the test is skipped with its reason where it or its driver is not installed."""
    sync = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("Chromium is not installed")
    with sync.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=program, args=list(FLAGS), timeout=MILLISECONDS
        )
        yield browser
        browser.close()


class Page:
    """A tab at a reading room, which notes what it asks for and complains of.

    Attributes:
        tab: Playwright's page.
        requests: Every address that was asked for.
        complaints: Errors of the console and of scripts.
    """

    def __init__(self, browser, room, size=SIZE):
        self.room, self.requests, self.complaints = room, [], []
        self.tab = browser.new_page(viewport=size, accept_downloads=True)
        self.tab.set_default_timeout(MILLISECONDS)
        self.tab.on("request", lambda request: self.requests.append(request.url))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("console", self._note)

    def _note(self, message):
        if message.type in ("error", "warning") and "409" not in message.text:
            self.complaints.append(message.text)

    def log_in(self, token):
        self.tab.goto(f"{self.room.url}/#token={token}")
        self.tab.locator("tbody tr").first.wait_for()

    def open_case(self, name):
        self.tab.goto(f"{self.room.url}/#/case/{name}")
        self.wait_for_case(name)

    def wait_for_case(self, name):
        self.tab.locator("h1", has_text=name).wait_for()
        self.tab.locator(".case[data-ready]").wait_for()

    def js(self, script, argument=None):
        return self.tab.evaluate(script, argument)

    @property
    def drawing(self):
        """The mask that is drawn, in the order of its file."""
        shape = self.js(f"{VIEW}.viewer.grid.shape")
        voxels = self.js(f"Array.from({VIEW}.drawing.toFile())")
        return np.array(voxels, dtype=np.uint8).reshape(shape, order="F")

    def stroke(self, tool, *, by=(6, 4)):
        """Draw from the crosshair in the axial slice, a few pixels far."""
        self.tab.keyboard.press(tool)
        x, y = self.js(f"""() => {{
            const [x, y] = {VIEW}.viewer.whereIs({VIEW}.viewer.crosshair, 'axial');
            const box = {VIEW}.canvas.getBoundingClientRect();
            return [x + box.left, y + box.top];
        }}""")
        mouse = self.tab.mouse
        mouse.move(x, y)
        mouse.down()
        mouse.move(x + by[0], y + by[1])
        mouse.up()

    def leaves_this_machine(self):
        """Addresses that are not of the reading room."""
        own = (f"{self.room.url}/", "blob:", "data:")
        return [url for url in self.requests if not url.startswith(own)]
