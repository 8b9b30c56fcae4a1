"""Which browser there is, for the tests in one and for the pictures of the console."""

import os
import shutil
from contextlib import contextmanager

NAMES = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
FOUND = next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser():
    """Run the browser that was found."""
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox"] if os.geteuid() == 0 else []  # which root may not have
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=FOUND, args=options)
        yield running
        running.close()
