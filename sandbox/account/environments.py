"""A function's execution environments: processes that hold what Lambda gives a function.

https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import select
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psutil
from ministack.core import responses
from ministack.services import sts

from sandbox.account import internals
from sandbox.account.function_code import HOME, PACKAGES, unpack
from sandbox.account.runtime import LARGEST
from sandbox.laptop.files import delete

RUNTIME = Path(__file__).with_name("runtime.py")
# No packages but PACKAGES and the function's own, no variables of Python's, nothing written.
ISOLATED = ("-I", "-S", "-B", "-u", "-X", "utf8")
IDLE = 4  # environments that wait for a request; Lambda keeps them for some minutes
PIECE = 1 << 16  # bytes that are read or written at once, and what a pipe holds
LOGGED = 1 << 20  # bytes of output that are kept of one invocation
FRAME = struct.Struct(">cI")  # the letter and the length of what runtime.py answers


class Environment:
    """One execution environment of one version of a Python function.

    What the process writes stays in a pipe until the next request, as on Lambda, where it stands
    still meanwhile. Raises OSError if the process cannot be started.
    """

    def __init__(self, record: Mapping[str, Any]):
        config = record["config"]
        self.key = key_of(config)
        day, version = time.strftime("%Y/%m/%d", time.gmtime()), config["Version"]
        self.stream = f"{day}/[{version}]{secrets.token_hex(16)}"
        self.received, self.output, self.left_out = bytearray(), bytearray(), 0
        with contextlib.ExitStack() as stack:
            folder = Path(tempfile.mkdtemp(dir=HOME))
            stack.callback(delete, folder)
            self.task = folder / "task"
            unpack(record["code_zip"], self.task)
            for layer in config.get("Layers") or []:
                if content := internals.layer_zip(layer):
                    unpack(content, folder / "opt")
            self.process = self.start(config, folder / "opt", stack)
            self.release = stack.pop_all().close

    def start(
        self, config: Mapping[str, Any], layers: Path, stack: contextlib.ExitStack
    ) -> subprocess.Popen[bytes]:
        """Start the process, with pipes for requests, answers and log.

        A fourth one is closed when this process ends, however it does: then the other ends, too.
        """
        with contextlib.ExitStack() as given:

            def pipe(ours: int) -> tuple[int, int]:
                ends = os.pipe()
                stack.callback(os.close, ends[ours])
                given.callback(os.close, ends[1 - ours])
                os.set_blocking(ends[ours], False)
                return ends[ours], ends[1 - ours]

            self.requests, requests = pipe(1)
            self.answers, answers = pipe(0)
            self.log, log = pipe(0)
            _, account = pipe(1)
            python = layers / "python"
            path = [python / f"lib/{config.get('Runtime', '')}/site-packages", python]
            arguments = [requests, answers, account, PACKAGES, *filter(Path.exists, path)]
            return subprocess.Popen(
                [sys.executable, *ISOLATED, RUNTIME, *map(str, arguments)],
                cwd=self.task,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=(requests, answers, account),
                env=variables(config, self.task, self.stream),
                start_new_session=True,
            )

    def frame(self, wanted: bytes, until: float, request: bytes = b"") -> tuple[str, bytes] | None:
        """Send a request and return the next frame of one of these letters.

        Return None at the deadline, and an empty letter if the process has ended.
        """
        poll, rest = select.poll(), memoryview(request)
        for pipe in (self.answers, self.log):
            poll.register(pipe, select.POLLIN)
        if rest:
            poll.register(self.requests, select.POLLOUT)
        while True:
            left, ended = until - time.monotonic(), not self.alive()
            piece = b""
            # The process may end while one that it has started holds its pipes: hence 0.1 s.
            for pipe, _ in poll.poll(0 if ended else 1000 * max(0, min(left, 0.1))):
                if pipe == self.log and not self.read_log():
                    poll.unregister(self.log)
                elif pipe == self.answers:
                    piece = os.read(self.answers, PIECE)
                    self.received += piece
                    if not piece:
                        poll.unregister(self.answers)
                elif pipe == self.requests:
                    with contextlib.suppress(BlockingIOError, BrokenPipeError):
                        rest = rest[os.write(self.requests, rest[:PIECE]) :]
                    if not rest or ended:
                        poll.unregister(self.requests)
            found = self.taken(wanted)
            if found or (ended and not piece) or left <= 0:
                self.read_log(PIECE)  # all that it had written before it answered
                return found or (("", b"") if ended else None)

    def taken(self, wanted: bytes) -> tuple[str, bytes] | None:
        """Take the next frame of one of these letters from what was received, if it is whole."""
        while len(self.received) >= FRAME.size:
            letter, size = FRAME.unpack_from(self.received)
            if size > LARGEST:  # no frame of runtime.py's
                self.kill()
            if size > LARGEST or len(self.received) < FRAME.size + size:
                break
            body = bytes(self.received[FRAME.size : FRAME.size + size])
            del self.received[: FRAME.size + size]
            if letter in wanted:
                return letter.decode(), body
        return None

    def read_log(self, size: int = 1) -> bool:
        """Read so many bytes of the output, if they are there; tell whether there may be more."""
        with contextlib.suppress(BlockingIOError):
            while size > 0:
                piece = os.read(self.log, PIECE)
                if not piece:
                    return False
                room = max(0, LOGGED - len(self.output))
                self.output += piece[:room]
                self.left_out += len(piece[room:])
                size -= len(piece)
        return True

    def logged(self) -> tuple[bytes, int]:
        """Return the output since the last time, and how many bytes of it are left out."""
        found = bytes(self.output), self.left_out
        self.output, self.left_out = bytearray(), 0
        return found

    def memory(self) -> int:
        """Return how much memory the process has taken at most, in MB; 0 if nobody knows."""
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            peak = re.search(r"VmHWM:\s+(\d+)", status)
            return int(peak[1]) >> 10 if peak else 0
        with contextlib.suppress(psutil.Error):  # macOS, which knows what it takes now
            return int(psutil.Process(self.process.pid).memory_info().rss) >> 20
        return 0

    def alive(self) -> bool:
        """Tell whether the process has not ended."""
        return self.process.poll() is None

    def kill(self) -> None:
        """Kill the process and all that it has started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def end(self) -> None:
        """Kill the process and all that it has started, and let a thread tidy up."""
        self.kill()
        threading.Thread(target=self.forget, daemon=True).start()

    def forget(self) -> None:
        """Wait for the end of the process, close its pipes and remove its folder."""
        self.process.wait()
        with contextlib.suppress(OSError):  # the next account tries again
            self.release()


