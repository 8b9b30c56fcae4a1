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
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, quote

from ministack.core import iam_actions, iam_evaluator, responses, router
from ministack.core.sigv4 import decode_header_value

from sandbox.account import http_api, internals, state
from sandbox.account.http_server import App, Message, Receive, Scope, Send, with_headers
from sandbox.account.wraps import downloads, persistence

ENDPOINT = "/_aws/execute-api/"
CONSOLE = "/console/"
HEALTH = "/_ministack/health"
# MiniStack serves these to everybody, some with the power to wipe the account.
INTERNAL = ("/_ministack", "/_localstack", "/_aws", "/_sandbox", "/restapis", "/health")
LARGEST = 70_167_211  # bytes of a request's body: Lambda's, with 50 MB in base64
# Of one to an HTTP API: https://docs.aws.amazon.com/apigateway/latest/developerguide/quotas.html
PAYLOAD = 10 << 20
JSON = {"Content-Type": "application/json"}


@dataclasses.dataclass(frozen=True)
class Asked:
    """A request before the door."""

    scope: Scope
    headers: dict[str, str]
    query: dict[str, list[str]]
    is_by_name: bool  # sent to an API's own host name

    @property
    def path(self) -> str:
        return str(self.scope["path"])

    @property
    def host(self) -> str:
        return self.headers.get("host", "").lower()

    @property
    def is_of_a_page(self) -> bool:
        """Tell whether a web page asks, and not a program or a person who types an address."""
        site = self.headers.get("sec-fetch-site", "none")
        return "origin" in self.headers or site not in ("none", "same-origin")

    @property
    def is_proven(self) -> bool:
        """Tell whether the sandbox itself asks, or somebody to whom it gave this very address."""
        given = self.headers.get(state.HEADER) or self.query.get("proof", [""])[0]
        return state.is_proof(given, self.path)


Answer = Callable[[Asked, Receive, Send], Awaitable[None]]


def door(app: App, port: int, console: App | None = None) -> App:
    """Return what hands on to `app` the requests that may pass.

    `console` gets what is below /console, which a browser asks: it looks itself at who that is.
    """
    hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
    of_api = re.compile(rf"([a-z0-9]+)\.execute-api\.localhost:{port}")
    pages = passing(console or app)
    # The first question whose answer is yes decides who answers; none below it is asked.
    questions: tuple[tuple[Callable[[Asked], object], Answer], ...] = (
        (lambda asked: asked.path.startswith(ENDPOINT), api(app)),
        (lambda asked: asked.host not in hosts, refusing(f"this account is at 127.0.0.1:{port}")),
        (lambda asked: console and f"{asked.path}/".startswith(CONSOLE), pages),
        (lambda asked: asked.is_of_a_page, refusing("no web page may ask this account")),
        (lambda asked: asked.path == HEALTH, passing(app)),
        (lambda asked: asked.is_proven, ourselves),
        (lambda asked: asked.path.startswith(INTERNAL), refusing("this is no part of AWS")),
        (lambda asked: True, signed(app)),
    )

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await app(scope, receive, send)
            return
        if scope["type"] != "http":  # no part of the product opens a WebSocket
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        headers = headers_of(scope)
        query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        named = of_api.fullmatch(headers.get("host", "").lower())
        if named:  # the form of the stack's output
            scope = http_api.at_path(scope, ENDPOINT + named[1], f"127.0.0.1:{port}")
        asked = Asked(scope, headers, query, bool(named))
        answer = next(answer for applies, answer in questions if applies(asked))
        await answer(asked, receive, send)

    return guarded


def api(app: App) -> Answer:
    """Return what hands on a request to an HTTP API, which answers everybody."""

    async def answer(asked: Asked, receive: Receive, send: Send) -> None:
        body = await whole(receive, PAYLOAD)
        if body is None:
            await respond(send, 413, JSON, b'{"message":"Request Entity Too Large"}')
            return
        if not asked.is_by_name:
            send = http_api.apart(send, quote("/".join(asked.path.split("/")[:4])))
        await app(http_api.as_read(asked.scope), once(body, receive), send)

    return answer


