"""One build, from its source to its last phase."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from sandbox.codebuild import artifacts, reports, source
from sandbox.codebuild.buildspec import SHELLS, Buildspec, BuildspecError, Files
from sandbox.codebuild.log import Log
from sandbox.codebuild.phases import Outcome, complete, run_phases
from sandbox.codebuild.project import Project, Request
from sandbox.codebuild.reader import read
from sandbox.codebuild.shell import Shell
from sandbox.codebuild.variables import Secret, chosen_variables, exportable, own_variables

NOTHING = "no command ran, so nothing was tested and nothing released"
MEND = 'mend it, `git commit -am "…"`, then `git push sandbox`'


@dataclass(frozen=True)
class Machine:
    """What a build is given by the machine that it runs on.

    `folder` stands for /codebuild. `check_out` puts the commit into an empty folder; `environment`
    adds the machine's variables (PATH, HOME, credentials) to those that the build has chosen;
    `service` takes in what a build leaves behind.
    """

    folder: Path
    check_out: Callable[[Path], None]
    environment: Callable[[Mapping[str, str]], dict[str, str]]
    secret: Secret
    service: reports.Service


def run(request: Request, project: Project, machine: Machine, log: Log) -> Outcome:
    """Run a build and return its outcome.

    Raises what the machine raises, and shell.Stopped when a signal's handler does.
    """
    project = replace(project, variables=(*project.variables, *request.variables))
    owner = project.source_url.removesuffix(".git").removeprefix("https://")
    random_name = f"src{random.randrange(10**9)}"
    src = machine.folder / "codebuild" / "output" / random_name / "src" / Path(*owner.split("/"))
    for folder in (src, machine.folder / "home", machine.folder / "tmp"):
        folder.mkdir(parents=True)
    try:
        spec, variables = download_source(request, project, machine, src, log)
    except BuildspecError as error:
        with contextlib.suppress(OSError):
            complete(log, "DOWNLOAD_SOURCE", error.code, error.message)
        place = f"buildspec{error.place}: " if error.line else ""
        return Outcome("FAILED", "DOWNLOAD_SOURCE", place + error.message, error.hint)
    deadline = time.monotonic() + 60 * project.timeout_minutes
    program, tmp = SHELLS[spec.shell], machine.folder / "tmp"
    shell = Shell(program, tmp, src, variables, log.output, deadline, spec.version == "0.2")

    def find(files: Files) -> dict[Path, str]:
        return artifacts.find(files.expanded(shell.expand), src, log)

    def upload() -> Outcome:
        reason = hint = ""
        if project.artifacts:
            place, may = project.artifacts, machine.service.refusal
            reason, hint = artifacts.store(spec.artifacts, place, find, may, log)
        groups = [replace(each, name=log.shown(shell.expand(each.name))) for each in spec.reports]
        found, why, what_to_do = reports.collect(groups, project, find, machine.service, log)
        if why := reason or why:
            hint = hint or what_to_do
            return Outcome("FAILED", "UPLOAD_ARTIFACTS", why, hint, reports=found)
        return Outcome("SUCCEEDED", reports=found)

    try:
        outcome = run_phases(spec, shell, log, upload)
        for line, text in spec.notes:
            log.note(f"buildspec, line {line}: {text}")  # once more: it may be why, and unseen
        if not spec.scripts:
            outcome = replace(outcome, reason=NOTHING)
        if outcome.status == "FAILED" and not outcome.hint:
            outcome = replace(outcome, hint=MEND)
        exported = shell.get(exportable(spec, project))
        for name, value in exported.items():
            log.note(f"exported variable {name}={value}")
        return replace(outcome, exported={name: log.shown(exported[name]) for name in exported})
    finally:
        shell.close()


def download_source(
    request: Request, project: Project, machine: Machine, src: Path, log: Log
) -> tuple[Buildspec, dict[str, str]]:
    """Run the phase DOWNLOAD_SOURCE; return the buildspec and the build's variables.

    Raises BuildspecError if CodeBuild or this machine refuses the buildspec.
    """
    place = src / project.buildspec
    if source.is_inline(project.buildspec):
        place = Path("/codebuild/readonly/buildspec.yml")
    log.mark("phase", name="DOWNLOAD_SOURCE")
    log.line("Running on CodeBuild On-demand")
    log.line("Waiting for agent ping")
    log.line("Waiting for DOWNLOAD_SOURCE")
    log.line("Phase is DOWNLOAD_SOURCE")
    log.line(f"CODEBUILD_SRC_DIR={src}")
    log.line(f"YAML location is {place}")
    machine.check_out(src)
    spec = read(source.find_buildspec(src, project.buildspec))
    for error in spec.obstacles:
        raise error
    said = ["Found possible syntax errors in buildspec: "]
    for section, keys in spec.unknown.items():
        said += [f"In the section {section}", "    The following keys cannot be identified:"]
        said += [f"        {key}" for key in keys]
    if spec.unknown:
        log.line("\n".join(said))
    if spec.shell:
        log.line(f"Selecting shell {spec.shell} as specified in buildspec.")
    for line, text in spec.notes:
        log.note(f"{place.name}, line {line}: {text}")
    if project.passed_over:
        log.note(f"the project's {', '.join(project.passed_over)}: passed over here, not on AWS")
    for name, phase in spec.phases.items():
        if not phase.commands:
            log.line(f"No commands found for phase name: {name.lower()}")
    log.line("Processing environment variables")
    variables = machine.environment(chosen_variables(spec, project, machine.secret, log))
    variables |= own_variables(request, project, src)
    for text, here in source.runtimes(spec, variables, variables["PATH"]):
        log.line(text)
        if here:
            log.note(here)
    log.line(f"Moving to directory {src}")
    if not spec.has_cache:
        log.line("Cache is not defined in the buildspec")
        log.line("Skip cache due to: no paths specified to be cached")
    log.line("Registering with agent")
    log.line(f"Phases found in YAML: {len(spec.phases)}")
    for name, phase in spec.phases.items():
        log.line(f" {name}: {len(phase.commands)} commands")
    complete(log, "DOWNLOAD_SOURCE")
    return spec, variables
