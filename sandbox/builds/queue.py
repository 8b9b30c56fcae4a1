"""The queue of builds, and the worker that is started for it."""

from __future__ import annotations

import shutil
import time
import uuid
from collections.abc import Iterator

from sandbox.builds.records import Build, load, newest_first, numbers, unfinished
from sandbox.fork import repository
from sandbox.fork.webhook import Push
from sandbox.laptop.files import lock
from sandbox.laptop.paths import ACCOUNT, BUILDS, FOLDER, VENV
from sandbox.laptop.processes import clean_environment, end, start, started

WORKER_LOG = FOLDER / "worker.log"
PATIENCE = 10  # seconds that StopBuild waits


def start_worker() -> None:
    """Start a process that runs what is queued, apart from the push that asked for it.

    Whoever submits a build starts one, best before it knows which build: loading what it takes to
    talk to the account takes as long as finding that out. A build goes on when the push that
    started it is interrupted, as on AWS.
    """
    env = clean_environment(ACCOUNT / "home", VENV / "bin")
    start("sandbox", "work", output=WORKER_LOG, env=env)


def worker_lives() -> bool:
    """Tell whether some process holds the worker's lock."""
    with lock("worker", wait=False) as free:
        return not free


def abandoned() -> list[Build]:
    """Return the builds that have not ended and have lost their worker, the oldest first."""
    if not unfinished() or started("sandbox", "work"):
        return []
    return unfinished()  # once more: it may have ended them just now


def submit(
    commit: str,
    source_version: str,
    initiator: str,
    push: Push | None = None,
    coloured: bool = False,
) -> Build:
    """Put a build into the queue and return it; the caller starts a worker.

    Of two pushes at the same moment, the hook of the second may be the first to come here. Then the
    first push gets the second one's build: its own would put the older commit live.
    """
    BUILDS.mkdir(exist_ok=True)
    with lock("queue"):
        tip = repository.commit_of(push.ref) if push else None
        if push and tip != commit:
            for later in newest_first():
                if (later.ref, later.commit) == (push.ref, tip):
                    return later
        build = Build(
            number=max(numbers(), default=0) + 1,
            id=str(uuid.uuid4()),
            commit=commit,
            source_version=source_version,
            initiator=initiator,
            submitted=time.time(),
            ref=push.ref if push else None,
            before=push.before if push else None,
            coloured=coloured,
        )
        build.folder.mkdir()
        try:
            build.log.touch()
            return build.change()
        except OSError:  # nobody could read what is half there
            shutil.rmtree(build.folder, ignore_errors=True)
            raise


def stop_workers() -> None:
    """Stop the workers, and with them the build that runs and all that it has started."""
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


def stop(build: Build) -> None:
    """Ask for the end of a build, and return when one that runs has ended, or after ten seconds.

    One that waits ends when its turn comes: builds end in the order of their numbers.
    """
    build.stop_mark.touch()
    workers = sorted(started("sandbox", "work"), key=lambda process: process.create_time())
    known = load(build.number)
    if not known or known.status != "IN_PROGRESS":
        return
    if workers:
        workers[0].terminate()  # the oldest has the lock; the others wait for it
    deadline = time.monotonic() + PATIENCE
    while known and not known.has_ended and time.monotonic() < deadline:
        time.sleep(0.05)
        known = load(build.number)


def pending() -> Iterator[Build]:
    """Yield the queued builds until there is none."""
    done = 0
    while True:
        with lock("queue"):
            waiting = [build for build in unfinished() if build.number > done]
        if not waiting:
            return
        done = waiting[0].number
        yield waiting[0]
