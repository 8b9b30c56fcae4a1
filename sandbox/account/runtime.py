"""What /var/runtime/bootstrap.py is on Lambda: the program in which a function's code runs.

It stands alone, as it runs without the sandbox's packages: the first line on its stdin says which
handler to load, each further one is an event; each answer is a line on its stdout. What the
function writes goes to stderr, where a mark tells an error apart, and that an invocation has ended.
"""

from __future__ import annotations

import datetime
import errno
import importlib
import json
import logging
import os
import site
import sys
import time
import traceback
from typing import Any

TASK_ROOT = "/var/task"  # where the function's code is on Lambda
# Calls of Python that write, and which of their arguments are paths; `open` is looked at apart.
WRITES = {
    "os.mkdir": (0,),
    "os.remove": (0,),
    "os.rmdir": (0,),
    "os.rename": (0, 1),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.utime": (0,),
}


class Failure(Exception):
    """An error that Lambda names itself, as `Runtime.ImportModuleError`."""

    def __init__(self, kind: str, text: str, trace: list[str] | None = None):
        super().__init__(text)
        self.kind, self.trace = kind, trace or []


def load(handler: str) -> Any:
    """Import a handler; raises Failure, or what the module raises.

    https://docs.aws.amazon.com/lambda/latest/dg/python-exceptions.html
    """
    name, dot, function = handler.rpartition(".")
    if not dot:
        raise Failure(
            "Runtime.MalformedHandlerName",
            f"Bad handler '{handler}': not enough values to unpack (expected 2, got 1)",
        )
    try:
        module = importlib.import_module(name.replace("/", "."))
    except ImportError as error:
        raise Failure(
            "Runtime.ImportModuleError", f"Unable to import module '{name}': {error}"
        ) from None
    except SyntaxError as error:
        trace = [
            f'  File "{error.filename}" Line {error.lineno}\n    {(error.text or "").rstrip()}'
        ]
        raise Failure(
            "Runtime.UserCodeSyntaxError", f"Syntax error in module '{name}': {error}", trace
        ) from None
    try:
        return getattr(module, function)
    except AttributeError:
        raise Failure(
            "Runtime.HandlerNotFound", f"Handler '{function}' missing on module '{name}'"
        ) from None


def described(error: BaseException, folder: str) -> dict[str, Any]:
    """Return an error as Lambda answers with it; frames of this file are left out."""
    if isinstance(error, Failure):
        kind, trace = error.kind, error.trace
    else:
        kind = type(error).__name__
        own = [
            frame
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename not in (__file__, importlib.__file__)
            and not frame.filename.startswith("<frozen importlib")
        ]
        trace = traceback.format_list(own)
    answer = {"errorMessage": str(error), "errorType": kind, "stackTrace": trace}
    text = json.dumps(answer).replace(json.dumps(folder)[1:-1], TASK_ROOT)
    return dict(json.loads(text))


def log(error: dict[str, Any], mark: str) -> None:
    """Write an error into the function's log, as an event of its own."""
    lines = [
        mark,
        f"[ERROR] {error['errorType']}: {error['errorMessage']}",
        "Traceback (most recent call last):",
    ]
    print(
        "\n".join([*lines, "".join(error["stackTrace"])]).rstrip("\n"), file=sys.stderr, flush=True
    )


class Context:
    """https://docs.aws.amazon.com/lambda/latest/dg/python-context.html"""

    def __init__(self, request: dict[str, Any]):
        self.aws_request_id: str = request["request_id"]
        self.invoked_function_arn: str = request["arn"]
        self.function_name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
        self.function_version = os.environ["AWS_LAMBDA_FUNCTION_VERSION"]
        self.memory_limit_in_mb = os.environ["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"]
        self.log_group_name = os.environ["AWS_LAMBDA_LOG_GROUP_NAME"]
        self.log_stream_name = os.environ["AWS_LAMBDA_LOG_STREAM_NAME"]
        self.identity = Identity()
        self.client_context = None
        self.tenant_id = None
        self._deadline = request["deadline"]

    def get_remaining_time_in_millis(self) -> int:
        """Return the milliseconds until the function times out."""
        return max(0, int((self._deadline - time.time()) * 1000))

    def log(self, message: object) -> None:
        """Write into the function's log."""
        print(message, end="")


