"""The queue of builds, and the worker that is woken for it."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import time
import uuid

from sandbox.builds.records import Build, load, newest_first, numbers, unfinished
from sandbox.fork import repository
from sandbox.fork.webhook import Push
from sandbox.laptop.files import delete, lock
from sandbox.laptop.network import way_to_registry
from sandbox.laptop.paths import FOLDER
from sandbox.laptop.processes import end, started

WORKER_LOG = FOLDER / "worker.log"
BELL = FOLDER / "bell"  # a pipe with a name: who queues a build writes into it, the worker reads
TOKEN_SECONDS = 300  # for so long a token of StartBuild holds
PATIENCE = 10  # seconds that StopBuild waits
PAUSE = 2  # seconds after which the worker looks at the queue, also if somebody has broken the bell


def submit(
    project: str,
    commit: str,
    source_version: str,
    initiator: str,
    push: Push | None = None,
    variables: tuple[dict[str, str], ...] = (),
    token: str = "",
) -> Build:
    """Put a build of a project into the queue, wake the worker, and return the build.

    It goes on when the push that asked for it is interrupted, as on AWS.

    Of two pushes at the same moment, the hook of the second may be the first to come here. Then the
    first push gets the second one's build: its own would put the older commit live. Who asks twice
    with one token gets the same build.
    """
    with lock("queue"):
        tip = repository.commit_of(push.ref) if push else None
        later = (project, push.ref, tip) if push and tip != commit else None
        for known in newest_first() if later or token else ():
            if (known.project, known.ref, known.commit) == later:
                return known
            if token and known.token == token and known.submitted > time.time() - TOKEN_SECONDS:
                return known
        build = Build(
            number=max(numbers(), default=0) + 1,
            id=str(uuid.uuid4()),
            project=project,
            commit=commit,
            source_version=source_version,
            initiator=initiator,
            submitted=time.time(),
            ref=push.ref if push else None,
            before=push.before if push else None,
            registry=way_to_registry(),
            variables=variables,
            token=token,
        )
        build.folder.mkdir()
        try:
            build.log.touch()
            build = build.change()
        except OSError:  # nobody could read what is half there
            shutil.rmtree(build.folder, ignore_errors=True)
            raise
    ring()
    return build


def ring() -> None:
    """Wake the worker; one that has yet to start looks at the queue anyway."""
    with contextlib.suppress(OSError):
        bell = os.open(BELL, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        os.write(bell, b"\n")
        os.close(bell)


def listen() -> int:
    """Return the worker's end of the bell."""
    if not BELL.is_fifo():
        delete(BELL)
        os.mkfifo(BELL, 0o600)
    listening = os.open(BELL, os.O_RDONLY | os.O_NONBLOCK)
    os.open(BELL, os.O_WRONLY)  # without a writer it could be read all the time
    return listening


def wait(bell: int) -> bool:
    """Wait until it is time to look at the queue; return False if the account has ended."""
    ready, _, _ = select.select([bell, sys.stdin], [], [], PAUSE)
    if bell in ready:
        os.read(bell, 1 << 16)
    return sys.stdin not in ready


def worker_lives() -> bool:
    """Tell whether the worker is there; after a kill it is away for a moment."""
    return bool(started("sandbox", "work"))


def abandoned() -> list[Build]:
    """Return the builds that have not ended and have lost their worker, the oldest first."""
    if not unfinished() or worker_lives():
        return []
    return unfinished()  # once more: it may have ended them just now


def end_orphans() -> None:
    """End a worker that has outlived its account, and all that its build has started."""
    end(started("sandbox", "work"))
    for build in unfinished():
        end_leftovers(build)


def end_leftovers(build: Build) -> None:
    """End what a build has started whose worker was killed: it could still release something.

    On macOS the system's own programs, as sh, hide their environment and are not found.
    """
    import psutil

    mine = f":{build.id}"
    while left := [
        process
        for process in psutil.process_iter(["environ"])
        if (process.info["environ"] or {}).get("CODEBUILD_BUILD_ID", "").endswith(mine)
    ]:
        end(left, gently=False)


def stop(build: Build) -> Build:
    """Ask for the end of a build; return its record when it has ended, or after ten seconds.

    One that waits ends when its turn comes: builds end in the order of their numbers.
    """
    build.stop_mark.touch()
    for worker in started("sandbox", "work"):
        with contextlib.suppress(OSError):
            os.kill(worker.pid, signal.SIGUSR1)  # it looks whether the mark is its own build's
    deadline, known = time.monotonic() + PATIENCE, load(build.number) or build
    while known.status == "IN_PROGRESS" and time.monotonic() < deadline:
        time.sleep(0.05)
        known = load(build.number) or known
    return known