def passing(app: App) -> Answer:
    """Return what hands on a request as it is."""
    return lambda asked, receive, send: app(asked.scope, receive, without_cors(send))


async def ourselves(asked: Asked, receive: Receive, send: Send) -> None:
    """Answer the sandbox itself, and whoever was given the address of a version's code."""
    name, _, outcome = asked.path.removeprefix(state.SESSIONS).rpartition("/")
    if asked.path == state.ROUTE:
        said = state.mended() if asked.scope["method"] == "POST" else state.found()
    elif asked.path.startswith(state.SESSIONS):
        try:
            said = state.ended(name, outcome == state.GREEN)
        except OSError as error:
            await refusing(f"its state cannot be written: {error}")(asked, receive, send)
            return
    else:
        await respond(send, 200, {"Content-Type": "application/zip"}, downloads.content(asked.path))
        return
    await respond(send, 200, JSON, json.dumps(dataclasses.asdict(said)).encode())


def refusing(reason: str) -> Answer:
    """Return what answers 403 with a reason."""
    said = json.dumps({"message": reason}).encode()
    return lambda _, receive, send: respond(send, 403, JSON, said)


def signed(app: App) -> Answer:
    """Return what hands on a request whose header signature is right; others AWS refuses, too."""

    async def answer(asked: Asked, receive: Receive, send: Send) -> None:
        what = asked.scope["method"], asked.path, asked.headers
        service = router.detect_service(*what, asked.query)
        body, who = await checked(asked, receive)
        if not isinstance(who, iam_evaluator.ResolvedCredential):
            said = internals.credential_failure(service, "", str(uuid.uuid4()), who, asked.headers)
            await respond(send, *said)
            return
        action = iam_actions.extract_iam_action(service, *what, body, asked.query)
        changes = persistence.note(service, action, who.principal_type)
        failed = False

        async def kept(message: Message) -> None:  # no answer goes that a power cut could belie
            nonlocal failed
            try:
                persistence.keep()
            except OSError as error:
                if changes and not failed:
                    failed = True
                    said = f"so until the account ends, whose state cannot be written: {error}"
                    await refusing(said)(asked, receive, send)
            if not failed:
                await send(message)

        await app(asked.scope, once(body, receive), without_cors(kept))

    return answer


async def checked(asked: Asked, receive: Receive) -> tuple[bytes, Any]:
    """Return the body of a signed request and who asks, or why it is refused.

    Whoever is unknown is refused before the body is read.
    """
    authorization = asked.headers.get("authorization", "")
    key = router.extract_access_key_id({"authorization": authorization}, None)
    missing = iam_evaluator.AuthError(
        "MissingAuthenticationToken", "Request is missing Authentication Token"
    )
    if not key or not authorization.startswith("AWS4-HMAC-SHA256 "):
        return b"", missing
    account = responses.get_account_id()
    known = iam_evaluator.resolve_credential(key, account)
    if not isinstance(known, iam_evaluator.ResolvedCredential):
        return b"", known
    body = await whole(receive, LARGEST)
    if body is None:
        text = f"Request must be smaller than {LARGEST} bytes"
        return b"", iam_evaluator.AuthError("RequestEntityTooLargeException", text)
    raw = (asked.scope.get("raw_path") or quote(asked.path).encode()).decode("latin-1")
    iam_evaluator.pin_signed_request(
        asked.scope["method"], raw, asked.query, asked.scope["headers"]
    )
    iam_evaluator.pin_signed_body(body)
    found = iam_evaluator.authenticate(key, account)
    return body, found or iam_evaluator.AuthError("AccessDenied", "The request is not signed")


def headers_of(scope: Scope) -> dict[str, str]:
    """Return the headers as MiniStack reads them: repeated ones joined."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), decode_header_value(value)
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    return headers


async def whole(receive: Receive, most: int) -> bytes | None:
    """Return a request's body, or None if the client has gone or sends more than `most` bytes."""
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            return None
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > most:
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
    cors = b"access-control-"
    return with_headers(
        send, lambda given: [each for each in given if not each[0].lower().startswith(cors)]
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
