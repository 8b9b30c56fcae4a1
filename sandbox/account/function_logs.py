"""A function's log in CloudWatch Logs: its records, and what Lambda writes around them.

https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-loggroups.html
"""

from __future__ import annotations

import collections
import json
import math
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from ministack.core.responses import get_account_id, get_region

from sandbox.account import internals
from sandbox.account.environments import Environment, log_group
from sandbox.account.runtime import TASK_ROOT

# How a record starts that awslambdaric writes: type, length, time, text.
RECORD = re.compile(rb"\xa5\x5a\x00[\x02-\x1b](.{4}).{8}", re.DOTALL)
EVENT = 262_144 - 26  # bytes of an event, as CloudWatch Logs counts; a longer one is cut in two
EVENTS = 10_000  # that are kept of one invocation
KEPT = 32 << 20  # bytes of functions' logs that are kept: the account is held in memory
LOCK = threading.Lock()
# Of each invocation: its stream, how many events it has there, how much memory all take so far.
WRITTEN: collections.deque[tuple[dict[str, Any], int, int]] = collections.deque()


@dataclass(frozen=True)
class Took:
    """What an invocation has taken: seconds, those of a cold start before it, and MB."""

    duration: float
    init: float | None
    memory: int


def write(
    config: Mapping[str, Any],
    environment: Environment,
    request_id: str,
    words: list[str],
    took: Took,
    status: str,
) -> tuple[str, ...]:
    """Write what an invocation has logged into its environment's stream, and return it.

    `words` are Lambda's own on a failure, `status` is how it has failed without an answer.
    """
    output, left_out = environment.logged()
    here = str(environment.task)
    texts = [text.replace(here, TASK_ROOT) for text in records(output)]
    left_out += sum(len(text) for text in texts[EVENTS:])
    if left_out:
        texts[EVENTS:] = [f"{left_out} more bytes of this invocation's output are left out here"]
    start, end = around(config, request_id, took, status)
    lines = (*start, *texts, *words, *end)
    put(log_group(config), environment.stream, lines)
    return lines


def records(output: bytes) -> Iterator[str]:
    """Yield the records of an output, and each line that was printed between them."""
    at = 0
    while at < len(output):
        found = RECORD.search(output, at)
        printed = output[at : found.start() if found else None]
        texts = printed.removesuffix(b"\n").split(b"\n") if printed else []
        if found:
            at = found.end() + int.from_bytes(found[1], "big")
            texts.append(output[found.end() : at].rstrip(b"\r\n"))
        else:
            at = len(output)
        for text in texts:
            for first in range(0, len(text) or 1, EVENT):
                yield text[first : first + EVENT].decode(errors="replace")


def around(
    config: Mapping[str, Any], request_id: str, took: Took, status: str
) -> tuple[list[str], list[str]]:
    """Return what Lambda writes before and after the output of an invocation.

    https://docs.aws.amazon.com/lambda/latest/dg/telemetry-schema-reference.html, for JSON
    """
    settings, version = config.get("LoggingConfig") or {}, config["Version"]
    duration, size = 1000 * took.duration, config.get("MemorySize", 128)
    init = None if took.init is None else 1000 * took.init
    if settings.get("LogFormat") == "JSON":
        metrics = {
            "durationMs": round(duration, 3),
            "billedDurationMs": math.ceil(duration),
            "memorySizeMB": size,
            "maxMemoryUsedMB": took.memory,
            **({} if init is None else {"initDurationMs": round(init, 3)}),
        }
        report = {"requestId": request_id, "metrics": metrics, "status": status or "success"}
        start = platform("start", {"requestId": request_id, "version": version})
        only_failures = settings.get("SystemLogLevel") == "WARN"
        return (
            [] if only_failures else [start],
            [] if only_failures and not status else [platform("report", report)],
        )
    report_line = (
        f"REPORT RequestId: {request_id}\tDuration: {duration:.2f} ms\t"
        f"Billed Duration: {math.ceil(duration)} ms\tMemory Size: {size} MB\t"
        f"Max Memory Used: {took.memory} MB"
        + ("" if init is None else f"\tInit Duration: {init:.2f} ms")
        + (f"\tStatus: {status}" if status else "")
    )
    start = f"START RequestId: {request_id} Version: {version}"
    return [start], [f"END RequestId: {request_id}", report_line]


def platform(kind: str, record: dict[str, Any]) -> str:
    """Return an event of Lambda's own in JSON."""
    return json.dumps({"time": timestamp(), "type": f"platform.{kind}", "record": record})


def timestamp() -> str:
    """Return the time as Lambda writes it."""
    now = datetime.now(timezone.utc).isoformat(timespec="milliseconds")
    return now.replace("+00:00", "Z")


def put(group: str, name: str, lines: tuple[str, ...]) -> None:
    """Write events into a log stream, and let go the oldest of all functions if it is too much."""
    now = int(time.time() * 1000)
    arn = f"arn:aws:logs:{get_region()}:{get_account_id()}:log-group:{group}:*"
    made: dict[str, Any] = {"arn": arn, "creationTime": now, "retentionInDays": None}
    made |= {name: {} for name in ("tags", "subscriptionFilters", "streams")}
    times = dict.fromkeys(("firstEventTimestamp", "lastEventTimestamp", "lastIngestionTime"))
    fresh: dict[str, Any] = {"events": [], "uploadSequenceToken": "1", "creationTime": now, **times}
    events = [{"timestamp": now, "message": line, "ingestionTime": now} for line in lines]
    with LOCK:
        streams = internals.log_groups.setdefault(group, made)["streams"]
        stream = streams.setdefault(name, fresh)
        stream["events"] += events
        first = stream["firstEventTimestamp"] or now
        stream.update(firstEventTimestamp=first, lastEventTimestamp=now, lastIngestionTime=now)
        size = sum(map(len, lines)) + 300 * len(events) + (WRITTEN[-1][2] if WRITTEN else 0)
        WRITTEN.append((stream, len(events), size))
        while size - WRITTEN[0][2] > KEPT:
            oldest, count, _ = WRITTEN.popleft()
            del oldest["events"][:count]
    internals.fan_out_log_events(group, name, events)
