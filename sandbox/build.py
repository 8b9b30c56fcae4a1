"""The builds of the fork: a queue of records under .sandbox/builds/, run one at a time."""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import gc
import json
import os
import random
import re
import shutil
import signal
import time
import traceback
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import psutil

from sandbox import Mistake, account, environment, fork, source
from sandbox.buildspec import SHELLS, Buildspec, read
from sandbox.document import BuildspecError
from sandbox.laptop import (BUILDS, CODEBUILD, FOLDER, IMAGE, TRASH, end, lock, prepare_next, read_json,
                            start_worker, started, write)
from sandbox.log import Log
from sandbox.phases import Outcome, complete, run_phases
from sandbox.shell import Shell, Stopped, TimedOut
from sandbox.variables import variables_of

ENDED = ("SUCCEEDED", "FAILED", "FAULT", "TIMED_OUT", "STOPPED")
PATIENCE = 2  # seconds that a worker waits for its first build
CLOUDWATCH_LIMIT = 4 << 20  # bytes of a log's end that CloudWatch Logs gets; the account is held in memory


@dataclass(frozen=True)
class Build:
    """One build, as its record says; times are in seconds since 1970."""

    number: int
    id: str
    commit: str
    source_version: str
    initiator: str
    submitted: float
    ref: str | None = None
    before: str | None = None
    status: str = "QUEUED"
    phase: str | None = None
    reason: str = ""
    hint: str = ""
    started: float | None = None
    ended: float | None = None
    live_before: str | None = None
    live_after: str | None = None
    exported: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> Path:
        return BUILDS / str(self.number)

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def change(self, **values: Any) -> Build:
        """Write a changed record and return it."""
        changed = dataclasses.replace(self, **values)
        write(self.folder / "build.json", json.dumps(dataclasses.asdict(changed), indent=1))
        return changed


def load(number: int) -> Build | None:
    """Return the record of that number, or None if there is none that can be read."""
    record = read_json(BUILDS / str(number) / "build.json")
    return Build(**record) if record else None


def numbers() -> list[int]:
    """Return the numbers of all builds, the oldest first."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(int(entry.name) for entry in os.scandir(BUILDS) if entry.name.isdigit())
    return []


def newest_first() -> Iterator[Build]:
    """Yield the builds, the newest first."""
    return filter(None, map(load, reversed(numbers())))


def released() -> list[str]:
    """Return the versions that green builds have left live, the last one first."""
    return [build.live_after for build in newest_first() if build.status == "SUCCEEDED" and build.live_after]


def submit(commit: str, source_version: str, initiator: str, push: fork.Push | None = None,
           awaited: bool = False) -> Build:
    """Put a build into the queue, see to it that a worker runs it unless one waits for it, and return it.

    Of two pushes at the same moment, the hook of the second may be the first to come here. Then the
    first push gets the second one's build: its own would put the older commit live.
    """
    BUILDS.mkdir(exist_ok=True)
    with lock("queue"):
        tip = fork.commit_of(push.ref) if push else None
        if push and tip != commit:
            for later in newest_first():
                if (later.ref, later.commit) == (push.ref, tip):
                    return later
        number = max(numbers(), default=0) + 1
        build = Build(number, str(uuid.uuid4()), commit, source_version, initiator, time.time(),
                      push and push.ref, push and push.before)
        build.folder.mkdir()
        build.log.touch()
        build = build.change()
    if not awaited:
        start_worker()
    return build


def work() -> None:
    """Run all queued builds, the oldest first; the lock makes it one worker at a time.

    A push starts its worker before it knows what there is to build: loading what it takes to talk to
    the account takes as long as finding that out.
    """
    signal.signal(signal.SIGTERM, stop_build)
    os.umask(0o022)
    until = time.monotonic() + PATIENCE
    with contextlib.suppress(Exception):  # without an account each build says so itself
        account.project()
        account.live()
    while not unfinished() and time.monotonic() < until:
        time.sleep(0.01)
    gc.freeze()  # what is loaded stays: no collection need look at it
    gc.enable()
    with lock("worker"):
        recover()
        for number in pending():
            build = load(number)
            if build:
                run_build(build)
    prepare_next()


def stop_worker() -> None:
    """Stop the workers, and with them the build that runs and all that it has started."""
    end(started("sandbox", "work"))
    for number in unfinished():
        end_leftovers(load(number))


def end_leftovers(build: Build | None) -> None:
    """End what a build has started whose worker was killed: it could still release something.

    On macOS the system's own programs, as sh, hide their environment and are not found.
    """
    mine = build and f":{build.id}"
    while build and (left := [process for process in psutil.process_iter(["environ"])
                              if (process.info["environ"] or {}).get("CODEBUILD_BUILD_ID", "").endswith(mine)]):
        end(left, gently=False)


def stop_build(*_: Any) -> None:
    raise Stopped


def pending() -> Iterator[int]:
    """Yield the numbers of queued builds until there is none."""
    done = 0
    while True:
        with lock("queue"):
            waiting = [number for number in unfinished() if number > done]
        if not waiting:
            return
        done = waiting[0]
        yield done


def unfinished() -> list[int]:
    """Return the numbers of the builds that have not ended, the oldest first."""
    found = []
    for build in newest_first():
        if build.status in ENDED:
            break  # builds end in the order of their numbers: a worker that cannot write this down ends
        found.append(build.number)
    return found[::-1]


def recover() -> None:
    """End the records of builds whose worker has died; call it with the worker's lock held."""
    for number in unfinished():
        build = load(number)
        if build and build.status == "IN_PROGRESS":
            end_leftovers(build)
            finish(build, Outcome("FAULT", build.phase, "the build's process was killed"))
            # What has survived the kill may still write into the build's environment: no other build gets it.
            shutil.rmtree(TRASH, ignore_errors=True)


