"""The console's application: which address shows which page, who may look, what a page may load."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    JSONResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Receive, Scope, Send

from sandbox import Mistake
from sandbox.account.http_server import Headers, with_headers
from sandbox.builds import pushes, queue
from sandbox.builds.records import Build, load
from sandbox.console import key, pages
from sandbox.console.render import render

HERE = Path(__file__).parent
FORM = 64 << 10  # bytes
TABS = ("phases", "reports", "variables", "details")
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


def page(name: str, status: int = 200, **values: Any) -> Response:
    """Return a page."""
    return HTMLResponse(render(f"{name}.html", **values).encode(errors="replace"), status)


def build_of(request: Request) -> Build:
    """Return the build that an address names."""
    number = request.path_params["number"]
    found = load(int(number)) if re.fullmatch("[0-9]{1,9}", number) else None
    if not found:
        raise HTTPException(404, "there is no such build")
    return found


def project(request: Request) -> Response:
    """Show the project, its builds and its endpoint."""
    return page("project", **pages.project(request.query_params.get("before")))


def state(request: Request) -> Response:
    """Answer with what a page watches: if `seen` is another, it has changed."""
    return JSONResponse(pages.state())


def log(request: Request) -> Response:
    """Show a build's log."""
    return page("log", **pages.log(build_of(request), request.query_params.get("find", "")))


def tab(request: Request) -> Response:
    """Show another tab of a build."""
    name = request.path_params["tab"]
    if name not in TABS:
        raise HTTPException(404, "there is no such page")
    return page(name, **pages.tab(build_of(request), name))


def raw(request: Request) -> Response:
    """Send a build's log as it is, piece by piece: as much as there is now, if it grows."""
    build = build_of(request)
    try:
        stream = open(build.log, "rb")
    except OSError:
        raise HTTPException(404, "this log is gone") from None
    size = os.fstat(stream.fileno()).st_size
    kind = "attachment" if "download" in request.query_params else "inline"
    headers = {
        "Content-Length": str(size),
        "Content-Disposition": f'{kind}; filename="build-{build.number}.log"',
    }
    return StreamingResponse(
        sent(stream, size), headers=headers, media_type="text/plain; charset=utf-8"
    )


def sent(stream: BinaryIO, size: int) -> Iterator[bytes]:
    """Yield so many bytes of a file, and close it."""
    with stream:
        while size and (piece := stream.read(min(size, 1 << 16))):
            size -= len(piece)
            yield piece


def function(request: Request) -> Response:
    """Show the function's versions, and the code of one."""
    return page("function", **pages.function(request.query_params.get("version", "")))


async def form_of(request: Request) -> dict[str, str]:
    """Return the fields of a form; raises HTTPException unless it has the page's token."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > FORM:
            raise HTTPException(413, "that is too much for a form")
    fields = dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))
    if not key.is_same(fields.get("token", ""), key.TOKEN):
        raise HTTPException(403, "the page is of before a restart: load it again")
    return fields


async def start_build(request: Request) -> Response:
    """Start a build of the project's source version."""
    await form_of(request)
    build = await run_in_threadpool(pushes.start)
    return RedirectResponse(f"/console/builds/{build.number}", 303)


async def stop_build(request: Request) -> Response:
    """Stop a build that runs or waits."""
    await form_of(request)
    build = await run_in_threadpool(build_of, request)
    await run_in_threadpool(queue.stop, build)
    return RedirectResponse(f"/console/builds/{build.number}", 303)


async def call(request: Request) -> Response:
    """Call the endpoint and show its answer."""
    fields = await form_of(request)
    query = fields.get("query", "")
    return await run_in_threadpool(lambda: page("project", **pages.called(query)))


def failed(request: Request, error: Exception) -> Response:
    """Show what went wrong."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    text = error.detail if isinstance(error, HTTPException) else str(error)
    hint = error.hint if isinstance(error, Mistake) else ""
    return page("error", status, message=text, hint=hint)


def refusal(request: Request) -> Response | None:
    """Return what answers a request instead of a page, if it may not look, or comes with the key.

    A browser sends the cookies of all ports of a host to each, so the cookie's name has the port.
    """
    cookie, wanted = f"sandbox-console-{os.environ.get('GATEWAY_PORT', '0')}", key.key()
    if key.is_same(request.query_params.get("key", ""), wanted):
        response = RedirectResponse(request.url.path, 303)
        response.set_cookie(
            cookie, wanted, max_age=YEAR, path="/console", httponly=True, samesite="lax"
        )
        return response
    has_key = key.is_same(request.cookies.get(cookie, ""), wanted)
    if not (has_key or request.url.path.startswith(PUBLIC)):
        return page("refused", 403)
    if not (is_own(request) or (request.method in ("GET", "HEAD") and is_looked_at(request))):
        return Response("only a page of this console may do that\n", 403)
    return None


def is_looked_at(request: Request) -> bool:
    """Tell whether a person comes to a page, by a link or an address; no other page may ask."""
    came = request.headers.get("sec-fetch-site", "none") in ("none", "same-origin")
    return came or request.headers.get("sec-fetch-dest") == "document"


def is_own(request: Request) -> bool:
    """Tell whether a form comes from a page of this very origin; its token is checked apart."""
    own = f"http://{request.headers.get('host', '')}"
    site = request.headers.get("sec-fetch-site", "same-origin")
    return request.headers.get("origin") == own and site == "same-origin"


def secured(headers: Headers) -> Headers:
    """Return the headers of an answer with those that each has."""
    found = MutableHeaders(raw=headers)
    found.update(HEADERS)
    return found.raw


@functools.cache
def application() -> ASGIApp:
    """Return the console, for requests to what is below /console."""
    routes = [
        Route("/", project),
        Route("/state", state),
        Route("/builds", start_build, methods=["POST"]),
        Route("/call", call, methods=["POST"]),
        Route("/call", RedirectResponse("/console/", 303)),  # of an answer that is loaded again
        Route("/builds/{number}/stop", stop_build, methods=["POST"]),
        Route("/builds/{number}", log),
        Route("/builds/{number}/log", raw),
        Route("/builds/{number}/{tab}", tab),
        Route("/function", function),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
    made = Starlette(
        routes=[Mount("/console", routes=routes)],
        exception_handlers={HTTPException: failed, Mistake: failed, Exception: failed},
    )

    async def guarded(scope: Scope, receive: Receive, send: Send) -> None:
        answer = refusal(Request(scope)) or made
        await answer(scope, receive, with_headers(send, secured))

    return guarded
