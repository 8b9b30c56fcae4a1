"""What many commands, a long log, a call of the handler and many builds cost."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from sandbox.dev.installs import size_of
from sandbox.dev.pushes import seconds_until
from sandbox.dev.student import Student
from sandbox.laptop.paths import PYTHON
from sandbox.laptop.terminal import say

HANDLER = """
import json, sys, time, timeit
start = time.perf_counter()
import hello_user
event = {"queryStringParameters": {"user": "CI CD Developer"}}
body = hello_user.hello_user_handler(event, None)["body"]
first = time.perf_counter() - start
answer = json.loads(body)
warm, bare = [], []
for _ in range(7):
    call = lambda: hello_user.hello_user_handler(event, None)
    warm.append(min(timeit.repeat(call, number=20000, repeat=3)))
    bare.append(min(timeit.repeat(lambda: json.dumps(answer), number=20000, repeat=3)))
print(json.dumps([first, sorted(warm)[3] / 20000, sorted(bare)[3] / 20000]))
"""


@contextlib.contextmanager
def with_buildspec(clone: Student, command: str, times: int = 1) -> Iterator[None]:
    """Commit a buildspec of one command, and take it back afterwards."""
    before = clone.git("rev-parse", "HEAD").stdout.strip()
    lines = "".join(f"      - {command}\n" for _ in range(times))
    (clone.clone / "buildspec.yml").write_text(
        f"version: 0.2\nphases:\n  build:\n    commands:\n{lines}"
    )
    clone.git("commit", "-qam", "Benchmark")
    clone.settle()
    try:
        yield
    finally:
        clone.git("reset", "-q", "--hard", before)


def commands(clone: Student) -> dict[str, Any]:
    """Measure 100 commands `true` in a build against 100 times sh -c true."""
    say("100 commands")
    bare = []
    with with_buildspec(clone, "true", 100):
        clone.git("push", "-qf", "sandbox")
        log = clone.log()
        for _ in range(100):
            start = time.perf_counter()
            subprocess.run(["sh", "-c", "true"], check=True)
            bare.append(time.perf_counter() - start)
    stamps = re.findall(
        r"^\[Container\] \S+ (\d+):(\d+):(\S+) Running command true$", log, re.MULTILINE
    )
    times = [3600 * int(hours) + 60 * int(minutes) + float(rest) for hours, minutes, rest in stamps]
    return {
        "command in a build": [after - before for before, after in itertools.pairwise(times)],
        "sh -c": bare,
    }


def newest_log(clone: Student) -> Path:
    return max((clone.clone / ".sandbox/builds").iterdir(), key=lambda path: int(path.name)) / "log"


def big_log(clone: Student) -> dict[str, Any]:
    """Measure a build that prints 100 MB, and its peak memory against an idle build's."""
    say("A log of 100 MB")
    peaks, took = {}, 0.0
    for kind, command in (
        ("idle", "sleep 2"),
        (
            "100 MB",
            "yes a line of sixty-four characters that a build prints, "
            "again and again | head -c 100000000",
        ),
    ):
        with with_buildspec(clone, command):
            done = threading.Event()
            peak: dict[str, int] = {"work": 0, "receive": 0}
            watcher = threading.Thread(target=watch, args=(clone, peak, done))
            watcher.start()
            start = time.perf_counter()
            clone.git("push", "-qf", "sandbox")
            took = time.perf_counter() - start
            done.set()
            watcher.join()
            peaks[kind] = peak
    return {
        "100 MB log, seconds": took,
        "100 MB log, bytes kept": newest_log(clone).stat().st_size,
        "peak memory, bytes": peaks,
    }


def watch(clone: Student, peak: dict[str, int], done: threading.Event) -> None:
    """Note the peak memory of the clone's runner and follower until told to stop."""
    python = str(clone.clone / ".sandbox/venv/bin/python")
    while not done.wait(0.02):
        for process in psutil.process_iter(["cmdline", "cwd", "memory_info"]):
            line = process.info["cmdline"] or []
            ours = (["-I", "sandbox/__main__.py", "work"], ["-I", "-u", "sandbox/__main__.py"])
            if line[1:4] in ours and (line[0] == python or process.info["cwd"] == str(clone.clone)):
                kind = line[-1]
                peak[kind] = max(peak[kind], process.info["memory_info"].rss)


def handler(clone: Student) -> dict[str, Any]:
    """Measure the handler itself, and the size of its zip."""
    say("The handler")
    first, warm, bare = json.loads(clone.type(PYTHON, "-c", HANDLER).stdout)
    clone.type(PYTHON, "-m", "zipfile", "-c", "hello_user.zip", "hello_user.py")
    return {
        "handler, import and first call": first,
        "handler, warm": warm,
        "json.dumps": bare,
        "zip, bytes": (clone.clone / "hello_user.zip").stat().st_size,
    }


PUBLISH = """
import botocore.session, sys, urllib.request
functions = botocore.session.Session().create_client("lambda")
name = {"FunctionName": "hello_user"}
url, count, *files = sys.argv[1:]
zips = [open(path, "rb").read() for path in files]
for number in range(int(count)):
    functions.update_function_code(**name, ZipFile=zips[number % 2])
    functions.get_function_configuration(**name)
    version = functions.publish_version(**name, Description="benchmark")["Version"]
    functions.update_alias(**name, Name="live", FunctionVersion=version)
    urllib.request.urlopen(url).close()
"""


def grown(clone: Student, url: str, runs: int, growth: tuple[int, ...]) -> dict[str, Any]:
    """Measure push → live after so many kept builds, and versions of which each was asked once.

    The versions are published into the account through its API; the records and logs of builds are
    copies of real ones.
    """
    env = clone.aws_environment()
    result: dict[str, Any] = {"growth": {}, "account": {}, "kept": {}}
    zips = sorted((clone.clone / ".sandbox/releases").glob("*.zip"))[:2]
    for size in (0, *growth):
        say(f"After {size} more builds and versions")
        builds = clone.clone / ".sandbox/builds"
        have = len(list(builds.iterdir()))
        model = newest_log(clone).parent
        for number in range(have + 1, size + 1):
            shutil.copytree(model, builds / str(number))
            record = json.loads((model / "build.json").read_text()) | {"number": number}
            (builds / str(number) / "build.json").write_text(json.dumps(record))
        clone.type(PYTHON, "-c", PUBLISH, url, str(max(0, size - have)), *zips, env=env)
        taken = []
        for run in range(runs + 1):
            clone.settle()
            wanted = clone.change()
            clone.git("commit", "-qam", wanted)
            _, took = seconds_until(url, wanted, lambda: clone.git("push", "-qf", "sandbox"))
            if run:  # the first one after a jump keeps copies of all the new versions
                taken.append(took)
        clone.settle()
        result["growth"][str(size)] = taken
        result["account"][str(size)] = account_of(clone)
        result["kept"][str(size)] = {
            name: size_of(clone.clone / ".sandbox" / name) for name in ("builds", "account")
        }
    return result


def account_of(clone: Student) -> dict[str, int]:
    """Return the memory of the account with all that it has started, and how many these are."""
    state = json.loads((clone.clone / ".sandbox/account/ministack.json").read_text())
    account = psutil.Process(state["pid"])
    warm = account.children(recursive=True)
    memory = sum(process.memory_info().rss for process in (account, *warm))
    return {"bytes": memory, "warm processes": len(warm)}