def run_build(build: Build) -> None:
    """Run one build to its end, whatever happens in it."""
    try:
        log = Log(build.log)
    except OSError as error:
        finish(build, Outcome("FAULT", None, f"the log cannot be written: {error}"))
        return
    outcome = Outcome("FAULT")
    hint = ""
    exported: dict[str, str] = {}
    project = None
    try:
        build = build.change(status="IN_PROGRESS", started=time.time(), live_before=account.live().version)
        project = account.project()
        outcome, exported = run_phases_of(build, project, log)
        if outcome.status == "FAILED":
            hint = "mend it, `git commit -am \"…\"`, then `git push sandbox`"
    except BuildspecError as error:
        place = f"buildspec{error.place}: " if error.line else ""
        outcome = Outcome("FAILED", "DOWNLOAD_SOURCE", place + error.message)
        with contextlib.suppress(OSError):
            complete(log, "DOWNLOAD_SOURCE", error.code, error.message)
        hint = error.hint
    except Mistake as error:
        outcome, hint = Outcome("FAULT", None, str(error)), error.hint
        with contextlib.suppress(OSError):
            log.note(f"error: {error}")
    except (Stopped, TimedOut) as end:
        outcome = Outcome("STOPPED" if isinstance(end, Stopped) else "TIMED_OUT", None, "the build was stopped")
    except Exception as error:
        with contextlib.suppress(OSError):
            log.note(traceback.format_exc())
        outcome = Outcome("FAULT", None, f"{type(error).__name__}: {error}")
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        with contextlib.suppress(OSError):
            log.close()
        finish(build, outcome, hint, exported, project)
        signal.signal(signal.SIGTERM, stop_build)


def finish(build: Build, outcome: Outcome, hint: str = "", exported: dict[str, str] | None = None,
           project: account.Project | None = None) -> None:
    """Leave the account as the outcome says, clear up, and end the record."""
    live = build.live_before
    try:
        discard_work()
        if outcome.status == "SUCCEEDED":
            live = account.withdraw_unchanged()
        account.keep_releases()
        send_log(build, project or account.project())
    except Exception as error:  # the account is gone or the disk is full: `up` builds the commit again
        live = build.live_before
        outcome = Outcome("FAULT", outcome.phase, f"{outcome.reason}; the build could not be ended: {error}".lstrip("; "))
    if outcome.status != "SUCCEEDED" and live:
        # The alias may have moved before the build went red. On AWS it would stay; here only a
        # green build changes what is live.
        with contextlib.suppress(Exception):  # without an account nothing is live; `up` brings the last green back
            account.make_live(live)
    build.change(status=outcome.status, phase=outcome.phase, reason=outcome.reason, hint=hint, live_after=live,
                 exported=exported or {}, ended=time.time())


