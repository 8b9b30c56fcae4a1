"""Who may look at the console: whoever has its key, which only the student's own user can read.

Any web page in the browser, and any other user of the machine, reaches a port of the loopback. The
key comes with the address that `up` and `console` print; the browser then keeps it in a cookie. A
cookie knows no ports: another program of this machine sees it if the student opens a page of that
program. As with Jupyter, that is accepted.
"""

from __future__ import annotations

import html
import os
import secrets
from pathlib import Path

from sandbox.account.emulator import endpoint
from sandbox.laptop.paths import ACCOUNT

FILE = ACCOUNT / "console.key"
DOOR = ACCOUNT / "console.html"


def key() -> str:
    """Return the key; the first call makes it."""
    try:
        return FILE.read_text(encoding="ascii")
    except FileNotFoundError:
        made = secrets.token_urlsafe(18)
        part = FILE.with_name(f"{FILE.name}.{os.getpid()}")
        opened = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(opened, "w", encoding="ascii") as stream:
            stream.write(made)
        os.replace(part, FILE)
        return made


def address(path: str = "/") -> str:
    """Return the address of a page, for a browser that has the key already.

    Raises Mistake if the account does not run.
    """
    return f"{endpoint()}/console{path}"


def address_with_key() -> str:
    """Return the console's address for a browser that has never been there."""
    return f"{address()}?key={key()}"


def door() -> Path:
    """Write a page that leads to the console, key and all; only the student can read it."""
    opened = os.open(DOOR, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with open(opened, "w", encoding="utf-8") as stream:
        url = html.escape(address_with_key())
        stream.write(f'<!doctype html><meta http-equiv="refresh" content="0;url={url}">')
    return DOOR


def is_right(given: str) -> bool:
    """Tell whether somebody has given the key."""
    return secrets.compare_digest(given.encode(errors="replace"), key().encode())


# What a form of ours sends along: another origin's page cannot read it, and so cannot send it.
TOKEN = secrets.token_urlsafe(18)


def is_token(given: str) -> bool:
    """Tell whether a form is one that this process has made."""
    return secrets.compare_digest(given.encode(errors="replace"), TOKEN.encode())
