"""Whether the endpoint answers, and if not, why: what the function's log says."""

from __future__ import annotations

import contextlib
import json
import time

from sandbox.account import state
from sandbox.account.clients import client
from sandbox.account.stack import url
from sandbox.laptop.network import direct

ERRORS = ("[ERROR] ", "RequestId: ")  # how Lambda's lines on a failure start
NO_ERROR = "its log has no error; `python3 -m sandbox up` mends its alias and permission"
THROTTLED = 503  # what API Gateway answers when a function's concurrency is used up
TIMED_OUT = " Task timed out after "


def trouble() -> str:
    """Send one request without a query to the endpoint; return what is wrong, or nothing."""
    import urllib.error

    since = int(time.time() * 1000)
    try:
        direct().open(url(), timeout=30).close()
    except urllib.error.HTTPError as error:
        if error.code >= 500:
            otherwise = "its concurrency is used up" if error.code == THROTTLED else NO_ERROR
            group = state.ask().log_group
            reason = last_error(group, since) or otherwise
            return f"it answers {error.code}: {reason} (log group {group})"
    except OSError as error:
        return f"it does not answer: {error}"
    return ""


def last_error(group: str, since: int) -> str:
    """Return the last line on a failure in a log group since a time in ms since 1970."""
    logs = client("logs")
    found = ""
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, startTime=since)
    with contextlib.suppress(logs.exceptions.ResourceNotFoundException):  # it has logged nothing
        for event in (event for page in pages for event in page["events"]):
            line = error_in_json(event["message"]) or event["message"].split("\n")[0]
            if line.startswith(ERRORS) or TIMED_OUT in line:
                found = line.removeprefix(ERRORS[0])
    return found


def error_in_json(message: str) -> str:
    """Return an error of a function with `LogFormat: JSON` as a line, or nothing."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        said = json.loads(message)
        return f"{ERRORS[0]}{said['errorType']}: {said['errorMessage']}"
    return ""
