"""The phases of a build: which comes after which, and what CodeBuild says about each.

https://docs.aws.amazon.com/codebuild/latest/userguide/view-build-details-phases.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from sandbox.codebuild.buildspec import PHASES, Buildspec, Phase
from sandbox.codebuild.log import Log
from sandbox.codebuild.reports import Report
from sandbox.codebuild.shell import Shell, Stopped, TimedOut


@dataclass(frozen=True)
class Outcome:
    """How a build went: its status, the phase that failed first, why, and what to do about it."""

    status: str
    phase: str | None = None
    reason: str = ""
    hint: str = ""
    exported: Mapping[str, str] = field(default_factory=dict)
    reports: tuple[Report, ...] = ()


def run_phases(spec: Buildspec, shell: Shell, log: Log, upload: Callable[[], Outcome]) -> Outcome:
    """Run all phases that CodeBuild would run, at last `upload`; return the build's outcome."""
    first = Outcome("SUCCEEDED")
    for name in PHASES:
        phase = spec.phases.get(name, Phase())
        log.mark("phase", name=name)
        log.line(f"Entering phase {name}")
        try:
            reason = run_phase(phase, shell, log)
        except (TimedOut, Stopped) as end:
            state = "TIMED_OUT" if isinstance(end, TimedOut) else "STOPPED"
            why = "the build's time is over" if state == "TIMED_OUT" else "the build was stopped"
            log.line(f"Phase complete: {name} State: {state}")
            log.mark("phase ended", name=name, status=state, code="", message=why)
            return Outcome(state, name, why)
        complete(log, name, "COMMAND_EXECUTION_ERROR" if reason else "", reason)
        if reason:
            first = first if first.phase else Outcome("FAILED", name, reason)
            shell.set("CODEBUILD_BUILD_SUCCEEDING", "0")
            action = phase.on_failure.action
            if name in ("INSTALL", "PRE_BUILD") and action != "CONTINUE":
                return first
            if name in ("BUILD", "POST_BUILD") and action == "ABORT":
                return first
    log.mark("phase", name="UPLOAD_ARTIFACTS")
    last = upload()
    complete(log, "UPLOAD_ARTIFACTS", "CLIENT_ERROR" if last.reason else "", last.reason)
    return replace(first if first.phase else last, reports=last.reports)


def complete(log: Log, name: str, code: str = "", message: str = "") -> None:
    """Write the two lines that end a phase."""
    status = "FAILED" if code else "SUCCEEDED"
    log.line(f"Phase complete: {name} State: {status}")
    log.line(f"Phase context status code: {code} Message: {message}")
    log.mark("phase ended", name=name, status=status, code=code, message=message)


def run_phase(phase: Phase, shell: Shell, log: Log) -> str:
    """Run a phase, again if it says RETRY, and return why it failed, or nothing."""
    reason = run_once(phase, shell, log)
    retry = phase.on_failure
    for attempt in range(1, retry.tries + 1 if retry.action == "RETRY" else 1):
        if not reason or not re.search(retry.pattern, reason):
            break
        log.note(f"on-failure: RETRY, try {attempt} of {retry.tries}")
        reason = run_once(phase, shell, log)
    return reason


def run_once(phase: Phase, shell: Shell, log: Log) -> str:
    """Run `commands` up to the first that fails, then `finally`; return the first failure."""
    reasons = [
        next(filter(None, (run_command(item, shell, log) for item in part)), "")
        for part in (phase.commands, phase.finally_commands)
    ]
    return reasons[0] or reasons[1]


def run_command(command: str, shell: Shell, log: Log) -> str:
    """Run one item and return why it failed, or nothing."""
    log.mark("command", text=command)
    log.line(f"Running command {command}")
    log.mark("output")
    status = None
    try:
        status = shell.run(command)
    finally:  # also when the build is stopped, or its time is over
        log.end_output()
        log.mark("command ended", status=status)
    if status == 0:
        return ""
    log.line(f"Command did not exit successfully {command} exit status {status}")
    return f"Error while executing command: {command}. Reason: exit status {status}"
