"""The worker: the process beside the account that runs the queued builds, one after the other."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import gc
import json
import os
import signal
import threading
import time
import traceback
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sandbox import Mistake
from sandbox.account import logs, releases, secrets, stack, state
from sandbox.account.clients import assume_role, aws_environment, client, refused_action
from sandbox.builds import hints, junit, packages, programs, progress, queue
from sandbox.builds.credentials import served
from sandbox.builds.records import Build, unfinished
from sandbox.codebuild import runner
from sandbox.codebuild.log import Log
from sandbox.codebuild.phases import Outcome
from sandbox.codebuild.project import Project
from sandbox.codebuild.reports import Service
from sandbox.codebuild.shell import Stopped
from sandbox.fork import repository
from sandbox.laptop.files import delete, lock, make_folder, write
from sandbox.laptop.network import refuse_foreign_endpoints, use_way_to_registry
from sandbox.laptop.paths import CODEBUILD, OUTSIDE
from sandbox.laptop.processes import clean_environment

SECONDS = 1  # between two pieces of a log that the account gets


def work() -> None:
    """Run what is queued, the oldest first, for as long as the account lives."""
    signal.signal(signal.SIGUSR1, nothing)
    os.umask(0o022)
    bell = queue.listen()
    load_sdk()
    is_ready = False  # for the next build
    while True:
        if unfinished():
            with lock("worker"):
                while waiting := unfinished():
                    run_build(waiting[0])
            is_ready = False
        if not is_ready:
            with contextlib.suppress(Exception):  # the next build makes what is missing, or says so
                prepare_next()
            is_ready = True
        if not queue.wait(bell):
            return


def load_sdk() -> None:
    """Load what it takes to talk to the account, before a build waits for it."""
    with contextlib.suppress(Exception):  # without an account each build says so itself
        for service in ("sts", "logs", "iam"):
            client(service)
    gc.freeze()  # what is loaded stays: no collection need look at it
    gc.enable()


def prepare_next() -> None:
    """Clear up after the last build and get the next one's packages ready; nobody waits for it."""
    empty_trash()
    packages.make_ready()


def nothing(*_: Any) -> None:
    """Do nothing; unlike a signal that is ignored, that is not handed on to what is started."""


@contextlib.contextmanager
def stoppable(build: Build) -> Iterator[None]:
    """Let the block end in Stopped when somebody asks for the end of this very build."""

    def look(*_: Any) -> None:
        if build.stop_mark.exists():
            signal.signal(signal.SIGUSR1, nothing)
            raise Stopped

    try:
        signal.signal(signal.SIGUSR1, look)
        look()
        yield
    finally:
        signal.signal(signal.SIGUSR1, nothing)


def run_build(build: Build) -> None:
    """Run one build to its end, whatever happens in it."""
    if build.status == "IN_PROGRESS":  # its worker has died
        queue.end_leftovers(build)
        finish(build, Outcome("FAULT", build.phase, "the build's process was killed"))
        packages.forget()  # what has survived the kill may still write into them
        return
    use_way_to_registry(build.registry)
    try:
        log = Log(build.log, tell=progress.writer(build.progress))
    except OSError as error:
        finish(build, Outcome("FAULT", None, f"the log cannot be written: {error}"))
        return
    project = None
    try:
        with stoppable(build), contextlib.ExitStack() as held:
            now_live = releases.live().version
            build = build.change(status="IN_PROGRESS", started=time.time(), live_before=now_live)
            project = stack.project(build.project)
            discard_work()
            held.enter_context(sent_as_it_grows(build, project))
            outcome = runner.run(build, project, machine_of(build, project, held), log)
    except Mistake as error:
        outcome = Outcome("FAULT", None, str(error), error.hint)
        with contextlib.suppress(OSError):
            log.note(f"error: {error}")
    except Stopped:
        outcome = Outcome("STOPPED", None, "the build was stopped")
    except Exception as error:
        with contextlib.suppress(OSError):
            log.note(traceback.format_exc())
        outcome = Outcome("FAULT", None, f"{type(error).__name__}: {error}")
    with contextlib.suppress(OSError):
        log.close()
    finish(build, outcome, project)


@contextlib.contextmanager
def sent_as_it_grows(build: Build, project: Project) -> Iterator[None]:
    """Let the account have the log of a build while it runs."""
    ended = threading.Event()

    def send() -> None:
        with contextlib.suppress(Exception):  # `finish` sends what is left, or says why it cannot
            credentials = assume_role(project.role_arn, session_of(build), project.arn)
            while not ended.is_set():
                logs.send(
                    build.log, build.sent, project.log_group, build.id, credentials, is_all=False
                )
                ended.wait(SECONDS)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    try:
        yield
    finally:
        ended.set()
        sender.join()


