"""How long a person waits for the endpoint, and for the commands that only tell."""

from __future__ import annotations

import functools
import http.client
import statistics
import time
from typing import Any
from urllib.parse import urlsplit

from sandbox.dev.pushes import timed
from sandbox.dev.student import PYTHON, Student
from sandbox.laptop.terminal import say

REQUESTS = 50  # of each kind, of which the median is taken


def requests(url: str, paths: dict[str, str]) -> dict[str, float]:
    """Return for each path the median of the seconds until it has answered, in turn."""
    taken: dict[str, list[float]] = {name: [] for name in paths}
    host = urlsplit(url).netloc
    for _ in range(REQUESTS):
        for name, path in paths.items():
            connection = http.client.HTTPConnection(host, timeout=30)
            start = time.perf_counter()
            connection.request("GET", path)
            with connection.getresponse() as answer:
                answer.read()
            taken[name].append(time.perf_counter() - start)
            connection.close()
            if answer.status != 200:
                raise RuntimeError(f"{path} answered {answer.status}")
    return {name: statistics.median(times) for name, times in taken.items()}


def answers(clone: Student, url: str, runs: int) -> dict[str, Any]:
    """Measure warm requests, and commands beside a Python that does nothing, in turn."""
    say("Requests, and the commands that only tell")
    paths = {"endpoint": urlsplit(url).path, "health page": "/_ministack/health"}
    requests(url, paths)  # starts what is cold
    found: dict[str, list[float]] = {}
    for _ in range(runs):
        for name, median in requests(url, paths).items():
            found.setdefault(name, []).append(median)
        for _ in range(3):
            nothing = functools.partial(clone.type, PYTHON, "-c", "pass")
            found.setdefault("python3 -c pass", []).append(timed(nothing))
            for name in ("check", "status", "url"):
                took = timed(functools.partial(clone.sandbox, name))
                found.setdefault(name, []).append(took)
    return found
