"""The builds of the fork: a queue of records under .sandbox/builds/, run one at a time."""

from __future__ import annotations

import codecs
import contextlib
import dataclasses
import json
import os
import random
import re
import shutil
import signal
import sys
import time
import traceback
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import psutil

from sandbox import Mistake, account, environment, fork
from sandbox.buildspec import Buildspec, BuildspecError, read
from sandbox.laptop import (BUILDS, CODEBUILD, FOLDER, FORK, IMAGE, TRASH, VENV, clean_environment, end, lock,
                            read_json, refuse_foreign_endpoints, run, start, started, write)
from sandbox.log import Log
from sandbox.phases import Outcome, complete, run_phases
from sandbox.shell import Shell, Stopped, TimedOut

ENDED = ("SUCCEEDED", "FAILED", "FAULT", "TIMED_OUT", "STOPPED")
PROGRAMS = {"dotnet": "dotnet", "golang": "go", "java": "java", "nodejs": "node", "php": "php", "ruby": "ruby"}
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


def submit(commit: str, source_version: str, initiator: str, push: fork.Push | None = None) -> Build:
    """Put a build into the queue, see to it that a worker runs it, and return it.

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
    start_worker()
    return build


def start_worker(command: str = "work") -> None:
    """Start a process that runs what is queued, apart from the push that asked for it."""
    # A build goes on when the push that started it is interrupted, as on AWS.
    start("sandbox", command, output=FOLDER / "worker.log",
          env=clean_environment(account.ACCOUNT / "home", VENV / "bin"))


def work() -> None:
    """Run all queued builds, the oldest first; the lock makes it one worker at a time."""
    signal.signal(signal.SIGTERM, stop_build)
    os.umask(0o022)
    with lock("worker"):
        recover()
        for number in pending():
            build = load(number)
            if build:
                run_build(build)
    prepare_next()


def prepare_next() -> None:
    """Clear up after the last build and get the next one's environment ready; nobody waits for it."""
    with lock("spare", wait=False) as free:
        if free:
            shutil.rmtree(TRASH, ignore_errors=True)
            environment.prepare(IMAGE, CODEBUILD / "venv")


def stop_worker() -> None:
    """Stop the workers, and with them the build that runs and all that it has started."""
    end([*started("sandbox", "work"), *started("sandbox", "prepare")])
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


def run_build(build: Build) -> None:
    """Run one build to its end, whatever happens in it."""
    try:
        log = Log(build.log)
    except OSError as error:
        finish(build, Outcome("FAULT", None, f"the log cannot be written: {error}"))
        return
    outcome = Outcome("FAULT")
    hint, exported = "", {}
    try:
        build = build.change(status="IN_PROGRESS", started=time.time(), live_before=account.live().version)
        outcome, exported = run_phases_of(build, log)
    except BuildspecError as error:
        place = f" (line {error.line}, column {error.column})" if error.line else ""
        outcome = Outcome("FAILED", "DOWNLOAD_SOURCE", error.message + place)
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
        finish(build, outcome, hint, exported)
        signal.signal(signal.SIGTERM, stop_build)


def finish(build: Build, outcome: Outcome, hint: str = "", exported: dict[str, str] | None = None) -> None:
    """Leave the account as the outcome says, clear up, and end the record."""
    live = build.live_before
    try:
        discard_work()
        if outcome.status == "SUCCEEDED":
            live = account.withdraw_unchanged()
        account.keep_releases()
        send_log(build)
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


