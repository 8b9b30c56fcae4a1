"""The console's key, which only the student's own user can read, and the way in with it.

Any web page in the browser, and any other user of the machine, reaches a port of the loopback. The
key comes with the address that `up` and `console` print; the browser then keeps it in a cookie. A
cookie knows no ports: another program of this machine sees it if the student opens a page of that
program. As with Jupyter, that is accepted.
"""

from __future__ import annotations

import contextlib
import html
import secrets
import webbrowser

from sandbox import Mistake
from sandbox.account.emulator import endpoint
from sandbox.builds.records import Build
from sandbox.laptop.files import write
from sandbox.laptop.paths import ACCOUNT

FILE = ACCOUNT / "console.key"
DOOR = ACCOUNT / "console.html"
# What a form of ours sends along: another origin's page cannot read it, and so cannot send it.
TOKEN = secrets.token_urlsafe(18)


def key() -> str:
    """Return the key; one that is not there, or is broken, is made anew."""
    with contextlib.suppress(OSError, ValueError):
        if len(found := FILE.read_text(encoding="ascii")) == len(TOKEN):
            return found
    made = secrets.token_urlsafe(18)
    write(FILE, made, 0o600)
    return made


def is_same(given: str, wanted: str) -> bool:
    """Tell whether somebody has given the key, or the token, that is wanted."""
    return secrets.compare_digest(given.encode(errors="replace"), wanted.encode())


def page(build: Build) -> str:
    """Return the address of a build's page, or nothing if the account does not run."""
    with contextlib.suppress(Mistake):
        return f"{endpoint()}/console/builds/{build.number}"
    return ""


def address() -> str:
    """Return the console's address for a browser that has never been there.

    Raises Mistake if the account does not run.
    """
    return f"{endpoint()}/console/?key={key()}"


def show() -> None:
    """Print the console's address, and open it where there is a browser.

    Raises Mistake if the account does not run.
    """
    print(way := address(), flush=True)
    # The address is no word of a command line, where others of this machine could read the key.
    leads = f'<!doctype html><meta http-equiv="refresh" content="0;url={html.escape(way)}">'
    write(DOOR, leads, 0o600)
    with contextlib.suppress(webbrowser.Error, OSError):
        webbrowser.open(DOOR.as_uri())
