"""A build's log in CloudWatch Logs, where `aws logs filter-log-events` finds it as on AWS."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sandbox.account.clients import client

LIMIT = 4 << 20  # bytes of a log that are sent, half while it grows; the account is in memory
# Limits of PutLogEvents: 10,000 events or 1 MiB in a call, 26 bytes counted for each event.
# https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutLogEvents.html
EVENTS, BYTES, EVENT_BYTES = 10_000, 1 << 20, 26


def send(
    log: Path,
    sent: Path,
    group: str,
    stream: str,
    credentials: Mapping[str, str],
    is_all: bool,
) -> None:
    """Put what is new in a build's log into a log stream, with the build role's permissions.

    `sent` is the file that says how much of it is there already. Of a long log that `is_all`, what
    is left out is its middle.
    """
    logs = client("logs", credentials)
    names = {"logGroupName": group, "logStreamName": stream}
    at, left_out = int(sent.read_text()) if sent.exists() else 0, b""
    if is_all or not sent.exists():
        with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
            logs.create_log_stream(**names)
            at = 0  # also if an account that was killed has lost the stream
        sent.write_text(str(at))
    with open(log, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        if is_all and size - at > LIMIT:
            left_out = b"[sandbox] %d bytes are left out here\n" % (size - LIMIT // 2 - at)
            at = size - LIMIT // 2
        file.seek(at)
        data = file.read(LIMIT if is_all else max(LIMIT // 2 - at, 0))
    if not is_all:
        data = data[: data.rfind(b"\n") + 1]
    for events in batches((left_out + data).decode(errors="replace").splitlines()):
        logs.put_log_events(**names, logEvents=events)
    sent.write_text(str(at + len(data)))


def batches(lines: list[str]) -> Iterator[list[dict[str, Any]]]:
    """Yield lines as events, as many at a time as one call takes."""
    now = int(time.time() * 1000)
    events: list[dict[str, Any]] = []
    room = 0
    for line in lines:
        piece = line[:60_000] or " "
        size = 4 * len(piece) + EVENT_BYTES
        if len(events) == EVENTS or room + size > BYTES:
            yield events
            events, room = [], 0
        events.append({"timestamp": now, "message": piece})
        room += size
    if events:
        yield events
