"""The account's process with the console in it: one port, behind one door."""

from __future__ import annotations

import gc
import sys
from typing import Any

from sandbox.account import ministack
from sandbox.builds import service


async def console(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request for a page; an account that nobody looks at has loaded nothing for it."""
    from sandbox.console.app import application

    await application()(scope, receive, send)


def main() -> None:
    """Serve until the process is told to end."""
    gc.enable()
    del sys.argv[1:]  # which MiniStack would read
    ministack.main(console, service)
