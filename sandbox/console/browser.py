"""The way from a terminal to the console: addresses, and the student's browser."""

from __future__ import annotations

import contextlib
import webbrowser

from sandbox import Mistake
from sandbox.builds.records import Build
from sandbox.console import key


def page(build: Build) -> str:
    """Return the address of a build's page, or nothing if the account does not run."""
    with contextlib.suppress(Mistake):
        return key.address(f"/builds/{build.number}")
    return ""


def show() -> None:
    """Print the console's address, and open it where there is a browser.

    Raises Mistake if the account does not run.
    """
    print(key.address_with_key(), flush=True)
    # The address is no word of a command line, where others of this machine could read the key.
    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(key.door().as_uri())
