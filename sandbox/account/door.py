"""The door in front of the emulator: who may ask what of the account.

On AWS the control plane answers signed requests only, and an API's endpoint answers everybody. On
a laptop the neighbours are nearer: each web page in the student's browser and each other user of
the machine reaches a port of the loopback.
"""

from __future__ import annotations

import dataclasses
import json
import re
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs, quote

import h11._events
import h11._readers
from ministack.core import iam_evaluator, responses, router
from ministack.core.sigv4 import decode_header_value

from sandbox.account import internals, state
from sandbox.account.wraps import downloads, iam

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ENDPOINT = "/_aws/execute-api/"
CONSOLE = "/console/"
HEALTH = "/_ministack/health"
DOWNLOADS = "/_ministack/lambda-code/"
SESSIONS = "/_sandbox/sessions/"
# MiniStack serves these to everybody, some with the power to wipe the account.
INTERNAL = ("/_ministack", "/_localstack", "/_aws", "/_sandbox", "/restapis", "/health")
PRINTABLE = bytes(range(0x21, 0x7F))
LARGEST = 80 << 20  # bytes of a request's body: Lambda's 50 MB in base64


def door(app: App, port: int, ready: Callable[[], None], console: App | None = None) -> App:
    """Return what hands on to `app` the requests that may pass, and calls `ready` at its start.

    `console` gets what is below /console, which a browser asks: it looks itself at who that is.
    """
    hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
    of_api = re.compile(rf"([a-z0-9]+)\.execute-api\.localhost:{port}")

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, then(send, ready))
            return
        if scope["type"] != "http":  # no part of the product opens a WebSocket
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = headers_of(scope)
        host = headers.get("host", "").lower()
        named = of_api.fullmatch(host)
        if named:  # the form of the stack's output
            scope = at_path(scope, ENDPOINT + named[1], f"127.0.0.1:{port}")
        path = scope["path"]
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        if path.startswith(ENDPOINT):
            await app(as_http_api(scope), receive, apart(send))
        elif host not in hosts:
            await refuse(send, f"this account is at 127.0.0.1:{port}, not at {host!r}")
        elif console and f"{path}/".startswith(CONSOLE):
            await console(scope, receive, send)
        elif "origin" in headers or headers.get("sec-fetch-site", "none") not in (
            "none",
            "same-origin",
        ):
            await refuse(send, "no web page may ask this account")
        elif path == HEALTH or (path.startswith(DOWNLOADS) and downloads.is_signed(path, query)):
            await app(scope, receive, without_cors(send))
        elif path == state.ROUTE and state.is_proof(headers.get(state.HEADER, "")):
            said = json.dumps(dataclasses.asdict(state.found())).encode()
            await respond(send, 200, {"Content-Type": "application/json"}, said)
        elif path.startswith(INTERNAL) and not path.startswith(SESSIONS):
            await refuse(send, "this is no part of AWS")
        else:
            await signed(app, scope, headers, query, receive, without_cors(send))

    return guarded


async def signed(
    app: App,
    scope: Scope,
    headers: dict[str, str],
    query: dict[str, list[str]],
    receive: Receive,
    send: Send,
) -> None:
    """Hand on a request whose header signature is right, and refuse all others as AWS does."""
    method, path = scope["method"], scope["path"]
    service = router.detect_service(method, path, headers, query)
    body = await whole(receive)
    raw = (scope.get("raw_path") or quote(path).encode()).decode("latin-1")
    key = router.extract_access_key_id({"authorization": headers.get("authorization", "")}, None)
    if body is None or not key or not headers["authorization"].startswith("AWS4-HMAC-SHA256 "):
        found: Any = iam_evaluator.AuthError(
            "MissingAuthenticationToken", "Request is missing Authentication Token"
        )
    else:
        iam_evaluator.pin_signed_request(method, raw, query, scope["headers"])
        iam_evaluator.pin_signed_body(body)
        found = iam_evaluator.authenticate(key, responses.get_account_id())
    if not isinstance(found, iam_evaluator.ResolvedCredential):
        failure = found or iam_evaluator.AuthError("AccessDenied", "The request is not signed")
        await respond(
            send, *internals.credential_failure(service, "", str(uuid.uuid4()), failure, headers)
        )
    elif path.startswith(SESSIONS):
        if method != "DELETE" or found.principal_type != "Root":
            await refuse(send, "only the sandbox itself ends a session")
            return
        ended = iam.end_session(path.removeprefix(SESSIONS))
        await respond(
            send, 200, {"Content-Type": "application/json"}, json.dumps({"ended": ended}).encode()
        )
    else:
        await app(scope, once(body or b"", receive), send)


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers as MiniStack reads them: repeated ones joined."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), decode_header_value(value)
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


def as_http_api(scope: Scope) -> Scope:
    """Return a request as an HTTP API reads it.

    Repeated headers are joined by commas, and a query that is not encoded is encoded.
    """
    headers: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        mark = b"; " if name == b"cookie" else b","
        headers[name] = headers[name] + mark + value if name in headers else value
    query = quote(scope["query_string"], safe=PRINTABLE).encode()
    return {**scope, "headers": [*headers.items()], "query_string": query}


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


def at_path(scope: Scope, prefix: str, host: str) -> Scope:
    """Return a request to an API's own host name in the form that needs no name."""
    headers = [(name, value) for name, value in scope["headers"] if name != b"host"]
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    return {
        **scope,
        "path": prefix + scope["path"],
        "raw_path": prefix.encode() + raw,
        "headers": [*headers, (b"host", host.encode())],
    }


async def whole(receive: Receive) -> bytes | None:
    """Return a request's body, or None if the client has gone or sends too much."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > LARGEST:
            return None
    return b"".join(parts)


def once(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that gives a body that was read already."""
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> Message:
        return messages.pop() if messages else await receive()

    return replayed


def without_cors(send: Send) -> Send:
    """Return a `send` that tells no browser that a page may read the answer."""

    async def sent(message: Message) -> None:
        if "headers" in message:
            message = {
                **message,
                "headers": [
                    (name, value)
                    for name, value in message["headers"]
                    if not name.lower().startswith(b"access-control-")
                ],
            }
        await send(message)

    return sent


def apart(send: Send) -> Send:
    """Return a `send` that gives a function's page an origin of its own.

    On AWS the console has another name than an endpoint. Here they share one, and a page of the
    function would be a page of the console: https://www.w3.org/TR/CSP3/#directive-sandbox
    """

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = [*message["headers"]]
            kinds = [value for name, value in headers if name.lower() == b"content-type"]
            if any(word in kind.lower() for kind in kinds for word in (b"html", b"xml")):
                headers.append((b"content-security-policy", b"sandbox allow-scripts allow-forms"))
            message = {**message, "headers": headers}
        await send(message)

    return sent


def then(send: Send, ready: Callable[[], None]) -> Send:
    """Return a `send` that calls `ready` when the emulator has read its state."""

    async def sent(message: Message) -> None:
        if message["type"] == "lifespan.startup.complete":
            ready()
        await send(message)

    return sent


async def refuse(send: Send, reason: str) -> None:
    """Answer 403 with a reason."""
    await respond(
        send, 403, {"Content-Type": "application/json"}, json.dumps({"message": reason}).encode()
    )


async def respond(send: Send, status: int, headers: dict[str, str], body: bytes) -> None:
    """Send an answer."""
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                *((name.encode(), value.encode()) for name, value in headers.items()),
                (b"content-length", str(len(body)).encode()),
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})
