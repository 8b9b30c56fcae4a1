"""One invocation of a function: its deadlines, its answer or Lambda's words on a failure."""

from __future__ import annotations

import json
import signal
import time
import uuid
from collections.abc import Mapping
from typing import Any

from sandbox.account import function_logs, internals
from sandbox.account.environments import Environment, give_back, log_group, take
from sandbox.account.runtime import TASK_ROOT

INIT = 10.0  # seconds: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html


def known_as(record: Mapping[str, Any], arn: str, trace: str = "") -> dict[str, Any]:
    """Return a version of a function as MiniStack invokes it, under the name `arn`."""
    config = {**record["config"], "FunctionArn": arn}
    function = internals.functions.get(config["FunctionName"]) or {}
    reserved = function.get("concurrency")  # which all versions share
    return {**record, "config": config, "concurrency": reserved, "trace": trace or new_trace()}


def run(record: Mapping[str, Any], event: Any, request_id: str) -> dict[str, Any]:
    """Run the function in an environment, end that if it is of no more use, and write the log.

    `event` is JSON, if it is bytes. Return what MiniStack makes of an invocation, with the answer
    as it is in `text`, and the log stream.
    """
    event = event if isinstance(event, bytes) else json.dumps(event).encode()
    config = record["config"]
    timeout = float(config.get("Timeout", 3))
    started = time.monotonic()
    try:
        environment, new = take(record)
    except Exception as error:  # the zip may be anything, and the machine full
        text = f"the function's process could not be started: {error}"
        return result(described("ServiceException", text), (text,), failed=True)
    frame = environment.frame(b"ne", started + INIT) if new else ("n", b"")
    initialized = time.monotonic()
    ready = frame is not None and frame[0] == "n"
    if ready:
        fields = {
            "invoke_id": request_id,
            "invoked_function_arn": config["FunctionArn"],
            "deadline_time_in_ms": int((time.time() + timeout) * 1000),
            "x_amzn_trace_id": record.get("trace") or new_trace(),
            "content_type": "application/json",
            **dict.fromkeys(("client_context", "cognito_identity", "tenant_id", "invocation_id")),
            "size": len(event),
        }
        request = json.dumps(fields).encode() + b"\n" + event
        frame = environment.frame(b"re", initialized + timeout, request)
    took = function_logs.Took(
        time.monotonic() - initialized, initialized - started if new else None, environment.memory()
    )
    body, status, words = answer(frame, environment, request_id, timeout)
    if ready and not status:
        give_back(environment)
    else:
        environment.end()
    log = function_logs.write(config, environment, request_id, words, took, status)
    failed = frame is None or frame[0] != "r"
    return result(body, log, failed) | {"stream": (log_group(config), environment.stream)}


def result(text: bytes, log: tuple[str, ...], failed: bool) -> dict[str, Any]:
    """Return what an invocation has come to, in MiniStack's form."""
    try:
        body = json.loads(text)
    except ValueError:
        body = text.decode(errors="replace")
    said = "".join(f"{line}\n" for line in log)
    kind = "Unhandled" if failed else None
    return {"body": body, "text": text, "error": failed, "function_error": kind, "log": said}


def answer(
    frame: tuple[str, bytes] | None, environment: Environment, request_id: str, timeout: float
) -> tuple[bytes, str, list[str]]:
    """Return the answer, the status if there was none, and what Lambda itself logs then."""
    if frame is None:
        text = f"Task timed out after {timeout:.2f} seconds"
        body = described("Sandbox.Timedout", f"RequestId: {request_id} Error: {text}")
        return body, "timeout", [f"{function_logs.timestamp()} {request_id} {text}"]
    letter, body = frame
    if letter == "e":  # the runtime names the code's folder as it is on this machine
        here = json.dumps(str(environment.task))[1:-1].encode()
        return body.replace(here, TASK_ROOT.encode()), "", []
    if letter:
        return body, "", []
    status = environment.process.wait()
    why = (
        f"with error: exit status {status}"
        if status > 0
        else f"with error: signal: {(signal.strsignal(-status) or str(-status)).lower()}"
        if status
        else "without providing a reason"
    )
    text = f"RequestId: {request_id} Error: Runtime exited {why}"
    return described("Runtime.ExitError", text), "error", [text, "Runtime.ExitError"]


def described(kind: str, text: str) -> bytes:
    """Return a failure as Lambda answers with it."""
    return json.dumps({"errorType": kind, "errorMessage": text}).encode()


def new_trace() -> str:
    """Return a trace id in the form of X-Ray's."""
    return f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}"
