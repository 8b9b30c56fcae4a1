"""The console's application: which address shows which page."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
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
from starlette.types import ASGIApp

from sandbox import Mistake
from sandbox.builds import queue
from sandbox.builds.records import Build, load
from sandbox.console import guard, key, pages, start
from sandbox.console.render import render

HERE = Path(__file__).parent
FORM = 64 << 10  # bytes


class Digits(Convertor[int]):
    """A number in an address, of so many digits as Python reads."""

    regex = "[0-9]{1,9}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


TABS = ("phases", "reports", "variables", "details")


def page(name: str, status: int = 200, **values: Any) -> Response:
    """Return a page."""
    return HTMLResponse(render(f"{name}.html", **values).encode(errors="replace"), status)


def build_of(request: Request) -> Build:
    """Return the build that an address names."""
    found = load(int(request.path_params["number"]))
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
    if not key.is_token(fields.get("token", "")):
        raise HTTPException(403, "the page is of before a restart: load it again")
    return fields


async def start_build(request: Request) -> Response:
    """Start a build of the project's source version."""
    await form_of(request)
    build = await run_in_threadpool(start.start_build)
    return RedirectResponse(f"/console/builds/{build.number}", 303)


async def stop_build(request: Request) -> Response:
    """Stop a build that runs or waits."""
    await form_of(request)
    build = await run_in_threadpool(build_of, request)
    await run_in_threadpool(queue.stop, build)
    return RedirectResponse(f"/console/builds/{build.number}", 303)


def called_before(request: Request) -> Response:
    """Lead from the address of an answer, when it is loaded again, to the project."""
    return RedirectResponse("/console/", 303)


async def call(request: Request) -> Response:
    """Call the endpoint and show its answer."""
    fields = await form_of(request)
    values = await run_in_threadpool(pages.called, fields.get("query", ""))
    return await run_in_threadpool(functools.partial(page, "project", **values))


async def failed(request: Request, error: Exception) -> Response:
    """Show what went wrong."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    text = error.detail if isinstance(error, HTTPException) else str(error)
    hint = error.hint if isinstance(error, Mistake) else ""
    return await run_in_threadpool(
        functools.partial(page, "error", status, message=text, hint=hint)
    )


def refused() -> ASGIApp:
    """Return what answers a browser that has no key."""
    return page("refused", 403)


@functools.cache
def application() -> ASGIApp:
    """Return the console, for paths that begin with /console."""
    register_url_convertor("few", Digits())
    routes = [
        Route("/", project),
        Route("/state", state),
        Route("/builds", start_build, methods=["POST"]),
        Route("/call", call, methods=["POST"]),
        Route("/call", called_before),
        Route("/builds/{number:few}/stop", stop_build, methods=["POST"]),
        Route("/builds/{number:few}", log),
        Route("/builds/{number:few}/log", raw),
        Route("/builds/{number:few}/{tab}", tab),
        Route("/function", function),
        Mount("/static", StaticFiles(directory=HERE / "static")),
    ]
    made = Starlette(
        routes=[Mount("/console", routes=routes)],
        exception_handlers={HTTPException: failed, Mistake: failed, Exception: failed},
    )
    return guard.Guard(made, refused())