def run_phases_of(build: Build, log: Log) -> tuple[Outcome, dict[str, str]]:
    """Run one build from its source to its last phase."""
    project = account.project()
    work = CODEBUILD
    discard_work()
    owner = re.sub(r"\.git$", "", project.source_url).removeprefix("https://")
    source = work / "codebuild" / "output" / f"src{random.randrange(10**9)}" / "src" / Path(*owner.split("/"))
    for folder in (source, work / "home", work / "tmp"):
        folder.mkdir(parents=True)
    # pytest looks for a configuration upwards and would find that of the student's own folder.
    (work / "pytest.ini").write_text("[pytest]\n")
    for text in ("Running on CodeBuild On-demand", "Waiting for agent ping", "Waiting for DOWNLOAD_SOURCE",
                 "Phase is DOWNLOAD_SOURCE", f"CODEBUILD_SRC_DIR={source}",
                 f"YAML location is {source / project.buildspec}"):
        log.line(text)
    download(build.commit, source, project.source_url)
    spec = read(find_buildspec(source, project.buildspec))
    for line, text in spec.warnings:
        log.note(f"{project.buildspec}, line {line}: {text}")
    for name, phase in spec.phases.items():
        if phase.present and not phase.commands:
            log.line(f"No commands found for phase name: {name.lower()}")
    log.line("Processing environment variables")
    credentials = account.assume_role(project.role_arn, f"AWSCodeBuild-{build.id}")
    variables = variables_of(build, project, spec, source, work, credentials, log)
    choose_runtimes(spec, log, variables["PATH"])
    with lock("spare"):  # one that is being made is ready sooner than another
        environment.take(IMAGE, work / "venv")
    log.line(f"Moving to directory {source}")
    if not spec.has_cache:
        log.line("Cache is not defined in the buildspec")
        log.line("Skip cache due to: no paths specified to be cached")
    log.line("Registering with agent")
    present = [phase for phase in spec.phases.values() if phase.present]
    log.line(f"Phases found in YAML: {len(present)}")
    for phase in present:
        log.line(f" {phase.name}: {len(phase.commands)} commands")
    complete(log, "DOWNLOAD_SOURCE")
    deadline = time.monotonic() + 60 * project.timeout_minutes
    shell = Shell(spec.shell, work / "tmp", source, variables, log.output, deadline, spec.version == "0.2")
    try:
        outcome = run_phases(spec, shell, log)
        return outcome, shell.get(spec.exported_variables)
    finally:
        shell.close()


def download(commit: str, source: Path, url: str) -> None:
    """Check the commit out as CodeBuild does with a GitCloneDepth of 1: with .git, without history."""
    env = clean_environment(source.parent) | {"GIT_CONFIG_GLOBAL": os.devnull}
    for arguments in (["init", "-q", "--template="], ["fetch", "-q", "--depth=1", FORK.as_uri(), commit],
                      ["-c", "advice.detachedHead=false", "checkout", "-q", commit],
                      ["remote", "add", "origin", url or FORK.as_uri()]):
        run("git", *arguments, env=env, cwd=source)


def find_buildspec(source: Path, name: str) -> bytes:
    """Return the buildspec's bytes; raises BuildspecError if the commit has none."""
    path = source / name
    try:
        if not path.resolve().is_relative_to(source.resolve()):
            raise BuildspecError(f"{name} points out of the repository", "commit the buildspec itself, not a link")
        return path.read_bytes()
    except (OSError, RuntimeError):
        message = "YAML file does not exist" if name == "buildspec.yml" else f"stat {path}: no such file or directory"
        raise BuildspecError(message, f"add {name} to the commit (`git add {name}`); another ending, as .yaml, "
                             "is not found") from None


def variables_of(build: Build, project: account.Project, spec: Buildspec, source: Path, work: Path,
                 credentials: dict[str, str], log: Log) -> dict[str, str]:
    """Return the variables of a build; what the project sets wins over the buildspec.

    https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html
    """
    region = account.REGION
    own = {
        "CODEBUILD_BUILD_ARN": project.arn.replace(":project/", ":build/") + f":{build.id}",
        "CODEBUILD_BUILD_ID": f"{project.name}:{build.id}",
        "CODEBUILD_BUILD_IMAGE": project.image,
        "CODEBUILD_BUILD_NUMBER": str(build.number),
        "CODEBUILD_BUILD_SUCCEEDING": "1",
        "CODEBUILD_BUILD_URL": f"https://{region}.console.aws.amazon.com/codebuild/home?region={region}"
                               f"#/builds/{project.name}:{build.id}/view/new",
        "CODEBUILD_CI": "true",
        "CODEBUILD_INITIATOR": build.initiator,
        "CODEBUILD_KMS_KEY_ID": f"arn:aws:kms:{region}:{project.arn.split(':')[4]}:alias/aws/s3",
        "CODEBUILD_LAST_EXIT": "0",
        "CODEBUILD_LOG_PATH": build.id,
        "CODEBUILD_RESOLVED_SOURCE_VERSION": build.commit,
        "CODEBUILD_SOURCE_REPO_URL": project.source_url,
        "CODEBUILD_SOURCE_VERSION": build.source_version,
        "CODEBUILD_SRC_DIR": str(source),
        "CODEBUILD_START_TIME": str(int((build.started or time.time()) * 1000)),
    }
    if build.ref:
        kind = "tag" if build.ref.startswith("refs/tags/") else "branch"
        own |= {
            "CODEBUILD_WEBHOOK_ACTOR_ACCOUNT_ID": "0",
            "CODEBUILD_WEBHOOK_EVENT": "PUSH",
            "CODEBUILD_WEBHOOK_HEAD_REF": build.ref,
            "CODEBUILD_WEBHOOK_PREV_COMMIT": build.before or fork.NOTHING,
            "CODEBUILD_WEBHOOK_TRIGGER": f"{kind}/{build.ref.split('/', 2)[-1]}",
        }
    chosen = [("PLAINTEXT", name, value) for name, value in spec.variables.items()]
    chosen += [("PARAMETER_STORE", name, value) for name, value in spec.parameter_store.items()]
    chosen += [("SECRETS_MANAGER", name, value) for name, value in spec.secrets_manager.items()]
    chosen += [(item.get("type", "PLAINTEXT"), item["name"], item["value"]) for item in project.variables]
    values = {}
    for kind, name, value in {name: (kind, name, value) for kind, name, value in chosen}.values():
        if kind != "PLAINTEXT":
            value = secret(kind, value, credentials)
            log.mask([value])
        values[name] = value
    refuse_foreign_endpoints(values)
    base = clean_environment(work / "home", work / "venv" / "bin", IMAGE / "bin")
    # A git command in a build must not find the student's own repository above it.
    base |= {"GIT_CEILING_DIRECTORIES": str(work), "GIT_CONFIG_GLOBAL": str(work / "home" / ".gitconfig"),
             "VIRTUAL_ENV": str(work / "venv"), "TMPDIR": str(work / "tmp")}
    return base | account.aws_environment(credentials) | values | own


