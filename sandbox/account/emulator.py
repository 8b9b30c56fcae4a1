"""The emulator's process: MiniStack, started and stopped, and where it answers."""

from __future__ import annotations

import contextlib
import json
import shutil
import time
from collections.abc import Callable
from typing import Any

from sandbox import Mistake
from sandbox.account import keys
from sandbox.laptop.files import read_object, write
from sandbox.laptop.network import free_port
from sandbox.laptop.paths import ACCOUNT, FOLDER, VENV
from sandbox.laptop.processes import clean_environment, end, start, started, words_of
from sandbox.laptop.terminal import busy, say

REGION = "us-east-1"
ACCOUNT_ID = "000000000000"  # MiniStack's
STATE = ACCOUNT / "ministack.json"
LOG = ACCOUNT / "ministack.log"
KEPT = ACCOUNT / "state"
UNREADABLE = 65  # how the process ends that finds its state broken: EX_DATAERR of sysexits.h
PROCESS = ("sandbox", "serve")  # a hidden command, which puts the console beside the account
SERVICES = (
    "cloudformation,iam,sts,lambda,apigateway,codebuild,logs,s3,ssm,secretsmanager,cloudtrail"
)


def endpoint() -> str:
    """Return the account's URL; raises Mistake if it does not run."""
    state = running()
    if not state:
        raise Mistake("the account is not running", "type `python3 -m sandbox up`")
    return f"http://127.0.0.1:{state['port']}"


def running() -> dict[str, Any] | None:
    """Return pid and port of the MiniStack that this sandbox started, if it lives."""
    import psutil

    state = read_object(STATE)
    with contextlib.suppress(psutil.Error, KeyError):
        # A pid alone may belong to another process by now, after a restart of the machine.
        command = psutil.Process(state["pid"]).cmdline()
        if state["folder"] == str(FOLDER) and command[1:] == words_of(*PROCESS):
            return state
    return None


def bring_up(answers: Callable[[], bool]) -> None:
    """Start MiniStack, on the port that it had before if that is free, and wait until it answers.

    Raises Mistake if it does not start.
    """
    port = free_port(read_object(STATE).get("port", 0))
    keys.make()
    if not started_on(port, answers):
        why = LOG.read_text(errors="replace").splitlines()[-1:]
        say(f"The account's state cannot be read and is made anew: {''.join(why)}")
        shutil.rmtree(KEPT)
        started_on(port, answers)


def started_on(port: int, answers: Callable[[], bool]) -> bool:
    """Start MiniStack and wait until it answers; return False if it cannot read its state.

    Raises Mistake if it does not start.
    """
    process = start(*PROCESS, output=LOG, env=environment(port))
    write(STATE, json.dumps({"pid": process.pid, "port": port, "folder": str(FOLDER)}))
    deadline = time.monotonic() + 60
    with busy("Starting the account (MiniStack, on 127.0.0.1 only)"):
        while not answers():
            if process.poll() == UNREADABLE:
                return False
            if process.poll() is not None or time.monotonic() > deadline:
                raise Mistake(
                    "MiniStack did not start", f"read {LOG}, then type `python3 -m sandbox up`"
                )
            time.sleep(0.02)
    return True


def environment(port: int) -> dict[str, str]:
    """Return the variables that MiniStack is started with."""
    return clean_environment(ACCOUNT / "home", VENV / "bin") | {
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",  # its default is every interface
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": REGION,
        "PERSIST_STATE": "0",  # at its end only: see wraps/persistence.py
        "STATE_DIR": str(KEPT),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(KEPT / "s3"),
        "TMPDIR": str(ACCOUNT / "tmp"),
        "SERVICES": SERVICES,
        # Invocations at a time; an AWS account may have 1,000, or 10, and a laptop less room.
        "LAMBDA_ACCOUNT_CONCURRENCY": "100",
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "DOCKER_HOST": f"unix://{ACCOUNT}/no-docker",  # never touch the student's containers
        "LOG_LEVEL": "WARNING",
    }


def stop(keep: bool = True) -> None:
    """Stop MiniStack; to `keep` its state it is ended gently, which takes a second or two."""
    # Elsewhere, it would write its state where the clone was.
    was_here = read_object(STATE).get("folder") == str(FOLDER)
    end(started(*PROCESS), gently=keep and was_here)
