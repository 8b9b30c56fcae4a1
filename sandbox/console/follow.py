"""A build that is followed while it runs: server-sent events with the HTML that a page adds."""

from __future__ import annotations

import codecs
import json
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import anyio

from sandbox.builds import progress
from sandbox.builds.records import Build, load
from sandbox.console.ansi import Painter
from sandbox.console.log import HEAD, TAIL, Piece, html_of, left_out, painted, pieces

PAUSE = 0.2  # seconds between two looks
CHUNK = 32 << 10
Render = Callable[..., str]  # a template's name and its values, to HTML


@dataclass
class Stream:
    """One piece of the log on its way to a page: where it is, and how much the page has."""

    at: int
    sent: int = 0
    painter: Painter = field(default_factory=Painter)
    decoder: Any = field(
        default_factory=lambda: codecs.getincrementaldecoder("utf-8")(errors="replace")
    )
    ended: bool = False


class Follower:
    """What one page has been told of one build."""

    def __init__(self, build: Build, render: Render) -> None:
        self.build, self.render = build, render
        self.phases: list[progress.Phase] = []
        self.streams: dict[str, Stream] = {}
        self.over = False

    def step(self) -> list[str]:
        """Return the events since the last step."""
        known = load(self.build.number)
        if known is None:
            self.over = True
            return []
        events = list(self.events(known))
        if known.has_ended:
            self.over = True
            events.append(event("end", status=known.status))
        return events

    def events(self, build: Build) -> Iterator[str]:
        done = progress.read(build.progress)
        for index, phase in enumerate(done.phases):
            if index == len(self.phases):
                self.phases.append(phase)
                yield event("phase", html=self.render("phase", phase=phase, index=index))
            elif self.phases[index] != phase:
                if self.phases[index].status != phase.status:
                    yield event(
                        "heading",
                        index=index,
                        html=self.render("heading", phase=phase, index=index),
                    )
                self.phases[index] = phase
        size = build.log.stat().st_size
        for piece in pieces(done.phases, size):
            yield from self.piece(build, piece, size)

    def piece(self, build: Build, piece: Piece, size: int) -> Iterator[str]:
        if piece.name not in self.streams:
            self.streams[piece.name] = Stream(piece.start)
            html = self.render("piece", piece=piece, html="")
            yield event("piece", index=piece.phase, html=html)
        stream = self.streams[piece.name]
        if stream.ended:
            return
        end = size if piece.end is None else piece.end
        with open(build.log, "rb") as file:
            while stream.at < end and stream.sent < HEAD + TAIL:
                file.seek(stream.at)
                data = file.read(min(CHUNK, end - stream.at))
                if not data:
                    break
                stream.at += len(data)
                stream.sent += len(data)
                html = stream.painter.paint(stream.decoder.decode(data))
                yield text(piece, html)
        if piece.end is None:
            return
        stream.ended = True
        if stream.at < end:  # there was more than a page is sent
            rest, _ = html_of(build.log, Piece(piece.phase, max(stream.at, end - TAIL), end))
            yield text(piece, left_out(max(0, end - TAIL - stream.at)) + rest)
        if piece.command:
            html = self.render("summary", piece=piece)
            yield event("done", name=piece.name, open=piece.is_open, html=html)


def text(piece: Piece, html: str) -> str:
    """Return the event that adds lines to a piece."""
    return event("text", name=piece.name, html=html if piece.command else painted(html))


def event(kind: str, **values: Any) -> str:
    """Return one server-sent event."""
    return f"event: {kind}\ndata: {json.dumps(values)}\n\n"


async def follow(build: Build, render: Render) -> AsyncIterator[str]:
    """Yield the events of a build from its beginning until it has ended."""
    follower = Follower(build, render)
    yield event("start")
    while not follower.over:
        for each in await anyio.to_thread.run_sync(follower.step):
            yield each
        await anyio.sleep(PAUSE)
