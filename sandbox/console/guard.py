"""What stands before each page: who may look, what a form must bring, and what a page may load."""

from __future__ import annotations

import os

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox.console import key

YEAR = 365 * 24 * 3600
# Our own files and nothing else: what a log or a commit message smuggles in is never run or loaded.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer, a form of ours would say `Origin: null`
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
PUBLIC = "/console/static/"  # the style sheet of the page that says that the key is missing


class Guard:
    """Lets through who has the key, and sets the headers of each answer."""

    def __init__(self, app: ASGIApp, refused: ASGIApp) -> None:
        """Make the guard of `app`; `refused` answers who has no key."""
        self.app, self.refused = app, refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        await self.answer(Request(scope))(scope, receive, with_headers)

    def answer(self, request: Request) -> ASGIApp:
        given = request.query_params.get("key")
        if given is not None and key.is_right(given):
            return with_cookie(request)
        if not request.url.path.startswith(PUBLIC) and not key.is_right(cookie_of(request)):
            return self.refused
        if not (is_own(request) or (request.method in ("GET", "HEAD") and is_looked_at(request))):
            return Response("only a page of this console may do that\n", 403)
        return self.app


def cookie_name() -> str:
    """Return the cookie's name: a browser sends the cookies of all ports of a host to each."""
    return f"sandbox-console-{os.environ.get('GATEWAY_PORT', '0')}"


def cookie_of(request: Request) -> str:
    """Return the key that a browser has kept, or nothing."""
    for each in request.headers.get("cookie", "").split(";"):  # others' may be of any form
        name, _, value = each.partition("=")
        if name.strip() == cookie_name():
            return value.strip()
    return ""


def with_cookie(request: Request) -> Response:
    """Return the answer that gives the browser the key, and leads to the address without it."""
    response = RedirectResponse(request.url.path, 303)
    response.set_cookie(
        cookie_name(), key.key(), max_age=YEAR, path="/console", httponly=True, samesite="lax"
    )
    return response


def is_looked_at(request: Request) -> bool:
    """Tell whether a person comes to a page, by a link or an address; no other page may ask."""
    came = request.headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    return came or request.headers.get("sec-fetch-dest") == "document"


def is_own(request: Request) -> bool:
    """Tell whether a form comes from a page of this very origin; its token is checked apart."""
    own = f"http://{request.headers.get('host', '')}"
    site = request.headers.get("sec-fetch-site", "same-origin")
    return request.headers.get("origin") == own and site == "same-origin"
