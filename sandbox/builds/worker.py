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
from sandbox.laptop.network import refuse_foreign_endpoints
from sandbox.laptop.paths import CODEBUILD, OUTSIDE
from sandbox.laptop.processes import clean_environment

SECONDS = 1  # between two pieces of a log that the account gets


def work() -> None:
    """Run what is queued, the oldest first, for as long as the account lives."""
    signal.signal(signal.SIGUSR1, nothing)
    os.umask(0o022)
    bell = queue.listen()
    load_sdk()
    while True:
        if unfinished():
            with lock("worker"):
                while waiting := unfinished():
                    run_build(waiting[0])
        with contextlib.suppress(Exception):  # the next build makes what is missing, or says so
            empty_trash()
            packages.make_both()
        while not unfinished():
            if not queue.wait(bell):
                return


def load_sdk() -> None:
    """Load what it takes to talk to the account, before a build waits for it."""
    with contextlib.suppress(Exception):  # without an account each build says so itself
        for service in ("sts", "logs", "iam"):
            client(service)
    gc.freeze()  # what is loaded stays: no collection need look at it
    gc.enable()


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
        outcome = Outcome("FAULT", build.phase, "the build's process was killed")
    else:
        build, outcome = run(build)
    outcome, end = settle(build, outcome)
    record(build, outcome, end)


def run(build: Build) -> tuple[Build, Outcome]:
    """Run a build's commands; return its record with what was live, and how it went."""
    said = ""
    try:
        log = Log(build.log, tell=progress.writer(build.progress))
    except OSError as error:
        return build, Outcome("FAULT", None, f"the log cannot be written: {error}")
    try:
        with stoppable(build):
            live = releases.live().version
            build = build.change(status="IN_PROGRESS", started=time.time(), live_before=live)
            project = stack.project(build.project)
            discard_work()
            with sent_as_it_grows(build, project), machine_of(build, project) as machine:
                outcome = runner.run(build, project, machine, log)
    except Stopped:
        outcome = Outcome("STOPPED", None, "the build was stopped")
    except Mistake as error:
        outcome, said = Outcome("FAULT", None, str(error), error.hint), f"error: {error}"
    except Exception as error:
        outcome = Outcome("FAULT", None, f"{type(error).__name__}: {error}")
        said = traceback.format_exc()
    with contextlib.suppress(OSError):
        if said:
            log.note(said)
        log.close()
    return build, outcome


@contextlib.contextmanager
def sent_as_it_grows(build: Build, project: Project) -> Iterator[None]:
    """Let the account have the log of a build while it runs."""
    ended = threading.Event()

    def send_all_along() -> None:
        with contextlib.suppress(Exception):  # `settle` sends what is left, or says why it cannot
            credentials = assume(build, project)
            while not ended.is_set():
                send(build, project, credentials, is_all=False)
                ended.wait(SECONDS)

    sender = threading.Thread(target=send_all_along, daemon=True)
    sender.start()
    try:
        yield
    finally:
        ended.set()
        sender.join()


def send(build: Build, project: Project, credentials: Mapping[str, str], is_all: bool) -> None:
    """Let the account have what is new in a build's log, with the build role's permissions."""
    logs.send(build.log, build.sent, project.log_group, build.id, credentials, is_all)


def assume(build: Build, project: Project) -> dict[str, str]:
    """Return credentials of the build role for a build."""
    return assume_role(project.role_arn, session_of(build), project.arn)


@contextlib.contextmanager
def machine_of(build: Build, project: Project) -> Iterator[runner.Machine]:
    """Yield the machine that a build runs on, with the credentials of the build role."""
    renewed = functools.partial(assume, build, project)
    credentials = functools.cache(renewed)

    def environment(chosen: Mapping[str, str]) -> dict[str, str]:
        refuse_foreign_endpoints(chosen)
        packages.LINK.symlink_to(packages.lend(build.registry))
        tools = CODEBUILD / "bin"
        programs.make(tools)
        path = (packages.LINK / "bin", tools)
        base = clean_environment(CODEBUILD / "home", *path, registry=build.registry) | {
            # A git command in a build must not find the student's own repository above it.
            "GIT_CEILING_DIRECTORIES": str(CODEBUILD),
            "GIT_CONFIG_GLOBAL": str(CODEBUILD / "home" / ".gitconfig"),
            "VIRTUAL_ENV": str(packages.LINK),
            "TMPDIR": str(CODEBUILD / "tmp"),
        }
        credentials()  # a role that cannot be had fails the build here, as on AWS
        return {**base, **aws_environment(address, CODEBUILD / "home" / ".aws"), **chosen}

    def check_out(src: Path) -> None:
        repository.check_out(build.commit, src, project.source_url, project.clone_depth)

    def secret(kind: str, reference: str) -> str:
        return secrets.read(kind, reference, credentials())

    refusal = functools.partial(refused_action, project.role_arn, session_of(build))
    with served(renewed, project.role_arn) as address:
        service = Service(junit.cases, refusal)
        yield runner.Machine(CODEBUILD, check_out, environment, secret, service)


def session_of(build: Build) -> str:
    """Return the name of a build's session of the build role, as CodeBuild forms it."""
    return f"AWSCodeBuild-{build.id}"


def settle(build: Build, outcome: Outcome) -> tuple[Outcome, state.State | None]:
    """Let the account have the whole log, and end there what the build may do.

    Return how the build went if that cannot be done, and what it has left live.
    """
    faults: list[str] = []
    end = None
    try:
        discard_work()
        repository.write_hooks()
        project = stack.project(build.project)
        send(build, project, assume(build, project), is_all=True)
    except Exception as error:
        faults.append(str(error))
    try:
        green = outcome.status == "SUCCEEDED" and not faults
        end = state.end(session_of(build), green)
    except Exception as error:  # the account is gone or the disk is full: `up` builds it again
        faults.append(str(error))
    if faults:
        said = f"the build could not be ended: {'; '.join(dict.fromkeys(faults))}"
        reason = f"{outcome.reason}; {said}".lstrip("; ")
        outcome = dataclasses.replace(outcome, status="FAULT", reason=reason)
    return outcome, end


def record(build: Build, outcome: Outcome, end: state.State | None) -> None:
    """Keep how a build went, why, and what is live after it."""
    found = hints.Finding()
    with contextlib.suppress(OSError):
        if outcome.status == "FAILED":
            found = hints.find(build.log, progress.read(build.progress), outcome)
        if outcome.reports:
            write(build.cases, json.dumps([*map(dataclasses.asdict, outcome.reports)]))
    build.change(
        reports=tuple(dataclasses.replace(report, cases=()) for report in outcome.reports),
        status=outcome.status,
        phase=outcome.phase,
        reason=outcome.reason,
        said=found.said,
        hint=found.hint or outcome.hint,
        place=found.place,
        live_after=end.version if end else build.live_before,
        released=end.released if end else None,
        taken_back=", ".join(map(releases.named, end.taken_back)) if end else "",
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
