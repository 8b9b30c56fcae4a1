"""What the account's process tells the sandbox itself: the stack, and which version is live.

AWS's own API says the same, and whoever asks it so must first load an SDK: a third of a second, of
which a command as short as `url` would mostly consist.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hmac
import json
import re
import time
from collections.abc import Sequence
from typing import Any

from sandbox import Mistake
from sandbox.account import keys
from sandbox.account.emulator import endpoint

STACK = "hello-user"
ALIAS = "live"
ROUTE = "/_sandbox/state"
SESSIONS = "/_sandbox/sessions/"  # and the name of those that are to end, and how they have
GREEN = "green"
HEADER = "x-sandbox-proof"
LASTING = 600  # seconds that a proof is good for
PATIENCE = 60  # seconds
is_here = False  # whether this is the account's own process, which need not ask itself


@dataclasses.dataclass(frozen=True)
class State:
    """The stack's outputs, the build projects, and the live version, if one is.

    Below, what has changed because we asked for it.
    """

    outputs: dict[str, str]
    # In the template's order, as BatchGetProjects says them, with the `properties` there.
    projects: Sequence[dict[str, Any]]
    version: str | None
    description: str
    log_group: str  # of the function
    weights: dict[str, float]  # the shares of other versions, 0 to 1
    since: float | None  # when a person or a build has made it so, not the template

    gone: Sequence[str] = ()  # logical ids of what is deleted: the next deploy makes it anew
    released: str | None = None  # the version that a build has put live
    taken_back: Sequence[dict[str, Any]] = ()  # aliases, as GetAlias has them


def found() -> State:
    """Return the state, in the account's own process."""
    from sandbox.account import environments, internals  # loads all of MiniStack

    stack = internals.stacks.get(STACK) or {}
    outputs = {each["OutputKey"]: str(each["OutputValue"]) for each in stack.get("Outputs", [])}
    name = outputs.get("FunctionName", "")
    function = internals.functions.get(name) or {"config": {"FunctionName": name}}
    alias = function.get("aliases", {}).get(ALIAS) or {}
    versions = function.get("versions", {})
    version = alias.get("FunctionVersion")
    if version not in versions:
        version = None
    said = versions.get(version, function).get("config", {}).get("Description")
    move = (function.get("moves", {}).get(ALIAS) or [{"by": ""}])[-1]
    is_chosen = version and move["by"] and move["alias"] == alias
    since = move.get("at", 0.0) if is_chosen else None  # a move was once noted without its time
    resources, template = stack.get("_resources", {}), stack.get("_template") or {}
    in_order = [resources.get(name) for name in [*template.get("Resources", {})]]
    of_template = {
        each["PhysicalResourceId"]: each["Properties"]
        for each in in_order
        if each and each["ResourceType"] == "AWS::CodeBuild::Project"
    }
    projects = [
        {**known, "properties": of_template.get(name, {})}
        for name in dict.fromkeys([*of_template, *internals.projects])
        if (known := internals.projects.get(name))
    ]
    weights = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    log_group = environments.log_group(function["config"])
    return State(outputs, projects, version, str(said or ""), log_group, weights, since)


def mended() -> State:
    """Forget in the account's own process what is gone of the stack."""
    from sandbox.account import internals
    from sandbox.account.wraps import cloudformation

    gone = cloudformation.forget_gone(internals.stacks.get(STACK) or {})
    return dataclasses.replace(found(), gone=gone)


def ended(by: str, green: bool) -> State:
    """End what a build or a deploy may do, and keep all that is so now; raises OSError.

    Unless it is green, what it has done to an alias is taken back; what others did stands.
    """
    from sandbox.account import function_updates
    from sandbox.account.wraps import aliases, iam, persistence

    iam.end_session(by)
    function_updates.end_updates()
    released = aliases.settle(by, ALIAS) if green else None
    taken = [] if green else aliases.take_back(by)
    try:
        persistence.keep(*persistence.SERVICES)
    except OSError:
        aliases.take_back(by)
        raise
    return dataclasses.replace(found(), released=released, taken_back=taken)


def proof(path: str, until: int | None = None) -> str:
    """Return what proves, for some minutes, that the holder of the root key asks for a path.

    Whoever is given it, as with the address of a download, learns nothing of the key.
    """
    _, secret = keys.of(keys.ROOT)
    until = until or int(time.time()) + LASTING
    return f"{until}.{hmac.new(secret.encode(), f'{until} {path}'.encode(), 'sha256').hexdigest()}"


def is_proof(given: str, path: str) -> bool:
    """Tell whether that is a proof for a path, and still good."""
    said = re.fullmatch(r"([0-9]{1,12})\.[0-9a-f]{64}", given)
    return (
        said is not None
        and time.time() < int(said[1])
        and hmac.compare_digest(given, proof(path, int(said[1])))
    )


def answers() -> bool:
    """Tell whether the account runs, as this version of it does."""
    with contextlib.suppress(Mistake):
        return bool(ask())
    return False


def ask() -> State:
    """Ask the account; raises Mistake if it does not run or does not answer."""
    return found() if is_here else request("GET", ROUTE)


def mend() -> State:
    """Let the next deploy make anew what is gone of the stack."""
    return request("POST", ROUTE)


def end(by: str, green: bool) -> State:
    """Tell the account that a build, or a deploy, has ended, and what becomes of what it did.

    Raises Mistake if the account does not answer, or cannot write its state.
    """
    return request("POST", f"{SESSIONS}{by}/{GREEN if green else 'red'}")


def request(method: str, path: str) -> State:
    """Return what the account answers; raises Mistake if there is no answer, or another one."""
    import http.client  # 20 ms, for those that need it

    host = endpoint().removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=PATIENCE)
    try:
        connection.request(method, path, headers={HEADER: proof(path)})
        with connection.getresponse() as answer:
            said = json.loads(answer.read())
        if answer.status == 200 and said.keys() == State.__dataclass_fields__.keys():
            return State(**said)
        reason = said.get("message", "it is of another version of the sandbox")
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = str(error)
    finally:
        connection.close()
    raise Mistake(f"the account does not answer: {reason}", "type `python3 -m sandbox up`")
