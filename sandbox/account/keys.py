"""The account's access keys: root's, for the sandbox itself, and those of the user `student`.

Both are made at the first `up`, at random, and only the student's own user can read them. A build
runs as that user, so it could read them, too: what a laptop cannot keep apart.
"""

from __future__ import annotations

import json
import os
import secrets
import string
from collections.abc import Mapping

from sandbox import Mistake
from sandbox.laptop.files import read_object
from sandbox.laptop.paths import ACCOUNT

FILE = ACCOUNT / "keys.json"
ROOT, STUDENT = "root", "student"


def make() -> None:
    """Make the keys unless they are there."""
    try:
        of(ROOT), of(STUDENT)
    except Mistake:
        FILE.unlink(missing_ok=True)
        opened = os.open(FILE, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(opened, "w", encoding="utf-8") as stream:
            json.dump({user: new() for user in (ROOT, STUDENT)}, stream)
    FILE.chmod(0o600)


def new() -> list[str]:
    """Return a new access key id and its secret, in the form of AWS's."""
    alphabet = string.ascii_uppercase + "234567"
    return ["AKIA" + "".join(secrets.choice(alphabet) for _ in range(16)), secrets.token_hex(20)]


def of(user: str) -> tuple[str, str]:
    """Return a user's access key id and secret; raises Mistake if there are none."""
    found = read_object(FILE).get(user)
    if not isinstance(found, list) or len(found) != 2:
        raise Mistake(f"{FILE} holds no keys of {user}", "type `python3 -m sandbox up`")
    return found[0], found[1]


def variables(user: str) -> Mapping[str, str]:
    """Return a user's keys as the variables that AWS tools read."""
    key, secret = of(user)
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret}
