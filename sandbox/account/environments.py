"""A function's execution environments: processes that hold what Lambda gives a function.

MiniStack's own run on the packages of whoever started it, with its variables, load a module
without a limit of time, and wait 50 ms for log lines that may not come.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import importlib.util
import io
import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import zipfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ministack.core import lambda_runtime
from ministack.services import lambda_svc

from sandbox.account import internals

RUNTIME = Path(__file__).with_name("runtime.py")
# No packages but PACKAGES and the function's own, no variables of Python's, nothing written.
ISOLATED = ("-I", "-S", "-B", "-u", "-X", "utf8")
INIT = 10.0  # seconds: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtime-environment.html
# What Lambda's Python runtimes hold beside Python itself.
PACKAGES = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
# Of an invocation: the alias' ARN where it is not that of the version, its trace, its log stream.
INVOKED: contextvars.ContextVar[str] = contextvars.ContextVar("invoked", default="")
TRACE: contextvars.ContextVar[str] = contextvars.ContextVar("trace", default="")
STREAM: contextvars.ContextVar[str] = contextvars.ContextVar("stream", default="")


class Environment(lambda_runtime.Worker):  # type: ignore[misc]  # MiniStack has no types
    """One execution environment of one version of a Python function."""

    process: subprocess.Popen[str]
    retired = False
    stream = ""

    def _spawn(self) -> None:
        """Start the process; what its stdout and stderr say goes into two queues."""
        self._discard_tmpdir()
        self._tmpdir = tempfile.mkdtemp(prefix=f"lambda-{self.func_name}-")
        folder = Path(self._tmpdir).resolve()
        task, layers = folder / "task", folder / "opt"
        with zipfile.ZipFile(io.BytesIO(self.code_zip)) as code:
            code.extractall(task)
        for layer in self.config.get("Layers") or []:
            content = internals.layer_zip(layer)
            if content:
                with zipfile.ZipFile(io.BytesIO(content)) as code:
                    code.extractall(layers)
        now = datetime.now(timezone.utc)
        version = self.config.get("Version", "$LATEST")
        self.stream = f"{now:%Y/%m/%d}/[{version}]{uuid.uuid4().hex}"
        self.mark = uuid.uuid4().hex
        self.answers: queue.Queue[str] = queue.Queue()
        self.lines: queue.Queue[str] = queue.Queue()
        self._proc = self.process = process = subprocess.Popen(
            [sys.executable, *ISOLATED, RUNTIME],
            cwd=task,
            text=True,
            encoding="utf-8",
            errors="replace",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=variables(self.config, task, self.stream),
        )
        for pipe, into in ((process.stdout, self.answers), (process.stderr, self.lines)):
            threading.Thread(target=drain, args=(pipe, into), daemon=True).start()
        self.send(
            handler=self.config.get("Handler", ""),
            folder=str(task),
            mark=self.mark,
            path=[str(layers / "python")] if layers.exists() else [],
            packages=packages(),
        )

    def send(self, **fields: Any) -> None:
        """Write one line to the process; one that has ended is noticed when no answer comes."""
        with contextlib.suppress(OSError):
            print(json.dumps(fields), file=self.process.stdin, flush=True)

    def answer(self, until: float) -> tuple[dict[str, Any] | None, list[str]]:
        """Return the next answer, or None if none comes in time or at all, and what was logged."""
        try:
            text = self.answers.get(timeout=max(0.0, until - time.monotonic()))
        except queue.Empty:
            self.kill_process()
            return None, self.logged()
        if not text:
            self.process.wait(5)
        return (json.loads(text) if text else {}), self.logged()

    def logged(self) -> list[str]:
        """Return the lines up to the end of an invocation, or of the process."""
        lines: list[str] = []
        # A process that the function has left behind may keep the pipe open: hence the limit.
        with contextlib.suppress(queue.Empty):
            while line := self.lines.get(timeout=2):
                # A mark may be glued to a line that has no end.
                text, mark, end = line.rstrip("\n").partition(self.mark)
                if text or not mark:
                    lines.append(text)
                if end:
                    break
        return lines

    def kill_process(self) -> None:
        """End the process at once."""
        self.process.kill()
        self.process.wait()

    def run(self, event: Any, request_id: str, arn: str) -> dict[str, Any]:
        """Invoke the function and return `body` and `log`, and `error` if it has failed."""
        with self._lock:
            log: list[str] = []
            timeout = self.config.get("Timeout", 3)
            if self._proc is None or self._proc.poll() is not None:
                self._spawn()
                found, lines = self.answer(time.monotonic() + INIT)
                log += lines
                if found != {} or self._proc is None or self._proc.poll() is not None:
                    return self.failed(found, request_id, log, timeout)
            self.send(
                event=event,
                request_id=request_id,
                arn=arn,
                deadline=time.time() + timeout,
                trace=TRACE.get() or new_trace(),
            )
            found, lines = self.answer(time.monotonic() + timeout)
            log += lines
            if found is None or "result" not in found:
                return self.failed(found, request_id, log, timeout)
            return {"body": found["result"], "log": "\n".join(log)}

    def failed(
        self, found: dict[str, Any] | None, request_id: str, log: list[str], timeout: float
    ) -> dict[str, Any]:
        """Return what Lambda answers when a function times out, raises or ends."""
        if found is None:
            text = f"Task timed out after {timeout:.2f} seconds"
            at = (
                datetime.now(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")
            )
            log.append(f"{at} {request_id} {text}")
            body = {
                "errorType": "Sandbox.Timedout",
                "errorMessage": f"RequestId: {request_id} Error: {text}",
            }
        elif found:
            body = found["failure"]
        else:
            status = self.process.returncode
            why = (
                f"with error: exit status {status}"
                if status > 0
                else f"with error: signal: {-status}"
                if status
                else "without providing a reason"
            )
            text = f"RequestId: {request_id} Error: Runtime exited {why}"
            log += [text, "Runtime.ExitError"]
            body = {"errorType": "Runtime.ExitError", "errorMessage": text}
        return {"body": body, "error": True, "function_error": "Unhandled", "log": "\n".join(log)}


def new_trace() -> str:
    """Return a trace id in the form of X-Ray's."""
    return f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]}"


