"""The server that MiniStack runs in, hypercorn with h11: what it is to do otherwise, and ASGI."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import h11._events
import h11._readers
from hypercorn.asyncio.tcp_server import TCPServer

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]


def with_headers(send: Send, change: Callable[[Headers], Headers]) -> Send:
    """Return a `send` that changes the headers of an answer."""

    async def sent(message: Message) -> None:
        if "headers" in message:
            message = {**message, "headers": change(message["headers"])}
        await send(message)

    return sent


def read_raw_queries() -> None:
    """Let h11 read a query that is not encoded, as browsers and curl send it; it answers 400."""
    target = rb"[\x21-\x3e\x40-\x7e]+(?:\?[\x21-\x7e\x80-\xff]*)?"
    line = h11._readers.request_line_re.pattern.replace(
        h11._events.request_target_re.pattern, target
    )
    h11._readers.request_line_re, h11._events.request_target_re = (
        re.compile(line),
        re.compile(target),
    )


def close_what_is_closed() -> None:
    """Let hypercorn close a connection that its client has closed.

    It waits for the end of the time that it keeps an idle one open, which is 75 seconds here.
    """
    read = TCPServer._read_data

    async def read_and_close(self: TCPServer) -> None:
        await read(self)
        await self.idle_task.stop()

    TCPServer._read_data = read_and_close  # type: ignore[method-assign]
