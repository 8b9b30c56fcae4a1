"""What is live behind the endpoint, as the account says, and what it answers."""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar
from urllib.parse import quote, urlsplit

from sandbox.account import releases, stack

BODY = 64 << 10  # bytes of an answer that a page shows
PATIENCE = 35  # seconds; API Gateway gives up after 30
T = TypeVar("T")


@dataclass(frozen=True)
class Live:
    """What the alias points to; `weights` are the shares of other versions, 0 to 1."""

    url: str
    function: str
    version: str
    commit: str
    weights: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True)
class Answer:
    """What the endpoint has answered to which address, and after how many milliseconds."""

    sent: str
    status: int
    reason: str
    headers: tuple[tuple[str, str], ...]
    body: str
    milliseconds: float
    is_cut: bool = False


class Remembered(Generic[T]):
    """A value that is asked for again once it is older than a second: pages ask often."""

    def __init__(self, ask: Callable[[], T], seconds: float = 1.0) -> None:
        self.ask, self.seconds = ask, seconds
        self.lock, self.at = threading.Lock(), 0.0
        self.value: T | None = None

    def get(self) -> T | None:
        """Return the value, or None if the account gives none."""
        with self.lock:
            if time.monotonic() > self.at + self.seconds or self.at == 0.0:
                try:
                    self.value = self.ask()
                except Exception:  # the page says that there is nothing, and goes on asking
                    self.value = None
                self.at = time.monotonic()
            return self.value


def ask_live() -> Live:
    """Ask the account what is live."""
    found = releases.live()
    shares = tuple(sorted(found.weights.items()))
    function = stack.output("FunctionName")
    return Live(stack.url(), function, str(found.version), found.description, shares)


now: Remembered[Live] = Remembered(ask_live)


def call(url: str, query: str) -> Answer:
    """Call the endpoint as a browser would and return its answer; follows no redirection.

    Raises OSError if there is none.
    """
    parts = urlsplit(url)
    target = parts.path + ("?" + quote(query, safe="=&%+;,/?:@!$'()*~") if query else "")
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE)
    start = time.perf_counter()
    try:
        connection.request("GET", target)
        response = connection.getresponse()
        body = response.read(BODY + 1)
        took = 1000 * (time.perf_counter() - start)
    except http.client.HTTPException as error:
        raise OSError(f"the answer is no HTTP: {error!r}") from None
    finally:
        connection.close()
    return Answer(
        f"{parts.scheme}://{parts.netloc}{target}",
        response.status,
        response.reason,
        tuple(response.getheaders()[:100]),
        body[:BODY].decode(errors="replace"),
        took,
        len(body) > BODY,
    )
