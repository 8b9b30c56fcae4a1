"""The program in which a function's code runs: AWS's own runtime, and what only a laptop needs.

It stands alone, as it runs without the sandbox's packages. `awslambdaric` is what a Python function
runs in on Lambda; there it asks an HTTP server for events, and here two pipes:
https://github.com/aws/aws-lambda-python-runtime-interface-client
"""

from __future__ import annotations

import _thread
import errno
import json
import os
import signal
import site
import struct
import sys
from typing import Any, BinaryIO

TASK_ROOT = "/var/task"  # where the function's code is on Lambda
LARGEST = 6_291_556  # bytes of an answer
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


class Client:
    """What `awslambdaric` asks of Lambda: a line of JSON and the event in, frames out.

    A frame is a letter (n: waits for the next event, r: result, e: error), a length, and a text.
    """

    def __init__(self, marshaller: Any, request: Any, requests: BinaryIO, answers: BinaryIO):
        self.marshaller, self.request = marshaller, request
        self.requests, self.answers = requests, answers

    def wait_next_invocation(self) -> Any:
        self.send(b"n")
        head = self.requests.readline()
        if not head:  # the account has ended
            os.killpg(0, signal.SIGKILL)
        fields = json.loads(head)
        return self.request(event_body=self.requests.read(fields.pop("size")), **fields)

    def post_invocation_result(self, _: str, result: str | bytes, *__: Any) -> None:
        body = result if isinstance(result, bytes) else result.encode(errors="replace")
        if len(body) > LARGEST:
            kind = "Function.ResponseSizeTooLarge"
            text = f"Response payload size exceeded maximum allowed payload size ({LARGEST} bytes)."
            self.send(b"e", json.dumps({"errorType": kind, "errorMessage": text}).encode())
        else:
            self.send(b"r", body)

    def post_invocation_error(self, _: str, error: str, *__: Any) -> None:
        self.send(b"e", error.encode(errors="replace"))

    def post_init_error(self, error: dict[str, Any], *_: Any) -> None:
        self.send(b"e", json.dumps(error).encode())

    def send(self, kind: bytes, body: bytes = b"") -> None:
        try:
            self.answers.write(struct.pack(">cI", kind, len(body)) + body)
            self.answers.flush()
        except BrokenPipeError:  # as above, before the thread has seen it
            os.killpg(0, signal.SIGKILL)


def end_with(account: int) -> None:
    """End this process and all that it has started when the account ends, however it does."""
    os.read(account, 1)
    os.killpg(0, signal.SIGKILL)


def keep_read_only(root: str) -> None:
    """Refuse what Python itself writes outside of /tmp, as Lambda's file system does.

    What a program that the function starts does is not seen here.
    """
    writable = ("/tmp", "/dev", os.path.realpath("/tmp"))
    is_root = os.geteuid() == 0  # whom no file's mode keeps out

    def refuse_unreadable(path: Any) -> None:
        inside = isinstance(path, str) and path.startswith(root + "/") and os.path.exists(path)
        if inside and not os.stat(path).st_mode & 0o444:
            shown = path.replace(root, TASK_ROOT, 1)
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), shown)

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            if is_root:
                refuse_unreadable(path)
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


def main(pipes: list[int], packages: str, *layers: str) -> None:
    """Load the handler, then answer events."""
    requests, answers, account = pipes
    for pipe in pipes:
        os.set_inheritable(pipe, False)
    _thread.start_new_thread(end_with, (account,))
    os.environ.pop("LC_CTYPE", None)  # Python itself sets it where LANG names no locale
    site.setquit()
    site.sethelper()
    known = {*sys.modules}
    sys.path.append(packages)
    from awslambdaric import bootstrap
    from awslambdaric.lambda_runtime_client import InvocationRequest
    from awslambdaric.lambda_runtime_marshaller import LambdaMarshaller

    brought = [
        name for name in {*sys.modules} - known if name.split(".")[0] not in sys.stdlib_module_names
    ]
    load = bootstrap._get_handler

    def load_apart(handler: str) -> Any:
        """Load the handler as if nothing was imported yet: its zip may have other versions."""
        ours = {name: sys.modules.pop(name) for name in brought}
        try:
            return load(handler)
        except BaseException:
            sys.modules.update(ours)  # the runtime looks for its words on this there
            raise

    bootstrap._get_handler = load_apart
    os.environ["_LAMBDA_TELEMETRY_LOG_FD"] = str(os.dup(1))  # one pipe, so that all is in order
    task = os.environ["LAMBDA_TASK_ROOT"]
    sys.path[:0] = [task, *layers]
    keep_read_only(task)
    streams = os.fdopen(requests, "rb"), os.fdopen(answers, "wb")
    client = Client(LambdaMarshaller(), InvocationRequest, *streams)
    bootstrap.run(os.environ["_HANDLER"], client)


if __name__ == "__main__":
    main([*map(int, sys.argv[1:4])], *sys.argv[4:])
