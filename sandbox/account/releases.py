"""How a version goes live: the alias, and the copies that outlive a killed emulator."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sandbox import Mistake
from sandbox.account import state
from sandbox.account.clients import client
from sandbox.account.stack import output
from sandbox.laptop.files import read_object, write
from sandbox.laptop.network import direct, is_loopback
from sandbox.laptop.paths import RELEASES
from sandbox.laptop.terminal import say

SETTINGS = ("Handler", "Runtime", "Role", "MemorySize", "Timeout", "Environment", "Layers")
FIRST = "1"  # the template's own version, before any build
SERVICE = re.compile(r"AWSCodeBuild-|root$")  # who moves the alias without being a person


@dataclass(frozen=True)
class Release:
    """A published version of the function; `commit` is what its description names.

    `weights` are the shares of the requests, 0 to 1, that the alias gives to other versions.
    """

    version: str
    commit: str
    weights: tuple[tuple[str, float], ...] = ()


def live() -> Release:
    """Return the version that the alias points to; raises Mistake if there is none."""
    found = state.ask()
    if found.version is None:
        raise Mistake(f"the function has no alias {state.ALIAS}", "type `python3 -m sandbox up`")
    return Release(found.version, found.description, tuple(sorted(found.weights.items())))


def settings_to_come() -> list[str]:
    """Return each setting that the stack's function has and the live version has not yet.

    CloudFormation changes $LATEST only; a version keeps what it was published with.
    https://docs.aws.amazon.com/lambda/latest/dg/configuration-versions.html
    """
    functions = client("lambda")
    name = output("FunctionName")
    now = functions.get_function_configuration(FunctionName=name)
    live = functions.get_function_configuration(FunctionName=name, Qualifier=state.ALIAS)
    return [
        f"{key} {now.get(key)} (version {live['Version']}, which is live, has {live.get(key)})"
        for key in SETTINGS
        if now.get(key) != live.get(key)
    ]


def live_version() -> str | None:
    """Return the number of the live version, or None if nothing is live."""
    with contextlib.suppress(Mistake):
        return live().version
    return None


def make_live(version: str) -> None:
    """Point the alias at a version, and make it again if somebody has deleted it."""
    functions = client("lambda")
    function = output("FunctionName")
    wanted = {"FunctionName": function, "Name": state.ALIAS, "FunctionVersion": version}
    try:
        functions.update_alias(**wanted)
    except functions.exceptions.ResourceNotFoundException:
        functions.create_alias(**wanted)


@dataclass(frozen=True)
class Move:
    """One change of the alias: by which user or session, to which version, when (since 1970)."""

    by: str
    version: str
    at: float

    @property
    def by_a_person(self) -> bool:
        return not SERVICE.match(self.by)


def moves(since: float = 0) -> list[Move]:
    """Return who has moved the alias, the last move first, as CloudTrail tells.

    A stack's deploy is no move: CloudFormation does it.
    """
    trail = client("cloudtrail")
    found = []
    for name in ("UpdateAlias20150331", "CreateAlias20150331"):
        wanted = {"AttributeKey": "EventName", "AttributeValue": name}
        for event in trail.lookup_events(LookupAttributes=[wanted])["Events"]:
            asked = json.loads(event["CloudTrailEvent"])["requestParameters"]
            at = event["EventTime"].timestamp()
            if asked.get("name") == state.ALIAS and asked.get("functionVersion") and at >= since:
                found.append(Move(event["Username"], asked["functionVersion"], at))
    return sorted(found, key=lambda move: move.at, reverse=True)


def keep_live(before: str | None, since: float) -> None:
    """Make live again what was so before a deploy, or what somebody has made live meanwhile."""
    wanted = next((move.version for move in moves(since)), before)
    if wanted and live_version() != wanted:
        say(f"This change of the alias moves it, on AWS too; here version {wanted} is live again")
        make_live(wanted)


def take_back(session: str, since: float, before: str) -> None:
    """Take back what a red build has done to the alias; what a person does to it stands."""
    done = moves(since)
    if live_version() is None or (done and done[0].by == session):
        make_live(next((move.version for move in done if move.by != session), before))


def released_by(session: str, since: float) -> str | None:
    """Return the version that a build has put live, or None if it has not moved the alias."""
    return next((move.version for move in moves(since) if move.by == session), None)


def let_update_end() -> None:
    """Wait until no update of the function is in progress.

    A build may leave one behind. On AWS, the next one's machine takes longer to come.
    """
    client("lambda").get_waiter("function_updated_v2").wait(FunctionName=output("FunctionName"))


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
        with direct().open(where, timeout=60) as answer:
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
    """Publish again what the account has forgotten, and see to it that the right version is live.

    That is one of `green`, the versions that green builds have left live, the last one first, or
    what a person has chosen.
    """
    last = max(int(found["Version"]) for found in versions_after(0))
    numbers = sorted(int(path.stem) for path in RELEASES.glob("*.json"))
    lost = [number for number in numbers if number > last]
    if lost:
        say(f"Publishing {len(lost)} version(s) again that the account has lost")
    for number in lost:
        publish_again(number)
    last_move = next(iter(moves()), None)
    chosen = not lost and last_move is not None and last_move.by_a_person
    if not chosen and (lost or live_version() not in (green or [FIRST])):
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
        functions.get_waiter("function_updated_v2").wait(FunctionName=name)
        done = functions.publish_version(FunctionName=name, Description=description)
        published = int(done["Version"])
