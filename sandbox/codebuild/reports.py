"""Test reports: which files a buildspec names, and the test cases in them.

https://docs.aws.amazon.com/codebuild/latest/userguide/test-reporting.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from sandbox.codebuild.buildspec import ReportGroup
from sandbox.codebuild.log import Log

# https://docs.aws.amazon.com/codebuild/latest/userguide/test-report.html
CASES = 500  # in one report; of more, failed ones come first
ORDER = ("FAILED", "ERROR", "UNKNOWN", "SKIPPED", "SUCCEEDED")
FILES = 1000  # and
BYTES = 16 << 20  # of one file: bounds of this laptop


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


# Reads the cases in a file's bytes; raises ValueError if it is not of its format.
Read = Callable[[bytes], list[Case]]


def collect(
    groups: tuple[ReportGroup, ...],
    project: str,
    source: Path,
    formats: Mapping[str, Read],
    log: Log,
) -> tuple[Report, ...]:
    """Read the reports that a buildspec names, with CodeBuild's lines on the files."""
    found = []
    for group in groups:
        if group.file_format in formats:
            report = read(group, project, source, formats[group.file_format], log)
            shown = ", ".join(f"{count} {status.lower()}" for status, count in report.counts)
            log.note(f"report {report.group}: {report.message or shown}")
            found.append(report)
    return tuple(found)


def read(group: ReportGroup, project: str, source: Path, parse: Read, log: Log) -> Report:
    """Read the report of one group."""
    # A name makes a group of the project's, an ARN names one that is there.
    name = f"{project}-{group.name}"
    if group.name.startswith("arn:"):
        name = group.name.partition(":report-group/")[2] or group.name
    files = list(islice(matching(group, source, log), FILES))
    if not files:
        return Report(name, "INCOMPLETE", message="no file was found that `files` names")
    log.line(f"Found {len(files)} file(s)")
    cases: list[Case] = []
    base = source / group.base_directory
    shown = tuple(
        str(path.name if group.discard_paths else path.relative_to(base)) for path in files
    )
    for path, short in zip(files, shown, strict=True):
        try:
            if path.stat().st_size > BYTES:
                raise ValueError(f"it has more than {BYTES >> 20} MB")
            cases += parse(path.read_bytes())
        except (OSError, ValueError) as error:
            return Report(name, "INCOMPLETE", shown, message=f"{short} cannot be read: {error}")
    counts = Counter(case.status for case in cases)
    bad = sum(counts[status] for status in ("FAILED", "ERROR", "UNKNOWN"))
    kept = sorted(cases, key=lambda case: ORDER.index(case.status))[:CASES]
    return Report(
        name,
        "FAILED" if bad else "SUCCEEDED",
        shown,
        tuple((status, counts[status]) for status in ORDER if counts[status]),
        tuple(kept),
        "" if cases else "no test case is in it",
    )


def matching(group: ReportGroup, source: Path, log: Log) -> Iterator[Path]:
    """Yield the files that a group names, each once, and none beyond the source's folder."""
    base = source / group.base_directory
    for text in (
        f"Expanding base directory path: {group.base_directory}",
        "Assembling file list",
        f"Expanding {group.base_directory}",
        f"Expanding file paths for base directory {group.base_directory}",
        "Assembling file list",
    ):
        log.line(text)
    seen = set()
    root = source.resolve()
    for pattern in group.files:
        log.line(f"Expanding {pattern}")
        matched = False
        try:
            for path in sorted(islice(base.glob(pattern.lstrip("/")), 10 * FILES)):
                inside = path.is_file() and path.resolve().is_relative_to(root)
                if inside and path.is_relative_to(base) and path not in seen:
                    seen.add(path)
                    matched = True
                    yield path
        except (OSError, ValueError, NotImplementedError, IndexError, RuntimeError):
            matched = False  # no pattern at all
        if not matched:
            log.line(f"Skipping invalid file path {pattern}")
