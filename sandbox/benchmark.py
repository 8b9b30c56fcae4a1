"""The benchmark: what a push costs beside the bare commands of its buildspec, measured on a fresh clone.

Runs take turns (A B A B), figures are medians, and the table quotes ratios: absolute seconds depend
on the machine and on what else it does.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import yaml

from sandbox.laptop import CACHE, IMAGE, ROOT, VENV, say

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PYTHON = getattr(sys, "_base_executable", sys.executable)
GOALS = {
    "push → live against the floor": ("≤ 1.35", lambda ratio: ratio <= 1.35),
    "sam build && sam deploy against git push, each to its end": ("≥ 2", lambda ratio: ratio >= 2),
    "runner's cost per command over sh -c, ms": ("≤ 10", lambda value: value <= 10),
    "fresh clone → first 200, warm caches, s": ("≤ 20", lambda value: value <= 20),
    "handler, warm, against json.dumps of the same answer": ("≤ 1.5", lambda ratio: ratio <= 1.5),
    "push → live after 1,000 builds against the first": ("≤ 1.1", lambda ratio: ratio <= 1.1),
    "memory with a 100 MB log over the idle runner, MB": ("≤ 100", lambda value: value <= 100),
}
# A function in the way of `sam`, with the same handler behind the same kind of endpoint.
SAM = """
Resources:
  Role:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{Effect: Allow, Principal: {Service: lambda.amazonaws.com}, Action: sts:AssumeRole}]
  Function:
    Type: AWS::Lambda::Function
    Properties: {FunctionName: by_sam, Handler: hello_user.hello_user_handler, Runtime: python3.13,
                 Role: !GetAtt Role.Arn, Code: src/}
  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: by_sam, ProtocolType: HTTP}}
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Function.Arn,
                 PayloadFormatVersion: "2.0"}
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: GET /hello_user, Target: !Sub "integrations/${Integration}"}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: default, AutoDeploy: true}}
Outputs:
  Api: {Value: !Ref Api}
"""
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
    warm.append(min(timeit.repeat(lambda: hello_user.hello_user_handler(event, None), number=20000, repeat=3)))
    bare.append(min(timeit.repeat(lambda: json.dumps(answer), number=20000, repeat=3)))
print(json.dumps([first, sorted(warm)[3] / 20000, sorted(bare)[3] / 20000]))
"""


