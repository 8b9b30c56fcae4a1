"""What the account's process tells the sandbox itself: the stack, and which version is live.

AWS's own API says the same, and whoever asks it so must first load an SDK: a third of a second, of
which a command as short as `url` would mostly consist.
"""

from __future__ import annotations

import hmac
import json
import re
import time
from dataclasses import dataclass
from typing import Any

from sandbox import Mistake
from sandbox.account import keys
from sandbox.account.emulator import endpoint

STACK = "hello-user"
ALIAS = "live"
ROUTE = "/_sandbox/state"
SESSIONS = "/_sandbox/sessions/"  # and the name of those that are to end
HEADER = "x-sandbox-proof"
LASTING = 600  # seconds that a proof is good for
PATIENCE = 60  # seconds


@dataclass(frozen=True)
class State:
    """The stack's outputs, template and build project, and the live version; None if none is."""

    outputs: dict[str, str]
    template: str
    project: dict[str, Any]  # as BatchGetProjects says it
    version: str | None
    description: str
    weights: dict[str, float]  # the shares of other versions, 0 to 1


def found() -> State:
    """Return the state, in the account's own process."""
    from sandbox.account import internals  # loads all of MiniStack

    stack = internals.stacks.get(STACK) or {}
    outputs = {each["OutputKey"]: str(each["OutputValue"]) for each in stack.get("Outputs", [])}
    function = internals.functions.get(outputs.get("FunctionName")) or {}
    alias = function.get("aliases", {}).get(ALIAS)
    version = alias["FunctionVersion"] if alias else None
    live = function.get("versions", {}).get(version) or function
    description = live.get("config", {}).get("Description", "")
    project = internals.projects.get(outputs.get("ProjectName")) or {}
    routing = (alias or {}).get("RoutingConfig") or {}
    weights = routing.get("AdditionalVersionWeights") or {}
    template = stack.get("_template_body", "")
    return State(outputs, template, project, version, description, weights)


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


def ask() -> State:
    """Ask the account; raises Mistake if it does not run or does not answer."""
    try:
        return State(**json.loads(request("GET", ROUTE)))
    except (OSError, ValueError, TypeError) as error:
        raise Mistake(
            f"the account does not answer: {error}", "type `python3 -m sandbox up`"
        ) from None


def end_sessions(name: str) -> None:
    """Let the credentials of all sessions of this name be over; AWS has no such call.

    Raises OSError if the account does not answer.
    """
    request("DELETE", SESSIONS + name)


def request(method: str, path: str) -> bytes:
    """Return what the account answers to the sandbox itself; raises OSError if it does not."""
    import http.client  # 20 ms, for those that need it

    host = endpoint().removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=PATIENCE)
    try:
        connection.request(method, path, headers={HEADER: proof(path)})
        with connection.getresponse() as answer:
            said = answer.read()
    except http.client.HTTPException as error:
        raise OSError(repr(error)) from None
    finally:
        connection.close()
    if answer.status != 200:
        raise OSError(f"HTTP {answer.status}")
    return said
