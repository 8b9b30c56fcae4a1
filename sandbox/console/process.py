"""The account's process with the console in it, and the one worker beside it, which builds."""

from __future__ import annotations

import gc
import subprocess
import sys
import threading
import time
from typing import Any

from sandbox.account import ministack
from sandbox.builds import queue, service
from sandbox.laptop.paths import ACCOUNT, VENV
from sandbox.laptop.processes import clean_environment, start

LONGEST_PAUSE = 60  # seconds


async def console(scope: Any, receive: Any, send: Any) -> None:
    """Answer a request for a page; an account that nobody looks at has loaded nothing for it."""
    from sandbox.console.app import application

    await application()(scope, receive, send)


def keep_worker() -> None:
    """Start the worker, and again whenever it dies, as when a build kills it.

    Its stdin is a pipe that nobody but this process holds: when that ends, so does the worker.
    """
    env, pause = clean_environment(ACCOUNT / "home", VENV / "bin"), 0
    while True:
        pipe = subprocess.PIPE
        with start("sandbox", "work", output=queue.WORKER_LOG, env=env, stdin=pipe) as worker:
            status = worker.wait()
        # One that fails by itself, as when the disk is full, would fail again at once.
        pause = min(2 * pause + 1, LONGEST_PAUSE) if status > 0 else 0
        time.sleep(pause)


def main() -> None:
    """Serve until the process is told to end."""
    gc.enable()
    del sys.argv[1:]  # which MiniStack would read
    threading.Thread(target=keep_worker, daemon=True).start()
    ministack.main(console, service.ACTIONS)