def drain(pipe: Any, into: queue.Queue[str]) -> None:
    """Put each line of a pipe into a queue, and an empty one at its end."""
    try:
        for line in pipe:
            into.put(line)
    except ValueError:  # closed while it was read
        pass
    into.put("")


@functools.cache
def packages() -> str:
    """Return a folder that holds PACKAGES and nothing else."""
    folder = Path(tempfile.mkdtemp(prefix="runtime-"))
    for name in PACKAGES:
        spec = importlib.util.find_spec(name)
        if spec and spec.origin:
            origin = Path(spec.origin)
            source = origin.parent if origin.name == "__init__.py" else origin
            (folder / (name if source.is_dir() else source.name)).symlink_to(source)
    return str(folder)


def variables(config: dict[str, Any], task: Path, stream: str) -> dict[str, str]:
    """Return the environment of a function, and the account's address for its SDK.

    https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars.html
    """
    region = lambda_svc.get_region()
    own: dict[str, str] = internals.variables_of(config)
    return own | {
        "_HANDLER": config.get("Handler", ""),
        "AWS_DEFAULT_REGION": region,
        "AWS_REGION": region,
        "AWS_EXECUTION_ENV": f"AWS_Lambda_{config.get('Runtime', '')}",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(config.get("MemorySize", 128)),
        "AWS_LAMBDA_FUNCTION_NAME": config.get("FunctionName", ""),
        "AWS_LAMBDA_FUNCTION_VERSION": config.get("Version", "$LATEST"),
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_LAMBDA_LOG_GROUP_NAME": log_group(config),
        "AWS_LAMBDA_LOG_STREAM_NAME": stream,
        "LAMBDA_TASK_ROOT": str(task),
        "LAMBDA_RUNTIME_DIR": packages(),
        "LANG": "en_US.UTF-8",
        "PATH": "/usr/local/bin:/usr/bin:/bin:/opt/bin",
        "PYTHONPATH": packages(),
        "TZ": ":UTC",
        "AWS_XRAY_CONTEXT_MISSING": "LOG_ERROR",
        **lambda_runtime.execution_credentials(config),
        # These are the laptop's: its address, which no proxy may carry away, and no metadata.
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{os.environ['GATEWAY_PORT']}",
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "127.0.0.1",
    }


def log_group(config: dict[str, Any]) -> str:
    """Return the name of a function's log group."""
    named = (config.get("LoggingConfig") or {}).get("LogGroup")
    return str(named or f"/aws/lambda/{config.get('FunctionName', '')}")
