"""The process in which the account runs: MiniStack, mended, behind its door."""

from __future__ import annotations

import os

from sandbox.account import keys


def main() -> None:
    """Serve until the process is told to end."""
    os.environ.update(keys.variables(keys.ROOT))  # MiniStack looks here for root's

    from ministack import app

    from sandbox.account import door, wraps
    from sandbox.account.wraps import iam

    wraps.install()
    door.read_raw_queries()
    key, secret = keys.of(keys.STUDENT)
    app.app = door.door(
        app.app,
        int(os.environ["GATEWAY_PORT"]),
        lambda: iam.make_student(keys.STUDENT, key, secret),
    )
    app.main()


if __name__ == "__main__":
    main()