def machine_of(build: Build, project: Project, held: contextlib.ExitStack) -> runner.Machine:
    """Return the machine that a build runs on, with the credentials of the build role.

    They are to be had until `held` is closed.
    """

    def assume() -> dict[str, str]:
        return assume_role(project.role_arn, session_of(build), project.arn)

    credentials = functools.cache(assume)

    def environment(chosen: Mapping[str, str]) -> dict[str, str]:
        refuse_foreign_endpoints(chosen)
        packages.LINK.symlink_to(packages.lend())
        tools = CODEBUILD / "bin"
        programs.make(tools)
        base = clean_environment(CODEBUILD / "home", packages.LINK / "bin", tools) | {
            # A git command in a build must not find the student's own repository above it.
            "GIT_CEILING_DIRECTORIES": str(CODEBUILD),
            "GIT_CONFIG_GLOBAL": str(CODEBUILD / "home" / ".gitconfig"),
            "VIRTUAL_ENV": str(packages.LINK),
            "TMPDIR": str(CODEBUILD / "tmp"),
        }
        credentials()  # a role that cannot be had fails the build here, as on AWS
        address = held.enter_context(served(assume, project.role_arn))
        return {**base, **aws_environment(address, CODEBUILD / "home" / ".aws"), **chosen}

    def check_out(folder: Path) -> None:
        repository.check_out(build.commit, folder, project.source_url, project.clone_depth)

    def secret(kind: str, reference: str) -> str:
        return secrets.read(kind, reference, credentials())

    def refusal(actions: list[str], arn: str) -> str:
        return refused_action(project.role_arn, session_of(build), actions, arn)

    return runner.Machine(CODEBUILD, check_out, environment, secret, Service(junit.cases, refusal))


def session_of(build: Build) -> str:
    """Return the name of a build's session of the build role, as CodeBuild forms it."""
    return f"AWSCodeBuild-{build.id}"


def finish(build: Build, outcome: Outcome, project: Project | None = None) -> None:
    """Leave the account as the outcome says, clear up, and end the record."""
    live, released, taken_back = build.live_before, None, ""
    status, reason = outcome.status, outcome.reason
    session = session_of(build)
    faults = []
    try:
        discard_work()
        repository.write_hooks()
        project = project or stack.project(build.project)
        credentials = assume_role(project.role_arn, session, project.arn)
        logs.send(build.log, build.sent, project.log_group, build.id, credentials, is_all=True)
    except Exception as error:
        faults.append(error)
    try:
        end = state.end(session, green=status == "SUCCEEDED" and not faults)
        live, released = end.state.version, end.released
        taken_back = ", ".join(map(releases.named, end.taken_back))
    except Exception as error:  # the account is gone or the disk is full: `up` builds it again
        faults.append(error)
    if faults:
        said = "; ".join(dict.fromkeys(map(str, faults)))
        status, reason = "FAULT", f"{reason}; the build could not be ended: {said}".lstrip("; ")
    found = hints.Finding()
    if status == "FAILED":
        with contextlib.suppress(OSError):
            found = hints.find(build.log, progress.read(build.progress), outcome)
    if outcome.reports:
        with contextlib.suppress(OSError):
            write(build.cases, json.dumps([*map(dataclasses.asdict, outcome.reports)]))
    build.change(
        reports=tuple(dataclasses.replace(report, cases=()) for report in outcome.reports),
        status=status,
        phase=outcome.phase,
        reason=reason,
        said=found.said,
        hint=found.hint or outcome.hint,
        told=found.line,
        live_after=live,
        released=released,
        taken_back=taken_back,
        exported=dict(outcome.exported),
        ended=time.time(),
    )


def discard_work() -> None:
    """Put what a build has left aside; deleting it takes longer than a student should wait."""
    make_outside()
    with contextlib.suppress(FileNotFoundError):
        if not CODEBUILD.is_symlink():
            CODEBUILD.chmod(0o700)  # else it may not be moved
        os.rename(CODEBUILD, OUTSIDE / uuid.uuid4().hex)


def make_outside() -> None:
    """Make the folder in which builds work; raises Mistake if it is somebody else's.

    Everybody may make folders where it is.
    """
    if not os.path.lexists(OUTSIDE) or OUTSIDE.lstat().st_uid == os.getuid():
        make_folder(OUTSIDE)
    if OUTSIDE.lstat().st_uid != os.getuid():
        raise Mistake(
            f"{OUTSIDE}, in which builds are to work, is not yours",
            f"ask its owner to remove it (`ls -ld {OUTSIDE}` shows who that is)",
        )


def empty_trash() -> None:
    """Delete what discard_work has put aside."""
    for left in OUTSIDE.iterdir():
        if left != CODEBUILD:
            with contextlib.suppress(OSError):  # `down` says so
                delete(left)
