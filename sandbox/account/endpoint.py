"""Whether the endpoint answers, and if not, why: what the function's log says."""

from __future__ import annotations

import contextlib
import json
import time
from dataclasses import dataclass

from sandbox.account.clients import client
from sandbox.account.stack import function_log_group, url
from sandbox.laptop.network import direct

ERRORS = ("[ERROR] ", "RequestId: ")  # how Lambda's lines on a failure start
NOT_ASKED = "the function logs nothing: `python3 -m sandbox up` mends its alias and permission"
TIMED_OUT = " Task timed out after "


@dataclass(frozen=True)
class Answer:
    """What a request without a query gets; `reason` and `log` (a group) say why it fails.

    A status of 0 is none.
    """

    status: int
    reason: str = ""
    log: str = ""

    @property
    def failed(self) -> bool:
        return not self.status or self.status >= 500

    def __str__(self) -> str:
        if not self.status:
            return f"it does not answer: {self.reason}"
        if not self.failed:
            return f"it answers {self.status}"
        reason = self.reason or NOT_ASKED
        return f"it answers {self.status}: {reason} (log group {self.log})"


def ask() -> Answer:
    """Send one request to the endpoint."""
    import urllib.error

    since = int(time.time() * 1000)
    try:
        with direct().open(url(), timeout=30) as answer:
            return Answer(answer.status)
    except urllib.error.HTTPError as error:
        if error.code < 500:
            return Answer(error.code)
        return Answer(error.code, last_error(since), function_log_group())
    except OSError as error:
        return Answer(0, str(error))


def last_error(since: int) -> str:
    """Return the last line on a failure that the function has logged since, in ms since 1970."""
    group = function_log_group()
    logs = client("logs")
    found = ""
    for event in logs.filter_log_events(logGroupName=group, startTime=since)["events"]:
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
