"""Lambda: in what a function runs, and what becomes of its processes and log lines."""

from __future__ import annotations

import threading
import time
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from sandbox.account import environments, internals
from sandbox.account.wraps import wrap


@wrap(internals.worker_class_for)
def python_has_environments_of_its_own(original: Any, config: dict[str, Any]) -> Any:
    """Let Python functions run in an execution environment of ours."""
    return environments.Environment if is_python(config) else original(config)


def is_python(config: dict[str, Any]) -> bool:
    """Tell whether a function is written in Python."""
    return str(config.get("Runtime", "")).startswith("python")


@wrap(internals.execute_function_warm)
def function_runs_as_on_lambda(
    original: Any, func: dict[str, Any], event: Any, request_id: str
) -> Any:
    """Run a Python function in a free environment, and answer errors in Lambda's own words."""
    config = func.get("config") or func
    if not is_python(config) or not func.get("code_zip"):
        return original(func, event, request_id)
    internals.ensure_reaper_thread()
    environment, _ = lambda_svc.acquire_worker(
        config["FunctionName"], config, func["code_zip"], qualifier=config.get("Version", "$LATEST")
    )
    try:
        arn = environments.INVOKED.get() or config.get("FunctionArn", "")
        result = environment.run(event, request_id, arn)
        environments.STREAM.set(environment.stream)
        return result
    finally:
        lambda_svc.release_worker(environment)
        end_retired()


def retire(config: dict[str, Any], kept: set[str]) -> None:
    """End a function's environments of all but these versions, those at work when they are done."""
    place = internals.worker_key(config["FunctionName"], config, "")
    with internals.workers_lock:
        for key, pool in internals.workers.items():
            for environment in pool:
                environment.retired = key.startswith(place) and key.removeprefix(place) not in kept
    end_retired()


def end_retired() -> None:
    """End the environments that are retired and not at work; nobody waits for it."""
    doomed = []
    with internals.workers_lock:
        for pool in internals.workers.values():
            doomed += [one for one in pool if getattr(one, "retired", False) and not one.in_use]
            pool[:] = [one for one in pool if one not in doomed]
    if doomed:
        threading.Thread(target=lambda_runtime.kill_workers, args=(doomed,), daemon=True).start()


@wrap(internals.emit_lambda_logs)
def environment_has_one_log_stream(
    original: Any,
    func: dict[str, Any],
    request_id: str,
    text: str,
    error: bool,
    milliseconds: int,
    **options: Any,
) -> None:
    """Write what one environment logs into one stream; MiniStack makes one for each invocation.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-loggroups.html
    """
    stream = environments.STREAM.get()
    if not stream:
        original(func, request_id, text, error, milliseconds, **options)
        return
    config = func.get("config") or func
    now = int(time.time() * 1000)
    group = environments.log_group(config)
    streams = internals.log_groups.setdefault(
        group,
        {
            "arn": internals.log_group_arn(group),
            "creationTime": now,
            "retentionInDays": None,
            "tags": {},
            "subscriptionFilters": {},
            "streams": {},
        },
    )["streams"]
    known = streams.setdefault(
        stream,
        {
            "events": [],
            "uploadSequenceToken": "1",
            "creationTime": now,
            "firstEventTimestamp": None,
            "lastEventTimestamp": None,
            "lastIngestionTime": None,
        },
    )
    lines = [
        f"START RequestId: {request_id} Version: {config.get('Version', '$LATEST')}",
        *text.splitlines(),
        f"END RequestId: {request_id}",
        f"REPORT RequestId: {request_id}\tDuration: {milliseconds} ms\t"
        f"Billed Duration: {milliseconds} ms\tMemory Size: {config.get('MemorySize', 128)} MB\t"
        f"Max Memory Used: {internals.peak_memory(func)} MB",
    ]
    events = [{"timestamp": now, "message": line, "ingestionTime": now} for line in lines]
    internals.append_log_events(known, events)
    internals.fan_out_log_events(group, stream, events)
