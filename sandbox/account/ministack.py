"""The process in which the account runs: MiniStack, mended, behind its door."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from sandbox.account import keys, state
from sandbox.account.emulator import UNREADABLE

if TYPE_CHECKING:
    from sandbox.account.http_server import App
    from sandbox.account.wraps.codebuild import Actions


def main(console: App | None = None, builds: Actions | None = None) -> None:
    """Serve until the process is told to end.

    `console` answers what is below /console, `builds` CodeBuild's API.
    """
    state.is_here = True
    os.environ.update(keys.variables(keys.ROOT))  # MiniStack looks here for root's

    from ministack import app

    try:
        from sandbox.account import door, function_code, http_server, wraps
        from sandbox.account.wraps import codebuild, iam, persistence
    except AttributeError as error:  # of sandbox.account.internals
        sys.exit(f"error: the account needs MiniStack as requirements.txt pins it: {error}")

    wraps.install()
    function_code.make_home()
    try:
        persistence.read()
    except persistence.Unreadable as error:
        print(error, file=sys.stderr)
        raise SystemExit(UNREADABLE) from None
    codebuild.ACTIONS.update(builds or {})
    http_server.read_raw_queries()
    http_server.close_what_is_closed()
    iam.make_student(keys.STUDENT, *keys.of(keys.STUDENT))
    app.app = door.door(app.app, int(os.environ["GATEWAY_PORT"]), console)
    app.main()
    persistence.keep(*persistence.SERVICES)  # what functions have logged since
