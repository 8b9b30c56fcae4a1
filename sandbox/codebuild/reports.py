"""Test reports: which files a buildspec names, and the test cases in them.

https://docs.aws.amazon.com/codebuild/latest/userguide/test-reporting.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

from sandbox.codebuild import artifacts
from sandbox.codebuild.artifacts import Find
from sandbox.codebuild.buildspec import READ_HERE, ReportGroup
from sandbox.codebuild.log import Log
from sandbox.codebuild.project import Project

if TYPE_CHECKING:
    from sandbox.codebuild.part import Part

OTHER_FORMATS = ("CUCUMBERJSON", "NUNITXML", "NUNIT3XML", "TESTNGXML", "VISUALSTUDIOTRX")
COVERAGE_FORMATS = ("CLOVERXML", "COBERTURAXML", "JACOCOXML", "SIMPLECOV")
FORMATS = (READ_HERE, *OTHER_FORMATS, *COVERAGE_FORMATS)
KEYS = ("files", "file-format", "base-directory", "discard-paths")
GROUPS = 5  # in one buildspec
# https://docs.aws.amazon.com/codebuild/latest/userguide/test-report.html
CASES = 500  # in one report; of more, failed ones come first
ORDER = ("FAILED", "ERROR", "UNKNOWN", "SKIPPED", "SUCCEEDED")
FILES = 1000  # and
BYTES = 16 << 20  # of one file: bounds of this laptop
PROCESSING = "error processing report"
MAKE = "let a command make what `reports:` in the buildspec names, or leave the group out"


@dataclass(frozen=True)
class Case:
    """One test case; `status` is one of ORDER, `seconds` may be 0 if the file does not say."""

    name: str
    suite: str
    status: str
    seconds: float = 0.0
    message: str = ""


@dataclass(frozen=True)
class Report:
    """What one report group got from one build; `status` is SUCCEEDED, FAILED or INCOMPLETE."""

    group: str
    status: str
    files: tuple[str, ...] = ()
    counts: tuple[tuple[str, int], ...] = ()  # of all cases, also those that are left out
    cases: tuple[Case, ...] = ()
    message: str = ""
    file_format: str = "JUNITXML"


@dataclass(frozen=True)
class Service:
    """What takes in the files of reports.

    `cases` reads those of a file of a format, and raises ValueError if it is none.
    """

    cases: Callable[[bytes, str], list[Case]]
    refusal: artifacts.Refusal


def groups(part: Part) -> tuple[ReportGroup, ...]:
    """Read the key `reports` of a buildspec; raises BuildspecError if CodeBuild would refuse it.

    https://docs.aws.amazon.com/codebuild/latest/userguide/build-spec-ref.html#build-spec.reports
    """
    named = part.parts()
    if len(named) > GROUPS:
        said = f"reports names {len(named)} report groups; CodeBuild takes {GROUPS}"
        raise part.fault(said, "put several patterns into the `files:` of one group")
    found = []
    for name, group in named.items():
        group.pass_over(KEYS, f"reports.{name}")
        given = group["file-format"].text() or READ_HERE
        if given.upper() not in FORMATS:
            raise group["file-format"].fault(
                f"file-format is {given!r}; CodeBuild knows {', '.join(FORMATS)}",
                f"write `file-format: {READ_HERE}`, which is what `pytest --junitxml` makes",
            )
        if given.upper() != READ_HERE:
            said = f"is checked; this laptop shows the cases of {READ_HERE}"
            group["file-format"].tell(f"file-format: {given.upper()} {said}")
        files = artifacts.files(group)
        if not files.patterns:
            said = f"reports.{name} has no files"
            raise group.fault(said, "write `files:` with a list of patterns")
        found.append(ReportGroup(name, files, given.upper()))
    return tuple(found)


def collect(
    groups: Iterable[ReportGroup], project: Project, find: Find, service: Service, log: Log
) -> tuple[tuple[Report, ...], str, str]:
    """Return the reports of these groups, why the build fails for them, and a hint.

    The reasons are in the words of aws/aws-cdk#7367, aws/aws-cdk#13867 and aquasecurity/trivy#902.
    """
    found, faults, hint = [], [], ""
    for group in groups:
        # A name makes a group of the project's, an ARN names one that is there.
        arn, actions = group.name, ["CreateReport", "UpdateReport"]
        if not arn.startswith("arn:"):
            arn = f"{project.arn.replace(':project/', ':report-group/')}-{group.name}"
            actions.insert(0, "CreateReportGroup")
        is_coverage = group.file_format in COVERAGE_FORMATS
        actions.append("BatchPutCodeCoverages" if is_coverage else "BatchPutTestCases")
        if fault := service.refusal([f"codebuild:{action}" for action in actions], arn):
            doing = "error creating report group" if "CreateReportGroup " in fault else PROCESSING
            faults.append(f"{group.name}: [{doing}: {fault}]")
            hint = artifacts.ALLOW
            continue
        report = read(group, arn.partition(":report-group/")[2] or arn, find, service)
        if report.status == "INCOMPLETE":
            faults.append(f"{group.name}: [{report.message}]")
            hint = hint or MAKE
        shown = ", ".join(f"{count} {status.lower()}" for status, count in report.counts)
        log.note(f"report {report.group}: {report.message or shown}")
        found.append(report)
    reason = f"Error in UPLOAD_ARTIFACTS phase: [{', '.join(faults)}]" if faults else ""
    return tuple(found), reason, hint


def read(group: ReportGroup, name: str, find: Find, service: Service) -> Report:
    """Read the report of one group; it is INCOMPLETE if the build fails for it."""
    report = Report(name, "INCOMPLETE", file_format=group.file_format)
    cases: list[Case] = []
    try:
        files = dict(islice(find(group.files).items(), FILES))
        report = replace(report, files=tuple(files.values()))
        for path in files:
            try:
                if path.stat().st_size > BYTES:
                    raise ValueError(f"it has more than {BYTES >> 20} MB")
                cases += service.cases(path.read_bytes(), group.file_format)
            except (OSError, ValueError) as error:
                return replace(report, message=f"{PROCESSING}: [{path}: {error}]")
    except artifacts.NoFiles as error:
        return replace(report, message=str(error))
    counts = Counter(case.status for case in cases)
    bad = sum(counts[status] for status in ("FAILED", "ERROR", "UNKNOWN"))
    nothing = "no test case is in it"
    if group.file_format != READ_HERE:
        nothing = f"this laptop shows no more of {group.file_format}"
    return replace(
        report,
        status="FAILED" if bad else "SUCCEEDED",
        counts=tuple((status, counts[status]) for status in ORDER if counts[status]),
        cases=tuple(sorted(cases, key=lambda case: ORDER.index(case.status))[:CASES]),
        message="" if cases else nothing,
    )