class Clone:
    """A fresh clone of this repository's HEAD with a HOME of its own."""

    def __init__(self, folder: Path, warm: bool):
        self.folder, self.home = folder / "clone", folder / "home"
        self.home.mkdir(parents=True)
        self.env = {name: value for name, value in os.environ.items()
                    if not name.startswith(("AWS_", "GIT_", "PYTHON", "UV_CACHE"))} | {"HOME": str(self.home)}
        if warm:
            self.env["UV_CACHE_DIR"] = json.loads((IMAGE / "settings.json").read_text())["cache"]
            self.env["PIP_CACHE_DIR"] = str(CACHE / "pip")
        else:
            self.env |= {"UV_CACHE_DIR": str(folder / "cache"), "PIP_NO_CACHE_DIR": "1"}
        self.type("git", "clone", "-q", ROOT, self.folder, cwd=folder)
        self.type("git", "config", "user.name", "Benchmark")
        self.type("git", "config", "user.email", "benchmark@example.com")
        self.count = 0

    def type(self, *command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
        done = subprocess.run(list(map(str, command)), cwd=cwd or self.folder, env=env or self.env, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL)
        if done.returncode:
            raise RuntimeError(f"{command} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return done.stdout

    def sandbox(self, *arguments: str) -> str:
        return self.type(PYTHON, "-m", "sandbox", *arguments)

    def change(self, path: str = "hello_user.py") -> str:
        """Change the handler, and return the answer that it then gives to a caller without a user."""
        self.count += 1
        file = self.folder / path
        file.write_text(re.sub(r'else "[^"]*"', f'else "hello {self.count}"', file.read_text()))
        tests = self.folder / "test_hello_world.py"
        tests.write_text(re.sub(r'"hello [^"]*"}', f'"hello {self.count}"}}', tests.read_text()))
        return f"hello {self.count}"

    def settle(self) -> None:
        """Wait until the environment of the next build is ready and nothing works any more."""
        deadline = time.monotonic() + 120
        while not (self.folder / ".sandbox/image/spare/key").exists() and time.monotonic() < deadline:
            time.sleep(0.1)
        os.sync()  # what `up` and the last run have written is not this run's to wait for
        time.sleep(0.5)


def answer(url: str) -> str:
    with contextlib.suppress(OSError, ValueError), DIRECT.open(url, timeout=30) as reply:
        return str(json.load(reply)["message"])
    return ""


def seconds_until(url: str, wanted: str, action: Callable[[], Any]) -> tuple[float, float]:
    """Return the seconds until the endpoint gives the wanted answer, and those until the action has ended, too."""
    start = time.perf_counter()
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(action)
        while answer(url) != wanted:
            if time.perf_counter() - start > 300 or done.done() and done.exception():
                raise RuntimeError(f"{url} never answered {wanted!r}") from done.exception(timeout=0)
            time.sleep(0.05)
        live = time.perf_counter() - start
        done.result()
    return live, time.perf_counter() - start


def measure(runs: int, growth: tuple[int, ...]) -> dict[str, Any]:
    """Run the whole benchmark and return what it measured, in seconds unless a name says otherwise."""
    found: dict[str, Any] = {"machine": {"cores": os.cpu_count(), "python": sys.version.split()[0],
                                         "platform": sys.platform}, "runs": runs}
    with tempfile.TemporaryDirectory(prefix="benchmark-", ignore_cleanup_errors=True) as name, \
            contextlib.ExitStack() as end:

        def new_clone(folder: str, warm: bool) -> Clone:
            clone = Clone(Path(name, folder), warm)
            # Not before the end: when many files were deleted, each new one takes ext4 longer for some minutes
            # if it has no journal, as in many a virtual machine: recently_deleted() in Linux' fs/ext4/ialloc.c.
            end.callback(clone.sandbox, "down")
            return clone

        for title, count in (("warm caches", runs), ("empty caches", 1)):
            say(f"Fresh clone → first 200, {title}")
            found[f"fresh clone, {title}"] = [first_answer(new_clone(f"{title} {run}", title == "warm caches"))
                                              for run in range(count)]
        clone = new_clone("main", warm=True)
        clone.sandbox("up")
        url = clone.sandbox("url").strip()
        found |= pushes(clone, url, runs)
        found |= by_sam(clone, runs)
        found |= commands(clone)
        found |= big_log(clone)
        found |= handler(clone)
        found |= grown(clone, url, runs, growth)
    return found


def first_answer(clone: Clone) -> float:
    """Return the seconds from a fresh clone to the first 200 of its endpoint."""
    os.sync()
    start = time.perf_counter()
    url = clone.sandbox("up").splitlines()[0]
    if answer(url) != "hello user":
        raise RuntimeError("the endpoint did not answer")
    took = time.perf_counter() - start
    clone.settle()  # the next one shall have the machine for itself
    return took


def aws_environment(clone: Clone) -> dict[str, str]:
    """Return what `python3 -m sandbox env` prints, as an environment."""
    text = clone.type("bash", "-c", f'eval "$({PYTHON} -m sandbox env)"; env -0')
    return dict(item.split("=", 1) for item in text.split("\0") if "=" in item)


def pushes(clone: Clone, url: str, runs: int) -> dict[str, Any]:
    """Measure a push against the same commands in a plain shell, in turn."""
    say("Push → live, and the floor: the same commands in a ready environment")
    venv = clone.folder.parent / "floor"
    clone.type(VENV / "bin" / "uv", "venv", "-q", "--seed", venv)
    clone.type(venv / "bin" / "pip", "install", "-q", "-r", "requirements.txt")
    spec = yaml.safe_load((clone.folder / "buildspec.yml").read_text())
    script = "set -e\n" + "\n".join(
        command for phase in ("pre_build", "build", "post_build") for command in spec["phases"][phase]["commands"])
    env = aws_environment(clone) | spec["env"]["variables"]
    env |= {"PATH": f"{venv}/bin:{env['PATH']}", "CODEBUILD_BUILD_SUCCEEDING": "1",
            "CODEBUILD_RESOLVED_SOURCE_VERSION": "floor"}
    taken: dict[str, list[tuple[float, float]]] = {"floor": [], "push": [], "push at once": []}
    clone.type("sh", "-c", script, env=env)  # compiles what the floor needs, as a ready environment has it
    for _ in range(runs):
        clone.settle()
        wanted = clone.change()
        taken["floor"].append(seconds_until(url, wanted, lambda: clone.type("sh", "-c", script, env=env)))
        for kind in ("push", "push at once"):
            if kind == "push":
                clone.settle()
            wanted = clone.change()
            clone.type("git", "commit", "-qam", wanted)
            taken[kind].append(seconds_until(url, wanted, lambda: clone.type("git", "push", "-q", "sandbox")))
    return {kind: [live for live, _ in times] for kind, times in taken.items()}


def by_sam(clone: Clone, runs: int) -> dict[str, Any]:
    """Measure the same change with sam build && sam deploy, if sam is on this machine."""
    if not shutil.which("sam"):
        return {"sam": []}
    say("sam build && sam deploy")
    folder = clone.folder.parent / "sam"
    (folder / "src").mkdir(parents=True)
    (folder / "template.yaml").write_text(SAM)
    shutil.copy(clone.folder / "hello_user.py", folder / "src")
    env = aws_environment(clone) | {"SAM_CLI_TELEMETRY": "0"}
    command = ("sam build -t template.yaml >/dev/null && sam deploy --stack-name by-sam --s3-bucket by-sam "
               "--capabilities CAPABILITY_IAM --no-confirm-changeset --no-progressbar >/dev/null")
    clone.type("aws", "s3", "mb", "s3://by-sam", env=env)  # sam's own bucket needs a transform that MiniStack lacks
    clone.type("sh", "-c", command, cwd=folder, env=env)
    api = clone.type("aws", "cloudformation", "describe-stacks", "--stack-name", "by-sam", "--query",
                     "Stacks[0].Outputs[0].OutputValue", "--output", "text", env=env).strip()
    url = f"{env['AWS_ENDPOINT_URL']}/_aws/execute-api/{api}/default/hello_user"
    taken, beside = [], []
    push_url = clone.sandbox("url").strip()
    for _ in range(runs):
        clone.settle()
        wanted = clone.change()
        shutil.copy(clone.folder / "hello_user.py", folder / "src")
        taken.append(seconds_until(url, wanted, lambda: clone.type("sh", "-c", command, cwd=folder, env=env)))
        clone.settle()
        wanted = clone.change()
        clone.type("git", "commit", "-qam", wanted)
        beside.append(seconds_until(push_url, wanted, lambda: clone.type("git", "push", "-q", "sandbox")))
    both = (("sam", taken), ("push beside sam", beside))
    return {f"{kind}{until}": [pair[place] for pair in times] for kind, times in both
            for place, until in ((0, ""), (1, ", to its end"))}


@contextlib.contextmanager
def with_buildspec(clone: Clone, command: str, times: int = 1) -> Iterator[None]:
    """Commit a buildspec of one command, and take it back afterwards."""
    before = clone.type("git", "rev-parse", "HEAD").strip()
    lines = "".join(f"      - {command}\n" for _ in range(times))
    (clone.folder / "buildspec.yml").write_text(f"version: 0.2\nphases:\n  build:\n    commands:\n{lines}")
    clone.type("git", "commit", "-qam", "Benchmark")
    clone.settle()
    try:
        yield
    finally:
        clone.type("git", "reset", "-q", "--hard", before)


def commands(clone: Clone) -> dict[str, Any]:
    """Measure 100 commands `true` in a build against 100 times sh -c true."""
    say("100 commands")
    bare = []
    with with_buildspec(clone, "true", 100):
        clone.type("git", "push", "-qf", "sandbox")
        log = newest_log(clone).read_text()
        for _ in range(100):
            start = time.perf_counter()
            subprocess.run(["sh", "-c", "true"], check=True)
            bare.append(time.perf_counter() - start)
    stamps = re.findall(r"^\[Container\] \S+ (\d+):(\d+):(\S+) Running command true$", log, re.MULTILINE)
    times = [3600 * int(hours) + 60 * int(minutes) + float(rest) for hours, minutes, rest in stamps]
    return {"command in a build": [after - before for before, after in zip(times, times[1:])], "sh -c": bare}


def newest_log(clone: Clone) -> Path:
    return max((clone.folder / ".sandbox/builds").iterdir(), key=lambda path: int(path.name)) / "log"


def big_log(clone: Clone) -> dict[str, Any]:
    """Measure a build that prints 100 MB, and its processes' peak memory against an idle build's."""
    say("A log of 100 MB")
    peaks, took = {}, 0.0
    for kind, command in (("idle", "sleep 2"), ("100 MB", "yes a line of sixty-four characters that a build prints, "
                                                          "again and again | head -c 100000000")):
        with with_buildspec(clone, command):
            done = threading.Event()
            peak: dict[str, int] = {"work": 0, "receive": 0}
            watcher = threading.Thread(target=watch, args=(clone, peak, done))
            watcher.start()
            start = time.perf_counter()
            clone.type("git", "push", "-qf", "sandbox")
            took = time.perf_counter() - start
            done.set()
            watcher.join()
            peaks[kind] = peak
    return {"100 MB log, seconds": took, "100 MB log, bytes kept": newest_log(clone).stat().st_size,
            "peak memory, bytes": peaks}


def watch(clone: Clone, peak: dict[str, int], done: threading.Event) -> None:
    """Note the peak memory of the clone's runner and follower until told to stop."""
    python = str(clone.folder / ".sandbox/venv/bin/python")
    while not done.wait(0.02):
        for process in psutil.process_iter(["cmdline", "cwd", "memory_info"]):
            line = process.info["cmdline"] or []
            if line[1:4] in (["-m", "sandbox", "work"], ["-u", "-m", "sandbox"]) and (
                    line[0] == python or process.info["cwd"] == str(clone.folder)):
                kind = line[-1]
                peak[kind] = max(peak[kind], process.info["memory_info"].rss)


def handler(clone: Clone) -> dict[str, Any]:
    """Measure the handler itself, and the size of its zip."""
    say("The handler")
    first, warm, bare = json.loads(clone.type(VENV / "bin" / "python", "-c", HANDLER))
    clone.type(VENV / "bin" / "python", "-m", "zipfile", "-c", "hello_user.zip", "hello_user.py")
    return {"handler, import and first call": first, "handler, warm": warm, "json.dumps": bare,
            "zip, bytes": (clone.folder / "hello_user.zip").stat().st_size}


def grown(clone: Clone, url: str, runs: int, growth: tuple[int, ...]) -> dict[str, Any]:
    """Measure push → live after so many kept builds and versions.

    The versions are published into the account through its API; the records and logs of builds are
    copies of real ones.
    """
    env = aws_environment(clone)
    publish = (
        "import botocore.session, sys\n"
        "functions = botocore.session.Session().create_client('lambda')\n"
        "zips = [open(path, 'rb').read() for path in sys.argv[2:]]\n"
        "for number in range(int(sys.argv[1])):\n"
        "    functions.update_function_code(FunctionName='hello_user', ZipFile=zips[number % 2])\n"
        "    functions.publish_version(FunctionName='hello_user', Description='benchmark')\n")
    result: dict[str, Any] = {"growth": {}, "account memory, bytes": {}}
    zips = sorted((clone.folder / ".sandbox/releases").glob("*.zip"))[:2]
    for size in (0, *growth):
        say(f"After {size} more builds and versions")
        builds = clone.folder / ".sandbox/builds"
        have = len(list(builds.iterdir()))
        model = next(path for path in builds.iterdir() if "SUCCEEDED" in (path / "build.json").read_text())
        for number in range(have + 1, size + 1):
            shutil.copytree(model, builds / str(number))
            record = json.loads((model / "build.json").read_text()) | {"number": number}
            (builds / str(number) / "build.json").write_text(json.dumps(record))
        clone.type(VENV / "bin" / "python", "-c", publish, str(max(0, size - have)), *zips, env=env)
        taken = []
        for run in range(runs + 1):
            clone.settle()
            wanted = clone.change()
            clone.type("git", "commit", "-qam", wanted)
            _, took = seconds_until(url, wanted, lambda: clone.type("git", "push", "-qf", "sandbox"))
            if run:  # the first one after a jump keeps copies of all the new versions
                taken.append(took)
        result["growth"][str(size)] = taken
        state = json.loads((clone.folder / ".sandbox/account/ministack.json").read_text())
        result["account memory, bytes"][str(size)] = psutil.Process(state["pid"]).memory_info().rss
    return result


def table(found: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Return the rows of the table: what, goal, reached, and whether that meets the goal."""
    median = statistics.median
    peaks = found["peak memory, bytes"]
    growth = found["growth"]
    reached: dict[str, float | None] = {
        "push → live against the floor": median(found["push"]) / median(found["floor"]),
        "sam build && sam deploy against git push, each to its end":
            median(found["sam, to its end"]) / median(found["push beside sam, to its end"]) if found["sam"] else None,
        "runner's cost per command over sh -c, ms":
            1000 * (median(found["command in a build"]) - median(found["sh -c"])),
        "fresh clone → first 200, warm caches, s": median(found["fresh clone, warm caches"]),
        "handler, warm, against json.dumps of the same answer": found["handler, warm"] / found["json.dumps"],
        "push → live after 1,000 builds against the first":
            median(growth["1000"]) / median(growth["0"]) if "1000" in growth else None,
        "memory with a 100 MB log over the idle runner, MB":
            max(peaks["100 MB"][kind] - peaks["idle"][kind] for kind in peaks["idle"]) / 1e6,
    }
    return [(name, goal, "not measured" if reached[name] is None else f"{reached[name]:.2f}",
             "" if reached[name] is None else "yes" if test(reached[name]) else "no")
            for name, (goal, test) in GOALS.items()]


def report(found: dict[str, Any]) -> str:
    """Return what was measured as Markdown: the table of goals, then the medians behind it."""
    rows = [("", "goal", "reached", "met"), *table(found)]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "|---|---|---|---|")
    lines.append("")
    for name in ("floor", "push", "push at once", "sam", "push beside sam", "sam, to its end",
                 "push beside sam, to its end", "fresh clone, warm caches", "fresh clone, empty caches"):
        if found.get(name):
            lines.append(f"{name}: median {statistics.median(found[name]):.2f} s of {len(found[name])}")
    lines += [f"push after {size} builds: median {statistics.median(taken):.2f} s, account "
              f"{found['account memory, bytes'][size] / 1e6:.0f} MB" for size, taken in found["growth"].items()]
    lines += [f"100 MB log: {found['100 MB log, seconds']:.1f} s, {found['100 MB log, bytes kept'] / 1e6:.0f} MB kept",
              f"handler: import and first call {1000 * found['handler, import and first call']:.2f} ms, warm "
              f"{1e6 * found['handler, warm']:.2f} µs, json.dumps {1e6 * found['json.dumps']:.2f} µs, zip "
              f"{found['zip, bytes']} bytes"]
    return "\n".join(lines)