def secret(kind: str, reference: str, credentials: dict[str, str]) -> str:
    """Return a value from Parameter Store or Secrets Manager, read with the build role's permissions."""
    import botocore.exceptions

    try:
        if kind == "PARAMETER_STORE":
            found = account.client("ssm", credentials).get_parameters(Names=[reference], WithDecryption=True)
            if not found["Parameters"]:
                raise BuildspecError("Parameter does not exist", f"make it: `aws ssm put-parameter --name {reference} "
                                     "--type SecureString --value …`", code="CLIENT_ERROR")
            return str(found["Parameters"][0]["Value"])
        # An ARN has seven colons of its own before the name's end.
        parts = reference.split(":")
        length = 7 if reference.startswith("arn:") else 1
        name, (key, stage, version) = ":".join(parts[:length]), (parts[length:] + ["", "", ""])[:3]
        chosen = {"VersionId": version} if version else {"VersionStage": stage or "AWSCURRENT"}
        text = account.client("secretsmanager", credentials).get_secret_value(SecretId=name, **chosen)["SecretString"]
        return str(json.loads(text)[key]) if key else str(text)
    except (botocore.exceptions.ClientError, ValueError, KeyError) as error:
        raise BuildspecError(f"Secrets Manager or Parameter Store: {reference}: {error}",
                             "allow it in template.yml's BuildRole, or check the name", code="CLIENT_ERROR") from None


def choose_runtimes(spec: Buildspec, log: Log, path: str) -> None:
    """Say which runtimes are chosen and what the laptop has; raises BuildspecError for one that it lacks."""
    if not spec.runtimes:
        log.line("No runtime version selected in buildspec.")
    for name, version in spec.runtimes.items():
        log.line(f"Selecting '{name}' runtime version '{version}' based on manual selections...")
        here = f"{sys.version_info[0]}.{sys.version_info[1]}"
        if name != "python":
            program = shutil.which(PROGRAMS[name], path=path)
            if not program:
                raise BuildspecError(f"the runtime {name} is not on this laptop, {PROGRAMS[name]!r} was not found",
                                     f"install it, or leave `{name}` out of runtime-versions")
            log.note(f"runtime {name} {version}: the build uses {program} as it is")
        elif version != here:
            log.note(f"runtime python {version}: builds on this laptop run on its Python {here}")


def discard_work() -> None:
    """Put what a build has left aside; deleting it takes longer than a student should wait."""
    TRASH.mkdir(exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.rename(CODEBUILD, TRASH / uuid.uuid4().hex)


def send_log(build: Build) -> None:
    """Put the build's log into CloudWatch Logs, where `aws logs filter-log-events` finds it as on AWS."""
    project = account.project()
    logs = account.client("logs", account.assume_role(project.role_arn, f"AWSCodeBuild-{build.id}"))
    names = {"logGroupName": project.log_group, "logStreamName": build.id}
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
    return re.sub(r"[^\n\t\x20-\x7e\xa0-\U0010ffff]|[\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069]",
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