def run_phases_of(build: Build, project: account.Project, log: Log) -> tuple[Outcome, dict[str, str]]:
    """Run one build from its source to its last phase; return its outcome and its exported variables."""
    discard_work()
    owner = re.sub(r"\.git$", "", project.source_url).removeprefix("https://")
    src = CODEBUILD / "codebuild" / "output" / f"src{random.randrange(10**9)}" / "src" / Path(*owner.split("/"))
    for folder in (src, CODEBUILD / "home", CODEBUILD / "tmp"):
        folder.mkdir(parents=True)
    # pytest looks for a configuration upwards and would find that of the student's own folder.
    (CODEBUILD / "pytest.ini").write_text("[pytest]\n")
    spec, variables = download_source(build, project, src, log)
    deadline = time.monotonic() + 60 * project.timeout_minutes
    shell = Shell(SHELLS.get(spec.shell, "sh"), CODEBUILD / "tmp", src, variables, log.output, deadline,
                  spec.version == "0.2")
    try:
        outcome = run_phases(spec, shell, log)
        for line, text in spec.warnings if outcome.status == "FAILED" else ():
            log.note(f"buildspec, line {line}: {text}")  # once more: one of them may be why
        # https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html: no secrets, no AWS_ names
        secrets = {item["name"] for item in project.variables if item.get("type", "PLAINTEXT") != "PLAINTEXT"}
        secrets |= {*spec.parameter_store, *spec.secrets_manager}
        names = [name for name in spec.exported_variables if not name.startswith("AWS_") and name not in secrets]
        exported = shell.get(names)
        for name, value in exported.items():
            log.note(f"exported variable {name}={value}")
        return outcome, exported
    finally:
        shell.close()


def download_source(build: Build, project: account.Project, src: Path,
                    log: Log) -> tuple[Buildspec, dict[str, str]]:
    """Run the phase DOWNLOAD_SOURCE; return the buildspec and the build's variables.

    Raises BuildspecError if CodeBuild or this laptop refuses the buildspec.
    """
    place = "/codebuild/readonly/buildspec.yml" if source.is_inline(project.buildspec) else src / project.buildspec
    for text in ("Running on CodeBuild On-demand", "Waiting for agent ping", "Waiting for DOWNLOAD_SOURCE",
                 "Phase is DOWNLOAD_SOURCE", f"CODEBUILD_SRC_DIR={src}", f"YAML location is {place}"):
        log.line(text)
    source.download(build.commit, src, project.source_url)
    spec = read(source.find_buildspec(src, project.buildspec))
    if spec.unknown:
        sections = {section: [key for other, key in spec.unknown if other == section] for section, _ in spec.unknown}
        log.line("Found possible syntax errors in buildspec: " + "".join(
            f"\nIn the section {section}\n    The following keys cannot be identified:\n" +
            "\n".join(f"        {key}" for key in keys) for section, keys in sections.items()))
    if spec.shell:
        log.line(f"Selecting shell {spec.shell} as specified in buildspec.")
    for line, text in spec.warnings:
        log.note(f"{Path(place).name}, line {line}: {text}")
    present = [phase for phase in spec.phases.values() if phase.present]
    for phase in present:
        if not phase.commands:
            log.line(f"No commands found for phase name: {phase.name.lower()}")
    log.line("Processing environment variables")
    credentials = account.assume_role(project.role_arn, f"AWSCodeBuild-{build.id}")
    variables = variables_of(build, project, spec, src, credentials, log)
    for text, here in source.runtimes(spec, variables, variables["PATH"]):
        log.line(text)
        if here:
            log.note(here)
    with lock("spare"):  # one that is being made is ready sooner than another
        environment.take(IMAGE, CODEBUILD / "venv")
    log.line(f"Moving to directory {src}")
    if not spec.has_cache:
        log.line("Cache is not defined in the buildspec")
        log.line("Skip cache due to: no paths specified to be cached")
    log.line("Registering with agent")
    log.line(f"Phases found in YAML: {len(present)}")
    for phase in present:
        log.line(f" {phase.name}: {len(phase.commands)} commands")
    complete(log, "DOWNLOAD_SOURCE")
    return spec, variables