LOCK = threading.Lock()
WAITING: list[Environment] = []  # the one that has worked last is the last


def key_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what tells the environments of one version from all others."""
    return tuple(str(config.get(name)) for name in ("FunctionName", "Version", "RevisionId"))


def take(record: Mapping[str, Any]) -> tuple[Environment, bool]:
    """Return an environment of this version, and whether it is a new one; see Environment."""
    key = key_of(record["config"])
    with LOCK:
        found = [waiting for waiting in WAITING if waiting.key == key]
        if found:
            WAITING.remove(found[-1])
    if found and found[-1].alive():
        return found[-1], False
    if found:
        found[-1].end()
    return Environment(record), True


def give_back(environment: Environment) -> None:
    """Let an environment wait for the next request, and end the oldest if too many wait."""
    with LOCK:
        WAITING.append(environment)
        ended = WAITING[:-IDLE]
        del WAITING[:-IDLE]
    for oldest in ended:
        oldest.end()


def variables(config: Mapping[str, Any], task: Path, stream: str) -> dict[str, str]:
    """Return the environment of a function, and the account's address for its SDK.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    region = responses.get_region()
    own = (config.get("Environment") or {}).get("Variables") or {}
    return {name: str(value) for name, value in own.items()} | {
        "_HANDLER": config.get("Handler", ""),
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.get('Runtime', '')}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.get("MemorySize", 128)),
        "AWS_LAMBDA_FUNCTION_NAME": config["FunctionName"],
        "AWS_LAMBDA_FUNCTION_VERSION": config["Version"],
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": log_group(config),
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        **log_settings(config),
        "LAMBDA_TASK_ROOT": str(task),
        "LAMBDA_RUNTIME_DIR": str(PACKAGES),
        "LANG": "en_US.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
        "PYTHONPATH": str(PACKAGES),
        "TZ": ":UTC",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        **credentials(config),
        # These are the laptop's: its address, which no proxy may carry away, and no metadata.
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }


def log_group(config: Mapping[str, Any]) -> str:
    """Return the name of a function's log group."""
    named = (config.get("LoggingConfig") or {}).get("LogGroup")
    return str(named or f"/aws/lambda/{config['FunctionName']}")


def log_settings(config: Mapping[str, Any]) -> dict[str, str]:
    """Return what the runtime is told of the format and the level of log records.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
    """
    settings = config.get("LoggingConfig") or {}
    if settings.get("LogFormat") != "JSON":
        return {}
    level = settings.get("ApplicationLogLevel", "INFO")
    return {"AWS_LAMBDA_LOG_FORMAT": "JSON", "AWS_LAMBDA_LOG_LEVEL": level}


def credentials(config: Mapping[str, Any]) -> dict[str, str]:
    """Return new credentials of a function's role, as variables."""
    role, name = config["Role"].split("/")[-1], config["FunctionName"]
    key = f"ASIA{secrets.token_hex(8).upper()}"
    secret, token = secrets.token_hex(20), secrets.token_hex(64)
    sts.register_session(
        key,
        {
            "Arn": f"arn:aws:sts::{responses.get_account_id()}:assumed-role/{role}/{name}",
            "UserId": f"{role}:{name}",
            "SecretAccessKey": secret,
            "SessionToken": token,
        },
    )
    return {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret, "AWS_SESSION_TOKEN": token}
