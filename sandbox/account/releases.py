"""How a version goes live: the alias, and the copies that outlive a killed emulator."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sandbox import Mistake
from sandbox.account.clients import client
from sandbox.account.stack import output
from sandbox.laptop.files import read_object, write
from sandbox.laptop.network import DIRECT, is_loopback
from sandbox.laptop.paths import RELEASES
from sandbox.laptop.terminal import say

ALIAS = "live"
FIRST = "1"  # the template's own version, before any build
# What makes a version another one than the one before, beside its number and description.
CONTENT = (
    "CodeSha256",
    "Handler",
    "Runtime",
    "Role",
    "MemorySize",
    "Timeout",
    "Environment",
    "Layers",
    "Architectures",
    "EphemeralStorage",
    "LoggingConfig",
    "TracingConfig",
)


@dataclass(frozen=True)
class Release:
    """One published version of the function; `commit` is what its description names."""

    version: str
    commit: str


def live() -> Release:
    """Return the version that the alias points to; raises Mistake if there is none."""
    functions = client("lambda")
    name = output("FunctionName")
    try:
        version = functions.get_alias(FunctionName=name, Name=ALIAS)["FunctionVersion"]
    except functions.exceptions.ResourceNotFoundException:
        raise Mistake(
            f"the function has no alias {ALIAS}", "type `python3 -m sandbox up`"
        ) from None
    found = functions.get_function_configuration(FunctionName=name, Qualifier=version)
    return Release(version, found.get("Description", ""))


def live_version() -> str | None:
    """Return the number of the live version, or None if nothing is live."""
    with contextlib.suppress(Mistake):
        return live().version
    return None


def make_live(version: str) -> None:
    """Point the alias at a version, and make it again if somebody has deleted it."""
    functions = client("lambda")
    wanted = {"FunctionName": output("FunctionName"), "Name": ALIAS, "FunctionVersion": version}
    try:
        functions.update_alias(**wanted)
    except functions.exceptions.ResourceNotFoundException:
        functions.create_alias(**wanted)


def keep_live(before: str | None) -> None:
    """Make the version live again that was so before a deploy."""
    if before and live().version != before:
        say(
            "This change of the alias moves it, on AWS too; "
            f"here version {before} is live again, which a build released"
        )
        make_live(before)


def withdraw_unchanged() -> str:
    """Withdraw a new version that equals the one before it, and return which one is live.

    On AWS publish-version answers with the latest version if code and configuration are unchanged;
    MiniStack counts each update-function-code as a change.
    https://docs.aws.amazon.com/lambda/latest/api/API_PublishVersion.html
    """
    version, last = live().version, newest_kept()
    known = {
        int(found["Version"]): {key: found.get(key) for key in CONTENT}
        for found in versions_after(last - 1)
    }
    if int(version) <= last or known.get(last) != known[int(version)]:
        return version
    make_live(str(last))
    client("lambda").delete_function(FunctionName=output("FunctionName"), Qualifier=version)
    return str(last)


def newest_kept() -> int:
    """Return the highest number of a version that is kept."""
    return max((int(path.stem) for path in RELEASES.glob("*.json")), default=int(FIRST))


def keep() -> None:
    """Keep a copy of each version: MiniStack holds them in memory, a killed one forgets them."""
    functions = client("lambda")
    name = output("FunctionName")
    RELEASES.mkdir(exist_ok=True)
    for found in versions_after(newest_kept()):
        number = found["Version"]
        function = functions.get_function(FunctionName=name, Qualifier=number)
        where = function["Code"]["Location"]
        if not is_loopback(where):
            raise Mistake(
                f"the account names {where!r} for a release", "type `python3 -m sandbox up`"
            )
        with DIRECT.open(where, timeout=60) as answer:
            (RELEASES / f"{number}.zip").write_bytes(answer.read())
        description = {"description": found.get("Description", "")}
        write(RELEASES / f"{number}.json", json.dumps(description))


def versions_after(number: int) -> Iterator[dict[str, Any]]:
    """Yield the published versions with a number above this one, in order."""
    functions = client("lambda")
    name, marker = output("FunctionName"), {"Marker": str(number)} if number else {}
    while True:
        page = functions.list_versions_by_function(FunctionName=name, **marker)
        for found in page["Versions"]:
            if found["Version"] != "$LATEST" and int(found["Version"]) > number:
                yield found
        if not page.get("NextMarker"):
            return
        marker = {"Marker": page["NextMarker"]}


def restore(green: list[str]) -> None:
    """Publish again what the account has forgotten, and see to it that a green version is live.

    `green` names the versions that green builds have left live, the last one first.
    """
    last = max(int(found["Version"]) for found in versions_after(0))
    numbers = sorted(int(path.stem) for path in RELEASES.glob("*.json"))
    lost = [number for number in numbers if number > last]
    if lost:
        say(f"Publishing {len(lost)} version(s) again that the account has lost")
    for number in lost:
        publish_again(number)
    if lost or live_version() not in [*green, FIRST]:
        make_live((green or [FIRST])[0])


def publish_again(number: int) -> None:
    """Publish a kept version under its old number."""
    functions = client("lambda")
    name = output("FunctionName")
    content = (RELEASES / f"{number}.zip").read_bytes()
    description = read_object(RELEASES / f"{number}.json").get("description", "")
    published = 0
    while published < number:
        if published:  # a number that was withdrawn
            functions.delete_function(FunctionName=name, Qualifier=str(published))
        functions.update_function_code(FunctionName=name, ZipFile=content)
        done = functions.publish_version(FunctionName=name, Description=description)
        published = int(done["Version"])
