"""Updates of a function, which take their time: what is refused meanwhile, and when they end.

https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
"""

from __future__ import annotations

import time
from typing import Any

from sandbox.account import internals
from sandbox.account.function_limits import Refusal

# Seconds after which an update is over though nobody has asked. AWS takes about as long.
UPDATE = 5.0
ENDS: dict[str, float] = {}
REASONS = ("StateReason", "StateReasonCode", "LastUpdateStatusReason", "LastUpdateStatusReasonCode")
NO_REASON = dict.fromkeys(REASONS, "")


def start_update(func: dict[str, Any]) -> None:
    """Let an update of the function last for `UPDATE` seconds, unless somebody asks before.

    A function that was there stays Active meanwhile; MiniStack makes it Pending.
    """
    ENDS[func["config"]["FunctionArn"]] = time.monotonic() + UPDATE
    if func["config"].get("StateReasonCode") == "Updating":
        why = {"LastUpdateStatusReason": "The function is being created."}
        why["LastUpdateStatusReasonCode"] = "Creating"
        func["config"].update(NO_REASON | why, State="Active")


def end_update(func: dict[str, Any]) -> None:
    """Let an update of the function be over."""
    ENDS.pop(func["config"]["FunctionArn"], None)
    for config in (func["config"], *(version["config"] for version in func["versions"].values())):
        if config.get("LastUpdateStatus") == "InProgress":
            config.update(NO_REASON, State="Active", LastUpdateStatus="Successful")


def end_updates() -> None:
    """Let all updates be over: on AWS, the next build's machine takes longer to come."""
    for func in internals.functions.values():
        end_update(func)


def in_progress(func: Any, call: tuple[str, str | None]) -> Refusal | None:
    """Refuse to publish or to update during an update; to ask how it is going ends it.

    This is what scripts that leave out `aws lambda wait` meet on AWS:
    https://github.com/aws/aws-cli/issues/6718
    """
    if func["config"].get("LastUpdateStatus") != "InProgress":
        return None
    arn = func["config"]["FunctionArn"]
    asks = call in (("GET", None), ("GET", "configuration"))
    if asks or time.monotonic() > ENDS.get(arn, 0):
        end_update(func)
    elif call in (("PUT", "code"), ("PUT", "configuration"), ("POST", "versions")):
        text = (
            "The operation cannot be performed at this time. "
            f"An update is in progress for resource: {arn}"
        )
        return "ResourceConflictException", text, 409
    return None
