"""How a version goes live: the alias."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sandbox import Mistake
from sandbox.account import keys, state
from sandbox.account.clients import client
from sandbox.account.stack import output
from sandbox.laptop.terminal import say

SETTINGS = ("Handler", "Runtime", "Role", "MemorySize", "Timeout", "Environment", "Layers")
FIRST = "1"  # the template's own version, before any build


def live() -> state.State:
    """Return what the alias points to; raises Mistake if it points to no version."""
    found = state.ask()
    if found.version is None:
        raise Mistake(f"the function has no alias {state.ALIAS}", "type `python3 -m sandbox up`")
    return found


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


def named(alias: Mapping[str, Any]) -> str:
    """Return in words where an alias points to, which GetAlias gives."""
    shares = (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights") or {}
    more = "".join(f" and {share:.0%} to version {version}" for version, share in shares.items())
    return f"alias {alias['Name']} to version {alias.get('FunctionVersion', '(none)')}{more}"


def put_back(newest: str | None) -> bool:
    """Let what was live before a deploy be so again, or else the newest version that is green.

    CloudFormation does what its caller, root, may do. Tell whether a person's choice, or what a
    build has released, is live.
    """
    end = state.end(keys.ROOT, green=False)
    if end.taken_back:
        say(
            "This change of the alias moves it, on AWS too; here version "
            f"{end.version} is live again"
        )
    if end.since is not None:
        return True
    if newest is None:
        return False
    functions = client("lambda")
    alias = {"FunctionName": output("FunctionName"), "Name": state.ALIAS, "RoutingConfig": {}}
    try:
        functions.update_alias(**alias, FunctionVersion=newest)
    except functions.exceptions.ResourceNotFoundException:
        return False
    say(f"Version {newest} is live again")
    state.end(keys.ROOT, green=True)
    return True