class Identity:
    """Who has called: nobody whom Cognito knows."""

    cognito_identity_id = None
    cognito_identity_pool_id = None


class Log(logging.Handler):
    """The handler that Lambda puts on the root logger: with it, basicConfig changes nothing."""

    request_id = ""

    def emit(self, record: logging.LogRecord) -> None:
        at = datetime.datetime.fromtimestamp(record.created, datetime.timezone.utc)
        time_of = f"{at:%Y-%m-%dT%H:%M:%S}.{int(record.msecs):03d}Z"
        print(
            f"[{record.levelname}]\t{time_of}\t{self.request_id}\t{self.format(record)}",
            file=sys.stderr,
            flush=True,
        )


def keep_read_only(root: str) -> None:
    """Refuse what Python itself writes outside of /tmp, as Lambda's file system does.

    What a program that the function starts does is not seen here.
    """
    writable = ("/tmp", "/dev", os.path.realpath("/tmp"))

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) if isinstance(flags, int) else 0
            if not writes and not (isinstance(mode, str) and set(mode) & set("wax+")):
                return
            paths: tuple[Any, ...] = (path,)
        elif event in WRITES:
            if event != "os.truncate" and arguments[-1] != -1:
                return  # relative to a folder that is open; which, is not told here
            paths = tuple(arguments[index] for index in WRITES[event])
        else:
            return
        for path in paths:
            if not isinstance(path, (str, bytes, os.PathLike)):
                continue
            full = os.path.abspath(os.fsdecode(path))
            inside = any(full == one or full.startswith(one + "/") for one in writable)
            if not inside or full == root or full.startswith(root + "/"):
                shown = full.replace(root, TASK_ROOT, 1)
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), shown)

    sys.addaudithook(watch)


def main() -> None:
    """Load the handler, then answer events until there is no more line."""
    requests, answers = (
        os.fdopen(os.dup(0), encoding="utf-8"),
        os.fdopen(os.dup(1), "w", encoding="utf-8"),
    )
    with open(os.devnull) as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)  # what is printed is log, on Lambda too

    def answer(**fields: Any) -> None:
        sys.stdout.flush()
        print(f"{mark} end", file=sys.stderr, flush=True)
        print(json.dumps(fields), file=answers, flush=True)

    start = json.loads(requests.readline())
    folder, mark = start["folder"], start["mark"]
    os.environ.pop("LC_CTYPE", None)  # Python itself sets it where LANG names no locale
    site.setquit()
    site.sethelper()
    sys.path[:0] = [folder, *start["path"]]
    sys.path.append(start["packages"])
    handler = Log()
    logging.getLogger().addHandler(handler)
    keep_read_only(folder)
    try:
        function = load(start["handler"])
    except Exception as error:
        failure = described(error, folder)
        log(failure, mark)
        answer(failure=failure)
        return
    answer()
    for line in requests:
        request = json.loads(line)
        handler.request_id = request["request_id"]
        os.environ["_X_AMZN_TRACE_ID"] = request["trace"]
        try:
            result = function(request["event"], Context(request))
            try:
                text = json.dumps(result)
            except (TypeError, ValueError) as error:
                raise Failure(
                    "Runtime.MarshalError", f"Unable to marshal response: {error}"
                ) from None
        except Exception as error:
            failure = described(error, folder) | {"requestId": request["request_id"]}
            log(failure, mark)
            answer(failure=failure)
        else:
            answer(result=json.loads(text))


if __name__ == "__main__":
    main()