def discard_work() -> None:
    """Put what a build has left aside; deleting it takes longer than a student should wait."""
    TRASH.mkdir(exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.rename(CODEBUILD, TRASH / uuid.uuid4().hex)


def send_log(build: Build, project: account.Project) -> None:
    """Put the build's log into CloudWatch Logs, where `aws logs filter-log-events` finds it as on AWS."""
    logs = account.client("logs", account.assume_role(project.role_arn, f"AWSCodeBuild-{build.id}"))
    names = {"logGroupName": account.log_group(project), "logStreamName": build.id}
    with contextlib.suppress(logs.exceptions.ResourceAlreadyExistsException):
        logs.create_log_stream(**names)
    with open(build.log, "rb") as stream:
        size = stream.seek(0, os.SEEK_END)
        stream.seek(max(0, size - CLOUDWATCH_LIMIT))
        text = stream.read().decode(errors="replace")
    now = int(time.time() * 1000)
    events: list[dict[str, Any]] = []
    room = 0
    for line in text.splitlines():
        # Limits of PutLogEvents: 10,000 events or 1 MiB in a call, 26 bytes counted for each event.
        piece = line[:60_000] or " "
        if len(events) == 10_000 or room + 4 * len(piece) + 26 > 1 << 20:
            logs.put_log_events(**names, logEvents=events)
            events, room = [], 0
        events.append({"timestamp": now, "message": piece})
        room += 4 * len(piece) + 26
    if events:
        logs.put_log_events(**names, logEvents=events)


def follow(build: Build, out: TextIO) -> Build:
    """Show a build's log as it grows, until the build has ended, and return its last record."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    restart_at, stuck, tries = time.monotonic() + 1, None, 0
    with open(build.log, "rb") as stream:
        while True:
            known = load(build.number)
            if not known:
                raise Mistake("the sandbox has been taken down meanwhile", "type `python3 -m sandbox up`")
            while piece := stream.read(1 << 16):
                out.write(harmless(decoder.decode(piece)))
                out.flush()
            if known.status in ENDED:
                return known
            time.sleep(0.02)
            if worker_lives():
                restart_at = time.monotonic() + 1
            elif time.monotonic() > restart_at:
                # It was killed. A new one ends the record and takes the rest of the queue.
                oldest = load(next(iter(unfinished()), build.number))
                stuck, tries = oldest, tries + 1 if oldest == stuck else 1
                if tries > 3:
                    raise Mistake(f"the program that runs the builds ends at once: read {FOLDER / 'worker.log'}",
                                  "is the disk full? Mend it, then type `python3 -m sandbox up`")
                start_worker()
                restart_at = time.monotonic() + 3


def worker_lives() -> bool:
    """Tell whether some process holds the worker's lock."""
    with lock("worker", wait=False) as free:
        return not free


def harmless(text: str) -> str:
    """Return text in which nothing can hide or forge a line when a terminal shows it.

    A build may print escape sequences: the log file has them as they are, a terminal never.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return re.sub(r"[^\n\t\x20-\x7e\xa0-\U0010ffff]|[\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]",
                  lambda match: f"\\x{ord(match[0]):02x}", text)


def verdict(build: Build) -> list[str]:
    """Return the last lines that a student reads after a build."""
    version = build.live_after or "1"
    if build.status == "SUCCEEDED":
        known = f"version {version} was live already: the code has not changed" if version == build.live_before \
            else f"version {version} is live"
        return [f"BUILD {build.number} SUCCEEDED: {known} (commit {build.commit[:7]})", account.url()]
    lines = [f"error: {build.reason}"] if build.reason else []
    lines += [f"hint: {build.hint}"] if build.hint else []
    where = f" in {build.phase}" if build.phase else ""
    return [*lines, f"BUILD {build.number} {build.status}{where}: nothing was released, version {version} is still live"]
